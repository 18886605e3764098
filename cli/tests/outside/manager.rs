//! Under a service manager such as systemd: what goes up to it.

use crate::support::{Place, Supervised, start_disturbed};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<(Instant, String)>,
}

impl Manager {
    fn new(place: &Place) -> Manager {
        let socket = UnixDatagram::bind(place.path("manager")).unwrap();
        socket.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        Manager { socket, heard: Vec::new() }
    }

    fn supervisor(&self, place: &Place, options: &[&str], script: &str) -> Command {
        let mut command = place.supervisor(options.iter().chain(&["sh", "-c", script]));
        command.env("NOTIFY_SOCKET", place.path("manager"));
        command
    }

    /// Waits for a message with these words.
    #[track_caller]
    fn wait_for(&mut self, words: &str) {
        loop {
            let mut bytes = [0; 4096];
            let length =
                self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{words}: {error}: {:?}", self.heard));
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.heard.push((Instant::now(), text.clone()));
            if text.contains(words) {
                return;
            }
        }
    }

    /// All that is left to hear.
    fn drain(&mut self) {
        self.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(length) => {
                    self.heard.push((Instant::now(), String::from_utf8_lossy(&bytes[..length]).into_owned()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn count(&self, words: &str) -> usize {
        self.heard.iter().filter(|(_, text)| text.contains(words)).count()
    }
}

#[test]
fn it_hears_of_the_start_and_the_stop() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let supervised = Supervised::start(manager.supervisor(&place, &["--no-heartbeat"], "exec sleep 1000"));
    manager.wait_for(&format!("READY=1\nMAINPID={}\nSTATUS=run 1, pid", supervised.pid()));
    supervised.signal("TERM");
    manager.wait_for("STOPPING=1\nSTATUS=run 1: stopping");
    supervised.end().assert_code(0);
}

#[test]
fn a_delay_is_told_with_its_length() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let options = ["--no-heartbeat", "--backoff-factor", "1000"];
    let supervised = Supervised::start(manager.supervisor(&place, &options, "exit 1"));
    manager.wait_for("STATUS=run 1: has ended; restart 1 comes after 1000 s");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn with_notify_it_hears_of_readiness_when_the_command_does_say_so() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let script = "python3 -c \"import os, socket, time\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
        s.send(b'STATUS=warming up'); time.sleep(0.3); s.send(b'READY=1'); time.sleep(1000)\"";
    let supervised = Supervised::start(manager.supervisor(&place, &["--no-heartbeat", "--notify"], script));
    manager.wait_for("STATUS=warming up");
    assert_eq!(manager.count("READY=1"), 0);
    manager.wait_for("READY=1");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn its_watchdog_is_fed_until_the_command_hangs() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let script = "trap '' TERM; echo > heartbeat.txt; while :; do sleep 0.05; done";
    let mut command =
        manager.supervisor(&place, &["--timeout", "4.5", "--grace-period", "4.5", "--max-restarts", "0"], script);
    command.env("WATCHDOG_USEC", "1200000");
    let end = Supervised::start(command).end();
    end.assert_code(124);
    end.assert_tells(&["its watchdog of 1.2 s is not longer than the 4.5 s", "raise WatchdogSec="]);
    manager.drain();
    let hung = manager.heard.iter().position(|(_, text)| text.contains("hung")).unwrap();
    let fed = |heard: &[(Instant, String)]| heard.iter().filter(|(_, text)| text == "WATCHDOG=1").count();
    assert!(fed(&manager.heard[..hung]) >= 4, "{:?}", manager.heard);
    assert_eq!(fed(&manager.heard[hung..]), 0, "{:?}", manager.heard);
}

#[test]
fn a_watchdog_for_another_process_is_not_fed() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let mut command = manager.supervisor(&place, &["--no-heartbeat"], "sleep 0.5");
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    Supervised::start(command).end().assert_code(0);
    manager.drain();
    assert_eq!(manager.count("WATCHDOG"), 0, "{:?}", manager.heard);
}

#[test]
fn a_manager_that_does_not_answer_is_told_of_once() {
    let place = Place::new();
    for address in ["nobody", "@nobody-is-here", "relative"] {
        let address = if address == "nobody" { place.path(address).into_os_string() } else { address.into() };
        let mut command = place.supervisor(["--max-restarts", "3", "--backoff-factor", "0", "false"]);
        command.env("NOTIFY_SOCKET", address).env("WATCHDOG_USEC", "10000");
        let end = Supervised::start(command).end();
        end.assert_code(1);
        assert_eq!(end.count("cannot tell anything"), 1, "{}", end.log);
    }
}

/// One that is full, since it reads nothing.
#[test]
fn a_manager_that_reads_nothing_delays_nothing() {
    let place = Place::new();
    let manager = Manager::new(&place);
    let before = Instant::now();
    let mut command = manager.supervisor(&place, &["--max-restarts", "200", "--backoff-factor", "0"], "exit 1");
    command.env("RUST_LOG", "warn");
    let end = Supervised::start(command).end();
    end.assert_code(1);
    assert!(before.elapsed() < Duration::from_secs(30));
    assert!(end.count("the service manager") <= 1, "{}", end.log);
}

/// Telling takes a moment, which the supervisor waits for before it ends. strace(1) makes it longer.
#[test]
fn the_last_message_is_sent_before_the_end() {
    for _ in 0..20 {
        let place = Place::new();
        let mut manager = Manager::new(&place);
        let command = manager.supervisor(&place, &["--no-heartbeat"], "exit 0");
        let slow = ["-f", "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=10000"];
        let Some(supervised) = start_disturbed(&slow, &command) else { return };
        supervised.end().assert_code(0);
        manager.drain();
        if manager.count("STOPPING=1") == 1 {
            return;
        }
    }
    panic!("it is not sent, or this machine has too much to do");
}

/// It reads nothing for a while, and is told much meanwhile.
#[test]
fn readiness_is_not_lost_among_many_words() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let script = "import os, socket, time\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
        for i in range(300): s.send(f'STATUS={i}'.encode())\n\
        s.send(b'READY=1')\n\
        for i in range(300): s.send(f'STATUS={i}'.encode())\n\
        open('told', 'w').write('\\n'); time.sleep(1000)";
    let mut command = place.supervisor(["--notify", "--no-heartbeat", crate::support::python(), "-c", script]);
    command.env("NOTIFY_SOCKET", place.path("manager")).env("WATCHDOG_USEC", "20000");
    let supervised = Supervised::start(command);
    crate::support::wait_for_file(&place.path("told"));
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=299");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}
