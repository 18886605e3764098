//! Each event in its very words.

use super::of_notice;
use crate::options::settings_of;
use crate::report::Standing;
use crate::report::run::{Condition, KnownRun};
use crate::report::sentences::Sentences;
use log::Level;
use std::io;
use std::time::Duration;
use supervisor_backend_unix::{
    Disregard, HeartbeatFound, Hindrance, Named, ProbeOutcome, ProcessSnapshot, Rest, Signal, Target, Trouble,
    UnixNotice,
};
use supervisor_core::{
    DelayCause, End, Ending, Evidence, ExitStatus, GiveUp, KillCause, Limit, Notice, OnHang, Outcome, RunId,
    StartFailure, StartFailureKind,
};

const SECOND: Duration = Duration::from_secs(1);
const RUN: RunId = RunId(1);

fn known() -> KnownRun {
    let mut known = KnownRun::default();
    known.take(&Notice::Started { run: RUN, pid: 7 }, supervisor_core::Instant::ORIGIN);
    known
}

/// What a notice of the backend is in words.
fn backend(options: &[&str], notice: &UnixNotice) -> (Level, String) {
    Sentences::new(&settings_of(options)).backend(notice, &known(), &Standing::FIRST)
}

fn process() -> Named {
    Named { pid: 2, name: "sh".to_owned() }
}

fn processes() -> Vec<Named> {
    vec![process(), Named { pid: 3, name: "cat".to_owned() }]
}

fn denied() -> io::Error {
    io::Error::from_raw_os_error(13)
}

#[test]
fn signals() {
    let (signal, kill) = (Signal::TERM, Signal::KILL);
    let table = [
        (UnixNotice::SignalReceived { signal, sender: 0 }, Level::Info, "the supervisor got SIGTERM"),
        (UnixNotice::SignalReceived { signal, sender: 5 }, Level::Info, "the supervisor got SIGTERM from pid 5"),
        (
            UnixNotice::SignalForwarded { signal, pid: Some(7) },
            Level::Info,
            "the supervisor passed SIGTERM on to pid 7",
        ),
        (
            UnixNotice::SignalForwarded { signal, pid: None },
            Level::Info,
            "the supervisor got SIGTERM, and nothing runs that it could pass it on to",
        ),
        (
            UnixNotice::SignalSent { signal, target: Target::Group { group: 7 } },
            Level::Info,
            "the supervisor sent SIGTERM to process group 7",
        ),
        (
            UnixNotice::SignalSent { signal: kill, target: Target::Processes { processes: processes() } },
            Level::Info,
            "the supervisor sent SIGKILL to pid 2 (sh), pid 3 (cat)",
        ),
        (
            UnixNotice::SignalSent { signal, target: Target::Leftovers { processes: processes() } },
            Level::Info,
            "the supervisor sent SIGTERM to leftovers: pid 2 (sh), pid 3 (cat)",
        ),
        (
            UnixNotice::SignalSent { signal: kill, target: Target::Leftovers { processes: processes() } },
            Level::Warn,
            "the supervisor sent SIGKILL to leftovers: pid 2 (sh), pid 3 (cat)",
        ),
        (
            UnixNotice::SignalSent { signal: kill, target: Target::Unseen {} },
            Level::Warn,
            "the supervisor sent SIGKILL to leftovers that it cannot see, if there are any",
        ),
        (
            UnixNotice::SignalFailed { signal, target: Target::Group { group: 7 }, error: denied() },
            Level::Warn,
            "the supervisor cannot send SIGTERM to process group 7: Permission denied (os error 13)",
        ),
        (
            UnixNotice::SignalDisregarded { process: process(), signal, disregard: Disregard::Ignored },
            Level::Warn,
            "pid 2 (sh) ignores SIGTERM, so that it does not leave: have it handle the signal, or name another with \
             --stop-signal",
        ),
        (
            UnixNotice::SignalDisregarded { process: process(), signal, disregard: Disregard::Blocked },
            Level::Warn,
            "pid 2 (sh) blocks SIGTERM, so that it does not leave: have it handle the signal, or name another with \
             --stop-signal",
        ),
    ];
    for (notice, level, words) in table {
        assert_eq!(backend(&[], &notice), (level, words.to_owned()));
    }
    let of_probes = backend(&["--probe", "true"], &UnixNotice::MessagesSummed { messages: 1 });
    let words = "1 more message of pid 7 or of its probes came too fast to be shown one by one";
    assert_eq!(of_probes, (Level::Info, words.to_owned()));
}

