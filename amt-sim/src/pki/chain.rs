//! Judging a provisioning chain, one certificate at a time: leaf first, root last.
//!
//! ```text
//!   leaf ──signed by──▶ intermediate ─▶ … ──signed by──▶ root ──hash──▶ the device's list of root hashes
//!    └ server certificate, marked for AMT set-up, for a name in the device's domain
//! ```
//! Source: "Intel AMT Implementation and Reference Guide", pages "Certificate Chains for Host-Based Configuration",
//! "Acquiring an Intel vPro certificate" and "Root Certificate Hashes"; RFC 5280 for what makes an authority.

use serde::{Deserialize, Serialize};

use super::certificate::{Certificate, SignatureAlgorithm, usage};
use super::signature::{Digest, fingerprint};
use super::suffix::Relation;
pub(crate) use super::suffix::Suffix;
use super::{Key, PROVISIONING_OU};
use crate::device::{CertificateHash, ChainAssumptions, HashAlgorithm, Rule, Rules, assumed};
use crate::time::UnixTime;

/// What a chain is measured by. It owns all it needs, so that it can wait for a chain to come.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) rules: Rules,
    /// What the device's clock shows.
    pub(crate) now: UnixTime,
    pub(crate) out_of_time: OutOfTime,
    /// The device's domain, when it knows one.
    pub(crate) suffix: Option<Suffix>,
    /// Domains that count beside it.
    pub(crate) more_suffixes: Vec<Suffix>,
    pub(crate) hashes: Vec<CertificateHash>,
    /// The generation still takes SHA-1 and RSA keys below 2048 bits.
    pub(crate) takes_weak: bool,
    pub(crate) assumptions: ChainAssumptions,
}

/// What becomes of a certificate that is not valid by the device's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOfTime {
    Refused,
    /// It is taken, and [`Trust::time_valid`] says so.
    Noted,
}

/// Where a certificate stands in its chain, as its sender flags it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Leaf,
    Intermediate,
    Root,
}

/// Why a certificate does not belong into the chain. Serialised in kebab-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChainRefusal {
    #[error("it is no certificate that can be read")]
    Unreadable,
    #[error("it is flagged as leaf and root at once")]
    Flags,
    #[error("no leaf came before it")]
    NoLeaf,
    #[error("the chain is longer than the device takes")]
    TooLong,
    #[error("it is signed by an algorithm other than RSA PKCS#1 v1.5, or has no RSA key")]
    Algorithm,
    #[error("it is signed over SHA-1 or MD5")]
    WeakDigest,
    #[error("its RSA key has fewer than 2048 bits")]
    ShortKey,
    #[error("its validity has not begun")]
    NotYetValid,
    #[error("its validity is over")]
    Expired,
    #[error("it is not for TLS servers")]
    NotServer,
    #[error("it lacks both the extended key usage and the organisational unit of AMT set-up")]
    NotForSetup,
    #[error("its common name is missing or no host name")]
    NoName,
    #[error("the device knows no domain of its own to compare the name with")]
    NoSuffix,
    #[error("its name only ends in the same letters as the device's domain")]
    LookAlikeSuffix,
    #[error("its name is outside of the device's domain")]
    OtherSuffix,
    #[error(
        "its common name is outside of the device's domain; that an alternative name is inside does not count"
    )]
    AlternativeNameOnly,
    #[error("it must not sign certificates")]
    NotAuthority,
    #[error("more authorities stand below it than it allows")]
    PathLength,
    #[error("the certificate before it names another issuer")]
    NotIssuer,
    #[error("its key did not sign the certificate before it")]
    Signature,
    #[error("its hash is not in the device's list")]
    UnknownRoot,
    #[error("its hash is in the device's list, but not active")]
    InactiveRoot,
}

/// CertChainStatus of IPS_HostBasedSetupService.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChainStatus {
    NotStarted = 0,
    InProgress = 1,
    Complete = 2,
}

