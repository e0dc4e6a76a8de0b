//! Which front end shows a program its `/dev/mei0`, and why that one.
//!
//! Three back ends exist; each is tried for real, in the order of their faithfulness, and the first that works
//! is taken. Whoever asks for one by name gets that one or an error: there is no silent fallback.
//!
//! | back end  | the program sees                          | needs                                              |
//! |-----------|-------------------------------------------|----------------------------------------------------|
//! | `cuse`    | a character device                        | root, `/dev/cuse` (`CONFIG_CUSE`)                  |
//! | `fuse`    | a file that acts as the device            | `/dev/fuse`, and root or user namespaces           |
//! | `seccomp` | a socket that is answered as the device   | no privilege; Linux 5.14, Yama `ptrace_scope` <= 1 |

use std::fmt;
use std::io;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;

use super::fuse;
use super::inject::Injector;
use super::launch::Running;
use super::seccomp;
use super::shared::SharedDevice;

/// One way to show a program a `/dev/mei0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// A character device in user space.
    Cuse,
    /// A FUSE file mounted over `/dev/mei0` in a mount namespace of the program's own.
    Fuse,
    /// A seccomp filter whose notifications are answered by the supervisor.
    Seccomp,
}

impl Backend {
    /// In the order of preference: the one that differs least from the real device comes first.
    pub const ALL: [Self; 3] = [Self::Cuse, Self::Fuse, Self::Seccomp];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cuse => "cuse",
            Self::Fuse => "fuse",
            Self::Seccomp => "seccomp",
        }
    }

    /// Tries whether this process can use it, with the real system calls.
    pub fn probe(self) -> Result<(), Unavailable> {
        match self {
            Self::Cuse => fuse::cuse::probe(),
            Self::Fuse => fuse::probe(),
            Self::Seccomp => seccomp::probe(),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no back end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no back end; known: cuse, fuse, seccomp")]
pub struct UnknownBackend(String);

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == text)
            .ok_or_else(|| UnknownBackend(text.to_owned()))
    }
}

/// How the program is to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The program shall believe that it is root (`getuid` and `geteuid` say 0), because agents refuse to
    /// start otherwise.
    pub as_root: bool,
    /// Programs that look before they open (`stat`, `access`, `ls`) shall find the node too. The back ends
    /// that put a real node there do so anyway; for seccomp every such call of the program becomes slower.
    pub look: bool,
}

impl Default for Options {
    /// Programs that look first are common, and looking costs them little.
    fn default() -> Self {
        Self {
            as_root: false,
            look: true,
        }
    }
}

/// Why a back end cannot be used here, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {remedy}")]
pub struct Unavailable {
    /// What was tried and how it failed, a lower-case fragment.
    pub reason: String,
    /// What the user can do, a lower-case fragment.
    pub remedy: String,
}

/// The back end that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub backend: Backend,
    /// One line: why this one.
    pub why: String,
    /// Better ones that do not work here.
    pub passed_over: Vec<(Backend, Unavailable)>,
}

/// No back end can be used, or not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NoBackend {
    /// What was asked for; `None` when any would do.
    pub wanted: Option<Backend>,
    /// Everything that was tried, in order.
    pub tried: Vec<(Backend, Unavailable)>,
}

impl fmt::Display for NoBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wanted {
            Some(wanted) => write!(f, "the {wanted} back end cannot be used here")?,
            None => write!(f, "no back end can show programs a /dev/mei0 here")?,
        }
        for (backend, Unavailable { reason, remedy }) in &self.tried {
            write!(f, "\n  {backend}: {reason}\n    {remedy}")?;
        }
        Ok(())
    }
}

/// Finds the best back end that works, or says of the wanted one whether it works.
pub fn choose(wanted: Option<Backend>) -> Result<Choice, NoBackend> {
    choose_by(wanted, Backend::probe)
}

fn choose_by(
    wanted: Option<Backend>,
    mut probe: impl FnMut(Backend) -> Result<(), Unavailable>,
) -> Result<Choice, NoBackend> {
    let mut tried = Vec::new();
    for backend in Backend::ALL {
        if wanted.is_some_and(|wanted| wanted != backend) {
            continue;
        }
        match probe(backend) {
            Ok(()) => {
                let why = match (wanted, tried.is_empty()) {
                    (Some(_), _) => "it was asked for".to_owned(),
                    (None, true) => "it is the most faithful one".to_owned(),
                    (None, false) => {
                        let names: Vec<_> =
                            tried.iter().map(|(b, _): &(Backend, _)| b.name()).collect();
                        format!("it works here, unlike {}", names.join(" and "))
                    }
                };
                return Ok(Choice {
                    backend,
                    why,
                    passed_over: tried,
                });
            }
            Err(unavailable) => tried.push((backend, unavailable)),
        }
    }
    Err(NoBackend { wanted, tried })
}

/// Starts a program whose `/dev/mei0` is the device.
///
/// The program dies when the calling thread ends, so keep that thread.
pub fn run(
    device: &SharedDevice,
    command: Command,
    backend: Backend,
    options: &Options,
) -> io::Result<Running> {
    run_with(device, command, backend, options, None)
}

/// The same, and every program that begins under it is looked at by the injector first.
pub fn run_with(
    device: &SharedDevice,
    command: Command,
    backend: Backend,
    options: &Options,
    injector: Option<Arc<Injector>>,
) -> io::Result<Running> {
    match backend {
        Backend::Cuse => fuse::cuse::launch(command, device, injector),
        Backend::Fuse => fuse::launch_with(
            command,
            device,
            fuse::Options {
                as_root: options.as_root,
                ..fuse::Options::default()
            },
            injector,
        ),
        Backend::Seccomp => seccomp::run(device, command, options, injector),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn only(working: &[Backend]) -> impl FnMut(Backend) -> Result<(), Unavailable> + '_ {
        |backend| match working.contains(&backend) {
            true => Ok(()),
            false => Err(Unavailable {
                reason: format!("{backend} is not there"),
                remedy: "do something".into(),
            }),
        }
    }

    #[rstest]
    #[case(&[Backend::Cuse, Backend::Fuse, Backend::Seccomp], Backend::Cuse)]
    #[case(&[Backend::Fuse, Backend::Seccomp], Backend::Fuse)]
    #[case(&[Backend::Seccomp], Backend::Seccomp)]
    fn the_most_faithful_that_works_is_taken(#[case] working: &[Backend], #[case] want: Backend) {
        let choice = choose_by(None, only(working)).unwrap();
        assert_eq!(choice.backend, want);
        assert_eq!(choice.passed_over.len(), 3 - working.len());
    }

    #[test]
    fn a_wanted_one_is_taken_or_refused_but_never_replaced() {
        let all_but_fuse = [Backend::Cuse, Backend::Seccomp];
        let refused = choose_by(Some(Backend::Fuse), only(&all_but_fuse)).unwrap_err();
        assert_eq!(refused.tried.len(), 1);
        let taken = choose_by(Some(Backend::Seccomp), only(&all_but_fuse)).unwrap();
        assert_eq!(taken.backend, Backend::Seccomp);
        assert_eq!(taken.why, "it was asked for");
    }

    #[test]
    fn without_any_every_candidate_says_why_and_what_to_do() {
        let error = choose_by(None, only(&[])).unwrap_err();
        insta::assert_snapshot!(error, @r"
        no back end can show programs a /dev/mei0 here
          cuse: cuse is not there
            do something
          fuse: fuse is not there
            do something
          seccomp: seccomp is not there
            do something
        ");
    }

    #[test]
    fn names_are_read_back() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        assert!("auto".parse::<Backend>().is_err());
    }
}
