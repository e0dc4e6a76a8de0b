//! Running a program that may do anything: hang, flood, die, leave children behind, print garbage.
//!
//! Whatever it does, [`run`] comes back soon after the time limit, with the part of the output that was kept.
//! Descendants are known by an environment variable that they inherit, by their process group, and by the pipes that
//! they print to, so that those which left the one are found by the other.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use amt_sim::host::backend::{self, Backend, Options};
use amt_sim::host::process::{kill_group, kill_process};
use amt_sim::host::{Running, SharedDevice};

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct Invocation {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) working_directory: PathBuf,
    pub(super) time_limit: Duration,
}

/// Where the program finds its `/dev/mei0`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Front<'a> {
    pub(super) device: &'a SharedDevice,
    pub(super) backend: Backend,
    pub(super) options: Options,
}

/// How it went.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub(super) ended: Ended,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) duration: Duration,
    /// Command lines of processes that it left behind. They are gone now.
    pub(super) left_behind: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Exit(i32),
    Signal(i32),
    TimeLimit(Duration),
}

impl Ended {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(number) => write!(f, "ended by signal {number}"),
            Self::TimeLimit(limit) => write!(f, "still running after {}s", limit.as_secs()),
        }
    }
}

/// Bytes of each stream that are kept; the rest is read and dropped, so that the program never waits for us.
const KEPT: usize = 1 << 20;

/// How long a stream may stay open after the program is gone.
const GRACE: Duration = Duration::from_millis(500);

/// The variable by which descendants are known.
const MARK: &str = "AMT_CONFORMANCE_RUN";

/// Runs the program to its end, or to the end of its time.
pub(super) fn run(invocation: &Invocation, front: Option<Front<'_>>) -> io::Result<Finished> {
    Live::start(invocation, front)?.finish(invocation.time_limit)
}

/// A program that runs. Dropping it ends it, with everything that it started.
#[derive(Debug)]
pub(super) struct Live {
    /// Gone once it was finished.
    program: Option<Program>,
    signs: Signs,
    started: Instant,
    stdout: Captured,
    stderr: Captured,
    /// Says when a stream has closed.
    closed: mpsc::Receiver<()>,
}

impl Live {
    pub(super) fn start(invocation: &Invocation, front: Option<Front<'_>>) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mark = format!(
            "{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut command = Command::new(&invocation.program);
        command
            .args(&invocation.args)
            .envs(
                invocation
                    .environment
                    .iter()
                    .map(|(key, value)| (key, value)),
            )
            .env(MARK, &mark)
            .current_dir(&invocation.working_directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let started = Instant::now();
        let mut program = match front {
            None => Program::Plain(command.spawn()?),
            Some(front) => Program::Fronted(backend::run(
                front.device,
                command,
                front.backend,
                &front.options,
            )?),
        };
        let signs = Signs {
            mark: format!("{MARK}={mark}").into_bytes(),
            group: program.child().id(),
            pipes: [
                program.child().stdout.as_ref().map(AsRawFd::as_raw_fd),
                program.child().stderr.as_ref().map(AsRawFd::as_raw_fd),
            ]
            .into_iter()
            .flatten()
            .filter_map(|pipe| fs::read_link(format!("/proc/self/fd/{pipe}")).ok())
            .collect(),
        };
        let (sender, closed) = mpsc::channel();
        let stdout = capture(program.child().stdout.take(), &sender);
        let stderr = capture(program.child().stderr.take(), &sender);
        Ok(Self {
            program: Some(program),
            signs,
            started,
            stdout,
            stderr,
            closed,
        })
    }

    /// Everything printed so far: standard output, then standard error.
    pub(super) fn printed(&self) -> String {
        self.printed_since(Printed::default())
    }

    /// How much was printed so far.
    pub(super) fn mark(&self) -> Printed {
        Printed {
            stdout: self.stdout.length(),
            stderr: self.stderr.length(),
        }
    }

    /// What was printed after that.
    pub(super) fn printed_since(&self, mark: Printed) -> String {
        let (stdout, stderr) = (&self.stdout, &self.stderr);
        format!(
            "{}\n{}",
            stdout.text_from(mark.stdout),
            stderr.text_from(mark.stderr)
        )
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<Ended>> {
        let Some(program) = &mut self.program else {
            return Ok(None);
        };
        Ok(program.child().try_wait()?.map(Ended::of))
    }

    /// Waits for its end, and ends it when it takes longer than that.
    pub(super) fn finish(mut self, limit: Duration) -> io::Result<Finished> {
        let Some(mut program) = self.program.take() else {
            return Err(io::Error::other("the program was finished before"));
        };
        let status = wait(program.child(), limit)?;
        let ended = match status {
            Some(status) => Ended::of(status),
            None => {
                end(program.child());
                Ended::TimeLimit(limit)
            }
        };
        let duration = self.started.elapsed();
        let left_behind = end_descendants(&self.signs);
        // Both streams close when nobody holds them any more.
        let deadline = Instant::now() + GRACE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.closed.recv_timeout(left) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => break,
            }
        }
        if let Program::Fronted(running) = program {
            // Whatever went wrong in serving it shows in the journal; the program's own end is known already.
            let _ = running.stop();
        }
        Ok(Finished {
            ended,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            duration,
            left_behind,
        })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(program) = &mut self.program {
            // One that has ended is nobody's process any more, and its number may be somebody else's.
            if matches!(program.child().try_wait(), Ok(None)) {
                end(program.child());
            }
            end_descendants(&self.signs);
        }
    }
}

