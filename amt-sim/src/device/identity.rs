//! Who this machine is: everything that differs from one device of a profile to the next.

use super::profile::{Mac, Profile};
use super::seed::Seed;
use crate::mei::Guid;

/// Drawn from the seed unless the profile fixes it; the same for the life of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// SMBIOS UUID.
    pub uuid: Guid,
    pub wired_mac: Mac,
    pub wireless_mac: Mac,
    /// `Digest:` and 32 upper-case hex digits; also AMT_GeneralSettings.DigestRealm.
    pub digest_realm: String,
    /// Hardware part of the unique platform identifier.
    pub upid_hardware: [u8; 32],
}

impl Identity {
    pub(crate) fn new(profile: &Profile, seed: Seed) -> Self {
        let fixed_or_drawn = |fixed: Option<Mac>, purpose: &str| {
            fixed.unwrap_or_else(|| {
                let mut bytes: [u8; 6] = seed.bytes(purpose, 0);
                bytes[0] = 0x02; // locally administered, unicast
                Mac(bytes)
            })
        };
        let wired = profile.network.wired.as_ref();
        let wireless = profile.network.wireless.as_ref();
        Self {
            uuid: profile.platform.uuid.unwrap_or_else(|| {
                let mut bytes: [u8; 16] = seed.bytes("uuid", 0);
                bytes[7] = bytes[7] & 0x0f | 0x40; // version 4; this group is little-endian
                bytes[8] = bytes[8] & 0x3f | 0x80; // RFC 4122 variant
                Guid::from_wire(bytes)
            }),
            wired_mac: fixed_or_drawn(wired.and_then(|lan| lan.mac), "mac wired"),
            wireless_mac: fixed_or_drawn(wireless.and_then(|lan| lan.mac), "mac wireless"),
            digest_realm: format!(
                "Digest:{}",
                crate::hex::encode(&seed.bytes::<16>("digest realm", 0)).to_uppercase()
            ),
            upid_hardware: {
                // Twenty bytes identify the hardware; the rest of the field is zero.
                let mut id = [0; 32];
                id[..20].copy_from_slice(&seed.bytes::<20>("upid", 0));
                id
            },
        }
    }
}

/// The operating system's own account on the device: a new password at each boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAccount {
    pub user: &'static str,
    /// 32 printable characters.
    pub password: String,
}

impl LocalAccount {
    pub(crate) fn at_boot(seed: Seed, boot: u64) -> Self {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let password = seed
            .bytes::<32>("local account", boot)
            .iter()
            .map(|byte| LETTERS[usize::from(byte & 63)] as char)
            .collect();
        Self {
            user: "$$OsAdmin",
            password,
        }
    }
}
