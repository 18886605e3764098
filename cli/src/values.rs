//! The values of options, from text.

use crate::logging::Format;
use std::ffi::OsString;
use std::time::Duration;
use supervisor_backend_unix::Signal;
use supervisor_core::{Limit, Restart};

type Parsed<T> = Result<T, String>;

/// Nanoseconds, parts per billion: what nine decimals can tell apart.
const BILLION: u64 = 1_000_000_000;

/// Text that may not be UTF-8.
fn text(value: OsString) -> Parsed<String> {
    value.into_string().map_err(|_| "it is not text".to_owned())
}

/// A decimal number of seconds, 0 or more. More than nine decimals are cut off.
pub fn seconds(value: OsString) -> Parsed<Duration> {
    let expected = || "give a number of seconds, 0 or more, such as 30 or 0.5".to_owned();
    let text = text(value)?;
    let (whole, billionths) = decimal(&text).ok_or_else(expected)?;
    let whole = whole.parse().map_err(|_| format!("too large; give at most {} seconds", u64::MAX))?;
    Ok(Duration::new(whole, billionths))
}

/// A number of seconds above 0.
pub fn seconds_above_zero(value: OsString) -> Parsed<Duration> {
    let duration = seconds(value)?;
    if duration.is_zero() { Err("give a number of seconds above 0".to_owned()) } else { Ok(duration) }
}

/// A number from 0 to 1, in parts per billion.
pub fn fraction(value: OsString) -> Parsed<u32> {
    let expected = || "give a number from 0 to 1, such as 0.2".to_owned();
    let text = text(value)?;
    let (whole, billionths) = decimal(&text).ok_or_else(expected)?;
    let whole: u64 = whole.parse().map_err(|_| expected())?;
    let parts = whole.checked_mul(BILLION).and_then(|parts| parts.checked_add(billionths.into()));
    parts.filter(|&parts| parts <= BILLION).map(|parts| parts as u32).ok_or_else(expected)
}

/// A number of restarts, or -1 for no limit.
pub fn count(value: OsString) -> Parsed<Limit> {
    let expected = || format!("give a whole number from 0 to {}, or -1 for no limit", u32::MAX);
    match text(value)?.as_str() {
        "-1" => Ok(Limit::Unlimited),
        digits if is_digits(digits) => digits.parse().map(Limit::Times).map_err(|_| expected()),
        _ => Err(expected()),
    }
}

/// The name of a signal, with or without SIG, or its number.
pub fn signal(value: OsString) -> Parsed<Signal> {
    let value = text(value)?;
    let by_name = Signal::from_name(&value.to_ascii_uppercase());
    let by_number = || value.parse().ok().and_then(Signal::from_number);
    by_name.or_else(by_number).ok_or_else(|| {
        let known: Vec<_> = Signal::standard_ones().map(|signal| signal.to_string().split_off("SIG".len())).collect();
        format!("give one of {}, or a real-time signal, as in RTMIN+3", known.join(", "))
    })
}

/// Which ends of the command are followed by a restart.
pub fn restart(value: OsString) -> Parsed<Restart> {
    match text(value)?.as_str() {
        "never" => Ok(Restart::Never),
        "on-failure" => Ok(Restart::OnFailure),
        "always" => Ok(Restart::Always),
        _ => Err("give never, on-failure or always".to_owned()),
    }
}

/// The form of the log.
pub fn format(value: OsString) -> Parsed<Format> {
    match text(value)?.as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("give text or json".to_owned()),
    }
}

