//! The system calls that matter, for every way to make them on this machine: one table says which number means
//! what. The filter is built from it, and notifications are read with it, so that the two cannot disagree.

/// The descriptor numbers under which programs hold the device. The filter tells our descriptors from all others
/// by their number alone, which costs everybody else some 20 ns. Below 1024, so that `select(2)` works.
pub(super) const WINDOW: std::ops::RangeInclusive<i32> = 960..=1023;

/// What one system call number does, and where its arguments lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// path, flags
    Open,
    /// directory, path, flags
    OpenAt,
    /// directory, path, `struct open_how`
    OpenAt2,
    Close,
    /// first, last, flags
    CloseRange,
    Dup,
    /// old, new
    Dup2,
    /// old, new, flags
    Dup3,
    /// descriptor, command, argument
    Fcntl,
    /// descriptor, address, length
    Read,
    Write,
    /// descriptor, array of segments, count
    ReadVector,
    WriteVector,
    /// descriptor, request, argument
    Ioctl,
    /// `fsync`, `fdatasync`
    Sync,
    /// Anything that only sockets can do; the descriptor comes first.
    Socket,
    /// descriptor, address
    StatusOf(Layout),
    /// path, address
    Status(Layout),
    /// directory, path, address, flags
    StatusAt(Layout),
    /// directory, path, flags, mask, address
    Statx,
    /// path, mode
    Access,
    /// directory, path, mode
    AccessAt,
    /// path
    ReadLink,
    /// directory, path
    ReadLinkAt,
    /// Something that every program does once, first thing after exec.
    Begin,
    /// Asks who the program runs as.
    WhoAmI,
}

/// The structure that a call of the `stat` family fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `struct stat` of this machine's own ABI.
    Native,
    /// `struct stat64` of 32-bit x86.
    I386,
    /// `struct statx`, the same everywhere.
    Extended,
}

/// One way to make system calls.
#[derive(Debug)]
pub(super) struct Abi {
    /// `AUDIT_ARCH_*`, as the kernel tells it to filters.
    pub(super) arch: u32,
    /// Bytes of a pointer.
    pub(super) word: usize,
    /// Hot calls first: the filter looks from the top.
    pub(super) calls: &'static [(u32, Shape)],
}

impl Abi {
    /// The ABIs that are served, the machine's own first. A program of any other sees no device.
    pub(super) const ALL: &'static [Self] = native::ABIS;

    pub(super) fn by_arch(arch: u32) -> Option<&'static Self> {
        Self::ALL.iter().find(|abi| abi.arch == arch)
    }

    pub(super) fn shape(&self, number: u32) -> Option<Shape> {
        let row = self.calls.iter().find(|(known, _)| *known == number)?;
        Some(row.1)
    }
}

/// Bytes in the program's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buffer {
    Plain {
        address: u64,
        length: usize,
    },
    /// An array of `struct iovec`.
    Vector {
        address: u64,
        count: usize,
    },
}

/// A system call with its arguments in the places of the newest variant of its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Open {
        directory: i32,
        path: u64,
        how: How,
    },
    Close {
        fd: i32,
    },
    CloseRange {
        first: u32,
        last: u32,
        flags: u32,
    },
    Dup {
        fd: i32,
        at_least: i32,
        cloexec: bool,
    },
    DupTo {
        fd: i32,
        target: i32,
        cloexec: bool,
    },
    Read {
        fd: i32,
        to: Buffer,
    },
    Write {
        fd: i32,
        from: Buffer,
    },
    Ioctl {
        fd: i32,
        request: u32,
        argument: u64,
    },
    Sync {
        fd: i32,
    },
    Socket {
        fd: i32,
    },
    Status {
        directory: i32,
        /// `None` when the call is about the descriptor itself.
        path: Option<u64>,
        to: u64,
        layout: Layout,
        empty_path: bool,
    },
    Access {
        directory: i32,
        path: u64,
        mode: i32,
    },
    ReadLink {
        directory: i32,
        path: u64,
    },
    Begin,
    /// Not ours after all.
    Other,
}

/// Where an open's flags are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Flags(i32),
    /// At this address, in a `struct open_how`.
    At(u64),
}

