//! The periodic check: is the device still as the application left it?
//!
//! Neither of the two things that it can look at is enough. A certificate shows who signed, but whoever can make the
//! server sign once more leaves the same one. A timestamp shows when, but whoever owns the host owns its clock.

use serde_json::json;

use super::record::Record;
use super::server::{Question, Reply, Server, ask};
use super::{Door, Trouble};
use crate::fact::{Fact, Facts};
use crate::role::Misbehaviour;
use crate::scenario::{LooksAt, Order};

/// Looks at the record as far as it is told to, and gives a verdict.
pub(super) fn check(
    host: Door<'_>,
    by: LooksAt,
    misbehaviour: Option<Misbehaviour>,
    server: &mut Server,
    facts: &mut Facts,
) -> Result<(), Trouble> {
    let uuid = host.amthi()?.uuid()?.to_string();
    let record = Record::read(&mut host.os_admin()?)?;
    let question = Question::Known { uuid };
    let (certificates, created) = match ask(server, &question, &Order::default()) {
        Ok(Reply::Knows {
            certificates,
            created,
        }) => (certificates, created),
        Ok(_) => return Err(Trouble::Server("it answered something else".to_owned())),
        Err(why) => return Err(Trouble::Server(why)),
    };
    let by = match misbehaviour {
        Some(Misbehaviour::CheckerOnlyCertificate) => LooksAt::Certificate,
        Some(Misbehaviour::CheckerOnlyTimestamp) => LooksAt::Timestamp,
        _ => by,
    };
    let mut genuine = true;
    if by != LooksAt::Timestamp {
        // requirement `app.check.certificate`
        let hash = record
            .as_ref()
            .and_then(|record| record.certificate.as_ref());
        let found = match hash {
            None => "none",
            Some(hash) if certificates.contains(hash) => "same",
            Some(_) => "other",
        };
        let forgiven = misbehaviour == Some(Misbehaviour::CheckerForgivesUnsigned);
        genuine &= found == "same" || (found == "none" && forgiven);
        facts.insert(Fact::CHECKER_CERTIFICATE, json!(found));
    }
    if by != LooksAt::Certificate {
        // requirement `app.check.timestamp`
        let found = record.as_ref().map(|record| &record.created);
        let same = found.is_some() && found == created.as_ref();
        genuine &= same;
        facts.insert(
            Fact::CHECKER_TIME,
            json!(if same { "same" } else { "other" }),
        );
    }
    let verdict = if genuine { "genuine" } else { "rogue" };
    facts.insert(Fact::CHECKER_VERDICT, json!(verdict));
    Ok(())
}
