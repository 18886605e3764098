//! Whole command lines, with variables in front of them, as env(1) takes them.

use super::records::{assert_record, reporter};
use super::{assert_line, assert_lines};
use crate::journal::{Line, Said, Taken};
use crate::options::{Request, Settings, read};
use crate::report::{Content, Record};
use crate::{dry_run, exit_code};
use log::Level;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use supervisor_core::{
    Event, Instant, Limit, Policy, Report, RunId, StartFailure, StartFailureKind, Supervisor, Watchdog,
};

/// What options that touch the file system have in their names.
const TOUCHES_FILES: [&str; 3] = ["file", "event", "probe"];

/// More starts are not shown.
const MOST_RESTARTS: u32 = 20;

/// Words, with a NUL after each.
pub fn command_line(bytes: &[u8]) {
    let words: Vec<OsString> = bytes.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect();
    let touches_files = |word: &OsString| TOUCHES_FILES.iter().any(|name| word.to_string_lossy().contains(name));
    if words.iter().any(touches_files) {
        return;
    }
    let end_of_environment = words.iter().take_while(|word| assignment(word).is_some()).count();
    let (environment, options) = words.split_at(end_of_environment);
    let environment: Vec<_> = environment.iter().filter_map(|word| assignment(word)).collect();
    let line = ["supervisor".into()].into_iter().chain(options.iter().cloned());
    match read(line.chain(["--".into(), "command".into()]), environment) {
        Ok(Request::Supervise(settings)) => supervise(&settings),
        Ok(Request::DryRun(settings)) => play(*settings),
        Ok(Request::Show(text)) => assert_lines(&text),
        Ok(Request::Healthcheck(_)) => {}
        Err(refusal) => {
            assert!([exit_code::USAGE, exit_code::CANNOT_WORK].contains(&refusal.exit_code));
            assert_line(&refusal.message);
            assert!(options.len() != 1 || names(&refusal.message, &options[0]), "{}", refusal.message);
        }
    }
}

fn assignment(word: &OsStr) -> Option<(OsString, OsString)> {
    let at = word.as_bytes().iter().position(|byte| *byte == b'=').filter(|_| !word.as_bytes().starts_with(b"-"))?;
    let (name, value) = (&word.as_bytes()[..at], &word.as_bytes()[at + 1..]);
    Some((OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(value).to_owned()))
}

/// What is refused because of one option alone names that option.
fn names(message: &str, option: &OsStr) -> bool {
    let Some(option) = option.to_str().filter(|option| option.starts_with("--")) else { return true };
    let name = option.split('=').next().unwrap_or_default();
    message.contains(name) || !name.chars().all(super::is_harmless)
}

/// The policy is one that was allowed, all that is told of it is readable, and the log gives it back.
fn supervise(settings: &Settings) {
    assert_allowed(settings);
    let mut reporter = reporter(settings);
    reporter.begin(settings);
    let (supervisor, _) = Supervisor::start(settings.policy.clone());
    let failure = StartFailure { kind: StartFailureKind::NotFound, os_error: 2 };
    let failed = Event::StartFailed { run: RunId(1), failure };
    for event in [Event::Started { run: RunId(1), pid: 1 }, failed] {
        let mut supervisor = supervisor.clone();
        for notice in supervisor.handle_event(event, Instant::ORIGIN).notices {
            (&mut reporter).notice(Instant::ORIGIN, notice, &supervisor);
        }
    }
    assert_eq!(logged(settings), settings.policy);
}

fn logged(settings: &Settings) -> Policy {
    let record = Record::new(Level::Info, Content::supervising(settings), String::new());
    assert_record(&record);
    match serde_json::from_str(record.json()) {
        Ok(Line { content: Said::Taken(Taken::Supervising { policy }), .. }) => policy,
        Ok(_) | Err(_) => panic!("{}", record.json()),
    }
}

fn assert_allowed(settings: &Settings) {
    let Settings { policy, backend, .. } = settings;
    match policy.watchdog {
        Watchdog::On { timeout, .. } => assert!(timeout > Duration::ZERO),
        Watchdog::Off => assert!(backend.heartbeat_file.is_none()),
    }
    assert!(policy.backoff.jitter.parts_per_billion <= 1_000_000_000);
    assert!(!backend.stop_signal.ends_nothing() && !backend.hang_signal.ends_nothing());
    let to_supervisor = backend.stop_on.iter().chain(&backend.restart_signal);
    assert!(to_supervisor.clone().all(|signal| signal.is_catchable() && !signal.ends_nothing()));
    assert!(backend.restart_signal.is_none_or(|signal| !backend.stop_on.contains(&signal)));
}

/// A dry run comes to an end, and its lines are readable.
fn play(mut settings: Settings) {
    assert_allowed(&settings);
    settings.policy.max_restarts = match settings.policy.max_restarts {
        Limit::Unlimited => Limit::Times(MOST_RESTARTS),
        Limit::Times(most) => Limit::Times(most.min(MOST_RESTARTS)),
    };
    assert_lines(&dry_run::text(&settings));
}
