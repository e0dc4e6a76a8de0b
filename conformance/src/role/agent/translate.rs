//! From decoded answers to facts; with the reference agent's deliberate mistakes, one line each.

use std::net::Ipv4Addr;

use amt_sim::{ClientKind, Entry, Event};
use serde_json::{Value, json};

use super::commands::{
    AmtCommand, HashEntry, LanSettings, RemoteAccess, StateFlags, WATCHDOG_IS_ENABLED,
    cira_log_tunnel_open, code_versions, dns_suffix, hash_entry, hash_handles, lan_settings,
    number, remote_access, uuid,
};
use super::wire::{Answer, WireError, operation_of};
use crate::fact::{Fact, Facts, sku_words, usable_uuid};
use crate::role::Misbehaviour;

/// Turns answers into facts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Translator {
    pub(super) misbehaviour: Option<Misbehaviour>,
}

impl Translator {
    fn is(self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

    /// The facts in the data of one good answer.
    pub(super) fn facts(self, command: AmtCommand, data: &[u8]) -> Result<Facts, WireError> {
        Ok(match command {
            AmtCommand::GetCodeVersions => self.versions(&code_versions(data)?),
            AmtCommand::GetUuid => self.uuid(uuid(data)?),
            AmtCommand::GetControlMode => self.control_mode(number(data)?)?,
            AmtCommand::GetProvisioningState => self.provisioning_state(number(data)?)?,
            AmtCommand::GetPkiFqdnSuffix => self.dns_suffix(&dns_suffix(data)?),
            AmtCommand::GetLanInterfaceSettings { interface } => {
                self.lan(interface, lan_settings(data)?)
            }
            AmtCommand::GetRemoteAccessConnectionStatus => self.ras(remote_access(data)?)?,
            AmtCommand::GetCiraLog => {
                let tunnel = if cira_log_tunnel_open(data)? {
                    "open"
                } else {
                    "closed"
                };
                [
                    (Fact::CIRA_LOG_SUPPORTED, json!(true)),
                    (Fact::CIRA_LOG_TUNNEL, json!(tunnel)),
                ]
                .into()
            }
            AmtCommand::EnumerateHashHandles
            | AmtCommand::GetCertificateHashEntry { .. }
            | AmtCommand::Unprovision
            | AmtCommand::StopConfiguration => Facts::new(),
        })
    }

    fn versions(self, rows: &[(String, String)]) -> Facts {
        let cell = |wanted: &str| {
            let row = rows.iter().find(|(name, _)| name == wanted);
            row.map(|(_, value)| value.clone())
        };
        let version_row = if self.is(Misbehaviour::WrongVersionRow) {
            "Build Number"
        } else {
            "AMT"
        };
        let mut facts = Facts::new();
        if let Some(version) = cell(version_row) {
            facts.insert(Fact::VERSION, json!(version));
        }
        if let Some(build) = cell("Build Number") {
            facts.insert(Fact::BUILD, json!(build));
        }
        if let Some(sku) = cell("Sku").and_then(|text| text.parse::<u32>().ok()) {
            facts.insert(Fact::SKU, json!(sku));
            facts.insert(Fact::FEATURES, sku_words(sku));
        }
        facts
    }

    fn uuid(self, uuid: amt_sim::Guid) -> Facts {
        let shown = if self.is(Misbehaviour::UuidByteOrder) {
            let hex = amt_sim::hex::encode(&uuid.to_wire());
            let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| hex[group].to_owned());
            groups.join("-")
        } else {
            uuid.to_string()
        };
        let usable = self.is(Misbehaviour::AnyUuid) || usable_uuid(uuid);
        [
            (Fact::UUID, json!(shown)),
            (Fact::UUID_USABLE, json!(usable)),
        ]
        .into()
    }

    fn control_mode(self, number: u32) -> Result<Facts, WireError> {
        let number = number.saturating_add(u32::from(self.is(Misbehaviour::ModeCountsFromOne)));
        let word = named("control mode", number, &["none", "ccm", "acm"])?;
        let mut facts: Facts = [(Fact::CONTROL_MODE, json!(word))].into();
        if self.is(Misbehaviour::StateFromMode) {
            let state = if number == 0 { "pre" } else { "post" };
            facts.insert(Fact::PROVISIONING_STATE, json!(state));
        }
        Ok(facts)
    }

    fn provisioning_state(self, number: u32) -> Result<Facts, WireError> {
        let number = number.saturating_sub(u32::from(self.is(Misbehaviour::ModeCountsFromOne)));
        let word = named("provisioning state", number, &["pre", "in", "post"])?;
        if self.is(Misbehaviour::StateFromMode) {
            return Ok(Facts::new());
        }
        let mut facts: Facts = [(Fact::PROVISIONING_STATE, json!(word))].into();
        if self.is(Misbehaviour::ModeFromState) {
            let mode = if number == 2 { "acm" } else { "none" };
            facts.insert(Fact::CONTROL_MODE, json!(mode));
        }
        Ok(facts)
    }

