//! One TLS connection, the device being the server.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use serde::{Deserialize, Serialize};

use super::client_certificate::AnyCertificate;
use super::credential::{Credential, provider};
use super::failure::{Failure, FailureKind};
use super::hello::Offer;
use super::key_log::KeyLog;
use super::trust::{Judge, to_rustls};
use crate::time::UnixTime;

/// How the device speaks TLS on one connection.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// Versions that the device speaks; it takes the highest that the peer speaks too.
    pub versions: &'a [Version],
    pub client_certificates: ClientCertificates,
    /// Judges a certificate that is shown; without one any will do.
    pub judge: Option<Arc<dyn Judge>>,
    /// What the device's clock shows.
    pub at: UnixTime,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Version {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        })
    }
}

/// Whether the peer is asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    NotAsked,
    /// Asked for; a peer without one is served too.
    Optional,
    /// A peer without one is refused.
    Required,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    pub version: Version,
    /// Cipher suite by its registered name, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// What the peer showed, DER, leaf first; empty when it showed nothing. TLS proved that the peer has the
    /// leaf's key, and nothing else.
    pub peer_certificates: Vec<Vec<u8>>,
}

/// One TLS connection without its transport.
pub struct TlsStream {
    /// Absent when it could not even be set up.
    connection: Option<ServerConnection>,
    /// From the peer, decrypted and not yet taken.
    plaintext: Vec<u8>,
    /// For the peer, encrypted and not yet taken.
    out: Vec<u8>,
    established: Option<Established>,
    failure: Option<Failure>,
    /// What the peer sent first, until the handshake is done.
    heard: Vec<u8>,
    /// The peer will send no more.
    peer_closed: bool,
    /// The device will send no more.
    closed: bool,
}

impl TlsStream {
    /// A connection that the peer has just opened.
    pub fn new(credential: &Credential, settings: Settings<'_>) -> Self {
        Self::logged(credential, settings, None)
    }

    /// The same; whoever has the log can read the connection.
    pub fn logged(
        credential: &Credential,
        settings: Settings<'_>,
        key_log: Option<KeyLog>,
    ) -> Self {
        match connect(credential, settings, key_log) {
            Ok(connection) => Self::with(Some(connection), None),
            Err(error) => Self::with(None, Some(Failure::of(&error, &[]))),
        }
    }

    /// A connection that fails at once, by the device's own fault.
    pub fn unavailable(why: String) -> Self {
        Self::with(None, Some(Failure::device(why)))
    }

    fn with(connection: Option<ServerConnection>, failure: Option<Failure>) -> Self {
        Self {
            closed: failure.is_some(),
            connection,
            plaintext: Vec::new(),
            out: Vec::new(),
            established: None,
            failure,
            heard: Vec::new(),
            peer_closed: false,
        }
    }

    /// Bytes from the peer, cut anywhere. After a failure they are ignored.
    pub fn receive(&mut self, mut bytes: &[u8]) {
        if self.established.is_none() {
            let room = Offer::LONGEST.saturating_sub(self.heard.len());
            let kept = bytes.get(..room).unwrap_or(bytes);
            self.heard.extend_from_slice(kept);
        }
        while !bytes.is_empty() && self.failure.is_none() && !self.peer_closed {
            let Some(connection) = &mut self.connection else {
                return;
            };
            // Takes what its buffer has room for; what it decrypted is fetched before it is given more.
            match connection.read_tls(&mut bytes) {
                Ok(0) => break,
                Ok(_) => self.process(),
                Err(error) => self.fail(&rustls::Error::General(error.to_string())),
            }
        }
    }

    /// The peer will send no more, whether it said goodbye or not.
    pub fn end(&mut self) {
        self.peer_closed = true;
        // Whoever only looks whether somebody listens has not failed at anything.
        if !self.heard.is_empty() && self.established.is_none() && self.failure.is_none() {
            self.failure = Some(Failure::peer_left());
        }
        self.closed |= self.established.is_none();
    }

