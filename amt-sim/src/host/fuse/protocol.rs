//! The messages of the FUSE protocol, as far as one file without a directory needs them; CUSE uses the same.
//!
//! A request is read from `/dev/fuse` whole, a reply is written whole. Numbers are in the byte order of the
//! machine. Version 7.31 (Linux 5.2) is the oldest that has everything.
//!
//! ```text
//! request   0 u32 length   4 u32 opcode   8 u64 unique   16 u64 node   24 u32 uid   28 u32 gid   32 u32 pid
//!          36 u32 extensions and padding   40 body
//! reply     0 u32 length   4 i32 error, 0 or -errno      8 u64 unique  16 body
//! notice    0 u32 length   4 i32 code                    8 u64 0       16 body
//! ```
//! Source: Linux `include/uapi/linux/fuse.h`.

/// Protocol version that we speak.
pub(super) const MAJOR: u32 = 7;
/// What we tell; the kernel only wants to know which layouts we use.
pub(super) const MINOR: u32 = 38;
/// `FOPEN_STREAM` came with it. Without that flag a blocked read locks out every write on its descriptor.
pub(super) const OLDEST_MINOR: u32 = 31;

/// Longest data of one WRITE request. A longer `write(2)` arrives in pieces, the first of which is already
/// longer than any message of an ME client.
pub(super) const MAX_WRITE: u32 = 1 << 20;
/// Room for any request: the kernel refuses a smaller buffer.
pub(super) const REQUEST_BUFFER: usize = MAX_WRITE as usize + 4096;

pub(super) const REQUEST_HEADER: usize = 40;

/// Bits of `FUSE_INIT` flags.
mod init {
    pub(super) const BIG_WRITES: u32 = 1 << 5;
    pub(super) const MAX_PAGES: u32 = 1 << 22;
}

/// What OPEN answers: no page cache, no position, so that reads and writes do not wait for one another, and
/// no FLUSH at each `close(2)`.
const OPEN_FLAGS: u32 = DIRECT_IO | NONSEEKABLE | STREAM | NOFLUSH | PARALLEL_DIRECT_WRITES;
const DIRECT_IO: u32 = 1;
const NONSEEKABLE: u32 = 1 << 2;
const STREAM: u32 = 1 << 4;
const NOFLUSH: u32 = 1 << 5;
const PARALLEL_DIRECT_WRITES: u32 = 1 << 6;

/// The kernel asks again with data when the answer to an ioctl has this flag.
const IOCTL_RETRY: u32 = 1 << 2;
const IOCTL_UNRESTRICTED: u32 = 1 << 1;
/// The kernel wants to be told when the result of this poll changes.
const POLL_SCHEDULE_NOTIFY: u32 = 1;
const NOTIFY_POLL: i32 = 1;
const CUSE_UNRESTRICTED_IOCTL: u32 = 1;

/// One request of the kernel, made for a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// Names the request in its reply.
    pub(super) unique: u64,
    /// The calling process's user, as the mount's user namespace numbers it.
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) operation: Operation<'a>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation<'a> {
    Init {
        major: u32,
        minor: u32,
        flags: u32,
    },
    CuseInit {
        major: u32,
        minor: u32,
    },
    GetAttributes,
    SetAttributes(Change),
    Open {
        flags: u32,
    },
    Read {
        file: u64,
        size: u32,
        flags: u32,
    },
    Write {
        file: u64,
        flags: u32,
        data: &'a [u8],
    },
    Release {
        file: u64,
    },
    Sync {
        file: u64,
    },
    Ioctl(Ioctl<'a>),
    Poll {
        file: u64,
        /// Names the descriptor in a notice.
        kernel_handle: u64,
        notify: bool,
    },
    /// A signal came for whoever made this request.
    Interrupt {
        unique: u64,
    },
    /// FORGET and BATCH_FORGET: no reply is wanted.
    Forget,
    Destroy,
    FileSystemStatistics,
    /// An opcode that this file has no use for.
    Other(u32),
    /// A body that is too short for its opcode.
    Truncated(u32),
}

/// The attributes that `chmod(2)` and its like want changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Change {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ioctl<'a> {
    pub(super) file: u64,
    /// CUSE: sizes are for us to say, by [`Message::ioctl_retry`].
    pub(super) unrestricted: bool,
    pub(super) number: u32,
    /// The pointer in the program that made the call.
    pub(super) argument: u64,
    /// As many bytes of the argument as the kernel has read.
    pub(super) input: &'a [u8],
    /// As many bytes as the kernel will write back.
    pub(super) output: u32,
}

