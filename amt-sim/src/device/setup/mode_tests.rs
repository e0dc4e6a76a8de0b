//! In which mode which method works, and the life of the nonce.

use rstest::rstest;

use super::test_support::*;
use super::*;
use crate::pki::test_chain::TestChain;

#[rstest]
#[case(Mode::Disabled, 2, 3, 2, 2)]
#[case(Mode::PreProvisioning, 0, 0, 0, 2)]
#[case(Mode::SetupOutOfBand, 2, 3, 2, 2)]
#[case(Mode::SetupHostBased, 2, 3, 2, 2)]
#[case(Mode::HalfClient, 2, 3, 2, 2)]
#[case(Mode::HalfAdmin, 2, 3, 2, 2)]
#[case(Mode::Client, 2, 0, 2, 0)]
#[case(Mode::Admin, 2, 3, 2, 2)]
fn return_values_by_mode(
    #[case] mode: Mode,
    #[case] setup: u32,
    #[case] chain: u32,
    #[case] admin: u32,
    #[case] upgrade: u32,
) {
    let fresh = || {
        let mut fw = device("alder-lake-16");
        fw.state.mode = mode;
        fw
    };
    assert_eq!(unsigned_setup(&mut fresh()), setup);

    let good = TestChain::good();
    let leaf = Server {
        certificate: good.build()[0].clone(),
        key: good.key(),
    };
    let with_chain = || {
        let mut fw = fresh();
        assert_eq!(send_chain(&mut fw, &good.build()), chain);
        let signature = leaf.sign_nonces(&fw, &MC_NONCE);
        (fw, signature)
    };
    let (mut fw, signature) = with_chain();
    let value = admin_setup(&mut fw, PASSWORD, signed(&MC_NONCE, &signature));
    assert_eq!(value, admin);
    let (mut fw, signature) = with_chain();
    let value = upgrade_client_to_admin(&mut fw, signed(&MC_NONCE, &signature));
    assert_eq!(value, upgrade);
}

#[test]
fn a_chain_in_any_mode_when_the_rule_is_off() {
    let mut fw = without("alder-lake-16", Rule::SETUP_CHAIN_STATE);
    fw.state.mode = Mode::Admin;
    assert_eq!(send_chain(&mut fw, &TestChain::good().build()), 0);
}

#[test]
fn admin_setup_went_with_csme_19() {
    let mut fw = device("arrow-lake-19");
    let value = admin_setup(&mut fw, PASSWORD, Proof::default());
    assert_eq!(
        (value, last_refusal(&fw)),
        (2, Some(SetupRefusal::Unsupported))
    );
}

#[test]
fn every_set_up_and_every_unprovision_renews_the_nonce() {
    let mut fw = device("alder-lake-16");
    let mut seen = vec![configuration_nonce(&fw)];
    let mut renewed = |fw: &Firmware| {
        let nonce = configuration_nonce(fw);
        assert!(!seen.contains(&nonce));
        seen.push(nonce);
    };
    assert_eq!(unsigned_setup(&mut fw), 0);
    renewed(&fw);
    fw.trigger(Trigger::MeiUnprovision).unwrap();
    renewed(&fw);
    assert_eq!(unsigned_setup(&mut fw), 0);
    renewed(&fw);
    fw.trigger(Trigger::WsmanUnprovision).unwrap();
    renewed(&fw);
    fw.trigger(Trigger::Mebx).unwrap();
    renewed(&fw);
}

#[test]
fn the_nonce_outlives_a_reboot_and_is_another_devices_own() {
    let fw = device("alder-lake-16");
    let nonce = configuration_nonce(&fw);
    let mut fw = reboot(fw, NOON);
    assert_eq!(configuration_nonce(&fw), nonce);
    fw.seed = crate::device::Seed(8);
    assert_ne!(configuration_nonce(&fw), nonce);
}

#[test]
fn an_unprovision_over_mei_erases_custom_hashes_and_the_record() {
    let mut fw = device("alder-lake-16");
    assert_eq!(unsigned_setup(&mut fw), 0);
    assert!(fw.state.hashes.iter().any(|hash| !hash.default));
    fw.trigger(Trigger::MeiUnprovision).unwrap();
    assert!(fw.state.hashes.iter().all(|hash| hash.default));
    assert_eq!(fw.state.provisioning_record, None);
    assert_eq!(fw.state.admin_ha1, None);
}

#[test]
fn client_control_mode_can_be_disabled() {
    let mut fw = device("alder-lake-16");
    let both = [ControlMode::Admin, ControlMode::Client];
    assert_eq!(allowed_control_modes(&fw), both);
    assert_eq!(disable_client_control_mode(&mut fw), 0);
    assert_eq!(allowed_control_modes(&fw), [ControlMode::Admin]);
    assert_eq!(unsigned_setup(&mut fw), 4);
    assert_eq!(last_refusal(&fw), Some(SetupRefusal::ClientModeDisabled));

    let mut fw = reboot(fw, NOON);
    assert_eq!(unsigned_setup(&mut fw), 4);
    fw.trigger(Trigger::Mebx).unwrap();
    assert_eq!(unsigned_setup(&mut fw), 0);
    assert_eq!(disable_client_control_mode(&mut fw), 2);
}

#[test]
fn a_disabled_client_mode_is_ignored_when_the_rule_is_off() {
    let mut fw = without("alder-lake-16", Rule::SETUP_CLIENT_MODE_DISABLED);
    assert_eq!(disable_client_control_mode(&mut fw), 0);
    assert_eq!(unsigned_setup(&mut fw), 0);
}

#[rstest]
#[case(Rule::SETUP_PASSWORD_TYPE, Password { encryption: 0, digest: DIGEST })]
fn a_password_type_is_ignored_when_the_rule_is_off(
    #[case] rule: Rule,
    #[case] password: Password<'static>,
) {
    let mut fw = without("alder-lake-16", rule);
    assert_eq!(setup(&mut fw, password, None, Proof::default()), 0);
}
