//! Revocation lists: fetched by the addresses in the certificates, believed when their issuer signed them.
//!
//! The world that publishes them is ours: what `amt-sim ca odca` writes into `crls/`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use amt_sim::Profile;
use amt_sim::pki::revocation_lists;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

use super::verifier::{Refusal, signed_by};

/// What is published, by the last part of its address.
#[derive(Debug, Clone, Default)]
pub struct Lists(BTreeMap<String, Vec<u8>>);

impl Lists {
    /// The lists of every platform that has a profile.
    pub fn published() -> Self {
        static PUBLISHED: OnceLock<Lists> = OnceLock::new();
        PUBLISHED.get_or_init(Self::collect).clone()
    }

    fn collect() -> Self {
        let mut all = BTreeMap::new();
        for file in fixtures::PROFILES {
            let Ok(profile) = Profile::builtin(file.name) else {
                continue;
            };
            if !profile.capabilities.on_die_ca {
                continue;
            }
            let amt = profile.firmware.parts()[0];
            let lists = revocation_lists(&profile.platform.family, amt);
            for list in lists.into_iter().flatten() {
                all.insert(
                    format!("{} {}", profile.platform.family, list.file),
                    list.der,
                );
            }
        }
        Self(all)
    }

    /// Every certificate of the chain but the root, which nobody can revoke.
    pub fn judge(&self, chain: &[X509Certificate<'_>], now: i64) -> Result<(), Refusal> {
        for certificate in chain.iter().take(chain.len().saturating_sub(1)) {
            let Some(file) = file_of(certificate) else {
                return Err(Refusal::List);
            };
            // Lists of several platforms have one name, where the authorities that sign them are the same.
            let mut known = self
                .0
                .iter()
                .filter(|(name, _)| name.ends_with(&format!(" {file}")));
            let good = |(_, der): (_, &Vec<u8>)| is_on(der, certificate, chain, now);
            let answers: Vec<_> = known.by_ref().map(good).collect();
            if answers.contains(&Some(true)) {
                return Err(Refusal::Revoked);
            }
            if !answers.contains(&Some(false)) {
                return Err(Refusal::List);
            }
        }
        Ok(())
    }
}

/// The last part of the address of the list that this certificate would be on.
fn file_of(certificate: &X509Certificate<'_>) -> Option<String> {
    let extensions = certificate.extensions().iter();
    let points = extensions.filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => Some(&points.points),
        _ => None,
    });
    let names = points
        .flatten()
        .filter_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => Some(names),
            _ => None,
        });
    names.flatten().find_map(|name| match name {
        GeneralName::URI(uri) => uri.rsplit('/').next().map(str::to_owned),
        _ => None,
    })
}

/// Whether a certificate is on a list; `None` when the list is not one to go by.
fn is_on(
    der: &[u8],
    certificate: &X509Certificate<'_>,
    chain: &[X509Certificate<'_>],
    now: i64,
) -> Option<bool> {
    const CERTIFICATE_ISSUER: &str = "2.5.29.29";
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let issuer = list.issuer().as_raw();
    // An indirect list is that of an authority higher up.
    let signer = chain.iter().find(|one| one.subject().as_raw() == issuer)?;
    if !signed_by(
        list.tbs_cert_list.as_ref(),
        &list.signature_value.data,
        signer,
    ) {
        return None;
    }
    let current = list.last_update().timestamp() <= now
        && list
            .next_update()
            .is_some_and(|next| now <= next.timestamp());
    if !current {
        return None;
    }
    let mine = certificate.issuer().as_raw();
    let direct = issuer == mine;
    let listed = list.iter_revoked_certificates().any(|entry| {
        let whose = entry
            .extensions()
            .iter()
            .find(|extension| extension.oid.to_id_string() == CERTIFICATE_ISSUER);
        // Numbers are unique below one issuer only.
        let of_mine = match whose {
            Some(names) => names.value.windows(mine.len()).any(|window| window == mine),
            None => direct,
        };
        of_mine && entry.user_certificate == certificate.tbs_certificate.serial
    });
    Some(listed)
}
