//! When and how often a command is started again.

use crate::support::{Place, Supervised, now};

/// Notes when each run starts and ends.
const FAIL: &str = "date +%s.%N >> starts; date +%s.%N >> ends; exit 1";

/// The pauses between runs, which are never shorter than the delays.
fn gaps(place: &Place) -> Vec<f64> {
    let (starts, ends) = (place.numbers("starts"), place.numbers("ends"));
    starts[1..].iter().zip(&ends).map(|(start, end)| start - end).collect()
}

#[track_caller]
fn assert_gaps(place: &Place, expected: &[f64]) {
    let gaps = gaps(place);
    assert_eq!(gaps.len(), expected.len(), "{gaps:?}");
    for (gap, expected) in gaps.iter().zip(expected) {
        assert!(gap >= expected && *gap < expected + 2.0, "{gaps:?} instead of {expected:?}");
    }
}

#[test]
fn delays_double() {
    let place = Place::new();
    let end = place.run(&["--max-restarts", "3", "--backoff-factor", "0.2"], FAIL);
    end.assert_code(1);
    assert_gaps(&place, &[0.2, 0.4, 0.8]);
    end.assert_tells(&[
        "restart 1 of 3 in 0.2 s",
        "restart 2 of 3 in 0.4 s",
        "restart 3 of 3 in 0.8 s",
        "the supervisor has made the 3 restarts in a row that --max-restarts allows",
    ]);
}

#[test]
fn delays_have_a_ceiling() {
    let place = Place::new();
    place.run(&["--max-restarts", "4", "--backoff-factor", "0.1", "--max-backoff", "0.25"], FAIL).assert_code(1);
    assert_gaps(&place, &[0.1, 0.2, 0.25, 0.25]);
}

#[test]
fn delays_are_stretched_at_random() {
    let place = Place::new();
    let options = ["--max-restarts", "5", "--backoff-factor", "0.1", "--max-backoff", "0.1", "--backoff-jitter", "1"];
    let end = place.run(&options, FAIL);
    let delays: Vec<f64> = end
        .log
        .lines()
        .filter_map(|line| line.split_once(" of 5 in "))
        .map(|(_, delay)| delay.trim_end_matches(" s").parse().unwrap())
        .collect();
    assert_eq!(delays.len(), 5, "{}", end.log);
    assert!(delays.iter().all(|delay| (0.1..=0.2).contains(delay)), "{delays:?}");
    assert!(delays.iter().any(|delay| delay != &delays[0]), "{delays:?}");
    for (gap, delay) in gaps(&place).iter().zip(&delays) {
        assert!(*gap >= delay - 0.001, "{gap} instead of {delay}");
    }
}

#[test]
fn a_long_delay_without_a_ceiling_is_a_warning() {
    let place = Place::new();
    let mut supervised = place.start(&["--backoff-factor", "301"], "exit 1");
    supervised.wait_for_line("--max-backoff");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_healthy_run_ends_the_streak() {
    let place = Place::new();
    let script = "echo $SUPERVISED_RESTARTS >> restarts; test $(wc -l < restarts) = 3 && sleep 1.2; exit 1";
    let options = ["--max-restarts", "2", "--backoff-factor", "0.01", "--reset-after", "1"];
    place.run(&options, script).assert_code(1);
    assert_eq!(place.read("restarts").split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "1", "2"]);
}

#[test]
fn a_run_that_hung_was_healthy_until_its_last_heartbeat() {
    // It lives for longer than --reset-after, but shows its last heartbeat before that.
    let place = Place::new();
    let script = "echo $SUPERVISED_RESTARTS >> restarts; echo > heartbeat.txt; exec sleep 1000";
    let options = ["--timeout", "4.8", "--max-restarts", "1", "--backoff-factor", "0.01", "--reset-after", "4"];
    place.run(&options, script).assert_code(124);
    assert_eq!(place.read("restarts").split_whitespace().collect::<Vec<_>>(), ["0", "1"]);
}

#[test]
fn restarts_without_limit_go_on() {
    let place = Place::new();
    let script = "echo run >> runs; test $(wc -l < runs) -ge 20 && exit 0; exit 1";
    place.run(&["--max-restarts", "-1", "--backoff-factor", "0"], script).assert_code(0);
    assert_eq!(place.read("runs").lines().count(), 20);
}

#[test]
fn a_stop_during_the_delay_leaves_at_once() {
    for signal in ["TERM", "INT"] {
        let place = Place::new();
        let mut supervised = place.start(&["--backoff-factor", "50"], "exit 1");
        supervised.wait_for_line("restart 1 in 50 s");
        let asked = now();
        supervised.signal(signal);
        let end = supervised.end();
        end.assert_code(0);
        assert!(now() - asked < 20.0);
        assert_eq!(end.count("started"), 1);
    }
}

#[test]
fn a_thousand_restarts_leave_nothing_behind() {
    let place = Place::new();
    let supervised = Supervised::start(place.supervisor([
        "-q",
        "--no-heartbeat",
        "--backoff-factor",
        "0",
        "--max-restarts",
        "1000",
        "false",
    ]));
    let end = supervised.end();
    end.assert_code(1);
    assert_eq!(end.count("exited with code 1"), 1001 + 1);
}
