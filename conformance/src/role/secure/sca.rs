//! The SCA of the secure flow: it speaks TLS to a device that it reaches through somebody else's host, and trusts
//! nobody on the way.
//!
//! ```text
//!   connection ──▶ its chain is judged ──▶ realm ─▶ password of admin ─▶ password of MEBx ─▶ CommitChanges
//!   new connection, by digest: is the device there, and is the password the one that was set?
//! ```
//! Before CommitChanges the device knows the SCA by its certificate, and asks for no password.

use std::sync::Arc;
use std::time::Duration;

use super::Trouble;
use crate::role::certificates::Identity;
use crate::role::on_die::{Judge, ToldHash, Verifier};
use crate::role::setup::Host;
use crate::role::{Clock, Misbehaviour};
use crate::scenario::Mebx;
use crate::wire::lme::LmeError;
use crate::wire::tls::{AnyServer, TlsOptions};
use crate::wire::{
    Client, ClientError, Dialer, Kept, LmeDialer, Login, PipeError, TlsDialer, TlsIdentity, base64,
    digest,
};

const SERVICE: &str = "AMT_SetupAndConfigurationService";
const ADMIN: &str = "admin";
const PASSWORD: &str = "Secur3-Flow!";
const TLS_PORT: u16 = 16993;
const PLAIN_PORT: u16 = 16992;

/// What CommitChanges returns while something is missing that it wants set.
const DATA_MISSING: u64 = 2057;

/// What configuration came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    Answered(u64),
    /// The connection ended before the answer was whole.
    Lost,
}

#[derive(Debug)]
pub(super) struct Sca {
    pub(super) misbehaviour: Option<Misbehaviour>,
    /// The hash that it was told first, for one that never lets go of it.
    first: Option<ToldHash>,
}

