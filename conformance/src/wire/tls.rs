//! A TLS client over any [`Pipe`]: itself a pipe, so that whatever speaks to a port speaks to it under TLS too.
//!
//! It does not judge the server as a browser would: an AMT device shows a certificate that no public authority has
//! signed and that names no host. What it showed is kept ([`TlsDialer::seen`]) and judged by a [`ServerJudge`].
//! Every connection of a dialer makes a whole handshake; no session is resumed, so that what is seen is what was
//! proven. A [`TlsClient`] of its own may resume.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use amt_sim::tls::JudgedServer;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, HandshakeKind, OtherError, SignatureScheme,
    SupportedProtocolVersion,
};

pub use amt_sim::tls::{AnyServer, ServerJudge};

use super::pipe::{Dialer, Pipe, PipeError};

/// What a client shows of itself: a chain and the leaf's key. Nothing of it is looked at, so that it may be wrong.
#[derive(Debug, Clone)]
pub struct TlsIdentity(Arc<CertifiedKey>);

impl TlsIdentity {
    /// `chain` is DER, leaf first; `key` is PKCS#8 DER, RSA of 2048 bits or more, or an elliptic curve.
    pub fn new(chain: &[Vec<u8>], key: &[u8]) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::try_from(key.to_vec())
            .map_err(|error| TlsError::Setup(error.to_owned()))?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        Ok(Self::signing(chain, key))
    }

    /// With a key that signs in a way of its own, such as one that is too short for the usual one.
    pub fn signing(chain: &[Vec<u8>], key: Arc<dyn SigningKey>) -> Self {
        let chain = chain.iter().cloned().map(CertificateDer::from).collect();
        Self(Arc::new(CertifiedKey::new(chain, key)))
    }
}

/// How to speak TLS.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    pub identity: Option<TlsIdentity>,
    pub versions: Vec<TlsVersion>,
    pub judge: Arc<dyn ServerJudge>,
    /// How long the other side may be silent during the handshake.
    pub patience: Duration,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            identity: None,
            versions: vec![TlsVersion::Tls12, TlsVersion::Tls13],
            judge: Arc::new(AnyServer),
            patience: Duration::from_secs(30),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// What one handshake showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The server's certificates, DER, leaf first; empty when it did not get that far.
    pub chain: Vec<Vec<u8>>,
    /// Whether the handshake was finished, by what this side knows.
    pub finished: bool,
    pub version: Option<&'static str>,
    /// Cipher suite by its registered name.
    pub cipher: Option<String>,
    /// Where the server asked for a certificate: how many authorities it named.
    pub authorities: Option<usize>,
    /// An earlier session went on, and nobody proved anything.
    pub resumed: bool,
}

/// Why there is no TLS connection, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The other side said so, by the name of its alert.
    #[error("the device refuses TLS with the alert {0}")]
    Alert(String),
    /// Our own judge said so.
    #[error("the device's certificate is refused: {0}")]
    Refused(String),
    #[error("the device closed the connection during the handshake")]
    Closed,
    #[error("TLS failed: {0}")]
    Protocol(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Opens TLS connections over those of another dialer.
pub struct TlsDialer<'a> {
    under: &'a dyn Dialer,
    options: TlsOptions,
    seen: Mutex<Vec<Seen>>,
}

impl<'a> TlsDialer<'a> {
    pub fn new(under: &'a dyn Dialer, options: TlsOptions) -> Self {
        Self {
            under,
            options,
            seen: Mutex::default(),
        }
    }

    /// What each handshake so far showed, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The leaf of the last handshake that showed one.
    pub fn last_leaf(&self) -> Option<Vec<u8>> {
        let leaf = |seen: &Seen| seen.chain.first().cloned();
        self.seen().iter().rev().find_map(leaf)
    }
}

impl fmt::Debug for TlsDialer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsDialer")
            .field("under", &self.under)
            .finish_non_exhaustive()
    }
}

impl Dialer for TlsDialer<'_> {
    fn open(&self, port: u16) -> Result<Box<dyn Pipe + '_>, PipeError> {
        let client = TlsClient::new(&self.options, Resumption::disabled())?;
        let (seen, opened) = client.shake_hands(self.under.open(port)?, self.options.patience);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
        Ok(Box::new(opened?))
    }

    fn host(&self) -> String {
        self.under.host()
    }
}

/// Makes TLS connections over pipes that are there. What one of them was given to resume by, the next one uses.
#[derive(Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    notes: Arc<Mutex<Notes>>,
}

