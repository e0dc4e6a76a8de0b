//! The device's own ordered record of everything that happened: the ground truth of every verdict.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::account::Interface;
use super::mode::{Mode, Refusal, Trigger};
use super::setup::{Announced, DialEnd, KeyStage, SetupMethod, SetupRefusal};
use crate::mei::{ClientKind, ClientProperties, Errno, Guid};
use crate::time::Instant;
use crate::tls::{FailureKind as TlsFailureKind, Version as TlsVersion};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 0 without gaps over the life of one `Device` value.
    pub seq: u64,
    /// Device time, in nanoseconds since power-on.
    pub at: Instant,
    pub event: Event,
}

/// What happened. Serialised with its kind under `"kind"`, in kebab-case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The device was powered on.
    PowerOn {
        profile: String,
        uuid: Guid,
        seed: u64,
        mode: Mode,
        /// Rules that are switched off.
        without: Vec<String>,
    },
    /// A program opened `/dev/mei0`.
    Opened { handle: u32 },
    /// A program closed it, or went away.
    Closed { handle: u32 },
    /// A handle was connected to a client.
    Connected {
        handle: u32,
        client: ClientKind,
        properties: ClientProperties,
    },
    /// The device refused a system call, with the errno that the program saw.
    Refused {
        handle: Option<u32>,
        operation: Operation,
        errno: Errno,
        /// What stood behind it, for people.
        why: String,
    },
    /// A whole message from the host.
    Received {
        handle: u32,
        client: ClientKind,
        #[serde(with = "hex_bytes")]
        bytes: Vec<u8>,
    },
    /// A whole message to the host, queued for reading.
    Sent {
        handle: u32,
        client: ClientKind,
        #[serde(with = "hex_bytes")]
        bytes: Vec<u8>,
    },
    /// A client understood a command and answered it.
    Command {
        client: ClientKind,
        /// Name as the field uses it, such as `GetCodeVersions`.
        name: String,
        /// Number on the wire.
        id: u32,
        /// Status on the wire; 0 is success everywhere.
        status: u32,
    },
    /// A message that breaks its protocol: the host's fault.
    Malformed { client: ClientKind, why: String },
    /// A command that this firmware does not know.
    UnknownCommand {
        client: ClientKind,
        id: u32,
        status: u32,
    },
    /// A WS-Management request was read and answered.
    Wsman {
        /// Who was logged in.
        user: String,
        /// `Get`, `Pull` and so on, or a method's name.
        action: String,
        /// Empty for requests that name none.
        class: String,
        /// What a method returned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        return_value: Option<u32>,
        /// The value's name, where it has one that is the same everywhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<String>,
        /// Name of the fault, or `NotAuthorized`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<String>,
    },
    /// Something in a WS-Management request that is wrong by the standard and was forgiven, or why it was not.
    WsmanFinding { what: String },
    /// Set-up through the host has begun: who may come, and which certificate the device will show.
    HostBasedTlsStarted {
        server: Announced,
        /// Hash of the device's leaf, as hex digits.
        leaf: String,
    },
    /// The device changed its mode.
    ModeChanged {
        from: Mode,
        to: Mode,
        trigger: Trigger,
    },
    /// A trigger that the mode table does not allow here.
    ModeRefused {
        mode: Mode,
        trigger: Trigger,
        refusal: Refusal,
    },
    /// The MEI link was reset: every descriptor is disconnected.
    LinkReset { cause: String },
    /// The MEI link works again after a reset.
    LinkUp,
    /// The firmware ended a connection by itself.
    HungUp { handle: u32, client: ClientKind },
    /// The host was asked to listen on a port for the device.
    PortForwarded { port: u16, accepted: bool },
    /// A program on the host, or a peer beyond it, has a connection to one of the device's ports.
    ChannelOpened {
        client: ClientKind,
        /// The device's number for it.
        channel: u32,
        port: u16,
    },
    /// A channel was not opened.
    ChannelRefused {
        client: ClientKind,
        port: u32,
        /// APF reason: 1 prohibited, 2 nothing listens, 3 unknown type, 4 no channel is free.
        reason: u32,
    },
    /// One side closed a channel.
    ChannelClosed {
        client: ClientKind,
        channel: u32,
        by: Party,
    },
    /// A UDP datagram that the host passed on.
    Datagram {
        client: ClientKind,
        from: String,
        from_port: u32,
        port: u32,
        size: usize,
    },
    /// A fault that was asked for took effect.
    FaultInjected { fault: String },
    /// A connection to one of the device's own ports.
    StreamOpened {
        stream: u32,
        side: Interface,
        port: u16,
    },
    /// The connection is gone.
    StreamClosed { stream: u32 },
    /// An HTTP request was answered.
    HttpRequest {
        stream: u32,
        method: String,
        target: String,
        /// Whom it was proven to come from; absent for a request without a login that holds.
        user: Option<String>,
        status: u16,
    },
    /// What a client sent breaks HTTP: the client's fault.
    HttpMalformed {
        stream: u32,
        why: String,
        /// It was understood and answered all the same.
        tolerated: bool,
    },
    /// Both sides agreed on TLS.
    TlsEstablished {
        stream: u32,
        version: TlsVersion,
        /// Registered name of the cipher suite.
        cipher: String,
        /// SHA-256 of the certificate that the device showed.
        certificate: String,
        /// What the peer showed, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<TlsClient>,
    },
    /// TLS did not come about, or broke.
    TlsFailed {
        stream: u32,
        /// Who is to look into it.
        reason: TlsFailureKind,
        why: String,
    },
    /// A login that does not hold. A request without any is not one.
    LoginRefused {
        stream: u32,
        user: String,
        reason: LoginRefusal,
    },
    /// An answer rests on an assumption, not on knowledge of real firmware.
    Assumed { requirement: String },
    /// A method of host-based set-up was called.
    HostBasedSetup {
        method: SetupMethod,
        /// Number on the wire; 0 is success.
        return_value: u32,
        /// What stands behind the number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<SetupRefusal>,
        /// SHA-256 of the certificate that came with the request or that its signature is measured by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
        /// The application's nonce, as hex digits: it must never come twice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mc_nonce: Option<String>,
    },
    /// The user sees this code on the screen and may tell it to the operator.
    ConsentDisplayed { code: String },
    /// The user's consent ended, was given, or was refused.
    ConsentChanged { state: u8 },
    /// An operator asked for another power state of the host.
    HostPower {
        /// Number of CIM_PowerManagementService.RequestPowerStateChange.
        request: u16,
        /// Power state that the host is in from now on.
        state: u16,
        /// How it boots, when it is not as usual.
        boot: Vec<String>,
    },
    /// The key of the device's own certificate.
    KeyGeneration {
        stage: KeyStage,
        /// Device time that it takes, where it starts.
        takes_ms: u64,
    },
    /// The network interface opened for set-up, or closed again without one.
    NetworkInterface { open: bool },
    /// A Hello message is on its way.
    Hello {
        /// Number of the connection that carries it.
        dial: u32,
        /// Where the SCA is looked for, in this order.
        hosts: Vec<String>,
        port: u16,
        /// Messages before this one.
        retry: u32,
        #[serde(with = "hex_bytes")]
        bytes: Vec<u8>,
    },
    /// What became of a Hello message.
    HelloEnded { dial: u32, end: DialEnd },
    /// The on-die root that is compiled into a program was replaced by the device's, in the memory of one process.
    /// Nothing that this process says about the device's certificates holds without this.
    RootInjected {
        process: u32,
        /// The program's file, which is as it was.
        program: String,
        /// Copies that were replaced.
        places: usize,
        /// SHA-256 of the certificate that was there.
        old: String,
        /// SHA-256 of the one that is there now.
        new: String,
    },
    /// It could not be replaced, and the process was ended.
    RootNotInjected {
        process: u32,
        program: String,
        why: String,
    },
    /// Lines were lost because nobody drained the journal in time.
    Overflow { lost: u64 },
}

