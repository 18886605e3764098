//! The machine beside a model, one fact after another: any policy, and any order of starts, failures, exits, answers
//! in time and late, requests, spurious wake-ups, delays of the supervisor, and answers about runs of the past.
//!
//! The model has no state. It keeps what happened and, after each fact, tells the whole story anew: which orders must
//! have been given since the beginning, which deadline comes next, how it ended. Each is a question to the history,
//! such as "the first request", "the first wake-up after the grace period".

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use std::fmt;
use std::time::Duration;
use supervisor_core::{
    Action, Backoff, End, Event, ExitStatus, GiveUp, Instant, Jitter, Limit, Message, Observation, OnHang, Outcome,
    Policy, Purpose, Restart, RunId, StartFailure, StartFailureKind, Supervisor, Watchdog,
};

/// A fact and its place in history.
#[derive(Clone, Copy, Debug)]
struct Fact {
    place: usize,
    at: Instant,
    event: Event,
}

impl Fact {
    fn is_stop(&self) -> bool {
        matches!(self.event, Event::Stop | Event::Interrupt)
    }

    fn is_restart(&self) -> bool {
        self.event == Event::Restart
    }

    fn is_request(&self) -> bool {
        self.is_stop() || self.is_restart()
    }

    fn wakes_at(&self, due: Instant) -> bool {
        self.event == Event::Timeout && self.at >= due
    }
}

/// All that happened.
#[derive(Clone)]
struct History {
    policy: Policy,
    facts: Vec<(Instant, Event)>,
}

/// What must follow from it.
#[derive(Debug)]
struct Story {
    orders: Vec<(Instant, Action)>,
    deadline: Option<Instant>,
    outcome: Option<Outcome>,
    run: RunId,
    scene: Scene,
}

/// What the world can do next.
#[derive(Debug, PartialEq)]
enum Scene {
    Starting,
    Alive { killed: bool },
    Looked { since: Instant },
    Left,
    Nothing,
}

impl History {
    fn now(&self) -> Instant {
        self.facts.last().map_or(Instant::ORIGIN, |(at, _)| *at)
    }

    fn tell(&self) -> Story {
        let (mut begin, mut from, mut restarts) = (Instant::ORIGIN, 0, 0);
        let mut orders = Vec::new();
        for run in (1..).map(RunId) {
            orders.push((begin, Action::Start { run, restarts }));
            let mut facts = self.facts_about(run, from);
            let over =
                facts.iter().position(|fact| matches!(fact.event, Event::Cleared { .. } | Event::StartFailed { .. }));
            let later = facts.split_off(over.map_or(facts.len(), |over| over + 1));
            let life = Life { policy: &self.policy, run, facts };
            let told = life.orders();
            orders.extend(told.iter().map(|(fact, action)| (fact.at, *action)));
            let story = |deadline, outcome, scene| Story { orders: orders.clone(), deadline, outcome, run, scene };
            let Some(over) = life.over() else { return story(life.deadline(), None, life.scene()) };
            if life.healthy().is_some_and(|healthy| healthy >= self.policy.reset_after) || life.tells_streak_over() {
                restarts = 0;
            }
            if let Some(outcome) = life.outcome(restarts) {
                return story(None, Some(outcome), Scene::Nothing);
            }
            if life.restart().is_some() {
                (begin, from) = (over.at, over.place + 1);
                continue;
            }
            let until = over.at + self.delay(restarts);
            let next = later.iter().find(|fact| fact.is_request() || fact.wakes_at(until));
            match next {
                None => return story(Some(until), None, Scene::Nothing),
                Some(fact) if fact.is_stop() => return story(None, Some(Outcome::Stopped), Scene::Nothing),
                Some(fact) => {
                    (begin, from) = (fact.at, fact.place + 1);
                    restarts += u32::from(!fact.is_restart());
                }
            }
        }
        unreachable!("every history has an end")
    }

