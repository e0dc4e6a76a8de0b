//! The memory of the program: what a system call's pointers point to.
//!
//! Another thread of the program may change any of it at any time. Nothing here is a check that protects
//! somebody: the program is only ever given a device, never a permission.
#![expect(unsafe_code, reason = "raw system calls")]

use std::mem::size_of;

use super::call::Buffer;

/// The pointer leads nowhere, or the program cannot be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault;

/// One piece of the program's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) length: usize,
}

/// Linux: `IOV_MAX`.
const MOST_SEGMENTS: usize = 1024;

/// Fills `bytes` from the thread's memory.
pub(super) fn read(tid: i32, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
    match read_some(tid, address, bytes) {
        Some(count) if count == bytes.len() => Ok(()),
        _ => Err(Fault),
    }
}

/// As many bytes as there are, up to the first page that cannot be read.
fn read_some(tid: i32, address: u64, bytes: &mut [u8]) -> Option<usize> {
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: the local part is a writable buffer of that length; the remote one is only looked at by the
    // kernel, which checks it.
    let count =
        unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(count).ok()
}

/// The bytes before the NUL, at most `PATH_MAX`.
pub(super) fn read_path(tid: i32, address: u64) -> Result<Vec<u8>, Fault> {
    /// Most paths are short, and a page more may not be there.
    const STEP: usize = 256;
    let longest = libc::PATH_MAX.unsigned_abs() as usize;
    let mut path = Vec::with_capacity(STEP);
    let mut chunk = [0; STEP];
    while path.len() < longest {
        let at = address.checked_add(path.len() as u64).ok_or(Fault)?;
        // Up to the next multiple of STEP, so that no read runs into a page that the text does not reach.
        let step = STEP - (at % STEP as u64) as usize;
        read(tid, at, &mut chunk[..step])?;
        if let Some(end) = chunk[..step].iter().position(|byte| *byte == 0) {
            path.extend_from_slice(&chunk[..end]);
            return Ok(path);
        }
        path.extend_from_slice(&chunk[..step]);
    }
    Err(Fault)
}

/// Writes all of `bytes` across the segments, which have room for them.
pub(super) fn write(tid: i32, to: &[Segment], bytes: &[u8]) -> Result<(), Fault> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut left = bytes.len();
    let mut remote = Vec::with_capacity(to.len());
    for segment in to {
        let part = segment.length.min(left);
        remote.push(libc::iovec {
            iov_base: segment.address as *mut libc::c_void,
            iov_len: part,
        });
        left -= part;
    }
    // SAFETY: the local part is a readable buffer of that length; the remote ones are only looked at by the
    // kernel, which checks them.
    let count = unsafe {
        libc::process_vm_writev(
            tid,
            &raw const local,
            1,
            remote.as_ptr(),
            remote.len() as libc::c_ulong,
            0,
        )
    };
    match usize::try_from(count) {
        Ok(count) if count == bytes.len() => Ok(()),
        _ => Err(Fault),
    }
}

/// The pieces of a buffer. The kernel refuses more than 1024 with EINVAL.
pub(super) fn segments(tid: i32, word: usize, buffer: Buffer) -> Result<Vec<Segment>, libc::c_int> {
    let (address, count) = match buffer {
        Buffer::Plain { address, length } => return Ok(vec![Segment { address, length }]),
        Buffer::Vector { address, count } => (address, count),
    };
    if count > MOST_SEGMENTS {
        return Err(libc::EINVAL);
    }
    let mut raw = vec![0; count * 2 * word];
    read(tid, address, &mut raw).map_err(|Fault| libc::EFAULT)?;
    let number = |bytes: &[u8]| {
        let mut whole = [0; size_of::<u64>()];
        whole[..word].copy_from_slice(bytes);
        u64::from_le_bytes(whole)
    };
    let segment = |pair: &[u8]| Segment {
        address: number(&pair[..word]),
        length: usize::try_from(number(&pair[word..])).unwrap_or(usize::MAX),
    };
    Ok(raw.chunks_exact(2 * word).map(segment).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> i32 {
        std::process::id().cast_signed()
    }

    #[test]
    fn paths_end_at_their_nul_wherever_they_begin() {
        let text = format!("{}\0rest", "/dev/mei0".repeat(90));
        for start in 0..300 {
            let path = read_path(me(), text.as_ptr() as u64 + start).unwrap();
            let end = text.len() - "\0rest".len();
            assert_eq!(path, &text.as_bytes()[start as usize..end]);
        }
    }

    #[test]
    fn a_path_without_end_is_a_fault() {
        let text = vec![b'a'; 8192];
        assert_eq!(read_path(me(), text.as_ptr() as u64), Err(Fault));
        assert_eq!(read_path(me(), 0), Err(Fault));
        assert_eq!(read_path(me(), u64::MAX - 1), Err(Fault));
    }

    #[test]
    fn bytes_are_spread_over_segments() {
        let mut room = [0u8; 10];
        let at = room.as_mut_ptr() as u64;
        let to = [(at, 3), (at + 5, 4)].map(|(address, length)| Segment { address, length });
        write(me(), &to, b"abcde").unwrap();
        assert_eq!(&room, b"abc\0\0de\0\0\0");
        assert_eq!(
            write(
                me(),
                &[Segment {
                    address: 8,
                    length: 5
                }],
                b"abcde"
            ),
            Err(Fault)
        );
    }

    #[test]
    fn segments_are_read_with_the_callers_word_size() {
        let array: [u32; 4] = [0x1000, 3, 0x2000, 4];
        let buffer = Buffer::Vector {
            address: array.as_ptr() as u64,
            count: 2,
        };
        let expected =
            [(0x1000, 3), (0x2000, 4)].map(|(address, length)| Segment { address, length });
        assert_eq!(segments(me(), 4, buffer).unwrap(), expected);
        let wide: [u64; 2] = [0x7fff_0000_1000, 9];
        let buffer = Buffer::Vector {
            address: wide.as_ptr() as u64,
            count: 1,
        };
        let expected = [Segment {
            address: 0x7fff_0000_1000,
            length: 9,
        }];
        assert_eq!(segments(me(), 8, buffer).unwrap(), expected);
    }
}
