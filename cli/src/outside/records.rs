//! What the log, the files and the hook get to read of what comes from outside.

use super::assert_line;
use crate::journal::Line;
use crate::options::{Request, Settings, read};
use crate::patience::LastWords;
use crate::report::{Record, Reporter, Sink, Standing, Status, Troubles};
use serde_json::Value;
use std::cell::LazyCell;
use supervisor_backend_unix::{ProbeOutcome, UnixNotice};
use supervisor_core::{Instant, Policy, Report, Supervisor};

/// What a command says of itself, each line of it as a status, and the last words of a probe.
pub fn notify(bytes: &[u8]) {
    thread_local! {
        static SETTINGS: LazyCell<Settings> = const { LazyCell::new(settings) };
    }
    SETTINGS.with(|settings| {
        let mut reporter = reporter(settings);
        let (supervisor, _) = Supervisor::start(Policy::default());
        for text in String::from_utf8_lossy(bytes).split('\n').map(str::to_owned) {
            let (outcome, last_words) = (ProbeOutcome::NotStarted(text.clone()), text.clone());
            for notice in [UnixNotice::Status { text }, UnixNotice::ProbeFailed { outcome, last_words }] {
                (&mut reporter).backend_notice(Instant::ORIGIN, notice, &supervisor);
            }
        }
    });
}

fn settings() -> Settings {
    match read(["supervisor", "--no-heartbeat", "command"].map(Into::into), []) {
        Ok(Request::Supervise(settings)) => *settings,
        Ok(_) | Err(_) => unreachable!("it asks for a supervisor"),
    }
}

/// One whose records are held against what must hold of them.
pub fn reporter(settings: &Settings) -> Reporter {
    let (troubles, received) = Troubles::channel();
    settings.hints.iter().for_each(|hint| troubles.tell(hint.about, hint.words.clone(), hint.words.clone()));
    let status = Status::new(settings.name.clone(), settings.policy.max_restarts);
    Reporter::new(settings, vec![Box::new(Reader { status })], received)
}

/// Reads the log and the status file.
struct Reader {
    status: Status,
}

impl Sink for Reader {
    fn record(&mut self, record: &Record, standing: &Standing) {
        assert_record(record);
        self.status.take(record, standing);
        let status = self.status.json();
        assert_line(status.trim_end_matches('\n'));
        assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["name"], self.status.name);
    }

    fn flush(&mut self, _last_words: &mut LastWords) {}
}

/// Its sentences are lines, and so is its JSON, which can be read again.
pub fn assert_record(record: &Record) {
    record.words.split('\n').filter(|_| !record.words.is_empty()).for_each(assert_line);
    assert_line(record.json());
    let fields: Value = serde_json::from_str(record.json()).unwrap();
    assert_eq!(fields["event"], record.content.name());
    serde_json::from_str::<Line>(record.json()).unwrap();
}
