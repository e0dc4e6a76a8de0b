//! The MEI clients on a UNIX socket, for programs that know they talk to a simulator.
//!
//! One connection is one open descriptor of `/dev/mei0`, connected to one client. See `docs/mei-socket.md` for the
//! protocol and [`crate::host::port::SocketPort`] for a client.

pub(crate) mod seqpacket;
mod server;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod wire;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use self::server::Server;
use super::shared::SharedDevice;
use super::worker::Worker;

/// A device's MEI socket. It is served until this is stopped or dropped, and the file goes away with it.
#[derive(Debug)]
pub struct MeiSocket {
    path: PathBuf,
    worker: Worker,
}

/// Why there is no socket: always a matter of the path or of what lies there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    #[error("{} is served by another program; stop that one, or take another path", .0.display())]
    InUse(PathBuf),
    #[error("{} is there and no socket; it is left alone, take another path", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot listen at {}: {source}", path.display())]
    Listen { path: PathBuf, source: io::Error },
}

impl MeiSocket {
    /// Listens at a path; the file has mode 0600. A socket that a dead program left there is replaced.
    pub fn open(path: impl Into<PathBuf>, device: &SharedDevice) -> Result<Self, SocketError> {
        let path = path.into();
        let file = SocketFile::listen(&path)?;
        let failed = |source| SocketError::Listen {
            path: path.clone(),
            source,
        };
        let server = Server::new(file, device).map_err(failed)?;
        let worker = Worker::start("mei-socket", "the MEI socket's thread", move |stop| {
            server.run(stop)
        })
        .map_err(failed)?;
        Ok(Self { path, worker })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends every connection and removes the file.
    pub fn stop(self) -> io::Result<()> {
        self.worker.stop()
    }
}

/// A listening socket together with its file.
#[derive(Debug)]
struct SocketFile {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode: at the end only our own file is removed, not one that somebody put there since.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn listen(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Listen {
            path: path.to_owned(),
            source,
        };
        let socket = match seqpacket::listen(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                seqpacket::listen(path).map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        Ok(Self {
            socket,
            identity: identity(path),
            path: path.to_owned(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && self.identity == identity(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// Removes the socket of a program that is gone. Two programs that do this in the same moment can both go on;
/// the one whose file was removed is then out of reach, which is what anybody who removes a socket gets.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Listen {
        path: path.to_owned(),
        source,
    };
    if !fs::symlink_metadata(path)
        .map_err(failed)?
        .file_type()
        .is_socket()
    {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match seqpacket::connect(path) {
        // Nobody has it open any more.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // A full backlog or another type of socket: somebody is there all the same.
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error)
            if error.kind() == io::ErrorKind::WouldBlock
                || error.raw_os_error() == Some(libc::EPROTOTYPE) =>
        {
            Err(SocketError::InUse(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}
