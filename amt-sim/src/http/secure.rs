//! TLS between the wire and the HTTP of one stream: which certificate is shown, who must show one, what is journaled.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::StreamId;
use super::trusted::TrustedClients;
use crate::device::setup::{host_based_tls, peer};
use crate::device::{
    Caller, Event, Firmware, Interface, Principal, Rule, TlsClient, TlsSettings, assumed,
    client_certificates,
};
use crate::pki::{ChainForm, SelfSigned};
use crate::tls::{Credential, FailureKind, Judge, Settings, TlsStream, Version};
use crate::wsman::{Shown, shown_certificate, subject_of};

/// TLS of one stream, and what of it the journal knows already.
#[derive(Debug)]
pub(super) struct Secure {
    pub(super) tls: TlsStream,
    /// SHA-256 of the certificate that the device shows.
    fingerprint: String,
    /// The device made that certificate itself.
    own: bool,
    /// Judges who wants to set the device up.
    judge: Option<Arc<peer::Judge>>,
    /// How often the mode had changed when the peer came.
    opened_at: u64,
    /// The peer may set the device up; counts while the mode has changed so often and no more.
    accepted_at: Option<u64>,
    told_established: bool,
    told_failure: bool,
}

/// Certificates that were shown before: reading a key takes longer than a handshake should.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    own: Option<Credential>,
    on_die: Option<Credential>,
    given: Option<(Shown, Credential)>,
}

/// A TLS connection that was just opened from this side.
pub(super) fn accept(fw: &mut Firmware, id: StreamId, side: Interface) -> Secure {
    let (credential, own) = credential(fw, Some(id), side);
    let provisioning = peer::Judge::of(fw, side).map(Arc::new);
    let tls = match &credential {
        Ok(credential) => {
            let asked = client_certificates(fw, side);
            let judge = match &provisioning {
                Some(judge) => Some(Arc::clone(judge) as Arc<dyn Judge>),
                None => TrustedClients::of(fw, side).map(|judge| Arc::new(judge) as _),
            };
            TlsStream::logged(
                credential,
                Settings {
                    versions: &fw.profile.tls.versions,
                    client_certificates: asked,
                    judge,
                    at: fw.clock(),
                },
                fw.recorder.key_log(),
            )
        }
        Err(why) => TlsStream::unavailable(why.clone()),
    };
    let leaf = credential
        .as_ref()
        .ok()
        .and_then(|shown| shown.chain().next());
    Secure {
        tls,
        fingerprint: leaf.map(sha256).unwrap_or_default(),
        own,
        judge: provisioning,
        opened_at: fw.setup.mode_changes(),
        accepted_at: None,
        told_established: false,
        told_failure: false,
    }
}

/// The first certificate that is shown to whoever connects from this side now.
pub(super) fn leaf(fw: &mut Firmware, side: Interface) -> Vec<u8> {
    let (credential, _) = credential(fw, None, side);
    let leaf = credential
        .as_ref()
        .ok()
        .and_then(|shown| shown.chain().next());
    leaf.map(<[u8]>::to_vec).unwrap_or_default()
}

/// What is shown on this side now, and whether the device signed it itself.
fn credential(
    fw: &mut Firmware,
    id: Option<StreamId>,
    side: Interface,
) -> (Result<Credential, String>, bool) {
    if host_based_tls::shows_on_die(fw, side)
        && let Some(credential) = on_die(fw, id.is_some())
    {
        return (credential, false);
    }
    match given(fw, id) {
        Some(credential) => (Ok(credential), false),
        None => (own(fw), true),
    }
}

/// The chain that came with the chip, or the wrong one that a fault shows to a connection.
fn on_die(fw: &mut Firmware, connecting: bool) -> Option<Result<Credential, String>> {
    if connecting && let Some(wrong) = host_based_tls::wrong_chain(fw) {
        let made = Credential::new(&wrong.shown, &wrong.key);
        return Some(made.map_err(|error| error.to_string()));
    }
    if let Some(credential) = &fw.web.credentials.on_die {
        return Some(Ok(credential.clone()));
    }
    let chain = host_based_tls::on_die(fw)?;
    let made = Credential::new(chain.shown(ChainForm::Six), &chain.key);
    if let Ok(credential) = &made {
        fw.web.credentials.on_die = Some(credential.clone());
    }
    Some(made.map_err(|error| error.to_string()))
}

