//! The filter: which system calls wait for the supervisor, decided by number, flags and descriptor alone.
//!
//! A filter cannot follow pointers, so no path is seen here. What keeps other programs fast instead:
//!
//! - opens: MEI is only ever opened `O_RDWR`, and nearly everything else is not;
//! - descriptors: ours live in [`WINDOW`];
//! - looking at a path: only relative to the working directory. `find` and its like walk with directory
//!   descriptors; `stat("/dev/mei0")` of any libc does not.
//!
//! Everything that the table does not name is in the kernel's own bitmap of allowed calls and costs nothing.
//!
//! Source: Linux `kernel/seccomp.c`, `include/uapi/linux/filter.h`, `Documentation/userspace-api/seccomp_filter.rst`.

use libc::sock_filter;

use super::call::{Abi, Shape, WINDOW};
use crate::host::backend::Options;

/// Builds the program. Its verdicts are "allow", "notify the supervisor" and "return 0".
pub(super) fn program(options: &Options) -> Vec<sock_filter> {
    let mut assembler = Assembler::default();
    assembler.load(ARCH);
    for (index, abi) in Abi::ALL.iter().enumerate() {
        assembler.jump(EQUAL, abi.arch, Target::Section(index), Target::Next);
    }
    assembler.verdict(ALLOW);
    for (index, abi) in Abi::ALL.iter().enumerate() {
        assembler.place(Target::Section(index));
        assembler.load(NUMBER);
        // x32 shares the architecture of x86-64 and has numbers of its own.
        assembler.jump(NOT_BELOW, X32, Target::Allow, Target::Next);
        for (number, shape) in abi.calls {
            if let Some(target) = check(*shape, options) {
                assembler.jump(EQUAL, *number, target, Target::Next);
            }
        }
        assembler.verdict(ALLOW);
    }
    checks(&mut assembler);
    assembler.finish()
}

/// What must hold for a call of this shape to be of interest; `None` when it never is.
fn check(shape: Shape, options: &Options) -> Option<Target> {
    let looking = |target| options.look.then_some(target);
    match shape {
        Shape::Open => Some(Target::OpenFlags(1)),
        Shape::OpenAt => Some(Target::OpenFlags(2)),
        Shape::OpenAt2 | Shape::Begin => Some(Target::Notify),
        Shape::CloseRange => Some(Target::Range),
        Shape::Dup2 | Shape::Dup3 => Some(Target::EitherOurs),
        Shape::Fcntl => Some(Target::Duplicating),
        Shape::Ioctl => Some(Target::Request),
        Shape::StatusAt(_) | Shape::Statx if options.look => Some(Target::OursOrPath),
        Shape::Close
        | Shape::Dup
        | Shape::Read
        | Shape::Write
        | Shape::ReadVector
        | Shape::WriteVector
        | Shape::Sync
        | Shape::Socket
        | Shape::StatusOf(_)
        | Shape::StatusAt(_)
        | Shape::Statx => Some(Target::Ours),
        Shape::Status(_) | Shape::Access | Shape::ReadLink => looking(Target::Notify),
        Shape::AccessAt | Shape::ReadLinkAt => looking(Target::Path),
        Shape::WhoAmI => options.as_root.then_some(Target::Zero),
    }
}