#[test]
fn processes_and_messages() {
    let table = [
        (
            UnixNotice::ProcessStopped { process: process(), signal: 19 },
            Level::Warn,
            "pid 2 (sh) is stopped by SIGSTOP",
        ),
        (
            UnixNotice::ProcessStopped { process: process(), signal: Signal::TTIN.number() },
            Level::Warn,
            "pid 2 (sh) is stopped by SIGTTIN: it reads the terminal from the background; redirect its input, as in < \
             /dev/null",
        ),
        (UnixNotice::ProcessContinued { pid: 7 }, Level::Info, "pid 7 goes on"),
        (
            UnixNotice::OutOfMemory { pid: 7, kills: 1 },
            Level::Warn,
            "run 1: pid 7 was killed by SIGKILL, and the kernel counted 1 kill for want of memory in its cgroup",
        ),
        (
            UnixNotice::LeftBehind { processes: processes() },
            Level::Warn,
            "run 1: the command exited with code 0 and left processes behind (pid 2 (sh), pid 3 (cat)), which the \
             supervisor ends: if it puts itself into the background, have it run in the foreground",
        ),
        (
            UnixNotice::LeftBehind { processes: vec![] },
            Level::Warn,
            "run 1: the command exited with code 0 and left processes behind, which the supervisor ends: if it puts itself into \
             the background, have it run in the foreground",
        ),
        (
            UnixNotice::KeeperLost { keeper: 6 },
            Level::Warn,
            "run 1: its keeper, pid 6, was killed; the supervisor kills what is left of the command",
        ),
        (
            UnixNotice::TerminalLent { group: 7 },
            Level::Info,
            "the supervisor lent the terminal to process group 7, until pid 7 ends",
        ),
        (
            UnixNotice::Suspended {},
            Level::Info,
            "the terminal has stopped the supervisor and the command, as Ctrl-Z asks; fg lets them go on",
        ),
        (UnixNotice::Resumed {}, Level::Info, "the supervisor and the command go on"),
        (UnixNotice::Status { text: "up\n".to_owned() }, Level::Info, "status of pid 7: up\\n"),
        (
            UnixNotice::MessagesSummed { messages: 2 },
            Level::Info,
            "2 more messages of pid 7 came too fast to be shown one by one",
        ),
    ];
    for (notice, level, words) in table {
        assert_eq!(backend(&[], &notice), (level, words.to_owned()));
    }
}

