//! The other side of the tests: rustls' own client in memory, and a wire between it and the device.

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use rustls::client::{ClientConfig, ClientConnection, ResolvesClientCert};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion};
use sha2::{Digest, Sha256};

use super::credential::provider;
use super::{
    AnyServer, ClientCertificates, Credential, JudgedServer, Settings, TlsStream, Version,
};
use crate::pki::{ProvisioningIdentity, SelfSigned};

pub(crate) static CREDENTIAL: LazyLock<Credential> = LazyLock::new(|| {
    let own = SelfSigned::for_device("vpro.corp.example", "1").unwrap();
    Credential::new(&[own.certificate], &own.key).unwrap()
});

/// A client certificate that no standard verifier would take.
pub(crate) static CLIENT: LazyLock<ProvisioningIdentity> =
    LazyLock::new(|| ProvisioningIdentity::for_name("sca.corp.example").unwrap());

pub(crate) const BOTH: &[Version] = &[Version::Tls12, Version::Tls13];

pub(crate) fn stream(versions: &[Version], asked: ClientCertificates) -> TlsStream {
    TlsStream::new(
        &CREDENTIAL,
        Settings {
            versions,
            client_certificates: asked,
            judge: None,
            at: crate::time::UnixTime(1_767_225_600),
        },
    )
}

/// A client that speaks one version, with [`CLIENT`] or without a certificate.
pub(crate) fn client(version: Version, with_certificate: bool) -> ClientConnection {
    let shown = (CLIENT.chain.as_slice(), CLIENT.key.as_slice());
    client_with(version, with_certificate.then_some(shown))
}

/// A client that speaks one version and has this chain and key, if any.
pub(crate) fn client_with(
    version: Version,
    shown: Option<(&[Vec<u8>], &[u8])>,
) -> ClientConnection {
    let version: &'static SupportedProtocolVersion = match version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(JudgedServer::by(AnyServer));
    let config = match shown {
        Some((chain, key)) => {
            let chain = chain.iter().cloned().map(CertificateDer::from);
            let key = PrivateKeyDer::try_from(key.to_vec()).unwrap();
            builder.with_client_auth_cert(chain.collect(), key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from("vpro.corp.example").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// A client that speaks one version and shows this chain, whatever it is, signing with this key, whether or not it
/// belongs to it: PKCS#8 DER, RSA of any length or elliptic.
pub(crate) fn client_holding(version: Version, chain: &[Vec<u8>], key: &[u8]) -> ClientConnection {
    let version: &'static SupportedProtocolVersion = match version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    };
    let chain = chain.iter().cloned().map(CertificateDer::from).collect();
    let der = PrivateKeyDer::try_from(key.to_vec()).unwrap();
    let key: Arc<dyn SigningKey> = match provider().key_provider.load_private_key(der) {
        Ok(key) => key,
        Err(_) => Arc::new(ShortKey(RsaPrivateKey::from_pkcs8_der(key).unwrap())),
    };
    let shown = Arc::new(CertifiedKey::new(chain, key));
    let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(JudgedServer::by(AnyServer))
        .with_client_cert_resolver(Arc::new(Shows(shown)));
    let name = ServerName::try_from("vpro.corp.example").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// RSA with fewer bits than rustls' provider computes with.
#[derive(Debug, Clone)]
struct ShortKey(RsaPrivateKey);

impl ShortKey {
    const SCHEMES: [SignatureScheme; 2] = [
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PKCS1_SHA256,
    ];
}

impl SigningKey for ShortKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let known = Self::SCHEMES.into_iter();
        let scheme = known.into_iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(ShortSigner(self.0.clone(), scheme)))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

#[derive(Debug)]
struct ShortSigner(RsaPrivateKey, SignatureScheme);

impl Signer for ShortSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let digest = Sha256::digest(message);
        let signed = match self.1 {
            SignatureScheme::RSA_PKCS1_SHA256 => {
                self.0.sign(Pkcs1v15Sign::new::<Sha256>(), &digest)
            }
            // The salt is random, as a real client's is.
            _ => self.0.sign_with_rng(
                &mut rsa::rand_core::OsRng,
                Pss::new_with_salt::<Sha256>(32),
                &digest,
            ),
        };
        signed.map_err(|error| Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.1
    }
}

/// Everything the client wants to send now.
pub(crate) fn spoken(client: &mut ClientConnection) -> Vec<u8> {
    let mut out = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut out).unwrap();
    }
    out
}

/// Hands bytes to the client; what went wrong with them, if anything.
pub(crate) fn heard(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        if client.read_tls(&mut bytes).unwrap() == 0 {
            break;
        }
        client.process_new_packets()?;
    }
    Ok(())
}

/// The text that the client received.
pub(crate) fn text(client: &mut ClientConnection) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = client.reader().read_to_end(&mut out); // ends with "would block" while the connection is up
    out
}

pub(crate) fn say(client: &mut ClientConnection, text: &[u8]) {
    client.writer().write_all(text).unwrap();
}

/// Carries bytes to and fro in pieces of `piece` until both are silent.
pub(crate) fn exchange(
    client: &mut ClientConnection,
    device: &mut TlsStream,
    piece: usize,
) -> Result<(), Error> {
    loop {
        let up = spoken(client);
        for bytes in up.chunks(piece) {
            device.receive(bytes);
        }
        let mut down = 0;
        while device.pending() > 0 {
            let bytes = device.take(piece);
            down += bytes.len();
            heard(client, &bytes)?;
        }
        if up.is_empty() && down == 0 {
            return Ok(());
        }
    }
}
