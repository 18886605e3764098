//! The user's own Python clients work as they are. They know nothing of `HEARTBEAT_FILE`.

use crate::support::{Place, Supervised, python, wait_until};

fn client(place: &Place, options: &[&str], script: &str, arguments: &[&str]) -> Supervised {
    let path = format!("{}/../test-clients/python/{script}", env!("CARGO_MANIFEST_DIR"));
    let command = options.iter().copied().chain([python(), &path]).chain(arguments.iter().copied());
    Supervised::start(place.supervisor(command.collect::<Vec<_>>()))
}

#[test]
fn the_simple_client_runs_until_it_is_stopped() {
    let place = Place::new();
    let mut supervised = client(&place, &[], "client.py", &[]);
    supervised.wait_for_line("Heartbeat sent");
    wait_until("it has written its heartbeat", || !place.read("heartbeat.txt").is_empty());
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn sigterm_is_taken_gracefully() {
    let place = Place::new();
    let mut supervised = client(&place, &[], "test_client.py", &["sigterm_test"]);
    supervised.wait_for_line("Heartbeat sent");
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    end.assert_tells(&["exited with code 0", "stopped"]);
    assert_eq!(end.count("Received signal 15. Exiting gracefully."), 1, "{}", end.log);
}

#[test]
fn a_long_request_within_the_timeout_is_no_hang() {
    let place = Place::new();
    let end = client(&place, &["--timeout", "8"], "test_client.py", &["long_request", "1"]).end();
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
}

#[test]
fn a_hang_is_noticed_and_restarted() {
    let place = Place::new();
    let options = ["--timeout", "6", "--max-restarts", "0"];
    let end = client(&place, &options, "test_client.py", &["hang"]).end();
    end.assert_code(124);
    end.assert_tells(&["silent for 6", "sent SIGTERM", "exited with code 0"]);
    end.assert_tells(&["entering infinite loop", "Received signal 15"]);
}

#[test]
fn an_unknown_scenario_is_a_failure() {
    let place = Place::new();
    let end =
        client(&place, &["--max-restarts", "1", "--backoff-factor", "0"], "test_client.py", &["unheard_of"]).end();
    end.assert_code(1);
    assert_eq!(end.count("Unknown scenario: unheard_of"), 2, "{}", end.log);
}
