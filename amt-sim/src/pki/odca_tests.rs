//! The chain's shape, as those see it who verify it.

use rstest::rstest;
use x509_parser::prelude::*;

use super::*;

fn chain(seed: u64) -> OnDieChain {
    OnDieChain::for_device(Seed(seed), "LNL", 20).unwrap()
}

fn read(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).unwrap().1
}

#[test]
fn the_chain_follows_from_the_seed() {
    assert_eq!(chain(7), chain(7));
    let (one, other) = (chain(7), chain(8));
    let same: Vec<bool> = (0..7)
        .map(|at| one.certificates[at] == other.certificates[at])
        .collect();
    assert_eq!(same, [false, false, false, false, true, true, true]);
    assert_ne!(one.hardware_id(), other.hardware_id());
}

#[test]
fn names_of_a_lunar_lake() {
    let chain = chain(7);
    let subjects: Vec<String> = chain
        .certificates
        .iter()
        .map(|der| read(der).subject().to_string())
        .collect();
    assert_eq!(
        subjects,
        [
            "CN=AMT RCFG",
            "CN=ODCA 2 CSME LNL SOC SVN 01 AMT   CA",
            "CN=ODCA 2 CSME LNL SOC SVN 01 Kernel CA",
            "CN=ODCA 2 CSME LNL SOC ROM CA",
            "OU=ODCA 2 CSME P_LNL SOC 00003648 ZE Issuing CA, CN=www.intel.com",
            "OU=ODCA CA2 CSME Intermediate CA, CN=www.intel.com",
            "C=US, O=amt-sim, OU=amt-sim OnDie CA Root Cert Signing, CN=amt-sim on-die root, not Intel's",
        ]
    );
}

#[rstest]
#[case("TGL", 15, "iAMT CSME IDevID RCFG", "On Die CSME P_TGL")]
#[case("ADL", 16, "iAMT CSME IDevID RCFG", "ODCA 2 CSME P_ADL")]
#[case("MTL", 18, "AMT RCFG", "ODCA 2 CSME P_MTL")]
fn names_that_agents_look_for(
    #[case] family: &str,
    #[case] amt: u16,
    #[case] leaf: &str,
    #[case] unit: &str,
) {
    let chain = OnDieChain::for_device(Seed(1), family, amt).unwrap();
    let shown = read(chain.leaf());
    assert_eq!(shown.subject().to_string(), format!("CN={leaf}"));
    let rom = read(&chain.certificates[3]);
    assert!(rom.subject().to_string().contains("ROM CA"));
    assert!(
        rom.issuer().to_string().starts_with(&format!("OU={unit}")),
        "{}",
        rom.issuer()
    );
}

/// Extensions of the leaf: number and order are those of a real one.
#[test]
fn the_leaf_has_five_extensions() {
    let chain = chain(7);
    let leaf = read(chain.leaf());
    let extensions: Vec<(String, bool)> = leaf
        .extensions()
        .iter()
        .map(|extension| (extension.oid.to_id_string(), extension.critical))
        .collect();
    let expected = [
        ("2.5.29.35", false),
        ("2.5.29.19", true),
        ("2.5.29.15", true),
        ("2.5.29.37", true),
        ("2.5.29.31", false),
    ];
    assert_eq!(
        extensions,
        expected.map(|(oid, critical)| (oid.to_owned(), critical))
    );
    assert_eq!(
        leaf.signature_algorithm.algorithm.to_id_string(),
        "1.2.840.10045.4.3.3"
    );
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
    let constraints = leaf.basic_constraints().unwrap().unwrap().value;
    assert!(!constraints.ca);
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && !extended.client_auth);
    assert_eq!(
        [
            leaf.validity().not_before.to_string(),
            leaf.validity().not_after.to_string(),
        ],
        ["Aug 12 00:00:00 2025 +00:00", "Dec 31 23:59:59 2049 +00:00"]
    );
    assert_eq!(leaf.raw_serial().len(), 16);
}

/// The lists of what the intermediate authority revokes for others name it.
#[test]
fn revocation_lists() {
    let chain = chain(7);
    let list = |at: usize| {
        let certificate = read(&chain.certificates[at]);
        let point = certificate.extensions().iter().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::CRLDistributionPoints(points) => points.first().cloned(),
                _ => None,
            }
        });
        point.map(|point| format!("{point:?}"))
    };
    let leaf = list(0).unwrap();
    assert!(leaf.contains("ODCA_CA2_CSME_Indirect.crl"), "{leaf}");
    assert!(leaf.contains("crl_issuer: Some"), "{leaf}");
    let rom = list(3).unwrap();
    assert!(rom.contains("LNL_00003648_OnDie_CA.crl"), "{rom}");
    assert!(rom.contains("crl_issuer: None"), "{rom}");
    assert_eq!(list(6), None);
}

/// Every signature is that of the next key, and authorities are authorities, as another library sees it.
#[test]
fn it_verifies_up_to_the_root() {
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    let chain = chain(7);
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from(chain.root().to_vec()))
        .unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        std::sync::Arc::new(roots),
        provider,
    )
    .build()
    .unwrap();
    let certificates: Vec<_> = chain
        .shown(ChainForm::Six)
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let verdict = rustls::client::danger::ServerCertVerifier::verify_server_cert(
        &*verifier,
        &certificates[0],
        &certificates[1..],
        &ServerName::try_from("vpro.corp.example").unwrap(),
        &[],
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_767_225_600)),
    );
    // The last thing that is looked at is the name, of which there is none.
    let error = verdict.unwrap_err().to_string();
    assert!(error.contains("name") || error.contains("Name"), "{error}");
}

#[test]
fn two_forms() {
    let chain = chain(7);
    assert_eq!(chain.shown(ChainForm::Six).len(), 6);
    assert_eq!(chain.shown(ChainForm::Four).len(), 4);
}

/// Only the leaf differs, and only where it was asked for.
#[test]
fn a_leaf_with_a_name() {
    let genuine = chain(7);
    let called = OnDieChain::for_device_called(Seed(7), "LNL", 20, "localhost").unwrap();
    assert_eq!(genuine.certificates[1..], called.certificates[1..]);
    let name = |der: &[u8]| {
        let certificate = read(der);
        let names = certificate.subject_alternative_name().unwrap()?.value;
        Some(
            names
                .general_names
                .iter()
                .map(ToString::to_string)
                .collect(),
        )
    };
    let names: Option<Vec<String>> = name(called.leaf());
    assert_eq!(names, Some(vec!["DNSName(localhost)".to_owned()]));
    assert_eq!(name(genuine.leaf()), None);
}
