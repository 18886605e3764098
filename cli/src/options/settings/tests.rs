//! What command lines come to.

use super::super::{Request, read};
use super::*;
use crate::exit_code;
use supervisor_backend_unix::StopTarget;
use supervisor_core::{Limit, Restart};

fn read_line(options: &[&str], command: &[&str], environment: &[(&str, &str)]) -> Result<Settings, Refusal> {
    let line = [&["supervisor"], options, command].concat();
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    match read(line.into_iter().map(OsString::from), environment)? {
        Request::Supervise(settings) => Ok(*settings),
        Request::Show(_) | Request::DryRun(_) | Request::Healthcheck(_) => panic!("{options:?} supervises nothing"),
    }
}

fn settings(options: &[&str]) -> Settings {
    read_line(options, &["/usr/bin/sleep", "10"], &[]).unwrap_or_else(|refusal| panic!("{}", refusal.message))
}

/// What the command finds in its environment.
fn variable(settings: &Settings, name: &str) -> Option<String> {
    let mut found = settings.backend.command.environment.iter().filter(|(known, _)| known == name);
    let value = found.next().map(|(_, value)| value.to_str().unwrap().to_owned());
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

#[test]
fn options_reach_what_they_are_for() {
    let second = Duration::from_secs(1);
    let plain = settings(&[]);
    let on = Watchdog::On { timeout: second * 20, initial_delay: Duration::ZERO };
    assert_eq!((plain.policy.watchdog, plain.policy.on_hang), (on, OnHang::Stop));
    assert_eq!((plain.backend.stop_signal, plain.backend.hang_signal), (Signal::TERM, Signal::TERM));
    assert_eq!((plain.backend.stop_target, plain.backend.notifications), (StopTarget::Group, Notifications::Refused));
    assert!(plain.backend.probe.is_none() && plain.backend.hook.is_none() && plain.hook_queue.is_none());
    assert_eq!(plain.backend.command.arguments, ["10"]);

    let line = "--timeout 9 --initial-check-delay 2 --grace-period 3 --hang-signal QUIT --stop-signal INT \
                --stop-target main --restart always --max-restarts 4 --backoff-factor 5 --max-backoff 6 \
                --backoff-jitter 0.5 --reset-after 7 --stop-on USR1 --restart-signal USR2 --notify --log-format json";
    let all = settings(&line.split_whitespace().collect::<Vec<_>>());
    let on = Watchdog::On { timeout: second * 9, initial_delay: second * 2 };
    let on_hang = OnHang::Signal { grace_period: second * 3 };
    assert_eq!((all.policy.watchdog, all.policy.on_hang, all.policy.grace_period), (on, on_hang, second * 3));
    assert_eq!((all.policy.restart, all.policy.max_restarts), (Restart::Always, Limit::Times(4)));
    assert_eq!((all.policy.backoff.factor, all.policy.backoff.ceiling), (second * 5, Some(second * 6)));
    assert_eq!((all.policy.backoff.jitter.parts_per_billion, all.policy.reset_after), (500_000_000, second * 7));
    assert_eq!((all.backend.stop_signal, all.backend.hang_signal), (Signal::INT, Signal::QUIT));
    assert_eq!((all.backend.stop_on, all.backend.restart_signal), (vec![Signal::USR1], Some(Signal::USR2)));
    assert_eq!((all.backend.stop_target, all.backend.notifications), (StopTarget::Main, Notifications::Taken));
    assert_eq!(all.format, Format::Json);

    let apart = settings(&["--hang-signal", "QUIT", "--hang-grace-period", "8"]);
    assert_eq!(apart.policy.on_hang, OnHang::Signal { grace_period: second * 8 });
    let off = settings(&["--no-heartbeat"]);
    assert_eq!((off.policy.watchdog, off.backend.heartbeat_file), (Watchdog::Off, None));
}

#[test]
fn quiet_outranks_verbose() {
    let table: [(&[&str], Verbosity); 6] = [
        (&[], Verbosity::Normal),
        (&["-q"], Verbosity::Quiet),
        (&["-v"], Verbosity::Verbose),
        (&["-vv"], Verbosity::Trace),
        (&["-vvv"], Verbosity::Trace),
        (&["-q", "-v"], Verbosity::Quiet),
    ];
    for (options, verbosity) in table {
        assert!(settings(options).verbosity == verbosity, "{options:?}");
    }
}

#[test]
fn a_supervisor_is_called_as_asked_or_as_its_metrics_or_as_its_command() {
    assert_eq!(settings(&[]).name, "sleep");
    assert_eq!(settings(&["--metrics-file", "/tmp/web.prom"]).name, "web");
    assert_eq!(settings(&["--metrics-file", "/tmp/web.prom", "--name", "shop"]).name, "shop");
    assert_eq!(read_line(&["--"], &["/"], &[]).unwrap().name, "/");
}

#[test]
fn the_command_finds_its_own_variables_and_none_of_the_supervisor() {
    let inherited = [
        ("PATH", "/bin"),
        ("SUPERVISOR_TIMEOUT", "5"),
        ("SUPERVISOR_OF_OTHERS", "1"),
        ("HEARTBEAT_FILE", "/elsewhere"),
        ("WATCHDOG_USEC", "1"),
        ("WATCHDOG_PID", "1"),
    ];
    let found = |options: &[&str]| {
        let settings = read_line(options, &["true"], &inherited).unwrap();
        let names =
            ["PATH", "SUPERVISOR_TIMEOUT", "SUPERVISOR_OF_OTHERS", "HEARTBEAT_FILE", "WATCHDOG_USEC", "WATCHDOG_PID"];
        names.map(|name| variable(&settings, name))
    };
    let words = |values: [Option<&str>; 6]| values.map(|value| value.map(str::to_owned));
    let plain = found(&["--heartbeat-file", "/beat"]);
    assert_eq!(plain, words([Some("/bin"), None, Some("1"), Some("/beat"), Some("1"), Some("1")]));
    let told = found(&["--heartbeat-file", "/beat", "--notify", "--timeout", "2"]);
    assert_eq!(told, words([Some("/bin"), None, Some("1"), Some("/beat"), Some("2000000"), None]));
    let unwatched = found(&["--heartbeat-file", "/beat", "--notify", "--no-heartbeat"]);
    assert_eq!(unwatched[4..], [None, None]);
}

#[test]
fn a_probe_comes_three_times_in_a_timeout_unless_it_is_told_otherwise() {
    let interval = |options: &[&str]| {
        let settings = settings(&[&["--probe", "true -x 'a b'"], options].concat());
        settings.backend.probe.map(|probe| probe.interval)
    };
    assert_eq!(interval(&["--timeout", "9"]), Some(Duration::from_secs(3)));
    assert_eq!(interval(&["--probe-interval", "0"]), Some(Duration::ZERO));
    assert_eq!(interval(&["--probe-interval", "7"]), Some(Duration::from_secs(7)));
    let probe = settings(&["--probe", "true -x 'a b'", "--initial-check-delay", "4"]).backend.probe.unwrap();
    assert_eq!((probe.command.program, probe.command.arguments), ("true".into(), vec!["-x".into(), "a b".into()]));
    assert_eq!((probe.timeout, probe.initial_delay), (Duration::from_secs(20), Duration::from_secs(4)));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let table: [(&[&str], &str); 13] = [
        (&["--no-heartbeat", "--timeout", "5"], "--timeout is about it"),
        (&["--no-heartbeat", "--initial-check-delay", "5"], "--initial-check-delay is about it"),
        (&["--no-heartbeat", "--probe", "true"], "--probe is about it"),
        (&["--hang-grace-period", "5"], "--hang-grace-period means nothing without --hang-signal"),
        (&["--probe-interval", "5"], "--probe-interval means nothing without --probe"),
        (
            &["--restart-signal", "USR1", "--stop-on", "USR1"],
            "--stop-on gives it another meaning; give another signal, such as SIGHUP",
        ),
        (&["--restart-signal", "HUP", "--stop-on", "HUP"], "give another signal, such as SIGUSR1"),
        (&["--restart-signal", "TERM"], "it asks the supervisor to stop"),
        (&["--name", ""], "give a name"),
        (&["--heartbeat-file", ""], "a value is missing for '--heartbeat-file <PATH>'"),
        (&["--status-file", "/"], "'--status-file <PATH>': give the path of a file"),
        (&["--status-file", "/tmp/x", "--pid-file", "/tmp//./x"], "give another path"),
        (&["--on-event", ""], "give a program"),
    ];
    for (options, words) in table {
        let refusal = read_line(options, &["true"], &[]).err().unwrap_or_else(|| panic!("{options:?} is taken"));
        assert_eq!(refusal.exit_code, exit_code::USAGE, "{options:?}");
        assert!(refusal.message.contains(words), "{}", refusal.message);
    }
}

#[test]
fn the_watchdog_of_a_manager_is_fed_twice_in_its_time_if_it_watches_this_process() {
    let own = std::process::id().to_string();
    let interval = |usec: Option<&str>, pid: Option<&str>| {
        feeding_interval(|name| {
            let value = if name == "WATCHDOG_USEC" { usec } else { pid };
            value.map(str::to_owned)
        })
    };
    let half = Some(Duration::from_millis(250));
    assert_eq!((interval(Some("500000"), None), interval(Some("500000"), Some(&own))), (half, half));
    for (usec, pid) in [(Some("500000"), Some("1")), (Some("0"), None), (Some("soon"), None), (None, Some(&own[..]))] {
        assert_eq!(interval(usec, pid), None, "{usec:?}, {pid:?}");
    }
}

#[test]
fn supervisors_are_not_stretched_alike() {
    assert_ne!(seed(), seed());
}
