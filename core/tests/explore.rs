//! Every state that small configurations can reach, breadth first: all that a command, a backend and people can do, in
//! every order, with answers that come at once or late, and a supervisor that is paused now and then.
//!
//! A broken invariant is told with the shortest story that leads to it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use supervisor_core::{
    Action, Backoff, Event, ExitStatus, Instant, Jitter, Limit, Message, Observation, Outcome, Policy, Restart, RunId,
    Signal, StartFailure, StartFailureKind, Step, Supervisor, Watchdog,
};

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
}

/// The world beside the machine, and what must be remembered to judge it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    tick: u8,
    run: u64,
    main: Main,
    leftover: bool,
    look: Look,
    /// The last sign of life, in truth.
    alive_at: u8,
    /// Silence before this moment does not count.
    counted_from: Instant,
    timeout: Duration,
    /// Whether the machine knows of a heartbeat, and of the end of the start-up.
    beaten: bool,
    ready: bool,
    /// Whether the moment of the last heartbeat can be told.
    undated: bool,
    /// A heartbeat since the last look, and whether its moment can be told.
    beat: Beat,
    asked: Asked,
    /// Not killed before, but for a second stop.
    grace_until: Instant,
    killed: bool,
    messages: u8,
    /// The command says that it hangs.
    reported: bool,
    requests: u8,
    interrupts_since_stop: u8,
    first_request: Option<u8>,
    pauses: u8,
    restarts: u32,
    started: u8,
    /// When the end of the run was decided or happened.
    ended: u8,
    end: End,
    /// When nothing of the last run was left.
    over: u8,
    beats: u8,
    looks: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Main {
    None,
    Starting,
    Alive,
    Exited,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Look {
    None,
    Pending,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Beat {
    None,
    At(u8),
    Sometime,
}

/// How the main process ended, or why it had to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    None,
    Success,
    Failure,
    Hang,
    /// It was killed.
    Force,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    No,
    Since(u8),
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Move {
    Tick,
    Started,
    StartFailed(StartFailureKind),
    Beat { dated: bool },
    Tell(Message),
    Exit { status: ExitStatus, leftover: bool },
    LeftoverEnds,
    Answer,
    Elapsed,
    Stop,
    Interrupt,
}

impl World {
    fn new() -> World {
        World {
            tick: 0,
            run: 0,
            main: Main::None,
            leftover: false,
            look: Look::None,
            alive_at: 0,
            counted_from: at(0),
            timeout: ticks(0),
            beaten: false,
            ready: false,
            undated: false,
            beat: Beat::None,
            asked: Asked::No,
            grace_until: at(0),
            killed: false,
            messages: 0,
            reported: false,
            requests: 0,
            interrupts_since_stop: 0,
            first_request: None,
            pauses: 0,
            restarts: 0,
            started: 0,
            ended: 0,
            end: End::None,
            over: 0,
            beats: 0,
            looks: 0,
        }
    }

    fn moves(&self, machine: &Supervisor, setup: &Setup) -> Vec<Move> {
        use Move::*;
        let mut moves = Vec::new();
        if machine.outcome().is_some() {
            return moves;
        }
        let due = machine.poll_timeout().is_some_and(|deadline| deadline <= at(self.tick));
        if due {
            moves.push(Elapsed);
        }
        let waiting = self.main == Main::Starting || self.look == Look::Pending;
        let may_wait = (!waiting || setup.late_answers) && (!due || self.pauses < setup.pauses);
        // Whatever was killed ends within the tick.
        if self.tick < setup.horizon && may_wait && !(self.killed && (self.main == Main::Alive || self.leftover)) {
            moves.push(Tick);
        }
        match self.main {
            Main::None => {}
            Main::Starting => {
                moves.push(Started);
                if !self.killed {
                    moves.extend([
                        StartFailed(StartFailureKind::NotFound),
                        StartFailed(StartFailureKind::NotExecutable),
                        StartFailed(StartFailureKind::Passing),
                    ]);
                }
            }
            Main::Alive if self.killed => moves.push(Exit { status: ExitStatus::Signal(9), leftover: self.leftover }),
            Main::Alive => {
                for leftover in [false, true] {
                    moves.push(Exit { status: ExitStatus::Code(0), leftover });
                    moves.push(Exit { status: ExitStatus::Code(1), leftover });
                }
                if self.beat == self::Beat::None && setup.policy.watchdog != Watchdog::Off && self.asked == Asked::No {
                    moves.extend([Beat { dated: true }, Beat { dated: false }]);
                }
            }
            Main::Exited if self.leftover => moves.push(LeftoverEnds),
            Main::Exited => {}
        }
        if self.main == Main::Alive && self.messages < setup.messages {
            moves.extend(MESSAGES.map(Tell));
        }
        if self.look == Look::Pending {
            moves.push(Answer);
        }
        if self.requests < setup.requests {
            moves.extend([Stop, Interrupt]);
        }
        moves
    }

    /// Lets a move happen and returns the facts that the machine gets to know.
    fn make(&mut self, action: Move, due: bool, setup: &Setup) -> Vec<Event> {
        let run = RunId(self.run);
        match action {
            Move::Tick => {
                self.pauses += u8::from(due);
                self.tick += 1;
                vec![]
            }
            Move::Started => {
                self.main = Main::Alive;
                (self.alive_at, self.started, self.undated) = (self.tick, self.tick, false);
                if let Watchdog::On { timeout, initial_delay } = setup.policy.watchdog {
                    (self.timeout, self.counted_from) = (timeout, at(self.tick) + initial_delay);
                }
                vec![Event::Started { run, pid: 1 }]
            }
            Move::StartFailed(kind) => {
                self.main = Main::None;
                (self.end, self.over) = (End::Failure, self.tick);
                vec![Event::StartFailed { run, failure: StartFailure { kind, os_error: 0 } }]
            }
            Move::Beat { dated } => {
                self.beat = if dated { Beat::At(self.tick) } else { Beat::Sometime };
                self.alive_at = self.tick;
                self.undated = !dated;
                self.beats += 1;
                vec![]
            }
            Move::Tell(message) => {
                self.messages += 1;
                self.hear(message);
                vec![Event::Told { run, message }]
            }
            Move::Exit { status, leftover } => {
                self.leftover = leftover;
                self.main = if leftover { Main::Exited } else { Main::None };
                self.over = self.tick;
                self.end = match (status, self.end) {
                    (ExitStatus::Signal(_), _) => End::Force,
                    (_, End::Hang) => End::Hang,
                    (ExitStatus::Code(0), _) => End::Success,
                    (ExitStatus::Code(_), _) => End::Failure,
                };
                let exited = Event::Exited { run, status };
                if leftover { vec![exited] } else { vec![exited, Event::Gone { run }] }
            }
            Move::LeftoverEnds => {
                self.leftover = false;
                self.main = Main::None;
                self.over = self.tick;
                vec![Event::Gone { run }]
            }
            Move::Answer => {
                self.look = Look::None;
                self.beaten |= self.beat != Beat::None && setup.messages > 0;
                let observation = match std::mem::replace(&mut self.beat, Beat::None) {
                    Beat::None => Observation::Unchanged,
                    Beat::At(tick) => Observation::Changed { at: at(tick) },
                    Beat::Sometime => Observation::ChangedSometime,
                };
                vec![Event::Observed { run, observation }]
            }
            Move::Elapsed => vec![Event::Elapsed],
            Move::Stop | Move::Interrupt => {
                self.requests += 1;
                if self.main == Main::None && !self.leftover {
                    // Nothing runs: how the last run ended does not matter any more.
                    self.end = End::None;
                }
                let interrupt = matches!(action, Move::Interrupt);
                self.interrupts_since_stop += u8::from(interrupt && self.first_request.is_some());
                self.first_request.get_or_insert(self.tick);
                vec![if interrupt { Event::Interrupt } else { Event::Stop }]
            }
        }
    }

    /// What a message of a living command means.
    fn hear(&mut self, message: Message) {
        let now = at(self.tick);
        match (message, self.asked) {
            (Message::Heartbeat, Asked::No) => {
                (self.alive_at, self.undated) = (self.tick, self.beat == Beat::Sometime);
                (self.beats, self.beaten) = (self.beats + 1, true);
            }
            (Message::Ready, Asked::No) => {
                if !self.ready {
                    (self.counted_from, self.beats) = (now, self.beats + 1);
                }
                self.ready = true;
            }
            (Message::Hang, Asked::No) => self.reported = true,
            (Message::Timeout(timeout), Asked::No) => {
                (self.timeout, self.beats) = (timeout, self.beats + 1);
                self.counted_from = self.counted_from.max(now);
            }
            (Message::StreakOver, Asked::No) => self.restarts = 0,
            (Message::Extension(by), Asked::No) if !self.ready && !self.beaten => {
                (self.counted_from, self.beats) = (self.counted_from.max(now + by), self.beats + 1);
            }
            (Message::Extension(by), Asked::Since(_)) if !self.killed => {
                self.grace_until = self.grace_until.max(now + by);
            }
            (_, Asked::Since(_)) | (Message::Extension(_) | Message::Leaving, Asked::No) => {}
        }
    }

    /// Carries out an action. What it must not be is an invariant that is broken.
    fn obey(&mut self, action: Action, setup: &Setup) -> Result<(), &'static str> {
        match action {
            Action::Start { run, restarts } => {
                holds(self.main == Main::None && !self.leftover, "no start beside a living tree")?;
                holds(self.first_request.is_none(), "no start after a stop")?;
                if run > RunId(1) {
                    let wanted = match setup.policy.restart {
                        Restart::Never => false,
                        Restart::OnFailure => self.end != End::Success,
                        Restart::Always => true,
                    };
                    holds(wanted, "no restart that the policy does not want")?;
                    let delay = setup.policy.backoff.delay(restarts - 1, 0);
                    holds(at(self.tick) - at(self.over) >= delay, "no start before its delay is over")?;
                    let healthy = at(self.ended) - at(self.started) >= setup.policy.reset_after;
                    let ended_by_itself = self.asked != Asked::No && matches!(self.end, End::Success | End::Failure);
                    holds(!(healthy && ended_by_itself) || restarts == 1, "a healthy run ends the streak")?;
                }
                let counts_on = self.run == 0 || restarts == self.restarts + 1;
                let lived = at(self.ended) - at(self.started);
                let begins_anew = restarts == 1 && lived >= setup.policy.reset_after;
                holds(counts_on || begins_anew, "restarts count on, or begin anew after a healthy run")?;
                self.restarts = restarts;
                if let Limit::Times(most) = setup.policy.max_restarts {
                    holds(restarts <= most, "at most as many restarts as allowed")?;
                }
                *self = World { run: run.0, main: Main::Starting, beats: 0, looks: 0, ..self.clone() };
                (self.look, self.beat, self.asked, self.killed) = (Look::None, Beat::None, Asked::No, false);
                (self.beaten, self.ready, self.reported) = (false, false, false);
                (self.counted_from, self.timeout, self.grace_until) = (at(0), ticks(0), at(0));
                self.end = End::None;
            }
            Action::Look { .. } => {
                holds(self.look == Look::None, "one look at a time")?;
                self.looks += 1;
                self.look = Look::Pending;
                // One finds each heartbeat, and one finds the hang. Each silence may have one more that came late.
                let late = setup.late_answers || self.pauses > 0;
                let most = if late { 3 * self.beats + 2 } else { self.beats + 1 };
                holds(self.looks <= most, "no more looks than there is to see")?;
            }
            Action::Signal { signal: Signal::Kill, .. } => {
                let over = self.asked != Asked::No && at(self.tick) >= self.grace_until;
                holds(over || self.interrupts_since_stop > 0, "killed only after the grace period or a second stop")?;
                self.killed = true;
            }
            Action::Signal { signal, .. } => {
                holds(!self.killed, "nothing is asked to leave once it was killed")?;
                if signal == Signal::Hang {
                    self.end = End::Hang;
                    holds(setup.policy.watchdog != Watchdog::Off, "no hang without a watchdog")?;
                    let counted_from = at(self.alive_at).max(self.counted_from);
                    let silent = at(self.tick) - counted_from >= self.timeout;
                    holds(silent || self.reported, "no hang before a full timeout of silence, or the command says so")?;
                }
                if self.main != Main::Exited && self.main != Main::None {
                    holds(self.asked == Asked::No, "the main process is asked once")?;
                }
                if self.asked == Asked::No {
                    self.asked = Asked::Since(self.tick);
                    self.grace_until = at(self.tick) + setup.policy.grace_period;
                    self.ended = self.tick;
                }
            }
        }
        Ok(())
    }

    /// What must hold between two happenings.
    fn judge(&self, machine: &Supervisor, setup: &Setup) -> Result<(), &'static str> {
        let empty = self.main == Main::None && !self.leftover;
        if let Some(outcome) = machine.outcome() {
            holds(empty, "finished only with an empty tree")?;
            holds(machine.poll_timeout().is_none(), "no deadline after the end")?;
            let stopped = matches!(outcome, Outcome::Stopped | Outcome::Killed);
            let by_force = stopped && self.end == End::Force;
            holds((outcome == Outcome::Killed) == by_force, "killed is told of a command that was, and of no other")?;
            return holds(stopped == self.first_request.is_some(), "a stop ends as stopped, nothing else does");
        }
        if let (Asked::Since(_), false, false) = (self.asked, self.killed, empty) {
            let latest = self.grace_until + ticks(setup.pauses);
            holds(at(self.tick) <= latest, "killed as soon as the grace period is over")?;
        }
        let answer_outstanding = self.main == Main::Starting
            || self.look == Look::Pending
            || (self.main == Main::Alive && setup.policy.watchdog == Watchdog::Off);
        holds(machine.poll_timeout().is_some() || answer_outstanding, "without a deadline an answer is outstanding")?;
        if setup.policy.watchdog != Watchdog::Off
            && self.main == Main::Alive
            && self.asked == Asked::No
            && !setup.late_answers
        {
            // A heartbeat of unknown moment counts from the look that found it; pauses are forgiven once.
            let undated = if self.undated { self.timeout } else { Duration::ZERO };
            let slack = ticks(2 * self.pauses) + undated;
            let latest = at(self.alive_at).max(self.counted_from) + self.timeout + slack;
            holds(!self.reported, "a hang that the command reports is one at once")?;
            holds(at(self.tick) <= latest, "no hang later than the contract allows")?;
        }
        Ok(())
    }
}

