//! The central server: keeps the signing key, signs what it is asked to, and remembers what it gave out.
//!
//! It is spoken to in lines of JSON, one question, one answer. Whether they travel over a network or, as here, within
//! one process is nothing that either side could tell.
//!
//! ```text
//! {"sign": {"uuid": U, "algorithm": "sha256", "hash": HEX}}   the hash of both nonces
//!   {"signed": {"signature": BASE64, "chain": [BASE64, …]}}   leaf first, root last
//! {"done": {"uuid": U, "created": TIME}}                      what the record says right after the set-up
//!   {"noted": {}}
//! {"known": {"uuid": U}}                                      by whoever checks later
//!   {"knows": {"certificates": [HEX, …], "created": TIME}}    SHA-256 of each leaf that was given out for it
//! {"refused": {"why": TEXT}}                                  in answer to anything
//! ```
//! The page leaves open how the server knows who asks. This one signs for anybody, as a server must that has nothing but
//! the host's word: so a host's own administrator can get a genuine signature too.

use std::collections::{BTreeMap, BTreeSet};

use rsa::Pkcs1v15Sign;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384};

use crate::role::Misbehaviour;
use crate::role::certificates::{CertificateError, Identity, fingerprint};
use crate::scenario::{Order, SignatureForm};
use crate::wire::base64;

/// What the server is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    Sign {
        uuid: String,
        algorithm: HashName,
        hash: String,
    },
    Done {
        uuid: String,
        created: String,
    },
    Known {
        uuid: String,
    },
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    Signed {
        signature: String,
        chain: Vec<String>,
    },
    Noted {},
    Knows {
        certificates: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created: Option<String>,
    },
    Refused {
        why: String,
    },
}

/// How the nonces were hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashName {
    Sha256,
    Sha384,
}

/// The central server that comes with the harness.
#[derive(Debug)]
pub struct Server {
    /// Certificates that were given out for each device.
    issued: BTreeMap<String, BTreeSet<String>>,
    /// When each device was set up, by the application's word.
    created: BTreeMap<String, String>,
    misbehaviour: Option<Misbehaviour>,
}

impl Server {
    pub(super) fn new(misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            issued: BTreeMap::new(),
            created: BTreeMap::new(),
            misbehaviour,
        }
    }

    /// Answers one line with one line.
    pub fn answer(&mut self, line: &str, order: &Order) -> String {
        let reply = match serde_json::from_str(line) {
            Ok(question) => self.reply(question, order),
            Err(error) => Reply::Refused {
                why: error.to_string(),
            },
        };
        // Texts and lists of texts: writing them cannot fail.
        serde_json::to_string(&reply).unwrap_or_default()
    }

    fn reply(&mut self, question: Question, order: &Order) -> Reply {
        let refused = |why: String| Reply::Refused { why };
        match question {
            Question::Sign {
                uuid,
                algorithm,
                hash,
            } => match self.sign(&uuid, algorithm, &hash, order) {
                Ok(Ok(reply)) => reply,
                Ok(Err(why)) => refused(why.to_owned()),
                Err(error) => refused(error.to_string()),
            },
            Question::Done { uuid, created } => {
                self.created.insert(uuid, created);
                Reply::Noted {}
            }
            Question::Known { uuid } => Reply::Knows {
                certificates: self.issued.get(&uuid).cloned().unwrap_or_default(),
                created: self.created.get(&uuid).cloned(),
            },
        }
    }

    fn sign(
        &mut self,
        uuid: &str,
        algorithm: HashName,
        hash: &str,
        order: &Order,
    ) -> Result<Result<Reply, &'static str>, CertificateError> {
        let size = match algorithm {
            HashName::Sha256 => 32,
            HashName::Sha384 => 48,
        };
        let Some(mut hash) = amt_sim::hex::decode(hash).filter(|hash| hash.len() == size) else {
            return Ok(Err(
                "the hash has not the length that its algorithm gives it",
            ));
        };
        let identity = Identity::of(order.certificate)?;
        if self.misbehaviour == Some(Misbehaviour::ServerHashesAgain) {
            hash = match algorithm {
                HashName::Sha256 => Sha256::digest(&hash).to_vec(),
                HashName::Sha384 => Sha384::digest(&hash).to_vec(),
            };
        }
        let other = order.signature == SignatureForm::OtherKey
            || self.misbehaviour == Some(Misbehaviour::ServerUsesOtherKey);
        let key = match other {
            true => Identity::rogue()?.key,
            false => identity.key.clone(),
        };
        let padding = match (order.signature, algorithm) {
            (SignatureForm::BareHash, _) => Pkcs1v15Sign::new_unprefixed(),
            (_, HashName::Sha256) => Pkcs1v15Sign::new::<Sha256>(),
            (_, HashName::Sha384) => Pkcs1v15Sign::new::<Sha384>(),
        };
        let Ok(mut signature) = key.sign(padding, &hash) else {
            return Ok(Err("the key is too short for the hash"));
        };
        if order.signature == SignatureForm::Tampered
            && let Some(byte) = signature.last_mut()
        {
            *byte ^= 1;
        }
        if self.misbehaviour != Some(Misbehaviour::ServerForgets) {
            let given_out = self.issued.entry(uuid.to_owned()).or_default();
            given_out.insert(fingerprint(identity.leaf()));
        }
        Ok(Ok(Reply::Signed {
            signature: base64::encode(&signature),
            chain: identity
                .chain
                .iter()
                .map(|der| base64::encode(der))
                .collect(),
        }))
    }
}