    fn facts_about(&self, run: RunId, from: usize) -> Vec<Fact> {
        let facts = self.facts.iter().enumerate().skip(from).map(|(place, &(at, event))| Fact { place, at, event });
        facts.filter(|fact| fact.event.run().is_none_or(|about| about == run)).collect()
    }

    fn delay(&self, restarts: u32) -> Duration {
        let delay = self.policy.backoff.factor * 2u32.pow(restarts.min(20));
        delay.min(self.policy.backoff.ceiling.unwrap_or(Duration::MAX))
    }
}

/// One run, and the facts from its order to its end.
struct Life<'a> {
    policy: &'a Policy,
    run: RunId,
    facts: Vec<Fact>,
}

/// What watching came to: the looks, the end of patience or the next moment of truth.
struct Watching {
    looks: Vec<Fact>,
    last_sign: Instant,
    now: Patience,
}

enum Patience {
    Unlimited,
    Until(Instant),
    Looking(Instant),
    Over(Fact),
}

impl Life<'_> {
    fn first(&self, wanted: impl Fn(&Fact) -> bool) -> Option<Fact> {
        self.facts.iter().copied().find(wanted)
    }

    fn started(&self) -> Option<Fact> {
        self.first(|fact| matches!(fact.event, Event::Started { .. }))
    }

    fn exit(&self) -> Option<(Fact, ExitStatus)> {
        self.facts.iter().find_map(|fact| match fact.event {
            Event::Exited { status, .. } => Some((*fact, status)),
            _ => None,
        })
    }

    fn over(&self) -> Option<Fact> {
        self.first(|fact| matches!(fact.event, Event::Cleared { .. } | Event::StartFailed { .. }))
    }

    /// The first request of either kind.
    fn request(&self) -> Option<Fact> {
        self.first(Fact::is_request)
    }

    fn stop(&self) -> Option<Fact> {
        self.first(Fact::is_stop)
    }

    fn restart(&self) -> Option<Fact> {
        self.first(Fact::is_restart)
    }

    /// Until the run was asked to leave or left: what the command told, and when.
    fn told(&self, end: usize) -> impl Iterator<Item = (Fact, Message)> {
        let begin = self.started().map_or(usize::MAX, |started| started.place);
        let facts = self.facts.iter().filter(move |fact| (begin..end).contains(&fact.place));
        facts.filter_map(|fact| match fact.event {
            Event::Message { message, .. } => Some((*fact, message)),
            _ => None,
        })
    }

    fn tells_streak_over(&self) -> bool {
        let end = self.doomed().map_or(usize::MAX, |(doomed, _)| doomed.place);
        self.told(end).any(|(_, message)| message == Message::StreakOver)
    }

    /// When patience is over, as far as `told` and the signs of life, in order, say; and whether it is by forgiveness.
    fn due(
        &self,
        told: &[(Fact, Message)],
        signs: &[(usize, Instant)],
        forgiven: Option<(usize, Instant)>,
    ) -> (Instant, bool) {
        let started = self.started().expect("it runs").at;
        let Watchdog::On { timeout, initial_delay } = self.policy.watchdog else { unreachable!("somebody watches") };
        let first =
            |wanted: fn(Message) -> bool| told.iter().find(|(_, message)| wanted(*message)).map(|(fact, _)| fact);
        let ready = first(|message| message == Message::Ready);
        let beaten = signs.first().map_or(usize::MAX, |(place, _)| *place);
        let start_up_ends = beaten.min(ready.map_or(usize::MAX, |fact| fact.place));
        // The last of these that moves the deadline undoes what was forgiven before.
        let mut counted_from = started + initial_delay;
        let mut latest_timeout = timeout;
        let mut moved = signs.last().map_or(0, |(place, _)| *place);
        for (fact, message) in told {
            let effective = match *message {
                Message::Ready if Some(fact.place) == ready.map(|ready| ready.place) => {
                    counted_from = fact.at;
                    true
                }
                Message::Timeout(timeout) => {
                    (counted_from, latest_timeout) = (counted_from.max(fact.at), timeout);
                    true
                }
                Message::Extension(by) if fact.place < start_up_ends => {
                    counted_from = counted_from.max(fact.at + by);
                    true
                }
                _ => false,
            };
            moved = if effective { moved.max(fact.place) } else { moved };
        }
        let last_sign = signs.last().map_or(started, |(_, at)| *at);
        let regular = last_sign.max(counted_from) + latest_timeout;
        forgiven.filter(|(place, _)| *place > moved).map_or((regular, false), |(_, until)| (until, true))
    }

    fn watching(&self) -> Option<Watching> {
        let started = self.started()?;
        let mut watching = Watching { looks: vec![], last_sign: started.at, now: Patience::Unlimited };
        if self.policy.watchdog == Watchdog::Off {
            return Some(watching);
        }
        let interrupted = [self.request(), self.exit().map(|(exit, _)| exit)].into_iter().flatten();
        let end = interrupted.map(|fact| fact.place).min().unwrap_or(usize::MAX);
        let (mut signs, mut forgiven, mut looking) = (Vec::new(), None, false);
        for fact in self.facts.iter().filter(|fact| fact.place > started.place && fact.place < end) {
            let told = |place| self.told(place).collect::<Vec<_>>();
            let (due, is_forgiven) = self.due(&told(fact.place), &signs, forgiven);
            match fact.event {
                Event::Message { message: Message::Hang, .. } => {
                    watching.now = Patience::Over(*fact);
                    return Some(watching);
                }
                Event::Message { message: Message::Heartbeat, .. } => {
                    watching.last_sign = watching.last_sign.max(fact.at);
                    signs.push((fact.place, watching.last_sign));
                }
                Event::Observed { observation, .. } if looking => {
                    looking = false;
                    let late = fact.at - due;
                    match observation {
                        Observation::Unchanged if fact.at < due => {}
                        Observation::Unchanged if !is_forgiven && late > Duration::from_millis(100) => {
                            let timeout = self.told(fact.place).filter_map(|(_, message)| match message {
                                Message::Timeout(timeout) => Some(timeout),
                                _ => None,
                            });
                            let most = timeout.last().unwrap_or(self.timeout());
                            forgiven = Some((fact.place, fact.at + late.min(most)));
                        }
                        Observation::Unchanged => {
                            watching.now = Patience::Over(*fact);
                            return Some(watching);
                        }
                        Observation::Changed { at } => watching.last_sign = watching.last_sign.max(at),
                        Observation::ChangedSometime => watching.last_sign = fact.at,
                    }
                    if observation != Observation::Unchanged {
                        signs.push((fact.place, watching.last_sign));
                        // Right after an answer that came too late for the next deadline.
                        looking = fact.at >= self.due(&told(fact.place), &signs, forgiven).0;
                        watching.looks.extend(looking.then_some(*fact));
                    }
                }
                _ if !looking && fact.wakes_at(due) => {
                    looking = true;
                    watching.looks.push(*fact);
                }
                _ => {}
            }
        }
        let all: Vec<_> = self.told(end).collect();
        watching.now = if looking {
            Patience::Looking(watching.last_sign)
        } else {
            Patience::Until(self.due(&all, &signs, forgiven).0)
        };
        Some(watching)
    }

    fn timeout(&self) -> Duration {
        match self.policy.watchdog {
            Watchdog::Off => Duration::MAX,
            Watchdog::On { timeout, .. } => timeout,
        }
    }

    fn hang(&self) -> Option<Fact> {
        match self.watching()?.now {
            Patience::Over(fact) => Some(fact),
            Patience::Unlimited | Patience::Until(_) | Patience::Looking(_) => None,
        }
    }

    /// The fact that makes the run end, and the signal that follows from it.
    fn doomed(&self) -> Option<(Fact, Purpose)> {
        let hang = self.hang().map(|fact| (fact, Purpose::Hang));
        let request = self.request().map(|fact| (fact, Purpose::Stop));
        let exit = self.exit().map(|(fact, _)| (fact, Purpose::Stop));
        [hang, request, exit].into_iter().flatten().min_by_key(|(fact, _)| fact.place)
    }

    /// The end of the time that a hung command has for the hang signal, if it had any.
    fn dump_due(&self) -> Option<Instant> {
        match (self.doomed()?, self.policy.on_hang) {
            ((hang, Purpose::Hang), OnHang::Signal { grace_period }) => Some(hang.at + grace_period),
            ((_, Purpose::Hang | Purpose::Stop | Purpose::Kill), OnHang::Stop | OnHang::Signal { .. }) => None,
        }
    }

    /// The fact at which the grace period begins. After a hang signal with a time of its own, that is the first thing
    /// that ends it: its end, an exit, a request.
    fn asked(&self) -> Option<Fact> {
        let (doomed, _) = self.doomed()?;
        let Some(due) = self.dump_due() else { return Some(doomed) };
        self.first(|fact| {
            let exits = matches!(fact.event, Event::Exited { .. });
            fact.place > doomed.place && (exits || fact.is_request() || fact.wakes_at(due))
        })
    }

    /// The facts at which everything of the run is killed, and when it would be next.
    fn kills(&self) -> (Vec<Fact>, Option<Instant>) {
        let Some(asked) = self.asked() else { return (vec![], None) };
        let exit = self.exit().map_or(usize::MAX, |(exit, _)| exit.place);
        let mut due = asked.at + self.policy.grace_period;
        let mut kills = Vec::<Fact>::new();
        for fact in self.facts.iter().filter(|fact| fact.place > asked.place) {
            if let (Event::Message { message: Message::Extension(by), .. }, true) = (fact.event, kills.is_empty())
                && fact.place < exit
            {
                due = due.max(fact.at + by);
            }
            let is_another = self.stop().is_some_and(|stop| fact.at - stop.at >= Duration::from_secs(1));
            let urgent = kills.is_empty() && fact.event == Event::Interrupt && is_another;
            if urgent || fact.wakes_at(due) {
                kills.push(*fact);
                let pause = fact.at - kills[0].at;
                due = fact.at + pause.max(Duration::from_millis(100)).min(Duration::from_secs(60));
            }
        }
        (kills, Some(due))
    }

    fn orders(&self) -> Vec<(Fact, Action)> {
        let run = self.run;
        let looks = self.watching().into_iter().flat_map(|watching| watching.looks);
        let mut orders: Vec<_> = looks.map(|fact| (fact, Action::Look { run })).collect();
        let doomed = self.doomed();
        orders.extend(doomed.map(|(fact, purpose)| (fact, Action::Signal { run, purpose })));
        let ask_later = self.asked().filter(|asked| doomed.is_some_and(|(fact, _)| fact.place < asked.place));
        orders.extend(ask_later.map(|fact| (fact, Action::Signal { run, purpose: Purpose::Stop })));
        let (kills, _) = self.kills();
        orders.extend(kills.iter().map(|fact| (*fact, Action::Signal { run, purpose: Purpose::Kill })));
        if let (Some(asked), Some((exit, _))) = (self.asked(), self.exit())
            && asked.place < exit.place
        {
            let killed = kills.first().is_some_and(|kill| kill.place < exit.place);
            let purpose = if killed { Purpose::Kill } else { Purpose::Stop };
            orders.push((exit, Action::Signal { run, purpose }));
        }
        orders.sort_by_key(|(fact, _)| fact.place);
        orders
    }

    fn deadline(&self) -> Option<Instant> {
        let patience = match self.watching().map(|watching| watching.now) {
            Some(Patience::Until(due)) => Some(due),
            _ => None,
        };
        match (self.doomed(), self.asked()) {
            (None, _) => patience,
            (Some(_), None) => self.dump_due(),
            (Some(_), Some(_)) => self.kills().1,
        }
    }

    fn scene(&self) -> Scene {
        match (self.started(), self.exit(), self.doomed(), self.watching().map(|watching| watching.now)) {
            (None, ..) => Scene::Starting,
            (_, Some(_), ..) => Scene::Left,
            (_, None, None, Some(Patience::Looking(since))) => Scene::Looked { since },
            (_, None, ..) => Scene::Alive { killed: !self.kills().0.is_empty() },
        }
    }

    /// How long it was healthy, unless it was asked to leave before it had started.
    fn healthy(&self) -> Option<Duration> {
        let started = self.started()?;
        match self.doomed()? {
            (_, Purpose::Hang) => Some(self.watching()?.last_sign - started.at),
            (end, Purpose::Stop | Purpose::Kill) if end.place > started.place => Some(end.at - started.at),
            (_, Purpose::Stop | Purpose::Kill) => None,
        }
    }

    /// The outcome of a run that is over, if no other follows.
    fn outcome(&self, restarts: u32) -> Option<Outcome> {
        if self.stop().is_some() {
            let killed = self.kills().0.first().copied().zip(self.exit());
            let by_force =
                killed.is_some_and(|(kill, (exit, status))| kill.place < exit.place && status == ExitStatus::KILLED);
            return Some(if by_force { Outcome::Killed } else { Outcome::Stopped });
        }
        let hopeless = match self.over()?.event {
            Event::StartFailed { failure, .. } => self.run == RunId(1) && failure.kind != StartFailureKind::Passing,
            _ => false,
        };
        if self.restart().is_some() && !hopeless {
            return None;
        }
        let end = match (self.over()?.event, self.hang(), self.exit()) {
            (Event::StartFailed { failure, .. }, ..) => End::NotStarted(failure),
            (_, Some(_), _) => End::Hung,
            (_, None, exit) => End::Exited(exit?.1),
        };
        let reason = match (end, self.policy.restart, self.policy.max_restarts) {
            (End::Exited(ExitStatus::Code(0)), Restart::Never | Restart::OnFailure, _) => {
                return Some(Outcome::Finished);
            }
            _ if hopeless => GiveUp::CannotStart,
            (_, Restart::Never, _) => GiveUp::NeverRestarts,
            (_, _, Limit::Times(most)) if restarts >= most => GiveUp::RestartsUsedUp,
            _ => return None,
        };
        Some(Outcome::GaveUp { end, reason })
    }
}

