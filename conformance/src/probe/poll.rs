//! `poll in out`: what `poll(2)` shows on a node.

use amt_sim::Readiness;

use super::player;
use super::script::{Wrong, unknown};

/// The words of a `poll` line.
const WORDS: [&str; 4] = ["in", "out", "error", "nothing"];

/// What `poll(2)` must show, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled(Readiness);

impl Polled {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let mut shown = Readiness::default();
        for word in text.split_whitespace() {
            match word {
                "in" => shown.readable = true,
                "out" => shown.writable = true,
                "error" => shown.error = true,
                "nothing" => {}
                _ => return Err(unknown(word, "readiness is called", &WORDS)),
            }
        }
        let nothing = shown == Readiness::default();
        match text.split_whitespace().any(|word| word == "nothing") == nothing {
            true => Ok(Self(shown)),
            false => Err(
                "write `poll in`, `poll out`, `poll in out`, `poll error` or `poll nothing`"
                    .to_owned()
                    .into(),
            ),
        }
    }

    pub(super) fn judge(self, shown: Readiness) -> Result<(), player::Wrong> {
        match self.0 == shown {
            true => Ok(()),
            false => Err(player::wrong(&describe(self.0), &describe(shown))),
        }
    }
}

fn describe(shown: Readiness) -> String {
    let all = [
        (shown.readable, "in"),
        (shown.writable, "out"),
        (shown.error, "error"),
    ];
    let words: Vec<&str> = all
        .iter()
        .filter_map(|(is, word)| is.then_some(*word))
        .collect();
    match words.as_slice() {
        [] => "poll nothing".to_owned(),
        words => format!("poll {}", words.join(" ")),
    }
}
