//! The log on standard error: a line for each sentence, or one object for each event.

pub mod filter;
mod output;
mod stderr;

use crate::patience::LastWords;
use crate::report::{Content, Record, Sink, Standing, Troubles, time};
use log::Level;
use output::{Output, Pipe};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use stderr::Stderr;
use supervisor_backend_unix::UnixNotice;

/// Of all lines, whatever module they come from.
pub const TARGET: &str = "supervisor";

/// How much is logged where `RUST_LOG` does not say.
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

/// How lines look.
#[derive(Clone, Copy, Debug)]
struct Style {
    format: Format,
    reader: Reader,
}

/// Who reads standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// A person, a file, a program.
    Any,
    /// The journal of systemd, which has a time and a name of its own for each line, and takes its priority from the
    /// beginning: sd-daemon(3).
    Journal,
}

impl Style {
    /// The lines of a record, without the last newline.
    fn lines(self, record: &Record) -> Vec<String> {
        match self.format {
            Format::Text => record.words.lines().map(|words| self.line(record, words)).collect(),
            Format::Json => vec![format!("{}{}", self.priority(record.level), record.json())],
        }
    }

    fn line(self, record: &Record, words: &str) -> String {
        let mut line = self.priority(record.level).to_owned();
        if self.reader == Reader::Any {
            let (time, pid) = (time(record.time), std::process::id());
            let _ = write!(line, "{time} {:<5} supervisor[{pid}] ", record.level);
        }
        line + words
    }

    fn priority(self, level: Level) -> &'static str {
        match (self.reader, level) {
            (Reader::Any, _) => "",
            (Reader::Journal, Level::Error) => "<3>",
            (Reader::Journal, Level::Warn) => "<4>",
            (Reader::Journal, Level::Info) => "<6>",
            (Reader::Journal, Level::Debug | Level::Trace) => "<7>",
        }
    }
}

/// The log.
pub struct Log {
    style: Style,
    output: Arc<Output>,
}

impl Log {
    /// Starts it. A `RUST_LOG` that makes no sense is told and passed over.
    pub fn start(verbosity: Verbosity, format: Format, troubles: &Troubles) -> Log {
        let reader = if stderr::is_journal() { Reader::Journal } else { Reader::Any };
        let style = Style { format, reader };
        let output = Arc::new(Output::new(style, Stderr::find(), troubles.clone()));
        let filter = filter::choose(std::env::var("RUST_LOG").ok(), verbosity);
        let filter = filter.unwrap_or_else(|refusal| refusal.tell(troubles));
        env_logger::Builder::new()
            .parse_filters(&filter)
            .format(|line, record| writeln!(line, "{}", record.args()))
            .target(env_logger::Target::Pipe(Box::new(Pipe(Arc::clone(&output)))))
            .init();
        Log { style, output }
    }
}

impl Sink for Log {
    fn record(&mut self, record: &Record, _standing: &Standing) {
        let level = record.level;
        // Lost lines are told by the output itself, at their place.
        let is_told = matches!(record.content, Content::LogLinesLost { .. });
        if is_told || !log::log_enabled!(target: TARGET, level) {
            return;
        }
        self.style.lines(record).iter().for_each(|line| log::log!(target: TARGET, level, "{line}"));
        if let Content::Backend(UnixNotice::Suspended {}) = record.content {
            // Who stopped us wants to read it now.
            self.flush(&mut LastWords::begin());
        }
    }

    fn flush(&mut self, last_words: &mut LastWords) {
        last_words.spend(|left| self.output.flush(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: Format, reader: Reader) -> Vec<String> {
        let content = Content::LogLinesLost { lines: 1 };
        Style { format, reader }.lines(&Record::new(Level::Warn, content, "one\ntwo".to_owned()))
    }

    #[test]
    fn each_sentence_is_a_line_with_time_and_level() {
        let lines = lines(Format::Text, Reader::Any);
        assert_eq!(lines.len(), 2);
        let pid = std::process::id();
        assert!(lines[0].contains("Z WARN  supervisor") && lines[0].ends_with(&format!("[{pid}] one")), "{lines:?}");
    }

    #[test]
    fn the_journal_gets_priorities_and_no_time() {
        assert_eq!(lines(Format::Text, Reader::Journal), ["<4>one", "<4>two"]);
        let objects = lines(Format::Json, Reader::Journal);
        assert!(objects.len() == 1 && objects[0].starts_with("<4>{\"version\":1,"), "{objects:?}");
    }
}
