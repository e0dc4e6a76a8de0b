//! The configuration application: the program on the host that sets the device up.
//!
//! It draws McNonce, reads ConfigurationNonce and hashes both (step 1 of the page), sends the hash to the server (2), gets
//! signature and certificate from it (3) and calls the method (4). The other steps are the device's and the checker's.

use std::time::Duration;

use amt_sim::device::Seed;
use amt_sim::hex;
use serde_json::json;
use sha2::{Digest as _, Sha256, Sha384};

use super::record::Record;
use super::server::{HashName, Question, Reply, Server, ask};
use super::trust::Trust;
use super::{Door, SERVICE, Trouble};
use crate::fact::{Fact, Facts};
use crate::role::Misbehaviour;
use crate::role::on_die::Refusal;
use crate::scenario::{ChainForm, HashForm, NonceForm, Order, SendForm, Way};
use crate::wire::soap::{Element, SoapError};
use crate::wire::{Client, base64, digest};

/// Control modes as GetControlMode has them.
const CLIENT: u32 = 1;
const ADMIN: u32 = 2;

/// Bytes of a nonce.
const NONCE: usize = 20;

/// The application that comes with the harness.
#[derive(Debug)]
pub struct Application {
    seed: Seed,
    misbehaviour: Option<Misbehaviour>,
    trust: Trust,
    /// Nonces drawn so far.
    draws: u64,
    /// Password that it gives `admin`.
    password: String,
    /// ConfigurationNonce as last read.
    configuration_nonce: Option<Vec<u8>>,
    /// The one before it.
    earlier_nonce: Option<Vec<u8>>,
    /// Control mode when the nonce was last read.
    mode_before: Option<u32>,
    prepared: Option<Prepared>,
    answered: Option<Answered>,
    /// The last request that was signed.
    earlier: Option<Answered>,
}

/// Steps 1 and 2.
#[derive(Debug, Clone)]
struct Prepared {
    uuid: String,
    mc_nonce: Vec<u8>,
    algorithm: HashName,
    hash: Vec<u8>,
}

/// Step 3: everything that a signed request needs.
#[derive(Debug, Clone)]
struct Answered {
    mc_nonce: Vec<u8>,
    signature: Vec<u8>,
    /// DER, leaf first, root last.
    chain: Vec<Vec<u8>>,
}

impl Application {
    /// What `admin` is called where nobody has renamed it.
    const ADMIN: &'static str = "admin";