/// What a complete chain proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// Common name of the leaf.
    pub(crate) name: String,
    /// The device's domain was not learnt from DHCP.
    pub(crate) secure_dns: bool,
    pub(crate) hash_algorithm: HashAlgorithm,
    /// The root's, as hex digits.
    pub(crate) hash: String,
    /// The hash came from the factory.
    pub(crate) hash_is_default: bool,
    /// Serial numbers of the last three authorities, 16 bytes each as hex digits, the root's last.
    pub(crate) ca_serials: Vec<String>,
    /// There were more authorities than that.
    pub(crate) more_serials: bool,
    /// Every certificate was valid by the device's clock.
    pub(crate) time_valid: bool,
    /// Assumptions that it rests on, by ID.
    pub(crate) assumed: Vec<&'static str>,
}

/// A chain as far as it has arrived. Every certificate in it was found good when it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    certificates: Vec<Certificate>,
    trust: Option<Trust>,
}

impl Chain {
    /// Serial numbers that a record holds.
    const SERIALS: usize = 3;

    pub(crate) fn status(&self) -> ChainStatus {
        match (&self.trust, self.certificates.is_empty()) {
            (Some(_), _) => ChainStatus::Complete,
            (None, false) => ChainStatus::InProgress,
            (None, true) => ChainStatus::NotStarted,
        }
    }

    /// What the chain proves, once it is complete.
    pub(crate) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    pub(crate) fn leaf(&self) -> Option<&Certificate> {
        self.certificates.first()
    }