/// Ends the program and its process group.
fn end(child: &mut Child) {
    kill_group(child.id());
    // It may have left its own group.
    let _ = child.kill();
    let _ = child.wait();
}

#[derive(Debug)]
enum Program {
    Plain(Child),
    Fronted(Running),
}

impl Program {
    fn child(&mut self) -> &mut Child {
        match self {
            Self::Plain(child) => child,
            Self::Fronted(running) => running.child(),
        }
    }
}

/// The status, or `None` when time is up.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// How much of each stream was kept.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Printed {
    stdout: usize,
    stderr: usize,
}

/// One stream, as far as it was read.
#[derive(Debug, Clone, Default)]
struct Captured {
    inner: Arc<Mutex<(Vec<u8>, u64)>>,
}

impl Captured {
    fn length(&self) -> usize {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.len()
    }

    fn text(&self) -> String {
        self.text_from(0)
    }

    fn text_from(&self, start: usize) -> String {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = inner.0.get(start..).unwrap_or_default();
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if inner.1 > 0 {
            text += &format!("\n[{} more bytes were not kept]", inner.1);
        }
        text
    }
}

/// Reads a stream on a thread of its own. The thread ends when the stream does, even if nobody waits any more.
fn capture(stream: Option<impl Read + Send + 'static>, closed: &mpsc::Sender<()>) -> Captured {
    let captured = Captured::default();
    let Some(mut stream) = stream else {
        return captured;
    };
    let (kept, closed) = (captured.clone(), closed.clone());
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let mut inner = kept.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT.saturating_sub(inner.0.len()).min(count);
            inner.0.extend_from_slice(&buffer[..room]);
            inner.1 += (count - room) as u64;
        }
        let _ = closed.send(());
    });
    captured
}

/// By what the processes are known that a program started: any one will do, for one that leaves them all behind wants
/// to stay.
#[derive(Debug)]
struct Signs {
    /// A variable that they inherit, unless somebody cleans their environment.
    mark: Vec<u8>,
    /// The group that the program was started in.
    group: u32,
    /// The pipes that it prints to.
    pipes: Vec<PathBuf>,
}

impl Signs {
    fn are_of(&self, process: u32) -> bool {
        if process == std::process::id() {
            return false; // It reads those pipes.
        }
        // A zombie has no environment any more.
        let marked = fs::read(format!("/proc/{process}/environ")).is_ok_and(|environment| {
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|variable| variable == self.mark)
        });
        marked || self.is_in_group(process) || self.prints_to_us(process)
    }

    /// The program itself is gone: a process that has its number is another one, with another group.
    fn is_in_group(&self, process: u32) -> bool {
        if process == self.group {
            return false;
        }
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything; after it come state, parent and group.
        let Some((_, rest)) = stat.rsplit_once(')') else {
            return false;
        };
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next().unwrap_or("Z");
        let group = fields.nth(1).and_then(|group| group.parse().ok());
        state != "Z" && group == Some(self.group)
    }

    fn prints_to_us(&self, process: u32) -> bool {
        let Ok(open) = fs::read_dir(format!("/proc/{process}/fd")) else {
            return false;
        };
        open.filter_map(Result::ok).any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| self.pipes.contains(&target))
                && self.may_write(process, &file.file_name().to_string_lossy())
        })
    }

    /// A child of ours that is just being started holds the other end for a moment.
    fn may_write(&self, process: u32, file: &str) -> bool {
        const WRITE_ONLY: u32 = 1;
        const ACCESS: u32 = 3;
        let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{file}")).unwrap_or_default();
        let flags = info
            .lines()
            .find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        flags.is_some_and(|flags| flags & ACCESS == WRITE_ONLY)
    }
}

