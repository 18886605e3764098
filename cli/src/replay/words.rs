//! Times and durations for people.

use crate::report::display::Seconds;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::time::Duration;

/// A number of seconds of a log, which may be any number.
pub fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The same for people.
pub fn seconds(seconds: f64) -> Seconds {
    Seconds(duration(seconds))
}

/// The time between two moments; none if they are the wrong way round.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// So long before a moment.
pub fn before(moment: Timestamp, length: f64) -> Timestamp {
    let length = SignedDuration::try_from(duration(length)).unwrap_or_default();
    moment.checked_sub(length).unwrap_or(Timestamp::MIN)
}

/// A day and a time, in UTC.
pub fn day_and_time(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A day, in UTC.
pub fn day(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string()
}

/// A time of day, in UTC, to the millisecond.
pub fn clock(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("%H:%M:%S%.3f").to_string()
}

/// A duration in the two largest units that it has: "2 h 13 min".
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (larger, smaller) = match self.0.as_secs() {
            0..60 => return Seconds(self.0).fmt(f),
            seconds @ 60..3_600 => ((seconds / 60, "min"), (seconds % 60, "s")),
            seconds @ 3_600..86_400 => ((seconds / 3_600, "h"), (seconds / 60 % 60, "min")),
            seconds => ((seconds / 86_400, "d"), (seconds / 3_600 % 24, "h")),
        };
        write!(f, "{} {}", larger.0, larger.1)?;
        if smaller.0 > 0 { write!(f, " {} {}", smaller.0, smaller.1) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let table = [
            (0.25, "0.25 s"),
            (59.0, "59 s"),
            (61.0, "1 min 1 s"),
            (150.0, "2 min 30 s"),
            (7_980.0, "2 h 13 min"),
            (86_399.0, "23 h 59 min"),
            (172_800.0, "2 d"),
            (200_000.0, "2 d 7 h"),
        ];
        for (seconds, words) in table {
            assert_eq!(Span(duration(seconds)).to_string(), words);
        }
    }

    #[test]
    fn nonsense_in_a_log_is_no_reason_to_panic() {
        assert_eq!(duration(-1.0), Duration::ZERO);
        assert_eq!(duration(f64::MAX), Duration::ZERO);
        assert_eq!(before(Timestamp::MIN, 1.0), Timestamp::MIN);
        assert_eq!(between(Timestamp::MAX, Timestamp::MIN), Duration::ZERO);
    }
}
