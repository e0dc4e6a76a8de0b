//! AMTHI against the layouts of the field, byte by byte, and against the programs that read it.

mod commands;
mod framing;
mod properties;
mod readers;
mod sequences;
mod states;

use crate::device::Firmware;
use crate::mei::testing::{bytes, dump};

/// The one answer to a request, both as hex digits.
fn ask(fw: &mut Firmware, request: &str) -> String {
    let answers = super::receive(fw, &bytes(request));
    assert_eq!(answers.len(), 1, "{request}");
    dump(&answers[0]).replace(['\n', ' '], "")
}

/// The status of the one answer to a request.
fn status(fw: &mut Firmware, request: &[u8]) -> u32 {
    let answers = super::receive(fw, request);
    let field = answers[0][12..16].try_into().unwrap();
    u32::from_le_bytes(field)
}

/// A request of the usual class with its data, put together by hand.
fn request(operation: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![1, 1, 0, 0, operation, 0, 0, 4];
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}
