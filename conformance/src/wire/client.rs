//! A client of the device's WS-Management service, over LME.
//!
//! Each request has a connection of its own. The first one under a login is answered with a challenge; the nonce then
//! serves for all that follow, until the device asks for a new one.

use amt_sim::hex;
use amt_sim::host::port::MeiPort;
use sha2::{Digest as _, Sha256};

use super::digest::{Challenge, ChallengeError};
use super::http::{self, HttpError, Response};
use super::lme::{Lme, LmeError};
use super::soap::{self, Element, Fault, Operation, SoapError};
use crate::role::Clock;

/// The device's port without TLS.
const PORT: u16 = 16992;

/// One login.
#[derive(Debug)]
pub struct Client<'a> {
    port: &'a dyn MeiPort,
    clock: &'a dyn Clock,
    user: String,
    password: String,
    lme: Option<Lme>,
    challenge: Option<Challenge>,
    /// Requests under the nonce at hand.
    count: u32,
    /// Requests so far.
    messages: u32,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error(transparent)]
    Lme(#[from] LmeError),
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
}

impl ClientError {
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
    pub fn new(
        port: &'a dyn MeiPort,
        clock: &'a dyn Clock,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            port,
            clock,
            user: user.into(),
            password: password.into(),
            lme: None,
            challenge: None,
            count: 0,
            messages: 0,
        }
    }

    /// The only instance of a class.
    pub fn get(&mut self, class: &str) -> Result<Element, ClientError> {
        self.ask(class, Operation::Get)
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
        let message = self.messages.to_string();
        self.messages += 1;
        let envelope = soap::envelope(class, operation, &message);
        let response = self.log_in_and_post(&envelope)?;
        match response.status {
            200 => {
                let body = soap::body(&response.body, &message)?;
                match body.fault() {
                    Some(fault) => Err(fault.into()),
                    None => Ok(body),
                }
            }
            400 => {
                let body = soap::body(&response.body, &message)?;
                match body.fault() {
                    Some(fault) => Err(fault.into()),
                    None => Err(SoapError::Missing("Fault".to_owned()).into()),
                }
            }
            status => Err(ClientError::Status {
                status,
                reason: response.reason,
            }),
        }
    }

    /// A new challenge is answered once; a second one means that name or password are wrong.
    fn log_in_and_post(&mut self, envelope: &str) -> Result<Response, ClientError> {
        for _ in 0..2 {
            let authorization = self.authorization();
            let response = self.post(&http::request(authorization.as_deref(), envelope))?;
            if response.status != 401 {
                return Ok(response);
            }
            let header = response.header("www-authenticate").unwrap_or_default();
            let challenge = Challenge::parse(header)?;
            self.challenge = Some(challenge);
            self.count = 0;
        }
        Err(ClientError::Unauthorized {
            user: self.user.clone(),
        })
    }

    fn authorization(&mut self) -> Option<String> {
        let challenge = self.challenge.as_ref()?;
        self.count += 1;
        // Nothing hangs on its being secret, only on its being another one each time.
        let drawn = Sha256::digest(format!("{}:{}", challenge.nonce, self.count));
        let client_nonce = hex::encode(&drawn[..8]);
        Some(challenge.answer(
            &self.user,
            &self.password,
            "POST",
            "/wsman",
            self.count,
            &client_nonce,
        ))
    }

    /// One request. The link may have been reset since the last one: then it is made anew, once.
    fn post(&mut self, request: &[u8]) -> Result<Response, ClientError> {
        let reused = self.lme.is_some();
        match self.post_once(request) {
            Err(ClientError::Lme(error)) if reused && error.is_link() => {
                self.lme = None;
                self.post_once(request)
            }
            result => result,
        }
    }

    fn post_once(&mut self, request: &[u8]) -> Result<Response, ClientError> {
        let mut lme = match self.lme.take() {
            Some(lme) => lme,
            None => Lme::connect(self.port, self.clock, PORT)?,
        };
        let response = lme.exchange(PORT, request, |bytes, ended| {
            http::response(bytes, ended).map_err(ClientError::from)
        })?;
        self.lme = Some(lme);
        Ok(response)
    }
}