    fn dns_suffix(self, suffix: &str) -> Facts {
        let mut suffix = suffix.to_owned();
        if self.is(Misbehaviour::ShortSuffix) {
            let labels: Vec<&str> = suffix.split('.').collect();
            suffix = labels[labels.len().saturating_sub(2)..].join(".");
        }
        if self.is(Misbehaviour::InventedSuffix) && suffix.is_empty() {
            suffix = "local".to_owned();
        }
        [(Fact::DNS_SUFFIX, json!(suffix))].into()
    }

    fn lan(self, interface: u32, settings: LanSettings) -> Facts {
        let names = if interface == 0 {
            [
                Fact::WIRED_PRESENT,
                Fact::WIRED_MAC,
                Fact::WIRED_ADDRESS,
                Fact::WIRED_LINK,
                Fact::WIRED_DHCP,
                Fact::WIRED_ENABLED,
            ]
        } else {
            [
                Fact::WIRELESS_PRESENT,
                Fact::WIRELESS_MAC,
                Fact::WIRELESS_ADDRESS,
                Fact::WIRELESS_LINK,
                Fact::WIRELESS_DHCP,
                Fact::WIRELESS_ENABLED,
            ]
        };
        let [present, mac, address, link, dhcp, enabled] = names;
        // Firmware without the interface may answer with zeros.
        let fitted = settings.mac != [0; 6] || self.is(Misbehaviour::ZeroMacIsACard);
        let mut facts: Facts = [(present, json!(fitted))].into();
        if !fitted {
            return facts;
        }
        let ip = if self.is(Misbehaviour::AddressByteOrder) {
            settings.address.swap_bytes()
        } else {
            settings.address
        };
        let up = if self.is(Misbehaviour::LinkFromEnabled) {
            settings.enabled
        } else {
            settings.link_up
        };
        facts.insert(mac, json!(amt_sim::device::Mac(settings.mac).to_string()));
        facts.insert(address, json!(Ipv4Addr::from(ip).to_string()));
        facts.insert(link, json!(if up { "up" } else { "down" }));
        facts.insert(dhcp, json!(settings.dhcp));
        facts.insert(enabled, json!(settings.enabled));
        facts
    }

    fn ras(self, status: RemoteAccess) -> Result<Facts, WireError> {
        let (network, connection) = if self.is(Misbehaviour::RasShifted) {
            (status.connection, status.trigger)
        } else {
            (status.network, status.connection)
        };
        let network = network.saturating_add(u32::from(self.is(Misbehaviour::RasCountsFromOne)));
        let network = named("network", network, &["direct", "vpn", "outside", "unknown"])?;
        let connection = named(
            "connection",
            connection,
            &["not-connected", "connecting", "connected"],
        )?;
        let trigger = named(
            "trigger",
            status.trigger,
            &["user", "alert", "provisioning", "periodic"],
        )?;
        Ok([
            (Fact::RAS_NETWORK, json!(network)),
            (Fact::RAS_CONNECTION, json!(connection)),
            (Fact::RAS_TRIGGER, json!(trigger)),
        ]
        .into())
    }

    /// The list of all hash entries as two facts.
    pub(super) fn hashes(self, entries: &[HashEntry]) -> Facts {
        let list: Vec<Value> = entries.iter().map(|entry| self.hash(entry)).collect();
        let count = json!(list.len());
        let mut facts: Facts = [(Fact::HASHES_COUNT, count)].into();
        if let Ok(list) = Fact::HASHES.normalise(list.into()) {
            facts.insert(Fact::HASHES, list);
        }
        facts
    }

    fn hash(self, entry: &HashEntry) -> Value {
        let (algorithm, size) = match entry.algorithm {
            1 => ("sha1", 20),
            2 => ("sha256", 32),
            3 if self.is(Misbehaviour::Sha384AsSha512) => ("sha512", 64),
            3 => ("sha384", 48),
            _ => ("unknown", 64),
        };
        let size = if self.is(Misbehaviour::ShortHashes) {
            20
        } else {
            size
        };
        json!({
            "name": entry.name,
            "hash": amt_sim::hex::encode(&entry.hash[..size]),
            "algorithm": algorithm,
            "active": entry.active || self.is(Misbehaviour::AllHashesActive),
            "default": entry.default,
        })
    }