impl Call {
    /// `cwd` stands in where the old variants have no directory.
    pub(super) fn decode(shape: Shape, args: &[u64; 6]) -> Self {
        let int = |index: usize| low_half(args[index]).cast_signed();
        let cwd = libc::AT_FDCWD;
        let plain = || Buffer::Plain {
            address: args[1],
            length: usize::try_from(args[2]).unwrap_or(usize::MAX),
        };
        let vector = || Buffer::Vector {
            address: args[1],
            count: usize::try_from(args[2]).unwrap_or(usize::MAX),
        };
        match shape {
            Shape::Open => Self::Open {
                directory: cwd,
                path: args[0],
                how: How::Flags(int(1)),
            },
            Shape::OpenAt => Self::Open {
                directory: int(0),
                path: args[1],
                how: How::Flags(int(2)),
            },
            Shape::OpenAt2 => Self::Open {
                directory: int(0),
                path: args[1],
                how: How::At(args[2]),
            },
            Shape::Close => Self::Close { fd: int(0) },
            Shape::CloseRange => Self::CloseRange {
                first: low_half(args[0]),
                last: low_half(args[1]),
                flags: low_half(args[2]),
            },
            Shape::Dup => Self::Dup {
                fd: int(0),
                at_least: 0,
                cloexec: false,
            },
            Shape::Fcntl if matches!(int(1), libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) => Self::Dup {
                fd: int(0),
                at_least: int(2),
                cloexec: int(1) == libc::F_DUPFD_CLOEXEC,
            },
            Shape::Dup2 => Self::DupTo {
                fd: int(0),
                target: int(1),
                cloexec: false,
            },
            Shape::Dup3 if int(2) & !libc::O_CLOEXEC == 0 && int(0) != int(1) => Self::DupTo {
                fd: int(0),
                target: int(1),
                cloexec: int(2) != 0,
            },
            Shape::Read => Self::Read {
                fd: int(0),
                to: plain(),
            },
            Shape::ReadVector => Self::Read {
                fd: int(0),
                to: vector(),
            },
            Shape::Write => Self::Write {
                fd: int(0),
                from: plain(),
            },
            Shape::WriteVector => Self::Write {
                fd: int(0),
                from: vector(),
            },
            Shape::Ioctl => Self::Ioctl {
                fd: int(0),
                request: low_half(args[1]),
                argument: args[2],
            },
            Shape::Sync => Self::Sync { fd: int(0) },
            Shape::Socket => Self::Socket { fd: int(0) },
            Shape::StatusOf(layout) => Self::Status {
                directory: int(0),
                path: None,
                to: args[1],
                layout,
                empty_path: true,
            },
            Shape::Status(layout) => Self::Status {
                directory: cwd,
                path: Some(args[0]),
                to: args[1],
                layout,
                empty_path: false,
            },
            Shape::StatusAt(layout) => Self::Status {
                directory: int(0),
                path: Some(args[1]),
                to: args[2],
                layout,
                empty_path: int(3) & libc::AT_EMPTY_PATH != 0,
            },
            Shape::Statx => Self::Status {
                directory: int(0),
                path: Some(args[1]),
                to: args[4],
                layout: Layout::Extended,
                empty_path: int(2) & libc::AT_EMPTY_PATH != 0,
            },
            Shape::Access => Self::Access {
                directory: cwd,
                path: args[0],
                mode: int(1),
            },
            Shape::AccessAt => Self::Access {
                directory: int(0),
                path: args[1],
                mode: int(2),
            },
            Shape::ReadLink => Self::ReadLink {
                directory: cwd,
                path: args[0],
            },
            Shape::ReadLinkAt => Self::ReadLink {
                directory: int(0),
                path: args[1],
            },
            Shape::Begin => Self::Begin,
            Shape::Fcntl | Shape::Dup3 | Shape::WhoAmI => Self::Other,
        }
    }
}

/// The kernel looks at descriptors, flags and request numbers as 32 bits.
fn low_half(argument: u64) -> u32 {
    (argument & 0xffff_ffff) as u32
}

#[cfg(target_arch = "x86_64")]
mod native {
    use super::{Abi, Layout, Shape};

    pub(super) const ABIS: &[Abi] = &[
        Abi {
            arch: 0xC000_003E, // AUDIT_ARCH_X86_64
            word: 8,
            calls: X86_64,
        },
        Abi {
            arch: 0x4000_0003, // AUDIT_ARCH_I386
            word: 4,
            calls: I386,
        },
    ];

