//! A person at a real terminal: a shell with job control on a pseudo-terminal, and what is typed there.

use crate::support::{PATIENCE, Place, children, is_alive, name_of, signal, state, wait_for_file, wait_until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

struct Terminal {
    keys: File,
    screen: Receiver<Vec<u8>>,
    shown: String,
    shell: Child,
    is_over: Arc<AtomicBool>,
}

impl Terminal {
    /// A shell in a session of its own, with its folder in `place`.
    fn new(place: &Place) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::from(open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "env", "--default-signal", "PS1=$ ", "sh", "-i"]).current_dir(place.path(""));
        command.env("S", env!("CARGO_BIN_EXE_supervisor")).env_remove("RUST_LOG").env_remove("ENV");
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        let shell = command.spawn().unwrap();
        drop(command);
        let keys = File::from(master);
        let mut reader = keys.try_clone().unwrap();
        let (sender, screen) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let is_read = Arc::clone(&is_over);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            while !is_read.load(Ordering::Relaxed) {
                if poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&pause)) == Ok(0) {
                    continue;
                }
                // A terminal that nobody has open any more ends in an error.
                match reader.read(&mut bytes) {
                    Ok(length @ 1..) if sender.send(bytes[..length].to_vec()).is_ok() => {}
                    _ => return,
                }
            }
        });
        Terminal { keys, screen, shown: String::new(), shell, is_over }
    }

    /// What the shell waits for.
    fn supervisor(&self) -> i32 {
        let jobs = children(self.shell.id().cast_signed());
        jobs.into_iter().find(|&job| name_of(job) == "supervisor").expect("the shell waits for the supervisor")
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until these words are shown, after whatever was waited for before.
    #[track_caller]
    fn shows(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown.contains(words) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.shown += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!("{words:?} is not shown ({error}), but: {}", self.shown),
            }
        }
        let (before, after) = self.shown.split_once(words).unwrap();
        let (before, after) = (before.to_owned(), after.to_owned());
        self.shown = after;
        before
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The terminal hangs up: its session ends, and nobody has its other side open any more.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Supervises a command without a heartbeat, and tells the exit code of the supervisor when it is over.
fn supervise(terminal: &mut Terminal, script: &str) {
    terminal.types(&format!("$S --no-heartbeat --backoff-factor 0 {script}; echo code=$?\r"));
}

const CTRL_C: &str = "\x03";
const CTRL_Q: &str = "\x11";
const CTRL_S: &str = "\x13";
const CTRL_Z: &str = "\x1a";

#[test]
fn ctrl_c_stops_the_command_politely() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'trap \"echo asked; exit 0\" TERM; echo up; while :; do sleep 0.01; done'");
    terminal.shows("up\r\n");
    terminal.types(CTRL_C);
    terminal.shows("got SIGINT");
    terminal.shows("asked");
    terminal.shows("code=0\r");
}

#[test]
fn a_command_may_read_the_terminal() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'read x; echo \"it was <$x>\"'");
    terminal.shows("is stopped by SIGTTIN");
    terminal.shows("lent the terminal");
    terminal.types("hello\r");
    terminal.shows("it was <hello>");
    terminal.shows("code=0\r");
    // The shell has it back.
    terminal.types("echo again=$?\r");
    terminal.shows("again=0\r");
}

#[test]
fn ctrl_c_stops_a_command_that_has_the_terminal() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'while read x; do echo \"<$x>\"; done'");
    terminal.shows("lent the terminal");
    terminal.types("hello\r");
    terminal.shows("<hello>\r\n");
    terminal.types(CTRL_C);
    terminal.shows("stopping");
    terminal.shows("code=0\r");
}

/// A SIGINT of the supervisor's own is not a person's wish.
#[test]
fn a_stop_signal_that_looks_like_ctrl_c_is_none() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    let options = "--stop-signal INT --timeout 3 --max-restarts 1 --backoff-factor 0";
    terminal.types(&format!("$S {options} cat; echo code=$?\r"));
    for _ in 0..2 {
        terminal.shows("lent the terminal");
        terminal.shows("sent SIGINT");
    }
    terminal.shows("code=124\r");
}

