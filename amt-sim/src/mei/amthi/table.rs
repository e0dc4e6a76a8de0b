//! Every AMTHI command of this firmware, one row a command.

use super::frame::Command as Id;
use super::status::Status;
use super::wire::{Reader, Writer};
use super::{
    accounts, audit, cira_log, features, hashes, host_based, network, provisioning, remote_access,
    setup, versions,
};
use crate::device::{Firmware, Profile};

/// Data of a good answer, or the status of one without data.
pub(super) type Outcome = Result<Writer, Status>;

pub(super) struct Command {
    pub(super) id: Id,
    /// As the field calls it.
    pub(super) name: &'static str,
    pub(super) request: Request,
    pub(super) known: Known,
    pub(super) effect: Effect,
    pub(super) handle: fn(&mut Firmware, Reader<'_>) -> Outcome,
}

/// What the data of a request must look like; anything else is status 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// So many bytes.
    Bytes(usize),
    /// One of several layouts that programs in the field use.
    OneOf(&'static [usize]),
    /// An AMT_ANSI_STRING and nothing else.
    Text,
}

/// Which firmware knows the command; others treat it as unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Always,
    HostBasedTls,
    DisableAndClear,
    CiraLog,
}

/// What a command may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    /// Memory, but not the mode.
    Settings,
    /// The mode, by way of the mode table.
    Mode,
}

use Effect::{Mode, Reads, Settings};
use Known::{Always, CiraLog, DisableAndClear, HostBasedTls};
use Request::{Bytes, OneOf, Text};

macro_rules! commands {
    ($($id:literal $name:ident $request:expr, $known:ident, $effect:ident, $handle:path;)*) => {
        &[$(Command {
            id: Id($id),
            name: stringify!($name),
            request: $request,
            known: $known,
            effect: $effect,
            handle: $handle,
        }),*]
    };
}

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = commands! {
    0x0100_0001 GetAMTState                       Bytes(16), Always,          Reads,    versions::amt_state;
    0x0400_0006 GetTcpipParameters                Bytes(0),  Always,          Reads,    network::tcpip_parameters;
    0x0400_0008 GetProvisioningMode               Bytes(0),  Always,          Reads,    provisioning::provisioning_mode;
    // The mode in the request is ignored: Guide, CFG_Unprovision.
    0x0400_0010 Unprovision                       Bytes(4),  Always,          Mode,     provisioning::unprovision;
    0x0400_0011 GetProvisioningState              Bytes(0),  Always,          Reads,    provisioning::provisioning_state;
    0x0400_001A GetCodeVersions                   Bytes(0),  Always,          Reads,    versions::code_versions;
    0x0400_001B GetSecurityParameters             Bytes(0),  Always,          Reads,    features::security_parameters;
    0x0400_001E GetAdminNetACLEntryStatus         Bytes(0),  Always,          Reads,    accounts::admin_acl_entry_status;
    0x0400_0025 GetMACAddresses                   Bytes(0),  Always,          Reads,    network::mac_addresses;
    0x0400_0027 GetAMTSetupAuditRecord            Bytes(0),  Always,          Reads,    audit::amt_setup_audit_record;
    0x0400_0028 GenerateRngSeed                   Bytes(0),  Always,          Settings, setup::generate_rng_seed;
    0x0400_0029 StartConfiguration                Bytes(0),  Always,          Mode,     setup::start_configuration;
    0x0400_002A SetProvisioningServerOTP          Text,      Always,          Settings, setup::set_otp;
    0x0400_002B GetProvisioningTLSMode            Bytes(0),  Always,          Reads,    provisioning::tls_mode;
    0x0400_002C EnumerateHashHandles              Bytes(0),  Always,          Reads,    hashes::enumerate;
    0x0400_002D GetCertificateHashEntry           Bytes(4),  Always,          Reads,    hashes::entry;
    0x0400_002E GetRngSeedStatus                  Bytes(0),  Always,          Reads,    setup::rng_seed_status;
    0x0400_002F SetPkiFQDNSuffix                  Text,      Always,          Settings, provisioning::set_dns_suffix;
    0x0400_0030 GetZeroTouchEnabled               Bytes(0),  Always,          Reads,    provisioning::zero_touch;
    0x0400_0036 GetPkiFQDNSuffix                  Bytes(0),  Always,          Reads,    provisioning::dns_suffix;
    0x0400_003A SetZeroTouchEnabled               Bytes(4),  Always,          Settings, provisioning::set_zero_touch;
    0x0400_003B GetPID                            Bytes(0),  Always,          Reads,    provisioning::pid;
    0x0400_003E GetDNSSuffixList                  Bytes(0),  Always,          Reads,    network::dns_suffix_list;
    0x0400_003F SetEnterpriseAccess               Bytes(18), Always,          Reads,    network::set_enterprise_access;
    0x0400_0044 OpenUserInitiatedConnection       Bytes(0),  Always,          Reads,    remote_access::open;
    0x0400_0045 CloseUserInitiatedConnection      Bytes(0),  Always,          Reads,    remote_access::close;
    0x0400_0046 GetRemoteAccessConnectionStatus   Bytes(0),  Always,          Reads,    remote_access::status;
    0x0400_0047 GetCurrentPowerPolicy             Bytes(0),  Always,          Reads,    features::power_policy;
    0x0400_0048 GetLanInterfaceSettings           Bytes(4),  Always,          Reads,    network::lan_interface;
    0x0400_0049 GetFeaturesState                  Bytes(4),  Always,          Reads,    features::features_state;
    0x0400_004A GetLastHostResetReason            Bytes(0),  Always,          Reads,    features::last_host_reset;
    0x0400_004D GetUserInitiatedEnabledInterfaces Bytes(0),  Always,          Reads,    remote_access::enabled_interfaces;
    0x0400_004E GetConfigServerData               Bytes(0),  Always,          Reads,    provisioning::config_server;
    0x0400_0050 GetMESetupAuditRecord             Bytes(0),  Always,          Reads,    audit::me_setup_audit_record;
    0x0400_0052 GetIPv6LanInterfaceStatus         Bytes(4),  Always,          Reads,    network::ipv6_interface;
    0x0400_0056 GetFQDN                           Bytes(0),  Always,          Reads,    network::fqdn;
    0x0400_0058 GetRedirectionState               Bytes(0),  Always,          Reads,    features::redirection_state;
    0x0400_005B SetHostFQDN                       Text,      Always,          Settings, network::set_host_fqdn;
    0x0400_005C GetUUID                           Bytes(0),  Always,          Reads,    versions::uuid;
    0x0400_005E StopConfiguration                 Bytes(0),  Always,          Mode,     provisioning::stop_configuration;
    0x0400_0062 StartConfigurationEx              Bytes(4),  Always,          Mode,     setup::start_configuration_ex;
    // The request is forty reserved bytes.
    0x0400_0067 GetLocalSystemAccount             Bytes(40), Always,          Reads,    accounts::local_system_account;
    0x0400_006B GetControlMode                    Bytes(0),  Always,          Reads,    provisioning::control_mode;
    0x0400_0084 GetEHBCState                      Bytes(0),  Always,          Reads,    provisioning::ehbc;
    0x0400_0085 SetEHBCState                      Bytes(4),  Always,          Settings, provisioning::set_ehbc;
    0x0400_0087 GetAuditLogRecords                Bytes(4),  Always,          Reads,    audit::log_records;
    0x0400_0088 DisableAndClearAMT                Bytes(0),  DisableAndClear, Mode,     provisioning::disable_and_clear;
    0x0400_008B StartConfigurationHBased          OneOf(host_based::SIZES), HostBasedTls, Mode, host_based::start;
    0x0400_008C GetAuditLogSignature              Bytes(20), Always,          Reads,    audit::log_signature;
    0x0400_008E GetCiraLog                        Bytes(1),  CiraLog,         Reads,    cira_log::cira_log;
};