/// What is noted of a server during a handshake.
#[derive(Debug, Default)]
struct Notes {
    chain: Vec<Vec<u8>>,
    authorities: Option<usize>,
}

impl TlsClient {
    /// One that keeps what it can resume by.
    pub fn resuming(options: &TlsOptions) -> Result<Self, TlsError> {
        Self::new(options, Resumption::in_memory_sessions(16))
    }

    /// Shakes hands. Says what it saw, whatever came of it; the other side may be silent for `patience`.
    pub fn shake_hands<'a>(
        &self,
        under: Box<dyn Pipe + 'a>,
        patience: Duration,
    ) -> (Seen, Result<TlsPipe<'a>, PipeError>) {
        *lock(&self.notes) = Notes::default();
        // A device has no name: nobody could check one.
        let connection = ServerName::try_from("amt.invalid")
            .map_err(|error| TlsError::Setup(error.to_string()))
            .and_then(|name| {
                ClientConnection::new(Arc::clone(&self.config), name)
                    .map_err(|error| TlsError::Setup(error.to_string()))
            });
        let mut pipe = match connection {
            Ok(connection) => TlsPipe {
                under,
                connection,
                ended: false,
                goodbye: false,
            },
            Err(error) => return (Seen::default(), Err(error.into())),
        };
        let result = pipe.handshake(patience);
        let connection = &pipe.connection;
        let suite = connection.negotiated_cipher_suite();
        let notes = std::mem::take(&mut *lock(&self.notes));
        let seen = Seen {
            chain: notes.chain,
            finished: result.is_ok(),
            version: connection.protocol_version().map(|version| match version {
                rustls::ProtocolVersion::TLSv1_2 => "1.2",
                _ => "1.3",
            }),
            // rustls' name says TLS13 where the registered one says TLS.
            cipher: suite
                .and_then(|suite| suite.suite().as_str())
                .map(|name| name.replacen("TLS13_", "TLS_", 1)),
            authorities: notes.authorities,
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        (seen, result.map(|()| pipe))
    }
}

fn lock(notes: &Mutex<Notes>) -> std::sync::MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A TLS connection over another pipe.
#[derive(Debug)]
pub struct TlsPipe<'a> {
    under: Box<dyn Pipe + 'a>,
    connection: ClientConnection,
    /// The other side will send no more, whether it said goodbye or not.
    ended: bool,
    /// It said close_notify.
    goodbye: bool,
}

impl TlsPipe<'_> {
    fn handshake(&mut self, patience: Duration) -> Result<(), PipeError> {
        while self.connection.is_handshaking() {
            self.flush()?;
            if !self.connection.is_handshaking() {
                break;
            }
            self.hear(patience)?;
            if self.ended {
                return Err(TlsError::Closed.into());
            }
        }
        self.flush()
    }

    /// Sends the records that are ready.
    fn flush(&mut self) -> Result<(), PipeError> {
        let mut out = Vec::new();
        while self.connection.wants_write() {
            // Writing into memory cannot fail.
            self.connection.write_tls(&mut out)?;
        }
        match out.is_empty() {
            true => Ok(()),
            false => self.under.send(&out),
        }
    }

    /// Takes what the pipe below has.
    fn hear(&mut self, patience: Duration) -> Result<(), PipeError> {
        let bytes = self.under.receive(patience)?;
        self.ended |= bytes.is_empty();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            if self.connection.read_tls(&mut rest)? == 0 {
                self.ended = true;
                break;
            }
            match self.connection.process_new_packets() {
                Ok(state) => self.goodbye |= state.peer_has_closed(),
                Err(error) => {
                    // The alert that tells the other side; it may be gone already.
                    let _ = self.flush();
                    self.ended = true;
                    return Err(explain(error).into());
                }
            }
        }
        Ok(())
    }

    /// The alert that lies in the pipe of a connection that broke.
    fn last_words(&mut self) -> Option<PipeError> {
        const MOMENT: Duration = Duration::from_millis(100);
        while !self.ended {
            match self.hear(MOMENT) {
                Err(error @ PipeError::Tls(_)) => return Some(error),
                Err(_) => return None,
                Ok(()) => {}
            }
        }
        None
    }

    /// What was decrypted and not yet taken; nothing when the other side said goodbye.
    fn plaintext(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut block = [0; 4096];
        loop {
            match self.connection.reader().read(&mut block) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => text.extend_from_slice(block.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break, // Nothing is left.
            }
        }
        (!text.is_empty() || self.ended).then_some(text)
    }
}