#[test]
fn a_polite_sigint_is_no_kill() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "--stop-signal INT cat");
    terminal.shows("lent the terminal");
    signal(terminal.supervisor(), "TERM");
    terminal.shows("sent SIGINT");
    terminal.shows("code=0\r");
}

#[test]
fn a_stopped_screen_stops_nothing_else() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'echo $$ >> runs; read x; echo > got; exec sleep 1000'");
    terminal.shows("lent the terminal");
    terminal.types("hello\r");
    wait_for_file(&place.path("got"));
    terminal.types(CTRL_S);
    // A line of the log that nobody can write just now.
    signal(terminal.supervisor(), "WINCH");
    let main = wait_for_file(&place.path("runs")).parse().unwrap();
    signal(main, "KILL");
    wait_until("it is started again", || place.read("runs").lines().count() == 2);
    terminal.types(CTRL_Q);
    terminal.shows("restart 1");
}

#[test]
fn every_run_gets_the_terminal_that_reads_it() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'read x; echo got-$x; exit $x'");
    for code in ["3", "4", "0"] {
        terminal.shows("lent the terminal");
        terminal.types(&format!("{code}\r"));
        terminal.shows(&format!("got-{code}"));
    }
    terminal.shows("code=0\r");
}

#[test]
fn ctrl_z_stops_both_and_fg_continues_both() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'echo $$ > pid; exec sleep 1000'");
    let command: i32 = wait_for_file(&place.path("pid")).parse().unwrap();
    terminal.types(CTRL_Z);
    terminal.shows("the terminal has stopped");
    wait_until("the command is stopped", || state(command) == Some('T'));
    terminal.types("fg\r");
    terminal.shows("the supervisor and the command go on");
    wait_until("the command goes on", || state(command).is_some_and(|state| state != 'T'));
    terminal.types(CTRL_C);
    terminal.shows("stopping");
}

#[test]
fn ctrl_z_works_while_the_command_has_the_terminal() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'while read x; do echo \"<$x>\"; done'");
    terminal.shows("lent the terminal");
    // Until it goes on it is stopped, and cannot be stopped again.
    terminal.shows("goes on");
    terminal.types(CTRL_Z);
    terminal.shows("the terminal has stopped");
    terminal.types("echo $((40 + 2))nd\r");
    terminal.shows("42nd\r\n");
    terminal.types("fg\r");
    terminal.shows("the supervisor and the command go on");
    terminal.types("hello\r");
    terminal.shows("<hello>\r\n");
    terminal.types(CTRL_C);
    terminal.shows("stopping");
}

/// A command may take Ctrl-C as a shell says that it did.
#[test]
fn an_exit_code_of_130_is_one_by_ctrl_c() {
    let place = Place::new();
    // An interrupt just before Python reads would be noticed after that only.
    let script = "import sys, time\ninput()\nopen('read', 'w').write('it is\\n')\n\
                  try:\n  while True: time.sleep(0.01)\nexcept KeyboardInterrupt: sys.exit(130)";
    std::fs::write(place.path("ask.py"), script).unwrap();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, &format!("{} ask.py", crate::support::python()));
    terminal.shows("lent the terminal");
    terminal.types("hello\r");
    wait_for_file(&place.path("read"));
    terminal.types(CTRL_C);
    terminal.shows("stopping");
    terminal.shows("code=0\r");
}

/// The command that has it fails with it, and is not started again on nothing.
#[test]
fn a_terminal_that_hangs_up_while_it_is_lent_stops_all() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'echo >> runs; read x; exit 1' 2> log");
    wait_until("it is lent", || place.read("log").contains("lent the terminal"));
    drop(terminal);
    wait_until("it stops", || place.read("log").contains("stopped: the supervisor ends with exit code 0"));
    assert_eq!(place.read("runs").lines().count(), 1, "{}", place.read("log"));
}

