//! `EVENTS.md` tells of every record, and of no other.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use supervisor_backend_unix::{
    Disregard, HeartbeatFound, Hindrance, Named, ProbeOutcome, ProcessSnapshot, Rest, Signal, Target,
};
use supervisor_core::{
    DelayCause, End, Ending, Evidence, ExitStatus, GiveUp, KillCause, Limit, OnHang, Outcome, RunId, StartFailure,
    StartFailureKind,
};

const SECOND: Duration = Duration::from_secs(1);
const RUN: RunId = RunId(1);

fn process() -> Named {
    Named { pid: 2, name: "sh".to_owned() }
}

fn error() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// One of each event, with all fields that it may have.
pub fn samples() -> Vec<Content> {
    let machine = notices().into_iter().map(|notice| {
        let beside = Beside::of(&notice, Condition::Stopped { signal: 19 });
        Content::Machine { notice, beside }
    });
    let own = [
        Content::Supervising { command: vec![], heartbeat_file: Some(String::new()), policy: Policy::default() },
        Content::Settings {},
        Content::Input { at: SECOND, input: Event::Timeout },
        Content::LongDelay { delay: SECOND },
        Content::LogLinesLost { lines: 1 },
        Content::Trouble { with: HOOK, error: String::new() },
    ];
    machine.chain(unix_notices().into_iter().map(Content::Backend)).chain(own).collect()
}

fn notices() -> Vec<Notice> {
    let (run, pid, grace_period) = (RUN, 2, SECOND);
    let on_hang = OnHang::Signal { grace_period };
    let failure = StartFailure { kind: StartFailureKind::Passing, os_error: 11 };
    let end = End::Exited(ExitStatus::Code(1));
    vec![
        Notice::Started { run, pid },
        Notice::StartFailed { run, failure },
        Notice::Heartbeat { run, pid, first: true, ago: SECOND },
        Notice::Delayed { run, pid, late: SECOND, extension: SECOND, cause: DelayCause::Look },
        Notice::Hung { run, pid, evidence: Evidence::Silence { silence: SECOND }, on_hang, grace_period },
        Notice::Hung { run, pid, evidence: Evidence::Report {}, on_hang: OnHang::Stop, grace_period },
        Notice::HangGraceOver { run, pid, grace_period },
        Notice::Ready { run, pid },
        Notice::Leaving { run, pid },
        Notice::TimeoutSet { run, pid, timeout: SECOND },
        Notice::Extended { run, pid, by: SECOND },
        Notice::StreakEnded { run, pid },
        Notice::Stopping { run, grace_period },
        Notice::StoppingInstead { run },
        Notice::Restarting { run, grace_period },
        Notice::RestartingInstead { run },
        Notice::Exited { run, pid, status: ExitStatus::Code(1), ending: Ending::Spontaneous { after: SECOND } },
        Notice::Exited { run, pid, status: ExitStatus::Signal(9), ending: Ending::Killed },
        Notice::Killing { run, cause: KillCause::Interrupt },
        Notice::Surviving { run, since: SECOND },
        Notice::BackingOff { restart: 1, limit: Limit::Unlimited, delay: SECOND },
        Notice::Done(Outcome::GaveUp { end, reason: GiveUp::NeverRestarts }),
    ]
}

