//! Which ME clients exist and how each is recognised on the bus.

use serde::{Deserialize, Serialize};

use super::guid::Guid;

/// One ME client: a service of the firmware that a host program connects to by GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// AMT host interface (PTHI).
    Amthi,
    /// Local manageability engine: APF port forwarding.
    Lme,
    /// Manageability watchdog with the state-independence commands.
    Watchdog,
    /// ME kernel host interface.
    Mkhi,
    /// The same messages at a fixed address; Linux itself uses it.
    MkhiFixed,
    /// Unique platform identifier.
    Upid,
    /// Firmware log.
    Hotham,
}

impl ClientKind {
    pub const ALL: [Self; 7] = [
        Self::Amthi,
        Self::Lme,
        Self::Watchdog,
        Self::Mkhi,
        Self::MkhiFixed,
        Self::Upid,
        Self::Hotham,
    ];

    /// The GUID that `IOCTL_MEI_CONNECT_CLIENT` names.
    pub const fn guid(self) -> Guid {
        match self {
            Self::Amthi => Guid::from_fields(
                0x12F8_0028,
                0xB4B7,
                0x4B2D,
                [0xAC, 0xA8, 0x46, 0xE0, 0xFF, 0x65, 0x81, 0x4C],
            ),
            Self::Lme => Guid::from_fields(
                0x6733_A4DB,
                0x0476,
                0x4E7B,
                [0xB3, 0xAF, 0xBC, 0xFC, 0x29, 0xBE, 0xE7, 0xA7],
            ),
            Self::Watchdog => Guid::from_fields(
                0x05B7_9A6F,
                0x4628,
                0x4D7F,
                [0x89, 0x9D, 0xA9, 0x15, 0x14, 0xCB, 0x32, 0xAB],
            ),
            Self::Mkhi => Guid::from_fields(
                0x8E6A_6715,
                0x9ABC,
                0x4043,
                [0x88, 0xEF, 0x9E, 0x39, 0xC6, 0xF6, 0x3E, 0x0F],
            ),
            Self::MkhiFixed => Guid::from_fields(
                0x5521_3584,
                0x9A29,
                0x4916,
                [0xBA, 0xDF, 0x0F, 0xB7, 0xED, 0x68, 0x2A, 0xEB],
            ),
            Self::Upid => Guid::from_fields(
                0x9213_6C79,
                0x5FEA,
                0x4CFD,
                [0x98, 0x0E, 0x23, 0xBE, 0x07, 0xFA, 0x5E, 0x9F],
            ),
            Self::Hotham => Guid::from_fields(
                0x082E_E5A7,
                0x7C25,
                0x470A,
                [0x96, 0x43, 0x0C, 0x06, 0xF0, 0x46, 0x6E, 0xA1],
            ),
        }
    }

    pub fn by_guid(guid: Guid) -> Option<Self> {
        Self::ALL.into_iter().find(|client| client.guid() == guid)
    }

    /// The name used in profiles, faults and the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amthi => "amthi",
            Self::Lme => "lme",
            Self::Watchdog => "watchdog",
            Self::Mkhi => "mkhi",
            Self::MkhiFixed => "mkhi-fixed",
            Self::Upid => "upid",
            Self::Hotham => "hotham",
        }
    }
}

impl std::fmt::Display for ClientKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a successful connect tells the host: the first eight bytes of the ioctl's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientProperties {
    /// Longest message in bytes, either way.
    pub max_message: u32,
    pub protocol_version: u8,
}

impl ClientProperties {
    /// Bytes 0..8 of the ioctl's answer; bytes 8..16 keep the tail of the GUID that was asked for.
    ///
    /// ```text
    /// 0  u32 LE  max_msg_length
    /// 4  u8      protocol_version
    /// 5  u8[3]   reserved, 0
    /// ```
    pub fn to_wire(self) -> [u8; 8] {
        let length = self.max_message.to_le_bytes();
        [
            length[0],
            length[1],
            length[2],
            length[3],
            self.protocol_version,
            0,
            0,
            0,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(ClientKind::Amthi, "12f80028-b4b7-4b2d-aca8-46e0ff65814c")]
    #[case(ClientKind::Lme, "6733a4db-0476-4e7b-b3af-bcfc29bee7a7")]
    #[case(ClientKind::Watchdog, "05b79a6f-4628-4d7f-899d-a91514cb32ab")]
    #[case(ClientKind::Mkhi, "8e6a6715-9abc-4043-88ef-9e39c6f63e0f")]
    #[case(ClientKind::MkhiFixed, "55213584-9a29-4916-badf-0fb7ed682aeb")]
    #[case(ClientKind::Upid, "92136c79-5fea-4cfd-980e-23be07fa5e9f")]
    #[case(ClientKind::Hotham, "082ee5a7-7c25-470a-9643-0c06f0466ea1")]
    fn guids_are_those_of_the_field(#[case] client: ClientKind, #[case] text: &str) {
        assert_eq!(client.guid().to_string(), text);
        assert_eq!(ClientKind::by_guid(client.guid()), Some(client));
    }
}
