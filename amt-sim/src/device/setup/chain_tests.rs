//! From a provisioning chain into admin control mode: return values and reasons as an application meets them.

use rcgen::IsCa;
use rstest::rstest;

use super::test_support::*;
use super::*;
use crate::pki::Digest;
use crate::pki::test_chain::{Plan, SHORT_KEY, TestChain};

const PROFILE: &str = "alder-lake-16";

fn leaf_of(chain: &TestChain) -> Server {
    Server {
        certificate: chain.build()[0].clone(),
        key: chain.key(),
    }
}

fn admin(fw: &mut Firmware, signer: &Server) -> u32 {
    let signature = signer.sign_nonces(fw, &MC_NONCE);
    admin_setup(fw, PASSWORD, signed(&MC_NONCE, &signature))
}

#[test]
fn a_whole_chain_and_a_signature_lead_to_admin_control_mode() {
    let mut fw = device(PROFILE);
    let chain = TestChain::good();
    assert_eq!(chain_status(&fw), ChainStatus::NotStarted);
    assert_eq!(send_chain(&mut fw, &chain.build()), 0);
    assert_eq!(chain_status(&fw), ChainStatus::Complete);
    let nonce = configuration_nonce(&fw);
    assert_eq!(admin(&mut fw, &leaf_of(&chain)), 0);
    assert_eq!(fw.mode(), Mode::Admin);
    assert_eq!(fw.state.admin_ha1.as_deref(), Some(DIGEST));
    assert_ne!(configuration_nonce(&fw), nonce);
    assert_eq!(chain_status(&fw), ChainStatus::NotStarted);

    let Some(ProvisioningRecord::Admin(record)) = &fw.state.provisioning_record else {
        panic!("{:?}", fw.state.provisioning_record);
    };
    let root = chain.root_entry(HashAlgorithm::Sha256, true);
    assert_eq!(record.certificate_cn, "mc.corp.example");
    assert_eq!(record.hash, Some((HashAlgorithm::Sha256, root.hash)));
    assert!(record.secure_dns && !record.hash_is_default && !record.ehbc);
    assert_eq!(record.ca_serials.len(), 2);
    assert_eq!(record.at, NOON);
}

#[test]
fn an_upgrade_keeps_the_password_and_replaces_the_record() {
    let mut fw = device(PROFILE);
    assert_eq!(unsigned_setup(&mut fw), 0);
    let chain = TestChain::good();
    assert_eq!(send_chain(&mut fw, &chain.build()), 0);
    let signature = leaf_of(&chain).sign_nonces(&fw, &MC_NONCE);
    let value = upgrade_client_to_admin(&mut fw, signed(&MC_NONCE, &signature));
    assert_eq!(value, 0);
    assert_eq!(fw.mode(), Mode::Admin);
    assert_eq!(fw.state.admin_ha1.as_deref(), Some(DIGEST));
    let record = fw.state.provisioning_record.as_ref();
    assert!(matches!(record, Some(ProvisioningRecord::Admin(_))));
}

type Change = fn(&mut Plan);

#[rstest]
#[case::expired(0, |plan: &mut Plan| plan.years = (2020, 2025), ChainRefusal::Expired)]
#[case::sha1(0, |plan: &mut Plan| plan.digest = Digest::Sha1, ChainRefusal::WeakDigest)]
#[case::rsa_1024(0, |plan: &mut Plan| plan.key = SHORT_KEY, ChainRefusal::ShortKey)]
#[case::other_suffix(0, |plan: &mut Plan| plan.common_name = Some("mc.other.example"), ChainRefusal::OtherSuffix)]
#[case::look_alike_suffix(0, |plan: &mut Plan| plan.common_name = Some("mc.evilcorp.example"), ChainRefusal::LookAlikeSuffix)]
#[case::no_mark(0, |plan: &mut Plan| { plan.unit = None; plan.usages.truncate(1) }, ChainRefusal::NotForSetup)]
#[case::not_for_servers(0, |plan: &mut Plan| { plan.usages.remove(0); }, ChainRefusal::NotServer)]
#[case::no_authority(1, |plan: &mut Plan| plan.authority = IsCa::ExplicitNoCa, ChainRefusal::NotAuthority)]
#[case::other_root(2, |plan: &mut Plan| plan.serial = vec![9], ChainRefusal::UnknownRoot)]
fn a_chain_that_does_not_verify_is_return_value_4(
    #[case] place: usize,
    #[case] change: Change,
    #[case] reason: ChainRefusal,
) {
    let mut fw = device(PROFILE);
    let chain = TestChain::good().at(place, change).build();
    assert_eq!(send_chain(&mut fw, &chain), 4);
    assert_eq!(last_refusal(&fw), Some(SetupRefusal::Chain(reason)));
    assert_eq!(chain_status(&fw), ChainStatus::NotStarted);
    assert_eq!(fw.mode(), Mode::PreProvisioning);
}

#[test]
fn an_inactive_root_is_return_value_4() {
    let mut fw = device(PROFILE);
    fw.state.hashes.last_mut().unwrap().active = false;
    assert_eq!(send_chain(&mut fw, &TestChain::good().build()), 4);
    let reason = SetupRefusal::Chain(ChainRefusal::InactiveRoot);
    assert_eq!(last_refusal(&fw), Some(reason));
}

