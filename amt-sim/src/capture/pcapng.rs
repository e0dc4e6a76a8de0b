//! The blocks of a pcapng file, little-endian.
//!
//! ```text
//!   every block   u32 type, u32 length, body, u32 length again; the length counts all of it, in steps of four
//!   0x0a0d0d0a    section header: u32 0x1a2b3c4d, u16 1, u16 0, i64 -1 (length unknown), options
//!   1             interface: u16 link type, u16 0, u32 snapshot length (0: none), options
//!   6             packet: u32 interface, u32 time high, u32 time low, u32 captured, u32 original, bytes, options
//!   10            secrets: u32 kind (0x544c534b: TLS key log), u32 length, bytes
//!   options       each u16 code, u16 length, value, padded to four; code 0 ends them
//! ```
//! Source: draft-ietf-opsawg-pcapng; link types: <https://www.tcpdump.org/linktypes.html>.

use crate::device::Party;

pub(super) const ETHERNET: u16 = 1;
/// What it means is up to the file.
pub(super) const USER0: u16 = 147;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const SECRETS: u32 = 10;
const TLS_KEY_LOG: u32 = 0x544c_534b;

const OPTION_COMMENT: u16 = 1;
const OPTION_USER_APPLICATION: u16 = 4;
const OPTION_NAME: u16 = 2;
const OPTION_DESCRIPTION: u16 = 3;
const OPTION_FLAGS: u16 = 2;
const OPTION_TIME_RESOLUTION: u16 = 9;
/// Times are nanoseconds.
const NANOSECONDS: u8 = 9;

/// Bytes of an option; its length field has two.
const LONGEST_OPTION: usize = 60_000;

#[derive(Debug)]
pub(super) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// A file with its section header.
    pub(super) fn new(application: &str) -> Self {
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        body.extend((-1_i64).to_le_bytes());
        option(&mut body, OPTION_USER_APPLICATION, application.as_bytes());
        end_options(&mut body);
        let mut writer = Self { out: Vec::new() };
        writer.block(SECTION, &body);
        writer
    }

    /// Interfaces count from 0 in the order in which they are added.
    pub(super) fn interface(&mut self, link: u16, name: &str, description: &str) {
        let mut body = Vec::new();
        body.extend(link.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        body.extend(0_u32.to_le_bytes());
        option(&mut body, OPTION_NAME, name.as_bytes());
        option(&mut body, OPTION_DESCRIPTION, description.as_bytes());
        option(&mut body, OPTION_TIME_RESOLUTION, &[NANOSECONDS]);
        end_options(&mut body);
        self.block(INTERFACE, &body);
    }

    /// Lines of the `SSLKEYLOGFILE` format.
    pub(super) fn secrets(&mut self, lines: &str) {
        let mut body = Vec::new();
        body.extend(TLS_KEY_LOG.to_le_bytes());
        body.extend(length(lines.as_bytes()).to_le_bytes());
        padded(&mut body, lines.as_bytes());
        self.block(SECRETS, &body);
    }

    /// `time` is nanoseconds since 1970. What the host sent counts as inbound.
    pub(super) fn packet(
        &mut self,
        interface: u32,
        time: u64,
        bytes: &[u8],
        comment: Option<&str>,
        by: Option<Party>,
    ) {
        let mut body = Vec::new();
        body.extend(interface.to_le_bytes());
        let [t0, t1, t2, t3, t4, t5, t6, t7] = time.to_le_bytes();
        body.extend([t4, t5, t6, t7, t0, t1, t2, t3]);
        body.extend(length(bytes).to_le_bytes());
        body.extend(length(bytes).to_le_bytes());
        padded(&mut body, bytes);
        if let Some(comment) = comment {
            option(&mut body, OPTION_COMMENT, comment.as_bytes());
        }
        if let Some(by) = by {
            let flags: u32 = match by {
                Party::Host => 1,
                Party::Device => 2,
            };
            option(&mut body, OPTION_FLAGS, &flags.to_le_bytes());
        }
        if comment.is_some() || by.is_some() {
            end_options(&mut body);
        }
        self.block(PACKET, &body);
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        // The three words around the body.
        let total = length(body) + 12;
        self.out.extend(kind.to_le_bytes());
        self.out.extend(total.to_le_bytes());
        self.out.extend(body);
        self.out.extend(total.to_le_bytes());
    }
}

/// Nothing that a device says is 4 GiB long.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The body begins at a multiple of four, and so does every option.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let mut end = value.len().min(LONGEST_OPTION);
    // Texts are cut between characters.
    while value.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    let value = &value[..end];
    out.extend(code.to_le_bytes());
    // At most LONGEST_OPTION.
    out.extend((value.len() as u16).to_le_bytes());
    padded(out, value);
}

fn end_options(out: &mut Vec<u8>) {
    out.extend([0; 4]);
}
