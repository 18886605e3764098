//! Runs the supervisor and watches it.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longer than anything takes on the slowest machine; a test that waits for so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A folder of its own, in which the supervisor is run.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Sets the permissions of a file in it, or of itself, which has no name.
    pub fn allow(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Writes an executable shell script.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        self.program(name, &format!("#!/bin/sh\n{body}\n"))
    }

    /// Writes an executable file: by another process, since a child of this one could have it open for writing when it
    /// is executed, ETXTBSY in execve(2).
    pub fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut writer = Command::new("sh");
        writer.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(&path).stdin(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        path
    }

    /// The supervisor, not started yet.
    pub fn supervisor<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        // Whoever runs the tests in the background has some signals ignored, which no shell below can undo.
        let mut command = Command::new("env");
        command.args(["--default-signal", env!("CARGO_BIN_EXE_supervisor")]).args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env_remove("RUST_LOG");
        command
    }

    /// Starts the supervisor on a shell script given as text.
    pub fn start(&self, options: &[&str], script: &str) -> Supervised {
        Supervised::start(self.supervisor(options.iter().chain(&["sh", "-c", script])))
    }

    /// Runs the supervisor on a shell script to its end.
    pub fn run(&self, options: &[&str], script: &str) -> End {
        self.start(options, script).end()
    }

    /// Lines of numbers, such as times, that a script has written.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        self.read(name).lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// A running supervisor.
pub struct Supervised {
    child: Child,
    lines: Receiver<String>,
    output: Receiver<String>,
    seen: Vec<String>,
}

/// How a supervisor ended.
#[derive(Debug)]
pub struct End {
    /// Its exit code; none if a signal killed it.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Everything on standard error.
    pub log: String,
    /// Everything on standard output.
    pub output: String,
}

impl Supervised {
    pub fn start(mut command: Command) -> Supervised {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut stdout = child.stdout.take().unwrap();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            sender.send(text)
        });
        Supervised { child, lines, output, seen: Vec::new() }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for a line of the log that contains `words`, and returns it.
    pub fn wait_for_line(&mut self, words: &str) -> String {
        self.line_or_end(words).unwrap_or_else(|| panic!("no line with {words:?}, but only: {:#?}", self.seen))
    }

    /// The same; none if the log ends without it.
    pub fn line_or_end(&mut self, words: &str) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut known = 0;
        loop {
            if let Some(line) = self.seen[known..].iter().find(|line| line.contains(words)) {
                return Some(line.clone());
            }
            known = self.seen.len();
            self.seen.push(self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?);
        }
    }

    /// The pid of the command, from the log.
    pub fn command_pid(&mut self) -> i32 {
        let line = self.wait_for_line("as pid ");
        let rest = line.split_once("as pid ").unwrap().1;
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }

    /// The keeper of the run; the upper one where there are two, which is called reaper.
    #[track_caller]
    pub fn keeper(&self) -> i32 {
        let mut found = None;
        wait_until("there is a keeper", || {
            found =
                children(self.pid()).into_iter().find(|&child| ["keeper", "reaper"].contains(&name_of(child).as_str()));
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits for the end of the supervisor alone: its command may still hold on to its streams.
    pub fn end_of_process(&mut self) {
        self.child.wait().unwrap();
    }

    /// Waits for the end of the supervisor.
    pub fn end(mut self) -> End {
        let mut status = None;
        let ends = becomes_true(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        if !ends {
            self.child.kill().unwrap();
            self.seen.extend(self.lines.iter());
            panic!("the supervisor does not end: {:#?}", self.seen);
        }
        let status = status.unwrap();
        let output = self.output.recv_timeout(PATIENCE).expect("nobody is left who holds on to standard output");
        // Its log ends with it: nothing of the command is left that could hold on to standard error.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        let seen = std::mem::take(&mut self.seen);
        End { code: status.code(), signal: status.signal(), log: seen.join("\n"), output }
    }
}

/// A test that fails ends what it started: with its supervisor goes the command.
impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl End {
    /// How many lines of the log contain `words`.
    pub fn count(&self, words: &str) -> usize {
        self.log.lines().filter(|line| line.contains(words)).count()
    }

    /// When the first line with these words was written, in seconds since the epoch, by the supervisor's own clock.
    #[track_caller]
    pub fn time_of(&self, words: &str) -> f64 {
        let line =
            self.log.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {}", self.log));
        time_of_line(line)
    }

    /// How many seconds lie between the first lines with these words, up to a millisecond less than in truth: the times
    /// in the log are cut off.
    #[track_caller]
    pub fn between(&self, from: &str, to: &str) -> f64 {
        // Whole milliseconds first: as seconds since the epoch they have too few binary places for a difference.
        ((self.time_of(to) * 1000.0).round() - (self.time_of(from) * 1000.0).round()) / 1000.0
    }

    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!((self.code, self.signal), (Some(code), None), "{}", self.log);
    }

    /// Asserts that the log has all these words, in this order.
    #[track_caller]
    pub fn assert_tells(&self, story: &[&str]) {
        let mut rest = self.log.as_str();
        for words in story {
            match rest.find(words) {
                Some(at) => rest = &rest[at + words.len()..],
                None => panic!("{words:?} is missing, or too early, in:\n{}", self.log),
            }
        }
    }
}

/// The Python interpreter itself: what stands in the PATH may be a slow script that looks for it.
pub fn python() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let found = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().trim().to_owned()
    })
}