impl Pipe for TlsPipe<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), PipeError> {
        for block in bytes.chunks(16 * 1024) {
            // The buffer is emptied each time, so that it has room.
            self.connection.writer().write_all(block)?;
            if let Err(error) = self.flush() {
                // Under TLS 1.3 a client hears only now that it is not wanted.
                return Err(self.last_words().unwrap_or(error));
            }
        }
        Ok(())
    }

    fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, PipeError> {
        loop {
            if let Some(text) = self.plaintext() {
                return Ok(text);
            }
            self.hear(patience)?;
            self.flush()?;
        }
    }

    fn said_goodbye(&self) -> bool {
        self.goodbye
    }

    fn end(&mut self) -> Result<(), PipeError> {
        self.connection.send_close_notify();
        self.flush()?;
        self.under.end()
    }

    fn is_over(&mut self) -> bool {
        // What lies in the pipe below may be a goodbye; an answer that nobody asked for is none of ours.
        if !self.ended && self.under.is_over() {
            self.ended = true;
        }
        if !self.ended
            && self
                .hear(Duration::ZERO)
                .is_err_and(|error| !matches!(error, PipeError::Timeout(_)))
        {
            self.ended = true;
        }
        self.ended
    }
}

impl Drop for TlsPipe<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.send_close_notify();
            // The other side may be gone.
            let _ = self.flush();
        }
    }
}

fn explain(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::AlertReceived(alert) => TlsError::Alert(alert_name(alert)),
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => {
            TlsError::Refused(why.to_string())
        }
        other => TlsError::Protocol(other.to_string()),
    }
}

/// `CertificateUnknown` as `certificate_unknown`, `UnknownCA` as `unknown_ca`.
pub fn alert_name(alert: rustls::AlertDescription) -> String {
    let letters: Vec<char> = format!("{alert:?}").chars().collect();
    let mut name = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let is = |at: Option<usize>, test: fn(&char) -> bool| {
            at.and_then(|at| letters.get(at)).is_some_and(test)
        };
        let before = at.checked_sub(1);
        let begins = is(before, char::is_ascii_lowercase)
            || (is(before, char::is_ascii_uppercase) && is(Some(at + 1), char::is_ascii_lowercase));
        if letter.is_ascii_uppercase() && begins {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
}

impl TlsClient {
    fn new(options: &TlsOptions, resumption: Resumption) -> Result<Self, TlsError> {
        let notes = Arc::new(Mutex::default());
        let versions: Vec<&'static SupportedProtocolVersion> = options
            .versions
            .iter()
            .map(|version| match version {
                TlsVersion::Tls12 => &rustls::version::TLS12,
                TlsVersion::Tls13 => &rustls::version::TLS13,
            })
            .collect();
        let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(&versions)
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(JudgedServer::by(Witness {
                judge: Arc::clone(&options.judge),
                notes: Arc::clone(&notes),
            }))
            .with_client_cert_resolver(Arc::new(Own {
                shown: options
                    .identity
                    .as_ref()
                    .map(|TlsIdentity(own)| SingleCertAndKey::from(Arc::clone(own))),
                notes: Arc::clone(&notes),
            }));
        config.resumption = resumption;
        config.enable_sni = false;
        let config = Arc::new(config);
        Ok(Self { config, notes })
    }
}

/// What this side shows of itself, if anything. Notes what it was asked for.
#[derive(Debug)]
struct Own {
    shown: Option<SingleCertAndKey>,
    notes: Arc<Mutex<Notes>>,
}

impl ResolvesClientCert for Own {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        lock(&self.notes).authorities = Some(authorities.len());
        ResolvesClientCert::resolve(self.shown.as_ref()?, authorities, schemes)
    }

    /// True even where there is nothing to show: only then is it asked at all.
    fn has_certs(&self) -> bool {
        true
    }
}

/// Keeps what the server showed, and asks the judge.
#[derive(Debug)]
struct Witness {
    judge: Arc<dyn ServerJudge>,
    notes: Arc<Mutex<Notes>>,
}

impl ServerJudge for Witness {
    fn judge(&self, chain: &[&[u8]]) -> Result<(), String> {
        lock(&self.notes).chain = chain.iter().map(|der| der.to_vec()).collect();
        self.judge.judge(chain)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use rustls::AlertDescription;

    use super::*;

    #[rstest]
    #[case(46, "certificate_unknown")]
    #[case(48, "unknown_ca")]
    #[case(115, "unknown_psk_identity")]
    #[case(0, "close_notify")]
    fn alerts_have_the_names_of_the_rfc(#[case] number: u8, #[case] name: &str) {
        assert_eq!(alert_name(AlertDescription::from(number)), name);
    }
}
