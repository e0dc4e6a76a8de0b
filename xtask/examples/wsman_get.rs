//! How long one WS-Management request takes over a connection that is kept, from a device and from a bare web server.
//!
//! ```text
//! wsman_get ask ADDRESS:PORT PASSWORD TIMES   AMT_GeneralSettings, each time with a digest login of its own count
//! wsman_get answer BYTES                      hyper: answers whatever comes with so many bytes, head included
//! ```
//! `ask` prints one JSON object: nanoseconds a request (median) and bytes of an answer. `answer` prints its address and
//! serves until it is killed.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use amt_sim::device::digest_a1;
use amt_sim::hex;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::rt::{Read as HyperRead, ReadBufCursor, Write as HyperWrite};
use hyper::{Request, Response, header};
use md5::{Digest as _, Md5};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Not measured: caches and clocks get warm.
const WARM_UP: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["ask", address, password, times] => ask(address, password, times.parse()?),
        ["answer", bytes] => answer(bytes.parse()?),
        _ => Err("give: ask ADDRESS:PORT PASSWORD TIMES, or: answer BYTES".into()),
    }
}

fn ask(address: &str, password: &str, times: usize) -> Result<(), Box<dyn Error>> {
    let mut buffer = Vec::new();
    let mut stream = connect(address)?;
    stream.write_all(request(address, "").as_bytes())?;
    receive(&mut stream, &mut buffer)?;
    let login = Login::new(&String::from_utf8_lossy(&buffer), password);
    // The device closes after its challenge.
    stream = connect(address)?;
    let mut figures = Vec::with_capacity(times);
    for turn in 0..times + WARM_UP {
        let started = Instant::now();
        let authorization = login.header(turn + 1);
        stream.write_all(request(address, &authorization).as_bytes())?;
        receive(&mut stream, &mut buffer)?;
        if !buffer.starts_with(b"HTTP/1.1 200 ") {
            return Err(String::from_utf8_lossy(&buffer).into());
        }
        if turn >= WARM_UP {
            figures.push(started.elapsed().as_nanos());
        }
    }
    figures.sort_unstable();
    let median = figures.get(figures.len() / 2).copied().unwrap_or_default();
    println!(r#"{{"median_ns":{median},"bytes":{}}}"#, buffer.len());
    Ok(())
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn request(address: &str, authorization: &str) -> String {
    const BODY: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Envelope xmlns=\"http://www.w3.org/2003/05/soap-envelope\" \
        xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\">\
        <Header><a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action><a:To>/wsman</a:To>\
        <w:ResourceURI>http://intel.com/wbem/wscim/1/amt-schema/1/AMT_GeneralSettings</w:ResourceURI>\
        <a:MessageID>1</a:MessageID><a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous\
        </a:Address></a:ReplyTo><w:OperationTimeout>PT60S</w:OperationTimeout></Header><Body></Body></Envelope>";
    format!(
        "POST /wsman HTTP/1.1\r\nHost: {address}\r\n{authorization}Content-Type: application/soap+xml; charset=utf-8\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}

/// One answer, in chunks or with a length.
fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    buffer.clear();
    let mut part = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut part)?;
        buffer.extend_from_slice(part.get(..count).unwrap_or_default());
        if count == 0 {
            return Err("the connection ended inside an answer".into());
        }
        let Some(head) = buffer.windows(4).position(|end| end == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(buffer.get(..head).unwrap_or_default());
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>())
        });
        let complete = match length {
            Some(length) => buffer.len() >= head + 4 + length?,
            None => buffer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if complete {
            return Ok(());
        }
    }
}

/// What follows from a challenge; who gave none gets the same work done.
struct Login {
    realm: String,
    nonce: String,
    a1: String,
}

impl Login {
    fn new(challenge: &str, password: &str) -> Self {
        let value = |name: &str| {
            let rest = challenge.split_once(&format!("{name}=\""));
            rest.and_then(|(_, rest)| rest.split('"').next())
                .unwrap_or("none")
                .to_owned()
        };
        let (realm, nonce) = (value("realm"), value("nonce"));
        let a1 = digest_a1("admin", &realm, password);
        Self { realm, nonce, a1 }
    }

    fn header(&self, count: usize) -> String {
        let Self { realm, nonce, a1 } = self;
        let md5 = |text: String| hex::encode(&Md5::digest(text));
        let a2 = md5("POST:/wsman".to_owned());
        let response = md5(format!("{a1}:{nonce}:{count:08x}:0a4f113b:auth:{a2}"));
        format!(
            "Authorization: Digest username=\"admin\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"/wsman\",response=\"{response}\",qop=\"auth\",nc=\"{count:08x}\",cnonce=\"0a4f113b\"\r\n"
        )
    }
}

fn answer(bytes: usize) -> Result<(), Box<dyn Error>> {
    // Head: status line, type, length and date.
    let body = Bytes::from(vec![b'x'; bytes.saturating_sub(135)]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let body = body.clone();
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                respond(request, body.clone())
            });
            let connection = hyper::server::conn::http1::Builder::new();
            let connection = connection.serve_connection(Stream(stream), service);
            tokio::spawn(async move {
                // A peer that goes away is no trouble.
                let _ = connection.await;
            });
        }
    })
}

async fn respond(request: Request<Incoming>, body: Bytes) -> Result<Response<Whole>, Infallible> {
    let mut asked = pin!(request.into_body());
    while let Some(Ok(_)) = poll_fn(|context| asked.as_mut().poll_frame(context)).await {}
    let mut response = Response::new(Whole(Some(body)));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/soap+xml; charset=UTF-8"),
    );
    Ok(response)
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// tokio's stream as hyper reads and writes it.
struct Stream(tokio::net::TcpStream);

impl HyperRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut bytes = [0; 8192];
        let room = into.remaining().min(bytes.len());
        let mut read = ReadBuf::new(bytes.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.0).poll_read(context, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl HyperWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
