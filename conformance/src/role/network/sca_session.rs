//! One machine, as the SCA sets it up: PKI-CH, the one-time password, then everything that the machine needs, then
//! CommitChanges; and back again, by the login that the machine was given.
//!
//! ```text
//!   16993, both with certificates   who is it ─▶ one-time password ─▶ SetMEBxPassword ─▶ admin ─▶ time
//!                                   ─▶ key pair ─▶ certificate ─▶ TLS settings ─▶ CommitChanges
//!   the ports come up anew
//!   16993, with digest              the certificate that it was given ─▶ mode ─▶ record
//! ```
//! Nothing is written before the password was read and compared; nothing is done after something was refused.
//!
//! Source: "Intel AMT Implementation and Reference Guide", pages "Remote Setup and Configuration Flow" and "Out of Band
//! Remote PKI Configuration with a Local Agent", step 10; the order of the writes is that of MeshCentral.

use std::sync::Arc;
use std::time::Duration;

use amt_sim::device::Seed;
use amt_sim::hex;

use super::sca::{Job, Machine};
use super::{Field, device_certificate};
use crate::role::Misbehaviour;
use crate::role::certificates::Identity;
use crate::scenario::Order;
use crate::wire::http::HttpError;
use crate::wire::soap::{self, Element};
use crate::wire::tls::{AnyServer, ServerJudge, TlsError};
use crate::wire::{
    Client, ClientError, Dialer, Kept, Login, PipeError, TlsDialer, TlsIdentity, TlsOptions,
    base64, digest,
};
use crate::words::words;

const SERVICE: &str = "AMT_SetupAndConfigurationService";
const KEYS: &str = "AMT_PublicKeyManagementService";
const TIME: &str = "AMT_TimeSynchronizationService";
const TLS_PORT: u16 = 16993;
const PLAIN_PORT: u16 = 16992;
const ADMIN: &str = "admin";

words! {
    /// Why the SCA stopped.
    Why {
        /// TLS did not come about.
        Tls = "tls",
        /// Nobody listens where the machine should be.
        Unreachable = "unreachable",
        /// The machine is another one than the Hello said.
        Identity = "identity",
        /// The digest realm is none that AMT has.
        RealmForm = "realm",
        /// The machine has no one-time password, though it should.
        OtpMissing = "otp-missing",
        /// It has another one.
        OtpMismatch = "otp-mismatch",
        /// A method returned something else than 0.
        ReturnValue = "return-value",
        /// CommitChanges says that something was not set.
        DataMissing = "data-missing",
        /// An HTTP status that is no answer.
        Http = "http",
        /// The login does not hold.
        Unauthorized = "unauthorized",
        /// A SOAP fault.
        Fault = "fault",
        /// The machine closed the connection.
        Closed = "closed",
        /// The machine said nothing for too long.
        Silence = "silence",
        /// The answer cannot be read.
        Answer = "answer",
        /// The machine shows another certificate than the one that it was given.
        Certificate = "certificate",
        /// The machine is in another mode than it should be.
        Mode = "mode",
    }
}

/// Where and why the SCA stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stopped at {at}: {detail}")]
pub struct Stop {
    pub why: Why,
    /// Method, class, or the part of the way.
    pub at: String,
    pub detail: String,
    /// What a method returned, or an HTTP status.
    pub value: Option<u64>,
}

impl Stop {
    pub(super) fn new(why: Why, at: &str, detail: impl Into<String>) -> Self {
        Self {
            why,
            at: at.to_owned(),
            detail: detail.into(),
            value: None,
        }
    }

    fn of(at: &str, error: ClientError) -> Self {
        let (why, value) = match &error {
            ClientError::Pipe(pipe) => (why_of(pipe), None),
            ClientError::Http(HttpError::Cut(_)) => (Why::Closed, None),
            ClientError::Status { status, .. } => (Why::Http, Some(u64::from(*status))),
            ClientError::Unauthorized { .. } => (Why::Unauthorized, None),
            ClientError::Fault(_) => (Why::Fault, None),
            _ => (Why::Answer, None),
        };
        Self {
            value,
            ..Self::new(why, at, error.to_string())
        }
    }
}