/// What happens next.
#[derive(Clone)]
enum Transition {
    /// A fact, so long after the one before.
    Fact(Duration, Event),
    /// The deadline comes, and the supervisor runs so much later.
    Wake(Duration),
}

/// One line each, also where a failure is printed at length.
impl fmt::Debug for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match self {
            Transition::Fact(after, event) => format!("{after:?} later: {event:?}"),
            Transition::Wake(late) => format!("at the deadline + {late:?}: Timeout"),
        };
        f.write_str(&line)
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{:?}, facts: {:?}", self.policy, self.facts))
    }
}

impl ReferenceStateMachine for History {
    type State = History;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<History> {
        policy().prop_map(|policy| History { policy, facts: Vec::new() }).boxed()
    }

    fn transitions(history: &History) -> BoxedStrategy<Transition> {
        let story = history.tell();
        let (run, now) = (story.run, history.now());
        let past = RunId(run.0 - 1);
        let fact =
            |event: BoxedStrategy<Event>| (pause(), event).prop_map(|(after, event)| Transition::Fact(after, event));
        let rare = prop_oneof![
            4 => Just(Event::Timeout),
            2 => Just(Event::Stop),
            2 => Just(Event::Interrupt),
            2 => Just(Event::Restart),
            1 => Just(Event::Exited { run: past, status: ExitStatus::Code(0) }),
            1 => Just(Event::Cleared { run: past }),
            1 => Just(Event::Message { run: past, message: Message::Hang }),
            1 => Just(Event::Observed { run: past, observation: Observation::Unchanged }),
        ];
        let mut weighted = vec![(1, fact(rare.boxed()).boxed())];
        if story.deadline.is_some() {
            weighted.push((5, lateness().prop_map(Transition::Wake).boxed()));
        }
        let expected = match story.scene {
            Scene::Starting => {
                let failed = failure().prop_map(move |failure| Event::StartFailed { run, failure });
                Some(prop_oneof![4 => Just(Event::Started { run, pid: 7 }), 1 => failed].boxed())
            }
            Scene::Looked { since } => {
                let told = message().prop_map(move |message| Event::Message { run, message });
                let exit = exit_status().prop_map(move |status| Event::Exited { run, status });
                let answer = observation(since, now).prop_map(move |observation| Event::Observed { run, observation });
                Some(prop_oneof![9 => answer, 1 => exit, 2 => told].boxed())
            }
            Scene::Alive { killed } => {
                let status = if killed {
                    prop_oneof![Just(ExitStatus::Signal(9)), exit_status()].boxed()
                } else {
                    exit_status().boxed()
                };
                let exit = status.prop_map(move |status| Event::Exited { run, status });
                let told = message().prop_map(move |message| Event::Message { run, message });
                Some(prop_oneof![exit, told].boxed())
            }
            Scene::Left => Some(Just(Event::Cleared { run }).boxed()),
            Scene::Nothing => None,
        };
        weighted.extend(expected.map(|event| (4, fact(event).boxed())));
        proptest::strategy::Union::new_weighted(weighted).boxed()
    }

