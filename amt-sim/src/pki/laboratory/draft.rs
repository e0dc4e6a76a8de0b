//! A chain to be: a good one, until a specimen alters it.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose,
    SanType, date_time_ymd,
};

use super::Made;
use super::sign::{Holder, Key, resign};
use crate::device::{CertificateHash, HashAlgorithm};
use crate::pki::authority::{ISSUING_NAME, ROOT_NAME, is_host_name, params};
use crate::pki::signature::{Digest, fingerprint};
use crate::pki::{AuthorityError, PROVISIONING_EKU, PROVISIONING_OU};

/// An extended key usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
    Any,
    /// 2.16.840.1.113741.1.2 and this number; 3 is the one that marks a certificate for set-up.
    Intel(u64),
}

/// One certificate to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// `{server}`, `{SERVER}`, `{host}` and `{domain}` stand for the server's name and its parts.
    pub(super) common_name: Option<&'static str>,
    pub(super) unit: Option<&'static str>,
    /// DNS name of a subject alternative name; with the same parts.
    pub(super) alternative: Option<&'static str>,
    pub(super) usages: Vec<Usage>,
    /// Absent on what is no authority; else how many authorities may stand below it, if that is limited.
    pub(super) authority: Option<Option<u8>>,
    /// Years whose first days begin and end the validity.
    pub(super) years: Option<(i32, i32)>,
    pub(super) key: Key,
    /// The key that signs it, if that is not its issuer's.
    pub(super) forged_with: Option<Key>,
    /// What it is signed over.
    pub(super) digest: Digest,
    /// The serial number follows from it; absent, from the server's name.
    serial: Option<&'static str>,
}

/// What the device's list of hashes has of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knows {
    Sha256,
    Sha1,
    Inactive,
    Nothing,
}

/// A chain to be, and what the device knows of it.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// Leaf first, root last.
    pub(super) plans: Vec<Plan>,
    /// What becomes of the certificates before they are sent.
    pub(super) send: fn(&mut Vec<Vec<u8>>),
    /// The key that the server has, if that is not the leaf's.
    pub(super) holds: Option<Key>,
    pub(super) knows: Knows,
    /// The device's domain, if that is not the server's; with the same parts as a name.
    pub(super) domain: Option<&'static str>,
    /// The agent announces a leaf of another serial number.
    pub(super) announces_another: bool,
}

impl Plan {
    fn leaf() -> Self {
        Self {
            common_name: Some("{server}"),
            unit: Some(PROVISIONING_OU),
            alternative: None,
            usages: vec![Usage::Server, Usage::Intel(3)],
            authority: None,
            years: None,
            key: Key::Provisioning,
            forged_with: None,
            digest: Digest::Sha256,
            serial: None,
        }
    }

    pub(super) fn authority(name: &'static str, key: Key, below: Option<u8>) -> Self {
        Self {
            common_name: Some(name),
            unit: None,
            usages: Vec::new(),
            authority: Some(below),
            key,
            serial: Some(name),
            ..Self::leaf()
        }
    }

    fn params(&self, server: &str, holder: &Holder) -> Result<CertificateParams, AuthorityError> {
        let common_name = self.common_name.map(|text| fill(text, server));
        let mut params = params(
            common_name.as_deref(),
            self.unit,
            self.serial.unwrap_or(server),
            holder.public(),
        );
        params.subject_alt_names = match self.alternative {
            Some(name) => vec![SanType::DnsName(fill(name, server).try_into()?)],
            None => Vec::new(),
        };
        params.extended_key_usages = self
            .usages
            .iter()
            .map(|usage| match usage {
                Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
                Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
                Usage::Any => ExtendedKeyUsagePurpose::Any,
                Usage::Intel(number) => {
                    let mut oid = PROVISIONING_EKU.to_vec();
                    oid.pop();
                    oid.push(*number);
                    ExtendedKeyUsagePurpose::Other(oid)
                }
            })
            .collect();
        (params.is_ca, params.key_usages) = match self.authority {
            None => (
                IsCa::ExplicitNoCa,
                vec![
                    KeyUsagePurpose::DigitalSignature,
                    KeyUsagePurpose::KeyEncipherment,
                ],
            ),
            Some(below) => (
                IsCa::Ca(below.map_or(
                    BasicConstraints::Unconstrained,
                    BasicConstraints::Constrained,
                )),
                vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
            ),
        };
        if let Some((first, last)) = self.years {
            params.not_before = date_time_ymd(first, 1, 1);
            params.not_after = date_time_ymd(last, 1, 1);
        }
        Ok(params)
    }