/// Tells what was not tried, where the test harness does not keep it to itself.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Sends a signal by name.
pub fn signal(pid: i32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -s {name} {pid}");
}

/// The children of a process, of its first thread; none of one that is gone.
pub fn children(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// When a line of the log was written, in seconds since the epoch.
fn time_of_line(line: &str) -> f64 {
    let time: jiff::Timestamp = line.split(' ').next().unwrap().parse().unwrap();
    time.as_millisecond() as f64 / 1000.0
}

/// Whether there is such a process; one that only waits to be reaped does not count.
pub fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// What a process is called: proc_pid_comm(5); empty if it is gone.
pub fn name_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// The state of a process, as in proc_pid_stat(5).
pub fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The parent of a process.
pub fn parent_of(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Whether a command is to be had here, and does what it is asked.
pub fn can(words: &[&str]) -> bool {
    Command::new(words[0]).args(&words[1..]).output().is_ok_and(|out| out.status.success())
}

/// Whether strace(1) is there, and may trace.
pub fn can_strace() -> bool {
    can(&["strace", "-e", "trace=none", "true"])
}

/// Starts a supervisor whose system calls strace(1) disturbs, as these words of its command line say. None where that
/// cannot be had.
pub fn start_disturbed(disturbance: &[&str], supervisor: &Command) -> Option<Supervised> {
    let disturbed = || {
        let mut command = Command::new("strace");
        command.args(["-D", "-o", "/dev/null"]).args(disturbance);
        command
    };
    // One that cannot disturb lets the command go on as it is, and says so.
    if !disturbed().arg("true").output().is_ok_and(|out| out.status.success() && out.stderr.is_empty()) {
        skipped("strace(1) cannot be had here");
        return None;
    }
    let mut command = disturbed();
    command.arg(supervisor.get_program()).args(supervisor.get_args()).stdin(Stdio::null());
    command.current_dir(supervisor.get_current_dir().unwrap());
    for (name, value) in supervisor.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Some(Supervised::start(command))
}

/// Copies a program, by another process for the same reason as [`Place::program`].
pub fn copy_program(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

/// A process that ends with its test, however that ends.
pub struct Guarded(pub Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something holds.
#[track_caller]
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    assert!(becomes_true(holds), "in vain waited until {what}");
}

/// Whether something holds before patience ends. What lasts is looked at less often: the processor is for what is tested.
fn becomes_true(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(16));
    }
}

/// Shell text that notes, for [`without_silence`], when a command is about to beat. It starts no process.
pub const NOTE_BEAT: &str = "read boot idle < /proc/uptime; echo $boot >> beats";

/// The same in Python.
pub const NOTE_BEAT_IN_PYTHON: &str =
    "import time; open('beats', 'a').write(f'{time.clock_gettime(time.CLOCK_BOOTTIME)}\\n')";

/// Runs a command that beats, and notes each heartbeat before it makes it. On a machine that has too much to do it may in
/// truth be silent for its timeout, in seconds: then it is rightly called hung, and shows nothing, and is run again.
pub fn without_silence(timeout: f64, run: impl Fn(&Place) -> End) -> (Place, End) {
    for _ in 0..20 {
        let place = Place::new();
        let end = run(&place);
        if !was_silent(timeout, &place.numbers("beats"), &end) {
            return (place, end);
        }
    }
    panic!("this machine has too much to do");
}

/// When the machine was started, in seconds since the epoch.
pub fn boot() -> f64 {
    let read = || {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        now() - uptime.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    // Time that goes by between the two readings makes it too late.
    (0..10).map(|_| read()).fold(f64::INFINITY, f64::min)
}

/// Whether the command was, by its own account, until it was called hung: from its last start, or from a heartbeat on.
fn was_silent(timeout: f64, beats: &[f64], end: &End) -> bool {
    // That of the times in the log and in /proc/uptime.
    const RESOLUTION: f64 = 0.02;
    if end.count(": hung: ") == 0 {
        return false;
    }
    let boot = boot();
    let start =
        end.log.lines().take_while(|line| !line.contains(": hung: ")).filter(|line| line.contains(": started "));
    let mut moments: Vec<f64> = start.last().map(|line| time_of_line(line) - boot).into_iter().collect();
    moments.extend(beats);
    moments.push(end.time_of(": hung: ") - boot);
    // A heartbeat lies somewhere between its note and the next one.
    (1..moments.len()).any(|i| moments[i] - moments[i.saturating_sub(2)] > timeout - RESOLUTION)
}

/// Waits until a script has written a whole line, and returns the first one.
#[track_caller]
pub fn wait_for_file(path: &Path) -> String {
    let mut text = String::new();
    wait_until(&format!("{} has a line", path.display()), || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains('\n')
    });
    text.lines().next().unwrap().to_owned()
}

/// Seconds since the epoch, as `date +%s.%N` prints them.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
