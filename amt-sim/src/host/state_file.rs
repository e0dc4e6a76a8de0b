//! The device's memory in a file that a killed process never leaves half written.
//!
//! Written to a file beside it, flushed to the disk, and renamed over it: a reader sees the old memory or the
//! new one. A lock file keeps two devices from sharing one memory.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::device::State;

/// A state file that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// Held for its lock only; the operating system releases it even when the process is killed.
    _lock: Arc<File>,
}

/// A folder of state files, one a device, that belongs to this process until it and its files are dropped: one lock
/// for all of them.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    lock: Arc<File>,
}

impl StateFolder {
    /// Takes the folder for this process, and makes it where there is none.
    pub fn open(path: &Path) -> Result<Self, StateFileError> {
        fs::create_dir_all(path).map_err(|error| StateFileError::Io {
            path: path.to_owned(),
            error,
        })?;
        let lock = take_lock(path, path.join(".lock"))?;
        Ok(Self {
            path: path.to_owned(),
            lock: Arc::new(lock),
        })
    }

    /// One device's file.
    pub fn file(&self, name: &str) -> StateFile {
        StateFile {
            path: self.path.join(name),
            _lock: Arc::clone(&self.lock),
        }
    }
}

/// `lock_path` is locked for `path`.
fn take_lock(path: &Path, lock_path: PathBuf) -> Result<File, StateFileError> {
    let open = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path);
    let locked = open.map_err(TryLockError::Error).and_then(|lock| {
        lock.try_lock()?;
        Ok(lock)
    });
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => StateFileError::InUse {
            path: path.to_owned(),
        },
        TryLockError::Error(error) => StateFileError::Io {
            path: lock_path,
            error,
        },
    })
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateFileError {
    #[error(
        "{path}: another process uses this state file; stop it first, or give each device its own file"
    )]
    InUse { path: PathBuf },
    #[error(
        "{path}: {why}; the file is left as it is, move it away to start from a factory device"
    )]
    Unreadable { path: PathBuf, why: String },
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

impl StateFile {
    /// Takes the file for this process; it need not exist yet.
    pub fn open(path: &Path) -> Result<Self, StateFileError> {
        let lock = take_lock(path, beside(path, ".lock"))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: Arc::new(lock),
        })
    }

    /// The memory in the file; `None` when there is no file yet.
    pub fn load(&self) -> Result<Option<State>, StateFileError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        match serde_json::from_str::<State>(&text) {
            Ok(state) => Ok(Some(state)),
            Err(error) => Err(StateFileError::Unreadable {
                path: self.path.clone(),
                why: format!("not a device's memory ({error})"),
            }),
        }
    }

    /// Replaces the memory in the file, all of it or nothing.
    pub fn save(&self, state: &State) -> Result<(), StateFileError> {
        self.replace(state).map_err(|error| self.failed(error))
    }

    fn replace(&self, state: &State) -> io::Result<()> {
        let text = serde_json::to_string_pretty(state).map_err(io::Error::other)?;
        let new = beside(&self.path, ".new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // The rename itself must reach the disk too, or a power cut brings the old name back.
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }

    fn failed(&self, error: io::Error) -> StateFileError {
        StateFileError::Io {
            path: self.path.clone(),
            error,
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Profile, Seed};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("amt-sim-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn some_state() -> State {
        State::factory(&Profile::builtin("tiger-lake-15").unwrap(), Seed(3)).unwrap()
    }

    #[test]
    fn memory_reads_back() {
        let path = folder("state").join("device.json");
        let file = StateFile::open(&path).unwrap();
        assert!(file.load().unwrap().is_none());
        file.save(&some_state()).unwrap();
        assert_eq!(file.load().unwrap(), Some(some_state()));
    }

    #[test]
    fn two_devices_never_share_one_memory() {
        let path = folder("state-lock").join("device.json");
        let first = StateFile::open(&path).unwrap();
        assert!(matches!(
            StateFile::open(&path),
            Err(StateFileError::InUse { .. })
        ));
        drop(first);
        StateFile::open(&path).unwrap();
    }

    #[test]
    fn a_folder_is_one_process_own() {
        let path = folder("state-folder");
        let states = StateFolder::open(&path).unwrap();
        let file = states.file("seed-3.json");
        file.save(&some_state()).unwrap();
        drop(states);
        // The file holds on to the folder.
        assert!(matches!(
            StateFolder::open(&path),
            Err(StateFileError::InUse { .. })
        ));
        drop(file);
        let states = StateFolder::open(&path).unwrap();
        assert_eq!(
            states.file("seed-3.json").load().unwrap(),
            Some(some_state())
        );
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_torn_write_beside_the_file_changes_nothing() {
        let path = folder("state-torn").join("device.json");
        let file = StateFile::open(&path).unwrap();
        file.save(&some_state()).unwrap();
        fs::write(beside(&path, ".new"), "{\"version\":").unwrap();
        assert_eq!(file.load().unwrap(), Some(some_state()));
        file.save(&some_state()).unwrap();
    }

    #[test]
    fn what_is_no_memory_is_refused_and_kept() {
        let path = folder("state-bad").join("device.json");
        fs::write(&path, "hello").unwrap();
        let file = StateFile::open(&path).unwrap();
        assert!(matches!(
            file.load(),
            Err(StateFileError::Unreadable { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
    }
}
