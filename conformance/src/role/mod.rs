//! The parties beside the device: reference roles of our own, and real programs that a target file describes.
//!
//! Reference roles see the device from outside only: through [`MeiPort`](amt_sim::host::port::MeiPort), with a
//! codec of their own.

pub mod agent;
pub mod certificates;
pub mod console;
pub mod setup;
pub mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fact::{Fact, Facts, Feature};
use crate::scenario::Outcome;
use crate::words::words;

/// How one action of a role went.
#[derive(Debug, Clone)]
pub struct ActionReport {
    pub ending: Ending,
    /// What it found out.
    pub facts: Facts,
    /// What it said went wrong, and what could not be understood of its output.
    pub remarks: Vec<String>,
    /// Facts that this program has no way to report.
    pub unmapped: BTreeSet<Fact>,
    /// Facts that it reports in words which its target file does not know, and those words.
    pub untranslated: BTreeMap<Fact, String>,
    /// The processes that were run; none for a reference role.
    pub processes: Vec<Process>,
}

/// How an action ended, as far as it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Outcome(Outcome),
    /// Exit code 89, or what the target file gives for it.
    NotImplemented,
    /// The set-up is wrong: the program cannot be started, or says so itself.
    Configuration(String),
}

/// One run of a real program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments as they were given.
    pub command: Vec<String>,
    /// `exit 0`, `signal 9`, `still running after 60s`.
    pub ended: String,
    pub duration_ms: u64,
    /// The last part of what it printed; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    pub stderr: String,
    /// Processes that it left behind, ended by us.
    pub left_behind: Vec<String>,
}

impl ActionReport {
    pub fn done(facts: Facts) -> Self {
        Self {
            ending: Ending::Outcome(Outcome::Done),
            facts,
            remarks: Vec::new(),
            unmapped: BTreeSet::new(),
            untranslated: BTreeMap::new(),
            processes: Vec::new(),
        }
    }

    pub fn configuration(why: impl Into<String>) -> Self {
        Self {
            ending: Ending::Configuration(why.into()),
            ..Self::done(Facts::new())
        }
    }
}

/// What a role waits with. A device in virtual time jumps; a real one lets real time pass.
pub trait Clock: std::fmt::Debug + Sync {
    /// Since some moment in the past.
    fn now(&self) -> Duration;

    fn pause(&self, time: Duration);
}

/// Real time.
#[derive(Debug)]
pub struct WallClock {
    started: std::time::Instant,
}