impl<'a> Request<'a> {
    /// Takes a whole request apart; `None` when it is not even a header.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = bytes.split_at_checked(REQUEST_HEADER)?;
        let mut header = Fields(header);
        let length = header.u32()? as usize;
        let opcode = header.u32()?;
        let unique = header.u64()?;
        header.skip(8)?;
        let uid = header.u32()?;
        let gid = header.u32()?;
        let body = bytes.get(REQUEST_HEADER..length)?;
        Some(Self {
            unique,
            uid,
            gid,
            operation: Operation::parse(opcode, body).unwrap_or(Operation::Truncated(opcode)),
        })
    }
}

impl<'a> Operation<'a> {
    fn parse(opcode: u32, body: &'a [u8]) -> Option<Self> {
        let mut body = Fields(body);
        Some(match opcode {
            opcode::INIT => {
                let (major, minor) = (body.u32()?, body.u32()?);
                body.skip(4)?;
                let flags = body.u32()?;
                Self::Init {
                    major,
                    minor,
                    flags,
                }
            }
            opcode::CUSE_INIT => Self::CuseInit {
                major: body.u32()?,
                minor: body.u32()?,
            },
            opcode::GETATTR => Self::GetAttributes,
            opcode::SETATTR => Self::SetAttributes(Change::parse(&mut body)?),
            opcode::OPEN => Self::Open { flags: body.u32()? },
            opcode::READ => {
                let file = body.u64()?;
                body.skip(8)?;
                let size = body.u32()?;
                body.skip(12)?;
                let flags = body.u32()?;
                Self::Read { file, size, flags }
            }
            opcode::WRITE => {
                let file = body.u64()?;
                body.skip(8)?;
                let size = body.u32()?;
                body.skip(12)?;
                let flags = body.u32()?;
                body.skip(4)?;
                let data = body.bytes(size)?;
                Self::Write { file, flags, data }
            }
            opcode::RELEASE => Self::Release { file: body.u64()? },
            opcode::FSYNC => Self::Sync { file: body.u64()? },
            opcode::IOCTL => {
                let file = body.u64()?;
                let flags = body.u32()?;
                let number = body.u32()?;
                let argument = body.u64()?;
                let input = body.u32()?;
                let output = body.u32()?;
                Self::Ioctl(Ioctl {
                    file,
                    unrestricted: flags & IOCTL_UNRESTRICTED != 0,
                    number,
                    argument,
                    input: body.bytes(input)?,
                    output,
                })
            }
            opcode::POLL => Self::Poll {
                file: body.u64()?,
                kernel_handle: body.u64()?,
                notify: body.u32()? & POLL_SCHEDULE_NOTIFY != 0,
            },
            opcode::INTERRUPT => Self::Interrupt {
                unique: body.u64()?,
            },
            opcode::FORGET | opcode::BATCH_FORGET => Self::Forget,
            opcode::DESTROY => Self::Destroy,
            opcode::STATFS => Self::FileSystemStatistics,
            other => Self::Other(other),
        })
    }
}

impl Change {
    /// ```text
    /// 0 u32 which: bit 0 mode, bit 1 uid, bit 2 gid   68 u32 mode   76 u32 uid   80 u32 gid   (88 bytes in all)
    /// ```
    fn parse(body: &mut Fields<'_>) -> Option<Self> {
        let which = body.u32()?;
        body.skip(64)?;
        let mode = body.u32()?;
        body.skip(4)?;
        let uid = body.u32()?;
        let gid = body.u32()?;
        Some(Self {
            mode: (which & 1 != 0).then_some(mode),
            uid: (which & 2 != 0).then_some(uid),
            gid: (which & 4 != 0).then_some(gid),
        })
    }
}