    /// Source: Linux `arch/x86/entry/syscalls/syscall_64.tbl`.
    const X86_64: &[(u32, Shape)] = &[
        (0, Shape::Read),
        (1, Shape::Write),
        (3, Shape::Close),
        (257, Shape::OpenAt),
        (5, Shape::StatusOf(Layout::Native)),
        (262, Shape::StatusAt(Layout::Native)),
        (16, Shape::Ioctl),
        (72, Shape::Fcntl),
        (2, Shape::Open),
        (4, Shape::Status(Layout::Native)),
        (6, Shape::Status(Layout::Native)),
        (332, Shape::Statx),
        (20, Shape::WriteVector),
        (19, Shape::ReadVector),
        (44, Shape::Socket), // sendto
        (45, Shape::Socket), // recvfrom
        (47, Shape::Socket), // recvmsg
        (21, Shape::Access),
        (269, Shape::AccessAt),
        (439, Shape::AccessAt), // faccessat2
        (89, Shape::ReadLink),
        (267, Shape::ReadLinkAt),
        (32, Shape::Dup),
        (33, Shape::Dup2),
        (292, Shape::Dup3),
        (437, Shape::OpenAt2),
        (436, Shape::CloseRange),
        (74, Shape::Sync),
        (75, Shape::Sync),    // fdatasync
        (42, Shape::Socket),  // connect
        (43, Shape::Socket),  // accept
        (48, Shape::Socket),  // shutdown
        (49, Shape::Socket),  // bind
        (50, Shape::Socket),  // listen
        (51, Shape::Socket),  // getsockname
        (52, Shape::Socket),  // getpeername
        (54, Shape::Socket),  // setsockopt
        (55, Shape::Socket),  // getsockopt
        (288, Shape::Socket), // accept4
        (299, Shape::Socket), // recvmmsg
        (158, Shape::Begin),  // arch_prctl: the thread pointer of the first thread
        (102, Shape::WhoAmI), // getuid
        (104, Shape::WhoAmI), // getgid
        (107, Shape::WhoAmI), // geteuid
        (108, Shape::WhoAmI), // getegid
    ];

    /// Source: Linux `arch/x86/entry/syscalls/syscall_32.tbl`.
    const I386: &[(u32, Shape)] = &[
        (3, Shape::Read),
        (4, Shape::Write),
        (6, Shape::Close),
        (295, Shape::OpenAt),
        (5, Shape::Open),
        (197, Shape::StatusOf(Layout::I386)),
        (300, Shape::StatusAt(Layout::I386)),
        (195, Shape::Status(Layout::I386)),
        (196, Shape::Status(Layout::I386)),
        (383, Shape::Statx),
        (54, Shape::Ioctl),
        (221, Shape::Fcntl), // fcntl64
        (55, Shape::Fcntl),
        (146, Shape::WriteVector),
        (145, Shape::ReadVector),
        (33, Shape::Access),
        (307, Shape::AccessAt),
        (439, Shape::AccessAt), // faccessat2
        (85, Shape::ReadLink),
        (305, Shape::ReadLinkAt),
        (41, Shape::Dup),
        (63, Shape::Dup2),
        (330, Shape::Dup3),
        (437, Shape::OpenAt2),
        (436, Shape::CloseRange),
        (118, Shape::Sync),
        (148, Shape::Sync),  // fdatasync
        (243, Shape::Begin), // set_thread_area
        (24, Shape::WhoAmI), // getuid, 16 bits
        (47, Shape::WhoAmI),
        (49, Shape::WhoAmI),
        (50, Shape::WhoAmI),
        (199, Shape::WhoAmI), // getuid32
        (200, Shape::WhoAmI),
        (201, Shape::WhoAmI),
        (202, Shape::WhoAmI),
    ];
}

#[cfg(target_arch = "aarch64")]
mod native {
    use super::{Abi, Layout, Shape};

    pub(super) const ABIS: &[Abi] = &[Abi {
        arch: 0xC000_00B7, // AUDIT_ARCH_AARCH64
        word: 8,
        calls: AARCH64,
    }];