    fn preconditions(history: &History, transition: &Transition) -> bool {
        let story = history.tell();
        let Transition::Fact(_, event) = transition else { return story.deadline.is_some() };
        if event.run().is_none_or(|run| run < story.run) {
            return true;
        }
        event.run() == Some(story.run)
            && match event {
                Event::Started { .. } | Event::StartFailed { .. } => story.scene == Scene::Starting,
                Event::Exited { .. } => matches!(story.scene, Scene::Alive { .. } | Scene::Looked { .. }),
                Event::Observed { .. } => matches!(story.scene, Scene::Looked { .. }),
                Event::Message { .. } => matches!(story.scene, Scene::Alive { .. } | Scene::Looked { .. }),
                Event::Cleared { .. } => story.scene == Scene::Left,
                // Shown row by row in tests/table/hang_signal.rs.
                Event::Signalled { .. } => false,
                Event::Timeout | Event::Stop | Event::Interrupt | Event::Restart => true,
            }
    }

    fn apply(mut history: History, transition: &Transition) -> History {
        let now = history.now();
        let fact = match *transition {
            Transition::Fact(after, event) => (now + after, event),
            Transition::Wake(late) => {
                let deadline = history.tell().deadline.expect("a precondition");
                (now.max(deadline + late), Event::Timeout)
            }
        };
        history.facts.push(fact);
        history
    }
}