#[test]
fn hangs_and_probes() {
    let snapshot = ProcessSnapshot {
        process: process(),
        parent: 1,
        state: 'S',
        waits_in: String::new(),
        cpu: SECOND,
        over: SECOND,
        threads: 1,
        tracer: None,
    };
    let rest = Some(Rest { processes: 2, running: 1, cpu: SECOND });
    let (one, more) = (
        "autopsy: pid 2 (sh): state S (sleeping), used 1 s of CPU in the last 1 s, 1 thread",
        "autopsy: 2 more processes, 1 of them running, used 1 s of CPU",
    );
    let frozen = "autopsy: the cgroup of the command is frozen: none of its processes can run";
    let whole = UnixNotice::Autopsy { processes: vec![snapshot.clone()], rest, frozen: true };
    assert_eq!(backend(&[], &whole), (Level::Warn, format!("{frozen}\n{one}\n{more}")));
    let plain = UnixNotice::Autopsy { processes: vec![snapshot], rest: None, frozen: false };
    assert_eq!(backend(&[], &plain), (Level::Warn, one.to_owned()));

    let found = [
        (HeartbeatFound::NoFolder, "the folder of the heartbeat file /x is not there"),
        (HeartbeatFound::NoFile, "there is no heartbeat file /x"),
        (
            HeartbeatFound::OldFile,
            "the heartbeat file /x is older than this run: nothing has touched it since the start",
        ),
        (
            HeartbeatFound::Unreadable { error: denied() },
            "the heartbeat file /x cannot be looked at: Permission denied (os error 13)",
        ),
    ];
    for (found, words) in found {
        let (level, told) = backend(&[], &UnixNotice::HeartbeatMissing { file: "/x".into(), found, hindrance: None });
        assert!(level == Level::Warn && told.starts_with(&format!("run 1: no heartbeat came: {words}; ")), "{told}");
    }
    let denied_to = Hindrance::Denied { user: 7 };
    let hindered = [
        (HeartbeatFound::NoFile, Hindrance::ReadOnly {}, "/x, on a read-only file system; name a file on another file"),
        (
            HeartbeatFound::NoFile,
            denied_to,
            "of the command, 7, may not write to its folder; let that user write there; or ",
        ),
        (HeartbeatFound::OldFile, denied_to, "of the command, 7, may not write it; let that user write there; or "),
    ];
    for (found, hindrance, words) in hindered {
        let notice = UnixNotice::HeartbeatMissing { file: "/x".into(), found, hindrance: Some(hindrance) };
        let told = backend(&[], &notice).1;
        assert!(told.contains(words), "{told}");
    }
    let missing = |found| backend(&[], &UnixNotice::HeartbeatMissing { file: "/x".into(), found, hindrance: None }).1;
    assert!(missing(HeartbeatFound::NoFolder).contains("is not there; make that folder; or have the command touch"));
    assert!(missing(HeartbeatFound::NoFile).contains("there is no heartbeat file /x; have the command touch"));
    let late = UnixNotice::HeartbeatLate { interval: SECOND * 25 };
    let words = "run 1: a heartbeat came 25 s after the one before it, or after the start: the command is slow rather \
                 than hung; raise --timeout";
    assert_eq!(backend(&[], &late), (Level::Warn, format!("{words}, which is 20 s, above that")));
    assert_eq!(backend(&["--no-heartbeat"], &late), (Level::Warn, words.to_owned()));

    let probes = [
        (ProbeOutcome::Code(7), "", "the probe exited with code 7"),
        (ProbeOutcome::Signal(9), "", "the probe was killed by SIGKILL"),
        (
            ProbeOutcome::TimedOut,
            "no\x1b",
            "the probe took longer than the timeout, and the supervisor killed it; it said: no\\u{1b}",
        ),
        (ProbeOutcome::Unfinished, "", "the probe was still running when the supervisor found that the command hangs"),
        (ProbeOutcome::NotStarted("why\n".to_owned()), "", "the probe could not be started: why\\n"),
    ];
    for (outcome, last_words, words) in probes {
        let notice = UnixNotice::ProbeFailed { outcome, last_words: last_words.to_owned() };
        assert_eq!(backend(&[], &notice), (Level::Warn, words.to_owned()));
    }
}

#[test]
fn the_hang_signal_is_told_apart_from_the_stop_signal() {
    let exited = |options: &[&str], signal| {
        let notice = Notice::Exited { run: RUN, pid: 7, status: ExitStatus::Signal(signal), ending: Ending::Asked };
        of_notice(options, notice, &known())
    };
    let by_quit = "run 1: pid 7 was killed by SIGQUIT, ";
    let hang = format!("{by_quit}the hang signal");
    assert_eq!(exited(&["--hang-signal", "QUIT"], 3), hang);
    let asked = format!("{by_quit}after the supervisor had asked it to leave");
    assert_eq!(exited(&["--hang-signal", "QUIT", "--stop-signal", "QUIT"], 3), asked);
    assert_eq!(exited(&["--hang-signal", "USR1"], 3), asked);
    assert_eq!(exited(&[], 3), asked);
    let asked = "run 1: pid 7 was killed by SIGTERM, after the supervisor had asked it to leave";
    assert_eq!(exited(&[], 15), asked);
}

