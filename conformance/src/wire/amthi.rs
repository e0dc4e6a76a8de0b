//! AMTHI commands of set-up, and what their answers mean.

use std::time::Duration;

use amt_sim::ClientKind;
use amt_sim::host::port::{MeiChannel, MeiPort, PortError};

use crate::role::Clock;
use crate::role::agent::{Answer, WireError, request};

/// A connection to the AMT host interface.
#[derive(Debug)]
pub struct Amthi {
    channel: Box<dyn MeiChannel>,
}

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmthiError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{command} was answered with status {status:#x}")]
    Status { command: &'static str, status: u32 },
}

/// `$$OsAdmin` and its password: whoever may open the device may have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAccount {
    pub user: String,
    pub password: String,
}

impl Amthi {
    const PATIENCE: Duration = Duration::from_secs(5);

    pub fn open(port: &dyn MeiPort, clock: &dyn Clock) -> Result<Self, AmthiError> {
        let channel = super::connect(port, clock, ClientKind::Amthi)?;
        Ok(Self { channel })
    }

    /// GetLocalSystemAccount, 0x67: forty reserved bytes; `char user[33]`, `char password[33]`.
    pub fn local_account(&mut self) -> Result<LocalAccount, AmthiError> {
        const FIELD: usize = 33;
        let data = self.good("GetLocalSystemAccount", 0x67, &[0; 40])?;
        let Some((user, rest)) = data.split_at_checked(FIELD) else {
            return Err(WireError::Content(format!("an account of {} bytes", data.len())).into());
        };
        let Some(password) = rest.get(..FIELD) else {
            return Err(WireError::Content(format!("an account of {} bytes", data.len())).into());
        };
        Ok(LocalAccount {
            user: text(user),
            password: text(password),
        })
    }

    /// GetUUID, 0x5C: sixteen bytes.
    pub fn uuid(&mut self) -> Result<amt_sim::Guid, AmthiError> {
        let data = self.good("GetUUID", 0x5c, &[])?;
        match data.as_slice().try_into() {
            Ok(bytes) => Ok(amt_sim::Guid::from_wire(bytes)),
            Err(_) => Err(WireError::Content(format!("a UUID of {} bytes", data.len())).into()),
        }
    }

    /// GetControlMode, 0x6B: 0 none, 1 client, 2 admin.
    pub fn control_mode(&mut self) -> Result<u32, AmthiError> {
        self.number("GetControlMode", 0x6b)
    }

    /// GetProvisioningState, 0x11: 0 pre, 1 in, 2 post.
    pub fn provisioning_state(&mut self) -> Result<u32, AmthiError> {
        self.number("GetProvisioningState", 0x11)
    }

    /// CFG_Unprovision, 0x10, with a mode that firmware ignores: its status.
    pub fn unprovision(&mut self) -> Result<u32, AmthiError> {
        self.ask(0x10, &[0; 4]).map(|(status, _)| status)
    }

    /// CFG_SetProvisioningServerOTP, 0x2A: `u16` length and that many characters. Its status.
    pub fn set_otp(&mut self, otp: &[u8]) -> Result<u32, AmthiError> {
        // The device judges lengths; one that does not fit into the field is none that a caller has.
        let length = u16::try_from(otp.len()).unwrap_or(u16::MAX);
        let payload = [&length.to_le_bytes(), otp].concat();
        self.ask(0x2a, &payload).map(|(status, _)| status)
    }

    /// CFG_StartConfigurationEx, 0x62: `u32`, whether IPv6 is to be used. Its status.
    pub fn start_configuration_ex(&mut self, ipv6: bool) -> Result<u32, AmthiError> {
        let payload = u32::from(ipv6).to_le_bytes();
        self.ask(0x62, &payload).map(|(status, _)| status)
    }

    /// CFG_StartConfigurationHBased, 0x8B: `u8` algorithm (2 SHA-256, 3 SHA-384), the hash of the server's leaf in 64
    /// bytes, `u8` whether the server comes through a VPN of the host, `u32` length of a list of DNS suffixes, and 320
    /// bytes for it. Its status, and what follows it: `u8` algorithm, the hash of the device's leaf in 64 bytes.
    pub fn start_configuration_host_based(
        &mut self,
        algorithm: u8,
        hash: &[u8],
    ) -> Result<(u32, Vec<u8>), AmthiError> {
        let mut payload = [0; 390];
        payload[0] = algorithm;
        let field = &mut payload[1..65];
        let length = hash.len().min(field.len());
        field[..length].copy_from_slice(&hash[..length]);
        self.ask(0x8b, &payload)
    }

    /// CFG_StopConfiguration, 0x5E. Its status.
    pub fn stop_configuration(&mut self) -> Result<u32, AmthiError> {
        self.ask(0x5e, &[]).map(|(status, _)| status)
    }

    fn number(&mut self, command: &'static str, operation: u32) -> Result<u32, AmthiError> {
        let data = self.good(command, operation, &[])?;
        match data.first_chunk() {
            Some(bytes) => Ok(u32::from_le_bytes(*bytes)),
            None => Err(WireError::Content(format!("{command}: no number")).into()),
        }
    }

    fn good(
        &mut self,
        command: &'static str,
        operation: u32,
        payload: &[u8],
    ) -> Result<Vec<u8>, AmthiError> {
        match self.ask(operation, payload)? {
            (0, data) => Ok(data),
            (status, _) => Err(AmthiError::Status { command, status }),
        }
    }

    fn ask(&mut self, operation: u32, payload: &[u8]) -> Result<(u32, Vec<u8>), AmthiError> {
        self.channel.send(&request(operation, payload))?;
        let message = self.channel.receive(Self::PATIENCE)?;
        let answer = Answer::parse(operation, &message)?;
        Ok((answer.status, answer.data.to_vec()))
    }
}

/// Up to the first NUL; AMT's texts are ASCII.
fn text(field: &[u8]) -> String {
    field
        .iter()
        .take_while(|byte| **byte != 0)
        .map(|byte| char::from(*byte))
        .collect()
}