pub(super) mod opcode {
    pub(in super::super) const FORGET: u32 = 2;
    pub(in super::super) const GETATTR: u32 = 3;
    pub(in super::super) const SETATTR: u32 = 4;
    pub(in super::super) const OPEN: u32 = 14;
    pub(in super::super) const READ: u32 = 15;
    pub(in super::super) const WRITE: u32 = 16;
    pub(in super::super) const STATFS: u32 = 17;
    pub(in super::super) const RELEASE: u32 = 18;
    pub(in super::super) const FSYNC: u32 = 20;
    pub(in super::super) const INIT: u32 = 26;
    pub(in super::super) const INTERRUPT: u32 = 36;
    pub(in super::super) const DESTROY: u32 = 38;
    pub(in super::super) const IOCTL: u32 = 39;
    pub(in super::super) const POLL: u32 = 40;
    pub(in super::super) const BATCH_FORGET: u32 = 42;
    pub(in super::super) const CUSE_INIT: u32 = 4096;
}

/// Reads numbers one after the other.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    fn bytes(&mut self, count: u32) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count as usize)?;
        self.0 = tail;
        Some(head)
    }
}

/// What `stat(2)` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Type and permissions. The type must be that of the mount's `rootmode`.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Seconds since 1970: all three times.
    pub(super) time: u64,
}

/// A reply or notice on its way to the kernel, without the data of a READ.
#[derive(Debug, Clone)]
pub(super) struct Message {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl Message {
    /// The longest is the answer to GETATTR: 16 + 16 + 88.
    const CAPACITY: usize = 128;

    fn start(code: i32, unique: u64) -> Self {
        let mut message = Self {
            bytes: [0; Self::CAPACITY],
            length: 0,
        };
        message.u32(0).i32(code).u64(unique);
        message
    }

    /// Done, and nothing more to say; also the head of a READ's data.
    pub(super) fn done(unique: u64) -> Self {
        Self::start(0, unique)
    }

    /// `errno` is positive.
    pub(super) fn error(unique: u64, errno: i32) -> Self {
        Self::start(-errno, unique)
    }

    /// ```text
    /// 0 u32 major  4 u32 minor  8 u32 max_readahead  12 u32 flags  16 u16 max_background  18 u16 congestion
    /// 20 u32 max_write  24 u32 time_gran  28 u16 max_pages  30 u16 map_alignment  32 reserved (64 in all)
    /// ```
    pub(super) fn init(unique: u64, offered: u32) -> Self {
        let flags = offered & (init::BIG_WRITES | init::MAX_PAGES);
        let mut message = Self::start(0, unique);
        message.u32(MAJOR).u32(MINOR).u32(0).u32(flags).u32(0);
        message.u32(MAX_WRITE).u32(1);
        message.u16((MAX_WRITE / 4096) as u16).u16(0);
        message.zeros(32);
        message
    }

    /// ```text
    /// 0 u32 major  4 u32 minor  8 u32 0  12 u32 flags  16 u32 max_read  20 u32 max_write  24 u32 device major
    /// 28 u32 device minor  32 reserved (72 in all)  72 "DEVNAME=" name NUL
    /// ```
    /// Device number 0 lets the kernel choose.
    pub(super) fn cuse_init(unique: u64, name: &str) -> Self {
        let mut message = Self::start(0, unique);
        message.u32(MAJOR).u32(MINOR).u32(0);
        message.u32(CUSE_UNRESTRICTED_IOCTL);
        message.u32(MAX_WRITE).u32(MAX_WRITE).u32(0).u32(0);
        message.zeros(40);
        message.put(b"DEVNAME=").put(name.as_bytes()).zeros(1);
        message
    }

