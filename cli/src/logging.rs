//! The log on standard error, written by a thread of its own: whoever logs never waits for the reader.

use crate::record::{self, Fact, Record, VERSION};
use jiff::Timestamp;
use log::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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
    let log = Log { format, ..Log::default() };
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

/// A bounded queue of lines.
#[derive(Clone, Default)]
pub struct Log {
    format: Format,
    shared: Arc<(Mutex<Queue>, Condvar)>,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    /// Lines dropped since the last one that found room.
    dropped: u64,
    writer: Writer,
}

struct Line {
    text: Vec<u8>,
    dropped_before: u64,
}

#[derive(Default, PartialEq)]
enum Writer {
    /// No thread could be had yet.
    #[default]
    Missing,
    Idle,
    Writing,
}

impl Log {
    /// Waits until all lines are written, but not for a reader that stalls.
    pub fn flush(&self) {
        let (_, changed) = &*self.shared;
        if self.queue().writer == Writer::Missing {
            self.write_without_waiting();
        }
        let busy = |queue: &mut Queue| !queue.lines.is_empty() || queue.writer == Writer::Writing;
        let patience = if is_writable() { LAST_WORDS } else { LAST_CHANCE };
        drop(changed.wait_timeout_while(self.queue(), patience, busy));
    }

    /// A thread is started with the first line. Where there is none to be had, lines wait until there is.
    fn push(&self, text: &[u8]) {
        if self.queue().writer == Writer::Missing {
            self.queue().writer = Writer::Idle;
            let log = self.clone();
            let writer = std::thread::Builder::new().name("log".to_owned());
            if writer.spawn(move || log.write_lines(write_to_stderr)).is_err() {
                self.queue().writer = Writer::Missing;
            }
        }
        self.enqueue(text);
    }

    fn enqueue(&self, text: &[u8]) {
        let mut queue = self.queue();
        if queue.lines.len() == MOST_LINES {
            queue.dropped += 1;
            return;
        }
        let dropped_before = std::mem::take(&mut queue.dropped);
        queue.lines.push_back(Line { text: text.to_vec(), dropped_before });
        self.shared.1.notify_all();
    }

    /// Writes what standard error takes at once.
    fn write_without_waiting(&self) {
        while let Some(line) = self.queue().lines.pop_front() {
            if !is_writable() || write_to_stderr(&line.text).is_err() {
                break;
            }
        }
    }

    fn write_lines(&self, write: impl Fn(&[u8]) -> io::Result<()>) {
        let mut lost = 0;
        loop {
            let Line { mut text, dropped_before } = self.next();
            lost += dropped_before;
            if lost > 0 {
                text = [self.lost(lost).as_bytes(), &text].concat();
            }
            lost = if write(&text).is_ok() { 0 } else { lost + 1 };
        }
    }

    fn lost(&self, lines: u64) -> String {
        let words = format!("supervisor: log lines lost: {lines}");
        match self.format {
            Format::Text => words + "\n",
            Format::Json => json(Level::Warn, &Fact::LogLinesLost { lines }, format_args!("{words}")) + "\n",
        }
    }

    fn next(&self) -> Line {
        let (_, changed) = &*self.shared;
        let mut queue = self.queue();
        queue.writer = Writer::Idle;
        changed.notify_all();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.writer = Writer::Writing;
                return line;
            }
            queue = changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::thread;

    #[test]
    fn lines_that_a_stalled_reader_misses_are_counted() {
        let log = Log::default();
        let (written, read) = mpsc::sync_channel(0);
        let queue = log.clone();
        thread::spawn(move || queue.write_lines(|text| written.send(text.to_vec()).map_err(io::Error::other)));
        log.enqueue(b"first\n");
        while log.queue().writer != Writer::Writing {
            thread::yield_now();
        }
        // The writer is stuck with the first line. None of these waits for it.
        for _ in 0..MOST_LINES + 7 {
            log.enqueue(b"middle\n");
        }
        assert_eq!(read.recv().unwrap(), b"first\n");
        for _ in 0..MOST_LINES {
            assert_eq!(read.recv().unwrap(), b"middle\n");
        }
        log.enqueue(b"last\n");
        assert_eq!(read.recv().unwrap(), b"supervisor: log lines lost: 7\nlast\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let log = Log::default();
        let (written, read) = mpsc::channel();
        let queue = log.clone();
        thread::spawn(move || {
            queue.write_lines(|text| {
                written.send(text.to_vec()).unwrap();
                if text == b"bad\n" { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            })
        });
        log.enqueue(b"bad\n");
        log.enqueue(b"good\n");
        log.enqueue(b"better\n");
        let lines: Vec<_> = read.iter().take(3).map(|line| String::from_utf8(line).unwrap()).collect();
        assert_eq!(lines, ["bad\n", "supervisor: log lines lost: 1\ngood\n", "better\n"]);
    }
}
