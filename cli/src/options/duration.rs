//! Durations: `30`, `0.5`, `500ms`, `1h30m`.

use super::values::{Parsed, decimal, text};
use std::ffi::OsString;
use std::time::Duration;

const SECOND: u128 = 1_000_000_000;

/// Units, from the longest, in nanoseconds.
const UNITS: [(&str, u128); 6] = [
    ("d", 86_400 * SECOND),
    ("h", 3_600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
];

/// A decimal number of seconds, or numbers with units, the longest first; 0 or more. What is shorter than a nanosecond
/// is cut off.
pub fn duration(value: OsString) -> Parsed<Duration> {
    read(value, "0 or more")
}

/// A duration above 0.
pub fn duration_above_zero(value: OsString) -> Parsed<Duration> {
    let duration = read(value, "above 0")?;
    if duration.is_zero() { Err("give a duration above 0, such as 30 or 500ms".to_owned()) } else { Ok(duration) }
}

fn read(value: OsString, range: &str) -> Parsed<Duration> {
    let text = text(value)?;
    let nanos = match decimal(&text) {
        Some(number) => Some(number.times(SECOND)),
        None => with_units(&text),
    };
    let nanos = nanos.ok_or_else(|| {
        format!("give a number of seconds, {range}, such as 30 or 0.5, or one with units, such as 500ms, 5m or 1h30m")
    })?;
    let too_large = || format!("too large; give at most {} seconds", u64::MAX);
    let nanos = nanos.ok_or_else(too_large)?;
    let seconds = u64::try_from(nanos / SECOND).map_err(|_| too_large())?;
    Ok(Duration::new(seconds, (nanos % SECOND) as u32))
}

/// Nothing if it is no such text; no number if that is too large.
fn with_units(mut text: &str) -> Option<Option<u128>> {
    if text.is_empty() {
        return None;
    }
    let mut units = UNITS.iter();
    let mut sum = Some(0u128);
    while !text.is_empty() {
        let (number, rest) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len()));
        // Each unit is shorter than the one before it.
        let (_, nanos) = units.find(|(name, _)| *name == unit)?;
        let part = decimal(number)?.times(*nanos);
        sum = sum.zip(part).and_then(|(sum, part)| sum.checked_add(part));
        text = rest;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_duration_is_a_number_of_seconds() {
        let table = [
            ("0", Duration::ZERO),
            ("30", Duration::from_secs(30)),
            ("0.5", Duration::from_millis(500)),
            (".5", Duration::from_millis(500)),
            ("007", Duration::from_secs(7)),
            ("1.0000000019", Duration::from_nanos(1_000_000_001)),
            ("18446744073709551615", Duration::from_secs(u64::MAX)),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text.into()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_duration_may_have_units() {
        let table = [
            ("500ms", Duration::from_millis(500)),
            ("30s", Duration::from_secs(30)),
            ("5m", Duration::from_secs(300)),
            ("1h30m", Duration::from_secs(5_400)),
            ("1.5h", Duration::from_secs(5_400)),
            ("1d", Duration::from_secs(86_400)),
            ("1m0.5s", Duration::from_millis(60_500)),
            ("2s250ms10us", Duration::from_micros(2_250_010)),
            ("0s", Duration::ZERO),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text.into()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_duration() {
        let plain = ["", ".", "1.", "-1", "+1", "1e3", "nan", "inf", "infinity", " 5", "5 ", "0x10", "1,5", "٣"];
        let with_units = ["s", "5x", "5S", "1h30", "30m1h", "1m1m", "5 s", "-5s", "1..5s", "5s.", "1h-5m", "5sec"];
        for text in plain.into_iter().chain(with_units) {
            assert!(duration(text.into()).unwrap_err().contains("0 or more, such as 30 or 0.5"), "{text:?}");
            let above_zero = duration_above_zero(text.into()).unwrap_err();
            assert!(above_zero.contains("above 0") && above_zero.contains("1h30m"), "{text:?}");
        }
        for text in ["18446744073709551616", "300000000000000000000d", "99999999999999999999999999999999999999999s"] {
            assert!(duration(text.into()).unwrap_err().contains("too large"), "{text}");
        }
    }

    #[test]
    fn some_are_above_zero() {
        for text in ["0", "0.0000000001", "0ms"] {
            assert!(duration_above_zero(text.into()).is_err(), "{text}");
        }
        assert_eq!(duration_above_zero("0.000000001".into()), Ok(Duration::from_nanos(1)));
    }

    proptest! {
        #[test]
        fn seconds_are_read_as_they_are_written(whole: u64, billionths in 0..1_000_000_000u32) {
            let expected = Duration::new(whole, billionths);
            for text in [format!("{whole}.{billionths:09}"), format!("{whole}.{billionths:09}s")] {
                prop_assert_eq!(duration(text.into()), Ok(expected));
            }
        }

        #[test]
        fn units_add_up(hours in 0..10_000u64, minutes in 0..100u64, seconds in 0..100u64, millis in 0..2_000u64) {
            let expected = Duration::from_secs(hours * 3_600 + minutes * 60 + seconds) + Duration::from_millis(millis);
            let text = format!("{hours}h{minutes}m{seconds}s{millis}ms");
            prop_assert_eq!(duration(text.into()), Ok(expected));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+]?[0-9]{0,40}[.,]?[0-9]{0,12}(e[0-9]{1,3}|[a-z]{0,2}){0,3}", any: String) {
            let _ = (duration(text.into()), duration_above_zero(any.into()));
        }
    }
}
