//! Programs that look before they open: `stat`, `access`, `readlink`, and `fstat` on what they opened.

use super::call::Layout;
use super::memory::{self, Segment};
use super::node::Owner;
use super::notify::{Answer, Notification};
use super::process;
use super::server::{Outcome, Server};

impl Server {
    pub(super) fn status(
        &mut self,
        n: &Notification,
        directory: i32,
        path: Option<u64>,
        to: u64,
        layout: Layout,
        empty_path: bool,
    ) -> Outcome {
        let meant = match path {
            Some(path) if !empty_path => self.is_meant(n, directory, path),
            // An empty path stands for the descriptor itself.
            Some(path) => match memory::read_path(n.tid, path) {
                Ok(path) if path.is_empty() => self.files.find(n.tid, directory).is_some(),
                // Since Linux 6.11 no path at all means the same.
                Err(_) if path == 0 => self.files.find(n.tid, directory).is_some(),
                Ok(path) => self.device.is_some() && self.node.is_meant(n.tid, directory, &path),
                Err(_) => false,
            },
            None => self.files.find(n.tid, directory).is_some(),
        };
        if !meant {
            return Answer::Continue.into();
        }
        let bytes = self.node.status(layout, self.owner(n.tid));
        if !self.listener.is_waiting(n.id) {
            return Outcome::Settled;
        }
        let to = [Segment {
            address: to,
            length: bytes.len(),
        }];
        match memory::write(n.tid, &to, &bytes) {
            Ok(()) => Answer::Value(0).into(),
            Err(_) => Answer::Error(libc::EFAULT).into(),
        }
    }

    pub(super) fn access(
        &mut self,
        n: &Notification,
        directory: i32,
        path: u64,
        mode: i32,
    ) -> Outcome {
        if !self.is_meant(n, directory, path) {
            return Answer::Continue.into();
        }
        match mode {
            // Nobody may execute it, not even root.
            _ if mode & libc::X_OK != 0 => Answer::Error(libc::EACCES).into(),
            _ => Answer::Value(0).into(),
        }
    }

    pub(super) fn read_link(&mut self, n: &Notification, directory: i32, path: u64) -> Outcome {
        match self.is_meant(n, directory, path) {
            true => Answer::Error(libc::EINVAL).into(),
            false => Answer::Continue.into(),
        }
    }

    fn is_meant(&self, n: &Notification, directory: i32, path: u64) -> bool {
        self.device.is_some()
            && memory::read_path(n.tid, path)
                .is_ok_and(|path| self.node.is_meant(n.tid, directory, &path))
    }

    /// The node belongs to root, and to whoever runs the program when that is somebody else: it may open it.
    fn owner(&self, tid: i32) -> Owner {
        let (user, group) = match self.as_root {
            true => (0, 0),
            false => process::owner(tid).unwrap_or((0, 0)),
        };
        Owner { user, group }
    }
}
