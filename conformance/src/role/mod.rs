//! The parties beside the device: reference roles of our own, and real programs that a target file describes.
//!
//! Reference roles see the device from outside only: through [`MeiPort`](amt_sim::host::port::MeiPort), with a
//! codec of their own.

pub mod agent;
pub mod certificates;
pub mod console;
pub mod network;
pub mod on_die;
pub mod secure;
pub mod setup;
pub mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fact::{Fact, Facts, Feature};
use crate::requirement::Party;
use crate::scenario::Outcome;
use crate::words::words;

/// How one action of a role went.
#[derive(Debug, Clone)]
pub struct ActionReport {
    pub ending: Ending,
    /// Who is to blame for that ending, where it is plain.
    pub at_fault: Option<Party>,
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
            at_fault: None,
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
        /// Agent, application: takes a call that a signal interrupted for a failure.
        NoInterruptRetry = "no-interrupt-retry",
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
        /// Agent: makes up what it could not find out, and a UUID where the board has none.
        InventsFacts = "invents-facts",
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
        /// Application: takes a lost answer for a failure, without looking.
        TakesLossForFailure = "takes-loss-for-failure",
        /// Application: leaves certificate and signature out.
        DropsSignature = "drops-signature",
        /// Application: sends the request that changes the mode a second time, without a look at the device.
        SendsAgain = "sends-again",
        /// Application: logs in over TLS to whoever shows any certificate.
        SkipsChain = "skips-chain",
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
        /// Whoever reads the record: takes the time for local time, and the hash from wherever it is not.
        MisreadsRecord = "misreads-record",
        /// Checker: takes a record without a certificate for a genuine one.
        CheckerForgivesUnsigned = "checker-forgives-unsigned",
        /// Console: gives every machine the same one-time password.
        ConsoleOneOtp = "console-one-otp",
        /// Console: tells the SCA nothing.
        ConsoleForgetsSca = "console-forgets-sca",
        /// Agent: keeps the one-time password to itself.
        AgentForgetsOtp = "agent-forgets-otp",
        /// Agent: makes up a one-time password when it was given none.
        AgentInventsOtp = "agent-invents-otp",
        /// Agent: starts configuration before it sets the one-time password.
        AgentStartsFirst = "agent-starts-first",
        /// Agent: starts configuration although the device refused the one-time password.
        AgentStartsAnyway = "agent-starts-anyway",
        /// Agent: says that all went well, whatever the device answers.
        AgentHidesStatus = "agent-hides-status",
        /// Agent: takes a lost answer to StartConfigurationEx for a device that was not started.
        AgentGivesUpOnLostAnswer = "agent-gives-up-on-lost-answer",
        /// SCA: never looks at the one-time password.
        ScaSkipsOtp = "sca-skips-otp",
        /// SCA: compares the first eight characters of the one-time password.
        ScaComparesPrefix = "sca-compares-prefix",
        /// SCA: compares as many characters as the device shows.
        ScaComparesShownLength = "sca-compares-shown-length",
        /// SCA: reads the one-time password after it has written.
        ScaReadsOtpLate = "sca-reads-otp-late",
        /// SCA: takes a device without a one-time password for the right one.
        ScaTakesNoOtp = "sca-takes-no-otp",
        /// SCA: believes the UUID of a Hello without asking the machine.
        ScaTrustsHelloUuid = "sca-trusts-hello-uuid",
        /// SCA: sets up machines that nobody ordered.
        ScaTakesAnybody = "sca-takes-anybody",
        /// SCA: takes the first piece of a Hello for the whole.
        ScaFirstSegmentOnly = "sca-first-segment-only",
        /// SCA: reads Hello messages of every version as if it knew them.
        ScaAnyVersion = "sca-any-version",
        /// SCA: makes sense of what is no Hello.
        ScaLaxHello = "sca-lax-hello",
        /// SCA: begins once more for a machine that it is at work on.
        ScaTakesDuplicates = "sca-takes-duplicates",
        /// SCA: begins once more for a machine that it has set up, with the same one-time password.
        ScaStartsAgain = "sca-starts-again",
        /// SCA: does not look whether the device knows a root of its own.
        ScaIgnoresRootList = "sca-ignores-root-list",
        /// SCA: sends a request before it speaks TLS.
        ScaSpeaksBeforeTls = "sca-speaks-before-tls",
        /// SCA: leaves the port without TLS open, and logs in there.
        ScaPlainLogin = "sca-plain-login",
        /// SCA: takes whatever a method returns for success.
        ScaIgnoresReturnValues = "sca-ignores-return-values",
        /// SCA: takes an error, or no answer at all, for an answer with nothing in it.
        ScaShrugs = "sca-shrugs",
        /// SCA: does not call SetMEBxPassword.
        ScaSkipsMebx = "sca-skips-mebx",
        /// SCA: calls SetMEBxPassword after CommitChanges.
        ScaLateMebx = "sca-late-mebx",
        /// SCA: hashes the administrator's password with a realm of its own.
        ScaFixedRealm = "sca-fixed-realm",
        /// SCA: gives passwords that any dictionary has.
        ScaWeakPassword = "sca-weak-password",
        /// SCA: gives up on a device that takes more than two seconds.
        ScaImpatient = "sca-impatient",
        /// SCA: waits for a silent device for ever.
        ScaEndlessWait = "sca-endless-wait",
        /// SCA: comes back without a login.
        ScaKeepsCertificateLogin = "sca-keeps-certificate-login",
        /// SCA: comes back to whoever shows any certificate.
        ScaAnyCertificate = "sca-any-certificate",
        /// SCA: takes a lost answer to CommitChanges for a failure.
        ScaGivesUpOnLostAnswer = "sca-gives-up-on-lost-answer",
        /// SCA: goes on over a connection that the device has ended.
        ScaOneConnection = "sca-one-connection",
        /// Agent: starts the legacy flow where the secure one is recommended.
        AgentUsesLegacyStart = "agent-uses-legacy-start",
        /// Agent: starts the secure flow on firmware that it is not for.
        AgentArmsOldFirmware = "agent-arms-old-firmware",
        /// Agent: announces the root of the SCA's chain instead of its leaf.
        AgentSendsRootHash = "agent-sends-root-hash",
        /// Agent: lets the SCA connect although the device refused to wait for it.
        AgentConnectsAnyway = "agent-connects-anyway",
        /// Agent: takes a commit whose answer is lost for done.
        AgentTakesLossForSuccess = "agent-takes-loss-for-success",
        /// Agent: takes a commit whose answer is lost for failed.
        AgentTakesLossForFailure = "agent-takes-loss-for-failure",
        /// Agent: looks at the control mode after the commit, and not at the state.
        AgentChecksModeOnly = "agent-checks-mode-only",
        /// Agent: leaves the device waiting when set-up failed.
        AgentNeverStops = "agent-never-stops",
        /// Agent: takes a flow that did not go on for a device that is as it was.
        AgentNeverLooks = "agent-never-looks",
        /// Agent: gives up at the first trouble of the link.
        AgentNeverRetries = "agent-never-retries",
        /// SCA: believes whoever has the leaf that it was told of.
        ScaTrustsHashAlone = "sca-trusts-hash-alone",
        /// SCA: does not compare the leaf with the hash that it was told.
        ScaSkipsHash = "sca-skips-hash",
        /// SCA: takes every hash for one by SHA-256.
        ScaFixedAlgorithm = "sca-fixed-algorithm",
        /// SCA: goes by the hash that it was told first.
        ScaTrustsFirstHash = "sca-trusts-first-hash",
        /// SCA: judges the first connection and believes those that follow.
        ScaVerifiesOnce = "sca-verifies-once",
        /// SCA: believes a single certificate that signed itself.
        ScaTakesSelfSigned = "sca-takes-self-signed",
        /// SCA: does not count certificates.
        ScaSkipsLength = "sca-skips-length",
        /// SCA: does not look what the leaf is for.
        ScaSkipsLeafName = "sca-skips-leaf-name",
        /// SCA: does not look for a ROM authority and who issued it.
        ScaSkipsRomName = "sca-skips-rom-name",
        /// SCA: sorts a chain that came in disorder.
        ScaSkipsOrder = "sca-skips-order",
        /// SCA: verifies no signature but the root's.
        ScaSkipsSignature = "sca-skips-signature",
        /// SCA: does not verify that the root signed.
        ScaSkipsRoot = "sca-skips-root",
        /// SCA: takes any certificate for an authority's.
        ScaSkipsAuthority = "sca-skips-authority",
        /// SCA: takes keys on any curve.
        ScaSkipsCurve = "sca-skips-curve",
        /// SCA: looks at no validity.
        ScaSkipsDates = "sca-skips-dates",
        /// SCA: does not compare the chain with the platform's identifier.
        ScaSkipsPlatform = "sca-skips-platform",
        /// SCA: looks at no revocation list.
        ScaSkipsLists = "sca-skips-lists",
        /// SCA: takes a revocation list that is missing, outdated or of nobody knows whom for one with nobody on it.
        ScaForgivesLists = "sca-forgives-lists",
        /// SCA: commits through the host without setting the password of MEBx.
        ScaLeavesMebx = "sca-leaves-mebx",
    }
}

impl Misbehaviour {
    /// Whether the application, the server or the checker of host-based set-up makes it.
    pub fn is_of_set_up(self) -> bool {
        (Self::SwapsNonces..=Self::CheckerForgivesUnsigned).contains(&self)
    }

    /// Whether a party of set-up over the network makes it.
    pub fn is_of_the_network(self) -> bool {
        (Self::ConsoleOneOtp..Self::AgentUsesLegacyStart).contains(&self)
    }

    /// Whether agent or SCA of the secure flow makes it.
    pub fn is_of_secure_flow(self) -> bool {
        self >= Self::AgentUsesLegacyStart
    }
}
