//! The kernel's side of the conversation, for tests: requests as it lays them out, replies as it reads them.

use super::protocol::{Fields, REQUEST_HEADER, opcode};

/// A request as the kernel lays it out.
pub(super) fn request(opcode: u32, unique: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(((REQUEST_HEADER + body.len()) as u32).to_ne_bytes());
    bytes.extend(opcode.to_ne_bytes());
    bytes.extend(unique.to_ne_bytes());
    bytes.extend(1u64.to_ne_bytes());
    for number in [1000u32, 100, 4711, 0] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(body);
    bytes
}

/// Numbers one after the other, as a request's body: `(value, bytes)`.
pub(super) fn body(fields: &[(u64, usize)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (value, size) in fields {
        match size {
            4 => bytes.extend((*value as u32).to_ne_bytes()),
            _ => bytes.extend(value.to_ne_bytes()),
        }
    }
    bytes
}

pub(super) fn init() -> Vec<u8> {
    let fields = [(7, 4), (45, 4), (131_072, 4), (0x73ff_fffb, 4)];
    request(opcode::INIT, 2, &body(&fields))
}

pub(super) fn cuse_init() -> Vec<u8> {
    request(
        opcode::CUSE_INIT,
        2,
        &body(&[(7, 4), (45, 4), (0, 4), (1, 4)]),
    )
}

pub(super) fn getattr(unique: u64) -> Vec<u8> {
    request(opcode::GETATTR, unique, &[0; 16])
}

pub(super) fn chmod(unique: u64, mode: u32) -> Vec<u8> {
    let mut body = vec![0; 88];
    body[0] = 1;
    body[68..72].copy_from_slice(&mode.to_ne_bytes());
    request(opcode::SETATTR, unique, &body)
}

pub(super) fn open(unique: u64, flags: u32) -> Vec<u8> {
    request(opcode::OPEN, unique, &body(&[(flags.into(), 4), (0, 4)]))
}

pub(super) fn release(unique: u64, file: u64) -> Vec<u8> {
    request(opcode::RELEASE, unique, &body(&[(file, 8), (0, 8), (0, 8)]))
}

pub(super) fn fsync(unique: u64, file: u64) -> Vec<u8> {
    request(opcode::FSYNC, unique, &body(&[(file, 8), (0, 8)]))
}

pub(super) fn read(unique: u64, file: u64, size: u32, flags: u32) -> Vec<u8> {
    let fields = [
        (file, 8),
        (0, 8),
        (size.into(), 4),
        (0, 4),
        (0, 8),
        (flags.into(), 4),
        (0, 4),
    ];
    request(opcode::READ, unique, &body(&fields))
}

pub(super) fn write(unique: u64, file: u64, data: &[u8], flags: u32) -> Vec<u8> {
    let fields = [
        (file, 8),
        (0, 8),
        (data.len() as u64, 4),
        (0, 4),
        (0, 8),
        (flags.into(), 4),
        (0, 4),
    ];
    let mut body = body(&fields);
    body.extend(data);
    request(opcode::WRITE, unique, &body)
}

pub(super) fn ioctl(
    unique: u64,
    file: u64,
    flags: u32,
    number: u32,
    input: &[u8],
    output: u32,
) -> Vec<u8> {
    let fields = [
        (file, 8),
        (flags.into(), 4),
        (number.into(), 4),
        (0x7fff_0000_1000, 8),
        (input.len() as u64, 4),
        (output.into(), 4),
    ];
    let mut body = body(&fields);
    body.extend(input);
    request(opcode::IOCTL, unique, &body)
}

pub(super) fn poll(unique: u64, file: u64, handle: u64, notify: bool) -> Vec<u8> {
    let fields = [(file, 8), (handle, 8), (notify.into(), 4), (0x145, 4)];
    request(opcode::POLL, unique, &body(&fields))
}

pub(super) fn interrupt(unique: u64, of: u64) -> Vec<u8> {
    request(opcode::INTERRUPT, unique, &of.to_ne_bytes())
}

/// A reply taken apart: unique, error, body.
pub(super) fn parse_reply(bytes: &[u8]) -> (u64, i32, Vec<u8>) {
    let mut fields = Fields(bytes);
    let length = fields.u32().unwrap() as usize;
    assert_eq!(length, bytes.len(), "the kernel refuses such a reply");
    let error = fields.u32().unwrap().cast_signed();
    (fields.u64().unwrap(), error, fields.0.to_vec())
}