impl Sca {
    pub(super) fn new(misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            misbehaviour,
            first: None,
        }
    }

    fn is(&self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

    /// The hash that counts for the connections to come: the one told last.
    pub(super) fn hear(&mut self, told: &[u8]) -> Result<ToldHash, Trouble> {
        let fixed = self.is(Misbehaviour::ScaFixedAlgorithm);
        let told = ToldHash::of(told, fixed).map_err(Trouble::Refused)?;
        let first = self.first.get_or_insert_with(|| told.clone()).clone();
        Ok(match self.is(Misbehaviour::ScaTrustsFirstHash) {
            true => first,
            false => told,
        })
    }

    /// Configures the device as far as CommitChanges.
    pub(super) fn configure(
        &self,
        host: Host<'_>,
        identity: &Identity,
        verifier: Verifier,
        mebx: Mebx,
    ) -> Result<Commit, Trouble> {
        self.known_by_certificate(host, identity, verifier, |client| self.set_up(client, mebx))
    }

    /// CommitChanges once more, to a device that stopped half way.
    pub(super) fn commit_again(
        &self,
        host: Host<'_>,
        identity: &Identity,
        verifier: Verifier,
    ) -> Result<Commit, Trouble> {
        self.known_by_certificate(host, identity, verifier, commit)
    }

    /// Over TLS with certificates on both sides.
    fn known_by_certificate<T>(
        &self,
        host: Host<'_>,
        identity: &Identity,
        verifier: Verifier,
        act: impl FnOnce(&mut Client<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        use rsa::pkcs8::EncodePrivateKey as _;
        let key = identity
            .key
            .to_pkcs8_der()
            .map_err(|error| Trouble::Other(format!("its own key: {error}")))?;
        let own = TlsIdentity::new(&identity.chain, key.as_bytes())
            .map_err(|error| Trouble::Other(error.to_string()))?;
        let judge = Judge::new(verifier);
        let options = TlsOptions {
            identity: Some(own),
            judge: Arc::clone(&judge) as _,
            ..TlsOptions::default()
        };
        let relay = LmeDialer::new(host.port, host.clock);
        let relay = Patient {
            under: &relay,
            clock: host.clock,
            retries: !self.is(Misbehaviour::AgentNeverRetries),
        };
        let dialer = TlsDialer::new(&relay, options);
        let mut client = Client::over(&dialer, TLS_PORT, None, Kept::Once);
        act(&mut client).map_err(|trouble| match judge.refusal() {
            Some(refusal) => Trouble::Refused(refusal),
            None => trouble,
        })
    }

    fn set_up(&self, client: &mut Client<'_>, mebx: Mebx) -> Result<Commit, Trouble> {
        let settings = client.get("AMT_GeneralSettings")?;
        let realm = settings.text_of("DigestRealm").map_err(ClientError::from)?;
        let secret = amt_sim::hex::decode(&digest::a1(ADMIN, realm, PASSWORD)).unwrap_or_default();
        let parameters = [
            ("Username", ADMIN.to_owned()),
            ("DigestPassword", base64::encode(&secret)),
        ];
        called(
            client,
            "AMT_AuthorizationService",
            "SetAdminAclEntryEx",
            &parameters,
        )?;
        if mebx == Mebx::First {
            self.set_mebx(client)?;
        }
        match commit(client)? {
            Commit::Answered(DATA_MISSING) if mebx == Mebx::WhenAsked => {
                self.set_mebx(client)?;
                commit(client)
            }
            other => Ok(other),
        }
    }

    fn set_mebx(&self, client: &mut Client<'_>) -> Result<(), Trouble> {
        if self.is(Misbehaviour::ScaLeavesMebx) {
            return Ok(());
        }
        let parameters = [("Password", PASSWORD.to_owned())];
        called(client, SERVICE, "SetMEBxPassword", &parameters)
    }

    /// Whether the device takes the password that it was given.
    pub(super) fn manage(&self, host: Host<'_>, tls_only: bool) -> Result<(), Trouble> {
        let relay = LmeDialer::new(host.port, host.clock);
        let relay = Patient {
            under: &relay,
            clock: host.clock,
            retries: true,
        };
        let login = Some(Login::new(ADMIN, PASSWORD));
        // The certificate is now one that the device made itself: digest proves both sides to each other.
        let options = TlsOptions {
            judge: Arc::new(AnyServer),
            ..TlsOptions::default()
        };
        let dialer = TlsDialer::new(&relay, options);
        let mut client = match tls_only {
            true => Client::over(&dialer, TLS_PORT, login, Kept::Once),
            false => Client::over(&relay, PLAIN_PORT, login, Kept::Once),
        };
        client.get("AMT_GeneralSettings")?;
        Ok(())
    }
}

fn commit(client: &mut Client<'_>) -> Result<Commit, Trouble> {
    match client.invoke(SERVICE, "CommitChanges", &[]) {
        Ok(answer) => Ok(Commit::Answered(answer.return_value)),
        // The ports restart with it: that the answer does not come says nothing.
        Err(ClientError::Pipe(_) | ClientError::Http(_)) => Ok(Commit::Lost),
        Err(error) => Err(error.into()),
    }
}

/// Calls a method that must return 0.
fn called(
    client: &mut Client<'_>,
    class: &str,
    method: &'static str,
    parameters: &[(&str, String)],
) -> Result<(), Trouble> {
    match client.invoke(class, method, parameters)?.return_value {
        0 => Ok(()),
        value => Err(Trouble::Method { method, value }),
    }
}

/// The agent's relay: asks again for a channel where none was free, and no more where it is forbidden.
#[derive(Debug)]
struct Patient<'a> {
    under: &'a LmeDialer<'a>,
    clock: &'a dyn Clock,
    retries: bool,
}

impl Dialer for Patient<'_> {
    fn open(&self, port: u16) -> Result<Box<dyn crate::wire::Pipe + '_>, PipeError> {
        const RESOURCE_SHORTAGE: u32 = 4;
        const PAUSE: Duration = Duration::from_secs(1);
        let mut tries = 3;
        loop {
            let error = match self.under.open(port) {
                Ok(pipe) => return Ok(pipe),
                Err(error) => error,
            };
            tries -= 1;
            let passes = match &error {
                PipeError::Lme(LmeError::Refused(reason)) => *reason == RESOURCE_SHORTAGE,
                PipeError::Lme(error) => error.is_link(),
                _ => false,
            };
            if !passes || !self.retries || tries == 0 {
                return Err(error);
            }
            self.clock.pause(PAUSE);
        }
    }
}