/// The places that the table jumps to. Jumps only go forwards, so what others build on comes last.
fn checks(assembler: &mut Assembler) {
    for argument in [1, 2] {
        assembler.place(Target::OpenFlags(argument));
        assembler.load(low_half(argument));
        assembler.mask((libc::O_ACCMODE | libc::O_DIRECTORY).cast_unsigned());
        let read_write = libc::O_RDWR.cast_unsigned();
        assembler.jump(EQUAL, read_write, Target::Notify, Target::Allow);
    }

    // close_range(first, last, flags): closing, and touching the window.
    assembler.place(Target::Range);
    assembler.load(low_half(2));
    assembler.jump(
        ANY_BIT,
        libc::CLOSE_RANGE_CLOEXEC,
        Target::Allow,
        Target::Next,
    );
    assembler.load(low_half(1));
    assembler.jump(NOT_BELOW, FIRST, Target::Next, Target::Allow);
    assembler.load(low_half(0));
    assembler.jump(ABOVE, LAST, Target::Allow, Target::Notify);

    assembler.place(Target::EitherOurs);
    assembler.load(low_half(1));
    assembler.jump(NOT_BELOW, FIRST, Target::Next, Target::Ours);
    assembler.jump(ABOVE, LAST, Target::Ours, Target::Notify);

    assembler.place(Target::Duplicating);
    assembler.load(low_half(1));
    let duplicate = libc::F_DUPFD.cast_unsigned();
    assembler.jump(EQUAL, duplicate, Target::Ours, Target::Next);
    let duplicate = libc::F_DUPFD_CLOEXEC.cast_unsigned();
    assembler.jump(EQUAL, duplicate, Target::Ours, Target::Allow);

    // Requests of MEI's type are seen on any descriptor: it may have been moved out of the window.
    assembler.place(Target::Request);
    assembler.load(low_half(1));
    assembler.mask(0xff00);
    let mei = u32::from(b'H') << 8;
    assembler.jump(EQUAL, mei, Target::Notify, Target::Ours);

    assembler.place(Target::Path);
    assembler.load(low_half(0));
    let cwd = libc::AT_FDCWD.cast_unsigned();
    assembler.jump(EQUAL, cwd, Target::Notify, Target::Allow);

    assembler.place(Target::OursOrPath);
    assembler.load(low_half(0));
    assembler.jump(EQUAL, cwd, Target::Notify, Target::Next);

    assembler.place(Target::Ours);
    assembler.load(low_half(0));
    assembler.jump(NOT_BELOW, FIRST, Target::Next, Target::Allow);
    assembler.jump(ABOVE, LAST, Target::Allow, Target::Notify);

    assembler.place(Target::Allow);
    assembler.verdict(ALLOW);
    assembler.place(Target::Notify);
    assembler.verdict(NOTIFY);
    assembler.place(Target::Zero);
    assembler.verdict(ZERO);
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
/// The call is not made and succeeds with 0.
const ZERO: u32 = libc::SECCOMP_RET_ERRNO;

const FIRST: u32 = WINDOW.start().cast_unsigned();
const LAST: u32 = WINDOW.end().cast_unsigned();
const X32: u32 = 0x4000_0000;

/// Offsets into `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// The low half of argument `index`, on a little-endian machine.
const fn low_half(index: u32) -> u32 {
    16 + 8 * index
}

const EQUAL: u32 = libc::BPF_JEQ;
const NOT_BELOW: u32 = libc::BPF_JGE;
const ABOVE: u32 = libc::BPF_JGT;
const ANY_BIT: u32 = libc::BPF_JSET;

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Next,
    Section(usize),
    OpenFlags(u32),
    Range,
    EitherOurs,
    Duplicating,
    Request,
    Path,
    OursOrPath,
    Ours,
    Allow,
    Notify,
    Zero,
}

/// Instructions whose jumps are still by name.
#[derive(Debug, Default)]
struct Assembler {
    lines: Vec<Line>,
    places: Vec<(Target, usize)>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    code: u32,
    operand: u32,
    jump: Option<(Target, Target)>,
}

impl Assembler {
    fn push(&mut self, code: u32, operand: u32, jump: Option<(Target, Target)>) {
        self.lines.push(Line {
            code,
            operand,
            jump,
        });
    }

