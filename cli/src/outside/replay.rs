//! Logs that are told again.

use super::{assert_line, assert_lines, markup};
use crate::replay::moment::Moment;
use crate::replay::page::page;
use crate::replay::program::words;
use crate::replay::{self, Log};

/// A log. Its first line may be a moment to be told of.
pub fn replay(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let replayed = replay::replay(&text);
    if let Err(message) = &replayed {
        assert_line(message);
    }
    let Ok(log) = Log::read(&text) else { return assert!(replayed.is_err()) };
    assert_eq!(replayed.err(), log.difference());
    let told = words(&log, None);
    assert_lines(&told);
    let moment = text.lines().next().and_then(|line| Moment::parse(line).ok());
    assert_lines(&words(&log, moment));
    markup::check(&page(&log)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told_among_others(&text), Ok(told));
}

/// Lines of other programs change nothing.
fn told_among_others(text: &str) -> Result<String, String> {
    let mixed: String = text.lines().map(|line| format!("Traceback:\n{line}\n")).collect();
    Ok(words(&Log::read(&mixed)?, None))
}