pub(super) fn name(id: Id) -> Option<&'static str> {
    let row = COMMANDS.binary_search_by_key(&id, |command| command.id);
    row.ok().map(|index| COMMANDS[index].name)
}

/// The row of a command, when this firmware knows it.
pub(super) fn find(id: Id, profile: &Profile) -> Option<&'static Command> {
    let row = COMMANDS.binary_search_by_key(&id, |command| command.id);
    row.ok()
        .map(|index| &COMMANDS[index])
        .filter(|command| command.known.holds(profile))
}

impl Known {
    fn holds(self, profile: &Profile) -> bool {
        let capabilities = &profile.capabilities;
        match self {
            Always => true,
            HostBasedTls => capabilities.host_based_tls,
            DisableAndClear => capabilities.disable_and_clear,
            CiraLog => capabilities.cira_log,
        }
    }
}

impl Request {
    pub(super) fn fits(self, data: &[u8]) -> bool {
        match self {
            Bytes(size) => data.len() == size,
            OneOf(sizes) => sizes.contains(&data.len()),
            Text => match data.split_first_chunk::<2>() {
                Some((length, text)) => text.len() == usize::from(u16::from_le_bytes(*length)),
                None => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_are_requests() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.id));
        assert!(COMMANDS.windows(2).all(|pair| pair[0].id != pair[1].id));
        assert!(COMMANDS.iter().all(|command| !command.id.is_response()));
    }

    #[test]
    fn a_text_is_as_long_as_it_says() {
        assert!(Text.fits(&[0, 0]));
        assert!(Text.fits(&[2, 0, b'a', b'b']));
        assert!(!Text.fits(&[2, 0, b'a']));
        assert!(!Text.fits(&[1, 0, b'a', b'b']));
        assert!(!Text.fits(&[1]));
    }
}
