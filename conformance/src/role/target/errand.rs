//! A console at work on one step: a program that runs to its end, or a service that is asked by HTTP.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::external::process;
use super::process::{Ended, Invocation, Live};
use super::telling::Call;
use super::{CommandLine, Target};
use crate::role::{Ending, Process};
use crate::scenario::Outcome;
use crate::scenario::placeholder::Values;

/// A console at work on one step.
pub(super) enum Work {
    Runs(Live, Invocation),
    Asked {
        call: Call,
        since: Instant,
        answer: Receiver<Result<String, String>>,
        got: Option<Result<String, String>>,
    },
}

/// Whether it is done with a step.
pub(super) enum Over {
    No,
    /// It has answered; what it does may follow.
    Answered,
    Ended,
}

/// What came of it.
pub(super) struct Done {
    pub(super) ending: Ending,
    pub(super) remark: String,
    pub(super) text: String,
    pub(super) process: Process,
}

impl Work {
    pub(super) fn run(
        target: &Target,
        program: &Path,
        command: &CommandLine,
        values: Values<'_>,
    ) -> Result<Self, String> {
        let (live, invocation) = target.start(program, &command.args, values)?;
        Ok(Self::Runs(live, invocation))
    }

    pub(super) fn asked(call: Call) -> Self {
        let (sender, answer) = mpsc::channel();
        let asked = call.clone();
        // Nobody listens any more to one that comes too late.
        thread::spawn(move || sender.send(asked.make()));
        Self::Asked {
            call,
            since: Instant::now(),
            answer,
            got: None,
        }
    }

    pub(super) fn is_over(&mut self) -> Result<Over, String> {
        Ok(match self {
            Self::Runs(live, _) => match live.ended().map_err(|error| error.to_string())? {
                Some(_) => Over::Ended,
                None => Over::No,
            },
            Self::Asked { answer, got, .. } => {
                *got = got.take().or_else(|| answer.try_recv().ok());
                match got {
                    Some(Ok(_)) => Over::Answered,
                    Some(Err(_)) => Over::Ended,
                    None => Over::No,
                }
            }
        })
    }

    /// Its step is over, or its time is up.
    pub(super) fn finish(
        self,
        target: &Target,
        command: &CommandLine,
        values: Values<'_>,
    ) -> Result<Done, String> {
        let limit = target.time_limit;
        match self {
            Self::Runs(mut live, invocation) => {
                let ended = live.ended().map_err(|error| error.to_string())?;
                let mut finished = live
                    .finish(Duration::ZERO)
                    .map_err(|error| error.to_string())?;
                if ended.is_none() {
                    finished.ended = Ended::TimeLimit(limit);
                }
                Ok(Done {
                    ending: target.ending(&finished),
                    remark: finished.remark(),
                    text: command.printed(&finished, values),
                    process: process(&invocation, finished),
                })
            }
            Self::Asked {
                call, since, got, ..
            } => {
                let (ending, remark, text) = match got {
                    Some(Ok(text)) => (Outcome::Done, "answered".to_owned(), text),
                    Some(Err(why)) => (Outcome::Failed, why, String::new()),
                    None => {
                        let remark = Ended::TimeLimit(limit).to_string();
                        (Outcome::Hung, remark, String::new())
                    }
                };
                let duration = since.elapsed().as_millis();
                Ok(Done {
                    ending: Ending::Outcome(ending),
                    process: Process {
                        command: vec![call.method, call.url],
                        ended: remark.clone(),
                        duration_ms: u64::try_from(duration).unwrap_or(u64::MAX),
                        stdout: text.clone(),
                        stderr: String::new(),
                        left_behind: Vec::new(),
                    },
                    remark,
                    text,
                })
            }
        }
    }
}
