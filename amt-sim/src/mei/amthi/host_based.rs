//! StartConfigurationHBased: the host announces the server that will come through it, and learns the device's leaf.
//!
//! Four layouts of the request are in the field, told apart by their length:
//!
//! ```text
//! 390  u8  algorithm, hash[64], u8  VPN, u32 bytes in list, char[320]   rpc-go
//!  73  u8  algorithm, hash[64], u32 VPN, u32 names in list              MeshCentral, without a list
//! 393  u8  algorithm, hash[64], u32 VPN, u32 names in list, char[320]   MeshCentral
//! 396  u32 algorithm, hash[64], u32 VPN, u32 names in list, char[320]   MeshAgent
//!
//! answer: u8 algorithm, hash[64] of the certificate that the device shows on 16993
//! ```
//! Algorithm 2 is SHA-256, 3 SHA-384; a hash that is shorter than its field stands in front. The list holds names
//! that end with NUL; the guide counts its bytes.
//!
//! Source: "Intel AMT Implementation and Reference Guide", page "CFG_StartConfigurationHBased"; rpc-go `pkg/pthi`;
//! MeshAgent `modules/amt-mei.js`.

use super::table::Outcome;
use super::{Reader, Status, Writer, malformed};
use crate::device::setup::host_based_tls::{self, Announced};
use crate::device::{Firmware, HashAlgorithm, Rule, assumed};

pub(super) const SIZES: &[usize] = &[73, 390, 393, 396];

pub(super) fn start(fw: &mut Firmware, request: Reader<'_>) -> Outcome {
    let request = Request::read(request);
    if request.algorithm.is_none() && fw.enforced(Rule::AMTHI_HOST_BASED_ALGORITHM) {
        return Err(Status::INVALID_PARAMETER);
    }
    // AMT_BOOLEAN, and a list that is no longer than its field.
    if request.vpn > 1 || request.count as usize > LIST {
        return Err(Status::INVALID_PARAMETER);
    }
    let list = names(&request.list);
    let used = request.list.len();
    let counted = used <= request.count as usize;
    if !counted {
        malformed(
            fw,
            format!(
                "StartConfigurationHBased: SuffixListLen is {}, {used} bytes are in the list",
                request.count
            ),
        );
        fw.assume(assumed::SUFFIX_COUNT);
    }
    let most = if counted {
        list.len()
    } else {
        request.count as usize
    };
    let algorithm = request.algorithm.unwrap_or(HashAlgorithm::Sha256);
    let size = algorithm.size();
    let leaf = host_based_tls::start(
        fw,
        Announced {
            algorithm,
            hash: crate::hex::encode(&request.field[..size]),
            suffixes: list.into_iter().take(most).collect(),
            host_vpn: request.vpn == 1,
        },
    )?;
    fw.assume(assumed::HOST_BASED_ANSWER);
    Ok(Writer::new().u8(algorithm as u8).padded(&leaf, 64))
}

/// Bytes of the list's field.
const LIST: usize = 320;

/// The request in any of its layouts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    /// `None` when it is none of the two that firmware takes.
    algorithm: Option<HashAlgorithm>,
    field: [u8; 64],
    vpn: u32,
    /// Bytes of the list, or names in it.
    count: u32,
    /// The list without the zeros behind it.
    list: Vec<u8>,
}

impl Request {
    fn read(mut request: Reader<'_>) -> Self {
        let size = request.len();
        let algorithm = match size {
            396 => request.u32(),
            _ => request.u8().into(),
        };
        let algorithm = match algorithm {
            2 => Some(HashAlgorithm::Sha256),
            3 => Some(HashAlgorithm::Sha384),
            _ => None,
        };
        let field = request.array();
        let vpn = match size {
            390 => request.u8().into(),
            _ => request.u32(),
        };
        let count = request.u32();
        let list: [u8; LIST] = request.array();
        let used = list.iter().rposition(|byte| *byte != 0);
        Self {
            algorithm,
            field,
            vpn,
            count,
            list: list[..used.map_or(0, |last| last + 1)].to_vec(),
        }
    }
}

fn names(list: &[u8]) -> Vec<String> {
    list.split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

#[cfg(test)]
#[path = "host_based_tests.rs"]
mod tests;
