//! A machine apart: network and mounts of its own. MeshCentral listens on every interface, so it gets a network in
//! which there is only loopback; and MeshAgent reads SMBIOS with a program at a fixed path, which is put there.
//!
//! Every program runs in a process namespace of its own too: when the one process that we know ends, the kernel
//! ends everything that it left behind.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Set by users of proxies. MeshCentral would install a package to go through one.
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Makes the namespaces what they shall be, says so, and keeps them until standard input ends: with us, at the latest.
const KEEPER: &str = r#"
ip link set lo up || exit 1
if [ -e /usr/sbin/dmidecode ]; then
    mount --bind sbin/dmidecode /usr/sbin/dmidecode || exit 1
else
    mount -t overlay overlay -o lowerdir=sbin:/usr/sbin /usr/sbin || exit 1
fi
echo ready
exec cat >/dev/null
"#;

/// The namespaces, and the process that keeps them.
#[derive(Debug)]
pub(super) struct Namespace {
    keeper: Child,
    /// Without root the namespaces belong to a user namespace, which has to be entered first.
    of_users: bool,
}

impl Namespace {
    /// `folder` gets a folder `sbin` with what shall be seen at `/usr/sbin`.
    pub(super) fn new(folder: &Path, dmidecode: &Path) -> Result<Self> {
        let place = folder.join("sbin");
        fs::create_dir_all(&place)?;
        fs::copy(dmidecode, place.join("dmidecode"))?;
        let of_users = !is_root()?;
        let mut command = Command::new("unshare");
        if of_users {
            command.args(["--user", "--map-root-user"]);
        }
        let mut keeper = command
            .args(["--net", "--mount", "sh", "-c", KEEPER])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("namespace.log"))?)
            .spawn()
            .context("unshare(1) could not be started")?;
        let mut said = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let namespace = Self { keeper, of_users };
        ensure!(
            said.trim() == "ready",
            "no namespaces of network and mounts here:\n{}",
            fs::read_to_string(folder.join("namespace.log"))?
        );
        Ok(namespace)
    }

    /// Starts a program inside. What it prints goes to a file; it is ended when the value is dropped.
    pub(super) fn start(
        &self,
        words: &[&OsStr],
        variables: &[(&str, &OsStr)],
        folder: &Path,
        log: &Path,
    ) -> Result<Program> {
        let output = File::create(log).with_context(|| log.display().to_string())?;
        let mut command = Command::new("nsenter");
        command
            .arg("--target")
            .arg(self.keeper.id().to_string())
            .args(["--net", "--mount"]);
        if self.of_users {
            command.args(["--user", "--preserve-credentials"]);
        }
        // All of these become one another; the last ends with us, and takes everything inside along.
        command.args(["setpriv", "--pdeathsig", "KILL"]);
        command.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg("env").arg("--chdir").arg(folder);
        for proxy in PROXIES {
            command.arg("-u").arg(proxy);
        }
        for (name, value) in variables {
            let mut pair = OsString::from(name);
            pair.push("=");
            pair.push(value);
            command.arg(pair);
        }
        let child = command
            .args(words)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("nsenter(1) could not be started")?;
        Ok(Program {
            child,
            log: log.to_owned(),
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// A program in the namespace.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    log: PathBuf,
}

const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Program {
    /// Waits for the end, and is an error when it does not come in time.
    pub(super) fn finish(&mut self, seconds: u64) -> Result<Option<i32>> {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            if Instant::now() >= end {
                bail!(
                    "did not end within {seconds} s; it printed:\n{}",
                    self.tail()
                );
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Everything printed so far.
    pub(super) fn printed(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }

    /// Waits until the program has printed one of these texts behind `from`, and says which; or why not. It does not
    /// wait for a program that has ended, nor for one that `partner` has left alone.
    pub(super) fn prints(
        &mut self,
        from: usize,
        texts: &[&str],
        seconds: u64,
        mut partner: Option<&mut Program>,
    ) -> Result<usize> {
        let mut end = Instant::now() + Duration::from_secs(seconds);
        loop {
            let ended = self.child.try_wait()?;
            let printed = self.printed();
            let new = printed.get(from..).unwrap_or_default();
            let first = texts
                .iter()
                .enumerate()
                .filter_map(|(which, text)| Some((new.find(text)?, which)))
                .min();
            if let Some((_, which)) = first {
                return Ok(which);
            }
            if let Some(status) = ended {
                bail!("ended with {status}; it printed:\n{}", self.tail());
            }
            if Instant::now() >= end {
                bail!("none of {texts:?} within {seconds} s");
            }
            if let Some(program) = partner.as_mut()
                && program.child.try_wait()?.is_some()
            {
                // What it caused before it went may still be on the way.
                end = end.min(Instant::now() + Duration::from_secs(2));
                partner = None;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    pub(super) fn tail(&self) -> String {
        last_lines(&self.printed(), 25)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // `unshare --kill-child` takes everything inside along.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}