impl Event {
    /// Whether firmware would write this into its own log: what it did, not the bytes that went by.
    fn is_firmware_log(&self) -> bool {
        matches!(
            self,
            Self::PowerOn { .. }
                | Self::Connected { .. }
                | Self::Command { .. }
                | Self::Malformed { .. }
                | Self::UnknownCommand { .. }
                | Self::Wsman { .. }
                | Self::ModeChanged { .. }
                | Self::ModeRefused { .. }
                | Self::LinkReset { .. }
                | Self::LinkUp
        )
    }
}

/// A TLS client's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsClient {
    /// As AMT_PublicKeyCertificate shows it; empty when it cannot be read.
    pub subject: String,
    /// SHA-256 of the certificate.
    pub sha256: String,
    /// How many certificates came, this one included.
    pub certificates: usize,
}

/// Why a login does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LoginRefusal {
    /// The `Authorization` header is no HTTP digest.
    Unreadable,
    /// The realm is another device's, or this one's from before it was unprovisioned.
    ForeignRealm,
    /// The login was made for another request target.
    WrongUri,
    /// Not `qop=auth` with MD5, client nonce and count.
    WrongQuality,
    /// Nobody can log in by that name on this side.
    UnknownUser,
    /// Too many wrong passwords before.
    Locked,
    /// The response is empty, or of another password.
    WrongResponse,
    /// The nonce was never given out, or is forgotten: told as stale.
    UnknownNonce,
    /// The nonce is too old: told as stale.
    StaleNonce,
    /// The count of the nonce did not rise: told as stale.
    CountBehind,
    /// The account's realms do not allow the request.
    NotAuthorized,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    Host,
    Device,
}