/// One of each kind.
const MESSAGES: [Message; 7] = [
    Message::Heartbeat,
    Message::Ready,
    Message::Hang,
    Message::Timeout(Duration::from_secs(1)),
    Message::StreakOver,
    Message::Extension(Duration::from_secs(2)),
    Message::Leaving,
];

fn holds(condition: bool, invariant: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(invariant) }
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
    let is_stopping = world.first_request.is_some() && (world.main != Main::None || world.leftover);
    for event in world.make(action, due, setup) {
        let Step { actions, .. } = machine.handle_event(event, now);
        for action in actions {
            world.obey(action, setup)?;
        }
        let past = machine.poll_timeout().is_some_and(|deadline| deadline < now);
        holds(!past || due, "after an event no deadline lies in the past")?;
    }
    if is_stopping && matches!(action, Move::Interrupt) {
        holds(world.killed, "an interrupt during a stop kills at once")?;
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
        grace_period: ticks(1),
        restart: Restart::OnFailure,
        max_restarts: Limit::Times(1),
        backoff: Backoff { factor: ticks(1), ceiling: None, jitter: Jitter::NONE },
        reset_after: ticks(3),
    };
    Setup { policy, horizon: 8, late_answers: false, requests: 2, pauses: 0, messages: 0 }
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
    explored("usual", usual(), 112_470);
}

