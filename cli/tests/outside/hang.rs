//! Silence of the heartbeat file is noticed in time, and never too early.

use crate::support::{
    End, NOTE_BEAT, Place, Supervised, boot, now, signal, state, wait_for_file, wait_until, without_silence,
};
use std::cell::Cell;
use std::time::Duration;

/// A file stamp may lie one tick of the file system's clock before the write.
const TICK: f64 = 0.010;

/// Notes when it is asked to leave.
const NOTE_TERM: &str = "trap 'date +%s.%N >> asked; exit 0' TERM;";

/// Idles, and notes when it did so last.
const IDLE: &str = "while :; do read boot idle < /proc/uptime; echo $boot > idled; sleep 0.01; done";

/// Runs a command that idles until it is asked to leave. On a machine that has too much to do the command may stand still
/// just then, and cannot tell when it was asked: it is run again.
fn until_asked(run: impl Fn(&Place) -> End) -> (Place, End) {
    const STILL: f64 = 0.5;
    for _ in 0..20 {
        let place = Place::new();
        let end = run(&place);
        if let ([asked, ..], [idled, ..]) = (&place.numbers("asked")[..], &place.numbers("idled")[..])
            && asked - boot() - idled < STILL
        {
            return (place, end);
        }
    }
    panic!("this machine has too much to do");
}

#[test]
fn a_command_that_never_beats_hangs_after_one_timeout() {
    let script = format!("date +%s.%N > started; {NOTE_TERM} {IDLE}");
    let before = Cell::new(0.0);
    let (place, end) = until_asked(|place| {
        before.set(now());
        place.run(&["--timeout", "0.7", "--max-restarts", "0"], &script)
    });
    end.assert_code(124);
    let asked = place.numbers("asked")[0];
    assert!(asked >= before.get() + 0.7, "asked after {}", asked - before.get());
    assert!(asked <= place.numbers("started")[0] + 0.7 + 2.0);
}

#[test]
fn silence_counts_from_the_last_heartbeat() {
    let script = format!(
        "{NOTE_TERM} for i in 1 2 3 4 5 6; do date +%s.%N > heartbeat.txt; cp heartbeat.txt last; sleep 0.2; done; {IDLE}"
    );
    let (place, end) = until_asked(|place| place.run(&["--timeout", "0.7", "--max-restarts", "0"], &script));
    end.assert_code(124);
    let silence = place.numbers("asked")[0] - place.numbers("last")[0];
    assert!(silence >= 0.7 - TICK, "asked after {silence} s of silence");
    assert!(silence <= 0.7 + 2.0, "asked after {silence} s of silence");
    end.assert_tells(&["for the first time", "hung: pid", "silent for "]);
}

/// Shows that each of these is a heartbeat: made eight times per timeout, they keep a command alive for two and a half.
fn keeps_alive(prepare: &str, beat: &str) {
    let script = format!(
        "{prepare}; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do {NOTE_BEAT}; {beat}; sleep 0.25; done"
    );
    let options = ["--timeout", "2", "--heartbeat-file", "beat", "--max-restarts", "0"];
    let (_, end) = without_silence(2.0, |place| place.run(&options, &script));
    assert_eq!((end.code, end.count("hung")), (Some(0), 0), "{beat}: {}", end.log);
}

#[test]
fn a_rewrite_is_a_heartbeat() {
    keeps_alive(":", "echo > beat");
}

#[test]
fn a_touch_is_a_heartbeat() {
    keeps_alive(":", "touch beat");
}

#[test]
fn a_touch_that_keeps_the_time_stamp_is_a_heartbeat() {
    keeps_alive("touch beat", "touch -d @1000000000 beat");
}

#[test]
fn a_time_stamp_in_the_future_is_a_heartbeat() {
    keeps_alive(":", "touch -d 'now + 1 hour' beat");
}

#[test]
fn a_replacement_is_a_heartbeat() {
    keeps_alive(":", "echo > new; mv new beat");
}

#[test]
fn a_file_made_again_is_a_heartbeat() {
    keeps_alive(":", "rm -f beat; echo > beat");
}