impl Default for WallClock {
    fn default() -> Self {
        Self {
            started: std::time::Instant::now(),
        }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The features that an agent is asked to find out about.
pub type Wanted = BTreeSet<Feature>;

words! {
    /// Ways in which a reference role can be wrong on purpose: each is a mistake that real programs made, or
    /// nearly the same. A suite that passes with one of them switched on is not testing what it says.
    Misbehaviour {
        /// Agent: takes the data of an answer whatever its status, missing bytes as zeros.
        IgnoreStatus = "ignore-status",
        /// Agent: fills up an answer that is too short with zeros.
        ZeroFill = "zero-fill",
        /// Agent: takes the version from another row of the table.
        WrongVersionRow = "wrong-version-row",
        /// Agent: prints the UUID in the order of the wire.
        UuidByteOrder = "uuid-byte-order",
        /// Agent: takes every UUID for a good one.
        AnyUuid = "any-uuid",
        /// Agent: gives up at the first EBUSY.
        NoBusyRetry = "no-busy-retry",
        /// Agent: waits for a busy client for ever.
        EndlessBusyRetry = "endless-busy-retry",
        /// Agent: gives up when the link is reset.
        NoResetRetry = "no-reset-retry",
        /// Agent: waits for a lost answer for ever.
        EndlessWait = "endless-wait",
        /// Agent: gives up on an answer that takes longer than half a second.
        Impatient = "impatient",
        /// Agent: prints IPv4 addresses with their bytes turned round.
        AddressByteOrder = "address-byte-order",
        /// Agent: shows a port of MAC address 0 as a network card.
        ZeroMacIsACard = "zero-mac-is-a-card",
        /// Agent: says that the link is up wherever an interface is enabled.
        LinkFromEnabled = "link-from-enabled",
        /// Agent: asks for the wired interface when it means the wireless one.
        WirelessIsWired = "wireless-is-wired",
        /// Agent: lists 23 certificate hashes and no more.
        FirstHashesOnly = "first-hashes-only",
        /// Agent: prints twenty bytes of every certificate hash.
        ShortHashes = "short-hashes",
        /// Agent: shows every certificate hash as active.
        AllHashesActive = "all-hashes-active",
        /// Agent: takes algorithm 3 for SHA-512.
        Sha384AsSha512 = "sha384-as-sha512",
        /// Agent: keeps the last two labels of a DNS suffix.
        ShortSuffix = "short-suffix",
        /// Agent: makes up a DNS suffix where the device has none.
        InventedSuffix = "invented-suffix",
        /// Agent: counts control modes and provisioning states from one.
        ModeCountsFromOne = "mode-counts-from-one",
        /// Agent: concludes the control mode from the provisioning state.
        ModeFromState = "mode-from-state",
        /// Agent: concludes the provisioning state from the control mode.
        StateFromMode = "state-from-mode",
        /// Agent: reads the remote access status one field too late.
        RasShifted = "ras-shifted",
        /// Agent: counts the kinds of network from one.
        RasCountsFromOne = "ras-counts-from-one",
        /// Agent: says that no firmware keeps a log of remote connections.
        CiraLogNever = "cira-log-never",
        /// Agent: says that every firmware keeps a log of remote connections.
        CiraLogAlways = "cira-log-always",
        /// Agent: takes bit 0 of the watchdog's answer for TLS enforcement.
        TlsFromWrongBit = "tls-from-wrong-bit",
        /// Agent: says that AMT is on without looking.
        AlwaysOn = "always-on",
        /// Agent: says that AMT is off without looking.
        AlwaysOff = "always-off",
        /// Agent: sends a length that does not fit its request.
        WrongLength = "wrong-length",
        /// Agent: says that AMT is there without looking.
        AlwaysPresent = "always-present",
        /// Agent: changes the device although it was asked to look.
        ChangesTheDevice = "changes-the-device",
        /// Console: recommends the secure method only above 15.
        RecommendAbove15 = "recommend-above-15",
        /// Console: recommends the secure method for everything.
        AlwaysSecure = "always-secure",
        /// Application: hashes its own nonce before the device's.
        SwapsNonces = "swaps-nonces",
        /// Application: draws one nonce and uses it for ever.
        ReusesMcNonce = "reuses-mc-nonce",
        /// Application: reads the device's nonce once and believes that it stays.
        ReusesConfigurationNonce = "reuses-configuration-nonce",
        /// Application: takes whatever a method returns for success.
        IgnoresReturnValue = "ignores-return-value",
        /// Application: goes on with the chain and the method after a certificate was refused.
        GoesOnAfterRefusal = "goes-on-after-refusal",
        /// Application: leaves certificate and signature out.
        DropsSignature = "drops-signature",
        /// Server: hashes the hash once more before it signs.
        ServerHashesAgain = "server-hashes-again",
        /// Server: signs with another key than the certificate's.
        ServerUsesOtherKey = "server-uses-other-key",
        /// Server: forgets which certificates it gave out.
        ServerForgets = "server-forgets",
        /// Checker: looks at the certificate only, whatever it was told.
        CheckerOnlyCertificate = "checker-only-certificate",
        /// Checker: looks at the timestamp only, whatever it was told.
        CheckerOnlyTimestamp = "checker-only-timestamp",
        /// Checker: takes a record without a certificate for a genuine one.
        CheckerForgivesUnsigned = "checker-forgives-unsigned",
    }
}

impl Misbehaviour {
    /// Whether the application, the server or the checker of host-based set-up makes it.
    pub fn is_of_set_up(self) -> bool {
        self >= Self::SwapsNonces
    }
}