/// The machine, and all its orders.
struct Machine {
    supervisor: Supervisor,
    orders: Vec<(Instant, Action)>,
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Machine;
    type Reference = History;

    fn init_test(history: &History) -> Machine {
        let (supervisor, step) = Supervisor::start(history.policy.clone());
        Machine { supervisor, orders: step.actions.iter().map(|action| (Instant::ORIGIN, action)).collect() }
    }

    fn apply(mut machine: Machine, history: &History, _: Transition) -> Machine {
        let &(now, event) = history.facts.last().expect("a fact was just added");
        let step = machine.supervisor.handle_event(event, now);
        machine.orders.extend(step.actions.iter().map(|action| (now, action)));
        machine
    }

    fn check_invariants(machine: &Machine, history: &History) {
        let story = history.tell();
        assert_eq!(machine.orders, story.orders, "orders");
        assert_eq!(machine.supervisor.poll_timeout(), story.deadline, "deadline");
        assert_eq!(machine.supervisor.outcome(), story.outcome, "outcome");
        let is_alive = matches!(story.scene, Scene::Alive { .. } | Scene::Looked { .. });
        assert_eq!(machine.supervisor.phase().pid().is_some(), is_alive, "the phase tells whether the command lives");
    }
}

/// Often a round number, so that several things come at the same moment.
fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => Just(Duration::ZERO),
        2 => (0..20u64).prop_map(|halves| Duration::from_millis(500 * halves)),
        1 => (0..20_000u64).prop_map(Duration::from_millis),
    ]
}