fn why_of(error: &PipeError) -> Why {
    match error {
        PipeError::NotListening(_) => Why::Unreachable,
        PipeError::Timeout(_) => Why::Silence,
        PipeError::Tls(TlsError::Refused(_)) => Why::Certificate,
        PipeError::Tls(_) => Why::Tls,
        _ => Why::Closed,
    }
}

/// One machine that is being set up.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) job: &'a Job,
    pub(super) machine: &'a mut Machine,
    pub(super) field: Field<'a>,
    pub(super) seed: Seed,
    pub(super) patience: Duration,
    pub(super) misbehaviour: Option<Misbehaviour>,
}

/// The certificate must be this one.
#[derive(Debug)]
struct Pinned(Vec<u8>);

impl ServerJudge for Pinned {
    fn judge(&self, chain: &[&[u8]]) -> Result<(), String> {
        match chain.first() {
            Some(leaf) if *leaf == self.0.as_slice() => Ok(()),
            _ => Err("it is not the one that the machine was given".to_owned()),
        }
    }
}

impl Session<'_> {
    /// A device may be slow, but not for ever.
    pub(super) const PATIENCE: Duration = Duration::from_secs(60);
    /// Clocks that are further apart are set.
    const CLOCK_TOLERANCE: u64 = 10;
    /// CommitChanges: something that set-up needs was not set.
    const DATA_MISSING: u64 = 2057;
    /// How often it looks whether the ports are up again, a second apart.
    const RETURNS: u32 = 30;

    fn is(&self, mistake: Misbehaviour) -> bool {
        self.misbehaviour == Some(mistake)
    }

    fn patience(&self) -> Duration {
        match self.misbehaviour {
            Some(Misbehaviour::ScaImpatient) => Duration::from_secs(2),
            Some(Misbehaviour::ScaEndlessWait) => Duration::from_secs(24 * 3600),
            _ => self.patience,
        }
    }

    /// From the first connection to CommitChanges.
    pub(super) fn configure(&mut self, order: &Order) -> Result<(), Stop> {
        let dialer = self.field.lan.dialer(self.job.address);
        if self.is(Misbehaviour::ScaSpeaksBeforeTls) {
            speak_in_the_clear(dialer.as_ref());
        }
        // requirement `sca.setup.pki-ch`
        let identity = own_identity(order)?;
        let options = TlsOptions {
            identity: Some(identity),
            judge: Arc::new(AnyServer),
            patience: self.patience(),
            ..TlsOptions::default()
        };
        let tls = TlsDialer::new(dialer.as_ref(), options);
        let kept = match self.is(Misbehaviour::ScaOneConnection) {
            true => Kept::Insisted,
            false => Kept::Alive,
        };
        let mut client = Client::over(&tls, TLS_PORT, None, kept).patience(self.patience());
        let settings = self.get(&mut client, "AMT_GeneralSettings")?;
        let realm = self.realm(&settings)?;
        self.identify(&mut client)?;
        let late = self.is(Misbehaviour::ScaReadsOtpLate);
        if !late {
            self.compare_otp(&mut client)?;
        }
        self.set_passwords(&mut client, &realm)?;
        if late {
            self.compare_otp(&mut client)?;
        }
        self.set_time(&mut client)?;
        self.give_certificate(&mut client, &settings)?;
        self.commit(&mut client)
    }

    /// requirement `sca.setup.realm`
    fn realm(&self, settings: &Element) -> Result<String, Stop> {
        let at = "AMT_GeneralSettings";
        if self.is(Misbehaviour::ScaFixedRealm) {
            return Ok("Intel(R) AMT".to_owned());
        }
        let realm = settings
            .text_of("DigestRealm")
            .map_err(|error| Stop::of(at, error.into()))?;
        match is_realm(realm) {
            true => Ok(realm.to_owned()),
            false => Err(Stop::new(
                Why::RealmForm,
                at,
                format!("{realm:?} is no realm of AMT"),
            )),
        }
    }

    /// requirement `sca.hello.not-trusted`: whose address it was said to be is nobody's word but the Hello's.
    fn identify(&self, client: &mut Client<'_>) -> Result<(), Stop> {
        let class = "CIM_ComputerSystemPackage";
        if self.is(Misbehaviour::ScaTrustsHelloUuid) {
            return Ok(());
        }
        let package = self.get(client, class)?;
        let shown = package
            .text_of("PlatformGUID")
            .map_err(|error| Stop::of(class, error.into()))?;
        let found = hex::decode(&shown.to_lowercase())
            .and_then(|bytes| bytes.try_into().ok())
            .map(amt_sim::Guid::from_wire);
        match found {
            Some(found) if found.to_string() == self.job.uuid => Ok(()),
            Some(found) => Err(Stop::new(
                Why::Identity,
                class,
                format!("the machine is {found}, not {}", self.job.uuid),
            )),
            None => Err(Stop::new(
                Why::Identity,
                class,
                format!("{shown:?} is no UUID"),
            )),
        }
    }

    /// requirement `sca.otp.read-before-write`
    fn compare_otp(&self, client: &mut Client<'_>) -> Result<(), Stop> {
        let Some(wanted) = self.machine.otp.clone() else {
            return Ok(());
        };
        if self.is(Misbehaviour::ScaSkipsOtp) {
            return Ok(());
        }
        let service = self.get(client, SERVICE)?;
        let shown = service
            .bytes("ProvisioningServerOTP")
            .map_err(|error| Stop::of(SERVICE, error.into()))?;
        // The field may be padded with zeros to its 32 octets; a password has none.
        let mut shown = shown.unwrap_or_default();
        while shown.last() == Some(&0) {
            shown.pop();
        }
        if shown.is_empty() {
            if self.is(Misbehaviour::ScaTakesNoOtp) {
                return Ok(());
            }
            return Err(Stop::new(
                Why::OtpMissing,
                SERVICE,
                "the machine has no one-time password",
            ));
        }
        let same = match self.misbehaviour {
            Some(Misbehaviour::ScaComparesPrefix) => shown.starts_with(&wanted.as_bytes()[..8]),
            Some(Misbehaviour::ScaComparesShownLength) => wanted
                .as_bytes()
                .iter()
                .zip(&shown)
                .all(|(wanted, shown)| wanted == shown),
            _ => same_secret(&shown, wanted.as_bytes()),
        };
        if !same {
            return Err(Stop::new(
                Why::OtpMismatch,
                SERVICE,
                "the machine has another one-time password than it was given",
            ));
        }
        Ok(())
    }

    /// requirement `sca.setup.mebx-before-commit`
    fn set_passwords(&self, client: &mut Client<'_>, realm: &str) -> Result<(), Stop> {
        let mebx = self.password("MEBx password");
        if !self.is(Misbehaviour::ScaSkipsMebx) && !self.is(Misbehaviour::ScaLateMebx) {
            let parameters = [("Password", mebx)];
            self.call(client, SERVICE, "SetMEBxPassword", &parameters)?;
        }
        let secret = digest::a1(ADMIN, realm, &self.password("admin password"));
        let octets = hex::decode(&secret).unwrap_or_default();
        let parameters = [
            ("Username", ADMIN.to_owned()),
            ("DigestPassword", base64::encode(&octets)),
        ];
        let class = "AMT_AuthorizationService";
        self.call(client, class, "SetAdminAclEntryEx", &parameters)
    }

    /// Another one for each machine: letters of both cases, digits and a sign.
    fn password(&self, purpose: &str) -> String {
        if self.is(Misbehaviour::ScaWeakPassword) {
            return "password".to_owned();
        }
        let mut drawn = self.seed.bytes::<8>(purpose, 0);
        for (byte, letter) in drawn.iter_mut().zip(self.job.uuid.bytes().rev()) {
            *byte ^= letter;
        }
        format!("Sca-{}!X", hex::encode(&drawn))
    }

    fn set_time(&self, client: &mut Client<'_>) -> Result<(), Stop> {
        let answer = client
            .invoke(TIME, "GetLowAccuracyTimeSynch", &[])
            .map_err(|error| Stop::of("GetLowAccuracyTimeSynch", error))?;
        self.judge("GetLowAccuracyTimeSynch", answer.return_value)?;
        let theirs = answer.output.number("Ta0").unwrap_or(0);
        let ours = self.field.epoch + self.field.host.clock.now().as_secs();
        if theirs.abs_diff(ours) <= Self::CLOCK_TOLERANCE {
            return Ok(());
        }
        let parameters = [
            ("Ta0", theirs.to_string()),
            ("Tm1", ours.to_string()),
            ("Tm2", ours.to_string()),
        ];
        self.call(client, TIME, "SetHighAccuracyTimeSynch", &parameters)
    }

    /// A key that the machine makes, a certificate of ours for it, and TLS on its ports.
    fn give_certificate(
        &mut self,
        client: &mut Client<'_>,
        settings: &Element,
    ) -> Result<(), Stop> {
        const PAIRS: &str = "AMT_PublicPrivateKeyPair";
        let at = "GenerateKeyPair";
        let parameters = [
            ("KeyAlgorithm", "0".to_owned()),
            ("KeyLength", "2048".to_owned()),
        ];
        let answer = client
            .invoke(KEYS, at, &parameters)
            .map_err(|error| Stop::of(at, error))?;
        self.judge(at, answer.return_value)?;
        let pairs = client
            .enumerate(PAIRS)
            .map_err(|error| Stop::of(PAIRS, error))?;
        let id = selector(answer.output.child("KeyPair"));
        let pair = pairs.iter().find(|pair| {
            let own = pair.child("InstanceID").map(|own| own.text.as_str());
            id.is_none() || own == id.as_deref()
        });
        let public = pair.and_then(|pair| pair.bytes("DERKey").ok().flatten());
        let Some(public) = public else {
            // Nothing to certify, and nobody to say why.
            return match self.is(Misbehaviour::ScaIgnoresReturnValues) {
                true => Ok(()),
                false => Err(Stop::new(Why::Answer, PAIRS, "there is no new key pair")),
            };
        };
        let text = |name: &str| settings.child(name).map(|child| child.text.clone());
        let host = text("HostName").filter(|host| !host.is_empty());
        let domain = text("DomainName").filter(|domain| !domain.is_empty());
        let name = match (host, domain) {
            (Some(host), Some(domain)) => format!("{host}.{domain}"),
            (Some(host), None) => host,
            _ => self.job.uuid.clone(),
        };
        let certificate = device_certificate::issue(&name, &public).map_err(|error| {
            Stop::new(Why::Answer, "the device's certificate", error.to_string())
        })?;
        let at = "AddCertificate";
        let parameters = [("CertificateBlob", base64::encode(&certificate))];
        let answer = client
            .invoke(KEYS, at, &parameters)
            .map_err(|error| Stop::of(at, error))?;
        self.judge(at, answer.return_value)?;
        let id = selector(answer.output.child("CreatedCertificate")).unwrap_or_default();
        self.machine.certificate = Some(certificate);

        let class = "AMT_TLSCredentialContext";
        let uri = soap::resource(class);
        let body = format!(
            "<h:{class} xmlns:h=\"{uri}\"><h:ElementInContext>{}</h:ElementInContext><h:ElementProvidingContext>{}</h:ElementProvidingContext></h:{class}>",
            soap::reference("AMT_PublicKeyCertificate", &[("InstanceID", &id)]),
            soap::reference(
                "AMT_TLSProtocolEndpointCollection",
                &[("ElementName", "TLSProtocolEndpointInstances Collection")]
            ),
        );
        let created = match client.create(class, &body) {
            // A try before this one has left it there.
            Err(error) if error.is_already_there() => client.put_xml(class, &[], &body),
            result => result,
        };
        if !self.is(Misbehaviour::ScaIgnoresReturnValues) {
            created.map_err(|error| Stop::of(class, error))?;
        }
        self.turn_tls_on(client)
    }

    fn turn_tls_on(&self, client: &mut Client<'_>) -> Result<(), Stop> {
        const CLASS: &str = "AMT_TLSSettingData";
        let keys = [("InstanceID", "Intel(r) AMT 802.3 TLS Settings")];
        let mut settings = client
            .get_by(CLASS, &keys)
            .map_err(|error| Stop::of(CLASS, error))?;
        settings.set("Enabled", "true");
        let plain = self.is(Misbehaviour::ScaPlainLogin);
        settings.set("AcceptNonSecureConnections", plain.to_string());
        client
            .put(CLASS, &keys, &settings)
            .map_err(|error| Stop::of(CLASS, error))?;
        Ok(())
    }

    fn commit(&self, client: &mut Client<'_>) -> Result<(), Stop> {
        let at = "CommitChanges";
        let value = match client.invoke(SERVICE, at, &[]) {
            Ok(answer) => answer.return_value,
            // The ports come up anew at once: the answer may not make it. Whether the machine did it shows when one
            // comes back.
            // requirement `sca.setup.lost-commit-answer`
            Err(ClientError::Pipe(_) | ClientError::Http(HttpError::Cut(_)))
                if !self.is(Misbehaviour::ScaGivesUpOnLostAnswer) =>
            {
                0
            }
            Err(error) => return Err(Stop::of(at, error)),
        };
        // requirement `sca.setup.data-missing`
        if value == Self::DATA_MISSING && !self.is(Misbehaviour::ScaIgnoresReturnValues) {
            return Err(Stop {
                value: Some(value),
                ..Stop::new(
                    Why::DataMissing,
                    at,
                    "the machine says that something is not set that must be",
                )
            });
        }
        self.judge(at, value)?;
        if self.is(Misbehaviour::ScaLateMebx) {
            let parameters = [("Password", self.password("MEBx password"))];
            // It comes too late to matter.
            let _ = client.invoke(SERVICE, "SetMEBxPassword", &parameters);
        }
        Ok(())
    }

    /// After CommitChanges: by digest, to the certificate that the machine was given.
    pub(super) fn come_back(&mut self) -> Result<(), Stop> {
        let dialer = self.field.lan.dialer(self.job.address);
        // requirement `sca.setup.own-certificate`
        let judge: Arc<dyn ServerJudge> = match &self.machine.certificate {
            Some(leaf) if !self.is(Misbehaviour::ScaAnyCertificate) => {
                Arc::new(Pinned(leaf.clone()))
            }
            _ => Arc::new(AnyServer),
        };
        let identity = match self.is(Misbehaviour::ScaKeepsCertificateLogin) {
            true => Some(own_identity(&Order::default())?),
            false => None,
        };
        let options = TlsOptions {
            judge,
            identity,
            patience: self.patience(),
            ..TlsOptions::default()
        };
        let tls = TlsDialer::new(dialer.as_ref(), options);
        // requirement `sca.setup.returns-with-digest`
        let login = Login::new(ADMIN, self.password("admin password"));
        let login = (!self.is(Misbehaviour::ScaKeepsCertificateLogin)).then_some(login);
        let patience = self.patience();
        // requirement `sca.tls.no-plain-login`
        let mut client = match self.is(Misbehaviour::ScaPlainLogin) {
            true => Client::over(dialer.as_ref(), PLAIN_PORT, login, Kept::Alive),
            false => Client::over(&tls, TLS_PORT, login, Kept::Alive),
        }
        .patience(patience);
        let mut tries = 0;
        loop {
            match self.get(&mut client, "AMT_GeneralSettings") {
                Ok(_) => break,
                Err(stop)
                    if matches!(stop.why, Why::Unreachable | Why::Closed)
                        && tries < Self::RETURNS =>
                {
                    tries += 1;
                    self.field.host.clock.pause(Duration::from_secs(1));
                }
                Err(stop) => return Err(stop),
            }
        }
        let service = self.get(&mut client, SERVICE)?;
        // 2: configured. Whatever was committed, this is what came of it.
        match service.number("ProvisioningState") {
            Ok(2) => {}
            found => {
                return Err(Stop::new(
                    Why::Mode,
                    SERVICE,
                    format!("ProvisioningState is {found:?}, not 2"),
                ));
            }
        }
        self.get(&mut client, "IPS_TLSProvisioningRecord")?;
        Ok(())
    }

    /// A method of which nothing but the return value counts.
    fn call(
        &self,
        client: &mut Client<'_>,
        class: &str,
        method: &'static str,
        parameters: &[(&str, String)],
    ) -> Result<(), Stop> {
        match client.invoke(class, method, parameters) {
            Ok(answer) => self.judge(method, answer.return_value),
            // requirement `sca.setup.http-errors`
            Err(_) if self.is(Misbehaviour::ScaShrugs) => Ok(()),
            Err(error) => Err(Stop::of(method, error)),
        }
    }

    fn get(&self, client: &mut Client<'_>, class: &'static str) -> Result<Element, Stop> {
        match client.get(class) {
            Err(_) if self.is(Misbehaviour::ScaShrugs) => Ok(Element::default()),
            result => result.map_err(|error| Stop::of(class, error)),
        }
    }

    /// requirement `sca.setup.stops-at-refusal`
    fn judge(&self, method: &str, value: u64) -> Result<(), Stop> {
        if value == 0 || self.is(Misbehaviour::ScaIgnoresReturnValues) {
            return Ok(());
        }
        Err(Stop {
            value: Some(value),
            ..Stop::new(Why::ReturnValue, method, format!("it returned {value}"))
        })
    }
}

