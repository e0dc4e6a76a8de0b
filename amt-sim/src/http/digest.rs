//! HTTP digest as AMT demands it: the challenge, and whether a login holds.
//!
//! Source: challenges of AMT 11 and 15 in public recordings; "Intel AMT Implementation and Reference Guide",
//! "Authentication options"; RFC 7616. A login that would hold but for its nonce is refused as stale, so that the
//! client tries again with the new one and asks nobody for a password.

use super::authorization::Login;
use super::head::path_of;
use super::nonce::Standing;
use super::parser::Request;
use crate::device::{
    Caller, ChallengeQuality, Event, Firmware, Interface, LoginRefusal, Rule, assumed,
    credential_of,
};

/// No login, or one that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unproven {
    /// The password was right and the nonce was not.
    pub(super) stale: bool,
}

/// Who sent a request.
pub(super) fn authenticate(
    fw: &mut Firmware,
    stream: u32,
    from: Interface,
    request: &Request,
) -> Result<Caller, Unproven> {
    let head = &request.head;
    let Some(header) = head.header("authorization") else {
        return Err(Unproven { stale: false });
    };
    let login = Login::parse(header);
    let user = login.as_ref().map_or("", |login| login.user.as_str());
    let user = user.to_owned();
    let outcome = match &login {
        Ok(login) => check(fw, from, request, login),
        Err(_) => Err(LoginRefusal::Unreadable),
    };
    outcome.map_err(|reason| {
        fw.record(Event::LoginRefused {
            stream,
            user,
            reason,
        });
        use LoginRefusal::{CountBehind, StaleNonce, UnknownNonce};
        Unproven {
            stale: matches!(reason, UnknownNonce | StaleNonce | CountBehind),
        }
    })
}

fn check(
    fw: &mut Firmware,
    from: Interface,
    Request { head, body }: &Request,
    login: &Login,
) -> Result<Caller, LoginRefusal> {
    if login.realm != fw.identity.digest_realm && fw.enforced(Rule::HTTP_DIGEST_REALM) {
        return Err(LoginRefusal::ForeignRealm);
    }
    if path_of(&login.uri) != head.path() && fw.enforced(Rule::HTTP_DIGEST_URI) {
        return Err(LoginRefusal::WrongUri);
    }
    if !has_quality(fw, login) && fw.enforced(Rule::HTTP_DIGEST_QOP) {
        return Err(LoginRefusal::WrongQuality);
    }
    let credential = credential_of(fw, &login.user, from).ok_or(LoginRefusal::UnknownUser)?;
    if fw.web.locks.is_locked(&login.user, fw.now) {
        fw.assume(assumed::LOGIN_LOCK);
        return Err(LoginRefusal::Locked);
    }
    let expected = login.expected_response(&credential.ha1, &head.method, body);
    let right = if fw.enforced(Rule::HTTP_DIGEST_RESPONSE) {
        login.response == expected
    } else {
        // Only as many digits as came are looked at: none is enough.
        expected.starts_with(&login.response)
    };
    if !right {
        fw.web.locks.failed(&login.user, fw.now, &fw.profile.web);
        return Err(LoginRefusal::WrongResponse);
    }
    fw.web.locks.succeeded(&login.user);
    let count = login.count().unwrap_or_default();
    let life = fw.profile.web.nonce_life_ms;
    let refusal = match fw.web.nonces.standing(&login.nonce, count, fw.now, life) {
        Standing::Good => None,
        Standing::Unknown => Some((LoginRefusal::UnknownNonce, Rule::HTTP_NONCE_LIFE)),
        Standing::Expired => Some((LoginRefusal::StaleNonce, Rule::HTTP_NONCE_LIFE)),
        Standing::CountBehind => Some((LoginRefusal::CountBehind, Rule::HTTP_NONCE_COUNT)),
    };
    if let Some((reason, rule)) = refusal
        && fw.enforced(rule)
    {
        return Err(reason);
    }
    fw.web.nonces.spend(&login.nonce, count);
    Ok(Caller {
        principal: credential.principal,
        user: login.user.clone(),
        interface: from,
    })
}

fn has_quality(fw: &Firmware, login: &Login) -> bool {
    let offered = match login.qop.as_deref() {
        Some("auth") => true,
        Some("auth-int") => fw.profile.web.challenge == ChallengeQuality::AuthIntFirst,
        _ => false,
    };
    let algorithm = login.algorithm.as_deref().unwrap_or("MD5");
    algorithm.eq_ignore_ascii_case("MD5")
        && offered
        && login.count().is_some()
        && login.client_nonce.is_some()
}

/// The value of `WWW-Authenticate`, with a new nonce. Realm first, every value quoted, one blank: readers in the
/// field depend on each of these.
pub(super) fn challenge(fw: &mut Firmware, stale: bool) -> String {
    let nonce = fw.web.nonces.issue(fw.seed, fw.state.boots, fw.now);
    let qualities = match fw.profile.web.challenge {
        ChallengeQuality::Auth => "auth",
        ChallengeQuality::AuthIntFirst => {
            fw.assume(assumed::CHALLENGE_QUALITY);
            "auth-int, auth"
        }
    };
    let realm = &fw.identity.digest_realm;
    format!(r#"Digest realm="{realm}", nonce="{nonce}",stale="{stale}",qop="{qualities}""#)
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
