//! The diagram of the phases, found by playing every event to the machine in every state that it can reach.
//!
//! `cargo run -p supervisor-core --example states` prints it in the language of Mermaid. An event that does not change
//! the phase, such as a heartbeat or the SIGKILL after a grace period, is not in it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;
use supervisor_core::{
    Backoff, Event, ExitStatus, Instant, Limit, Message, Observation, OnHang, Phase, Policy, RunId, StartFailure,
    StartFailureKind, Supervisor, Watchdog,
};

/// Enough for one of each kind: a hang, a kill, a delay.
const HORIZON: u8 = 5;
/// A first run, one that follows, and one that is one too many.
const LAST_RUN: RunId = RunId(3);

/// Which events, in the order of [`events`], lead from one phase to another.
type Edges = BTreeMap<(Place, Place), BTreeSet<usize>>;

fn main() {
    print!("{}", diagram());
}

/// The diagram, which `ARCHITECTURE.md` shows.
pub fn diagram() -> String {
    let mut edges = Edges::new();
    for on_hang in [OnHang::Stop, OnHang::Signal { grace_period: seconds(1) }] {
        explore(policy(on_hang), &mut edges);
    }
    let names = events(LAST_RUN).map(|(name, _)| name);
    let lines = edges.into_iter().map(|((from, to), events)| {
        // Of events with one name, such as two kinds of exit, one is told.
        let mut events: Vec<_> = events.into_iter().map(|event| names[event]).collect();
        events.dedup();
        format!("    {from:?} --> {to:?} : {}\n", events.join(", "))
    });
    let lines: String = lines.collect();
    format!("stateDiagram-v2\n    [*] --> Starting\n{lines}    Done --> [*]\n")
}

fn seconds(count: u8) -> Duration {
    Duration::from_secs(count.into())
}

fn policy(on_hang: OnHang) -> Policy {
    Policy {
        watchdog: Watchdog::On { timeout: seconds(1), initial_delay: Duration::ZERO },
        on_hang,
        grace_period: seconds(1),
        max_restarts: Limit::Times(1),
        backoff: Backoff { factor: seconds(1), ..Backoff::default() },
        ..Policy::default()
    }
}

/// Everything that can be told of a run, with the name of its kind.
fn events(run: RunId) -> [(&'static str, Event); 19] {
    let failure = |kind| Event::StartFailed { run, failure: StartFailure { kind, os_error: 0 } };
    let message = |message| Event::Message { run, message };
    [
        ("started", Event::Started { run, pid: 1 }),
        ("start failed", failure(StartFailureKind::NotFound)),
        ("start failed", failure(StartFailureKind::Passing)),
        ("exited", Event::Exited { run, status: ExitStatus::Code(0) }),
        ("exited", Event::Exited { run, status: ExitStatus::Code(1) }),
        ("cleared", Event::Cleared { run }),
        ("heartbeat", Event::Observed { run, observation: Observation::ChangedSometime }),
        ("silence", Event::Observed { run, observation: Observation::Unchanged }),
        ("heartbeat reported", message(Message::Heartbeat)),
        ("ready", message(Message::Ready)),
        ("hang reported", message(Message::Hang)),
        ("timeout set", message(Message::Timeout(seconds(1)))),
        ("streak over", message(Message::StreakOver)),
        ("more time", message(Message::Extension(seconds(1)))),
        ("leaving", message(Message::Leaving)),
        ("timeout", Event::Timeout),
        ("stop", Event::Stop),
        ("interrupt", Event::Interrupt),
        ("restart", Event::Restart),
    ]
}

fn explore(policy: Policy, edges: &mut Edges) {
    let (machine, _) = Supervisor::start(policy);
    let mut known = HashSet::from([(machine.clone(), 0)]);
    let mut queue = VecDeque::from([(machine, 0)]);
    while let Some((machine, second)) = queue.pop_front() {
        for (number, (_, event)) in events(machine.run()).into_iter().enumerate() {
            let mut next = machine.clone();
            let _ = next.handle_event(event, Instant::from_origin(seconds(second)));
            let (from, to) = (Place::from(machine.phase()), Place::from(next.phase()));
            if from != to {
                edges.entry((from, to)).or_default().insert(number);
            }
            for later in second..=HORIZON {
                if next.run() <= LAST_RUN && known.insert((next.clone(), later)) {
                    queue.push_back((next.clone(), later));
                }
            }
        }
    }
}

/// A phase without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Starting,
    Running,
    Hung,
    Restarting,
    Stopping,
    Clearing,
    BackingOff,
    Done,
}

impl From<Phase> for Place {
    fn from(phase: Phase) -> Place {
        match phase {
            Phase::Starting => Place::Starting,
            Phase::Running { .. } => Place::Running,
            Phase::Hung(_) => Place::Hung,
            Phase::Restarting(_) => Place::Restarting,
            Phase::Stopping(_) => Place::Stopping,
            Phase::Clearing => Place::Clearing,
            Phase::BackingOff { .. } => Place::BackingOff,
            Phase::Done(_) => Place::Done,
        }
    }
}
