//! The log on standard error, written by a thread of its own: whoever logs never waits for the reader.

use crate::outbox::Outbox;
use crate::record::{self, Fact, Record, VERSION};
use jiff::Timestamp;
use log::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lines that wait for a slow reader; more are dropped, and counted.
const MOST_LINES: usize = 512;

/// How long the last lines may take at the end, if standard error takes any, and if it does not just now.
const LAST_WORDS: Duration = Duration::from_millis(500);
const LAST_CHANCE: Duration = Duration::from_millis(50);

/// How much is logged where `RUST_LOG` is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// One line an event.
    Normal,
    /// More detail.
    Verbose,
    /// All there is.
    Trace,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A sentence.
    #[default]
    Text,
    /// An object.
    Json,
}

/// Of all lines, whatever module they come from.
pub const TARGET: &str = "supervisor";

/// Logs a fact as one JSON object.
pub fn record(level: Level, fact: &Fact, words: fmt::Arguments<'_>) {
    if log::log_enabled!(target: TARGET, level) {
        log::log!(target: TARGET, level, "{}", json(level, fact, words));
    }
}

/// A fact as a JSON object in one line.
pub fn json(level: Level, fact: &Fact, words: fmt::Arguments<'_>) -> String {
    let (time, level) = (record::time(Timestamp::now()), level_name(level));
    let message = &words.to_string();
    let supervisor = std::process::id();
    let record = Record { version: VERSION, time, supervisor, level, fact, message };
    serde_json::to_string(&record).unwrap_or_default()
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Something that the supervisor would do cannot be done, told from any thread.
pub fn trouble(format: Format, with: &'static str, error: &impl fmt::Display, words: fmt::Arguments<'_>) {
    match format {
        Format::Text => log::warn!(target: TARGET, "{words}"),
        Format::Json => record(Level::Warn, &Fact::Trouble { with, error: error.to_string() }, words),
    }
}

/// Starts the log. Where `RUST_LOG` is set it decides; one that makes no sense is told and passed over.
pub fn start(verbosity: Verbosity, format: Format) -> Log {
    let level = match verbosity {
        Verbosity::Quiet => "warn",
        Verbosity::Normal => "info",
        Verbosity::Verbose => "debug",
        Verbosity::Trace => "trace",
    };
    let wanted = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    // Checked here, since env_logger would write its complaint to a reader that may stall.
    let wanted = wanted.map(|filter| env_filter::Builder::new().try_parse(&filter).map(|_| filter));
    let log = Log::new(format, write_to_stderr);
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(match &wanted {
        Some(Ok(filter)) => filter,
        Some(Err(_)) | None => level,
    });
    let own_pid = std::process::id();
    builder
        .format(move |line, record| {
            if format == Format::Json {
                return writeln!(line, "{}", record.args());
            }
            let (time, level, words) = (line.timestamp_millis(), record.level(), record.args());
            writeln!(line, "{time} {level:<5} supervisor[{own_pid}] {words}")
        })
        .target(env_logger::Target::Pipe(Box::new(log.clone())))
        .init();
    if let Some(Err(error)) = wanted {
        trouble(format, "RUST_LOG", &error, format_args!("RUST_LOG is not understood, and passed over: {error}"));
    }
    log
}

/// Lines on their way to standard error. One for which there is no room is dropped, and counted.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Outbox<Line>>,
    /// Since the last one that found room.
    dropped: Arc<AtomicU64>,
}

struct Line {
    text: Vec<u8>,
    dropped_before: u64,
}

impl Log {
    fn new(format: Format, write: impl Fn(&[u8]) -> io::Result<()> + Send + 'static) -> Log {
        let mut lost = 0;
        let write_line = move |Line { mut text, dropped_before }| {
            lost += dropped_before;
            if lost > 0 {
                text = [words_on_lost_lines(format, lost).as_bytes(), &text].concat();
            }
            lost = if write(&text).is_ok() { 0 } else { lost + 1 };
        };
        Log { lines: Arc::new(Outbox::new("log", MOST_LINES, write_line)), dropped: Arc::default() }
    }

    /// Waits until all lines are written, but not for a reader that stalls.
    pub fn flush(&self) {
        self.lines.take_here(is_writable);
        self.lines.flush(if is_writable() { LAST_WORDS } else { LAST_CHANCE });
    }

    fn push(&self, text: &[u8]) {
        let dropped_before = self.dropped.swap(0, Ordering::Relaxed);
        let line = Line { text: text.to_vec(), dropped_before };
        if self.lines.offer(line).is_err() {
            self.dropped.fetch_add(dropped_before + 1, Ordering::Relaxed);
        }
    }
}

fn words_on_lost_lines(format: Format, lines: u64) -> String {
    let words = format!("supervisor: log lines lost: {lines}");
    match format {
        Format::Text => words + "\n",
        Format::Json => json(Level::Warn, &Fact::LogLinesLost { lines }, format_args!("{words}")) + "\n",
    }
}

/// `env_logger` writes each line in one piece.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether standard error takes something at once.
fn is_writable() -> bool {
    poll(&mut [PollFd::new(&io::stderr(), PollFlags::OUT)], Some(&Timespec::default())) == Ok(1)
}

/// Standard error is shared with the command, which may have made it non-blocking: then waits for room.
fn write_to_stderr(mut text: &[u8]) -> io::Result<()> {
    let stderr = io::stderr();
    while !text.is_empty() {
        match rustix::io::write(&stderr, text) {
            Ok(written) => text = &text[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn lines_that_a_stalled_reader_misses_are_counted() {
        let (written, read) = mpsc::sync_channel(0);
        let (begun, first) = mpsc::channel();
        let log = Log::new(Format::Text, move |text| {
            begun.send(()).unwrap();
            written.send(text.to_vec()).map_err(io::Error::other)
        });
        log.push(b"first\n");
        first.recv().unwrap();
        // The writer is stuck with the first line. None of these waits for it.
        for _ in 0..MOST_LINES + 7 {
            log.push(b"middle\n");
        }
        assert_eq!(read.recv().unwrap(), b"first\n");
        for _ in 0..MOST_LINES {
            assert_eq!(read.recv().unwrap(), b"middle\n");
        }
        log.push(b"last\n");
        assert_eq!(read.recv().unwrap(), b"supervisor: log lines lost: 7\nlast\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let (written, read) = mpsc::channel();
        let log = Log::new(Format::Text, move |text| {
            written.send(text.to_vec()).unwrap();
            if text == b"bad\n" { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        [&b"bad\n"[..], b"good\n", b"better\n"].into_iter().for_each(|line| log.push(line));
        let lines: Vec<_> = read.iter().take(3).map(|line| String::from_utf8(line).unwrap()).collect();
        assert_eq!(lines, ["bad\n", "supervisor: log lines lost: 1\ngood\n", "better\n"]);
    }
}
