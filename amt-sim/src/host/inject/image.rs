//! Where in a program's file its on-die root is.
//!
//! Nothing is known about the program but that it is a 64-bit ELF file that holds the certificate as plain DER and a
//! word pair (address, length) that leads to it, as Go writes a string or a slice, and C an array with its size.
//!
//! ```text
//!   LOAD segment ...  30 82 02 ba 30 82 ...            a certificate, self-issued, an authority, with the unit
//!                     ^                                "OnDie CA Root": at address A, L bytes
//!   LOAD segment ...  A (8 bytes) L (8 bytes) ...      linked to a fixed address, or relocated in place
//!   .rela.dyn    ...  P  R_X86_64_RELATIVE  A ...      and L at P + 8: linked to any address
//! ```
//! The pair is what tells a certificate that the program uses from one that merely lies there, in a test vector say.
//!
//! Source: System V ABI, "ELF Header", "Program Header", and its AMD64 supplement, "Relocation".

use std::io::BufRead as _;
use std::ops::Range;

use x509_parser::prelude::{FromDer, X509Certificate};

/// What is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The certificate.
    pub(super) root: Vec<u8>,
    /// Where it is, as the file has it: more than one when the compiler made copies.
    pub(super) addresses: Vec<u64>,
    /// Where the program begins, as the file has it. The running program's number tells how far it was moved.
    pub(super) entry: u64,
}

/// Why there is nothing to replace, a lower-case fragment about the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it is no ELF program; if it is a script, give the program that the script starts")]
    NotElf,
    #[error("it is no 64-bit x86 program")]
    OtherMachine,
    #[error("its ELF headers are broken")]
    Broken,
    #[error(
        "it is packed with UPX, so that its certificates are nowhere to be seen before it runs; unpack it (upx -d)"
    )]
    Packed,
    #[error("none of the {0} root certificates in it is an on-die root that it points at")]
    Absent(usize),
    #[error("it has {0} different on-die roots, and replacing one of them would be a guess")]
    Several(usize),
}

/// Part of the unit in the subject of every on-die root.
const UNIT: &str = "OnDie CA Root";

/// Looks through a whole file.
pub(super) fn find(file: &[u8]) -> Result<Finding, Unfit> {
    let image = Image::read(file)?;
    let mut authorities = 0;
    let mut roots: Vec<Finding> = Vec::new();
    for segment in &image.segments {
        for place in certificates(segment.bytes) {
            let der = &segment.bytes[place.clone()];
            match root(der) {
                None => continue,
                Some(Root::Other) => {
                    authorities += 1;
                    continue;
                }
                Some(Root::OnDie) => authorities += 1,
            }
            let Some(address) = segment.address.checked_add(place.start as u64) else {
                continue;
            };
            match roots.iter_mut().find(|known| known.root == der) {
                Some(known) => known.addresses.push(address),
                None => roots.push(Finding {
                    root: der.to_vec(),
                    addresses: vec![address],
                    entry: image.entry,
                }),
            }
        }
    }
    roots.retain(|found| {
        let length = found.root.len() as u64;
        let mut addresses = found.addresses.iter();
        addresses.any(|address| image.points_at(*address, length))
    });
    match (roots.len(), roots.pop()) {
        (1, Some(found)) => Ok(found),
        (0, _) if is_packed(file) => Err(Unfit::Packed),
        (0, _) => Err(Unfit::Absent(authorities)),
        (several, _) => Err(Unfit::Several(several)),
    }
}

/// UPX writes its mark into the headers that it adds; so does its loader's copyright.
fn is_packed(file: &[u8]) -> bool {
    occurrences(file, b"UPX!").next().is_some()
}

/// The parts of a file that the kernel maps into the program.
#[derive(Debug)]
struct Image<'a> {
    entry: u64,
    segments: Vec<Segment<'a>>,
}

#[derive(Debug)]
struct Segment<'a> {
    address: u64,
    bytes: &'a [u8],
}

