//! Accounts that are locked for a while after too many wrong passwords.
//!
//! Firmware does this (its refusal page says so, and one agent waits for it); how often and how long is assumed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::Web;
use crate::time::Instant;

/// The locks of one device, by account name. Names that nobody has are never in it, so it stays small.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    accounts: BTreeMap<String, Lock>,
}

#[derive(Debug, Default)]
struct Lock {
    failures: u32,
    until: Instant,
    /// How long the last lock was.
    length: Duration,
}

impl Locks {
    pub(crate) fn is_locked(&self, user: &str, now: Instant) -> bool {
        self.accounts.get(user).is_some_and(|lock| now < lock.until)
    }

    /// One wrong password more.
    pub(crate) fn failed(&mut self, user: &str, now: Instant, web: &Web) {
        if web.failures_before_lock == 0 {
            return;
        }
        let lock = self.accounts.entry(user.to_owned()).or_default();
        lock.failures = lock.failures.saturating_add(1);
        if lock.failures >= web.failures_before_lock {
            lock.length = lock
                .length
                .saturating_mul(2)
                .max(web.first_lock_ms)
                .min(web.longest_lock_ms);
            lock.until = now + lock.length;
        }
    }

    /// The right password ends it.
    pub(crate) fn succeeded(&mut self, user: &str) {
        self.accounts.remove(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_lock_and_each_more_doubles_it() {
        let web = Web::default();
        let mut locks = Locks::default();
        let mut now = Instant::POWER_ON;
        for _ in 0..9 {
            locks.failed("admin", now, &web);
        }
        assert!(!locks.is_locked("admin", now));
        for seconds in [5, 10, 20, 40, 80, 80] {
            locks.failed("admin", now, &web);
            now = now + Duration::from_millis(seconds * 1000 - 1);
            assert!(locks.is_locked("admin", now), "{seconds}");
            assert!(!locks.is_locked("other", now));
            now = now + Duration::from_millis(1);
            assert!(!locks.is_locked("admin", now), "{seconds}");
        }
        locks.succeeded("admin");
        locks.failed("admin", now, &web);
        assert!(!locks.is_locked("admin", now));
    }

    #[test]
    fn it_can_be_switched_off() {
        let web = Web {
            failures_before_lock: 0,
            ..Web::default()
        };
        let mut locks = Locks::default();
        for _ in 0..100 {
            locks.failed("admin", Instant::POWER_ON, &web);
        }
        assert!(!locks.is_locked("admin", Instant::POWER_ON));
    }
}
