//! Letting an unmodified program verify our on-die chain: the one on-die root that is compiled into it is replaced by
//! the device's, in the memory of each process, before the program's first instruction that could read it.
//!
//! ```text
//!   program                     kernel                      supervisor
//!   exec ─▶ arch_prctl ────────▶ filter: notify ──────────▶ which file is it? (cached) is an on-die root in it?
//!           (waits)                                         /proc/PID/mem: compare, write ours, read back
//!           goes on ◀────────────────────────────────────── go on
//! ```
//! It happens only when it is asked for, only to programs under this supervisor, and only in memory: the write goes to
//! private pages, and the file stays as it is. It is journaled, and a program in which it fails is ended rather than
//! left to fail for another reason.
//!
//! | file    | what it knows                                         |
//! |---------|-------------------------------------------------------|
//! | `image` | where the root is in a file                           |
//! | `probe` | whether programs may be written to here, and why not  |
//! | `watch` | hearing of programs that begin                        |
//!
//! The limits are in `docs/trust-injection.md`.

mod image;
mod probe;
pub(super) mod watch;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use self::image::{Finding, Unfit};
use super::process;
use super::shared::SharedDevice;
use crate::device::Event;
use crate::hex;
use crate::pki::odca_root;

pub use probe::probe;

/// Whose root is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The program must have one. What it starts is looked at too.
    Program,
    /// The program may be a wrapper: only what it starts is expected to have one.
    Descendants,
}

/// The root cannot be replaced: in which program, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the on-die root in {program} cannot be replaced: {why}")]
pub struct Refused {
    pub program: String,
    /// A lower-case fragment.
    pub why: String,
}

/// Looks at every program that begins.
#[derive(Debug)]
pub struct Injector {
    device: SharedDevice,
    /// Say on stderr what is done.
    speaks: bool,
    plans: Mutex<HashMap<Identity, Arc<Plan>>>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    injected: usize,
    refused: Option<Refused>,
}

/// One state of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What is to be done to the processes of one file.
#[derive(Debug)]
enum Plan {
    /// It has none that could be replaced.
    Nothing(Unfit),
    Replace {
        found: Finding,
        ours: Vec<u8>,
        /// What finding it and making ours took.
        took: Duration,
    },
    /// It has a root, for which there is no replacement.
    Refuse(String),
}

/// What was done to one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Written,
    /// By an earlier call of the same program.
    Already,
}

