//! `--at`: a moment, as precise as it is given.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The moment that a person asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    day: Day,
    time: Time,
    /// How long the moment lasts: a minute that is given without seconds lasts until its end.
    length: SignedDuration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Day {
    /// The latest in the log that has this time of day.
    Latest,
    Given(Date),
}

const REMEDY: &str = "give a time in UTC, such as 12:03, 12:03:07 or 2026-11-24T12:03:07Z";

impl Moment {
    /// # Errors
    /// What would be right, in one line.
    pub fn parse(text: &str) -> Result<Moment, String> {
        let bare = text.strip_suffix(['Z', 'z']).unwrap_or(text);
        let (day, clock) = match bare.split_once(['T', ' ']) {
            Some((date, clock)) => (Day::Given(date.parse().map_err(|_| REMEDY)?), clock),
            None => (Day::Latest, bare),
        };
        let time = Time::strptime(pattern(clock)?, clock).map_err(|_| REMEDY)?;
        Ok(Moment { day, time, length: length(clock) })
    }

    /// The end of this moment in a log of such a time.
    pub fn end(&self, log_begin: Timestamp, log_end: Timestamp) -> Timestamp {
        let last_day = log_end.to_zoned(TimeZone::UTC).date();
        let begin = match self.day {
            Day::Given(date) => stamp(date.to_datetime(self.time)),
            Day::Latest => {
                let today = stamp(last_day.to_datetime(self.time));
                let yesterday = stamp(last_day.yesterday().unwrap_or(last_day).to_datetime(self.time));
                // A moment after the log is one at its end.
                if today > log_end && yesterday >= log_begin { yesterday } else { today }
            }
        };
        begin.saturating_add(self.length).unwrap_or(begin)
    }
}

fn stamp(moment: DateTime) -> Timestamp {
    moment.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |moment| moment.timestamp())
}

fn pattern(clock: &str) -> Result<&'static str, String> {
    match (clock.matches(':').count(), clock.contains('.')) {
        (1, false) => Ok("%H:%M"),
        (2, false) => Ok("%H:%M:%S"),
        (2, true) => Ok("%H:%M:%S%.f"),
        _ => Err(REMEDY.to_owned()),
    }
}

fn length(clock: &str) -> SignedDuration {
    match (clock.matches(':').count(), clock.split_once('.')) {
        (_, Some((_, decimals))) => SignedDuration::from_nanos(10_i64.pow(9 - decimals.len().min(9) as u32) - 1),
        (1, None) => SignedDuration::from_nanos(60_000_000_000 - 1),
        (_, None) => SignedDuration::from_nanos(1_000_000_000 - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str, log_end: &str) -> String {
        let log_begin = "2026-11-23T21:00:00Z".parse().unwrap();
        Moment::parse(text).unwrap().end(log_begin, log_end.parse().unwrap()).to_string()
    }

    #[test]
    fn a_moment_lasts_as_long_as_it_is_precise() {
        let log_end = "2026-11-24T20:00:00Z";
        assert_eq!(end("12:03", log_end), "2026-11-24T12:03:59.999999999Z");
        assert_eq!(end("12:03:07", log_end), "2026-11-24T12:03:07.999999999Z");
        assert_eq!(end("12:03:07.250", log_end), "2026-11-24T12:03:07.250999999Z");
        assert_eq!(end("2026-11-20T12:03:07Z", log_end), "2026-11-20T12:03:07.999999999Z");
        assert_eq!(end("2026-11-20 12:03", log_end), "2026-11-20T12:03:59.999999999Z");
    }

    #[test]
    fn a_time_of_day_is_the_latest_in_the_log() {
        assert_eq!(end("23:59", "2026-11-24T08:00:00Z"), "2026-11-23T23:59:59.999999999Z");
        assert_eq!(end("07:59", "2026-11-24T08:00:00Z"), "2026-11-24T07:59:59.999999999Z");
        // Yesterday's is before the log.
        assert_eq!(end("20:30", "2026-11-24T08:00:00Z"), "2026-11-24T20:30:59.999999999Z");
    }

    #[test]
    fn what_is_no_moment_is_refused_with_a_remedy() {
        for text in ["", "noon", "12", "25:00", "12:03:99", "24.11.", "2026-13-01T12:00", "12:03+02:00"] {
            assert_eq!(Moment::parse(text), Err(REMEDY.to_owned()), "{text}");
        }
    }
}
