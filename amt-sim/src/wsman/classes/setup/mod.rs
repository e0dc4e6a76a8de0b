//! Host-based set-up and provisioning records: the wire of [`crate::device::setup`].

mod hashes;
mod records;

use crate::device::setup::{self, Password, Proof};
use crate::device::{Firmware, SetupMethod, assumed};
use crate::wsman::call::{Access, Call, Input, Method, Outcome};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Live, Provider};
use crate::wsman::value::Value;

const SERVICE: &str = "IPS_HostBasedSetupService";

/// Before set-up nobody but the operating system's own account can log in.
#[rustfmt::skip]
pub(crate) const METHODS: &[Method] = &[
    Method { class: SERVICE, name: "Setup", access: Access::OsAdmin, call: set_up },
    Method { class: SERVICE, name: "AddNextCertInChain", access: Access::OsAdmin, call: add_next_certificate },
    Method { class: SERVICE, name: "AdminSetup", access: Access::OsAdmin, call: admin_setup },
    Method { class: SERVICE, name: "UpgradeClientToAdmin", access: Access::Administrator, call: upgrade_client_to_admin },
    Method { class: SERVICE, name: "DisableClientControlMode", access: Access::OsAdmin, call: disable_client_control_mode },
];

pub(crate) const PROVIDERS: &[Provider] = &[
    records::CLIENT,
    records::ADMIN,
    records::TLS,
    records::MANUAL,
    hashes::PROVIDER,
];

#[rustfmt::skip]
pub(crate) const LIVE: &[Live] = &[
    Live { name: "allowed-control-modes", value: allowed_control_modes },
    Live { name: "certificate-chain-status", value: |fw| Some(Value::Int(setup::chain_status(fw) as i64)) },
    Live { name: "configuration-nonce", value: |fw| Some(setup::configuration_nonce(fw).to_vec().into()) },
    Live { name: "control-mode", value: |fw| Some(Value::Int(fw.mode().control_mode() as i64)) },
    Live { name: "provisioning-records", value: |fw| Some(records::count(fw).into()) },
];

fn allowed_control_modes(fw: &Firmware) -> Option<Value> {
    let modes = setup::allowed_control_modes(fw);
    let numbers = modes.into_iter().map(|mode| Value::Int(mode as i64));
    Some(Value::List(numbers.collect()))
}

/// A parameter that is there and is no base64.
#[derive(Debug, Clone, Copy)]
struct NoBase64;

/// Octets of a parameter. A client that has nothing to say may leave it out or send it empty.
fn octets(input: &Input, name: &str) -> Result<Option<Vec<u8>>, NoBase64> {
    match input.text(name) {
        None | Some("") => Ok(None),
        Some(_) => input.bytes(name).map(Some).ok_or(NoBase64),
    }
}

/// What proves a request, owned.
struct Signed {
    mc_nonce: Option<Vec<u8>>,
    algorithm: Option<i64>,
    signature: Option<Vec<u8>>,
}

impl Signed {
    fn of(input: &Input) -> Result<Self, NoBase64> {
        Ok(Self {
            mc_nonce: octets(input, "McNonce")?,
            algorithm: input.number("SigningAlgorithm"),
            signature: octets(input, "DigitalSignature")?,
        })
    }

    fn proof(&self) -> Proof<'_> {
        Proof {
            mc_nonce: self.mc_nonce.as_deref(),
            algorithm: self.algorithm,
            signature: self.signature.as_deref(),
        }
    }
}

fn password(input: &Input) -> Password<'_> {
    Password {
        // No number of ours is negative, so that what is no number is no known type.
        encryption: input.number("NetAdminPassEncryptionType").unwrap_or(-1),
        digest: input.text("NetworkAdminPassword").unwrap_or_default(),
    }
}

/// The method's return value, or that of a parameter which is no base64.
fn outcome(fw: &mut Firmware, method: SetupMethod, value: Result<u32, NoBase64>) -> Outcome {
    Outcome::status(match value {
        Ok(value) => value,
        Err(NoBase64) => setup::refuse_encoding(fw, method),
    })
}

fn set_up(call: &mut Call<'_>) -> Outcome {
    let parameters = Signed::of(call.input)
        .and_then(|signed| Ok((signed, octets(call.input, "Certificate")?)));
    let value = parameters.map(|(signed, certificate)| {
        let password = password(call.input);
        setup::setup(call.fw, password, certificate.as_deref(), signed.proof())
    });
    outcome(call.fw, SetupMethod::Setup, value)
}

fn add_next_certificate(call: &mut Call<'_>) -> Outcome {
    let flag = |name| call.input.bool(name).unwrap_or(false);
    let (leaf, root) = (flag("IsLeafCertificate"), flag("IsRootCertificate"));
    let value = octets(call.input, "NextCertificate")
        .map(|der| setup::add_next_certificate(call.fw, &der.unwrap_or_default(), leaf, root));
    outcome(call.fw, SetupMethod::AddNextCertInChain, value)
}

fn admin_setup(call: &mut Call<'_>) -> Outcome {
    if !call.fw.profile.capabilities.admin_setup {
        call.fw.assume(assumed::WSMAN_METHOD_LACKING);
        return Outcome::fault(Fault::ActionNotSupported);
    }
    let value = Signed::of(call.input)
        .map(|signed| setup::admin_setup(call.fw, password(call.input), signed.proof()));
    outcome(call.fw, SetupMethod::AdminSetup, value)
}

fn upgrade_client_to_admin(call: &mut Call<'_>) -> Outcome {
    let value = Signed::of(call.input)
        .map(|signed| setup::upgrade_client_to_admin(call.fw, signed.proof()));
    outcome(call.fw, SetupMethod::UpgradeClientToAdmin, value)
}

fn disable_client_control_mode(call: &mut Call<'_>) -> Outcome {
    Outcome::status(setup::disable_client_control_mode(call.fw))
}

#[cfg(test)]
mod tests;