/// Certificate and key that the devices believe, or that this order wants.
fn own_identity(order: &Order) -> Result<TlsIdentity, Stop> {
    let wrong = |why: String| Stop::new(Why::Tls, "our own certificate", why);
    let identity = Identity::of(order.certificate).map_err(|error| wrong(error.to_string()))?;
    TlsIdentity::new(&identity.chain, &identity.pkcs8).map_err(|error| wrong(error.to_string()))
}

/// The one key of the instance that an endpoint reference names.
fn selector(reference: Option<&Element>) -> Option<String> {
    let set = reference?
        .child("ReferenceParameters")?
        .child("SelectorSet")?;
    Some(set.child("Selector")?.text.clone())
}

/// Sends what should be under TLS without it, as somebody does who mistakes the port.
fn speak_in_the_clear(dialer: &dyn Dialer) {
    // What comes of it is the device's to journal.
    let _ = dialer.open(TLS_PORT).and_then(|mut pipe| {
        pipe.send(b"POST /wsman HTTP/1.1\r\nHost: amt\r\nContent-Length: 0\r\n\r\n")?;
        pipe.receive(Duration::from_secs(5))
    });
}

/// `Digest:` and 32 hex digits.
fn is_realm(text: &str) -> bool {
    text.strip_prefix("Digest:").is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Compares all bytes whatever they are, so that the time it takes tells nobody where they begin to differ.
fn same_secret(shown: &[u8], wanted: &[u8]) -> bool {
    let length = shown.len() ^ wanted.len();
    let difference = wanted.iter().enumerate().fold(0, |found, (at, byte)| {
        found | (byte ^ shown.get(at).copied().unwrap_or(!byte))
    });
    std::hint::black_box(usize::from(difference) | length) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"PassWord1234", b"PassWord1234", true)]
    #[case(b"PassWord1234", b"PassWord1235", false)]
    #[case(b"PassWord1234", b"PassWord12345", false)]
    #[case(b"PassWord12345", b"PassWord1234", false)]
    #[case(b"", b"PassWord1234", false)]
    fn secrets(#[case] shown: &[u8], #[case] wanted: &[u8], #[case] same: bool) {
        assert_eq!(same_secret(shown, wanted), same);
    }

    #[rstest]
    #[case("Digest:A4070000000000000000000000000000", true)]
    #[case("Digest:A407000000000000000000000000000", false)]
    #[case("Intel(R) AMT", false)]
    #[case("Digest:Z4070000000000000000000000000000", false)]
    fn realms(#[case] text: &str, #[case] good: bool) {
        assert_eq!(is_realm(text), good);
    }
}
