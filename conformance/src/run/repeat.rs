//! The same run several times: what wavers is said, not averaged away.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::verdict::{Repeats, Run, Verdict};

/// Does a run `times` times. The result is the worst of them, with what was not the same each time.
///
/// `exact` also compares what the roles found out: in virtual time the same seed gives the same facts, always. A real
/// program may well find another address the next time.
pub fn repeat(times: NonZeroU32, exact: bool, mut once: impl FnMut() -> Run) -> Run {
    let mut worst = once();
    if times == NonZeroU32::MIN {
        return worst;
    }
    let mut repeats = Repeats {
        times: times.get(),
        verdicts: BTreeMap::from([(worst.verdict, 1)]),
        differences: Vec::new(),
    };
    for _ in 1..times.get() {
        let run = once();
        *repeats.verdicts.entry(run.verdict).or_default() += 1;
        for difference in differences(&worst, &run, exact) {
            if !repeats.differences.contains(&difference) {
                repeats.differences.push(difference);
            }
        }
        if badness(run.verdict) > badness(worst.verdict) {
            worst = run;
        }
    }
    if !repeats.differences.is_empty() {
        let verdicts: Vec<String> = repeats
            .verdicts
            .iter()
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        let told = format!(
            "not the same each time ({}): {}",
            verdicts.join(", "),
            repeats.differences.join("; ")
        );
        worst.reason = Some(match worst.reason.take() {
            Some(reason) => format!("{reason}; {told}"),
            None => told,
        });
        // Whatever it shows, it does not show it twice.
        if worst.verdict == Verdict::Pass {
            worst.verdict = Verdict::Inconclusive;
        }
    }
    worst.repeats = Some(repeats);
    worst
}

fn differences(one: &Run, other: &Run, exact: bool) -> Vec<String> {
    let mut found = Vec::new();
    if one.verdict != other.verdict {
        let red = |run: &Run| {
            run.failed_checks()
                .map(|check| format!("line {}: {}", check.place.line, check.about))
                .collect::<Vec<_>>()
        };
        let red = [red(one), red(other)].concat();
        found.push(match red.first() {
            Some(first) => format!("the verdict, by {first}"),
            None => "the verdict".to_owned(),
        });
    }
    if exact && one.verdict == other.verdict {
        let names = one.facts.keys().chain(other.facts.keys());
        let differs = names.filter(|fact| one.facts.get(*fact) != other.facts.get(*fact));
        let mut names: Vec<String> = differs.map(|fact| format!("`{}`", fact.name())).collect();
        names.sort();
        names.dedup();
        found.extend(names);
    }
    found
}

/// Which of two verdicts calls for more attention.
const fn badness(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NotApplicable => 0,
        Verdict::NotImplemented => 1,
        Verdict::Pass => 2,
        Verdict::Warn => 3,
        Verdict::Inconclusive => 4,
        Verdict::Fail => 5,
        Verdict::ConfigurationError => 6,
    }
}