fn lateness() -> impl Strategy<Value = Duration> {
    prop_oneof![
        6 => Just(Duration::ZERO),
        1 => Just(Duration::from_millis(100)),
        1 => Just(Duration::from_nanos(100_000_001)),
        1 => pause(),
    ]
}

/// Changes between the last sign of life and now; a time stamp may also lie a little before both.
fn observation(since: Instant, now: Instant) -> impl Strategy<Value = Observation> {
    let at = (0..=8u32, 0..=1u32).prop_map(move |(eighths, tick)| {
        let at = since + (now - since) * eighths / 8;
        Instant::from_origin(at.since_origin().saturating_sub(Duration::from_millis(10) * tick))
    });
    prop_oneof![
        2 => Just(Observation::Unchanged),
        1 => Just(Observation::ChangedSometime),
        3 => at.prop_map(|at| Observation::Changed { at }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => Just(Message::Heartbeat),
        2 => Just(Message::Ready),
        1 => Just(Message::Hang),
        2 => seconds(1..8).prop_map(Message::Timeout),
        1 => Just(Message::StreakOver),
        2 => seconds(0..8).prop_map(Message::Extension),
        1 => Just(Message::Leaving),
    ]
}

fn exit_status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![Just(ExitStatus::Code(0)), Just(ExitStatus::Code(1)), Just(ExitStatus::Signal(11))]
}