/// The certificate that the TLS credential context names.
fn given(fw: &mut Firmware, id: Option<StreamId>) -> Option<Credential> {
    let number = TlsSettings::in_force(fw).certificate?;
    let shown = shown_certificate(fw, number)?;
    if let Some((before, credential)) = &fw.web.credentials.given
        && *before == shown
    {
        return Some(credential.clone());
    }
    match Credential::new(std::slice::from_ref(&shown.certificate), &shown.key) {
        Ok(credential) => {
            fw.web.credentials.given = Some((shown, credential.clone()));
            Some(credential)
        }
        Err(error) => {
            let StreamId(stream) = id?;
            fw.record(Event::TlsFailed {
                stream,
                reason: FailureKind::Device,
                why: format!(
                    "certificate {number} cannot be shown, so the device shows its own: {error}"
                ),
                refusal: None,
            });
            None
        }
    }
}

/// The certificate that the device made itself.
fn own(fw: &mut Firmware) -> Result<Credential, String> {
    if let Some(credential) = &fw.web.credentials.own {
        return Ok(credential.clone());
    }
    let network = &fw.profile.network;
    let host = match network.dhcp_domain.as_str() {
        "" => network.hostname.clone(),
        domain => format!("{}.{domain}", network.hostname),
    };
    let made = SelfSigned::for_device(&host, &fw.identity.uuid.to_string())
        .map_err(|error| error.to_string())?;
    let credential =
        Credential::new(&[made.certificate], &made.key).map_err(|error| error.to_string())?;
    fw.web.credentials.own = Some(credential.clone());
    Ok(credential)
}

/// The administrator, if the peer of this connection may set the device up now.
pub(super) fn administrator(fw: &Firmware, side: Interface, secure: &Secure) -> Option<Caller> {
    let accepted = secure.accepted_at == Some(fw.setup.mode_changes());
    let counts = accepted && peer::sets_up(fw, side) && fw.enforced(Rule::SETUP_PEER_ADMINISTRATOR);
    counts.then(|| Caller {
        principal: Principal::Admin,
        user: fw.state.admin_name.clone(),
        interface: side,
    })
}

/// In set-up: whoever shook hands may set the device up, if the mode is still the one in which he was judged.
fn accept_peer(fw: &mut Firmware, secure: &mut Secure) {
    if let Some(judge) = &secure.judge
        && secure.opened_at == fw.setup.mode_changes()
        && peer::accepted(fw, judge)
    {
        secure.accepted_at = Some(secure.opened_at);
    }
}

/// Journals what became of the connection since this was last asked, and judges who is there.
pub(super) fn report(fw: &mut Firmware, id: StreamId, secure: &mut Secure) {
    let StreamId(stream) = id;
    if let Some(agreed) = secure
        .tls
        .established()
        .filter(|_| !secure.told_established)
    {
        secure.told_established = true;
        fw.record(Event::TlsEstablished {
            stream,
            version: agreed.version,
            cipher: agreed.cipher.clone(),
            certificate: secure.fingerprint.clone(),
            client: agreed.peer_certificates.first().map(|leaf| TlsClient {
                subject: subject_of(leaf).unwrap_or_default(),
                sha256: sha256(leaf),
                certificates: agreed.peer_certificates.len(),
            }),
        });
        if agreed.version == Version::Tls13 {
            fw.assume(assumed::TLS_VERSIONS);
        }
        if secure.own {
            fw.assume(assumed::SELF_SIGNED);
        }
        accept_peer(fw, secure);
    }
    if let Some(failure) = secure.tls.failure().filter(|_| !secure.told_failure) {
        secure.told_failure = true;
        let judge = secure.judge.as_ref();
        let refusal = judge.and_then(|judge| judge.refusal());
        let (reason, why) = match refusal {
            Some(refusal) => (FailureKind::UntrustedClient, refusal.to_string()),
            None => (failure.kind, failure.why.clone()),
        };
        fw.record(Event::TlsFailed {
            stream,
            reason,
            why,
            refusal,
        });
        if let Some(refusal) = refusal {
            peer::refused(fw, refusal);
        }
        if matches!(
            failure.kind,
            FailureKind::Incompatible | FailureKind::StaticRsa | FailureKind::OldVersion
        ) {
            fw.assume(assumed::TLS_VERSIONS);
        }
    }
}

fn sha256(der: &[u8]) -> String {
    crate::hex::encode(&Sha256::digest(der))
}
