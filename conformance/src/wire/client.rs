//! A client of the device's WS-Management service, over LME or over any [`Pipe`].
//!
//! Over LME each request has a connection of its own; over a pipe it may have one, or share one with the others. The
//! first request under a login is answered with a challenge; the nonce then serves for all that follow, until the device
//! asks for a new one. Whoever is known by a client certificate needs no login.

use std::sync::Arc;
use std::time::Duration;

use amt_sim::hex;
use amt_sim::host::port::MeiPort;
use sha2::{Digest as _, Sha256};

use super::digest::{Challenge, ChallengeError};
use super::http::{self, HttpError, Response};
use super::lme::{Lme, LmeError};
use super::pipe::{Dialer, LmeDialer, Pipe, PipeError};
use super::soap::{self, Element, Fault, Operation, Selectors, SoapError};
use super::tls::{AnyServer, ServerJudge, TlsDialer, TlsOptions};
use crate::role::Clock;

/// The device's port without TLS.
const PORT: u16 = 16992;

/// The one with it.
const TLS_PORT: u16 = 16993;

/// How long a device may be silent over a pipe.
const PATIENCE: Duration = Duration::from_secs(30);

/// One user of the service.
#[derive(Debug)]
pub struct Client<'a> {
    carrier: Carrier<'a>,
    login: Option<Login>,
    challenge: Option<Challenge>,
    /// Requests under the nonce at hand.
    count: u32,
    /// Requests so far.
    messages: u32,
}

/// Name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl Login {
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
        }
    }
}

/// What carries the requests.
#[derive(Debug)]
enum Carrier<'a> {
    Lme {
        port: &'a dyn MeiPort,
        clock: &'a dyn Clock,
        lme: Option<Lme>,
        /// The device does not forward the port without TLS.
        tls_only: bool,
        trust: Option<Trust<'a>>,
    },
    Pipe {
        dialer: &'a dyn Dialer,
        port: u16,
        kept: Kept,
        patience: Duration,
        pipe: Option<Box<dyn Pipe + 'a>>,
        trust: Option<Trust<'a>>,
    },
}

/// Who judges the certificates of a connection that is about to be made.
struct Trust<'a>(Box<dyn Fn() -> Result<Arc<dyn ServerJudge>, ClientError> + 'a>);

impl std::fmt::Debug for Trust<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

/// How long a connection lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// For one request.
    Once,
    /// Until the device closes it.
    Alive,
    /// Whatever the device says of it: a mistake that real programs make.
    Insisted,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error(transparent)]
    Lme(#[from] LmeError),
    #[error(transparent)]
    Pipe(#[from] PipeError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error("{user} was not let in")]
    Unauthorized { user: String },
    #[error("HTTP status {status} {reason}")]
    Status { status: u16, reason: String },
    #[error(transparent)]
    Soap(#[from] SoapError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("nobody can judge the device's certificate: {0}")]
    NoJudge(String),
}

impl ClientError {
    /// There is such an instance already.
    pub fn is_already_there(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.subcode == "AlreadyExists")
    }

    /// The class has no such instance, or the device no such class.
    pub fn is_no_instance(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.subcode == "DestinationUnreachable")
    }
}

/// What a method gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodAnswer {
    pub return_value: u64,
    pub output: Element,
}