#[test]
fn a_changed_link_is_a_heartbeat() {
    keeps_alive(":", "echo > file.$i; ln -sf file.$i beat");
}

#[test]
fn writing_into_a_fifo_is_a_heartbeat() {
    keeps_alive("mkfifo beat; exec 3<>beat", "echo >&3");
}

#[test]
fn a_file_left_from_before_is_no_heartbeat() {
    let script = format!("{NOTE_TERM} {IDLE}");
    let before = Cell::new(0.0);
    let (place, end) = until_asked(|place| {
        std::fs::write(place.path("heartbeat.txt"), "old").unwrap();
        before.set(now());
        place.run(&["--timeout", "0.5", "--max-restarts", "0"], &script)
    });
    end.assert_code(124);
    assert_eq!(end.count("heartbeat of"), 0, "{}", end.log);
    let waited = place.numbers("asked")[0] - before.get();
    assert!((0.5..2.5).contains(&waited), "{waited}");
    assert_eq!(place.read("heartbeat.txt"), "old");
}

#[test]
fn deleting_the_file_is_no_heartbeat() {
    let place = Place::new();
    std::fs::write(place.path("heartbeat.txt"), "old").unwrap();
    let end = place.run(&["--timeout", "3", "--max-restarts", "0"], "rm heartbeat.txt; exec sleep 1000");
    end.assert_code(124);
    assert_eq!(end.count("heartbeat of"), 0, "{}", end.log);
    assert!(!place.path("heartbeat.txt").exists());
}

#[test]
fn the_initial_delay_does_not_count_as_silence() {
    let script = format!("{NOTE_TERM} {IDLE}");
    let options = ["--timeout", "0.3", "--initial-check-delay", "0.8", "--max-restarts", "0"];
    let before = Cell::new(0.0);
    let (place, end) = until_asked(|place| {
        before.set(now());
        place.run(&options, &script)
    });
    end.assert_code(124);
    let asked = place.numbers("asked")[0];
    // How long the program takes until it starts the command does not matter.
    let (most, least) = (asked - before.get(), asked - end.time_of(": started "));
    assert!(most >= 1.1 && least < 3.1, "{most} {least}");
}

#[test]
fn each_start_has_its_initial_delay() {
    let options = ["--timeout", "0.4", "--initial-check-delay", "2.5", "--max-restarts", "4", "--backoff-factor", "0"];
    // All of them together last longer.
    let (_, end) = without_silence(2.9, |place| place.run(&options, "sleep 0.8; exit 1"));
    end.assert_code(1);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
}

#[test]
fn without_heartbeat_nothing_hangs() {
    let place = Place::new();
    let mut command = place.supervisor(["--no-heartbeat", "sh", "-c", "sleep 0.5"]);
    command.env("SUPERVISOR_TIMEOUT", "0.05");
    let end = Supervised::start(command).end();
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
}

#[test]
fn a_hung_command_is_restarted_after_the_grace_period() {
    let place = Place::new();
    let script = "trap '' TERM; read boot idle < /proc/uptime; echo $boot >> starts; while :; do sleep 0.01; done";
    let options = ["--timeout", "2", "--grace-period", "0.4", "--backoff-factor", "0.2", "--max-restarts", "1"];
    let end = place.run(&options, script);
    end.assert_code(124);
    assert_eq!(place.numbers("starts").len(), 2);
    // Both times are noted a little after the fact.
    let grace = end.time_of("sent SIGKILL") - end.time_of("sent SIGTERM");
    assert!((0.3..2.4).contains(&grace), "{grace}: {}", end.log);
    end.assert_tells(&[
        "hung",
        "sent SIGTERM",
        "grace period",
        "sent SIGKILL",
        "killed by SIGKILL",
        "restart 1 of 1 in 0.2 s",
    ]);
}

#[test]
fn a_hang_may_have_a_signal_of_its_own() {
    let place = Place::new();
    let script = "trap 'echo stop >> got' TERM; trap 'echo hang >> got; exit 0' USR1; while :; do sleep 0.01; done";
    let options = ["--timeout", "3", "--hang-signal", "USR1", "--max-restarts", "0"];
    place.run(&options, script).assert_code(124);
    assert_eq!(place.read("got"), "hang\n");
}