#[test]
fn troubles() {
    let (waited, error) = (SECOND * 2, denied);
    let table = [
        (
            Trouble::StartUnanswered { waited },
            "the command's file system has not answered for 2 s; until it does, the supervisor cannot execute the command",
        ),
        (
            Trouble::HeartbeatUnanswered { waited },
            "the file system of /x has not answered for 2 s; until it does, the supervisor finds no hang",
        ),
        (
            Trouble::HeartbeatUnreadable { error: io::ErrorKind::NotFound.into() },
            "the folder of the heartbeat file /x is not there; until it is, the supervisor sees no heartbeat",
        ),
        (
            Trouble::HeartbeatUnreadable { error: error() },
            "the supervisor cannot look at the heartbeat file /x, which counts as silence: Permission denied (os error 13)",
        ),
        (
            Trouble::ProcessesInvisible { error: error() },
            "/proc does not show the command's processes, so that the supervisor can name and examine none of \
             them: Permission denied (os error 13)",
        ),
        (
            Trouble::LeftoversUnseen { error: error() },
            "the supervisor cannot see just now what the command has left behind, and tries again: Permission denied (os error 13)",
        ),
        (
            Trouble::KeeperStuck { keeper: 6 },
            "the keeper, pid 6, does not take orders: a debugger or a frozen cgroup holds it; the supervisor kills it, \
             and all that it keeps",
        ),
        (
            Trouble::Unreaped { pid: 7 },
            "pid 7 has ended, but the debugger that traces it has not let go of it; the supervisor waits for the debugger",
        ),
        (
            Trouble::NoSocketFolder { error: error() },
            "--notify: the supervisor can make no folder for the socket, so that NOTIFY_SOCKET is an abstract name, which not all \
             libraries know: Permission denied (os error 13)",
        ),
        (
            Trouble::MessageRefused { error: error() },
            "--notify: the supervisor ignored a message: Permission denied (os error 13)",
        ),
        (Trouble::HookFailed { error: error() }, "--on-event: Permission denied (os error 13)"),
    ];
    for (trouble, words) in table {
        let notice = UnixNotice::Trouble(trouble);
        assert_eq!(backend(&["--heartbeat-file", "/x"], &notice), (Level::Warn, words.to_owned()));
    }
}

#[test]
fn coarse_stamps_are_a_trouble_where_a_silence_is_short() {
    let told = |timeout| {
        backend(&["--heartbeat-file", "/x", "--timeout", timeout], &UnixNotice::Trouble(Trouble::CoarseStamps))
    };
    let words = "the time stamps of /x have whole seconds only";
    assert_eq!(told("3"), (Level::Debug, words.to_owned()));
    let more = "so that the supervisor finds hangs later than 2.9 s allows; use a --timeout of 3 s or more, or a file on \
                another file system";
    assert_eq!(told("2.9"), (Level::Warn, format!("{words}, {more}")));
}