    fn issued_by(&self, issuer: &Self, server: &str) -> Result<Vec<u8>, AuthorityError> {
        let holder = Holder::new(self.key, self.digest)?;
        let signer = Holder::new(self.forged_with.unwrap_or(issuer.key), self.digest)?;
        // The key identifier in it is the real issuer's even where the signature is forged.
        let issuer_params = issuer.params(server, &Holder::new(issuer.key, self.digest)?)?;
        let der = self
            .params(server, &holder)?
            .signed_by(&holder, &Issuer::from_params(&issuer_params, &signer))?
            .der()
            .to_vec();
        if self.digest.is_strong() {
            return Ok(der);
        }
        resign(der, &signer, self.digest)
    }
}

impl Draft {
    /// The chain of [`crate::pki::ProvisioningIdentity`].
    pub(super) fn good() -> Self {
        let mut issuing = Plan::authority(ISSUING_NAME, Key::Intermediate, Some(0));
        issuing.serial = Some("intermediate");
        let mut root = Plan::authority(ROOT_NAME, Key::Root, Some(1));
        root.serial = Some("root");
        Self {
            plans: vec![Plan::leaf(), issuing, root],
            send: |_| {},
            holds: None,
            knows: Knows::Sha256,
            domain: None,
            announces_another: false,
        }
    }

    pub(super) fn leaf(&mut self) -> &mut Plan {
        &mut self.plans[0]
    }

    pub(super) fn issuing(&mut self) -> &mut Plan {
        &mut self.plans[1]
    }

    pub(super) fn root(&mut self) -> &mut Plan {
        &mut self.plans[2]
    }

    pub(super) fn make(&self, server: &str) -> Result<Made, AuthorityError> {
        if !is_host_name(server) {
            return Err(AuthorityError::Name(server.to_owned()));
        }
        let mut chain = Vec::new();
        for (place, plan) in self.plans.iter().enumerate() {
            let issuer = self.plans.get(place + 1).unwrap_or(plan);
            chain.push(plan.issued_by(issuer, server)?);
        }
        let root = chain.last().cloned().unwrap_or_default();
        let mut announced = chain.first().cloned().unwrap_or_default();
        (self.send)(&mut chain);
        let leaf = self.plans.first();
        if self.announces_another
            && let (Some(leaf), Some(issuer)) = (leaf, self.plans.get(1))
        {
            let mut other = leaf.clone();
            other.serial = Some("another leaf");
            announced = other.issued_by(issuer, server)?;
        } else if let Some(sent) = chain.first() {
            announced.clone_from(sent);
        }
        let key = self.holds.or(leaf.map(|leaf| leaf.key));
        let key = key.unwrap_or(Key::Provisioning).pkcs8()?;
        let algorithm = match self.knows {
            Knows::Sha1 => HashAlgorithm::Sha1,
            _ => HashAlgorithm::Sha256,
        };
        let entry = CertificateHash {
            name: "amt-sim laboratory".to_owned(),
            algorithm,
            hash: crate::hex::encode(&fingerprint(algorithm, &root)),
            active: self.knows != Knows::Inactive,
            default: false,
        };
        let domain = fill(self.domain.unwrap_or("{domain}"), server);
        Ok(Made {
            chain,
            key,
            root,
            entry: (self.knows != Knows::Nothing).then_some(entry),
            domain,
            announced,
        })
    }
}

/// Host and domain.
fn parts(server: &str) -> (&str, &str) {
    server.split_once('.').unwrap_or((server, ""))
}

fn fill(text: &str, server: &str) -> String {
    let (host, domain) = parts(server);
    text.replace("{server}", server)
        .replace("{SERVER}", &server.to_ascii_uppercase())
        .replace("{host}", host)
        .replace("{domain}", domain)
}
