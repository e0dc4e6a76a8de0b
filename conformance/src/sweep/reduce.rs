//! From a schedule of faults under which something goes wrong to the smallest one that does the same.

use amt_sim::Fault;
use amt_sim::device::FaultEffect;

use super::judge::Wrong;

/// Leaves out whatever is not needed, by halves first and then one by one (delta debugging), and then makes each fault
/// that is left as simple as it can be: earlier, fewer times, shorter.
pub(super) fn reduce(
    schedule: Vec<Fault>,
    wrong: Wrong,
    mut judge: impl FnMut(&[Fault]) -> Option<Wrong>,
) -> (Vec<Fault>, Wrong) {
    let mut best = (schedule, wrong);
    let mut parts = 2;
    while best.0.len() > 1 {
        let size = best.0.len().div_ceil(parts);
        let smaller = (0..best.0.len()).step_by(size).find_map(|start| {
            let mut fewer = best.0.clone();
            fewer.drain(start..(start + size).min(fewer.len()));
            judge(&fewer)
                .filter(|wrong| wrong.is_like(&best.1))
                .map(|wrong| (fewer, wrong))
        });
        match smaller {
            Some(smaller) => {
                best = smaller;
                parts = 2;
            }
            None if size == 1 => break,
            None => parts *= 2,
        }
    }
    let mut index = 0;
    while index < best.0.len() {
        let simpler = best.0.get(index).map_or_else(Vec::new, simpler);
        let found = simpler.into_iter().find_map(|fault| {
            let mut schedule = best.0.clone();
            if let Some(slot) = schedule.get_mut(index) {
                *slot = fault;
            }
            judge(&schedule)
                .filter(|wrong| wrong.is_like(&best.1))
                .map(|wrong| (schedule, wrong))
        });
        match found {
            Some(found) => best = found,
            None => index += 1,
        }
    }
    best
}

/// Forms of a fault that are simpler by one step, the simplest first. Each step makes a number smaller, so that
/// reducing ends.
fn simpler(fault: &Fault) -> Vec<Fault> {
    let mut forms = Vec::new();
    if fault.after > 0 {
        for after in [0, fault.after / 2] {
            forms.push(Fault {
                after,
                ..fault.clone()
            });
        }
    }
    match fault.times {
        None => forms.push(Fault {
            times: Some(1),
            ..fault.clone()
        }),
        Some(times) if times > 1 => forms.push(Fault {
            times: Some(times - 1),
            ..fault.clone()
        }),
        Some(_) => {}
    }
    if let FaultEffect::DelayMs(delay) = fault.effect
        && delay >= 2_000
    {
        forms.push(Fault {
            effect: FaultEffect::DelayMs(delay / 2),
            ..fault.clone()
        });
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Action;

    fn schedule(texts: &[&str]) -> Vec<Fault> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn wrong() -> Wrong {
        Wrong::Hangs {
            action: Action::AgentDiscover,
        }
    }

    /// The two faults that are needed together stay; their numbers go down.
    #[test]
    fn what_is_not_needed_goes() {
        let all = schedule(&[
            "open=ENODEV*1",
            "answer:amthi:0x1a+4=drop*3",
            "http=status-500*1",
            "write:lme+7=reset",
            "connect:amthi=EBUSY*1",
        ]);
        let needed = |fewer: &[Fault]| {
            let has = |word: &str| {
                fewer
                    .iter()
                    .any(|fault| fault.to_string().starts_with(word))
            };
            (has("answer:amthi:0x1a") && has("write:lme")).then(wrong)
        };
        let (small, _) = reduce(all, wrong(), needed);
        assert_eq!(
            small,
            schedule(&["answer:amthi:0x1a=drop*1", "write:lme=reset*1"])
        );
    }

    #[test]
    fn another_mistake_is_not_the_same_one() {
        let all = schedule(&["open=ENODEV*1", "http=drop*1"]);
        let other = |fewer: &[Fault]| match fewer.len() {
            2 => Some(wrong()),
            _ => Some(Wrong::Hangs {
                action: Action::ConsoleAsk,
            }),
        };
        let (small, _) = reduce(all.clone(), wrong(), other);
        assert_eq!(small, all);
    }
}
