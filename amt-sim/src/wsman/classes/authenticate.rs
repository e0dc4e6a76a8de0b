//! AMT_GeneralSettings.AMTAuthenticate: the device proves after set-up that it is the one whose chip certified it.
//!
//! ```text
//!   signature = ECDSA over SHA-384 of
//!     SHA-384 of the certificate shown on TLS | MC_Nonce | Nonce | FQDN | UUID (16 octets) | FWVersion
//!     | AMTSVN (u32) | DigestRealm | SignatureMechanism (u32)
//! ```
//! Texts stand without a terminator, numbers little-endian. The key is that of the on-die leaf for WS-Management, whose
//! chain comes along, leaf first and without the root.
//!
//! Source: class AMT_GeneralSettings, MOF of the method; the guide's page on the on-die certificate authority.

use sha2::{Digest as _, Sha384};

use super::super::call::{Access, Call, Method, Outcome, status};
use super::super::fault::Fault;
use super::super::provider::{Live, Provider};
use super::super::value::Value;
use crate::device::{Firmware, assumed};
use crate::pki::{ChainForm, OnDieChain, sign_with};

pub(crate) const METHODS: &[Method] = &[Method::new(
    "AMT_GeneralSettings",
    "AMTAuthenticate",
    Access::Administrator,
    authenticate,
)];

pub(crate) const PROVIDERS: &[Provider] = &[];

pub(crate) const LIVE: &[Live] = &[];

/// TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, the only one there is.
const MECHANISM: u32 = 0;

/// Octets of a nonce.
const NONCE: usize = 20;

fn authenticate(call: &mut Call<'_>) -> Outcome {
    let fw = &mut *call.fw;
    if !fw.profile.capabilities.on_die_ca {
        fw.assume(assumed::WSMAN_METHOD_LACKING);
        return Outcome::fault(Fault::ActionNotSupported);
    }
    let asked = call.input.bytes("MC_Nonce").unwrap_or_default();
    if asked.len() != NONCE {
        fw.assume(assumed::AUTHENTICATE);
        return Outcome::status(status::INVALID_PARAMETER);
    }
    let certificate = crate::http::leaf(fw, call.caller.interface);
    let Some(answer) = Answer::make(fw, &asked, &certificate) else {
        return Outcome::status(status::INTERNAL_ERROR);
    };
    fw.assume(assumed::AUTHENTICATE);
    let lengths: Vec<Value> = answer
        .chain
        .iter()
        .map(|der| Value::Int(der.len() as i64))
        .collect();
    Outcome::OK
        .with("Nonce", Value::Bytes(answer.nonce.to_vec()))
        .with("UUID", crate::hex::encode(&answer.uuid))
        .with("FQDN", answer.fqdn.as_str())
        .with("FWVersion", answer.version.as_str())
        .with("AMTSVN", Value::Int(answer.svn.into()))
        .with("SignatureMechanism", Value::Int(MECHANISM.into()))
        .with("Signature", Value::Bytes(answer.signature))
        .with("LengthOfCertificates", Value::List(lengths))
        .with("Certificates", Value::Bytes(answer.chain.concat()))
}

struct Answer {
    nonce: [u8; NONCE],
    uuid: [u8; 16],
    fqdn: String,
    version: String,
    svn: u32,
    signature: Vec<u8>,
    chain: Vec<Vec<u8>>,
}

impl Answer {
    /// `None` when there is no chain, which happens for no seed that anybody will draw.
    fn make(fw: &mut Firmware, asked: &[u8], certificate: &[u8]) -> Option<Self> {
        // No two answers have the same of these.
        let turn = (fw.state.boots << 32) ^ fw.wsman.messages;
        let nonce: [u8; NONCE] = fw.seed.bytes("nonce of AMTAuthenticate", turn);
        let network = &fw.profile.network;
        let fqdn = match network.dhcp_domain.as_str() {
            "" => network.hostname.clone(),
            domain => format!("{}.{domain}", network.hostname),
        };
        let uuid = fw.identity.uuid.to_wire();
        let version = fw.profile.firmware.amt.clone();
        let svn = u32::from(fw.profile.firmware.security_version);
        let mut message = Sha384::digest(certificate).to_vec();
        message.extend(asked);
        message.extend(nonce);
        message.extend(fqdn.as_bytes());
        message.extend(uuid);
        message.extend(version.as_bytes());
        message.extend(svn.to_le_bytes());
        message.extend(fw.identity.digest_realm.as_bytes());
        message.extend(MECHANISM.to_le_bytes());
        let amt = fw.profile.firmware.parts()[0];
        let chain = OnDieChain::for_ws_man(fw.seed, &fw.profile.platform.family, amt).ok()?;
        Some(Self {
            nonce,
            uuid,
            fqdn,
            version,
            svn,
            signature: sign_with(&chain.key, &message)?,
            chain: chain.shown(ChainForm::Six).to_vec(),
        })
    }
}
