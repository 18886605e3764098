//! Every state that small configurations can reach, breadth first: all that a command, a backend and people can do, in
//! every order, with answers that come at once or late, and a supervisor that is paused now and then.
//!
//! A broken invariant is told with the shortest story that leads to it.

mod moves;
mod world;

use moves::Move;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use supervisor_core::{Backoff, Instant, Jitter, Limit, OnHang, Policy, Restart, Step, Supervisor, Watchdog};
use world::{World, holds};

/// Time passes in ticks of one second.
fn at(tick: u8) -> Instant {
    Instant::from_origin(ticks(tick))
}

fn ticks(count: u8) -> Duration {
    Duration::from_secs(count.into())
}

/// What is explored.
#[derive(Clone)]
struct Setup {
    policy: Policy,
    /// The last tick that is looked at.
    horizon: u8,
    /// Whether answers of the backend may come later than at once.
    late_answers: bool,
    /// How many requests to stop there may be.
    requests: u8,
    /// For how many ticks in all the supervisor may not run.
    pauses: u8,
    /// How many messages the command may send.
    messages: u8,
    /// How many requests to restart there may be.
    restart_requests: u8,
    /// Whether the command may also end by a signal: SIGKILL with all of its run, as where its keeper is lost, or a
    /// SIGTERM that comes late.
    signals: bool,
}

type Node = (Supervisor, World);

/// Explores everything; returns how many states there are.
fn explore(setup: &Setup) -> usize {
    let (machine, step) = Supervisor::start(setup.policy.clone());
    let mut world = World::new();
    step.actions.iter().for_each(|action| world.obey(action, setup).unwrap());
    let mut known: HashMap<Node, usize> = HashMap::new();
    let mut paths: Vec<Option<(usize, Move)>> = vec![None];
    let mut queue = VecDeque::from([((machine.clone(), world.clone()), 0)]);
    known.insert((machine, world), 0);
    while let Some(((machine, world), from)) = queue.pop_front() {
        for action in world.moves(&machine, setup) {
            let mut next = (machine.clone(), world.clone());
            if let Err(invariant) = play(&mut next, action, setup) {
                panic!("broken: {invariant}\n{}", story(&paths, from, action));
            }
            if !known.contains_key(&next) {
                paths.push(Some((from, action)));
                known.insert(next.clone(), paths.len() - 1);
                queue.push_back((next, paths.len() - 1));
            }
        }
    }
    known.len()
}

fn play((machine, world): &mut Node, action: Move, setup: &Setup) -> Result<(), &'static str> {
    let now = at(world.tick);
    let due = machine.poll_timeout().is_some_and(|deadline| deadline <= now);
    let is_stopping = world.first_request.is_some() && !world.is_empty();
    let (was_killed, restarts) = (world.killed, machine.restarts());
    for event in world.make(action, due, setup) {
        let Step { actions, .. } = machine.handle_event(event, now);
        for action in actions {
            world.obey(action, setup)?;
        }
        let past = machine.poll_timeout().is_some_and(|deadline| deadline < now);
        holds(!past || due, "after an event no deadline lies in the past")?;
    }
    if matches!(action, Move::Interrupt) {
        let kills = is_stopping && world.is_asked_again();
        holds(!kills || world.killed, "an interrupt during a stop kills at once")?;
        holds(kills || world.killed == was_killed, "an interrupt within a second of the stop is the same request")?;
    }
    if matches!(action, Move::Restart) {
        let healthy = now - at(world.started) >= setup.policy.reset_after;
        let as_before = machine.restarts() == restarts || (machine.restarts() == 0 && healthy);
        holds(as_before, "a restart request does not change the streak")?;
    }
    world.judge(machine, setup)
}

fn story(paths: &[Option<(usize, Move)>], mut from: usize, last: Move) -> String {
    let mut moves = vec![last];
    while let Some((before, action)) = paths[from] {
        moves.push(action);
        from = before;
    }
    let mut tick = 0;
    let lines = moves.into_iter().rev().filter_map(|action| match action {
        Move::Tick => {
            tick += 1;
            None
        }
        action => Some(format!("at {tick} s: {action:?}\n")),
    });
    lines.collect()
}

fn usual() -> Setup {
    let policy = Policy {
        watchdog: Watchdog::On { timeout: ticks(2), initial_delay: ticks(0) },
        on_hang: OnHang::Stop,
        grace_period: ticks(1),
        restart: Restart::OnFailure,
        max_restarts: Limit::Times(1),
        backoff: Backoff { factor: ticks(1), ceiling: None, jitter: Jitter::NONE },
        reset_after: ticks(3),
    };
    Setup {
        policy,
        horizon: 8,
        late_answers: false,
        requests: 2,
        pauses: 0,
        messages: 0,
        restart_requests: 0,
        signals: false,
    }
}