/// Who ignores that a terminal hangs up, as under nohup(1), wants the work to go on.
#[test]
fn a_terminal_that_hangs_up_while_it_is_lent_stops_nothing_that_ignores_it() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    terminal.types("trap '' HUP\r");
    supervise(&mut terminal, "--max-restarts 2 sh -c 'echo >> runs; read x; exit 3' 2> log");
    wait_until("it is lent", || place.read("log").contains("lent the terminal"));
    drop(terminal);
    wait_until("it ends", || place.read("log").contains("giving up"));
    assert_eq!(place.read("runs").lines().count(), 3, "{}", place.read("log"));
}

/// Whatever modes the command has left it in.
#[test]
fn the_keys_work_again_after_a_command_that_took_them() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    let script = "stty raw < /dev/tty; kill -9 $$";
    terminal.types(&format!("$S --no-heartbeat --backoff-factor 1000 sh -c '{script}'; echo code=$?\r"));
    terminal.shows("restart 1 in 1000 s");
    terminal.types(CTRL_C);
    terminal.shows("code=0");
}

/// One that is continued in the foreground gets what it waited for in the background.
#[test]
fn a_command_that_waits_for_the_terminal_gets_it_with_fg() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    terminal.types("$S --no-heartbeat sh -c 'read x; echo \"<$x>\"' &\r");
    terminal.shows("is stopped by SIGTTIN");
    terminal.types("fg\r");
    terminal.shows("lent the terminal");
    terminal.types("hello\r");
    terminal.shows("<hello>");
    terminal.shows("finished");
}

/// The command has given the terminal to a job of its own, and dies.
#[test]
fn the_terminal_comes_back_from_a_job_of_the_command() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -i");
    terminal.shows("lent the terminal");
    terminal.types("echo $$ > shell; sleep 1000\r");
    let shell: i32 = wait_for_file(&place.path("shell")).parse().unwrap();
    wait_until("the job runs", || !children(shell).is_empty());
    signal(shell, "KILL");
    // The next run reads the terminal too.
    terminal.shows("lent the terminal");
    terminal.types("exit 0\r");
    terminal.shows("code=0\r");
}

/// What has taken the terminal after the main process was gone, and is gone itself, keeps it from nobody.
#[test]
fn the_terminal_comes_back_from_a_leftover() {
    let place = Place::new();
    let script = "import os, signal, sys, time\n\
        sys.stdin.readline()\n\
        main = os.getpid()\n\
        [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGTTOU)]\n\
        if os.environ['SUPERVISED_RESTARTS'] == '0' and os.fork() == 0:\n  \
          os.setpgid(0, 0)\n  \
          while os.path.exists(f'/proc/{main}'): time.sleep(0.001)\n  \
          os.tcsetpgrp(0, os.getpgrp())\n  \
          open('taken', 'w').write('it is\\n')\n  \
          time.sleep(1000)\n\
        os._exit(1 if os.environ['SUPERVISED_RESTARTS'] == '0' else 0)";
    std::fs::write(place.path("script.py"), script).unwrap();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, &format!("--grace-period 3 {} script.py", crate::support::python()));
    terminal.shows("lent the terminal");
    terminal.types("hello\r");
    wait_for_file(&place.path("taken"));
    terminal.shows("lent the terminal");
    terminal.types("hello\r");
    terminal.shows("code=0\r");
}