    /// What the peer sent and nobody has taken yet.
    pub fn plaintext(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.plaintext)
    }

    /// Text for the peer. It waits for the handshake; after the connection was closed it is dropped.
    pub fn send(&mut self, plaintext: &[u8]) {
        let Some(connection) = self.connection.as_mut().filter(|_| !self.closed) else {
            return;
        };
        // The buffer has no limit and the writer no other way to fail.
        let _ = connection.writer().write_all(plaintext);
        self.collect();
    }

    /// Says that nothing more comes. What was sent before still leaves.
    pub fn close_notify(&mut self) {
        if let Some(connection) = self.connection.as_mut().filter(|_| !self.closed) {
            connection.send_close_notify();
            self.closed = true;
            self.collect();
        }
    }

    /// Ends the connection without a goodbye. `kept` bytes of what is ready still leave, and behind them a fatal alert of
    /// that number in the clear, as from a side that has no keys.
    pub fn cut(&mut self, kept: usize, alert: Option<u8>) {
        self.out.truncate(kept);
        if let Some(alert) = alert {
            // Record: alert (21), version 3.3, two bytes: fatal (2) and its number.
            self.out.extend_from_slice(&[21, 3, 3, 0, 2, 2, alert]);
        }
        self.connection = None;
        self.closed = true;
    }

    /// Up to `most` bytes for the peer.
    pub fn take(&mut self, most: usize) -> Vec<u8> {
        let rest = self.out.split_off(most.min(self.out.len()));
        std::mem::replace(&mut self.out, rest)
    }

    /// How many bytes [`TlsStream::take`] could give now.
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// Whether the device closes the connection once everything is taken.
    pub fn finished(&self) -> bool {
        self.closed
    }

    /// Whether the peer will send no more.
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// What was agreed on, once the handshake is done.
    pub fn established(&self) -> Option<&Established> {
        self.established.as_ref()
    }

    /// What the peer showed, DER, leaf first.
    pub fn peer_certificates(&self) -> &[Vec<u8>] {
        let established = self.established.as_ref();
        established.map_or(&[], |established| &established.peer_certificates)
    }

    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Lets rustls work on what was read, and fetches what came of it.
    fn process(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let processed = connection.process_new_packets();
        // Even after an error there may be text before it.
        read_out(connection, &mut self.plaintext);
        if self.established.is_none() && !connection.is_handshaking() {
            self.established = agreed(connection);
            self.heard.truncate(1);
        }
        match processed {
            Ok(state) => self.peer_closed |= state.peer_has_closed(),
            Err(error) => {
                // rustls has an alert ready, which `collect` takes along.
                self.fail(&error);
            }
        }
        self.collect();
        self.say_it_in_the_peers_version();
    }

    /// Puts the alert that TLS 1.2 has in the place of rustls' own, where the two differ: handshake_failure for a peer
    /// without a certificate (RFC 5246 section 7.4.6; certificate_required is of TLS 1.3), protocol_version for one
    /// that speaks nothing so new (RFC 5246 appendix E.1). No keys are in use at that point.
    fn say_it_in_the_peers_version(&mut self) {
        const HANDSHAKE_FAILURE: u8 = 40;
        const PROTOCOL_VERSION: u8 = 70;
        let agreed = self.connection.as_ref();
        let agreed = agreed.and_then(|connection| connection.protocol_version());
        let old = agreed == Some(rustls::ProtocolVersion::TLSv1_2);
        let alert = match self.failure.as_ref().map(|failure| failure.kind) {
            Some(FailureKind::NoClientCertificate) if old => HANDSHAKE_FAILURE,
            Some(FailureKind::OldVersion) => PROTOCOL_VERSION,
            _ => return,
        };
        // Record: alert (21), version 3.3, two bytes: fatal (2) and its number.
        if let [.., 21, 3, 3, 0, 2, 2, number] = self.out.as_mut_slice() {
            *number = alert;
        }
    }

    fn fail(&mut self, error: &rustls::Error) {
        self.failure = Some(Failure::of(error, &self.heard));
        self.closed = true;
    }

    /// Fetches the records that rustls wants to send.
    fn collect(&mut self) {
        if let Some(connection) = &mut self.connection {
            while connection.wants_write() {
                // Writing into memory cannot fail.
                match connection.write_tls(&mut self.out) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => break,
                }
            }
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("established", &self.established)
            .field("failure", &self.failure)
            .field("pending", &self.out.len())
            .field("finished", &self.closed)
            .finish_non_exhaustive()
    }
}

/// The device's moment, for whatever rustls wants to know the time for.
#[derive(Debug)]
struct DeviceTime(rustls::pki_types::UnixTime);

impl TimeProvider for DeviceTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(self.0)
    }
}

fn connect(
    credential: &Credential,
    settings: Settings<'_>,
    key_log: Option<KeyLog>,
) -> Result<ServerConnection, rustls::Error> {
    let time = to_rustls(settings.at);
    let versions: Vec<&'static SupportedProtocolVersion> = settings
        .versions
        .iter()
        .map(|version| match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        })
        .collect();
    let builder =
        ServerConfig::builder_with_details(Arc::clone(provider()), Arc::new(DeviceTime(time)))
            .with_protocol_versions(&versions)?;
    let builder = match settings.client_certificates {
        ClientCertificates::NotAsked => builder.with_no_client_auth(),
        asked => builder.with_client_cert_verifier(Arc::new(AnyCertificate {
            mandatory: asked == ClientCertificates::Required,
            judge: settings.judge,
        })),
    };
    let shown = SingleCertAndKey::from(credential.certified_key());
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    // Every connection stands for itself: a device that goes through a power cycle forgets its sessions anyway.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if let Some(key_log) = key_log {
        config.key_log = Arc::new(key_log);
    }
    let mut connection = ServerConnection::new(Arc::new(config))?;
    connection.set_buffer_limit(None);
    Ok(connection)
}

/// What the handshake came to; `None` while it is going on.
fn agreed(connection: &ServerConnection) -> Option<Established> {
    let version = match connection.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_2 => Version::Tls12,
        _ => Version::Tls13,
    };
    let suite = connection.negotiated_cipher_suite()?.suite();
    let name = suite.as_str().unwrap_or("unknown");
    let certificates = connection.peer_certificates().unwrap_or_default();
    Some(Established {
        version,
        // rustls' name says TLS13 where the registered one says TLS.
        cipher: name.replacen("TLS13_", "TLS_", 1),
        peer_certificates: certificates.iter().map(|der| der.to_vec()).collect(),
    })
}

/// Everything that was decrypted.
fn read_out(connection: &mut ServerConnection, plaintext: &mut Vec<u8>) {
    let mut block = [0; 4096];
    loop {
        match connection.reader().read(&mut block) {
            Ok(0) => return, // the peer said that no more comes
            Ok(count) => plaintext.extend_from_slice(block.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return, // nothing is left
        }
    }
}
