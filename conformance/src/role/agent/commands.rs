//! The AMTHI commands of discovery: number, request and the layout of the data in a good answer.
//!
//! Offsets count from the first byte after the status. Sources: Intel AMT Implementation and Reference Guide, pages
//! of the commands; rpc-go `pkg/pthi/types.go`; MeshAgent `modules/amt-mei.js`.

use amt_sim::Guid;

use super::wire::{Reader, WireError, text};

/// One command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmtCommand {
    GetProvisioningState,
    GetCodeVersions,
    EnumerateHashHandles,
    GetCertificateHashEntry {
        handle: u32,
    },
    GetPkiFqdnSuffix,
    GetRemoteAccessConnectionStatus,
    GetLanInterfaceSettings {
        interface: u32,
    },
    GetUuid,
    GetControlMode,
    GetCiraLog,
    /// These two change something. A discovery never sends them.
    Unprovision,
    StopConfiguration,
}

impl AmtCommand {
    pub const fn operation(self) -> u32 {
        match self {
            Self::Unprovision => 0x10,
            Self::GetProvisioningState => 0x11,
            Self::GetCodeVersions => 0x1a,
            Self::EnumerateHashHandles => 0x2c,
            Self::GetCertificateHashEntry { .. } => 0x2d,
            Self::GetPkiFqdnSuffix => 0x36,
            Self::GetRemoteAccessConnectionStatus => 0x46,
            Self::GetLanInterfaceSettings { .. } => 0x48,
            Self::GetUuid => 0x5c,
            Self::StopConfiguration => 0x5e,
            Self::GetControlMode => 0x6b,
            Self::GetCiraLog => 0x8e,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Unprovision => "Unprovision",
            Self::StopConfiguration => "StopConfiguration",
            Self::GetProvisioningState => "GetProvisioningState",
            Self::GetCodeVersions => "GetCodeVersions",
            Self::EnumerateHashHandles => "EnumerateHashHandles",
            Self::GetCertificateHashEntry { .. } => "GetCertificateHashEntry",
            Self::GetPkiFqdnSuffix => "GetPkiFQDNSuffix",
            Self::GetRemoteAccessConnectionStatus => "GetRemoteAccessConnectionStatus",
            Self::GetLanInterfaceSettings { .. } => "GetLanInterfaceSettings",
            Self::GetUuid => "GetUUID",
            Self::GetControlMode => "GetControlMode",
            Self::GetCiraLog => "GetCiraLog",
        }
    }

    pub(super) fn payload(self) -> Vec<u8> {
        match self {
            Self::GetCertificateHashEntry { handle: number }
            | Self::GetLanInterfaceSettings { interface: number } => number.to_le_bytes().to_vec(),
            // Layout version of the log.
            Self::GetCiraLog => vec![0],
            // The mode, which firmware ignores.
            Self::Unprovision => vec![0; 4],
            _ => Vec::new(),
        }
    }
}

/// ```text
///  0  char bios[65]
/// 65  u32 count, at most 50
/// 69  count x { u16 length, char description[20], u16 length, char version[20] }
/// ```
pub(super) fn code_versions(data: &[u8]) -> Result<Vec<(String, String)>, WireError> {
    let mut reader = Reader::new(data);
    reader.bytes(65, "the BIOS version")?;
    let count = reader.u32("the number of versions")?;
    if count > 50 {
        return Err(WireError::Content(format!(
            "{count} code versions, where 50 is the limit"
        )));
    }
    let mut rows = Vec::new();
    for _ in 0..count {
        let mut cell = |what| -> Result<String, WireError> {
            let length = reader.u16(what)?;
            let field = reader.bytes(20, what)?;
            // Not every firmware counts the same way: the field itself is NUL-padded.
            Ok(text(&field[..usize::from(length).min(field.len())]))
        };
        rows.push((cell("a description")?, cell("a version")?));
    }
    Ok(rows)
}

/// The answers that are one u32.
pub(super) fn number(data: &[u8]) -> Result<u32, WireError> {
    Reader::new(data).u32("the value")
}

pub(super) fn uuid(data: &[u8]) -> Result<Guid, WireError> {
    Reader::new(data).array("the UUID").map(Guid::from_wire)
}

/// `u16 length, char suffix[length]`
pub(super) fn dns_suffix(data: &[u8]) -> Result<String, WireError> {
    Reader::new(data).ansi("the suffix")
}

/// One network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LanSettings {
    pub(super) enabled: bool,
    /// The first octet is the most significant byte.
    pub(super) address: u32,
    pub(super) dhcp: bool,
    pub(super) link_up: bool,
    /// In transmission order.
    pub(super) mac: [u8; 6],
}

/// ```text
///  0  u32 enabled
///  4  u32 IPv4 address, 0x01020304 = 1.2.3.4
///  8  u32 DHCP enabled
/// 12  u8  DHCP mode: 1 active, 2 passive
/// 13  u8  link: 1 up
/// 14  u8  mac[6]
/// 20
/// ```
pub(super) fn lan_settings(data: &[u8]) -> Result<LanSettings, WireError> {
    let mut reader = Reader::new(data);
    let enabled = reader.u32("enabled")? == 1;
    let address = reader.u32("the address")?;
    let dhcp = reader.u32("DHCP")? == 1;
    reader.u8("the DHCP mode")?;
    let link_up = reader.u8("the link")? == 1;
    let mac = reader.array("the MAC address")?;
    Ok(LanSettings {
        enabled,
        address,
        dhcp,
        link_up,
        mac,
    })
}