#[test]
fn a_chain_out_of_order_is_return_value_4_or_3() {
    let mut fw = device(PROFILE);
    let chain = TestChain::with_intermediates(2).build();
    let mixed = [&chain[0], &chain[2], &chain[1], &chain[3]].map(Clone::clone);
    assert_eq!(send_chain(&mut fw, &mixed), 4);
    let reason = SetupRefusal::Chain(ChainRefusal::NotIssuer);
    assert_eq!(last_refusal(&fw), Some(reason));
    // Root first, by its flags too: there is no chain that it could end.
    assert_eq!(add_next_certificate(&mut fw, &chain[3], false, true), 3);
    let reason = SetupRefusal::Chain(ChainRefusal::NoLeaf);
    assert_eq!(last_refusal(&fw), Some(reason));
}

#[test]
fn a_chain_that_is_too_long_is_return_value_5() {
    let mut fw = device(PROFILE);
    let chain = TestChain::with_intermediates(4).build();
    assert_eq!(send_chain(&mut fw, &chain), 5);
    let reason = SetupRefusal::Chain(ChainRefusal::TooLong);
    assert_eq!(last_refusal(&fw), Some(reason));
}

#[rstest]
#[case(b"no certificate", true, false, ChainRefusal::Unreadable)]
#[case(b"", true, false, ChainRefusal::Unreadable)]
#[case(b"", true, true, ChainRefusal::Flags)]
fn what_is_no_certificate_is_return_value_1(
    #[case] der: &[u8],
    #[case] leaf: bool,
    #[case] root: bool,
    #[case] reason: ChainRefusal,
) {
    let mut fw = device(PROFILE);
    assert_eq!(add_next_certificate(&mut fw, der, leaf, root), 1);
    assert_eq!(last_refusal(&fw), Some(SetupRefusal::Chain(reason)));
}

#[test]
fn a_truncated_chain_is_no_chain() {
    let chain = TestChain::good();
    let certificates = chain.build();
    let mut fw = device(PROFILE);
    assert_eq!(
        add_next_certificate(&mut fw, &certificates[0], true, false),
        0
    );
    assert_eq!(
        add_next_certificate(&mut fw, &certificates[1], false, false),
        0
    );
    assert_eq!(chain_status(&fw), ChainStatus::InProgress);
    assert_eq!(admin(&mut fw, &leaf_of(&chain)), 2);
    assert_eq!(last_refusal(&fw), Some(SetupRefusal::ChainIncomplete));

    let mut fw = without(PROFILE, Rule::SETUP_CHAIN_COMPLETE);
    assert_eq!(
        add_next_certificate(&mut fw, &certificates[0], true, false),
        0
    );
    assert_eq!(admin(&mut fw, &leaf_of(&chain)), 0);
}

#[test]
fn a_chain_in_progress_is_gone_with_the_power() {
    let mut fw = device(PROFILE);
    let chain = TestChain::good();
    assert_eq!(send_chain(&mut fw, &chain.build()), 0);
    let mut fw = reboot(fw, NOON);
    assert_eq!(chain_status(&fw), ChainStatus::NotStarted);
    assert_eq!(admin(&mut fw, &leaf_of(&chain)), 2);
}

#[test]
fn a_signature_of_another_key_than_the_leafs_is_return_value_5() {
    let mut fw = device(PROFILE);
    let chain = TestChain::good();
    assert_eq!(send_chain(&mut fw, &chain.build()), 0);
    assert_eq!(admin(&mut fw, &Server::rogue()), 5);
    assert_eq!(last_refusal(&fw), Some(SetupRefusal::Signature));
    // The chain still stands: the right signature is taken without sending it again.
    assert_eq!(admin(&mut fw, &leaf_of(&chain)), 0);
}

#[test]
fn an_unsigned_admin_setup_is_return_value_3() {
    let mut fw = device(PROFILE);
    assert_eq!(send_chain(&mut fw, &TestChain::good().build()), 0);
    assert_eq!(admin_setup(&mut fw, PASSWORD, Proof::default()), 3);
    assert_eq!(last_refusal(&fw), Some(SetupRefusal::SigningAlgorithm));
}

#[test]
fn enterprise_configuration_works_without_certificates() {
    let mut fw = device(PROFILE);
    fw.state.ehbc = true;
    assert_eq!(admin_setup(&mut fw, PASSWORD, Proof::default()), 0);
    assert_eq!(fw.mode(), Mode::Admin);
    let Some(ProvisioningRecord::Admin(record)) = &fw.state.provisioning_record else {
        panic!("{:?}", fw.state.provisioning_record);
    };
    assert!(record.ehbc && record.hash.is_none() && record.certificate_cn.is_empty());
}

#[test]
fn without_a_domain_of_its_own_the_device_takes_the_one_from_dhcp() {
    let mut fw = device(PROFILE);
    fw.state.pki_dns_suffix.clear();
    let chain = TestChain::good();
    assert_eq!(send_chain(&mut fw, &chain.build()), 0);
    assert_eq!(admin(&mut fw, &leaf_of(&chain)), 0);
    let Some(ProvisioningRecord::Admin(record)) = &fw.state.provisioning_record else {
        panic!("{:?}", fw.state.provisioning_record);
    };
    assert!(!record.secure_dns);
}

#[test]
fn an_older_generation_takes_sha1() {
    let mut fw = device("tiger-lake-15");
    let chain = TestChain::good().leaf(|leaf| leaf.digest = Digest::Sha1);
    assert_eq!(send_chain(&mut fw, &chain.build()), 0);
}
