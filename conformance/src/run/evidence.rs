//! What is kept of a run beside its verdict, and what is taken out of it.

use amt_sim::capture::Capture;
use amt_sim::device::Recording;

use super::secrets::{Secrets, redact};
use super::sequence::{Detail, Epoch, Sequence};
use super::verdict::{Run, Verdict};

/// What was seen of a run and is not for every report.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    pub recording: Recording,
    pub epoch: Epoch,
    pub secrets: Secrets,
    /// The run as a pcapng file. It holds everything that went by, also what is secret.
    pub pcapng: Option<Vec<u8>>,
    /// [`Evidence::settle`] has seen it.
    pub(super) settled: bool,
}

/// What a report shall hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Keep the decoded wire of runs that passed, too.
    pub all: bool,
    /// Leave passwords and keys where they stand.
    pub show_secrets: bool,
    /// Make a pcapng file of each run. Secrets of TLS have to be recorded for it to be readable.
    pub capture: bool,
    /// Record every occasion for a fault.
    pub chances: bool,
}

impl Evidence {
    /// Draws the run, makes what was asked for, takes out what is secret, and lets go of the rest. The second time it
    /// does nothing.
    pub fn settle(&self, run: &mut Run) {
        if std::mem::replace(&mut run.captured.settled, true) {
            return;
        }
        let captured = &mut run.captured;
        if self.capture && !run.journal.is_empty() {
            let mut capture = Capture::new(captured.epoch.power_on);
            capture.add(&run.journal, &captured.recording);
            captured.pcapng = Some(capture.take());
        }
        let detail = match run.verdict {
            Verdict::Pass if run.known_failing.is_none() && !self.all => Detail::Names,
            _ => Detail::Wire,
        };
        if !run.journal.is_empty() {
            run.sequence = Some(Sequence::of(
                &run.journal,
                &captured.recording,
                captured.epoch,
                detail,
            ));
        }
        if !self.show_secrets {
            let mut secrets = std::mem::take(&mut captured.secrets);
            secrets.read(&run.journal, &captured.recording);
            for process in &run.processes {
                secrets.watch(process);
            }
            redact(run, &secrets);
        }
        run.captured.recording = Recording::default();
        run.captured.secrets = Secrets::default();
    }
}