/// `u32 count, u32 handle[count]`
pub(super) fn hash_handles(data: &[u8]) -> Result<Vec<u32>, WireError> {
    let mut reader = Reader::new(data);
    let count = reader.u32("the number of hashes")?;
    (0..count).map(|_| reader.u32("a handle")).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HashEntry {
    pub(super) default: bool,
    pub(super) active: bool,
    /// The field, 64 bytes; the algorithm says how many count.
    pub(super) hash: [u8; 64],
    pub(super) algorithm: u8,
    pub(super) name: String,
}

/// ```text
///  0  u32 default
///  4  u32 active
///  8  u8  hash[64]
/// 72  u8  algorithm: 1 SHA-1, 2 SHA-256, 3 SHA-384
/// 73  u16 length, char name[length]
/// ```
pub(super) fn hash_entry(data: &[u8]) -> Result<HashEntry, WireError> {
    let mut reader = Reader::new(data);
    Ok(HashEntry {
        default: reader.u32("default")? == 1,
        active: reader.u32("active")? == 1,
        hash: reader.array("the hash")?,
        algorithm: reader.u8("the algorithm")?,
        name: reader.ansi("the name")?,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RemoteAccess {
    pub(super) network: u32,
    pub(super) connection: u32,
    pub(super) trigger: u32,
}

/// `u32 network, u32 connection, u32 trigger, u16 length, char server[length]`
pub(super) fn remote_access(data: &[u8]) -> Result<RemoteAccess, WireError> {
    let mut reader = Reader::new(data);
    let status = RemoteAccess {
        network: reader.u32("the network")?,
        connection: reader.u32("the connection")?,
        trigger: reader.u32("the trigger")?,
    };
    reader.ansi("the server")?;
    Ok(status)
}

/// `u8 version, u8 tunnel open, ...`: the first byte of the summary is all that discovery looks at.
pub(super) fn cira_log_tunnel_open(data: &[u8]) -> Result<bool, WireError> {
    let mut reader = Reader::new(data);
    reader.u8("the version")?;
    Ok(reader.u8("the summary")? == 1)
}

/// The watchdog client's IsChangeToAMTEnabled: command 5, two bytes follow, subcommand 0x51, version 0x10.
pub(super) const WATCHDOG_IS_ENABLED: [u8; 4] = [0x05, 0x02, 0x51, 0x10];

/// Its answer: one byte of flags, no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StateFlags(pub(super) u8);

impl StateFlags {
    pub(super) fn parse(message: &[u8]) -> Result<Self, WireError> {
        match message {
            [] => Err(WireError::Empty),
            [flags, ..] => Ok(Self(*flags)),
        }
    }

    pub(super) const fn bit(self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }

    pub(super) const fn enabled(self) -> bool {
        self.bit(1)
    }

    pub(super) const fn tls_enforced(self) -> bool {
        self.bit(6)
    }

    /// The bits above 0 count only when this one is set.
    pub(super) const fn new_interface(self) -> bool {
        self.bit(7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_of_versions_is_read_by_its_own_lengths() {
        let mut data = vec![0; 65];
        data.extend(2u32.to_le_bytes());
        for (name, version) in [("AMT", "15.0.35"), ("Sku", "16392")] {
            for cell in [name, version] {
                data.extend((cell.len() as u16).to_le_bytes());
                let mut field = [0; 20];
                field[..cell.len()].copy_from_slice(cell.as_bytes());
                data.extend(field);
            }
        }
        let rows = code_versions(&data).unwrap();
        assert_eq!(rows[0], ("AMT".into(), "15.0.35".into()));
        assert_eq!(rows[1], ("Sku".into(), "16392".into()));
        assert!(code_versions(&data[..data.len() - 1]).is_err());
    }

    #[test]
    fn lan_settings_are_twenty_bytes() {
        let data = [
            1, 0, 0, 0, 15, 2, 0, 192, 1, 0, 0, 0, 1, 1, 2, 0, 0x5e, 0x10, 0, 1,
        ];
        let settings = lan_settings(&data).unwrap();
        assert_eq!(
            std::net::Ipv4Addr::from(settings.address),
            std::net::Ipv4Addr::new(192, 0, 2, 15)
        );
        assert_eq!(settings.mac, [2, 0, 0x5e, 0x10, 0, 1]);
        assert!(settings.enabled && settings.dhcp && settings.link_up);
        assert!(lan_settings(&data[..19]).is_err());
    }

    #[test]
    fn a_hash_entry_ends_with_its_name() {
        let mut data = vec![1, 0, 0, 0, 0, 0, 0, 0];
        data.extend([0xab; 64]);
        data.extend([2, 4, 0]);
        data.extend(b"Root");
        let entry = hash_entry(&data).unwrap();
        assert!(entry.default && !entry.active);
        assert_eq!((entry.algorithm, entry.name.as_str()), (2, "Root"));
    }

    #[test]
    fn the_state_flags_of_a_device_that_enforces_tls() {
        let flags = StateFlags::parse(&[0xc3]).unwrap();
        assert!(flags.enabled() && flags.tls_enforced() && flags.new_interface());
    }

    proptest! {
        #[test]
        fn no_data_is_a_panic(data: Vec<u8>) {
            let _ = code_versions(&data);
            let _ = number(&data);
            let _ = uuid(&data);
            let _ = dns_suffix(&data);
            let _ = lan_settings(&data);
            let _ = hash_handles(&data);
            let _ = hash_entry(&data);
            let _ = remote_access(&data);
            let _ = cira_log_tunnel_open(&data);
            let _ = StateFlags::parse(&data);
        }
    }
}