#[test]
fn late_answers() {
    explored("late answers", Setup { late_answers: true, requests: 1, horizon: 7, ..usual() }, 142_592);
}

#[test]
fn a_paused_supervisor() {
    explored("paused", Setup { pauses: 2, requests: 1, ..usual() }, 338_297);
}

#[test]
fn an_initial_delay() {
    let watchdog = Watchdog::On { timeout: ticks(2), initial_delay: ticks(3) };
    explored("initial delay", Setup { policy: Policy { watchdog, ..usual().policy }, ..usual() }, 57_986);
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
    explored("tells, late answers", setup, 438_628);
}

#[test]
fn without_heartbeat() {
    explored("no heartbeat", Setup { policy: Policy { watchdog: Watchdog::Off, ..usual().policy }, ..usual() }, 4_726);
}

#[test]
fn always_and_never() {
    for (name, restart, states) in [("always", Restart::Always, 113_727), ("never", Restart::Never, 27_319)] {
        explored(name, Setup { policy: Policy { restart, ..usual().policy }, ..usual() }, states);
    }
}

#[test]
fn unlimited_restarts() {
    let policy = Policy { max_restarts: Limit::Unlimited, ..usual().policy };
    explored("unlimited", Setup { policy, requests: 1, horizon: 7, ..usual() }, 45_594);
}

/// Every run may be healthy enough to end the streak.
#[test]
fn a_short_reset() {
    let backoff = Backoff { factor: ticks(0), ceiling: None, jitter: Jitter::NONE };
    let policy = Policy { reset_after: ticks(1), backoff, ..usual().policy };
    explored("short reset", Setup { policy, requests: 1, ..usual() }, 162_793);
}

#[test]
fn no_grace_and_no_backoff() {
    let backoff = Backoff { factor: ticks(0), ceiling: None, jitter: Jitter::NONE };
    let policy = Policy { grace_period: ticks(0), backoff, ..usual().policy };
    explored("no grace", Setup { policy, ..usual() }, 128_264);
}