impl<'a> Client<'a> {
    /// Over LME, to port 16992 without TLS; to 16993 with TLS where the device forwards no other.
    pub fn new(
        port: &'a dyn MeiPort,
        clock: &'a dyn Clock,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        let carrier = Carrier::Lme {
            port,
            clock,
            lme: None,
            tls_only: false,
            trust: None,
        };
        Self::with(carrier, Some(Login::new(user, password)))
    }

    /// Over connections of `dialer` to that port of the device. Without a login the device must know the client
    /// otherwise, such as by its certificate.
    pub fn over(dialer: &'a dyn Dialer, port: u16, login: Option<Login>, kept: Kept) -> Self {
        let carrier = Carrier::Pipe {
            dialer,
            port,
            kept,
            patience: PATIENCE,
            pipe: None,
            trust: None,
        };
        Self::with(carrier, login)
    }

    fn with(carrier: Carrier<'a>, login: Option<Login>) -> Self {
        Self {
            carrier,
            login,
            challenge: None,
            count: 0,
            messages: 0,
        }
    }

    /// Asks for a judge before every connection with TLS that it makes where there is none without. Over LME whatever
    /// certificate the device shows is taken without a judge; over a dialer no such connection is made then.
    #[must_use]
    pub fn judged_by(
        mut self,
        judge: impl Fn() -> Result<Arc<dyn ServerJudge>, ClientError> + 'a,
    ) -> Self {
        let (Carrier::Lme { trust, .. } | Carrier::Pipe { trust, .. }) = &mut self.carrier;
        *trust = Some(Trust(Box::new(judge)));
        self
    }

    /// How long the device may be silent; over LME it is always five seconds.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        if let Carrier::Pipe { patience, .. } = &mut self.carrier {
            *patience = time;
        }
        self
    }

    /// The only instance of a class.
    pub fn get(&mut self, class: &str) -> Result<Element, ClientError> {
        self.ask(class, Operation::Get)
    }

    /// The instance that these keys name.
    pub fn get_by(&mut self, class: &str, keys: Selectors<'_>) -> Result<Element, ClientError> {
        self.ask_by(class, keys, Operation::Get)
    }

    /// Writes an instance back. What is written is `instance` with the names and texts of its children.
    pub fn put(
        &mut self,
        class: &str,
        keys: Selectors<'_>,
        instance: &Element,
    ) -> Result<Element, ClientError> {
        self.ask_by(class, keys, Operation::Put(instance))
    }

    /// The same with the whole element as XML.
    pub fn put_xml(
        &mut self,
        class: &str,
        keys: Selectors<'_>,
        body: &str,
    ) -> Result<Element, ClientError> {
        self.ask_by(class, keys, Operation::PutXml(body))
    }

    /// Makes an instance; `body` is the whole element as XML.
    pub fn create(&mut self, class: &str, body: &str) -> Result<Element, ClientError> {
        self.ask(class, Operation::Create(body))
    }

    pub fn delete(&mut self, class: &str, keys: Selectors<'_>) -> Result<(), ClientError> {
        self.exchange(class, keys, Operation::Delete).map(|_| ())
    }

    /// Every instance of a class.
    pub fn enumerate(&mut self, class: &str) -> Result<Vec<Element>, ClientError> {
        /// More than any class has.
        const MOST: usize = 1000;
        let mut answer = self.ask(class, Operation::Enumerate)?;
        let mut instances = Vec::new();
        while let Some(context) = answer.child("EnumerationContext") {
            let context = context.text.clone();
            answer = self.ask(class, Operation::Pull(&context))?;
            let items = answer
                .child("Items")
                .ok_or_else(|| SoapError::Missing("Items".to_owned()))?;
            instances.extend(items.children.iter().cloned());
            if answer.child("EndOfSequence").is_some() || instances.len() > MOST {
                break;
            }
        }
        Ok(instances)
    }

    pub fn invoke(
        &mut self,
        class: &str,
        method: &str,
        parameters: &[(&str, String)],
    ) -> Result<MethodAnswer, ClientError> {
        let output = self.ask(class, Operation::Invoke(method, parameters))?;
        if output.name != format!("{method}_OUTPUT") {
            return Err(SoapError::Missing(format!("{method}_OUTPUT")).into());
        }
        Ok(MethodAnswer {
            return_value: output.number("ReturnValue")?,
            output,
        })
    }

    fn ask(&mut self, class: &str, operation: Operation<'_>) -> Result<Element, ClientError> {
        self.ask_by(class, &[], operation)
    }

    fn ask_by(
        &mut self,
        class: &str,
        keys: Selectors<'_>,
        operation: Operation<'_>,
    ) -> Result<Element, ClientError> {
        self.exchange(class, keys, operation)?
            .ok_or_else(|| SoapError::Missing("anything in its Body".to_owned()).into())
    }

    /// One question and what stands in the body of its answer.
    fn exchange(
        &mut self,
        class: &str,
        keys: Selectors<'_>,
        operation: Operation<'_>,
    ) -> Result<Option<Element>, ClientError> {
        let message = self.messages.to_string();
        self.messages += 1;
        let changes_nothing = matches!(operation, Operation::Get | Operation::Enumerate);
        let envelope = soap::envelope_for(class, keys, operation, &message);
        let response = self.log_in_and_send(&envelope, changes_nothing)?;
        match response.status {
            200 => {
                let body = soap::content(&response.body, &message)?;
                match body.as_ref().and_then(Element::fault) {
                    Some(fault) => Err(fault.into()),
                    None => Ok(body),
                }
            }
            // A fault comes with this status, but so do pages for people.
            400 if response.is_soap() => {
                let body = soap::body(&response.body, &message)?;
                match body.fault() {
                    Some(fault) => Err(fault.into()),
                    None => Err(SoapError::Missing("Fault".to_owned()).into()),
                }
            }
            401 if self.login.is_some() => Err(ClientError::Unauthorized {
                user: self
                    .login
                    .as_ref()
                    .map_or(String::new(), |login| login.user.clone()),
            }),
            status => Err(ClientError::Status {
                status,
                reason: response.reason,
            }),
        }
    }

    /// Sends an envelope as it is, and gives back whatever the device says to it. A new challenge is answered once; a
    /// second one means that name or password are wrong.
    pub fn log_in_and_post(&mut self, envelope: &str) -> Result<Response, ClientError> {
        self.log_in_and_send(envelope, false)
    }

    fn log_in_and_send(
        &mut self,
        envelope: &str,
        changes_nothing: bool,
    ) -> Result<Response, ClientError> {
        let mut asked = false;
        loop {
            let authorization = self.authorization();
            let response = self.post(authorization.as_deref(), envelope, changes_nothing)?;
            if response.status != 401 || self.login.is_none() || asked {
                return Ok(response);
            }
            asked = true;
            let header = response.header("www-authenticate").unwrap_or_default();
            let challenge = Challenge::parse(header)?;
            self.challenge = Some(challenge);
            self.count = 0;
        }
    }

    /// The realm that the device's last challenge named.
    pub fn realm(&self) -> Option<&str> {
        self.challenge
            .as_ref()
            .map(|challenge| challenge.realm.as_str())
    }

    fn authorization(&mut self) -> Option<String> {
        let login = self.login.as_ref()?;
        let challenge = self.challenge.as_ref()?;
        self.count += 1;
        // Nothing hangs on its being secret, only on its being another one each time.
        let drawn = Sha256::digest(format!("{}:{}", challenge.nonce, self.count));
        let client_nonce = hex::encode(&drawn[..8]);
        Some(challenge.answer(
            &login.user,
            &login.password,
            "POST",
            "/wsman",
            self.count,
            &client_nonce,
        ))
    }

    /// One request.
    fn post(
        &mut self,
        authorization: Option<&str>,
        body: &str,
        changes_nothing: bool,
    ) -> Result<Response, ClientError> {
        match &mut self.carrier {
            Carrier::Lme {
                port,
                clock,
                lme,
                tls_only,
                trust,
            } => {
                if !*tls_only {
                    let host = format!("localhost:{PORT}");
                    let request = http::request(&host, authorization, body, false);
                    match post_over_lme(*port, *clock, lme, &request, changes_nothing) {
                        Err(ClientError::Lme(LmeError::NotForwarded(_))) => *tls_only = true,
                        result => return result,
                    }
                }
                let host = format!("localhost:{TLS_PORT}");
                let request = http::request(&host, authorization, body, false);
                let judge = match trust {
                    Some(trust) => trust.0()?,
                    None => Arc::new(AnyServer),
                };
                post_over_tls(&LmeDialer::new(*port, *clock), judge, &request)
            }
            Carrier::Pipe {
                dialer,
                port,
                kept,
                patience,
                pipe,
                trust,
            } => {
                let host = format!("{}:{port}", dialer.host());
                let insists = *kept == Kept::Insisted;
                let keep = insists || *kept == Kept::Alive;
                let request = http::request(&host, authorization, body, keep);
                // A connection that the device has closed meanwhile is no use. One that breaks during the request
                // is not tried again: the device may have obeyed.
                let mut used = pipe.take();
                if used.as_mut().is_some_and(|used| used.is_over()) && !insists {
                    used = None;
                }
                let opened = match used {
                    Some(used) => Ok(used),
                    None => dialer.open(*port),
                };
                let mut now = match (opened, trust) {
                    (Err(PipeError::NotListening(PORT)), Some(trust)) => {
                        let host = format!("{}:{TLS_PORT}", dialer.host());
                        let request = http::request(&host, authorization, body, false);
                        return post_over_tls(*dialer, trust.0()?, &request);
                    }
                    (opened, _) => opened?,
                };
                let (response, ended) = post_over_pipe(now.as_mut(), &request, *patience)?;
                if insists || keep && !ended && !response.closes() {
                    *pipe = Some(now);
                }
                Ok(response)
            }
        }
    }
}

