//! What a profile must satisfy beyond the types of its keys: nothing in it may make an answer that programs in
//! the field cannot read.

use super::{LanInterface, Profile, ProfileError};
use crate::mei::ClientKind;

/// GetCIRALog: 16 bytes of header and status, 2781 of data.
const LONGEST_AMTHI_ANSWER: u32 = 2797;

/// One reader in the field takes the low byte of a string's length only, so that 256 reads as 0.
const LONGEST_STRING: usize = 255;

/// CFG_SetPkiFQDNSuffix takes no longer one.
pub(crate) const LONGEST_SUFFIX: usize = 223;

impl Profile {
    pub(super) fn check(&self) -> Result<(), ProfileError> {
        self.check_mei()
            .and_then(|()| self.check_strings())
            .and_then(|()| self.check_versions())
            .and_then(|()| self.check_network())
            .map_err(|why| ProfileError::Inconsistent {
                profile: self.name.clone(),
                why,
            })?;
        self.check_hashes()
    }

    fn check_mei(&self) -> Result<(), String> {
        let amthi = self.mei.clients.get(&ClientKind::Amthi);
        if amthi.is_some_and(|client| client.max_message < LONGEST_AMTHI_ANSWER) {
            return Err(format!(
                "mei.clients.amthi.max_message is below {LONGEST_AMTHI_ANSWER}, the length of the longest AMTHI answer"
            ));
        }
        if self.mei.tx_queue == 0 || self.assumptions.unread_answers == 0 {
            return Err(
                "mei.tx_queue and assumptions.unread_answers must be at least 1".to_owned(),
            );
        }
        if !(1..=15).contains(&self.setup_server.most_hellos) {
            return Err("setup_server.most_hellos takes 1 to 15".to_owned());
        }
        if self.tls.versions.is_empty() {
            return Err("tls.versions is empty: name \"1.2\", \"1.3\" or both".to_owned());
        }
        Ok(())
    }

    fn check_strings(&self) -> Result<(), String> {
        let platform = &self.platform;
        let network = &self.network;
        let oem_id = platform.oem_platform_id.as_deref().unwrap_or_default();
        let limits = [
            ("firmware.bios", self.firmware.bios.as_str(), 64),
            (
                "platform.power_policy",
                &platform.power_policy,
                LONGEST_STRING,
            ),
            ("platform.oem_platform_id", oem_id, 32),
            ("network.hostname", &network.hostname, 63),
            // Host name, dot and domain make one string of GetFQDN.
            (
                "network.dhcp_domain",
                &network.dhcp_domain,
                LONGEST_STRING - 64,
            ),
            (
                "network.pki_dns_suffix",
                &network.pki_dns_suffix,
                LONGEST_SUFFIX,
            ),
            ("setup_server.address", &self.setup_server.address, 45),
            ("setup_server.fqdn", &self.setup_server.fqdn, LONGEST_STRING),
            (
                "remote_access.server",
                &self.remote_access.server,
                LONGEST_STRING,
            ),
        ];
        let domains = network
            .intranet_domains
            .iter()
            .map(|domain| ("network.intranet_domains", domain.as_str(), 191));
        for (key, text, limit) in limits.into_iter().chain(domains) {
            if text.len() > limit || !is_printable(text) {
                return Err(format!(
                    "{key} takes at most {limit} printable ASCII characters"
                ));
            }
        }
        if network.intranet_domains.len() > 5 {
            return Err("network.intranet_domains holds more than 5 names".to_owned());
        }
        Ok(())
    }

    fn check_versions(&self) -> Result<(), String> {
        let too_long = self
            .code_versions()
            .into_iter()
            .find(|(_, value)| value.len() > 19 || !is_printable(value));
        if let Some((name, _)) = too_long {
            return Err(format!(
                "the version called {name:?} is longer than 19 ASCII characters"
            ));
        }
        let amt = &self.firmware.amt;
        if amt.split('.').count() < 2 || amt.split('.').any(|part| part.parse::<u16>().is_err()) {
            return Err(format!(
                "firmware.amt is {amt:?}; agents need numbers and dots, such as 16.1.25"
            ));
        }
        for (name, version) in &self.firmware.partitions {
            let parts = version.split('.').map(str::parse::<u16>);
            if name.len() != 4 || !name.is_ascii() || parts.clone().any(|part| part.is_err()) {
                return Err(format!(
                    "firmware.partitions: {name:?} = {version:?}; write four letters and a version such as 150.1.20.1015"
                ));
            }
        }
        Ok(())
    }

    fn check_network(&self) -> Result<(), String> {
        if self.network.environment > 3 {
            return Err(
                "network.environment is 0 (direct), 1 (VPN), 2 (outside) or 3 (unknown)".to_owned(),
            );
        }
        let too_many = |lan: &Option<LanInterface>| {
            lan.as_ref()
                .and_then(|lan| lan.ipv6.as_ref())
                .is_some_and(|ipv6| ipv6.addresses.len() > 6)
        };
        if too_many(&self.network.wired) || too_many(&self.network.wireless) {
            return Err("an interface has more than 6 IPv6 addresses".to_owned());
        }
        Ok(())
    }

    fn check_hashes(&self) -> Result<(), ProfileError> {
        let bad = |why: String| ProfileError::Inconsistent {
            profile: self.name.clone(),
            why,
        };
        let hashes = self.certificate_hashes()?;
        if hashes.len() > Self::MOST_HASHES {
            return Err(bad(format!(
                "{} certificate hashes; firmware holds {}",
                hashes.len(),
                Self::MOST_HASHES
            )));
        }
        if let Some(wrong) = hashes.iter().find(|hash| !hash.is_well_formed()) {
            return Err(bad(format!(
                "certificate hash {:?}: the name takes 1 to 32 ASCII characters and {:?} needs {} hex digits",
                wrong.name,
                wrong.algorithm,
                wrong.algorithm.size() * 2
            )));
        }
        Ok(())
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
