//! The client against a device in virtual time, over every carrier.

use std::sync::Arc;

use amt_sim::device::Interface;
use amt_sim::pki::ProvisioningIdentity;
use amt_sim::{Device, Event, Preset, Profile};
use rstest::rstest;

use super::super::pipe::LmeDialer;
use super::super::tls::{ServerJudge, TlsDialer, TlsError, TlsIdentity, TlsOptions, TlsVersion};
use super::super::{Amthi, base64};
use super::*;
use crate::run::VirtualDevice;

const SERVICE: &str = "AMT_SetupAndConfigurationService";

fn admin() -> VirtualDevice {
    let device = Device::builder("tiger-lake-15").preset(Preset::Admin);
    VirtualDevice::new(device.build().unwrap())
}

fn login() -> Option<Login> {
    Some(Login::new("admin", Preset::PASSWORD))
}

fn sca() -> ProvisioningIdentity {
    ProvisioningIdentity::for_name("sca.corp.example").unwrap()
}

fn identity(of: &ProvisioningIdentity) -> Option<TlsIdentity> {
    Some(TlsIdentity::new(&of.chain, &of.key).unwrap())
}

/// A device whose network interface is open, and that trusts the root of [`sca`].
fn in_setup(trusts: bool) -> VirtualDevice {
    let hash = amt_sim::hex::encode(&sca().root_hash());
    let entry = format!(
        "[{{ name = \"ours\", algorithm = \"sha256\", hash = \"{hash}\", active = true, default = false }}]"
    );
    let mut profile = Profile::builtin("tiger-lake-15").unwrap();
    if trusts {
        profile = profile.with("certificates.custom", &entry).unwrap();
    }
    let world = VirtualDevice::new(Device::of(Arc::new(profile)).build().unwrap());
    let mut amthi = Amthi::open(&world, &world).unwrap();
    assert_eq!(amthi.set_otp(b"PassWord1234").unwrap(), 0);
    assert_eq!(amthi.start_configuration_ex(false).unwrap(), 0);
    world.pause(Duration::from_secs(421));
    world
}

fn requests(world: &VirtualDevice) -> (usize, usize) {
    let journal = world.journal();
    let count = |matches: fn(&Event) -> bool| {
        let events = journal.iter().map(|entry| &entry.event);
        events.filter(|event| matches(event)).count()
    };
    (
        count(|event| matches!(event, Event::StreamOpened { .. })),
        count(|event| matches!(event, Event::HttpRequest { .. })),
    )
}

#[rstest]
#[case(Kept::Once, (4, 4))]
#[case(Kept::Alive, (2, 4))]
fn with_digest_over_the_network(#[case] kept: Kept, #[case] want: (usize, usize)) {
    let world = admin();
    let dialer = world.dialer(Interface::Network);
    let mut client = Client::over(&dialer, 16992, login(), kept);
    for _ in 0..3 {
        client.get("AMT_GeneralSettings").unwrap();
    }
    // The refusal of the first one closes its connection.
    assert_eq!(requests(&world), want);
    let mut client = Client::over(&dialer, 16992, Some(Login::new("admin", "wrong")), kept);
    let error = client.get("AMT_GeneralSettings").unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error}");
}

#[test]
fn with_digest_through_the_host() {
    let world = VirtualDevice::new(Device::builder("tiger-lake-15").build().unwrap());
    let account = Amthi::open(&world, &world)
        .unwrap()
        .local_account()
        .unwrap();
    let dialer = LmeDialer::new(&world, &world);
    let login = Some(Login::new(account.user, account.password));
    let mut client = Client::over(&dialer, 16992, login, Kept::Alive);
    for _ in 0..3 {
        client.get("AMT_GeneralSettings").unwrap();
    }
    // Another connection beside the first.
    let mut other = dialer.open(16992).unwrap();
    other
        .send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    client.get("AMT_GeneralSettings").unwrap();
    let answer = other.receive(PATIENCE).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "));
}

#[rstest]
#[case(TlsVersion::Tls12, Kept::Once)]
#[case(TlsVersion::Tls13, Kept::Alive)]
fn by_certificate_without_a_login(#[case] version: TlsVersion, #[case] kept: Kept) {
    let world = in_setup(true);
    let network = world.dialer(Interface::Network);
    let options = TlsOptions {
        identity: identity(&sca()),
        versions: vec![version],
        ..TlsOptions::default()
    };
    let tls = TlsDialer::new(&network, options);
    let mut client = Client::over(&tls, 16993, None, kept);
    let service = client.get(SERVICE).unwrap();
    let otp = service.text_of("ProvisioningServerOTP").unwrap();
    assert_eq!(base64::decode(otp).unwrap(), b"PassWord1234");
    client.get(SERVICE).unwrap();
    let seen = tls.seen();
    assert_eq!(seen.len(), if kept == Kept::Alive { 1 } else { 2 });
    assert!(seen[0].finished && seen[0].cipher.is_some());
    assert_eq!(tls.last_leaf(), seen[0].chain.first().cloned());
}

/// The second has a chain, but no root that the device knows.
#[rstest]
#[case(TlsVersion::Tls12, false, true)]
#[case(TlsVersion::Tls13, false, true)]
#[case(TlsVersion::Tls12, true, false)]
#[case(TlsVersion::Tls13, true, false)]
fn whoever_is_not_wanted_gets_no_answer(
    #[case] version: TlsVersion,
    #[case] shows: bool,
    #[case] alert: bool,
) {
    let world = in_setup(false);
    let network = world.dialer(Interface::Network);
    let options = TlsOptions {
        identity: identity(&sca()).filter(|_| shows),
        versions: vec![version],
        ..TlsOptions::default()
    };
    let tls = TlsDialer::new(&network, options);
    let result = Client::over(&tls, 16993, None, Kept::Alive).get(SERVICE);
    let error = result.unwrap_err();
    let named = matches!(error, ClientError::Pipe(PipeError::Tls(TlsError::Alert(_))));
    assert!(matches!(error, ClientError::Pipe(_)), "{error:?}");
    assert!(named || !alert, "{error:?}");
}

#[derive(Debug)]
struct Nobody;

impl ServerJudge for Nobody {
    fn judge(&self, chain: &[&[u8]]) -> Result<(), String> {
        Err(format!("{} certificates, none of them good", chain.len()))
    }
}

#[test]
fn our_own_judge_ends_the_handshake_and_what_he_saw_is_kept() {
    let world = in_setup(true);
    let network = world.dialer(Interface::Network);
    let options = TlsOptions {
        identity: identity(&sca()),
        judge: Arc::new(Nobody),
        ..TlsOptions::default()
    };
    let tls = TlsDialer::new(&network, options);
    let error = tls.open(16993).unwrap_err();
    assert!(error.to_string().contains("none of them good"), "{error}");
    assert!(!tls.seen()[0].finished && !tls.seen()[0].chain.is_empty());
}

#[test]
fn nobody_listens_before_set_up() {
    let world = VirtualDevice::new(Device::builder("tiger-lake-15").build().unwrap());
    let network = world.dialer(Interface::Network);
    let error = network.open(16993).unwrap_err();
    assert!(matches!(error, PipeError::NotListening(16993)), "{error}");
}
