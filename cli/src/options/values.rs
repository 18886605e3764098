//! The values of options, from text.

use super::hints::did_you_mean;
use super::logging::Format;
use std::ffi::OsString;
use supervisor_backend_unix::{Signal, StopTarget};
use supervisor_core::{Limit, Restart};

pub type Parsed<T> = Result<T, String>;

/// Nanoseconds, parts per billion: what nine decimals can tell apart.
const BILLION: u128 = 1_000_000_000;

/// Text that may not be UTF-8.
pub fn text(value: OsString) -> Parsed<String> {
    value.into_string().map_err(|_| "it is not text".to_owned())
}

/// A number from 0 to 1, in parts per billion. More than nine decimals are cut off, but 1 is the most.
pub fn fraction(value: OsString) -> Parsed<u32> {
    let expected = || "give a number from 0 to 1, such as 0.2".to_owned();
    let text = text(value)?;
    let number = decimal(&text).ok_or_else(expected)?;
    let is_at_most_one = number.is_at_most_one();
    let parts = number.times(BILLION).filter(|_| is_at_most_one);
    parts.and_then(|parts| u32::try_from(parts).ok()).ok_or_else(expected)
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

/// The name of a signal, with or without SIG, or its number; one that `suits` its purpose.
fn signal(value: OsString, suits: impl Fn(Signal) -> Parsed<()>) -> Parsed<Signal> {
    let value = text(value)?;
    let name = value.to_ascii_uppercase();
    let by_number = || value.parse().ok().and_then(Signal::from_number);
    let signal = Signal::from_name(&name).or_else(by_number).ok_or_else(|| {
        let suitable = Signal::standard_ones().filter(|signal| suits(*signal).is_ok());
        let known: Vec<_> = suitable.map(|signal| signal.to_string().split_off("SIG".len())).collect();
        let hint = did_you_mean(name.trim_start_matches("SIG"), known.iter().map(String::as_str));
        format!("give one of {}, or a real-time signal, as in RTMIN+3{hint}", known.join(", "))
    })?;
    suits(signal).map(|()| signal)
}

/// A signal that asks a command to leave.
pub fn signal_to_command(value: OsString) -> Parsed<Signal> {
    signal(value, suits_command)
}

fn suits_command(signal: Signal) -> Parsed<()> {
    if signal.ends_nothing() {
        return Err(format!("{signal} stops or continues a process and ends none; give another, such as TERM"));
    }
    Ok(())
}

/// A signal that can be given a meaning of its own when it is sent to the supervisor.
pub fn signal_to_supervisor(value: OsString) -> Parsed<Signal> {
    signal(value, suits_supervisor)
}

fn suits_supervisor(signal: Signal) -> Parsed<()> {
    // The kernel itself sends these, for what a process does.
    const OF_THE_KERNEL: [&str; 8] = ["BUS", "CHLD", "FPE", "ILL", "PIPE", "SEGV", "SYS", "TRAP"];
    if !signal.is_catchable() {
        return Err(format!("no process can catch {signal}; give another, such as USR1"));
    }
    if signal.ends_nothing() || OF_THE_KERNEL.iter().any(|name| Signal::from_name(name) == Some(signal)) {
        return Err(format!("the system uses {signal} itself; give another, such as USR1"));
    }
    Ok(())
}

/// One of some words.
fn one_of<T: Copy>(value: OsString, words: &[(&str, T)]) -> Parsed<T> {
    let value = text(value)?;
    words.iter().find(|(word, _)| *word == value).map(|(_, meant)| *meant).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let hint = did_you_mean(&value, known.iter().copied());
        match known.split_last() {
            Some((last, others)) => format!("give {} or {last}{hint}", others.join(", ")),
            None => hint,
        }
    })
}

/// Which ends of the command are followed by a restart.
pub fn restart(value: OsString) -> Parsed<Restart> {
    let words = [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
    one_of(value, &words)
}

/// The form of the log.
pub fn format(value: OsString) -> Parsed<Format> {
    one_of(value, &[("text", Format::Text), ("json", Format::Json)])
}

/// Who is asked to leave.
pub fn stop_target(value: OsString) -> Parsed<StopTarget> {
    one_of(value, &[("group", StopTarget::Group), ("main", StopTarget::Main)])
}

/// A switch that is set by a variable.
pub fn switch(value: OsString) -> Parsed<bool> {
    match text(value)?.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// How often `-v` is meant by a variable.
pub fn verbosity(value: OsString) -> Parsed<u8> {
    let text = text(value)?;
    let number = text.parse().ok().or_else(|| switch(text.into()).ok().map(u8::from));
    number.ok_or_else(|| "give 0, 1 or 2".to_owned())
}

/// A decimal number, 0 or more.
#[derive(Clone, Copy)]
pub struct Decimal<'a> {
    /// Digits before the point.
    whole: &'a str,
    /// Digits after it.
    decimals: &'a str,
}

/// Nothing if it is none.
pub fn decimal(text: &str) -> Option<Decimal<'_>> {
    let (whole, decimals) = match text.split_once('.') {
        Some(("", decimals)) => ("0", decimals),
        Some(parts) => parts,
        None => (text, "0"),
    };
    (is_digits(whole) && is_digits(decimals)).then_some(Decimal { whole, decimals })
}

