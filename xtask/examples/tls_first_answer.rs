//! A TLS connection with a client certificate and one answer over it, again and again: to a device in set-up over the
//! network, or to `openssl s_server -WWW`.
//!
//! ```text
//! tls_first_answer device  ADDRESS:PORT TIMES   AMT_GeneralSettings
//! tls_first_answer openssl ADDRESS:PORT TIMES   the file `answer`
//! ```
//! Prints one JSON object: how often, bytes of an answer, and the version of TLS. No session is resumed.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use amt_sim::pki::ProvisioningIdentity;
use amt_sim::tls::{AnyServer, JudgedServer};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

const SCHEMA: &str = "http://intel.com/wbem/wscim/1/amt-schema/1/AMT_GeneralSettings";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (request, address, times) = match words[..] {
        ["device", address, times] => (wsman(), address, times),
        ["openssl", address, times] => ("GET /answer HTTP/1.0\r\n\r\n".to_owned(), address, times),
        _ => return Err("give: device or openssl, ADDRESS:PORT, TIMES".into()),
    };
    let times: usize = times.parse()?;
    let config = Arc::new(config()?);
    let (mut bytes, mut version) = (0, String::new());
    for _ in 0..times {
        let name = ServerName::try_from("amt.corp.example")?;
        let client = ClientConnection::new(Arc::clone(&config), name)?;
        let mut stream = StreamOwned::new(client, TcpStream::connect(address)?);
        stream.sock.set_nodelay(true)?;
        stream.write_all(request.as_bytes())?;
        let answer = receive(&mut stream)?;
        if !answer.starts_with("HTTP/1.") || !answer.contains(" 200 ") {
            return Err(format!("not an answer: {answer:?}").into());
        }
        bytes = answer.len();
        version = format!("{:?}", stream.conn.protocol_version());
    }
    println!(
        "{}",
        serde_json::json!({ "times": times, "bytes": bytes, "version": version })
    );
    Ok(())
}

/// Until the other side ends it, or a SOAP envelope is whole.
fn receive(stream: &mut impl Read) -> Result<String, Box<dyn Error>> {
    let mut answer = Vec::new();
    let mut part = [0; 8192];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => answer.extend(part.get(..count).unwrap_or_default()),
            // openssl closes without saying goodbye.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error.into()),
        }
        if String::from_utf8_lossy(&answer).contains(":Envelope>") {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn wsman() -> String {
    let body = format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\"><s:Header>\
         <a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action><a:To>/wsman</a:To>\
         <w:ResourceURI>{SCHEMA}</w:ResourceURI><a:MessageID>1</a:MessageID><a:ReplyTo>\
         <a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
         </s:Header><s:Body/></s:Envelope>"
    );
    let length = body.len();
    format!("POST /wsman HTTP/1.1\r\nHost: amt\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn config() -> Result<ClientConfig, Box<dyn Error>> {
    let identity = ProvisioningIdentity::for_name("sca.corp.example")?;
    let chain = identity.chain.into_iter().map(CertificateDer::from);
    let key = PrivateKeyDer::try_from(identity.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(JudgedServer::by(AnyServer))
        .with_client_auth_cert(chain.collect(), key)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}