    /// ```text
    /// 0 u64 seconds that this holds  8 u32 nanoseconds  12 u32 0  16 u64 ino  24 u64 size  32 u64 blocks
    /// 40 u64 atime  48 u64 mtime  56 u64 ctime  64 u32[3] their nanoseconds  76 u32 mode  80 u32 nlink
    /// 84 u32 uid  88 u32 gid  92 u32 rdev  96 u32 blksize  100 u32 flags (104 in all)
    /// ```
    pub(super) fn attributes(unique: u64, attributes: &Attributes) -> Self {
        // Nobody but the kernel changes them, so what the kernel knows holds.
        const FOR_EVER: u64 = u32::MAX as u64;
        let mut message = Self::start(0, unique);
        message.u64(FOR_EVER).u64(0);
        message.u64(1).u64(attributes.size).u64(0);
        message
            .u64(attributes.time)
            .u64(attributes.time)
            .u64(attributes.time);
        message.zeros(12);
        message.u32(attributes.mode).u32(1);
        message.u32(attributes.uid).u32(attributes.gid);
        message.u32(0).u32(4096).u32(0);
        message
    }

    /// ```text
    /// 0 u64 file  8 u32 flags  12 u32 0
    /// ```
    pub(super) fn opened(unique: u64, file: u64) -> Self {
        let mut message = Self::start(0, unique);
        message.u64(file).u32(OPEN_FLAGS).u32(0);
        message
    }

    /// ```text
    /// 0 u32 size  4 u32 0
    /// ```
    pub(super) fn written(unique: u64, size: u32) -> Self {
        let mut message = Self::start(0, unique);
        message.u32(size).u32(0);
        message
    }

    /// ```text
    /// 0 u32 revents  4 u32 0
    /// ```
    pub(super) fn polled(unique: u64, events: u32) -> Self {
        let mut message = Self::start(0, unique);
        message.u32(events).u32(0);
        message
    }

    /// ```text
    /// 0 i32 result  4 u32 flags  8 u32 input iovecs  12 u32 output iovecs  16 data
    /// ```
    pub(super) fn ioctl_done(unique: u64, output: &[u8]) -> Self {
        let mut message = Self::start(0, unique);
        message.zeros(16).put(output);
        message
    }

    /// Asks the kernel to read `input` bytes at `argument` and to be ready to write `output` there.
    ///
    /// ```text
    /// 0 i32 0  4 u32 flags  8 u32 input iovecs  12 u32 output iovecs  16 then each: u64 address, u64 length
    /// ```
    pub(super) fn ioctl_retry(unique: u64, argument: u64, input: usize, output: usize) -> Self {
        let mut message = Self::start(0, unique);
        message.u32(0).u32(IOCTL_RETRY);
        message.u32((input > 0).into()).u32((output > 0).into());
        for length in [input, output] {
            if length > 0 {
                message.u64(argument).u64(length as u64);
            }
        }
        message
    }

    /// Ten numbers of no interest, all zero.
    pub(super) fn statistics(unique: u64) -> Self {
        let mut message = Self::start(0, unique);
        message.zeros(80);
        message
    }

    /// The notice that a poll is worth repeating.
    ///
    /// ```text
    /// 0 u64 kernel handle
    /// ```
    pub(super) fn poll_changed(kernel_handle: u64) -> Self {
        let mut message = Self::start(NOTIFY_POLL, 0);
        message.u64(kernel_handle);
        message
    }

    /// The bytes to write before `data`.
    pub(super) fn with_data(&mut self, data: &[u8]) -> &[u8] {
        // Data is one read's answer, which the kernel asked for by a 32-bit size.
        let length = (self.length + data.len()) as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        &self.bytes[..self.length]
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        let end = self.length + bytes.len();
        debug_assert!(end <= Self::CAPACITY);
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
        self
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        self.length = (self.length + count).min(Self::CAPACITY);
        self
    }

    fn u16(&mut self, number: u16) -> &mut Self {
        self.put(&number.to_ne_bytes())
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.put(&number.to_ne_bytes())
    }

    fn i32(&mut self, number: i32) -> &mut Self {
        self.put(&number.to_ne_bytes())
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.put(&number.to_ne_bytes())
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