fn failure() -> impl Strategy<Value = StartFailure> {
    use StartFailureKind::{NotExecutable, NotFound, Passing};
    prop_oneof![Just(NotFound), Just(NotExecutable), Just(Passing)].prop_map(|kind| StartFailure { kind, os_error: 1 })
}

fn seconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_secs)
}

prop_compose! {
    fn policy()(
        watchdog in prop_oneof![
            1 => Just(Watchdog::Off),
            5 => (seconds(1..8), prop_oneof![Just(Duration::ZERO), seconds(1..6)])
                .prop_map(|(timeout, initial_delay)| Watchdog::On { timeout, initial_delay }),
        ],
        on_hang in prop_oneof![
            Just(OnHang::Stop),
            seconds(0..4).prop_map(|grace_period| OnHang::Signal { grace_period }),
        ],
        grace_period in seconds(0..5),
        restart in prop_oneof![1 => Just(Restart::Never), 2 => Just(Restart::Always), 4 => Just(Restart::OnFailure)],
        max_restarts in prop_oneof![2 => Just(Limit::Unlimited), 1 => (0..4u32).prop_map(Limit::Times)],
        factor in seconds(0..3),
        ceiling in proptest::option::of(seconds(0..6)),
        reset_after in seconds(0..12),
    ) -> Policy {
        let backoff = Backoff { factor, ceiling, jitter: Jitter::NONE };
        Policy { watchdog, on_hang, grace_period, restart, max_restarts, backoff, reset_after }
    }
}

/// Seconds' worth of cases, unless `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let regressions = FileFailurePersistence::Direct("tests/model.regressions");
    let asked = ProptestConfig { failure_persistence: Some(Box::new(regressions)), ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { asked } else { ProptestConfig { cases: 500, ..asked } }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn the_machine_does_what_history_demands(sequential 1..60 => Machine);
}