impl<'a> Image<'a> {
    /// ```text
    /// header        0 7f "ELF", class 2, data 1   18 u16 machine   24 u64 entry
    ///              32 u64 table   54 u16 bytes of a row   56 u16 rows
    /// row of table  0 u32 type   4 u32 flags   8 u64 offset   16 u64 address   32 u64 bytes in the file
    /// ```
    fn read(file: &'a [u8]) -> Result<Self, Unfit> {
        const X86_64: u16 = 62;
        const LOAD: u64 = 1;
        let kind = match file.first_chunk::<6>() {
            Some([0x7f, b'E', b'L', b'F', class, data]) => (*class, *data),
            _ => return Err(Unfit::NotElf),
        };
        if kind != (2, 1) || half(file, 18) != Some(X86_64) {
            return Err(Unfit::OtherMachine);
        }
        let header = || {
            let table = usize::try_from(long(file, 32)?).ok()?;
            Some((long(file, 24)?, table, half(file, 54)?, half(file, 56)?))
        };
        let (entry, table, width, rows) = header().ok_or(Unfit::Broken)?;
        let mut segments = Vec::new();
        for row in 0..usize::from(rows) {
            let at = row * usize::from(width);
            let at = at.checked_add(table).ok_or(Unfit::Broken)?;
            let kind = long(file, at).ok_or(Unfit::Broken)? & 0xffff_ffff;
            if kind != LOAD {
                continue;
            }
            let field = |offset: usize| at.checked_add(offset).and_then(|at| long(file, at));
            let part = || {
                let start = usize::try_from(field(8)?).ok()?;
                let end = start.checked_add(usize::try_from(field(32)?).ok()?)?;
                Some(Segment {
                    address: field(16)?,
                    bytes: file.get(start..end)?,
                })
            };
            segments.push(part().ok_or(Unfit::Broken)?);
        }
        Ok(Self { entry, segments })
    }

    /// Whether some word pair says: so many bytes at this address.
    fn points_at(&self, address: u64, length: u64) -> bool {
        /// `R_X86_64_RELATIVE` of no symbol: the word at a place becomes the addend, moved as the program is.
        const RELATIVE: u64 = 8;
        let needle = address.to_le_bytes();
        self.segments.iter().any(|segment| {
            occurrences(segment.bytes, &needle).any(|at| {
                if long(segment.bytes, at + 8) == Some(length) {
                    return true;
                }
                let row = at.checked_sub(16);
                let word = |offset| row.and_then(|row| long(segment.bytes, row + offset));
                word(8) == Some(RELATIVE)
                    && word(0).and_then(|place| self.at(place.checked_add(8)?)) == Some(length)
            })
        })
    }

    /// The word at an address.
    fn at(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let offset = address.checked_sub(segment.address)?;
            long(segment.bytes, usize::try_from(offset).ok()?)
        })
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// Everything that begins as certificates of 260 bytes to 64 KiB do: two sequences, one in the other, each with a
/// length of two bytes.
fn certificates(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    const MARK: u8 = 0x82;
    positions(bytes, MARK).filter_map(move |at| {
        let start = at.checked_sub(1)?;
        let head = bytes.get(start..)?.first_chunk::<6>()?;
        let [0x30, MARK, high, low, 0x30, MARK] = *head else {
            return None;
        };
        let end = start + 4 + usize::from(u16::from_be_bytes([high, low]));
        (end <= bytes.len()).then_some(start..end)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    OnDie,
    Other,
}

/// `None` when it is no certificate, or none of a root.
fn root(der: &[u8]) -> Option<Root> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    let own = certificate.subject().as_raw() == certificate.issuer().as_raw();
    if !rest.is_empty() || !own || !certificate.is_ca() {
        return None;
    }
    let mut units = certificate.subject().iter_organizational_unit();
    let on_die = units.any(|unit| unit.as_str().is_ok_and(|unit| unit.contains(UNIT)));
    Some(if on_die { Root::OnDie } else { Root::Other })
}

/// Where the needle begins. It is looked for by its second byte: the first of an aligned address is one of a few, of
/// which zero is every third byte of a program.
fn occurrences<'a, const N: usize>(
    bytes: &'a [u8],
    needle: &'a [u8; N],
) -> impl Iterator<Item = usize> + 'a {
    positions(bytes, needle[1]).filter_map(move |at| {
        let start = at.checked_sub(1)?;
        let found = bytes.get(start..)?.starts_with(needle);
        found.then_some(start)
    })
}

/// Where this byte is. The standard library's search is fast also where this crate is built to be debugged.
fn positions(bytes: &[u8], byte: u8) -> impl Iterator<Item = usize> + '_ {
    let mut next = 0;
    std::iter::from_fn(move || {
        let mut rest = bytes.get(next..)?;
        // Reading from memory does not fail.
        let passed = rest.skip_until(byte).unwrap_or(0);
        let at = (next + passed).checked_sub(1)?;
        if passed == 0 || bytes.get(at) != Some(&byte) {
            return None;
        }
        next = at + 1;
        Some(at)
    })
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