/// The system call that a program made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    Open,
    Connect,
    Read,
    Write,
    Ioctl,
}

/// The record in memory, bounded: the oldest entries go first when nobody drains it.
#[derive(Debug, Clone)]
pub struct Journal {
    entries: VecDeque<Entry>,
    next: u64,
    lost: u64,
    capacity: usize,
    /// What the firmware log shows, whoever drains the journal.
    recent: VecDeque<(Instant, Event)>,
}

impl Default for Journal {
    fn default() -> Self {
        Self::with_capacity(Self::CAPACITY)
    }
}

impl Journal {
    /// Entries kept when nobody drains: about 20 MB of small messages.
    const CAPACITY: usize = 65_536;

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            next: 0,
            lost: 0,
            capacity: capacity.max(1),
            recent: VecDeque::new(),
        }
    }

    /// Entries that the firmware itself remembers.
    const RECENT: usize = 48;

    pub(crate) fn record(&mut self, at: Instant, event: Event) {
        if event.is_firmware_log() {
            if self.recent.len() >= Self::RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((at, event.clone()));
        }
        if self.entries.len() >= self.capacity {
            self.entries.pop_front();
            self.lost += 1;
        }
        self.entries.push_back(Entry {
            seq: self.next,
            at,
            event,
        });
        self.next += 1;
    }

    /// The number of the entry that is made next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// What is held now, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The last things that happened inside the firmware, oldest first. Draining does not empty it.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &(Instant, Event)> {
        self.recent.iter()
    }

    /// Takes everything out. A loss since the last drain comes first, as an [`Event::Overflow`].
    pub fn drain(&mut self) -> Vec<Entry> {
        let mut out = Vec::with_capacity(self.entries.len() + 1);
        if self.lost > 0 {
            let (seq, at) = self
                .entries
                .front()
                .map_or((self.next, Instant::POWER_ON), |first| {
                    (first.seq, first.at)
                });
            out.push(Entry {
                seq: seq.saturating_sub(1),
                at,
                event: Event::Overflow { lost: self.lost },
            });
            self.lost = 0;
        }
        out.extend(self.entries.drain(..));
        out
    }

    /// True when there is nothing to drain.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Bytes as one hex string: a journal is read by people as much as by programs.
mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::hex::decode(&text).ok_or_else(|| de::Error::custom("expected pairs of hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_journal_drops_the_oldest_and_says_how_many() {
        let mut journal = Journal::with_capacity(2);
        for handle in 0..5 {
            journal.record(Instant::from_nanos(handle.into()), Event::Opened { handle });
        }
        let drained = journal.drain();
        assert_eq!(drained[0].event, Event::Overflow { lost: 3 });
        assert_eq!(drained[1].event, Event::Opened { handle: 3 });
        assert_eq!(drained.len(), 3);
        assert!(journal.drain().is_empty());
    }

    #[test]
    fn an_entry_reads_back_from_json() {
        let entry = Entry {
            seq: 7,
            at: Instant::from_nanos(9),
            event: Event::Received {
                handle: 1,
                client: ClientKind::Amthi,
                bytes: vec![1, 0xab],
            },
        };
        let text = serde_json::to_string(&entry).unwrap();
        insta::assert_snapshot!(text);
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }
}
