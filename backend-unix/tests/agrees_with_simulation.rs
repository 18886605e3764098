//! The same script, played by the simulator and by real processes, is the same story.
//!
//! Each script plays in a process of its own, all at the same time. The commands are this very program, as an actor.

use nix::sys::signal::{SigHandler, SigSet, Signal as Standard, kill, raise, signal};
use nix::unistd::{Pid, setsid};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant as Clock};
use supervisor_backend_unix::{Command, Config, Notifications, ProbeConfig, Signal, Signals, StopTarget, UnixBackend};
use supervisor_core::sim::{Behaviour, Heartbeats, Means, Reaction, SimBackend};
use supervisor_core::{
    Backend, Backoff, Ending, Event, ExitStatus, Instant, Limit, Notice, OnHang, Outcome, Policy, Restart, RunId,
    StartFailure, StartFailureKind, Watchdog,
};

/// Happenings lie so far apart, or a multiple of it.
const BEAT: Duration = Duration::from_millis(300);
/// A time stamp may lie one tick of the file system's clock before the write.
const TICK: Duration = Duration::from_millis(11);
/// How late reality may be, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is wanted of the supervisor, what each run is like, and what is asked when.
struct Script {
    name: &'static str,
    policy: Policy,
    runs: Vec<Behaviour>,
    requests: Vec<(u32, Event)>,
}

const QUIET: Behaviour = Behaviour::SILENT;
const STUBBORN: Behaviour = Behaviour { when_asked: Reaction::Stays, ..QUIET };

fn exits(after: u32, status: ExitStatus) -> Behaviour {
    Behaviour { exit: Some((BEAT * after, status)), ..QUIET }
}

fn scripts() -> Vec<Script> {
    let policy = || Policy {
        watchdog: Watchdog::On { timeout: BEAT * 4, initial_delay: Duration::ZERO },
        grace_period: BEAT * 4,
        max_restarts: Limit::Times(2),
        backoff: Backoff { factor: BEAT * 2, ..Backoff::default() },
        ..Policy::default()
    };
    let script = |name, runs, requests| Script { name, policy: policy(), runs, requests };
    let (done, crash) = (exits(1, ExitStatus::Code(0)), exits(1, ExitStatus::Code(3)));
    let killed = exits(1, ExitStatus::Signal(1));
    let beats = Heartbeats { every: BEAT / 2, until: BEAT * 5 };
    let leaving = Behaviour { leftover: Some(Reaction::LeavesAfter(BEAT)), ..crash };
    let staying = Behaviour { leftover: Some(Reaction::Stays), ..crash };
    let missing = StartFailure { kind: StartFailureKind::NotFound, os_error: 2 };
    let with_hang_signal = |name, hang, asked, requests| {
        let run = Behaviour { on_hang_signal: Some(hang), when_asked: asked, ..QUIET };
        let policy = Policy { on_hang: OnHang::Signal { grace_period: BEAT * 2 }, ..policy() };
        Script { policy, ..script(name, vec![run, done], requests) }
    };
    let leaves = |beats: u32| Reaction::LeavesAfter(BEAT * beats);
    let probed = Behaviour { heartbeats: beats, beats_by: Means::Messages, ..QUIET };
    vec![
        script("finishes", vec![done], vec![]),
        script("crashes, is killed, finishes", vec![crash, killed, done], vec![]),
        script("crashes until restarts are used up", vec![crash, crash, crash], vec![]),
        Script {
            policy: Policy { restart: Restart::Never, ..policy() },
            ..script("never restarts", vec![crash], vec![])
        },
        Script {
            policy: Policy { restart: Restart::Always, ..policy() },
            ..script("is stopped during the backoff", vec![done], vec![(2, Event::Stop)])
        },
        script("hangs at once and leaves", vec![QUIET, done], vec![]),
        script("beats, hangs and has to be killed", vec![Behaviour { heartbeats: beats, ..STUBBORN }, done], vec![]),
        Script {
            policy: Policy { watchdog: Watchdog::On { timeout: BEAT * 3, initial_delay: BEAT * 2 }, ..policy() },
            ..script("hangs after the initial delay", vec![QUIET, done], vec![])
        },
        script("leaves when stopped", vec![QUIET], vec![(2, Event::Stop)]),
        script("has to be killed when stopped", vec![STUBBORN], vec![(2, Event::Stop)]),
        script("is interrupted twice", vec![STUBBORN], vec![(1, Event::Interrupt), (2, Event::Interrupt)]),
        script("is stopped while it hangs", vec![STUBBORN], vec![(6, Event::Stop)]),
        script("leaves something that leaves", vec![leaving, done], vec![]),
        script("leaves something that stays", vec![staying, done], vec![]),
        with_hang_signal("leaves on the hang signal", leaves(1), Reaction::Stays, vec![]),
        with_hang_signal("dumps, and leaves when asked", Reaction::Stays, leaves(1), vec![]),
        with_hang_signal("dumps, and has to be killed", Reaction::Stays, Reaction::Stays, vec![]),
        with_hang_signal("is stopped while it dumps", Reaction::Stays, leaves(1), vec![(5, Event::Stop)]),
        script("is restarted, then finishes", vec![QUIET, done], vec![(2, Event::Restart)]),
        script("is restarted, and has to be killed", vec![STUBBORN, done], vec![(2, Event::Restart)]),
        script("is restarted during the backoff", vec![crash, done], vec![(2, Event::Restart)]),
        script("is restarted while it hangs", vec![STUBBORN, done], vec![(5, Event::Restart)]),
        script("is stopped while it is restarted", vec![STUBBORN], vec![(1, Event::Restart), (2, Event::Stop)]),
        script("is probed until it hangs", vec![probed, done], vec![]),
        script("loses its keeper", vec![QUIET.with_keeper_lost(BEAT * 2), done], vec![]),
        script("loses its keeper while it hangs", vec![STUBBORN.with_keeper_lost(BEAT * 6), done], vec![]),
        script("is not there", vec![Behaviour { start_failure: Some(missing), ..QUIET }], vec![]),
    ]
}

