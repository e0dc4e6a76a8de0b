use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use rstest::rstest;

use super::*;
use crate::device::Interface;
use crate::{ClientKind, Device, Event, Preset};

const PATIENCE: Duration = Duration::from_secs(10);
const GET: &str = "GET /logon.htm HTTP/1.1\r\nHost: amt\r\n\r\n";

/// An address that no other test uses.
fn address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    IpAddr::from([127, high, low, NEXT.fetch_add(1, Ordering::Relaxed)])
}

fn device(preset: Preset) -> SharedDevice {
    let device = Device::builder("tiger-lake-15").preset(preset).build();
    SharedDevice::new(device.unwrap())
}

fn open(device: &SharedDevice, side: Interface) -> LocalPorts {
    LocalPorts::open(device, side, address(), Reach::Loopback).unwrap()
}

fn connect(ports: &LocalPorts) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((ports.address(), 16992))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Everything until the device closes.
fn rest(mut socket: TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

fn ask(ports: &LocalPorts, request: &str) -> String {
    let mut socket = connect(ports).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    rest(socket)
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[rstest]
#[case(Preset::Factory, Interface::Local, &[16992])]
#[case(Preset::Factory, Interface::Network, &[])]
#[case(Preset::Admin, Interface::Network, &[16992])]
fn what_is_bound(#[case] preset: Preset, #[case] side: Interface, #[case] expected: &[u16]) {
    let ports = open(&device(preset), side);
    assert_eq!(ports.ports(), expected);
    assert_eq!(connect(&ports).is_ok(), !expected.is_empty());
    ports.stop().unwrap();
}

#[test]
fn several_answers_on_one_connection() {
    let ports = open(&device(Preset::Admin), Interface::Network);
    let mut socket = connect(&ports).unwrap();
    for part in ["GET /logon.", "htm HTTP/1.1\r\nHost: amt\r\n\r", "\n"] {
        socket.write_all(part.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut first = [0; 12];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let close = GET.replace("Host: amt", "Connection: close");
    socket
        .write_all(format!("{GET}{close}").as_bytes())
        .unwrap();
    assert_eq!(rest(socket).matches("HTTP/1.1 200").count(), 2);
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_answer() {
    let ports = open(&device(Preset::Admin), Interface::Network);
    assert!(ask(&ports, GET).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_refusal_reaches_a_client_that_sends_on() {
    let ports = open(&device(Preset::Admin), Interface::Network);
    let request = "POST /wsman HTTP/1.1\r\nHost: amt\r\nContent-Length: 0\r\n\r\n";
    let mut socket = connect(&ports).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    socket.write_all(&[b'x'; 5000]).unwrap();
    let answer = rest(socket);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.ends_with("</html>\n"), "{answer}");
}

#[test]
fn a_digest_login_from_end_to_end() {
    let device = device(Preset::Admin);
    let ports = open(&device, Interface::Network);
    let page = GET.replace("/logon.htm", "/index.htm");
    let refusal = ask(&ports, &page);
    let value = |name: &str| {
        let (_, after) = refusal.split_once(&format!("{name}=\"")).unwrap();
        after.split('"').next().unwrap().to_owned()
    };
    let (realm, nonce) = (value("realm"), value("nonce"));
    let md5 = |text: &str| crate::hex::encode(&Md5::digest(text.as_bytes()));
    let ha1 = md5(&format!("admin:{realm}:{}", Preset::PASSWORD));
    let ha2 = md5("GET:/index.htm");
    let response = md5(&format!("{ha1}:{nonce}:00000001:0a:auth:{ha2}"));
    let login = format!(
        "Authorization: Digest username=\"admin\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"/index.htm\", cnonce=\"0a\", nc=00000001, qop=auth, response=\"{response}\"\r\n\r\n"
    );
    let answer = ask(&ports, &page.replace("\r\n\r\n", &format!("\r\n{login}")));
    assert!(answer.contains("System Status"), "{answer}");
    let uuid = device.with(None, |device| device.identity().uuid.to_string());
    assert!(answer.contains(&uuid), "{answer}");
}

#[test]
fn ports_follow_the_mode_and_take_their_connections_with_them() {
    let device = device(Preset::Client);
    let ports = open(&device, Interface::Network);
    let idle = connect(&ports).unwrap();
    // Unprovision over MEI: allowed in client control mode.
    device.with(None, |device| {
        let handle = device.mei_open().unwrap();
        device
            .mei_connect(handle, ClientKind::Amthi.guid())
            .unwrap();
        let request = [1, 1, 0, 0, 0x10, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0];
        device.mei_write(handle, &request).unwrap();
    });
    eventually("the port stays open", || connect(&ports).is_err());
    assert_eq!(rest(idle), "");
    assert!(ports.ports().is_empty());
}

#[test]
fn a_connection_that_goes_away_is_told_to_the_device() {
    let device = device(Preset::Factory);
    let ports = open(&device, Interface::Local);
    let closed = || {
        device.with(None, |device| {
            let closed = |entry: &&crate::Entry| matches!(entry.event, Event::StreamClosed { .. });
            device.journal().filter(closed).count()
        })
    };
    drop(connect(&ports).unwrap());
    eventually("the stream stays open", || closed() == 1);
    let _idle = connect(&ports).unwrap();
    // The kernel takes a connection before the server does.
    ask(&ports, GET);
    ports.stop().unwrap();
    assert_eq!(closed(), 3);
}

#[test]
fn a_flood_of_requests_is_answered_as_fast_as_it_is_read() {
    let ports = open(&device(Preset::Admin), Interface::Network);
    let socket = connect(&ports).unwrap();
    let mut writer = socket.try_clone().unwrap();
    let requests = std::thread::spawn(move || {
        for _ in 0..3000 {
            writer.write_all(GET.as_bytes()).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(rest(socket).matches("HTTP/1.1 200").count(), 3000);
    requests.join().unwrap();
}

#[test]
fn a_delayed_answer_comes_by_itself() {
    let device = device(Preset::Admin);
    device.with(None, |device| device.arm("http=delay-100".parse().unwrap()));
    let ports = open(&device, Interface::Network);
    let asked = Instant::now();
    assert!(ask(&ports, GET).starts_with("HTTP/1.1 200 OK"));
    assert!(asked.elapsed() >= Duration::from_millis(100));
}

#[test]
fn addresses_that_will_not_do() {
    let device = device(Preset::Admin);
    let open =
        |address: IpAddr, reach| LocalPorts::open(&device, Interface::Network, address, reach);
    let everywhere = IpAddr::from([0, 0, 0, 0]);
    assert!(matches!(
        open(everywhere, Reach::Loopback),
        Err(PortsError::NotLoopback(_))
    ));
    let foreign = IpAddr::from([192, 0, 2, 1]);
    assert!(matches!(
        open(foreign, Reach::Anywhere),
        Err(PortsError::Listen { .. })
    ));
    let first = address();
    let _taken = open(first, Reach::Loopback).unwrap();
    assert!(matches!(
        open(first, Reach::Loopback),
        Err(PortsError::InUse(..))
    ));
}