#[test]
fn a_stopped_command_is_named_so_and_gets_to_see_its_signal() {
    let place = Place::new();
    let script = "trap 'echo TERM > got; exit 0' TERM; kill -STOP $$; while :; do sleep 0.01; done";
    let mut supervised = place.start(&["--timeout", "3", "--max-restarts", "0"], script);
    let told = supervised.wait_for_line("is stopped by SIGSTOP");
    assert!(told.contains("(sh)"), "{told}");
    let end = supervised.end();
    end.assert_code(124);
    end.assert_tells(&[
        "started",
        "is stopped by SIGSTOP",
        "hung",
        "stopped by SIGSTOP",
        "sent SIGTERM",
        "sent SIGCONT",
    ]);
    assert_eq!(place.read("got"), "TERM\n");
}

#[test]
fn a_supervisor_that_was_paused_does_not_kill_a_healthy_command() {
    let script = format!("while :; do {NOTE_BEAT}; echo > heartbeat.txt; sleep 0.05; done");
    let (_, end) = without_silence(0.5, |place| {
        let mut supervised = place.start(&["--timeout", "0.5", "--max-restarts", "0"], &script);
        wait_for_file(&place.path("beats"));
        supervised.signal("STOP");
        let paused = now();
        wait_until("two timeouts are over", || now() > paused + 1.0);
        supervised.signal("CONT");
        supervised.line_or_end("for the first time");
        supervised.signal("TERM");
        supervised.end()
    });
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
}

#[test]
fn a_frozen_container_wakes_up_unharmed() {
    let place = Place::new();
    let script = "while :; do echo > heartbeat.txt; echo >> beats; sleep 0.05; done";
    let mut supervised = place.start(&["--timeout", "4", "--max-restarts", "0"], script);
    let command = supervised.command_pid();
    wait_for_file(&place.path("beats"));
    supervised.signal("STOP");
    signal(command, "STOP");
    let frozen = now();
    wait_until("three timeouts are over", || now() > frozen + 12.0);
    supervised.signal("CONT");
    wait_until("the supervisor looks", || state(supervised.pid()) == Some('S'));
    let beats = place.read("beats").len();
    signal(command, "CONT");
    wait_until("it beats", || place.read("beats").len() > beats + 20);
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
}

#[test]
fn between_deadlines_nothing_wakes_the_supervisor() {
    let place = Place::new();
    let script =
        "i=0; while [ $i -lt 200 ]; do echo > heartbeat.txt; i=$((i+1)); done; echo done > beaten; exec sleep 1000";
    let mut supervised = place.start(&["--timeout", "50"], script);
    supervised.command_pid();
    wait_for_file(&place.path("beaten"));
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", supervised.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    wait_until("it sleeps", || state(supervised.pid()) == Some('S'));
    let before = switches();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(switches(), before, "the supervisor woke up");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn an_unreadable_heartbeat_is_told_once_and_counts_as_silence() {
    let place = Place::new();
    std::os::unix::fs::symlink("heartbeat.txt", place.path("heartbeat.txt")).unwrap();
    let options = ["--timeout", "0.2", "--max-restarts", "2", "--backoff-factor", "0"];
    let end = place.run(&options, "exec sleep 1000");
    end.assert_code(124);
    assert_eq!(end.count("cannot look at the heartbeat file"), 1, "{}", end.log);
    assert_eq!(end.count(": hung:"), 3, "{}", end.log);
}

#[test]
fn a_heartbeat_without_a_directory_is_told() {
    let place = Place::new();
    let options = ["--heartbeat-file", "no/such/beat", "--timeout", "0.2", "--max-restarts", "0"];
    let end = place.run(&options, "exec sleep 1000");
    end.assert_code(124);
    assert_eq!(end.count("until it is, the supervisor sees no heartbeat"), 1, "{}", end.log);
}
