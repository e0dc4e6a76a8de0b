//! Signed set-up from the host, with the parties of the guide's page kept apart: the application on the host, the
//! central server that holds the key, and somebody who administers the host and wants the device for himself.
//!
//! ```text
//!   device ──ConfigurationNonce──▶ application ──hash of both nonces──▶ server
//!   device ◀──signed Setup──────── application ◀──signature, certificate── server
//!   device ──provisioning record──▶ application: is it ours?
//! ```
//! Application and intruder reach the device as any program on the host does: over MEI, and over its local
//! WS-Management port. The server sees nothing of it.
//!
//! Source: "Intel AMT Implementation and Reference Guide", page "Creating a Signed Configuration Request".

mod host;
mod intruder;
mod local;
mod server;

use md5::{Digest as _, Md5};
use serde_json::json;
use sha2::Sha256;

use self::host::{Host, Record};
use self::server::{Server, Signed};
use crate::fact::{Fact, Facts};
use crate::role::{ActionReport, Ending, Misbehaviour};
use crate::scenario::{Action, Outcome};

pub use self::local::{LocalPort, base64_decode, base64_encode};

use amt_sim::host::port::MeiPort;

/// The password that every party sets: who knows it does not matter to these stories.
const PASSWORD: &str = "C0nf0rm@nce";

/// Why an action came to nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the host interface: {0}")]
    Mei(String),
    #[error("the local port: {0}")]
    Port(&'static str),
    #[error("{method} is return value {value}")]
    Refused { method: &'static str, value: i64 },
    #[error("the device answers {0}")]
    Answer(String),
    #[error("the server: {0}")]
    Server(String),
    #[error("{0}")]
    Story(&'static str),
}

/// What the application wrote down when it set the device up.
#[derive(Debug, Clone)]
struct Memory {
    /// SHA-256 of the certificate that its server signed with.
    hash: Vec<u8>,
    /// CreationTimeStamp, as the device wrote it.
    created: String,
    /// What was sent, for whoever recorded it.
    request: String,
}

/// The parties of one story, with what they remember from one action to the next.
#[derive(Debug)]
pub struct Parties {
    misbehaviour: Option<Misbehaviour>,
    seed: u64,
    /// Nonces drawn so far.
    drawn: u64,
    memory: Option<Memory>,
}

impl Parties {
    pub fn new(seed: u64, misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            misbehaviour,
            seed,
            drawn: 0,
            memory: None,
        }
    }

    /// Does what the scenario says, with this device.
    pub fn act(
        &mut self,
        action: Action,
        mei: &dyn MeiPort,
        local: &dyn LocalPort,
    ) -> ActionReport {
        let mut facts = Facts::new();
        let done = Host::open(mei, local).and_then(|host| match action {
            Action::ApplicationSetUp => self.set_up(&host),
            Action::ApplicationCheck => self.check(&host, &mut facts),
            _ => self.intrude(action, &host),
        });
        let mut report = ActionReport::done(facts);
        if let Err(trouble) = done {
            report.ending = Ending::Outcome(Outcome::Failed);
            report.remarks.push(trouble.to_string());
        }
        report
    }

    fn is(&self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

    /// Steps 1 to 4 of the page; the device does step 5.
    fn set_up(&mut self, host: &Host<'_>) -> Result<(), Trouble> {
        let server = Server::own()?;
        let (request, certificate) = self.signed_request(host, &server)?;
        host.setup(&request)?;
        let record = host.record()?.ok_or(Trouble::Story("there is no record"))?;
        self.memory = Some(Memory {
            hash: Sha256::digest(certificate).to_vec(),
            created: record.created,
            request,
        });
        Ok(())
    }

    /// The parameters of a signed Setup, and the certificate in them.
    fn signed_request(
        &mut self,
        host: &Host<'_>,
        server: &Server,
    ) -> Result<(String, Vec<u8>), Trouble> {
        let mc_nonce = self.nonce();
        let nonce = host.configuration_nonce()?;
        // requirement `app.setup.nonces`
        let both = if self.is(Misbehaviour::NoncesSwapped) {
            [mc_nonce.clone(), nonce].concat()
        } else {
            [nonce, mc_nonce.clone()].concat()
        };
        let Signed {
            signature,
            certificate,
        } = server.sign(&Sha256::digest(both))?;
        let request = format!(
            "{}<h:McNonce>{}</h:McNonce><h:Certificate>{}</h:Certificate>\
             <h:SigningAlgorithm>2</h:SigningAlgorithm><h:DigitalSignature>{}</h:DigitalSignature>",
            password(host)?,
            base64_encode(&mc_nonce),
            base64_encode(&certificate),
            base64_encode(&signature)
        );
        Ok((request, certificate))
    }

    /// Twenty bytes that never come twice in a story.
    fn nonce(&mut self) -> Vec<u8> {
        self.drawn += 1;
        let drawn = Sha256::new()
            .chain_update(b"McNonce")
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.drawn.to_be_bytes());
        drawn.finalize()[..20].to_vec()
    }

    /// Step 6: is the record the one that our own set-up left?
    fn check(&self, host: &Host<'_>, facts: &mut Facts) -> Result<(), Trouble> {
        let memory = self
            .memory
            .as_ref()
            .ok_or(Trouble::Story("the application has set nothing up"))?;
        let record = host.record()?;
        let mut signer_is_ours = false;
        let mut time_is_ours = false;
        if let Some(Record { hash, created }) = &record {
            signer_is_ours = hash.as_ref() == Some(&memory.hash);
            time_is_ours = *created == memory.created;
            let signer = match (hash, signer_is_ours) {
                (None, _) => "nobody",
                (Some(_), true) => "ours",
                (Some(_), false) => "other",
            };
            facts.insert(Fact::RECORD_SIGNER, json!(signer));
            let time = if time_is_ours { "ours" } else { "other" };
            facts.insert(Fact::RECORD_TIME, json!(time));
        }
        // requirement `app.record.both`
        let rogue = match self.misbehaviour {
            Some(Misbehaviour::TrustsAnyRecord) => false,
            Some(Misbehaviour::RecordHashOnly) => !signer_is_ours,
            Some(Misbehaviour::RecordTimeOnly) => !time_is_ours,
            _ => !(signer_is_ours && time_is_ours),
        };
        facts.insert(Fact::RECORD_ROGUE, json!(rogue));
        Ok(())
    }
}

/// The password's parameters: its digest in this device's realm.
fn password(host: &Host<'_>) -> Result<String, Trouble> {
    let realm = host.digest_realm()?;
    let digest = hex(&Md5::digest(format!("admin:{realm}:{PASSWORD}")));
    Ok(format!(
        "<h:NetAdminPassEncryptionType>2</h:NetAdminPassEncryptionType>\
         <h:NetworkAdminPassword>{digest}</h:NetworkAdminPassword>"
    ))
}

fn hex(bytes: &[u8]) -> String {
    amt_sim::hex::encode(bytes)
}

#[cfg(test)]
mod tests;