/// One question to a server, as a client of its protocol asks it.
pub(super) fn ask(
    server: &mut Server,
    question: &Question,
    order: &Order,
) -> Result<Reply, String> {
    // Texts only: writing them cannot fail.
    let line = serde_json::to_string(question).unwrap_or_default();
    let answer = server.answer(&line, order);
    match serde_json::from_str(&answer) {
        Ok(Reply::Refused { why }) => Err(why),
        Ok(reply) => Ok(reply),
        Err(error) => Err(format!("its answer cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn server() -> Server {
        Server::new(None)
    }

    #[test]
    fn what_it_gave_out_it_remembers_for_that_device_only() {
        let mut server = server();
        let order = Order::default();
        let hash = "00".repeat(32);
        let line = format!(
            "{{\"sign\": {{\"uuid\": \"u\", \"algorithm\": \"sha256\", \"hash\": \"{hash}\"}}}}"
        );
        let answer = server.answer(&line, &order);
        assert!(
            answer.starts_with("{\"signed\":{\"signature\":\""),
            "{answer}"
        );
        assert_eq!(answer, server.answer(&line, &order));
        server.answer("{\"done\": {\"uuid\": \"u\", \"created\": \"t\"}}", &order);
        let knows = server.answer("{\"known\": {\"uuid\": \"u\"}}", &order);
        assert!(knows.contains("\"created\":\"t\""), "{knows}");
        assert_eq!(knows.matches("\"created\"").count(), 1);
        assert_eq!(
            server.answer("{\"known\": {\"uuid\": \"v\"}}", &order),
            "{\"knows\":{\"certificates\":[]}}"
        );
    }

    #[rstest]
    #[case("{\"sign\": {\"uuid\": \"u\", \"algorithm\": \"sha256\", \"hash\": \"00\"}}")]
    #[case("{\"sign\": {\"uuid\": \"u\", \"algorithm\": \"md5\", \"hash\": \"00\"}}")]
    #[case("{\"sgin\": {}}")]
    #[case("nonsense")]
    fn what_it_cannot_do_it_refuses(#[case] line: &str) {
        let answer = server().answer(line, &Order::default());
        assert!(answer.starts_with("{\"refused\":{\"why\":"), "{answer}");
    }
}