    pub(super) fn state_flags(self, flags: StateFlags) -> Facts {
        let tls = if self.is(Misbehaviour::TlsFromWrongBit) {
            flags.bit(0)
        } else {
            flags.tls_enforced()
        };
        let mut facts: Facts = [(Fact::LOCAL_TLS_ENFORCED, json!(tls))].into();
        let sure = self.is(Misbehaviour::AlwaysOn) || self.is(Misbehaviour::AlwaysOff);
        if flags.new_interface() || sure {
            let on = if sure {
                self.is(Misbehaviour::AlwaysOn)
            } else {
                flags.enabled()
            };
            let word = if on { "enabled" } else { "disabled" };
            facts.insert(Fact::OPERATIONAL_STATE, json!(word));
        }
        facts
    }
}

fn named<'a>(what: &str, number: u32, words: &[&'a str]) -> Result<&'a str, WireError> {
    let word = usize::try_from(number)
        .ok()
        .and_then(|index| words.get(index));
    word.copied()
        .ok_or_else(|| WireError::Content(format!("{what} {number} has no name")))
}

/// What the device itself said on the wire, read honestly: each fact with the journal line that carried it.
/// Later answers win. It tells a device that lies from an agent that misreads.
pub fn facts_in(journal: &[Entry]) -> Vec<(Fact, Value, u64)> {
    let translator = Translator::default();
    let mut said: std::collections::BTreeMap<Fact, (Value, u64)> = Default::default();
    // The last request on each handle: one is in flight at a time.
    let mut asked: std::collections::BTreeMap<u32, &[u8]> = Default::default();
    let mut hashes: std::collections::BTreeMap<u32, HashEntry> = Default::default();
    for entry in journal {
        let found = match &entry.event {
            Event::Received { handle, bytes, .. } => {
                asked.insert(*handle, bytes);
                continue;
            }
            Event::Sent {
                handle,
                client: ClientKind::Watchdog,
                bytes,
            } if asked.get(handle) == Some(&WATCHDOG_IS_ENABLED.as_slice()) => {
                StateFlags::parse(bytes).map(|flags| translator.state_flags(flags))
            }
            Event::Sent {
                handle,
                client: ClientKind::Amthi,
                bytes,
            } => match asked.get(handle) {
                None => continue,
                Some(request) => amthi_facts(translator, request, bytes, &mut hashes),
            },
            _ => continue,
        };
        for (fact, value) in found.unwrap_or_default() {
            said.insert(fact, (value, entry.seq));
        }
    }
    said.into_iter()
        .map(|(fact, (value, seq))| (fact, value, seq))
        .collect()
}

fn amthi_facts(
    translator: Translator,
    request: &[u8],
    answer: &[u8],
    hashes: &mut std::collections::BTreeMap<u32, HashEntry>,
) -> Result<Facts, WireError> {
    let operation = operation_of(request).unwrap_or_default();
    let argument = request
        .get(12..16)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_le_bytes);
    let known = [
        AmtCommand::GetCodeVersions,
        AmtCommand::GetUuid,
        AmtCommand::GetControlMode,
        AmtCommand::GetProvisioningState,
        AmtCommand::GetPkiFqdnSuffix,
        AmtCommand::GetRemoteAccessConnectionStatus,
        AmtCommand::GetLanInterfaceSettings {
            interface: argument,
        },
        AmtCommand::EnumerateHashHandles,
        AmtCommand::GetCertificateHashEntry { handle: argument },
        AmtCommand::GetCiraLog,
    ];
    let Some(command) = known
        .into_iter()
        .find(|command| command.operation() == operation)
    else {
        return Ok(Facts::new());
    };
    let answer = Answer::parse(operation, answer)?;
    if answer.status != 0 {
        return Ok(Facts::new());
    }
    if let AmtCommand::GetCertificateHashEntry { handle } = command {
        hashes.insert(handle, hash_entry(answer.data)?);
        let entries: Vec<HashEntry> = hashes.values().cloned().collect();
        let mut facts = translator.hashes(&entries);
        facts.remove(&Fact::HASHES_COUNT); // How many there are is another answer.
        return Ok(facts);
    }
    if command == AmtCommand::EnumerateHashHandles {
        let count = hash_handles(answer.data)?.len();
        return Ok([(Fact::HASHES_COUNT, json!(count))].into());
    }
    translator.facts(command, answer.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_journal_is_a_panic(messages: Vec<(bool, u8, Vec<u8>)>) {
            let journal: Vec<Entry> = messages
                .into_iter()
                .enumerate()
                .map(|(seq, (sent, operation, mut bytes))| {
                    if !sent {
                        bytes = super::super::wire::request(operation.into(), &bytes);
                    }
                    let client = if operation % 4 == 0 { ClientKind::Watchdog } else { ClientKind::Amthi };
                    let event = if sent {
                        Event::Sent { handle: 1, client, bytes }
                    } else {
                        Event::Received { handle: 1, client, bytes }
                    };
                    Entry { seq: seq as u64, at: amt_sim::Instant::POWER_ON, event }
                })
                .collect();
            facts_in(&journal);
        }
    }
}