fn unix_notices() -> Vec<UnixNotice> {
    let (signal, group) = (Signal::TERM, Target::Group { group: 2 });
    let snapshot = ProcessSnapshot {
        process: process(),
        parent: 1,
        state: 'S',
        waits_in: "nanosleep".to_owned(),
        cpu: SECOND,
        over: SECOND,
        threads: 1,
        tracer: Some(3),
    };
    let rest = Some(Rest { processes: 1, running: 1, cpu: SECOND });
    let processes = || vec![process()];
    vec![
        UnixNotice::SignalReceived { signal, sender: 0 },
        UnixNotice::SignalForwarded { signal, pid: Some(2) },
        UnixNotice::SignalSent { signal, target: group.clone() },
        UnixNotice::SignalSent { signal, target: Target::Processes { processes: processes() } },
        UnixNotice::SignalSent { signal, target: Target::Leftovers { processes: processes() } },
        UnixNotice::SignalSent { signal, target: Target::Unseen {} },
        UnixNotice::SignalFailed { signal, target: group, error: error() },
        UnixNotice::SignalFailed { signal, target: Target::Processes { processes: processes() }, error: error() },
        UnixNotice::SignalDisregarded { process: process(), signal, disregard: Disregard::Blocked },
        UnixNotice::ProcessStopped { process: process(), signal: 19 },
        UnixNotice::ProcessContinued { pid: 2 },
        UnixNotice::OutOfMemory { pid: 2, kills: 1 },
        UnixNotice::LeftBehind { processes: processes() },
        UnixNotice::KeeperLost { keeper: 2 },
        UnixNotice::TerminalLent { group: 2 },
        UnixNotice::Suspended {},
        UnixNotice::Resumed {},
        UnixNotice::Autopsy { processes: vec![snapshot], rest, frozen: true },
        UnixNotice::HeartbeatMissing {
            file: "/x".into(),
            found: HeartbeatFound::Unreadable { error: error() },
            hindrance: None,
        },
        UnixNotice::HeartbeatMissing {
            file: "/x".into(),
            found: HeartbeatFound::NoFile,
            hindrance: Some(Hindrance::Denied { user: 1 }),
        },
        UnixNotice::HeartbeatLate { interval: SECOND },
        UnixNotice::Status { text: String::new() },
        UnixNotice::MessagesSummed { messages: 1 },
        UnixNotice::ProbeFailed { outcome: ProbeOutcome::Code(1), last_words: String::new() },
        UnixNotice::Trouble(Trouble::CoarseStamps),
        UnixNotice::Tick {},
    ]
}

/// The rows of the table of events: name, and fields.
fn rows() -> BTreeMap<String, BTreeSet<String>> {
    let table = include_str!("../../../EVENTS.md").split("| event | fields | when |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let words =
        |cell: &str| cell.split_whitespace().map(|word| word.trim_matches(['(', ')', '`']).to_owned()).collect();
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        (cells[1].trim().trim_matches('`').to_owned(), words(cells[2]))
    })
    .collect()
}

#[test]
fn every_event_is_documented_with_its_fields_and_no_other_is() {
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    for content in samples() {
        let value = serde_json::to_value(&content).unwrap();
        let fields = value.as_object().unwrap_or_else(|| panic!("{}: {value}", content.name())).keys().cloned();
        seen.entry(content.name().to_owned()).or_default().extend(fields);
    }
    assert_eq!(seen, rows());
}

#[test]
fn a_record_is_one_line_that_begins_with_what_all_have() {
    for content in samples() {
        let name = content.name();
        let record = Record::new(Level::Warn, content, "one\ntwo".to_owned());
        let value: serde_json::Value = serde_json::from_str(record.json()).unwrap();
        assert_eq!((&value["event"], &value["version"], &value["level"]), (&name.into(), &1.into(), &"warn".into()));
        assert_eq!(value["message"], "one\ntwo");
        assert!(!record.json().contains('\n') && std::ptr::eq(record.json(), record.json()));
    }
}

#[test]
fn what_only_the_program_knows_stands_beside() {
    let field = |notice: &Notice, name: &str| {
        let content =
            Content::Machine { notice: *notice, beside: Beside::of(notice, Condition::Stopped { signal: 19 }) };
        serde_json::to_value(&content).unwrap()[name].clone()
    };
    let [hung, done] = ["hung", "done"].map(|name| notices().into_iter().find(|notice| notice.name() == name).unwrap());
    assert_eq!((field(&hung, "stopped_by"), field(&done, "exit_code")), (19.into(), 1.into()));
    assert_eq!(field(&hung, "silence"), 1.0);
}

#[test]
fn a_record_cannot_play_with_a_terminal() {
    assert_eq!(escaped("a\u{7f}b\u{202e}c\u{e9}"), "a\\u007fb\\u202ec\u{e9}");
}

#[test]
fn times_are_told_to_the_millisecond() {
    let moment = Timestamp::from_nanosecond(1_234_567_800_000).unwrap();
    assert_eq!(time(moment), "1970-01-01T00:20:34.568Z");
}

#[test]
fn trouble_is_known_by_what_it_is_with() {
    let hook = Content::Backend(UnixNotice::Trouble(Trouble::HookFailed { error: error() }));
    assert_eq!(hook.trouble(), Some(HOOK));
    assert_eq!(Content::Trouble { with: "log", error: String::new() }.trouble(), Some("log"));
    assert_eq!((Content::Settings {}.trouble(), Content::Backend(UnixNotice::Tick {}).trouble()), (None, None));
}