/// The link may have been reset since the last request: then it is made anew, once. One that breaks during the request
/// is made anew only if the request changes nothing: the device may have obeyed.
fn post_over_lme(
    port: &dyn MeiPort,
    clock: &dyn Clock,
    held: &mut Option<Lme>,
    request: &[u8],
    changes_nothing: bool,
) -> Result<Response, ClientError> {
    let reused = held.is_some();
    let open = |lme: Option<Lme>| {
        let mut lme = match lme {
            Some(lme) => lme,
            None => Lme::connect(port, clock, PORT)?,
        };
        lme.open(PORT).map(|channel| (lme, channel))
    };
    let (mut lme, channel) = match open(held.take()) {
        Err(error) if reused && error.is_link() => open(None)?,
        result => result?,
    };
    let answered = lme.exchange_on(channel, request, |bytes, ended| {
        http::response(bytes, ended).map_err(ClientError::from)
    });
    match answered {
        Err(ClientError::Lme(error)) if reused && changes_nothing && error.is_link() => {
            post_over_lme(port, clock, held, request, changes_nothing)
        }
        answered => {
            let response = answered?;
            *held = Some(lme);
            Ok(response)
        }
    }
}

/// Firmware whose local ports speak TLS only.
fn post_over_tls(
    under: &dyn Dialer,
    judge: Arc<dyn ServerJudge>,
    request: &[u8],
) -> Result<Response, ClientError> {
    let options = TlsOptions {
        judge,
        ..TlsOptions::default()
    };
    let dialer = TlsDialer::new(under, options);
    let mut pipe = dialer.open(TLS_PORT)?;
    Ok(post_over_pipe(pipe.as_mut(), request, PATIENCE)?.0)
}

/// The answer, and whether the connection ended with it.
fn post_over_pipe(
    pipe: &mut dyn Pipe,
    request: &[u8],
    patience: Duration,
) -> Result<(Response, bool), ClientError> {
    pipe.send(request)?;
    let mut received = Vec::new();
    loop {
        let bytes = pipe.receive(patience)?;
        let ended = bytes.is_empty();
        if ended && received.is_empty() {
            return Err(PipeError::Ended.into());
        }
        received.extend_from_slice(&bytes);
        if let Some(response) = http::response(&received, ended)? {
            return Ok((response, ended));
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
