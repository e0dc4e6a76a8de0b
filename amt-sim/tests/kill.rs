//! `amt-sim serve` is killed at any moment of set-up over the network: the state file is what it was or what it has
//! become, never less than what was answered, and the flow can be started again to its end.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise is a panic"
)]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amt_sim::device::State;
use amt_sim::host::port::{MeiPort, SocketPort};
use amt_sim::host::process::kill_process;
use amt_sim::pki::{ProvisioningIdentity, pem};
use amt_sim::tls::{AnyServer, JudgedServer};
use amt_sim::{ClientKind, Mode};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

const PATIENCE: Duration = Duration::from_secs(20);
const OTP: &[u8] = b"OneTime4You!";
const DIGEST: &str = "ABEiM0RVZneImaq7zN3u/w==";

/// What an agent and an SCA do, in this order. Each is answered when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Otp,
    Start,
    Hello,
    MebxPassword,
    Administrator,
    Commit,
}

const STEPS: [Step; 6] = [
    Step::Otp,
    Step::Start,
    Step::Hello,
    Step::MebxPassword,
    Step::Administrator,
    Step::Commit,
];

impl Step {
    /// Whether memory holds what this step did.
    fn is_in(self, state: &State) -> bool {
        let committed = state.mode == Mode::Admin;
        let flow = state.out_of_band.as_ref();
        match self {
            Self::Otp => committed || state.otp.as_deref().map(str::as_bytes) == Some(OTP),
            Self::Start => committed || state.mode == Mode::SetupOutOfBand,
            Self::Hello => {
                committed || flow.is_some_and(|flow| flow.open_since.is_some() && flow.hellos > 0)
            }
            Self::MebxPassword => state.mebx_password_set,
            Self::Administrator => state.admin_ha1.is_some(),
            Self::Commit => committed,
        }
    }
}