impl Injector {
    /// For the programs of one run. `speaks`: say on stderr what is done.
    pub fn new(device: &SharedDevice, speaks: bool) -> Self {
        Self {
            device: device.clone(),
            speaks,
            plans: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Whether it will work for this program, before anything is started.
    pub fn check(&self, program: &Path, scope: Scope) -> Result<(), Refused> {
        let refused = |why: String| Refused {
            program: program.display().to_string(),
            why,
        };
        probe().map_err(|unavailable| refused(unavailable.to_string()))?;
        if scope == Scope::Descendants {
            return Ok(());
        }
        let Some(found) = located(program) else {
            // Whoever starts it says so better.
            return Ok(());
        };
        let file = File::open(&found).map_err(|error| refused(unreadable(&error)))?;
        match &*self.plan(&file).map_err(refused)? {
            Plan::Replace { .. } => Ok(()),
            Plan::Nothing(unfit) => Err(refused(unfit.to_string())),
            Plan::Refuse(why) => Err(refused(why.clone())),
        }
    }

    /// How many processes have our root, and the first one that should have but has not.
    pub fn result(&self) -> (usize, Option<Refused>) {
        let told = lock(&self.told);
        (told.injected, told.refused.clone())
    }

    /// A program began and waits. Idempotent: some begin in more than one call.
    pub(super) fn began(&self, process: i32, still_there: impl Fn() -> bool) {
        let link = format!("/proc/{process}/exe");
        let name = std::fs::read_link(&link);
        let name = name.map_or_else(|_| link.clone(), |name| name.display().to_string());
        let attempt = || -> Result<Option<(Arc<Plan>, Done, Duration)>, String> {
            // One that cannot be looked at opens no device either (seccomp), or was checked before it began.
            let Ok(file) = File::open(&link) else {
                return Ok(None);
            };
            let plan = self.plan(&file)?;
            match &*plan {
                Plan::Nothing(_) => Ok(None),
                Plan::Refuse(why) => Err(why.clone()),
                Plan::Replace { found, ours, .. } => {
                    let started = Instant::now();
                    let done = replace(process, found, ours, still_there)?;
                    Ok(done.map(|done| (Arc::clone(&plan), done, started.elapsed())))
                }
            }
        };
        match attempt() {
            Ok(None | Some((_, Done::Already, _))) => {}
            Ok(Some((plan, Done::Written, took))) => self.tell(process, name, &plan, took),
            Err(why) => self.give_up(process, name, why),
        }
    }

    fn plan(&self, file: &File) -> Result<Arc<Plan>, String> {
        let identity = identity(file).map_err(|error| unreadable(&error))?;
        if let Some(plan) = lock(&self.plans).get(&identity) {
            return Ok(Arc::clone(plan));
        }
        let started = Instant::now();
        let (identity, bytes) = contents(file).map_err(|error| unreadable(&error))?;
        let plan = Arc::new(match image::find(&bytes) {
            Err(unfit @ Unfit::Several(_)) => Plan::Refuse(unfit.to_string()),
            // Most programs have none.
            Err(unfit) => Plan::Nothing(unfit),
            Ok(found) => match replacement(&found) {
                Ok(ours) => Plan::Replace {
                    found,
                    ours,
                    took: started.elapsed(),
                },
                Err(why) => Plan::Refuse(why),
            },
        });
        lock(&self.plans).insert(identity, Arc::clone(&plan));
        Ok(plan)
    }

    fn tell(&self, process: i32, program: String, plan: &Plan, took: Duration) {
        let Plan::Replace {
            found,
            ours,
            took: looking,
        } = plan
        else {
            return;
        };
        let hash = |der: &[u8]| hex::encode(&Sha256::digest(der));
        let (old, new) = (hash(&found.root), hash(ours));
        lock(&self.told).injected += 1;
        if self.speaks {
            eprintln!(
                "amt-sim: {program}, process {process}: on-die root {old} replaced in memory by the device's, {new} \
                 (found in {looking:.1?}, written in {took:.1?})"
            );
        }
        let event = Event::RootInjected {
            process: process.unsigned_abs(),
            program,
            places: found.addresses.len(),
            old,
            new,
        };
        self.device.with(None, |device| device.record(event));
    }

    /// A program that kept its own root would fail later on, and look as if the device were at fault.
    fn give_up(&self, process: i32, program: String, why: String) {
        process::kill_process(process.unsigned_abs());
        let refused = Refused {
            program: program.clone(),
            why: why.clone(),
        };
        lock(&self.told).refused.get_or_insert(refused);
        let event = Event::RootNotInjected {
            process: process.unsigned_abs(),
            program,
            why,
        };
        self.device.with(None, |device| device.record(event));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Our root in the length of theirs.
fn replacement(found: &Finding) -> Result<Vec<u8>, String> {
    odca_root::of_length(found.root.len()).map_err(|error| error.to_string())
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read ({error}); give this user the right to read it, or run as root")
}

/// The file that a shell would start.
fn located(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_path_buf());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| {
            let metadata = candidate.metadata();
            metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
        })
}

fn identity(file: &File) -> io::Result<Identity> {
    let metadata = file.metadata()?;
    Ok(Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

fn contents(mut file: &File) -> io::Result<(Identity, Vec<u8>)> {
    let identity = identity(file)?;
    let mut bytes = Vec::with_capacity(usize::try_from(identity.size).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok((identity, bytes))
}

/// Writes our root over theirs; `None` when the process is gone.
fn replace(
    process: i32,
    found: &Finding,
    ours: &[u8],
    still_there: impl Fn() -> bool,
) -> Result<Option<Done>, String> {
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{process}/mem"));
    let vector = std::fs::read(format!("/proc/{process}/auxv"));
    // What was opened belongs to the process that waits only if it waits still: numbers are used again.
    if !still_there() {
        return Ok(None);
    }
    let memory = memory.map_err(|error| format!("its memory cannot be opened: {error}"))?;
    let entry = vector.ok().and_then(|vector| entry(&vector));
    let entry = entry.ok_or("where it was put in memory cannot be read")?;
    let moved = entry.wrapping_sub(found.entry);
    let mut done = Done::Already;
    for address in &found.addresses {
        let at = address.wrapping_add(moved);
        let failed = |what: &str, error: io::Error| format!("its memory cannot be {what}: {error}");
        let mut there = vec![0; found.root.len()];
        let read = |there: &mut [u8]| memory.read_exact_at(there, at);
        read(&mut there).map_err(|error| failed("read", error))?;
        if there == ours {
            continue;
        }
        if there != found.root {
            return Err("its memory is not as its file".to_owned());
        }
        let written = memory.write_all_at(ours, at);
        written.map_err(|error| failed("written", error))?;
        read(&mut there).map_err(|error| failed("read", error))?;
        if there != ours {
            return Err("what was written to its memory is not there".to_owned());
        }
        done = Done::Written;
    }
    Ok(Some(done))
}

/// Where the program begins, from the words that the kernel gave it: pairs of kind and value.
fn entry(vector: &[u8]) -> Option<u64> {
    const ENTRY: u64 = 9;
    let (words, _) = vector.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    let pair = pairs
        .iter()
        .find(|[kind, _]| u64::from_le_bytes(*kind) == ENTRY)?;
    Some(u64::from_le_bytes(pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_found_among_the_words() {
        let words: [u64; 6] = [6, 4096, 9, 0x5555_5555_1000, 0, 0];
        let vector: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(entry(&vector), Some(0x5555_5555_1000));
        assert_eq!(entry(&vector[..24]), None);
        assert_eq!(entry(&vector[32..]), None);
    }

    #[test]
    fn a_bare_name_is_looked_up_and_a_path_is_not() {
        let shell = located(Path::new("sh")).unwrap();
        assert!(shell.is_absolute() && shell.ends_with("sh"));
        assert_eq!(located(Path::new("./sh")), Some(PathBuf::from("./sh")));
        assert_eq!(located(Path::new("no-such-program")), None);
    }

    #[test]
    fn a_program_without_a_root_is_refused_with_the_reason() {
        let device = crate::Device::builder("arrow-lake-19").build().unwrap();
        let injector = Injector::new(&SharedDevice::new(device), false);
        if probe().is_err() {
            return;
        }
        let refused = injector.check(Path::new("sh"), Scope::Program);
        let why = refused.unwrap_err().to_string();
        assert!(why.contains("none of the"), "{why}");
        assert_eq!(injector.check(Path::new("sh"), Scope::Descendants), Ok(()));
        assert_eq!(injector.result(), (0, None));
    }
}
