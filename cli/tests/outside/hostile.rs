//! Commands that do all they can to stay: nothing of them is left before the next start, before the exit, or after the
//! supervisor itself is killed.

use crate::support::{End, Place, Supervised, is_alive, wait_until};

/// Starts `sleep` processes in every way that has been seen to escape others, and notes their pids.
const HOSTILE: &str = r#"
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)

def note():
    with open('pids', 'a') as file: file.write(f'{os.getpid()}\n')

def stay():
    note()
    while True: time.sleep(1000)

def child(action):
    """Runs an action in a child, and goes on when that has noted its pid."""
    before = len(open('pids').readlines()) if os.path.exists('pids') else 0
    pid = os.fork()
    if pid == 0:
        try: action()
        finally: os._exit(0)
    while not os.path.exists('pids') or len(open('pids').readlines()) <= before: time.sleep(0.002)
    return pid

def ignores(): signal.signal(signal.SIGTERM, signal.SIG_IGN); stay()
def session(): os.setsid(); ignores()
def twice(): os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); ignores()
def group(): os.setpgid(0, 0); ignores()
def closes(): os.closerange(0, 1024); twice()
def renames():
    libc.prctl(15, b'\x1b[31m) R 1\nFAKE', 0, 0, 0)
    twice()
def stops(): note(); os.kill(os.getpid(), signal.SIGSTOP); ignores()
def setuid(): os.setgroups([]); os.setgid(65534); note(); os.setuid(65534); signal.signal(15, signal.SIG_IGN); time.sleep(1000)
def subreaper(): libc.prctl(36, 1, 0, 0, 0); child(twice); ignores()
def threads():
    import threading
    threading.Thread(target=lambda: time.sleep(1000)).start()
    note()
    libc.syscall(60, 0)  # exit(2) of the first thread only

def traced():
    """A child that is traced by another, which never lets it go."""
    victim = child(ignores)
    assert libc.ptrace(16, victim, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PTRACE_ATTACH
    ignores()
"#;

/// The ways. Some need the right to become another user.
fn ways() -> Vec<&'static str> {
    let mut ways =
        vec!["ignores", "session", "twice", "group", "closes", "renames", "stops", "subreaper", "threads", "traced"];
    if rustix::process::geteuid().is_root() {
        ways.push("setuid");
    } else {
        crate::support::skipped("only root can become another user");
    }
    ways
}

fn start(place: &Place, options: &[&str], script: &str) -> Supervised {
    let script = format!("{HOSTILE}\n{script}");
    let command = [crate::support::python(), "-c", &script];
    Supervised::start(place.supervisor(options.iter().chain(&command)))
}

fn pids(place: &Place) -> Vec<i32> {
    place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect()
}

fn gone(place: &Place, way: &str, end: &End) {
    let left: Vec<_> = pids(place).into_iter().filter(|&pid| is_alive(pid)).collect();
    assert!(left.is_empty() && !pids(place).is_empty(), "{way}: {left:?} is left of {:?}: {}", pids(place), end.log);
}

#[test]
fn all_is_gone_before_the_exit() {
    for way in ways() {
        let place = Place::new();
        let end = start(&place, &["--grace-period", "0.3"], &format!("child({way})")).end();
        end.assert_code(0);
        gone(&place, way, &end);
        end.assert_tells(&["exited with code 0", "sent SIGTERM to leftovers", "finished"]);
    }
}

#[test]
fn all_is_gone_before_the_next_start() {
    for way in ways() {
        let place = Place::new();
        let script = format!(
            "if os.environ['SUPERVISED_RESTARTS'] == '1':\n\
             \x20 alive = [pid for pid in open('pids').read().split() if os.path.exists('/proc/' + pid)]\n\
             \x20 sys.exit(len(alive))\n\
             child({way})\n\
             sys.exit(1)"
        );
        let options = ["--grace-period", "0.3", "--max-restarts", "1", "--backoff-factor", "0"];
        let end = start(&place, &options, &script).end();
        assert_eq!(end.code, Some(0), "{way}: {}", end.log);
    }
}

#[test]
fn all_is_gone_after_a_hang() {
    let report = "import socket\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
        s.sendto(b'WATCHDOG=trigger', os.environ['NOTIFY_SOCKET'])";
    for way in ways() {
        let place = Place::new();
        let options = ["--notify", "--timeout", "60", "--grace-period", "0.3", "--max-restarts", "0"];
        let end = start(&place, &options, &format!("child({way})\n{report}\ntime.sleep(1000)")).end();
        end.assert_code(124);
        gone(&place, way, &end);
    }
}

#[test]
fn all_is_gone_after_a_stop() {
    for way in ways() {
        let place = Place::new();
        let supervised = start(
            &place,
            &["--grace-period", "1", "--no-heartbeat"],
            &format!("child({way})\nopen('ready', 'w').close()\ntime.sleep(1000)"),
        );
        wait_until("it is ready", || place.path("ready").exists());
        supervised.signal("TERM");
        let end = supervised.end();
        end.assert_code(0);
        gone(&place, way, &end);
    }
}

#[test]
fn all_is_gone_after_the_supervisor_was_killed() {
    for way in ways() {
        let place = Place::new();
        let script = format!("child({way})\nopen('ready', 'w').close()\ntime.sleep(1000)");
        let supervised = start(&place, &["--no-heartbeat"], &script);
        wait_until("it is ready", || place.path("ready").exists());
        supervised.signal("KILL");
        wait_until(&format!("all of {way} is gone"), || pids(&place).into_iter().all(|pid| !is_alive(pid)));
    }
}

/// A chain of forks in which each process is gone before one can look at it.
#[test]
fn a_fast_chain_of_forks_is_caught() {
    const CHAIN: &str = "if os.fork() == 0:\n\
        \x20   os.setsid()\n\
        \x20   open('ready', 'w').close()\n\
        \x20   for i in range(300):\n\
        \x20       if os.fork(): os._exit(0)\n\
        \x20       time.sleep(0.0005)\n\
        time.sleep(1000)";
    for delay in [0, 20, 60] {
        let place = Place::new();
        // All of them have the script, and so this name, on their command line.
        let name = place.path("").display().to_string();
        let supervised = start(&place, &["--no-heartbeat"], &format!("{CHAIN} # {name}"));
        wait_until("it forks", || place.path("ready").exists());
        // Somewhere in the middle of it, wherever that is.
        std::thread::sleep(std::time::Duration::from_millis(delay));
        supervised.signal("KILL");
        wait_until("nothing is left", || with_words(&name) == 0);
    }
}

/// How many processes have these words on their command line.
fn with_words(words: &str) -> usize {
    let commands = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("cmdline"));
    commands.filter(|path| std::fs::read_to_string(path).is_ok_and(|line| line.contains(words))).count()
}

#[test]
fn names_cannot_forge_lines_of_the_log() {
    let place = Place::new();
    let end = start(&place, &["--grace-period", "0.2"], "child(renames)").end();
    end.assert_tells(&["sent SIGTERM to leftovers: pid", "(\\u{1b}[31m) R 1\\n"]);
    assert!(!end.log.contains('\x1b') && !end.log.lines().any(|line| line.starts_with("FAKE")), "{}", end.log);
}
