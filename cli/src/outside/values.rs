//! The values of options.

use super::assert_line;
use crate::options::duration::{duration, duration_above_zero};
use crate::options::programs::words;
use crate::options::values::{
    Parsed, count, format, fraction, restart, signal_to_command, signal_to_supervisor, stop_target, switch, verbosity,
};
use crate::replay::moment::Moment;
use jiff::Timestamp;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use supervisor_backend_unix::Signal;
use supervisor_core::Limit;

/// A value of each option that has a form.
pub fn values(bytes: &[u8]) {
    // No word of a command line, and no variable, holds one.
    if bytes.contains(&0) {
        return;
    }
    let value = OsStr::from_bytes(bytes);
    of_duration(value);
    of_fraction(value);
    of_count(value);
    of_signals(value);
    of_probe(value);
    of_moment(value);
    read(restart, value);
    read(format, value);
    read(stop_target, value);
    read(switch, value);
    read(verbosity, value);
}

/// What a value means. One that is refused is told in one line.
fn read<T>(reader: impl Fn(OsString) -> Parsed<T>, value: &OsStr) -> Option<T> {
    reader(value.to_owned()).inspect_err(|remedy| assert_line(remedy)).ok()
}

/// What is read can be written so that it is read as the same.
fn assert_same<T: PartialEq + Debug>(reader: impl Fn(OsString) -> Parsed<T>, written: impl Into<OsString>, read: T) {
    assert_eq!(reader(written.into()), Ok(read));
}

fn of_duration(value: &OsStr) {
    let (any, above_zero) = (read(duration, value), read(duration_above_zero, value));
    assert_eq!(above_zero, any.filter(|duration| !duration.is_zero()));
    let Some(length) = any else { return };
    assert!(value.as_bytes().iter().all(|byte| byte.is_ascii_digit() || b".dhmsu".contains(byte)), "{value:?}");
    assert_same(duration, decimals(length), length);
    // With units, of which none need be there.
    let (seconds, micros) = (length.as_secs(), length.subsec_micros());
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let text = format!("{days}d{hours}h{minutes}m{}s{micros}us", seconds % 60);
    assert_same(duration, text, Duration::new(seconds, micros * 1_000));
}

fn decimals(length: Duration) -> String {
    format!("{}.{:09}", length.as_secs(), length.subsec_nanos())
}

fn of_fraction(value: &OsStr) {
    let Some(parts) = read(fraction, value) else { return };
    assert_same(fraction, decimals(Duration::from_nanos(parts.into())), parts);
    // The standard library reads the same text as nearly the same number.
    let number: f64 = value.to_str().unwrap_or_default().parse().unwrap_or(f64::NAN);
    assert!((0.0..=1.0).contains(&number) && (number * 1e9 - f64::from(parts)).abs() <= 1.0, "{value:?}: {parts}");
}

fn of_count(value: &OsStr) {
    match read(count, value) {
        Some(Limit::Times(times)) => assert_same(count, times.to_string(), Limit::Times(times)),
        Some(Limit::Unlimited) => assert_eq!(value, "-1"),
        None => {}
    }
}

fn of_signals(value: &OsStr) {
    let to_command = read(signal_to_command, value);
    let to_supervisor = read(signal_to_supervisor, value);
    for signal in [to_command, to_supervisor].into_iter().flatten() {
        assert!(!signal.ends_nothing());
        assert_eq!(Signal::from_number(signal.number()), Some(signal));
        assert_same(signal_to_command, signal.to_string(), signal);
        assert_same(signal_to_command, signal.number().to_string(), signal);
    }
    assert!(to_supervisor.is_none_or(|signal| signal.is_catchable() && to_command == Some(signal)));
}

/// The words of a command line, quoted again, are the same words.
fn of_probe(value: &OsStr) {
    let Some((program, arguments)) = read(|value| words(&value), value) else { return };
    let line = [&program].into_iter().chain(&arguments).map(String::as_str);
    let quoted = shlex::try_join(line).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    assert_same(|value| words(&value), quoted, (program, arguments));
}

/// Of `supervisor-replay --at`.
fn of_moment(value: &OsStr) {
    let Some(moment) = read(|value| Moment::parse(&value.to_string_lossy()), value) else { return };
    for log_end in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        moment.end(Timestamp::MIN, log_end);
    }
}