#[track_caller]
fn explored(name: &str, setup: Setup, known: usize) {
    let states = explore(&setup);
    println!("{name}: {states} states");
    assert_eq!(
        states, known,
        "{name}: other states than before can be reached; if that is meant, tell so in core/README.md"
    );
}

#[test]
fn usual_policy() {
    explored("usual", usual(), 96_330);
}

#[test]
fn late_answers() {
    explored("late answers", Setup { late_answers: true, requests: 1, horizon: 7, ..usual() }, 144_545);
}

#[test]
fn a_paused_supervisor() {
    explored("paused", Setup { pauses: 2, requests: 1, ..usual() }, 340_521);
}

#[test]
fn an_initial_delay() {
    let watchdog = Watchdog::On { timeout: ticks(2), initial_delay: ticks(3) };
    explored("initial delay", Setup { policy: Policy { watchdog, ..usual().policy }, ..usual() }, 49_930);
}

/// The command speaks of itself, twice, in whatever run.
#[test]
fn a_command_that_tells() {
    let watchdog = Watchdog::On { timeout: ticks(2), initial_delay: ticks(1) };
    let policy = Policy { watchdog, ..usual().policy };
    explored("tells", Setup { policy, requests: 0, horizon: 6, messages: 2, ..usual() }, 576_094);
}

#[test]
fn a_command_that_tells_while_answers_are_late() {
    let setup = Setup { late_answers: true, requests: 0, horizon: 6, messages: 1, ..usual() };
    explored("tells, late answers", setup, 449_487);
}

#[test]
fn without_heartbeat() {
    explored("no heartbeat", Setup { policy: Policy { watchdog: Watchdog::Off, ..usual().policy }, ..usual() }, 4_145);
}

#[test]
fn always_and_never() {
    for (name, restart, states) in [("always", Restart::Always, 97_587), ("never", Restart::Never, 23_440)] {
        explored(name, Setup { policy: Policy { restart, ..usual().policy }, ..usual() }, states);
    }
}

#[test]
fn unlimited_restarts() {
    let policy = Policy { max_restarts: Limit::Unlimited, ..usual().policy };
    explored("unlimited", Setup { policy, requests: 1, horizon: 7, ..usual() }, 45_902);
}

/// Every run may be healthy enough to end the streak.
#[test]
fn a_short_reset() {
    let backoff = Backoff { factor: ticks(0), ceiling: None, jitter: Jitter::NONE };
    let policy = Policy { reset_after: ticks(1), backoff, ..usual().policy };
    explored("short reset", Setup { policy, requests: 1, ..usual() }, 163_553);
}

#[test]
fn no_grace_and_no_backoff() {
    let backoff = Backoff { factor: ticks(0), ceiling: None, jitter: Jitter::NONE };
    let policy = Policy { grace_period: ticks(0), backoff, ..usual().policy };
    explored("no grace", Setup { policy, ..usual() }, 107_849);
}

/// The policy with one second for the hang signal.
fn dumping() -> Policy {
    Policy { on_hang: OnHang::Signal { grace_period: ticks(1) }, ..usual().policy }
}

#[test]
fn a_hang_signal() {
    explored("hang signal", Setup { policy: dumping(), ..usual() }, 98_970);
}

#[test]
fn a_hang_signal_and_a_command_that_tells() {
    let setup = Setup { policy: dumping(), requests: 1, horizon: 5, messages: 1, ..usual() };
    explored("hang signal, tells", setup, 217_067);
}

#[test]
fn restarts_on_request() {
    explored("restart requests", Setup { requests: 1, restart_requests: 2, horizon: 6, ..usual() }, 255_359);
}

#[test]
fn restarts_on_request_of_healthy_runs() {
    let policy = Policy { reset_after: ticks(1), restart: Restart::Never, ..usual().policy };
    explored("restart requests, never", Setup { policy, requests: 0, restart_requests: 2, ..usual() }, 79_779);
}

/// All at once: a hang signal, restarts on request, answers that come late, a supervisor that is paused.
#[test]
fn a_hang_signal_and_restarts_on_request() {
    let policy = dumping();
    let setup =
        Setup { policy, late_answers: true, requests: 1, restart_requests: 1, pauses: 1, horizon: 5, ..usual() };
    explored("hang signal, restart requests", setup, 246_801);
}

/// The keeper is lost, or a SIGTERM comes late: ends by a signal are failures, and no kills of ours.
#[test]
fn ends_by_a_signal() {
    let setup = Setup { policy: dumping(), requests: 1, restart_requests: 1, signals: true, horizon: 7, ..usual() };
    explored("ends by a signal", setup, 159_306);
}