    /// Source: Linux `include/uapi/asm-generic/unistd.h`. No call marks the start of every program here: a
    /// descriptor that exec closed is noticed by the next sweep instead.
    const AARCH64: &[(u32, Shape)] = &[
        (63, Shape::Read),
        (64, Shape::Write),
        (57, Shape::Close),
        (56, Shape::OpenAt),
        (80, Shape::StatusOf(Layout::Native)),
        (79, Shape::StatusAt(Layout::Native)),
        (29, Shape::Ioctl),
        (25, Shape::Fcntl),
        (291, Shape::Statx),
        (66, Shape::WriteVector),
        (65, Shape::ReadVector),
        (206, Shape::Socket), // sendto
        (207, Shape::Socket), // recvfrom
        (212, Shape::Socket), // recvmsg
        (48, Shape::AccessAt),
        (439, Shape::AccessAt), // faccessat2
        (78, Shape::ReadLinkAt),
        (23, Shape::Dup),
        (24, Shape::Dup3),
        (437, Shape::OpenAt2),
        (436, Shape::CloseRange),
        (82, Shape::Sync),
        (83, Shape::Sync),    // fdatasync
        (200, Shape::Socket), // bind
        (201, Shape::Socket), // listen
        (202, Shape::Socket), // accept
        (203, Shape::Socket), // connect
        (204, Shape::Socket), // getsockname
        (205, Shape::Socket), // getpeername
        (208, Shape::Socket), // setsockopt
        (209, Shape::Socket), // getsockopt
        (210, Shape::Socket), // shutdown
        (242, Shape::Socket), // accept4
        (243, Shape::Socket), // recvmmsg
        (174, Shape::WhoAmI), // getuid
        (175, Shape::WhoAmI), // geteuid
        (176, Shape::WhoAmI), // getgid
        (177, Shape::WhoAmI), // getegid
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn no_number_has_two_meanings() {
        for abi in Abi::ALL {
            let mut numbers: Vec<u32> = abi.calls.iter().map(|(number, _)| *number).collect();
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[rstest]
    #[case(libc::SYS_read, Shape::Read)]
    #[case(libc::SYS_write, Shape::Write)]
    #[case(libc::SYS_openat, Shape::OpenAt)]
    #[case(libc::SYS_openat2, Shape::OpenAt2)]
    #[case(libc::SYS_close_range, Shape::CloseRange)]
    #[case(libc::SYS_newfstatat, Shape::StatusAt(Layout::Native))]
    #[case(libc::SYS_statx, Shape::Statx)]
    #[case(libc::SYS_faccessat2, Shape::AccessAt)]
    #[case(libc::SYS_fcntl, Shape::Fcntl)]
    #[case(libc::SYS_dup3, Shape::Dup3)]
    #[case(libc::SYS_fdatasync, Shape::Sync)]
    #[case(libc::SYS_getsockopt, Shape::Socket)]
    #[case(libc::SYS_recvmmsg, Shape::Socket)]
    #[case(libc::SYS_arch_prctl, Shape::Begin)]
    #[case(libc::SYS_geteuid, Shape::WhoAmI)]
    fn the_table_agrees_with_the_system_headers(#[case] number: i64, #[case] shape: Shape) {
        let number = u32::try_from(number).unwrap();
        assert_eq!(Abi::ALL[0].shape(number), Some(shape));
    }

    #[test]
    fn the_high_half_of_a_descriptor_does_not_count() {
        let args = [0xdead_beef_0000_03c0, 0x1000, 64, 0, 0, 0];
        let to = Buffer::Plain {
            address: 0x1000,
            length: 64,
        };
        assert_eq!(Call::decode(Shape::Read, &args), Call::Read { fd: 960, to });
    }

    #[rstest]
    #[case(libc::F_DUPFD, Call::Dup { fd: 960, at_least: 10, cloexec: false })]
    #[case(libc::F_DUPFD_CLOEXEC, Call::Dup { fd: 960, at_least: 10, cloexec: true })]
    #[case(libc::F_GETFL, Call::Other)]
    fn fcntl_duplicates_or_is_left_alone(#[case] command: i32, #[case] call: Call) {
        let args = [960, command as u64, 10, 0, 0, 0];
        assert_eq!(Call::decode(Shape::Fcntl, &args), call);
    }

    #[rstest]
    #[case([960, 961, 0], Call::DupTo { fd: 960, target: 961, cloexec: false })]
    #[case([960, 961, libc::O_CLOEXEC as u64], Call::DupTo { fd: 960, target: 961, cloexec: true })]
    #[case::einval([960, 960, 0], Call::Other)]
    #[case::einval([960, 961, 1], Call::Other)]
    fn dup3_that_the_kernel_refuses_is_left_to_it(#[case] args: [u64; 3], #[case] call: Call) {
        let args = [args[0], args[1], args[2], 0, 0, 0];
        assert_eq!(Call::decode(Shape::Dup3, &args), call);
    }
}
