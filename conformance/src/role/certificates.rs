//! Certificates of the central server: those of the certificate laboratory, by name.
//!
//! Whatever chain a server holds, it is for [`SERVER`], and ends at the root that devices are told about unless the
//! chain is one that has another.

use std::fmt;
use std::sync::OnceLock;

use amt_sim::pki::laboratory::Specimen;
use rsa::RsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use sha2::{Digest as _, Sha256};

/// Name of the central server: within the domain of the devices that come with the program.
pub const SERVER: &str = "mc.corp.example";

/// What certificate the server was given by its authority: a chain of the laboratory.
#[derive(Debug, Clone, Copy)]
pub struct CertificateForm(&'static Specimen);

impl CertificateForm {
    /// One that a device of its domain takes.
    #[allow(
        non_upper_case_globals,
        reason = "one word of a list of words, as elsewhere"
    )]
    pub const Good: Self = Self(Specimen::ALL[0]);

    /// Every form.
    pub const ALL: &'static [Self] = &{
        let mut all = [Self::Good; Specimen::ALL.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = Self(Specimen::ALL[at]);
            at += 1;
        }
        all
    };
}

impl PartialEq for CertificateForm {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for CertificateForm {}

impl fmt::Display for CertificateForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

/// A certificate with its chain and key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// DER, in the order in which it is sent.
    pub chain: Vec<Vec<u8>>,
    /// What nonces are signed with. Where the certificate has no RSA key it is another one's, since nonces are signed
    /// with RSA only.
    pub key: RsaPrivateKey,
    /// The key for TLS, PKCS#8 DER.
    pub pkcs8: Vec<u8>,
    /// DER of the certificate whose hash an agent announces.
    pub announced: Vec<u8>,
}

/// Why a certificate could not be made. It never happens: what goes into it is fixed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("a certificate could not be made: {0}")]
    Authority(#[from] amt_sim::pki::AuthorityError),
    #[error("a key cannot be read: {0}")]
    Key(String),
}

impl Identity {
    /// What the server holds. Making one takes a while, so that each is made once.
    pub fn of(form: CertificateForm) -> Result<Self, CertificateError> {
        static MADE: [OnceLock<Identity>; CertificateForm::ALL.len()] =
            [const { OnceLock::new() }; CertificateForm::ALL.len()];
        let place = CertificateForm::ALL.iter().position(|other| *other == form);
        let Some(slot) = place.and_then(|place| MADE.get(place)) else {
            return Self::make(form);
        };
        if let Some(made) = slot.get() {
            return Ok(made.clone());
        }
        let made = Self::make(form)?;
        Ok(slot.get_or_init(|| made).clone())
    }

    fn make(form: CertificateForm) -> Result<Self, CertificateError> {
        let made = form.0.make(SERVER)?;
        let key = match RsaPrivateKey::from_pkcs8_der(&made.key) {
            Ok(key) => key,
            Err(_) => private_key(fixtures::keys::PROVISIONING)?,
        };
        Ok(Self {
            chain: made.chain,
            key,
            pkcs8: made.key,
            announced: made.announced,
        })
    }

    /// What somebody has who trusts nobody but himself: a certificate that says it is the server's.
    pub fn rogue() -> Result<Self, CertificateError> {
        let own = Specimen::named("self-signed").map(CertificateForm);
        Self::of(own.ok_or_else(|| CertificateError::Key("there is no such chain".to_owned()))?)
    }

    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map(Vec::as_slice).unwrap_or_default()
    }
}

/// SHA-256 of a certificate, as hex digits.
pub fn fingerprint(der: &[u8]) -> String {
    amt_sim::hex::encode(&Sha256::digest(der))
}

/// A key in PKCS#8 PEM.
pub fn private_key(pem: &str) -> Result<RsaPrivateKey, CertificateError> {
    RsaPrivateKey::from_pkcs8_pem(pem).map_err(|error| CertificateError::Key(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_form_gives_the_same_bytes_and_the_rogue_has_others() {
        let rogue = Identity::rogue().unwrap();
        let good = Identity::of(CertificateForm::Good).unwrap();
        assert_ne!((rogue.leaf(), &rogue.pkcs8), (good.leaf(), &good.pkcs8));
        for form in CertificateForm::ALL {
            let first = Identity::of(*form).unwrap();
            assert_eq!(first.chain, Identity::make(*form).unwrap().chain, "{form}");
        }
        assert_eq!(CertificateForm::Good.to_string(), "good");
    }

    /// Every hash in a scenario is that of a root of the laboratory.
    #[test]
    fn scenarios_name_roots_that_there_are() {
        let roots: Vec<String> = CertificateForm::ALL
            .iter()
            .map(|form| form.0.make(SERVER).unwrap().root)
            .flat_map(|root| {
                let sha1 = amt_sim::hex::encode(&sha1::Sha1::digest(&root));
                let sha384 = amt_sim::hex::encode(&sha2::Sha384::digest(&root));
                [fingerprint(&root), sha1, sha384]
            })
            .collect();
        for file in fixtures::SCENARIOS {
            if !["scenarios/setup/", "scenarios/certificates/"]
                .iter()
                .any(|folder| file.path.starts_with(folder))
            {
                continue;
            }
            for hash in file.text.split("hash = \"").skip(1) {
                let hash = hash.split('"').next().unwrap();
                // A step's `hash` says what is hashed.
                if !hash.bytes().all(|letter| letter.is_ascii_hexdigit()) {
                    continue;
                }
                assert!(
                    roots.iter().any(|root| root == hash),
                    "{}: {hash}",
                    file.path
                );
            }
        }
    }
}