/// A switch that is set by a variable.
pub fn switch(value: OsString) -> Parsed<bool> {
    match text(value)?.as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// How often `-v` is meant by a variable.
pub fn verbosity(value: OsString) -> Parsed<u8> {
    text(value)?.parse().map_err(|_| "give 0, 1 or 2".to_owned())
}

/// The digits before the point, and billionths after it.
fn decimal(text: &str) -> Option<(&str, u32)> {
    let (whole, decimals) = match text.split_once('.') {
        Some(("", decimals)) => ("0", decimals),
        Some(parts) => parts,
        None => (text, "0"),
    };
    if !is_digits(whole) || !is_digits(decimals) {
        return None;
    }
    let billionths = decimals.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some((whole, billionths.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn seconds_are_decimal_numbers() {
        let table = [
            ("0", Duration::ZERO),
            ("30", Duration::from_secs(30)),
            ("0.5", Duration::from_millis(500)),
            (".5", Duration::from_millis(500)),
            ("007", Duration::from_secs(7)),
            ("1.0000000019", Duration::from_nanos(1_000_000_001)),
            ("18446744073709551615", Duration::from_secs(u64::MAX)),
        ];
        for (text, duration) in table {
            assert_eq!(seconds(text.into()), Ok(duration), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_number_of_seconds() {
        for text in ["", ".", "1.", "-1", "+1", "1e3", "nan", "inf", "infinity", "5s", " 5", "5 ", "0x10", "1,5", "٣"]
        {
            assert!(seconds(text.into()).is_err(), "{text:?}");
        }
        assert!(seconds("18446744073709551616".into()).unwrap_err().contains("too large"));
    }

    #[test]
    fn a_timeout_is_above_zero() {
        assert!(seconds_above_zero("0".into()).is_err());
        assert!(seconds_above_zero("0.0000000001".into()).is_err());
        assert_eq!(seconds_above_zero("0.000000001".into()), Ok(Duration::from_nanos(1)));
    }

    #[test]
    fn a_fraction_is_at_most_one() {
        assert_eq!(fraction("0".into()), Ok(0));
        assert_eq!(fraction("0.25".into()), Ok(250_000_000));
        assert_eq!(fraction("1.000".into()), Ok(1_000_000_000));
        for text in ["1.1", "-0.1", "2", "50%", "nan", "", "99999999999999999999"] {
            assert!(fraction(text.into()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_count_may_be_unlimited() {
        assert_eq!(count("-1".into()), Ok(Limit::Unlimited));
        assert_eq!(count("0".into()), Ok(Limit::Times(0)));
        assert_eq!(count("5".into()), Ok(Limit::Times(5)));
        for text in ["-2", "1.5", "", "many", "+1", "4294967296"] {
            assert!(count(text.into()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn restarts_and_switches_have_words() {
        let words = [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
        for (text, meant) in words {
            assert_eq!(restart(text.into()), Ok(meant));
        }
        for text in ["1", "true", "yes", "on"] {
            assert_eq!(switch(text.into()), Ok(true), "{text}");
        }
        for text in ["0", "false", "no", "off"] {
            assert_eq!(switch(text.into()), Ok(false), "{text}");
        }
        assert!(restart("sometimes".into()).is_err() && switch("maybe".into()).is_err());
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(signal(text.into()), Ok(Signal::TERM), "{text}");
        }
        for text in ["", "SIG", "TERMINATE", "0", "-1", "99"] {
            assert!(signal(text.into()).unwrap_err().contains("QUIT"), "{text}");
        }
    }

    /// Text that looks like a value, and text that does not.
    fn any_text() -> impl Strategy<Value = OsString> {
        prop_oneof![
            "[-+]?[0-9]{0,22}[.,]?[0-9]{0,12}(e[0-9]{1,3}|s)?".prop_map(OsString::from),
            "(SIG|sig)?[A-Za-z0-9+-]{0,8}".prop_map(OsString::from),
            any::<String>().prop_map(OsString::from),
            proptest::collection::vec(any::<u8>(), 0..8).prop_map(OsString::from_vec),
        ]
    }

    fn decimal_text(whole: u64, billionths: u32) -> OsString {
        format!("{whole}.{billionths:09}").into()
    }

    proptest! {
        #[test]
        fn no_text_makes_a_value_panic(text in any_text()) {
            let _ = (seconds(text.clone()), seconds_above_zero(text.clone()), fraction(text.clone()));
            let _ = (count(text.clone()), signal(text.clone()), restart(text.clone()));
            let _ = (switch(text.clone()), verbosity(text));
        }

        #[test]
        fn what_is_refused_is_told_in_one_line(text in any_text()) {
            for refusal in [seconds(text.clone()).err(), fraction(text.clone()).err(), signal(text).err()] {
                prop_assert!(refusal.is_none_or(|message| !message.is_empty() && !message.contains('\n')));
            }
        }

        #[test]
        fn seconds_are_read_as_they_are_written(whole: u64, billionths in 0..1_000_000_000u32) {
            prop_assert_eq!(seconds(decimal_text(whole, billionths)), Ok(Duration::new(whole, billionths)));
        }

        #[test]
        fn fractions_are_read_as_they_are_written(parts in 0..=1_000_000_000u32) {
            prop_assert_eq!(fraction(decimal_text(u64::from(parts) / BILLION, parts % BILLION as u32)), Ok(parts));
        }

        #[test]
        fn counts_are_read_as_they_are_written(times: u32) {
            prop_assert_eq!(count(times.to_string().into()), Ok(Limit::Times(times)));
        }

        #[test]
        fn signals_are_read_as_they_are_written(number in 1..32i32) {
            let known = Signal::from_number(number).unwrap();
            let name = known.to_string();
            for text in [&name, name.trim_start_matches("SIG"), &number.to_string()] {
                prop_assert_eq!(signal(text.into()), Ok(known));
            }
        }
    }
}
