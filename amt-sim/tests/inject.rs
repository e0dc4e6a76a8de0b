//! Replacing the on-die root in a program, as the program meets it: this binary has a vendor's stand-in compiled in,
//! and starts itself again under each back end to say which root it sees.
//!
//! Where the machine does not allow it the tests say why and pass.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::unwrap_used, reason = "a broken promise is a panic")]

use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use amt_sim::device::Seed;
use amt_sim::host::SharedDevice;
use amt_sim::host::backend::{self, Backend, Options};
use amt_sim::host::inject::{self, Injector, Scope};
use amt_sim::pki::OnDieChain;
use amt_sim::{Device, Event, hex};
use rstest::rstest;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What an agent trusts. The pair of address and length is what tells it from bytes that merely lie about.
static ROOT: &[u8] = include_bytes!("data/other-on-die-root.der");

const ROLE: &str = "AMT_SIM_INJECT_ROLE";

/// Not a test: the way in for the program under test.
#[test]
fn role() {
    match std::env::var(ROLE).as_deref() {
        Ok("shows") => println!("root {}", hex::encode(black_box(ROOT))),
        Ok("starts") => {
            let status = command("shows").status();
            assert!(status.unwrap().success());
        }
        Ok("becomes") => panic!("{}", command("shows").exec()),
        _ => {}
    }
}

fn command(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::null());
    command
}

/// What a program under a back end says its root is, and the journal.
fn seen(command: Command, backend: Backend, injects: bool) -> (Vec<u8>, Vec<Event>) {
    let device = SharedDevice::new(Device::builder("arrow-lake-19").build().unwrap());
    let injector = injects.then(|| Arc::new(Injector::new(&device, false)));
    let (read, write) = std::io::pipe().unwrap();
    let mut command = command;
    command.stdout(write);
    let options = Options::default();
    let mut running =
        backend::run_with(&device, command, backend, &options, injector.clone()).unwrap();
    assert!(running.wait().unwrap().success());
    running.stop().unwrap();
    let said = std::io::read_to_string(read).unwrap();
    let line = said.lines().find_map(|line| line.split("root ").nth(1));
    let root = hex::decode(line.unwrap_or_else(|| panic!("it said:\n{said}"))).unwrap();
    let events: Vec<Event> = device.with(None, |device| {
        device.journal().map(|entry| entry.event.clone()).collect()
    });
    if let Some(injector) = injector {
        assert_eq!(injector.result().1, None);
    }
    (root, events)
}

fn works(backend: Backend) -> bool {
    if let Err(unavailable) = backend::choose(Some(backend)) {
        println!("not tried: {unavailable}");
        return false;
    }
    if let Err(unavailable) = inject::probe() {
        println!("not tried: {unavailable}");
        return false;
    }
    true
}

#[rstest]
fn the_program_sees_the_devices_root(
    #[values(Backend::Cuse, Backend::Fuse, Backend::Seccomp)] backend: Backend,
    #[values("shows", "starts", "becomes")] role: &str,
) {
    if !works(backend) {
        return;
    }
    let (root, events) = seen(command(role), backend, true);
    assert_eq!(root.len(), ROOT.len());
    assert_ne!(root, ROOT);
    let chain = OnDieChain::for_device(Seed(1), "ARL", 19).unwrap();
    let key = |der: &[u8]| {
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        certificate.public_key().raw.to_vec()
    };
    assert_eq!(key(&root), key(chain.root()));
    let injected = events
        .iter()
        .filter(|event| matches!(event, Event::RootInjected { places: 1, .. }));
    // One for each program that began.
    let expected = if role == "shows" { 1 } else { 2 };
    assert_eq!(injected.count(), expected, "{events:?}");
    // The file is as it was.
    let (root, events) = seen(command("shows"), backend, false);
    assert_eq!(root, ROOT);
    let injected = |event: &Event| matches!(event, Event::RootInjected { .. });
    assert!(!events.iter().any(injected));
}

#[test]
fn a_wrapper_is_refused_unless_it_is_said_to_be_one() {
    if !works(Backend::Seccomp) {
        return;
    }
    let device = SharedDevice::new(Device::builder("arrow-lake-19").build().unwrap());
    let injector = Injector::new(&device, false);
    let shell = Path::new("/bin/sh");
    let refused = injector.check(shell, Scope::Program).unwrap_err();
    assert!(refused.to_string().contains("/bin/sh"), "{refused}");
    assert_eq!(injector.check(shell, Scope::Descendants), Ok(()));

    let mut wrapped = Command::new(shell);
    wrapped
        .args(["-c", "\"$0\" --exact role --nocapture; true"])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, "shows");
    let (root, _) = seen(wrapped, Backend::Seccomp, true);
    assert_ne!(root, ROOT);
}

#[test]
fn this_binary_is_fit() {
    if inject::probe().is_err() {
        return;
    }
    let device = SharedDevice::new(Device::builder("arrow-lake-19").build().unwrap());
    let itself = std::env::current_exe().unwrap();
    let checked = Injector::new(&device, false).check(&itself, Scope::Program);
    assert_eq!(checked, Ok(()));
    assert!(black_box(ROOT).len() > 600);
}