    /// Takes the next certificate. A leaf starts anew, whatever came before; a refusal leaves nothing.
    pub(crate) fn add(
        &mut self,
        policy: &Policy,
        der: &[u8],
        place: Place,
    ) -> Result<ChainStatus, ChainRefusal> {
        if place == Place::Leaf || self.trust.is_some() {
            self.clear();
        }
        match self.judge(policy, der, place) {
            Ok(certificate) => {
                self.certificates.push(certificate);
                if place == Place::Root {
                    self.trust = Some(self.prove(policy));
                }
                Ok(self.status())
            }
            Err(refusal) => {
                self.clear();
                Err(refusal)
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn judge(
        &self,
        policy: &Policy,
        der: &[u8],
        place: Place,
    ) -> Result<Certificate, ChainRefusal> {
        if place != Place::Leaf && self.certificates.is_empty() {
            return Err(ChainRefusal::NoLeaf);
        }
        let certificate = Certificate::read(der).map_err(|_| ChainRefusal::Unreadable)?;
        if self.certificates.len() >= policy.assumptions.longest
            && policy.asks(Rule::PKI_CHAIN_LENGTH)
        {
            return Err(ChainRefusal::TooLong);
        }
        policy.strength(&certificate)?;
        policy.validity(&certificate)?;
        match self.certificates.last() {
            None => policy.leaf(&certificate)?,
            Some(subject) => {
                let between = self.certificates.iter().skip(1);
                let below = between.filter(|between| !between.is_self_issued()).count();
                policy.authority(&certificate, below)?;
                policy.link(subject, &certificate)?;
            }
        }
        if place == Place::Root {
            policy.root(&certificate)?;
        }
        Ok(certificate)
    }

    fn prove(&self, policy: &Policy) -> Trust {
        let leaf = self.certificates.first();
        let root = self.certificates.last();
        let der = root.map(|root| root.der.as_slice()).unwrap_or_default();
        // With the rule knocked out a root may be in no list: then its SHA-256 stands in for the entry.
        let (hash_algorithm, hash_is_default) = policy
            .entries(der)
            .max_by_key(|entry| entry.active)
            .map_or((HashAlgorithm::Sha256, false), |entry| {
                (entry.algorithm, entry.default)
            });
        let authorities = self.certificates.get(1..).unwrap_or_default();
        let skipped = authorities.len().saturating_sub(Self::SERIALS);
        Trust {
            name: leaf
                .and_then(|leaf| leaf.common_name.clone())
                .unwrap_or_default(),
            secure_dns: policy.domain_is_secure(leaf) || !policy.asks(Rule::PKI_SECURE_DNS),
            hash_algorithm,
            hash: crate::hex::encode(&fingerprint(hash_algorithm, der)),
            hash_is_default,
            ca_serials: authorities
                .iter()
                .skip(skipped)
                .map(|authority| serial(&authority.serial))
                .collect(),
            more_serials: skipped > 0,
            time_valid: !policy.asks(Rule::PKI_TIME_NOTED)
                || self
                    .certificates
                    .iter()
                    .all(|certificate| policy.in_time(certificate).is_ok()),
            assumed: leaf.map(|leaf| policy.rests_on(leaf)).unwrap_or_default(),
        }
    }
}

impl Policy {
    /// Bits of the shortest RSA key that newer generations take.
    const SHORTEST_KEY: usize = 2048;

    fn asks(&self, rule: Rule) -> bool {
        self.rules.enforced(rule)
    }

    /// SHA-2 and RSA with 2048 bits, over the whole chain and the root too.
    fn strength(&self, certificate: &Certificate) -> Result<(), ChainRefusal> {
        let SignatureAlgorithm::Rsa(digest) = &certificate.signature_algorithm else {
            return Err(ChainRefusal::Algorithm);
        };
        let key_is_known = match &certificate.key {
            Key::Rsa(_) => true,
            Key::Other(kind) => kind == Key::ELLIPTIC && self.assumptions.elliptic_keys,
        };
        if !key_is_known {
            return Err(ChainRefusal::Algorithm);
        }
        let taken = digest.is_strong() || (self.takes_weak && *digest == Digest::Sha1);
        if !taken && self.asks(Rule::PKI_DIGEST) {
            return Err(ChainRefusal::WeakDigest);
        }
        let bits = certificate.key_bits();
        let short = bits.is_some_and(|bits| bits < Self::SHORTEST_KEY);
        if short && !self.takes_weak && self.asks(Rule::PKI_KEY_SIZE) {
            return Err(ChainRefusal::ShortKey);
        }
        Ok(())
    }

    fn validity(&self, certificate: &Certificate) -> Result<(), ChainRefusal> {
        if self.out_of_time == OutOfTime::Noted || !self.asks(Rule::PKI_VALIDITY) {
            return Ok(());
        }
        self.in_time(certificate)
    }

    fn in_time(&self, certificate: &Certificate) -> Result<(), ChainRefusal> {
        if self.now < certificate.not_before {
            return Err(ChainRefusal::NotYetValid);
        }
        if self.now > certificate.not_after {
            return Err(ChainRefusal::Expired);
        }
        Ok(())
    }

    /// A server certificate, marked by usage or unit, for a name in the device's domain.
    fn leaf(&self, leaf: &Certificate) -> Result<(), ChainRefusal> {
        let has = |wanted| leaf.has_usage(wanted);
        // Without the extension a certificate is for every use.
        let server = leaf.usages.is_none()
            || has(usage::SERVER)
            || (has(usage::ANY) && self.assumptions.any_usage);
        if !server && self.asks(Rule::PKI_SERVER_USAGE) {
            return Err(ChainRefusal::NotServer);
        }
        let marked =
            has(usage::PROVISIONING) || leaf.units.iter().any(|unit| unit == PROVISIONING_OU);
        if !marked && self.asks(Rule::PKI_SETUP_MARK) {
            return Err(ChainRefusal::NotForSetup);
        }
        if self.asks(Rule::PKI_DNS_SUFFIX) {
            self.name(leaf)?;
        }
        Ok(())
    }

    fn name(&self, leaf: &Certificate) -> Result<(), ChainRefusal> {
        let first = match &self.suffix {
            Some(suffix) => self.within(suffix, leaf),
            None => Err(ChainRefusal::NoSuffix),
        };
        let name = leaf.common_name.as_deref().unwrap_or_default();
        if self.in_another_domain(name) {
            return Ok(());
        }
        first
    }

    fn in_another_domain(&self, name: &str) -> bool {
        let mut more = self.more_suffixes.iter();
        more.any(|suffix| self.takes(suffix, name))
    }

    /// What nobody has seen of real firmware, but this leaf was taken by.
    fn rests_on(&self, leaf: &Certificate) -> Vec<&'static str> {
        let mut assumed = Vec::new();
        let name = leaf.common_name.as_deref().unwrap_or_default();
        if is_wildcard(name) {
            assumed.push(assumed::WILDCARD_NAMES);
        }
        if leaf.has_usage(usage::ANY) && !leaf.has_usage(usage::SERVER) {
            assumed.push(assumed::ANY_USAGE);
        }
        if !matches!(leaf.key, Key::Rsa(_)) {
            assumed.push(assumed::CHAIN_RSA_ONLY);
        }
        assumed
    }

    fn takes(&self, suffix: &Suffix, name: &str) -> bool {
        match suffix.relation(name) {
            _ if is_wildcard(name) && !self.assumptions.wildcard_names => false,
            Relation::Inside => true,
            Relation::LookAlike => !self.asks(Rule::PKI_WHOLE_LABELS),
            Relation::Outside | Relation::NoName => false,
        }
    }

    fn within(&self, suffix: &Suffix, leaf: &Certificate) -> Result<(), ChainRefusal> {
        let name = leaf.common_name.as_deref().ok_or(ChainRefusal::NoName)?;
        let alternative = leaf
            .alternative_names
            .iter()
            .any(|name| self.takes(suffix, name));
        if self.takes(suffix, name) || (alternative && self.assumptions.alternative_names) {
            return Ok(());
        }
        Err(match suffix.relation(name) {
            Relation::LookAlike => ChainRefusal::LookAlikeSuffix,
            Relation::Inside | Relation::NoName => ChainRefusal::NoName,
            Relation::Outside if alternative => ChainRefusal::AlternativeNameOnly,
            Relation::Outside => ChainRefusal::OtherSuffix,
        })
    }

    /// Whether the domain that the leaf is in is one that nobody on the network could have told the device.
    fn domain_is_secure(&self, leaf: Option<&Certificate>) -> bool {
        let Some(suffix) = self.suffix.as_ref().filter(|suffix| suffix.secure) else {
            return false;
        };
        let name = leaf.and_then(|leaf| leaf.common_name.as_deref());
        let name = name.unwrap_or_default();
        // With the rule knocked out it may be in none.
        self.takes(suffix, name) || !self.in_another_domain(name)
    }

    /// A certificate that may issue others, with at most as many authorities `below` it as it allows.
    fn authority(&self, certificate: &Certificate, below: usize) -> Result<(), ChainRefusal> {
        if !self.asks(Rule::PKI_AUTHORITY) {
            return Ok(());
        }
        let constraints = certificate.constraints.filter(|known| known.authority);
        let Some(constraints) = constraints else {
            return Err(ChainRefusal::NotAuthority);
        };
        if certificate.signs_certificates == Some(false) {
            return Err(ChainRefusal::NotAuthority);
        }
        let allowed = constraints.below.map(|most| most as usize);
        if allowed.is_some_and(|most| below > most) {
            return Err(ChainRefusal::PathLength);
        }
        Ok(())
    }

    fn link(&self, subject: &Certificate, issuer: &Certificate) -> Result<(), ChainRefusal> {
        if subject.issuer != issuer.subject && self.asks(Rule::PKI_CHAIN_ORDER) {
            return Err(ChainRefusal::NotIssuer);
        }
        if !subject.is_signed_by(issuer) && self.asks(Rule::PKI_CHAIN_SIGNATURE) {
            return Err(ChainRefusal::Signature);
        }
        Ok(())
    }

    /// The hash decides; the root's signature on itself would prove nothing more.
    fn root(&self, root: &Certificate) -> Result<(), ChainRefusal> {
        let known = self.entries(&root.der).next().is_some();
        if !known && self.asks(Rule::PKI_ROOT_KNOWN) {
            return Err(ChainRefusal::UnknownRoot);
        }
        let active = self.entries(&root.der).any(|entry| entry.active);
        if known && !active && self.asks(Rule::PKI_ROOT_ACTIVE) {
            return Err(ChainRefusal::InactiveRoot);
        }
        Ok(())
    }

    /// The entries of the device's list that this certificate hashes to.
    fn entries(&self, der: &[u8]) -> impl Iterator<Item = &CertificateHash> {
        let sha1 = self.takes_weak || !self.asks(Rule::PKI_ROOT_DIGEST);
        self.hashes
            .iter()
            .filter(move |entry| entry.algorithm != HashAlgorithm::Sha1 || sha1)
            .filter(move |entry| fingerprint(entry.algorithm, der) == entry.digest())
    }
}

fn is_wildcard(name: &str) -> bool {
    name.starts_with("*.")
}

/// A serial number as records hold it: 16 bytes, big-endian, zeros in front; of a longer one the last 16.
fn serial(bytes: &[u8]) -> String {
    const SIZE: usize = 16;
    let mut field = [0; SIZE];
    for (to, from) in field.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    crate::hex::encode(&field)
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
