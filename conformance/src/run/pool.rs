//! Several runs at a time, their results in the order of the plan.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Does `work` for every item on `jobs` threads. `done` hears of each result in the order of the items, as soon as
/// everything before it is there; `tick` hears how many are finished, in whatever order.
pub fn run_all<T: Sync, R: Send>(
    items: &[T],
    jobs: NonZeroUsize,
    work: impl Fn(&T) -> R + Sync,
    mut tick: impl FnMut(usize),
    mut done: impl FnMut(R),
) {
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(items.len()) {
            let (next, work, sender) = (&next, &work, sender.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else {
                        return;
                    };
                    if sender.send((index, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        for (finished, (index, result)) in results.iter().enumerate() {
            tick(finished + 1);
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&turn) {
                done(result);
                turn += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_come_in_the_order_of_the_plan() {
        let items: Vec<u64> = (0..40).collect();
        let (mut seen, mut ticks) = (Vec::new(), 0);
        run_all(
            &items,
            NonZeroUsize::new(4).unwrap(),
            |item| {
                std::thread::sleep(Duration::from_micros(37 * (40 - item)));
                *item
            },
            |_| ticks += 1,
            |item| seen.push(item),
        );
        assert_eq!(seen, items);
        assert_eq!(ticks, 40);
    }

    #[test]
    fn nothing_to_do_is_done() {
        run_all::<u8, u8>(&[], NonZeroUsize::MIN, |item| *item, |_| (), |_| ());
    }
}