#[test]
fn decisions_of_a_run() {
    let (run, pid, grace_period) = (RUN, 7, SECOND * 5);
    let evidence = Evidence::Report {};
    let on_hang = OnHang::Signal { grace_period: SECOND * 3 };
    let exited = |status, ending| Notice::Exited { run, pid, status, ending };
    let (failed, done) = (ExitStatus::Code(1), ExitStatus::Code(0));
    let table = [
        (
            Notice::Heartbeat { run, pid, first: true, ago: SECOND },
            Level::Info,
            "run 1: the supervisor saw a heartbeat of pid 7 for the first time; the latest one came 1 s ago",
        ),
        (
            Notice::Heartbeat { run, pid, first: false, ago: SECOND },
            Level::Debug,
            "run 1: the last heartbeat came 1 s ago",
        ),
        (
            Notice::Delayed { run, pid, late: SECOND, extension: SECOND * 2, cause: DelayCause::Supervisor },
            Level::Warn,
            "run 1: the supervisor itself could not run for 1 s; pid 7 has 2 s more to show a heartbeat",
        ),
        (
            Notice::Delayed { run, pid, late: SECOND, extension: SECOND * 2, cause: DelayCause::Look },
            Level::Warn,
            "run 1: the look at the heartbeat file took 1 s; pid 7 has 2 s more to show a heartbeat",
        ),
        (
            Notice::Hung { run, pid, evidence, on_hang, grace_period },
            Level::Warn,
            "run 1: hung, as pid 7 reports; the supervisor sends SIGQUIT, asks it to leave by SIGTERM after 3 s, and sends SIGKILL 5 s \
             later",
        ),
        (
            Notice::HangGraceOver { run, pid, grace_period },
            Level::Warn,
            "run 1: pid 7 is still there after SIGQUIT: the supervisor asks it to leave by SIGTERM, and sends SIGKILL in 5 s",
        ),
        (Notice::Ready { run, pid }, Level::Info, "run 1: pid 7 is ready"),
        (Notice::Leaving { run, pid }, Level::Info, "run 1: pid 7 begins to leave"),
        (Notice::TimeoutSet { run, pid, timeout: SECOND }, Level::Info, "run 1: pid 7 has set its timeout to 1 s"),
        (Notice::Extended { run, pid, by: SECOND }, Level::Info, "run 1: pid 7 needs more time: 1 s from now"),
        (Notice::StreakEnded { run, pid }, Level::Info, "run 1: pid 7 has ended the streak of restarts"),
        (
            Notice::Stopping { run, grace_period },
            Level::Info,
            "run 1: stopping: the supervisor asks the command to leave by SIGTERM, and sends SIGKILL in 5 s",
        ),
        (
            Notice::StoppingInstead { run },
            Level::Info,
            "run 1: stopping: the command is leaving already, and the supervisor will not start it again",
        ),
        (
            Notice::Restarting { run, grace_period },
            Level::Info,
            "run 1: restarting: the supervisor asks the command to leave by SIGTERM, and sends SIGKILL in 5 s",
        ),
        (
            Notice::RestartingInstead { run },
            Level::Info,
            "run 1: restarting: the command has ended or is leaving already, and the supervisor starts it again at once",
        ),
        (
            exited(failed, Ending::Spontaneous { after: SECOND }),
            Level::Warn,
            "run 1: pid 7 exited with code 1 after 1 s",
        ),
        (exited(done, Ending::Spontaneous { after: SECOND }), Level::Info, "run 1: pid 7 exited with code 0 after 1 s"),
        (
            exited(failed, Ending::Asked),
            Level::Info,
            "run 1: pid 7 exited with code 1, after the supervisor had asked it to leave",
        ),
        (
            exited(ExitStatus::Signal(9), Ending::Killed),
            Level::Info,
            "run 1: pid 7 was killed by SIGKILL, which the supervisor sent",
        ),
        (exited(failed, Ending::Killed), Level::Info, "run 1: pid 7 exited with code 1, before SIGKILL reached it"),
        (
            Notice::Killing { run, cause: KillCause::GracePeriodOver },
            Level::Warn,
            "run 1: the command is still there after the grace period of 5 s: the supervisor kills it",
        ),
        (
            Notice::Killing { run, cause: KillCause::Interrupt },
            Level::Warn,
            "run 1: a SIGINT during the stop asks to stop at once: the supervisor kills the command",
        ),
        (
            Notice::Surviving { run, since: SECOND },
            Level::Warn,
            "run 1: something of the command got SIGKILL, and has not ended yet: it waits in the kernel, perhaps for a disk; the supervisor \
             has waited 1 s for its end",
        ),
        (
            Notice::BackingOff { restart: 2, limit: Limit::Times(3), delay: SECOND },
            Level::Info,
            "the supervisor starts sleep again: restart 2 of 3 in 1 s",
        ),
        (
            Notice::BackingOff { restart: 2, limit: Limit::Unlimited, delay: SECOND },
            Level::Info,
            "the supervisor starts sleep again: restart 2 in 1 s",
        ),
        (Notice::Done(Outcome::Finished), Level::Info, "finished: the supervisor ends with exit code 0"),
        (Notice::Done(Outcome::Stopped), Level::Info, "stopped: the supervisor ends with exit code 0"),
        (
            Notice::Done(Outcome::Killed),
            Level::Warn,
            "stopped: the supervisor had to kill pid 7, and ends with exit code 137",
        ),
    ];
    let sentences = Sentences::new(&settings_of(&["--hang-signal", "QUIT"]));
    for (notice, level, words) in table {
        assert_eq!(sentences.machine(notice, &known()), (level, words.to_owned()));
    }
}