/// Kills every process that shows one of the signs, and says what they were. Looks again for those that were born in
/// between.
fn end_descendants(signs: &Signs) -> Vec<String> {
    let mut ended = Vec::new();
    let mut known = Vec::new();
    for _ in 0..10 {
        let found = descendants(signs);
        if found.is_empty() {
            break;
        }
        for (process, name) in found {
            kill_process(process);
            // One that is dying shows its group a little longer, and no command line any more.
            if known.contains(&process) {
                continue;
            }
            known.push(process);
            if !name.is_empty() && !ended.contains(&name) {
                ended.push(name);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    ended
}

fn descendants(signs: &Signs) -> Vec<(u32, String)> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let number = |name: OsString| name.to_str()?.parse::<u32>().ok();
    processes
        .filter_map(|entry| number(entry.ok()?.file_name()))
        .filter(|process| signs.are_of(*process))
        .map(|process| {
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let name = String::from_utf8_lossy(&line).replace('\0', " ");
            (process, name.trim_end().to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn shell(script: &str, limit: Duration) -> Finished {
        let invocation = Invocation {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            environment: vec![("GREETING".into(), "hello".into())],
            working_directory: "/".into(),
            time_limit: limit,
        };
        run(&invocation, None).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(300);

    #[test]
    fn output_and_exit_code_are_passed_on() {
        let finished = shell("echo $GREETING; echo oh >&2; exit 3", LONG);
        assert_eq!(finished.ended, Ended::Exit(3));
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr.as_str()),
            ("hello\n", "oh\n")
        );
        assert!(finished.left_behind.is_empty());
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let finished = shell("sleep 1000 & sleep 1000", SHORT);
        assert_eq!(finished.ended, Ended::TimeLimit(SHORT));
        assert!(finished.duration < LONG);
    }

    #[test]
    fn a_program_that_takes_no_term_is_ended_too() {
        let finished = shell("trap '' TERM INT HUP; while :; do sleep 1; done", SHORT);
        assert_eq!(finished.ended, Ended::TimeLimit(SHORT));
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let finished = shell(
            "yes 0123456789012345678901234567890123456789 | head -c 3000000",
            LONG,
        );
        assert_eq!(finished.ended, Ended::Exit(0));
        assert!(finished.stdout.len() < KEPT + 100);
        assert!(finished.stdout.ends_with("more bytes were not kept]"));
    }

    #[test]
    fn a_daemon_that_holds_the_streams_is_found() {
        let finished = shell("setsid sleep 1234 & echo started", LONG);
        assert_eq!(finished.ended, Ended::Exit(0));
        assert_eq!(finished.stdout, "started\n");
        // On a busy machine it is still the shell's copy, or setsid(1), and not yet the program that they run.
        let found = finished.left_behind;
        assert!(
            found.iter().any(|daemon| daemon.contains("sleep 1234")),
            "{found:?}"
        );
    }

    #[test]
    fn a_flood_without_an_end_is_cut_and_ended() {
        let finished = shell("yes & exec cat /dev/zero", SHORT);
        assert_eq!(finished.ended, Ended::TimeLimit(SHORT));
        assert!(finished.stdout.len() < KEPT * 3 + 100);
        assert!(finished.duration < LONG);
    }

    #[test]
    fn closed_streams_are_no_end() {
        let finished = shell("exec >&- 2>&-; sleep 1000", SHORT);
        assert_eq!(finished.ended, Ended::TimeLimit(SHORT));
    }

    #[rstest]
    #[case::in_its_group("env -i sleep 1321 >/dev/null 2>&1 & echo started", "sleep 1321")]
    #[case::with_its_streams("env -i setsid sleep 1322 & echo started", "sleep 1322")]
    fn orphans_without_the_mark_are_found(#[case] script: &str, #[case] name: &str) {
        let finished = shell(script, LONG);
        assert_eq!(finished.ended, Ended::Exit(0));
        assert_eq!(finished.stdout, "started\n");
        assert!(
            finished.left_behind.iter().any(|line| line.contains(name)),
            "{:?}",
            finished.left_behind
        );
    }

    #[test]
    fn garbage_is_kept_as_far_as_it_is_text() {
        let finished = shell("printf 'a\\377b\\000c'", LONG);
        assert_eq!(finished.stdout, "a\u{fffd}b\0c");
    }

    #[test]
    fn a_signal_is_named() {
        let finished = shell("kill -SEGV $$", LONG);
        assert_eq!(finished.ended, Ended::Signal(11));
    }
}
