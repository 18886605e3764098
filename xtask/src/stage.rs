//! A stage on which one supervisor performs, and an attentive audience.

use crate::timeline::{Moment, Timeline};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any scenario needs at full length; whatever takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A lag that a busy machine may add to anything.
const LAG: f64 = 2.0;

/// Lines of the log arrive a little after the fact, the earlier of two perhaps by more than the later.
const SLACK: f64 = 0.05;

/// One scenario's folder, speed and findings.
pub struct Stage {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    speed: f64,
    failures: Vec<String>,
}

/// A supervisor at work.
pub struct Performance {
    child: Child,
    lines: Receiver<(f64, String)>,
    timeline: Timeline,
    marker: String,
}

/// What is known at its end.
pub struct Ending {
    pub code: Option<i32>,
    pub timeline: Timeline,
    marker: String,
}

impl Stage {
    pub fn new(speed: f64) -> std::io::Result<Stage> {
        let own = std::env::current_exe()?;
        let binaries = own.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Stage { folder: tempfile::tempdir()?, binaries, speed, failures: Vec::new() })
    }

    /// So many seconds, at the speed of the scenario.
    pub fn seconds(&self, seconds: f64) -> f64 {
        seconds / self.speed
    }

    /// The same, as an argument.
    pub fn arg(&self, seconds: f64) -> String {
        format!("{:.3}", self.seconds(seconds))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn client(&self, name: &str) -> String {
        self.binaries.join(name).to_string_lossy().into_owned()
    }

    /// Starts the supervisor with these arguments.
    pub fn supervise(&self, arguments: &[&str]) -> std::io::Result<Performance> {
        let marker = format!("SCENARIO={}", self.folder.path().display());
        let shown: Vec<_> =
            arguments.iter().map(|argument| Path::new(argument).file_name().unwrap_or(OsStr::new(argument))).collect();
        println!("$ supervisor {}", shown.join(OsStr::new(" ")).to_string_lossy());
        let mut child = Command::new(self.binaries.join("supervisor"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("SCENARIO", self.folder.path())
            .env("TEST_CLIENT_SPEED", self.speed.to_string())
            .env("TEST_CLIENT_SEED", "7")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let started = Instant::now();
        let (sender, lines) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if sender.send((started.elapsed().as_secs_f64(), line)).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Performance { child, lines, timeline: Timeline::default(), marker })
    }

    /// Notes whether something is as it should be.
    pub fn check(&mut self, what: &str, holds: bool) {
        println!("  {} {what}", if holds { "✓" } else { "✗" });
        if !holds {
            self.failures.push(what.to_owned());
        }
    }

    /// Checks a duration: never less than `least`, and more only by what a busy machine may add.
    pub fn check_time(&mut self, what: &str, took: Option<f64>, least: f64) {
        let told = took.map_or("it did not happen".to_owned(), |took| format!("{took:.3} s, due {least:.3} s"));
        let holds = took.is_some_and(|took| took >= least - SLACK && took <= least + LAG);
        self.check(&format!("{what}: {told}"), holds);
    }

    /// Checks what is so at the end of every scenario: the exit code, and that nothing is left.
    pub fn check_end(&mut self, ending: &Ending, code: i32) {
        ending.timeline.print();
        let told = ending.code.map_or("killed".to_owned(), |code| code.to_string());
        self.check(&format!("exit code {told}, expected {code}"), ending.code == Some(code));
        self.check_empty(ending);
    }

    /// Checks that no process of the performance is left now.
    fn check_empty(&mut self, ending: &Ending) {
        let left = processes_with(&ending.marker);
        self.check(&format!("no process is left, found {left:?}"), left.is_empty());
    }

    /// Checks that none is left before long, where nobody could wait for them.
    pub fn check_empty_soon(&mut self, ending: &Ending) {
        let deadline = Instant::now() + Duration::from_secs_f64(LAG);
        while !processes_with(&ending.marker).is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        self.check_empty(ending);
    }

    pub fn failures(self) -> Vec<String> {
        self.failures
    }
}

impl Performance {
    pub fn signal(&mut self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("xtask: cannot send SIG{name}");
        }
    }

    /// Waits until a moment has come so often.
    pub fn wait_for(&mut self, times: usize, wanted: impl Fn(&Moment) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.timeline.moments().filter(|(_, moment)| wanted(moment)).count() < times {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((at, line)) => self.timeline.add(at, &line),
                Err(_) => return,
            }
        }
    }

    /// Waits for the end.
    pub fn end(mut self) -> std::io::Result<Ending> {
        let deadline = Instant::now() + PATIENCE;
        while let Ok((at, line)) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.timeline.add(at, &line);
        }
        if Instant::now() >= deadline {
            self.child.kill()?;
        }
        let code = self.child.wait()?.code();
        Ok(Ending { code, timeline: self.timeline, marker: self.marker })
    }
}

/// The processes that have this in their environment, but for those that merely wait to be reaped.
fn processes_with(marker: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    pids.filter(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == marker.as_bytes())
    })
    .collect()
}