/// Who takes the terminal while the command has it keeps it, whatever becomes of the command. When that one leaves, the
/// next run gets it.
#[test]
fn the_terminal_is_taken_from_nobody() {
    let place = Place::new();
    let taker = "import os, signal, time\n\
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n\
        tty = os.open('/dev/tty', os.O_RDWR)\n\
        wait = lambda name: [time.sleep(0.01) for _ in iter(lambda: os.path.exists(name), True)]\n\
        tell = lambda name, word: (open(name + '.new', 'w').write(word + '\\n'), os.rename(name + '.new', name))\n\
        wait('take'); os.tcsetpgrp(tty, os.getpgrp()); tell('taken', 'it is')\n\
        wait('leave'); tell('left', 'kept' if os.tcgetpgrp(tty) == os.getpgrp() else 'lost')";
    std::fs::write(place.path("taker.py"), taker).unwrap();
    let mut terminal = Terminal::new(&place);
    terminal.types(&format!("{} taker.py &\r", crate::support::python()));
    supervise(&mut terminal, "sh -c 'sleep 1000 & echo $$ >> runs; read x; echo \"<$x>\"' 2> log");
    let log = |words: &str| place.read("log").lines().filter(|line| line.contains(words)).count();
    wait_until("it is lent", || log("lent the terminal") == 1 && log("goes on") == 1);
    let main = wait_for_file(&place.path("runs")).parse().unwrap();
    wait_until("the command reads again", || state(main) == Some('S'));
    std::fs::write(place.path("take"), "").unwrap();
    wait_for_file(&place.path("taken"));
    signal(main, "KILL");
    wait_until("the next run wants it", || log("is stopped by SIGTTIN") == 2);
    // Told after whatever became of that wish.
    signal(terminal.supervisor(), "WINCH");
    wait_until("it has looked", || log("passed SIGWINCH on") == 1);
    assert_eq!(log("lent the terminal"), 1, "{}", place.read("log"));
    std::fs::write(place.path("leave"), "").unwrap();
    assert_eq!(wait_for_file(&place.path("left")), "kept");
    wait_until("it is lent again", || log("lent the terminal") == 2);
    terminal.types("hello\r");
    terminal.shows("<hello>");
    terminal.shows("code=0\r");
}

/// The shell finds it as the supervisor did.
#[test]
fn the_terminal_has_its_modes_again_after_ctrl_z() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'read x; stty -echoe; echo > ready; read y'");
    terminal.shows("lent the terminal");
    terminal.types("hello\r");
    wait_for_file(&place.path("ready"));
    terminal.types(CTRL_Z);
    terminal.shows("the terminal has stopped");
    terminal.types("stty -a > modes; echo > noted\r");
    wait_for_file(&place.path("noted"));
    let modes = place.read("modes");
    assert!(modes.split_whitespace().any(|mode| mode == "echoe"), "{modes}");
}

/// A healthy command is not taken for a hung one after a pause.
#[test]
fn a_pause_is_no_hang() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    let script = "sh -c 'while :; do date > heartbeat.txt; sleep 0.05; done'";
    terminal.types(&format!("$S --timeout 3 --max-restarts 0 {script}; echo code=$?\r"));
    terminal.shows("started sh");
    terminal.types(CTRL_Z);
    terminal.shows("the terminal has stopped");
    let paused = Instant::now();
    wait_until("more than a timeout is over", || paused.elapsed().as_secs_f64() > 7.5);
    terminal.types("fg\r");
    terminal.shows("the supervisor and the command go on");
    let resumed = Instant::now();
    wait_until("two timeouts are over", || resumed.elapsed().as_secs_f64() > 6.0);
    terminal.types(CTRL_C);
    let before = terminal.shows("got SIGINT");
    assert!(!before.contains("hung"), "{before}");
}

#[test]
fn a_terminal_that_hangs_up_stops_all() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    supervise(&mut terminal, "sh -c 'trap \"\" HUP; echo $$ > pid; while :; do sleep 0.01; done'");
    let command: i32 = wait_for_file(&place.path("pid")).parse().unwrap();
    drop(terminal);
    wait_until("the command is gone", || !is_alive(command));
}

/// In the background nobody has the terminal to lend.
#[test]
fn in_the_background_reading_is_named_and_waits() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    terminal.types("$S --no-heartbeat cat &\r");
    terminal.shows("is stopped by SIGTTIN: it reads the terminal from the background");
    terminal.types("kill %1; wait %1; echo code=$?\r");
    terminal.shows("code=0\r");
}

#[test]
fn a_dry_run_is_coloured_at_a_terminal_unless_nobody_wants_that() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    terminal.types("TERM=xterm $S --dry-run true; echo over\r");
    terminal.shows("\x1b[32mstart 1\x1b[0m");
    terminal.shows("over\r\n");
    terminal.types("NO_COLOR=1 TERM=xterm $S --dry-run true; echo it is $((40 + 2))\r");
    let before = terminal.shows("it is 42");
    assert!(before.contains("start 1,") && !before.contains("\x1b[32m"), "{before}");
}