    pub(super) fn new(seed: Seed, misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            seed,
            misbehaviour,
            trust: Trust::new(misbehaviour),
            draws: 0,
            password: "Applic4tion!".to_owned(),
            configuration_nonce: None,
            earlier_nonce: None,
            mode_before: None,
            prepared: None,
            answered: None,
            earlier: None,
        }
    }

    pub(super) fn is_prepared(&self) -> bool {
        self.prepared.is_some()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    fn is(&self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

    /// Why it did not believe the device, if it did not.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.trust.refusal()
    }

    fn os_admin<'a>(&self, host: Door<'a>) -> Result<Client<'a>, Trouble> {
        Ok(self.trust.guard(host.host, host.os_admin()?))
    }

    fn admin<'a>(&self, host: Door<'a>) -> Client<'a> {
        let client = host.login(Self::ADMIN, &self.password);
        self.trust.guard(host.host, client)
    }

    /// Steps 1 and 2, but for the sending.
    pub(super) fn prepare(&mut self, host: Door<'_>, order: &Order) -> Result<(), Trouble> {
        let uuid = host.amthi()?.uuid()?.to_string();
        let reuse = self.is(Misbehaviour::ReusesConfigurationNonce);
        if !(reuse && self.configuration_nonce.is_some()) {
            let service = self.os_admin(host)?.get(SERVICE)?;
            self.mode_before = service.text_of("CurrentControlMode")?.parse().ok();
            self.saw(nonce_of(&service)?);
        }
        let current = self.configuration_nonce.clone().unwrap_or_default();
        let mc_nonce = self.mc_nonce(order.mc_nonce);
        let first = match order.hash {
            HashForm::EarlierNonce => self.earlier_nonce.clone().unwrap_or_default(),
            _ => current,
        };
        let swapped = order.hash == HashForm::SwappedNonces || self.is(Misbehaviour::SwapsNonces);
        let message = match order.hash {
            HashForm::OneNonce => first,
            _ if swapped => [mc_nonce.as_slice(), &first].concat(),
            _ => [first.as_slice(), &mc_nonce].concat(),
        };
        let (algorithm, hash) = match order.hash {
            HashForm::Sha384 => (HashName::Sha384, Sha384::digest(&message).to_vec()),
            HashForm::Twice => {
                let hash = Sha256::digest(Sha256::digest(&message)).to_vec();
                (HashName::Sha256, hash)
            }
            _ => (HashName::Sha256, Sha256::digest(&message).to_vec()),
        };
        self.answered = None;
        self.prepared = Some(Prepared {
            uuid,
            mc_nonce,
            algorithm,
            hash,
        });
        Ok(())
    }

    /// Step 2 and 3.
    pub(super) fn ask_server(&mut self, server: &mut Server, order: &Order) -> Result<(), Trouble> {
        let Some(prepared) = self.prepared.take() else {
            return Err(Trouble::Other("there is nothing to sign yet".to_owned()));
        };
        let question = Question::Sign {
            uuid: prepared.uuid.clone(),
            algorithm: prepared.algorithm,
            hash: hex::encode(&prepared.hash),
        };
        let reply = ask(server, &question, order).map_err(Trouble::Server)?;
        self.answered = Some(Answered::of(prepared.mc_nonce.clone(), reply)?);
        self.prepared = Some(prepared);
        Ok(())
    }

    /// Setup without a signature.
    pub(super) fn set_up_unsigned(
        &mut self,
        host: Door<'_>,
        server: &mut Server,
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        let mut client = self.os_admin(host)?;
        let parameters = self.password(&mut client)?;
        let good = self.call(&mut client, "Setup", &parameters, facts)?;
        self.finish(host, client, server, good)
    }

    /// Step 4.
    pub(super) fn set_up_signed(
        &mut self,
        host: Door<'_>,
        order: &Order,
        server: &mut Server,
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        let mut client = self.os_admin(host)?;
        let request = self.request(order)?;
        let mut parameters = self.password(&mut client)?;
        if !self.is(Misbehaviour::DropsSignature) {
            self.sign(&mut parameters, &request, order, true);
        }
        let good = self.call_for_mode(host, &mut client, ("Setup", CLIENT), &parameters, facts)?;
        self.spend(request);
        self.finish(host, client, server, good)
    }

    /// The chain, then AdminSetup.
    pub(super) fn set_up_admin(
        &mut self,
        host: Door<'_>,
        order: &Order,
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        let mut client = self.os_admin(host)?;
        let request = self.request(order)?;
        let mut good = self.send_chain(&mut client, &request.chain, order.chain, facts)?;
        if good || self.is(Misbehaviour::GoesOnAfterRefusal) {
            let mut parameters = self.password(&mut client)?;
            self.sign(&mut parameters, &request, order, false);
            good =
                self.call_for_mode(host, &mut client, ("AdminSetup", ADMIN), &parameters, facts)?;
        }
        self.spend(request);
        Ok(good)
    }

    /// The chain, then UpgradeClientToAdmin: with the rights of `admin`.
    pub(super) fn upgrade(
        &mut self,
        host: Door<'_>,
        order: &Order,
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        let mut client = self.admin(host);
        let request = self.request(order)?;
        let mut good = self.send_chain(&mut client, &request.chain, order.chain, facts)?;
        if good || self.is(Misbehaviour::GoesOnAfterRefusal) {
            let mut parameters = Vec::new();
            self.sign(&mut parameters, &request, order, false);
            let upgrade = ("UpgradeClientToAdmin", ADMIN);
            good = self.call_for_mode(host, &mut client, upgrade, &parameters, facts)?;
        }
        self.spend(request);
        Ok(good)
    }

    /// Out of service: over MEI without a password, or over WS-Management as `admin`.
    pub(super) fn unprovision(
        &mut self,
        host: Door<'_>,
        order: &Order,
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        if order.over == Way::Mei {
            let status = host.amthi()?.unprovision()?;
            facts.insert(Fact::AMTHI_STATUS, json!(status));
            return Ok(status == 0 || self.is(Misbehaviour::IgnoresReturnValue));
        }
        let mut client = self.admin(host);
        let class = "AMT_SetupAndConfigurationService";
        let parameters = [("ProvisioningMode", "1".to_owned())];
        let answer = client.invoke(class, "Unprovision", &parameters)?;
        tell(facts, "Unprovision", answer.return_value);
        Ok(answer.return_value == 0)
    }

    /// Reads the nonce, and says whether it is another one than before.
    pub(super) fn look(&mut self, host: Door<'_>, facts: &mut Facts) -> Result<(), Trouble> {
        let nonce = read_nonce(&mut self.os_admin(host)?)?;
        if let Some(before) = &self.configuration_nonce {
            facts.insert(Fact::NONCE_RENEWED, json!(*before != nonce));
        }
        self.saw(nonce);
        Ok(())
    }

    fn saw(&mut self, nonce: Vec<u8>) {
        if self.configuration_nonce.as_ref() != Some(&nonce) {
            self.earlier_nonce = self.configuration_nonce.replace(nonce);
        }
    }

    /// requirement `app.setup.fresh-nonce`: twenty bytes that were never used before.
    fn mc_nonce(&mut self, form: NonceForm) -> Vec<u8> {
        let reuse = form == NonceForm::Reused || self.is(Misbehaviour::ReusesMcNonce);
        if !(reuse && self.draws > 0) {
            self.draws += 1;
        }
        let mut nonce = self.seed.bytes::<NONCE>("McNonce", self.draws).to_vec();
        if form == NonceForm::Short {
            nonce.truncate(16);
        }
        nonce
    }

    /// What is sent of a signed request.
    fn request(&self, order: &Order) -> Result<Answered, Trouble> {
        let request = match order.send {
            SendForm::EarlierRequest => &self.earlier,
            _ => &self.answered,
        };
        request
            .clone()
            .ok_or_else(|| Trouble::Other("there is no signature to send".to_owned()))
    }

    /// The password of `admin` as the device wants it.
    fn password(&self, client: &mut Client<'_>) -> Result<Vec<(&'static str, String)>, Trouble> {
        password(client, Self::ADMIN, &self.password)
    }

    fn sign(
        &self,
        parameters: &mut Vec<(&'static str, String)>,
        request: &Answered,
        order: &Order,
        with_certificate: bool,
    ) {
        let other_nonce = || self.seed.bytes::<NONCE>("another McNonce", 0).to_vec();
        let mc_nonce = match order.send {
            SendForm::OtherNonce => other_nonce(),
            _ => request.mc_nonce.clone(),
        };
        let leaf = request.chain.first().cloned().unwrap_or_default();
        let parts = [
            ("McNonce", base64::encode(&mc_nonce), SendForm::NoNonce),
            (
                "Certificate",
                base64::encode(&leaf),
                SendForm::NoCertificate,
            ),
            (
                "SigningAlgorithm",
                order.algorithm.to_string(),
                SendForm::All,
            ),
            (
                "DigitalSignature",
                base64::encode(&request.signature),
                SendForm::NoSignature,
            ),
        ];
        for (name, value, left_out_by) in parts {
            let left_out = left_out_by == order.send && order.send != SendForm::All;
            if !left_out && (name != "Certificate" || with_certificate) {
                parameters.push((name, value));
            }
        }
    }

    /// One certificate a call. Says whether all were taken.
    fn send_chain(
        &self,
        client: &mut Client<'_>,
        chain: &[Vec<u8>],
        form: ChainForm,
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        let mut good = true;
        for (der, leaf, root) in arranged(chain, form) {
            let parameters = [
                ("NextCertificate", base64::encode(der)),
                ("IsLeafCertificate", leaf.to_string()),
                ("IsRootCertificate", root.to_string()),
            ];
            good &= self.call(client, "AddNextCertInChain", &parameters, facts)?;
            // requirement `app.setup.stops-at-refusal`
            if !good && !self.is(Misbehaviour::GoesOnAfterRefusal) {
                break;
            }
        }
        Ok(good)
    }

    /// Calls a method of the service, and says whether it did what it should.
    fn call(
        &self,
        client: &mut Client<'_>,
        method: &'static str,
        parameters: &[(&str, String)],
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        let first = client.invoke(SERVICE, method, parameters);
        let answer = if self.is(Misbehaviour::SendsAgain) && method != "AddNextCertInChain" {
            let again = client.invoke(SERVICE, method, parameters);
            let good = matches!(&first, Ok(answer) if answer.return_value == 0);
            if good { first } else { again }
        } else {
            first
        }?;
        let value = match self.is(Misbehaviour::IgnoresReturnValue) {
            true => 0,
            false => answer.return_value,
        };
        tell(facts, method, value);
        Ok(value == 0)
    }

    /// The same of a method that leads to another control mode.
    ///
    /// requirement `app.setup.lost-answer`: who gets no answer asks the device where it is, before it says that it failed.
    fn call_for_mode(
        &self,
        host: Door<'_>,
        client: &mut Client<'_>,
        (method, wanted): (&'static str, u32),
        parameters: &[(&str, String)],
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        match self.call(client, method, parameters, facts) {
            Err(trouble) if trouble.is_lost_answer() && !self.takes_loss_for_failure() => {
                let mode = patiently(host, || Ok(host.amthi()?.control_mode()?))?;
                let was_elsewhere = self.mode_before.is_some_and(|before| before != wanted);
                match mode == wanted && was_elsewhere {
                    true => Ok(true),
                    false => Err(trouble),
                }
            }
            result => result,
        }
    }

    fn takes_loss_for_failure(&self) -> bool {
        self.is(Misbehaviour::TakesLossForFailure)
    }

    /// A signature serves once.
    fn spend(&mut self, request: Answered) {
        self.earlier = Some(request);
        self.prepared = None;
        self.answered = None;
    }

    /// Tells the server when the device says that it was set up. The device is; what is only asked now may be asked again.
    fn finish(
        &self,
        host: Door<'_>,
        client: Client<'_>,
        server: &mut Server,
        good: bool,
    ) -> Result<bool, Trouble> {
        if !good {
            return Ok(false);
        }
        // Where local ports speak TLS only, the mode is set and not yet in force.
        const IN: u32 = 1;
        const POST: u32 = 2;
        let state = || patiently(host, || Ok(host.amthi()?.provisioning_state()?));
        if state()? == IN {
            let class = "AMT_SetupAndConfigurationService";
            let committed = self.admin(host).invoke(class, "CommitChanges", &[]);
            match committed.map_err(Trouble::from) {
                Ok(answer) if answer.return_value != 0 => return Ok(false),
                Ok(_) => {}
                Err(trouble) if !trouble.is_lost_answer() || self.takes_loss_for_failure() => {
                    return Err(trouble);
                }
                Err(trouble) if state()? != POST => return Err(trouble),
                Err(_) => {}
            }
        }
        let uuid = patiently(host, || Ok(host.amthi()?.uuid()?))?.to_string();
        let mut logged_in = Some(client);
        let record = patiently(host, || {
            // Another login may be needed, as after a power cut.
            let mut client = match logged_in.take() {
                Some(client) => client,
                None => self.os_admin(host)?,
            };
            Ok(Record::read(&mut client)?)
        })?;
        if let Some(record) = record {
            let question = Question::Done {
                uuid,
                created: record.created,
            };
            ask(server, &question, &Order::default()).map_err(Trouble::Server)?;
        }
        Ok(true)
    }
}

impl Answered {
    fn of(mc_nonce: Vec<u8>, reply: Reply) -> Result<Self, Trouble> {
        let wrong = || Trouble::Server("its answer is no signature".to_owned());
        let Reply::Signed { signature, chain } = reply else {
            return Err(wrong());
        };
        let chain: Option<Vec<Vec<u8>>> = chain.iter().map(|der| base64::decode(der)).collect();
        Ok(Self {
            mc_nonce,
            signature: base64::decode(&signature).ok_or_else(wrong)?,
            chain: chain.ok_or_else(wrong)?,
        })
    }
}

/// Does something that changes nothing when it is done twice: the link may fail for a moment.
fn patiently<T>(host: Door<'_>, mut act: impl FnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
    const TRIES: u32 = 3;
    const PAUSE: Duration = Duration::from_secs(1);
    for _ in 1..TRIES {
        if let Ok(done) = act() {
            return Ok(done);
        }
        host.host.clock.pause(PAUSE);
    }
    act()
}

/// ConfigurationNonce as it is now.
pub(super) fn read_nonce(client: &mut Client<'_>) -> Result<Vec<u8>, Trouble> {
    nonce_of(&client.get(SERVICE)?)
}

fn nonce_of(service: &Element) -> Result<Vec<u8>, Trouble> {
    let nonce = service.bytes("ConfigurationNonce")?;
    Ok(nonce.ok_or_else(|| SoapError::Missing("ConfigurationNonce".to_owned()))?)
}

/// A user's password as Setup takes it: the MD5 digest that HTTP digest is made of, under the device's own realm.
pub(super) fn password(
    client: &mut Client<'_>,
    user: &str,
    password: &str,
) -> Result<Vec<(&'static str, String)>, Trouble> {
    const HTTP_DIGEST_MD5_A1: u32 = 2;
    let settings = client.get("AMT_GeneralSettings")?;
    let realm = settings.text_of("DigestRealm")?;
    Ok(vec![
        ("NetAdminPassEncryptionType", HTTP_DIGEST_MD5_A1.to_string()),
        ("NetworkAdminPassword", digest::a1(user, realm, password)),
    ])
}

/// The first refusal stands; a success only until something is refused.
fn tell(facts: &mut Facts, method: &str, value: u64) {
    if facts.contains_key(&Fact::REFUSED_BY) {
        return;
    }
    facts.insert(Fact::RETURN_VALUE, json!(value));
    if value != 0 {
        facts.insert(Fact::REFUSED_BY, json!(method));
    }
}

/// The chain in the order in which it is sent, each with its flags: leaf, root.
fn arranged(chain: &[Vec<u8>], form: ChainForm) -> Vec<(&[u8], bool, bool)> {
    let last = chain.len().saturating_sub(1);
    let places: Vec<usize> = match form {
        ChainForm::Whole => (0..chain.len()).collect(),
        ChainForm::Truncated => (0..last).collect(),
        ChainForm::Gap => vec![0, last],
        ChainForm::OutOfOrder => [0, last].into_iter().chain(1..last).collect(),
        ChainForm::LeafLast => (1..chain.len()).chain([0]).collect(),
    };
    let sent_last = places.len().saturating_sub(1);
    let certificate = |place: &usize| chain.get(*place).map(Vec::as_slice).unwrap_or_default();
    places
        .iter()
        .enumerate()
        .map(|(sent, place)| {
            // Flags go by what a certificate is, but for the one that should have been last.
            let leaf = *place == 0;
            let root = match form {
                ChainForm::OutOfOrder => sent == sent_last,
                _ => *place == last,
            };
            (certificate(place), leaf, root)
        })
        .collect()
}