/// A folder, an address and an SCA of one run's own.
struct Place {
    folder: PathBuf,
    address: IpAddr,
    sca: TcpListener,
    identity: ProvisioningIdentity,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Place {
    fn new() -> Self {
        let name = format!("amt-sim-kill-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let identity = ProvisioningIdentity::for_name("sca.corp.example").unwrap();
        let root = pem("CERTIFICATE", identity.chain.last().unwrap());
        fs::write(folder.join("root.pem"), root).unwrap();
        let [.., high, low] = std::process::id().to_be_bytes();
        let sca = TcpListener::bind("127.0.0.1:0").unwrap();
        sca.set_nonblocking(true).unwrap();
        Self {
            folder,
            address: IpAddr::from([127, high | 0x40, low, 7]),
            sca,
            identity,
        }
    }

    fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn state(&self) -> Option<State> {
        let text = fs::read_to_string(self.state_file()).ok()?;
        Some(serde_json::from_str(&text).expect("the state file is whole"))
    }

    /// Forgets the device, and whoever still knocks at the SCA.
    fn clear(&self) {
        let _ = fs::remove_file(self.state_file());
        while self.sca.accept().is_ok() {}
    }

    fn serve(&self) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amt-sim"));
        command
            .args(["serve", "--time", "jump", "--set", "timings.mei_reply_ms=0"])
            .args(["--address", &self.address.to_string()])
            .args(["--sca", &self.sca.local_addr().unwrap().to_string()])
            .arg("--trust")
            .arg(self.folder.join("root.pem"))
            .arg("--state")
            .arg(self.state_file())
            .arg("--mei-socket")
            .arg(self.folder.join("mei.sock"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready: "), "{line}");
        Served(child)
    }
}

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Agent and SCA in one.
struct Driver<'a> {
    place: &'a Place,
    sca: Option<Sca>,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

impl Driver<'_> {
    fn amthi(&self, operation: u8, data: &[u8]) -> Outcome<(u32, Vec<u8>)> {
        let port = SocketPort::at(self.place.folder.join("mei.sock"));
        let mut channel = port.connect(ClientKind::Amthi.guid())?;
        let length = u8::try_from(data.len())?;
        let mut message = vec![1, 1, 0, 0, operation, 0, 0, 4, length, 0, 0, 0];
        message.extend(data);
        channel.send(&message)?;
        let answer = channel.receive(PATIENCE)?;
        let status = answer.get(12..16).ok_or("a short answer")?;
        Ok((
            u32::from_le_bytes(status.try_into()?),
            answer.get(16..).unwrap_or_default().to_vec(),
        ))
    }

    fn expect(&self, operation: u8, data: &[u8]) -> Outcome<()> {
        match self.amthi(operation, data)? {
            (0, _) => Ok(()),
            (status, _) => panic!("AMTHI {operation:#04x} is answered with status {status}"),
        }
    }

    fn take(&mut self, step: Step, alive: &dyn Fn() -> bool) -> Outcome<()> {
        match step {
            Step::Otp => {
                let length = u8::try_from(OTP.len())?;
                self.expect(0x2a, &[&[length, 0], OTP].concat())
            }
            Step::Start => self.expect(0x62, &[0; 4]),
            Step::Hello => self.hear_hello(alive),
            Step::MebxPassword => self.call(
                ("AMT_SetupAndConfigurationService", "SetMEBxPassword"),
                "<r:Password>P@ssw0rd</r:Password>",
                alive,
            ),
            Step::Administrator => self.call(
                ("AMT_AuthorizationService", "SetAdminAclEntryEx"),
                &format!(
                    "<r:Username>admin</r:Username><r:DigestPassword>{DIGEST}</r:DigestPassword>"
                ),
                alive,
            ),
            Step::Commit => self.call(
                ("AMT_SetupAndConfigurationService", "CommitChanges"),
                "",
                alive,
            ),
        }
    }

    fn hear_hello(&self, alive: &dyn Fn() -> bool) -> Outcome<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.place.sca.accept() {
                Ok((mut peer, _)) => {
                    let mut bytes = Vec::new();
                    peer.set_nonblocking(false)?;
                    peer.set_read_timeout(Some(PATIENCE))?;
                    peer.read_to_end(&mut bytes)?;
                    // Less than the fixed part: it was killed while it spoke.
                    return match bytes.len() {
                        25.. => Ok(()),
                        _ => Err("cut off".into()),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !alive() {
                        return Err("gone".into());
                    }
                    assert!(Instant::now() < until, "no Hello came");
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn call(
        &mut self,
        (class, method): (&str, &str),
        input: &str,
        alive: &dyn Fn() -> bool,
    ) -> Outcome<()> {
        if self.sca.is_none() {
            let to = SocketAddr::new(self.place.address, 16993);
            let until = Instant::now() + PATIENCE;
            // A Hello from before StopConfiguration may have come late: the port is not open again yet.
            let sca = loop {
                match Sca::connect(to, &self.place.identity) {
                    Err(_) if alive() && Instant::now() < until => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    other => break other?,
                }
            };
            self.sca = Some(sca);
        }
        let Some(sca) = &mut self.sca else {
            return Err("no connection".into());
        };
        let answer = sca.call(class, method, input)?;
        assert!(answer.contains("ReturnValue>0<"), "{method}: {answer}");
        Ok(())
    }

    /// Whatever is left of the last life is given up, and everything is done from the beginning.
    fn finish(&mut self) {
        let (status, data) = self.amthi(0x11, &[]).unwrap();
        assert_eq!(status, 0);
        match data.first() {
            Some(2) => return,
            Some(1) => self.expect(0x5e, &[]).unwrap(),
            _ => {}
        }
        for step in STEPS {
            self.take(step, &|| true)
                .unwrap_or_else(|error| panic!("{step:?}: {error}"));
        }
    }
}

/// One TLS connection to the device, with a certificate that it believes.
struct Sca(StreamOwned<ClientConnection, TcpStream>);

impl Sca {
    fn connect(to: SocketAddr, identity: &ProvisioningIdentity) -> Outcome<Self> {
        let chain = identity.chain.iter().cloned().map(CertificateDer::from);
        let key = PrivateKeyDer::try_from(identity.key.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(JudgedServer::by(AnyServer))
            .with_client_auth_cert(chain.collect(), key)?;
        let name = ServerName::try_from("amt.corp.example")?;
        let socket = TcpStream::connect(to)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let client = ClientConnection::new(Arc::new(config), name)?;
        Ok(Self(StreamOwned::new(client, socket)))
    }

    fn call(&mut self, class: &str, method: &str, input: &str) -> Outcome<String> {
        let schema = format!("http://intel.com/wbem/wscim/1/amt-schema/1/{class}");
        let body = format!(
            "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
             xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
             xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" xmlns:r=\"{schema}\"><s:Header>\
             <a:Action>{schema}/{method}</a:Action><a:To>/wsman</a:To><w:ResourceURI>{schema}</w:ResourceURI>\
             <a:MessageID>1</a:MessageID><a:ReplyTo>\
             <a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
             </s:Header><s:Body><r:{method}_INPUT>{input}</r:{method}_INPUT></s:Body></s:Envelope>"
        );
        let length = body.len();
        write!(
            self.0,
            "POST /wsman HTTP/1.1\r\nHost: amt\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        self.0.flush()?;
        let mut answer = Vec::new();
        loop {
            let mut part = [0; 4096];
            let count = self.0.read(&mut part)?;
            answer.extend(part.get(..count).unwrap_or_default());
            let text = String::from_utf8_lossy(&answer);
            // Chunked or not, an envelope ends with this.
            if text.contains(":Envelope>") {
                return Ok(text.into_owned());
            }
            if count == 0 {
                return Err(format!("cut off: {text}").into());
            }
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// The steps that were answered until the device was killed: so long after this step was begun.
fn killed_in(place: &Place, at: Step, after: Duration) -> Vec<Step> {
    let mut served = place.serve();
    let process = served.0.id();
    let mut driver = Driver { place, sca: None };
    let mut answered = Vec::new();
    let mut killer = None;
    for step in STEPS {
        if step == at {
            killer = Some(std::thread::spawn(move || {
                std::thread::sleep(after);
                kill_process(process);
            }));
        }
        // An id that was waited for could be another's: nobody waits before the killer is done.
        let alive = || {
            Path::new(&format!("/proc/{process}/exe"))
                .read_link()
                .is_ok()
        };
        if driver.take(step, &alive).is_err() {
            break;
        }
        answered.push(step);
    }
    killer
        .expect("every step is one of the flow")
        .join()
        .unwrap();
    served.0.wait().unwrap();
    answered
}

#[test]
fn killed_at_any_moment_the_flow_can_be_started_again() {
    let place = Place::new();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for at in STEPS {
        // Around the moment of the write, and some time later.
        for below in [400, 12_000] {
            place.clear();
            let after = Duration::from_micros(dice.roll(below));
            let answered = killed_in(&place, at, after);
            let state = place.state().expect("it was saved at power-on");
            for step in &answered {
                let told = format!("{step:?} was answered, then killed {after:?} into {at:?}");
                assert!(step.is_in(&state), "{told}: {state:#?}");
            }
            // Nothing that never was: whoever administers a device that is not set up.
            let odd = state.mode == Mode::PreProvisioning && state.admin_ha1.is_some();
            assert!(!odd, "{state:#?}");
            while place.sca.accept().is_ok() {}

            let _served = place.serve();
            Driver {
                place: &place,
                sca: None,
            }
            .finish();
            assert_eq!(place.state().unwrap().mode, Mode::Admin);
        }
    }
}