    fn load(&mut self, offset: u32) {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, None);
    }

    fn mask(&mut self, bits: u32) {
        self.push(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, bits, None);
    }

    fn jump(&mut self, condition: u32, operand: u32, then: Target, otherwise: Target) {
        let code = libc::BPF_JMP | condition | libc::BPF_K;
        self.push(code, operand, Some((then, otherwise)));
    }

    fn verdict(&mut self, verdict: u32) {
        self.push(libc::BPF_RET | libc::BPF_K, verdict, None);
    }

    fn place(&mut self, target: Target) {
        self.places.push((target, self.lines.len()));
    }

    fn finish(self) -> Vec<sock_filter> {
        // A distance is one byte. The tests build every variant of the program and check the outcome, so an
        // overlong table cannot get past them; the kernel refuses a jump past the end.
        let distance = |from: usize, target: Target| match target {
            Target::Next => 0,
            _ => {
                let place = self.places.iter().find(|(known, _)| *known == target);
                let to = place.map_or(usize::MAX, |(_, at)| *at);
                u8::try_from(to.wrapping_sub(from + 1)).unwrap_or(u8::MAX)
            }
        };
        let assemble = |(at, line): (usize, &Line)| {
            let (then, otherwise) = line.jump.unwrap_or((Target::Next, Target::Next));
            sock_filter {
                code: (line.code & 0xffff) as u16,
                jt: distance(at, then),
                jf: distance(at, otherwise),
                k: line.operand,
            }
        };
        self.lines.iter().enumerate().map(assemble).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PLAIN: Options = Options {
        as_root: false,
        look: false,
    };
    const LOOK: Options = Options {
        as_root: false,
        look: true,
    };
    const ROOT: Options = Options {
        as_root: true,
        look: false,
    };

    /// What the kernel's interpreter would do.
    fn run(program: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend_from_slice(&number.to_ne_bytes());
        data.extend_from_slice(&arch.to_ne_bytes());
        data.extend_from_slice(&0x7f00_0000_1234_u64.to_ne_bytes());
        for arg in args {
            data.extend_from_slice(&arg.to_ne_bytes());
        }
        let (mut at, mut accumulator) = (0, 0u32);
        loop {
            let line = &program[at];
            let code = u32::from(line.code);
            at += 1;
            let holds = match code & 0x07 {
                libc::BPF_LD => {
                    let offset = line.k as usize;
                    accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                    continue;
                }
                libc::BPF_ALU => {
                    assert_eq!(code & 0xf0, libc::BPF_AND);
                    accumulator &= line.k;
                    continue;
                }
                libc::BPF_RET => return line.k,
                libc::BPF_JMP => match code & 0xf0 {
                    libc::BPF_JEQ => accumulator == line.k,
                    libc::BPF_JGE => accumulator >= line.k,
                    libc::BPF_JGT => accumulator > line.k,
                    libc::BPF_JSET => accumulator & line.k != 0,
                    other => panic!("jump {other:#x}"),
                },
                other => panic!("class {other:#x}"),
            };
            at += usize::from(if holds { line.jt } else { line.jf });
        }
    }

    fn native(options: &Options, number: u32, args: &[u64]) -> u32 {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        run(&program(options), Abi::ALL[0].arch, number, all)
    }

    #[test]
    fn it_fits_the_jumps() {
        for options in [PLAIN, LOOK, ROOT] {
            let program = program(&options);
            assert!(program.len() < 200, "{} instructions", program.len());
            for (at, line) in program.iter().enumerate() {
                let reach = usize::from(line.jt.max(line.jf));
                assert!(reach < 255 && at + 1 + reach < program.len() + usize::from(reach == 0));
            }
        }
    }

    const CWD: u64 = -100_i64 as u64;

    #[cfg(target_arch = "x86_64")]
    #[rstest]
    #[case::open_read_write(2, &[0x1000, 0o2], NOTIFY)]
    #[case::open_create(2, &[0x1000, 0o102], NOTIFY)]
    #[case::open_nonblocking(257, &[CWD, 0x1000, 0o2_004_002], NOTIFY)]
    #[case::open_read_only(257, &[CWD, 0x1000, 0o2_000_000], ALLOW)]
    #[case::open_write_only(257, &[CWD, 0x1000, 0o1], ALLOW)]
    #[case::temporary_file(257, &[CWD, 0x1000, 0o20_200_002], ALLOW)]
    #[case::openat2(437, &[CWD, 0x1000, 0x2000, 24], NOTIFY)]
    #[case::read_ours(0, &[960, 0, 0], NOTIFY)]
    #[case::read_ours(0, &[1023, 0, 0], NOTIFY)]
    #[case::read_below(0, &[959, 0, 0], ALLOW)]
    #[case::read_above(0, &[1024, 0, 0], ALLOW)]
    #[case::read_closed(0, &[u64::MAX, 0, 0], ALLOW)]
    #[case::high_half(1, &[0xffff_ffff_0000_03c0, 0, 0], NOTIFY)]
    #[case::close(3, &[1000], NOTIFY)]
    #[case::dup_ours(32, &[960], NOTIFY)]
    #[case::dup_other(32, &[3], ALLOW)]
    #[case::dup2_from(33, &[960, 3], NOTIFY)]
    #[case::dup2_onto(33, &[3, 960], NOTIFY)]
    #[case::dup2_beyond(33, &[3, 1024], ALLOW)]
    #[case::dup2_from_to_beyond(33, &[960, 1024], NOTIFY)]
    #[case::dup2_other(33, &[3, 4], ALLOW)]
    #[case::dup3(292, &[960, 3, 0], NOTIFY)]
    #[case::fcntl_dup(72, &[960, 0, 0], NOTIFY)]
    #[case::fcntl_dup_cloexec(72, &[960, 1030, 0], NOTIFY)]
    #[case::fcntl_flags(72, &[960, 4, 0], ALLOW)]
    #[case::fcntl_dup_other(72, &[5, 0, 960], ALLOW)]
    #[case::ioctl_mei_moved(16, &[3, 0xc010_4801, 0], NOTIFY)]
    #[case::ioctl_terminal(16, &[1, 0x5401, 0], ALLOW)]
    #[case::ioctl_terminal_ours(16, &[961, 0x5401, 0], NOTIFY)]
    #[case::close_everything(436, &[3, 0xffff_ffff, 0], NOTIFY)]
    #[case::close_below(436, &[3, 959, 0], ALLOW)]
    #[case::close_above(436, &[1024, 0xffff_ffff, 0], ALLOW)]
    #[case::mark_everything(436, &[3, 0xffff_ffff, 4], ALLOW)]
    #[case::fstat(5, &[960, 0], NOTIFY)]
    #[case::fstat_new(262, &[960, 0, 0, 0x1000], NOTIFY)]
    #[case::statx_ours(332, &[960, 0, 0x1000], NOTIFY)]
    #[case::stat(4, &[0x1000, 0], ALLOW)]
    #[case::stat_new(262, &[CWD, 0x1000], ALLOW)]
    #[case::getsockopt(55, &[960, 1, 4], NOTIFY)]
    #[case::send_message_is_how_we_start(46, &[960, 0], ALLOW)]
    #[case::begin(158, &[0x1002, 0x1000], NOTIFY)]
    #[case::getuid(102, &[], ALLOW)]
    #[case::getpid(39, &[], ALLOW)]
    #[case::x32_write(0x4000_0001, &[960, 0, 0], ALLOW)]
    fn without_options(#[case] number: u32, #[case] args: &[u64], #[case] verdict: u32) {
        assert_eq!(native(&PLAIN, number, args), verdict);
    }

    #[cfg(target_arch = "x86_64")]
    #[rstest]
    #[case::stat(4, &[0x1000, 0x2000], NOTIFY)]
    #[case::lstat(6, &[0x1000, 0x2000], NOTIFY)]
    #[case::access(21, &[0x1000, 4], NOTIFY)]
    #[case::newfstatat(262, &[CWD, 0x1000], NOTIFY)]
    #[case::newfstatat_32_bits(262, &[0xffff_ff9c, 0x1000], NOTIFY)]
    #[case::newfstatat_of_find(262, &[4, 0x1000], ALLOW)]
    #[case::newfstatat_ours(262, &[960, 0x1000], NOTIFY)]
    #[case::statx(332, &[CWD, 0x1000], NOTIFY)]
    #[case::statx_of_find(332, &[4, 0x1000], ALLOW)]
    #[case::faccessat2(439, &[CWD, 0x1000], NOTIFY)]
    #[case::faccessat2_of_find(439, &[4, 0x1000], ALLOW)]
    #[case::readlink(89, &[0x1000], NOTIFY)]
    #[case::readlinkat(267, &[CWD, 0x1000], NOTIFY)]
    fn for_programs_that_look(#[case] number: u32, #[case] args: &[u64], #[case] verdict: u32) {
        assert_eq!(native(&LOOK, number, args), verdict);
    }

    #[cfg(target_arch = "x86_64")]
    #[rstest]
    #[case::getuid(102, ZERO)]
    #[case::getgid(104, ZERO)]
    #[case::geteuid(107, ZERO)]
    #[case::getegid(108, ZERO)]
    #[case::setuid(105, ALLOW)]
    fn as_root(#[case] number: u32, #[case] verdict: u32) {
        assert_eq!(native(&ROOT, number, &[]), verdict);
    }

    #[cfg(target_arch = "x86_64")]
    #[rstest]
    #[case::openat(295, [CWD, 0x1000, 0o2], NOTIFY)]
    #[case::open(5, [0x1000, 0o2, 0], NOTIFY)]
    #[case::open_read_only(5, [0x1000, 0, 0], ALLOW)]
    #[case::ioctl(54, [4, 0xc010_4801, 0], NOTIFY)]
    #[case::read(3, [960, 0, 0], NOTIFY)]
    #[case::restart_syscall(0, [960, 0, 0], ALLOW)]
    #[case::begin(243, [0x1000, 0, 0], NOTIFY)]
    fn on_32_bits(#[case] number: u32, #[case] args: [u64; 3], #[case] verdict: u32) {
        let args = [args[0], args[1], args[2], 0, 0, 0];
        assert_eq!(run(&program(&PLAIN), 0x4000_0003, number, args), verdict);
    }

    #[test]
    fn a_foreign_architecture_is_let_through() {
        let verdict = run(&program(&LOOK), 0x1234, 0, [960, 0, 0, 0, 0, 0]);
        assert_eq!(verdict, ALLOW);
    }
}
