//! Somebody else on the same network: says Hello in other machines' names, in ways that no device does, and puts another
//! machine in the place of the device.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use amt_sim::Guid;
use amt_sim::device::Seed;

use super::hello::{Hello, RootHash};
use super::sca::{Job, Machine};
use super::sca_session::Session;
use super::talk::JobState;
use super::{Console, Delivery, Field, Lan};
use crate::role::certificates::{CertificateForm, Identity};
use crate::role::setup::Host;
use crate::scenario::{HelloForm, HelloSource, Order, StandIn};
use crate::wire::Amthi;

/// The stranger that comes with the harness.
#[derive(Debug)]
pub struct Stranger {
    seed: Seed,
    /// What the device itself said last, which everybody on the network can hear.
    overheard: Option<Vec<u8>>,
}

impl Stranger {
    /// An address of nobody in the story.
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));

    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            overheard: None,
        }
    }

    pub(super) fn overhear(&mut self, call: &Delivery) {
        self.overheard = Some(call.pieces.concat());
    }

    /// A connection to the SCA's port.
    pub(super) fn call(
        &self,
        order: &Order,
        machines: &[String],
        device: IpAddr,
    ) -> Result<Delivery, String> {
        let from = match order.from {
            HelloSource::Device => device,
            HelloSource::Elsewhere => Self::ELSEWHERE,
        };
        let genuine = match &self.overheard {
            Some(bytes) => bytes.clone(),
            None => self.plausible(machines.first())?.encode(),
        };
        let pieces = self.pieces(order.hello, genuine, machines)?;
        Ok(Delivery { from, pieces })
    }

    /// What the machine would say that was ordered first.
    fn plausible(&self, uuid: Option<&String>) -> Result<Hello, String> {
        use sha2::Digest as _;
        let uuid = uuid.ok_or("nobody has ordered anything yet")?;
        let identity = Identity::of(CertificateForm::Good).map_err(|error| error.to_string())?;
        let root = identity.chain.last().cloned().unwrap_or_default();
        Ok(Hello {
            credentials_set: true,
            version: 3,
            retry: 0,
            uuid: uuid.parse::<Guid>().map_err(|error| error.to_string())?,
            hashes: vec![RootHash {
                algorithm: 2,
                digest: sha2::Sha256::digest(&root).to_vec(),
            }],
        })
    }

    fn pieces(
        &self,
        form: HelloForm,
        mut bytes: Vec<u8>,
        machines: &[String],
    ) -> Result<Vec<Vec<u8>>, String> {
        let mut set = |at: usize, value: u8| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        };
        match form {
            HelloForm::Genuine => {}
            HelloForm::InTwo => {
                let rest = bytes.split_off(bytes.len() / 2);
                return Ok(vec![bytes, rest]);
            }
            HelloForm::ByteByByte => return Ok(bytes.into_iter().map(|byte| vec![byte]).collect()),
            HelloForm::Version2 => set(2, 2),
            HelloForm::Version4 => set(2, 4),
            HelloForm::Credentials2 => set(0, 2),
            HelloForm::Retry15 => set(4, 15),
            HelloForm::Count34 => {
                let last = bytes.get(25..59).map(<[u8]>::to_vec).unwrap_or_default();
                let count = usize::from(bytes.get(24).copied().unwrap_or(0));
                for _ in count..34 {
                    bytes.extend_from_slice(&last);
                }
                if let Some(count) = bytes.get_mut(24) {
                    *count = 34;
                }
            }
            HelloForm::CountTooHigh => {
                let count = bytes.get(24).copied().unwrap_or(0);
                if let Some(byte) = bytes.get_mut(24) {
                    *byte = count.wrapping_add(1);
                }
            }
            HelloForm::UnknownAlgorithm => set(25, 9),
            HelloForm::WrongHashLength => set(26, 33),
            HelloForm::Trailing => bytes.extend_from_slice(b"and more"),
            HelloForm::Truncated => {
                let _ = bytes.split_off(bytes.len().saturating_sub(10));
            }
            HelloForm::UnknownUuid => {
                let uuid = self.seed.bytes::<16>("a stranger's machine", 0);
                if let Some(field) = bytes.get_mut(8..24) {
                    field.copy_from_slice(&uuid);
                }
            }
            HelloForm::OtherMachine => {
                let other = machines.get(1).ok_or("nobody has ordered anything yet")?;
                let uuid: Guid = other
                    .parse()
                    .map_err(|_| "the other machine has no UUID".to_owned())?;
                if let Some(field) = bytes.get_mut(8..24) {
                    field.copy_from_slice(&uuid.to_wire());
                }
            }
            HelloForm::OtherRoots => {
                let mut hello = Hello::parse(&bytes).map_err(|error| error.to_string())?;
                for hash in &mut hello.hashes {
                    if let Some(byte) = hash.digest.first_mut() {
                        *byte ^= 0xff;
                    }
                }
                bytes = hello.encode();
            }
        }
        Ok(vec![bytes])
    }

    /// Another machine of the same kind takes the device's place on the network.
    pub(super) fn stand_in(
        &self,
        lan: &dyn Lan,
        form: StandIn,
        console: &Console,
    ) -> Result<(), String> {
        let machine = lan
            .place_stand_in()
            .ok_or("no other machine can be put there in real time")?;
        let host = Host {
            port: machine.as_ref(),
            clock: machine.as_ref(),
        };
        let text = |error: crate::wire::amthi::AmthiError| error.to_string();
        let mut amthi = Amthi::open(host.port, host.clock).map_err(text)?;
        let otp = match form {
            StandIn::NoOtp => None,
            // Whoever learned it can set it.
            StandIn::SameOtp | StandIn::Configured => console.otp(),
        };
        if let Some(otp) = otp {
            amthi.set_otp(otp.as_bytes()).map_err(text)?;
        }
        let status = amthi.start_configuration_ex(false).map_err(text)?;
        if status != 0 {
            return Err(format!("the other machine does not start: status {status}"));
        }
        host.clock.pause(Duration::from_secs(10 * 60));
        if form == StandIn::Configured {
            let job = Job {
                uuid: amthi.uuid().map_err(text)?.to_string(),
                address: lan.device_address(),
            };
            let mut known = Machine {
                otp: None,
                state: JobState::AtWork,
                why: None,
                certificate: None,
            };
            let mut session = Session {
                job: &job,
                machine: &mut known,
                field: Field {
                    host,
                    lan,
                    epoch: 0,
                },
                seed: Seed(self.seed.0 ^ 0xbad),
                patience: Session::PATIENCE,
                misbehaviour: None,
            };
            session
                .configure(&Order::default())
                .map_err(|stop| stop.to_string())?;
        }
        Ok(())
    }
}