/// Without the test harness, whose threads would get the signals.
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words[..] {
        ["play", name] => play(find(name)),
        ["act", name] => act(behaviour_of_this_run(&find(name))),
        ["stay", reaction] => stay(reaction.parse().ok()),
        ["probe", beats] => probe(Path::new(beats)),
        _ => play_all(),
    }
}

fn find(name: &str) -> Script {
    scripts().into_iter().find(|script| script.name == name).expect("a script of this name")
}

fn this_program() -> Process {
    Process::new(std::env::current_exe().unwrap())
}

fn play_all() {
    let playing = scripts().into_iter().map(|script| {
        let play = this_program().args(["play", script.name]).stderr(Stdio::piped()).spawn().unwrap();
        (script.name, play)
    });
    let playing: Vec<_> = playing.collect();
    let mut failed = 0;
    for (name, play) in playing {
        let output = play.wait_with_output().unwrap();
        println!("{name}: {}", if output.status.success() { "the same" } else { "NOT THE SAME" });
        if !output.status.success() {
            failed += 1;
            println!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert_eq!(failed, 0, "scripts in which reality and simulation differ");
}

/// What is compared: everything but what only looks tell, whose number depends on the phase of the heartbeats.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Started(RunId),
    StartFailed(StartFailureKind),
    FirstHeartbeat,
    Hung,
    HangGraceOver,
    Restarting,
    RestartingInstead,
    Stopping,
    StoppingInstead,
    Exited(ExitStatus, How),
    Killing,
    BackingOff(u32, Duration),
    Done(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Spontaneous,
    Asked,
    Killed,
}

fn told(notice: Notice) -> Option<Told> {
    Some(match notice {
        Notice::Started { run, .. } => Told::Started(run),
        Notice::StartFailed { failure, .. } => Told::StartFailed(failure.kind),
        Notice::Heartbeat { first: true, .. } => Told::FirstHeartbeat,
        Notice::Hung { .. } => Told::Hung,
        Notice::HangGraceOver { .. } => Told::HangGraceOver,
        Notice::Restarting { .. } => Told::Restarting,
        Notice::RestartingInstead { .. } => Told::RestartingInstead,
        Notice::Stopping { .. } => Told::Stopping,
        Notice::StoppingInstead { .. } => Told::StoppingInstead,
        Notice::Exited { status, ending, .. } => Told::Exited(
            status,
            match ending {
                Ending::Spontaneous { .. } => How::Spontaneous,
                Ending::Asked => How::Asked,
                Ending::Killed => How::Killed,
            },
        ),
        Notice::Killing { .. } => Told::Killing,
        Notice::BackingOff { restart, delay, .. } => Told::BackingOff(restart, delay),
        Notice::Done(outcome) => Told::Done(outcome),
        // These scripts tell nothing by sd_notify(3).
        Notice::Ready { .. }
        | Notice::Leaving { .. }
        | Notice::TimeoutSet { .. }
        | Notice::Extended { .. }
        | Notice::StreakEnded { .. }
        | Notice::Heartbeat { first: false, .. }
        | Notice::Delayed { .. }
        | Notice::Surviving { .. } => return None,
    })
}

type Story = Vec<(Duration, Told)>;

/// What is told, and how long after `begin`.
fn story(policy: Policy, backend: &mut impl Backend, begin: Instant) -> Story {
    let mut story = Story::new();
    supervisor_core::run(policy, backend, |at: Instant, notice: Notice| {
        story.extend(told(notice).map(|told| (at - begin, told)))
    });
    story
}

fn play(script: Script) {
    // First of all: a thread that is started later does not get the signals.
    let signals = Signals::take_over().unwrap();
    let simulated = simulate(&script);
    let real = perform(&script, signals);
    let words = |story: &Story| story.iter().map(|(_, told)| *told).collect::<Vec<_>>();
    assert_eq!(words(&real), words(&simulated), "reality (left) and simulation\n{real:?}\n{simulated:?}");
    for ((at, told), (expected, _)) in real.iter().zip(&simulated) {
        assert!(*at + TICK >= *expected, "{told:?} comes at {at:?}, earlier than {expected:?}");
        assert!(*at <= *expected + PATIENCE, "{told:?} comes at {at:?}, much later than {expected:?}");
    }
}

fn simulate(script: &Script) -> Story {
    let requests = script.requests.iter().map(|(beats, event)| (Instant::from_origin(BEAT * *beats), *event));
    let mut world = SimBackend::new(|run: RunId| script.runs[run.0 as usize - 1], requests);
    story(script.policy.clone(), &mut world, Instant::ORIGIN)
}

fn perform(script: &Script, signals: Signals) -> Story {
    let folder = tempfile::tempdir().unwrap();
    let heartbeat_file = folder.path().join("heartbeat.txt");
    let beats_by = script.runs[0].beats_by;
    // Where there is a probe, it alone sees what the actor touches.
    let watched = match beats_by {
        Means::File => heartbeat_file.clone(),
        Means::Messages => folder.path().join("never touched"),
    };
    let probe = Command {
        program: std::env::current_exe().unwrap().into_os_string(),
        arguments: vec!["probe".into(), heartbeat_file.clone().into_os_string()],
        environment: vec![],
    };
    let program = match script.runs[0].start_failure {
        None => std::env::current_exe().unwrap().into_os_string(),
        Some(_) => "/no/such/command".into(),
    };
    let environment = std::env::vars_os().chain([("HEARTBEAT_FILE".into(), heartbeat_file.clone().into_os_string())]);
    let config = Config {
        command: Command {
            program,
            arguments: vec!["act".into(), script.name.into()],
            environment: environment.collect(),
        },
        heartbeat_file: Some(watched),
        stop_signal: Signal::TERM,
        hang_signal: match script.policy.on_hang {
            OnHang::Stop => Signal::TERM,
            OnHang::Signal { .. } => Signal::USR1,
        },
        stop_target: StopTarget::Group,
        stop_on: vec![],
        restart_signal: Some(Signal::USR2),
        probe: match beats_by {
            Means::File => None,
            // The next one waits for the next beat itself.
            Means::Messages => Some(ProbeConfig {
                command: probe,
                interval: BEAT / 100,
                timeout: BEAT * 4,
                initial_delay: Duration::ZERO,
            }),
        },
        notifications: Notifications::Refused,
        hook: None,
        tick: None,
        own_files: vec![],
    };
    let mut backend = UnixBackend::new(config, signals).unwrap();
    let requests = script.requests.clone();
    // Requests and story are timed from one moment: the thread may start late, but nothing is early.
    let (begin, origin) = (Clock::now(), backend.now());
    std::thread::spawn(move || {
        for (beats, event) in requests {
            std::thread::sleep((begin + BEAT * beats).saturating_duration_since(Clock::now()));
            let signal = match event {
                Event::Stop => Standard::SIGTERM,
                Event::Interrupt => Standard::SIGINT,
                Event::Restart => Standard::SIGUSR2,
                other => panic!("{other:?} is no request"),
            };
            kill(Pid::this(), signal).unwrap();
        }
    });
    story(script.policy.clone(), &mut backend, origin)
}

/// Each run leaves a line: not every restart is counted in `SUPERVISED_RESTARTS`.
fn behaviour_of_this_run(script: &Script) -> Behaviour {
    let runs = heartbeat_file().with_file_name("runs");
    append(&runs, "run\n");
    script.runs[std::fs::read_to_string(&runs).unwrap().lines().count() - 1]
}

fn append(file: &Path, text: &str) {
    let mut file = std::fs::File::options().create(true).append(true).open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn heartbeat_file() -> PathBuf {
    std::env::var_os("HEARTBEAT_FILE").unwrap().into()
}

/// Succeeds with the next beat that no probe has seen. One that starts late misses none.
fn probe(beats: &Path) {
    let seen = beats.with_file_name("seen");
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    while length(beats) == length(&seen) {
        std::thread::sleep(Duration::from_millis(2));
    }
    std::fs::copy(beats, seen).unwrap();
}

/// Behaves so.
fn act(behaviour: Behaviour) {
    let start = Clock::now();
    let asked = asked();
    if let Some(reaction) = behaviour.leftover {
        leave_behind(reaction);
    }
    let mut beats = (1..)
        .map(|n| behaviour.heartbeats.every * n)
        .take_while(|age| !behaviour.heartbeats.every.is_zero() && *age <= behaviour.heartbeats.until);
    let mut beat = beats.next();
    let (mut exit, mut status) = match behaviour.exit {
        Some((age, status)) => (Some(age), status),
        None => (None, ExitStatus::Code(0)),
    };
    loop {
        let next = [beat, exit].into_iter().flatten().min().unwrap_or(Duration::from_secs(3600));
        match asked.recv_timeout((start + next).saturating_duration_since(Clock::now())) {
            Ok(signal) => {
                let reaction = match signal {
                    Standard::SIGUSR1 => behaviour.on_hang_signal.unwrap(),
                    _ => behaviour.when_asked,
                };
                if let Reaction::LeavesAfter(pause) = reaction {
                    (exit, status) = (Some(start.elapsed() + pause), ExitStatus::Code(0));
                }
            }
            Err(RecvTimeoutError::Timeout) if exit == Some(next) => end(status),
            Err(RecvTimeoutError::Timeout) => {
                append(&heartbeat_file(), ".");
                beat = beats.next();
            }
            Err(RecvTimeoutError::Disconnected) => unreachable!("the thread waits for ever"),
        }
    }
}

fn end(status: ExitStatus) -> ! {
    match status {
        ExitStatus::Code(code) => std::process::exit(code.into()),
        // Its parent is its keeper, which takes it along.
        ExitStatus::KILLED => {
            kill(Pid::parent(), Standard::SIGKILL).unwrap();
            std::thread::sleep(Duration::from_secs(3600));
        }
        ExitStatus::Signal(number) => {
            let deadly = Standard::try_from(i32::from(number)).unwrap();
            // nohup(1), which may have started the tests, has SIGHUP ignored.
            // SAFETY: the default disposition calls no code of this process.
            unsafe { signal(deadly, SigHandler::SigDfl) }.unwrap();
            raise(deadly).unwrap();
        }
    }
    unreachable!("the signal is deadly")
}

/// Tells of each signal that asks for something.
fn asked() -> Receiver<Standard> {
    let signals: SigSet = [Standard::SIGTERM, Standard::SIGUSR1].into_iter().collect();
    signals.thread_block().unwrap();
    let (teller, told) = channel();
    std::thread::spawn(move || while signals.wait().is_ok_and(|signal| teller.send(signal).is_ok()) {});
    told
}

/// Starts a process that will stay, and returns once it will notice a signal.
#[expect(clippy::zombie_processes, reason = "that it is left behind is the point")]
fn leave_behind(reaction: Reaction) {
    let pause = match reaction {
        Reaction::Stays => "for ever".to_owned(),
        Reaction::LeavesAfter(pause) => pause.as_millis().to_string(),
    };
    let mut left = this_program().args(["stay", &pause]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(left.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
}

/// Stays in a session of its own, until so many milliseconds after it is asked to leave.
fn stay(millis: Option<u64>) {
    setsid().unwrap();
    let asked = asked();
    println!("ready");
    std::io::stdout().flush().unwrap();
    while asked.recv().is_ok() {
        if let Some(millis) = millis {
            std::thread::sleep(Duration::from_millis(millis));
            return;
        }
    }
}