#[test]
fn starts_that_fail_and_ends_that_stay() {
    let failed = |kind, os_error| Notice::StartFailed { run: RUN, failure: StartFailure { kind, os_error } };
    let words = |notice| Sentences::new(&settings_of(&[])).machine(notice, &known());
    let busy = words(failed(StartFailureKind::Passing, 26));
    assert_eq!(
        busy,
        (Level::Error, "run 1: the supervisor cannot start sleep: Text file busy (os error 26)".to_owned())
    );
    let (level, missing) = words(failed(StartFailureKind::NotFound, 2));
    assert!(
        level == Level::Error
            && missing.starts_with("run 1: the supervisor cannot start \"sleep\": not found; it is in none of")
    );
    let gave_up = |end| words(Notice::Done(Outcome::GaveUp { end, reason: GiveUp::NeverRestarts }));
    let killed = gave_up(End::Exited(ExitStatus::Signal(9)));
    let expected = "giving up: --restart never allows no restart; the last run was killed by SIGKILL; the supervisor ends with exit code 137";
    assert_eq!(killed, (Level::Error, expected.to_owned()));
}

#[test]
fn a_hang_of_a_stopped_command_names_the_signal() {
    let mut known = known();
    known.condition = Condition::Stopped { signal: 19 };
    let evidence = Evidence::Silence { silence: SECOND * 20 };
    let hung = Notice::Hung { run: RUN, pid: 7, evidence, on_hang: OnHang::Stop, grace_period: SECOND };
    let words = of_notice(&[], hung, &known);
    assert_eq!(
        words,
        "run 1: hung: pid 7 was silent for 20 s, stopped by SIGSTOP; the supervisor asks it to leave by SIGTERM, and sends SIGKILL in 1 s"
    );
}

#[test]
fn policies() {
    let words = |options: &[&str]| Sentences::new(&settings_of(options)).settings();
    let hang =
        words(&["--hang-signal", "QUIT", "--hang-grace-period", "3", "--heartbeat-file", "/x", "--probe", "true"]);
    for part in [
        "the command counts as hung after 20 s of silence of /x and of the probe; ",
        "the supervisor sends SIGQUIT to a hung command, and waits 3 s; the supervisor asks the command to leave by \
         SIGTERM, and kills it 5 s later; ",
    ] {
        assert!(hang.contains(part), "{hang}");
    }
    let delayed = words(&["--initial-check-delay", "4", "--heartbeat-file", "/x"]);
    assert!(delayed.contains("silence of /x, not counted in the first 4 s of a run; "), "{delayed}");
    for (options, part) in [
        (&["--restart", "never"][..], "; the supervisor never restarts it; "),
        (
            &["--restart", "always", "--max-restarts", "1"],
            "; the supervisor restarts it whenever it ends, 1 time in a row at most; ",
        ),
        (&["--max-restarts", "3"], "; the supervisor restarts it when it fails, 3 times in a row at most; "),
        (&["--backoff-jitter", "0.125"], "doubles each time, stretched by up to 12.5 %; "),
    ] {
        let words = words(options);
        assert!(words.contains(part), "{words}");
    }
}