impl Decimal<'_> {
    /// So many times `unit`, of which at most a billionth is cut off; nothing if that is too large.
    pub fn times(self, unit: u128) -> Option<u128> {
        let digits = self.decimals.bytes().chain(std::iter::repeat(b'0')).take(9);
        let billionths = digits.fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'));
        let whole = self.whole.parse::<u128>().ok()?.checked_mul(unit)?;
        whole.checked_add(billionths * unit / BILLION)
    }

    fn is_at_most_one(self) -> bool {
        match self.whole.trim_start_matches('0') {
            "" => true,
            "1" => self.decimals.bytes().all(|digit| digit == b'0'),
            _ => false,
        }
    }
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
    fn a_fraction_is_at_most_one() {
        assert_eq!(fraction("0".into()), Ok(0));
        assert_eq!(fraction("0.25".into()), Ok(250_000_000));
        assert_eq!(fraction("1.000".into()), Ok(1_000_000_000));
        for text in
            ["1.1", "1.00000000001", "01.0000000000000000000001", "-0.1", "2", "50%", "nan", "", "99999999999999999999"]
        {
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
        for text in ["1", "true", "yes", "on", "TRUE", "Yes", "oN"] {
            assert_eq!(switch(text.into()), Ok(true), "{text}");
        }
        for text in ["0", "false", "no", "off", "False", "NO"] {
            assert_eq!(switch(text.into()), Ok(false), "{text}");
        }
        assert!(restart("sometimes".into()).is_err() && switch("maybe".into()).is_err());
        for (text, meant) in [("0", 0), ("1", 1), ("2", 2), ("Yes", 1), ("off", 0)] {
            assert_eq!(verbosity(text.into()), Ok(meant), "{text}");
        }
        assert!(["maybe", "-1", "1.5"].iter().all(|text| verbosity(text.into()).is_err()));
    }

    #[test]
    fn a_word_that_is_nearly_right_is_named() {
        let table = [
            (restart("onfailure".into()).unwrap_err(), "did you mean on-failure?"),
            (restart("alway".into()).unwrap_err(), "did you mean always?"),
            (format("JSON".into()).unwrap_err(), "did you mean json?"),
            (signal_to_command("SIGTEM".into()).unwrap_err(), "did you mean TERM?"),
            (signal_to_supervisor("qiut".into()).unwrap_err(), "did you mean QUIT?"),
            (stop_target("mian".into()).unwrap_err(), "did you mean main?"),
        ];
        for (message, hint) in table {
            assert!(message.ends_with(hint), "{message}");
        }
        assert!(!restart("sometimes".into()).unwrap_err().contains("did you mean"));
        // What would be refused is not offered.
        for message in
            [signal_to_command("CONTT".into()).unwrap_err(), signal_to_supervisor("KILLL".into()).unwrap_err()]
        {
            assert!(!message.contains("did you mean") && !message.contains("STOP"), "{message}");
        }
    }

    #[test]
    fn a_signal_must_suit_its_purpose() {
        for text in ["STOP", "CONT", "TSTP", "TTIN", "TTOU"] {
            assert!(signal_to_command(text.into()).is_err(), "{text}");
            assert!(signal_to_supervisor(text.into()).is_err(), "{text}");
        }
        for text in ["TERM", "KILL", "WINCH", "RTMIN+3", "INT"] {
            assert!(signal_to_command(text.into()).is_ok(), "{text}");
        }
        for text in ["KILL", "9", "SEGV", "CHLD", "PIPE"] {
            assert!(signal_to_supervisor(text.into()).is_err(), "{text}");
        }
        for text in ["HUP", "QUIT", "WINCH", "USR1", "RTMIN+3"] {
            assert!(signal_to_supervisor(text.into()).is_ok(), "{text}");
        }
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(signal_to_command(text.into()), Ok(Signal::TERM), "{text}");
        }
        for text in ["", "SIG", "TERMINATE", "0", "-1", "99"] {
            assert!(signal_to_command(text.into()).unwrap_err().contains("QUIT"), "{text}");
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

    fn decimal_text(whole: u32, billionths: u32) -> OsString {
        format!("{whole}.{billionths:09}").into()
    }

    proptest! {
        #[test]
        fn no_text_makes_a_value_panic(text in any_text()) {
            let _ = (fraction(text.clone()), count(text.clone()), signal_to_command(text.clone()), restart(text.clone()));
            let _ = (format(text.clone()), stop_target(text.clone()), switch(text.clone()), verbosity(text));
        }

        #[test]
        fn what_is_refused_is_told_in_one_line(text in any_text()) {
            for refusal in [count(text.clone()).err(), fraction(text.clone()).err(), signal_to_supervisor(text).err()] {
                prop_assert!(refusal.is_none_or(|message| !message.is_empty() && !message.contains('\n')));
            }
        }

        #[test]
        fn fractions_are_read_as_they_are_written(parts in 0..=1_000_000_000u32) {
            prop_assert_eq!(fraction(decimal_text(parts / BILLION as u32, parts % BILLION as u32)), Ok(parts));
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
                prop_assert_eq!(signal(text.into(), |_| Ok(())), Ok(known));
            }
        }
    }
}
