//! WS-Management behind a login that holds.
//!
//! An input is one body or several, with the byte 1D between them. All of them are sent by the administrator from the
//! network to a device in admin control mode, and by the host's own account to a device that is not set up.

use amt_sim::device::Interface;
use amt_sim::{Device, Instant, Preset};

use super::login::Login;
use super::{Before, LONGEST_INPUT, device, is_well};

/// Stands between two bodies.
pub const NEXT: u8 = 0x1d;

/// More bodies of one input are not looked at.
const MOST_BODIES: usize = 16;

pub fn run(input: &[u8]) {
    if input.len() <= LONGEST_INPUT {
        statuses(input);
    }
}

/// What the administrator is answered, and the host's own account.
pub fn statuses(input: &[u8]) -> [Vec<u16>; 2] {
    let admin = Login::new("admin".to_owned(), Preset::PASSWORD.to_owned());
    let admin = talk(device(Preset::Admin), Interface::Network, admin, input);
    let fresh = device(Preset::Factory);
    let account = fresh.local_account();
    let os_admin = Login::new(account.user.to_string(), account.password.clone());
    [admin, talk(fresh, Interface::Local, os_admin, input)]
}

fn talk(mut device: Device, side: Interface, mut login: Login, input: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    let before = Before::of(&device);
    let mut now = Instant::POWER_ON;
    for body in input.split(|byte| *byte == NEXT).take(MOST_BODIES) {
        let (status, answer) = login.post(&mut device, side, body);
        match status {
            // Either it is not listening any more, or a head that big is no request.
            0 => assert!(!device.stream_listens(side, super::PORT)),
            200 => is_envelope(&answer),
            // A fault, or a body that is too long.
            400 if body.len() <= 64 * 1024 => is_envelope(&answer),
            400 | 401 => {}
            other => panic!("status {other}"),
        }
        statuses.push(status);
    }
    login.hang_up(&mut device);
    is_well(&mut device, &before, &mut now);
    statuses
}

/// Readers in the field take ASCII and nothing else, and XML readers look at all of it.
fn is_envelope(answer: &[u8]) {
    let text = std::str::from_utf8(answer).expect("an answer is text");
    assert!(text.is_ascii(), "an answer is ASCII: {text}");
    let document = roxmltree::Document::parse(text);
    let document = document.unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(document.root_element().has_tag_name("Envelope"));
}

/// A request that every device answers where this account may ask.
pub fn get(class: &str) -> String {
    let base = match class.split('_').next() {
        Some("AMT") => "http://intel.com/wbem/wscim/1/amt-schema/1/",
        Some("IPS") => "http://intel.com/wbem/wscim/1/ips-schema/1/",
        _ => "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/",
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Envelope xmlns=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\"><Header>\
         <a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action><a:To>/wsman</a:To>\
         <w:ResourceURI>{base}{class}</w:ResourceURI><a:MessageID>0</a:MessageID><a:ReplyTo>\
         <a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
         <w:OperationTimeout>PT60S</w:OperationTimeout></Header><Body/></Envelope>"
    )
}
