//! The device's own clock. Nothing here reads a clock: the host tells the device what time it is.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on the device's clock: nanoseconds since the device was powered on.
///
/// Device time need not run at the pace of the wall: the host may scale it or jump it to the next wake-up.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Instant(u64);

impl Instant {
    /// The moment of power-on.
    pub const POWER_ON: Self = Self(0);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        let nanos = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

/// Seconds since 1970-01-01T00:00:00Z: what the device's real-time clock shows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// Date and time of day in UTC, by the Gregorian calendar.
    pub fn civil(self) -> Civil {
        let days = self.0.div_euclid(86_400);
        let second = self.0.rem_euclid(86_400);
        // Counts from 0000-03-01, so that the leap day is the last of its year and 400 years are one period.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        // All but the year are bounded by the divisions above.
        Civil {
            year: u16::try_from(year).unwrap_or(0),
            month: month as u8,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
            weekday: (days + 4).rem_euclid(7) as u8,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
        }
    }

    /// This moment, `elapsed` later.
    pub fn after(self, elapsed: Duration) -> Self {
        let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(seconds))
    }
}

/// A moment as people write it, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// 0 outside of the years 0 to 65535.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    pub day: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, (1970, 1, 1, 4, 0, 0, 0))]
    #[case(951_782_400, (2000, 2, 29, 2, 0, 0, 0))]
    #[case(1_767_225_599, (2025, 12, 31, 3, 23, 59, 59))]
    #[case(1_767_225_600, (2026, 1, 1, 4, 0, 0, 0))]
    #[case(-1, (1969, 12, 31, 3, 23, 59, 59))]
    #[case(i64::MAX / 2, (0, 0, 0, 0, 0, 0, 0))]
    fn dates(#[case] seconds: i64, #[case] expected: (u16, u8, u8, u8, u8, u8, u8)) {
        let date = UnixTime(seconds).civil();
        if expected.0 == 0 {
            assert_eq!(date.year, 0);
            return;
        }
        let got = (
            date.year,
            date.month,
            date.day,
            date.weekday,
            date.hour,
            date.minute,
            date.second,
        );
        assert_eq!(got, expected);
    }
}
