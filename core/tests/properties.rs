//! Random policies and random worlds: what the machine does is compared with a model that knows no states.
//!
//! The model computes, from the whole script of a world, when each run must end, and why: silences from the list of
//! heartbeats, the end of a run as the earliest of its possible causes, the streak by counting back. The machine sees
//! one fact after another.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::cell::RefCell;
use std::time::Duration;
use supervisor_core::sim::{Behaviour, Heartbeats, Reaction, SimBackend};
use supervisor_core::{
    Backoff, End, Event, ExitStatus, GiveUp, Instant, Jitter, Limit, Notice, OnHang, Outcome, Policy, Restart, RunId,
    StartFailure, StartFailureKind, Watchdog, run,
};

/// What happened, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Happening {
    Start,
    Exit(ExitStatus),
    Hang,
    Kill,
    Done(Outcome),
}

type History = Vec<(Duration, Happening)>;

/// When every world is stopped at last.
const THE_END: Duration = Duration::from_secs(3000);

/// A policy, the runs of a command, and what is asked of the supervisor.
#[derive(Clone, Debug)]
struct World {
    policy: Policy,
    runs: Vec<Behaviour>,
    requests: Vec<(Duration, Event)>,
}

impl World {
    fn behaviour(&self, run: usize) -> Behaviour {
        // After those comes one that finishes, or, where even that is followed by a restart, one that runs for ever.
        let exit = match self.policy.restart {
            Restart::Never | Restart::OnFailure => Some((Duration::from_micros(20), ExitStatus::Code(0))),
            Restart::Always => None,
        };
        let last = Behaviour {
            heartbeats: Heartbeats { every: Duration::from_micros(400_100), until: THE_END },
            exit,
            when_asked: Reaction::Stays,
            ..Behaviour::SILENT
        };
        let behaviour = self.runs.get(run).copied().unwrap_or(last);
        match self.policy.on_hang {
            OnHang::Stop => Behaviour { on_hang_signal: None, ..behaviour },
            OnHang::Signal { .. } => behaviour,
        }
    }

    /// What the machine does.
    fn play(&self) -> History {
        let history = RefCell::new(History::new());
        let requests = self.requests.iter().map(|(at, event)| (Instant::from_origin(*at), *event));
        let mut world = SimBackend::new(|run: RunId| self.behaviour(run.0 as usize - 1), requests);
        run(self.policy.clone(), &mut world, |at: Instant, notice: Notice| {
            let happening = match notice {
                Notice::Started { .. } | Notice::StartFailed { .. } => Happening::Start,
                Notice::Exited { status, .. } => Happening::Exit(status),
                Notice::Hung { .. } => Happening::Hang,
                Notice::Killing { .. } => Happening::Kill,
                Notice::Done(outcome) => Happening::Done(outcome),
                _ => return,
            };
            history.borrow_mut().push((at.since_origin(), happening));
        });
        assert!(world.is_empty(), "something is left of the last run");
        history.into_inner()
    }

    /// What it should do.
    fn expect(&self) -> History {
        let mut history = History::new();
        let (mut start, mut streak) = (Duration::ZERO, 0);
        for number in 0.. {
            history.push((start, Happening::Start));
            let life = match self.behaviour(number).start_failure {
                Some(failure) => {
                    Life { over: start, end: End::NotStarted(failure), healthy: None, request: Request::None }
                }
                None => self.live(self.behaviour(number), start, &mut history),
            };
            if life.healthy.is_some_and(|healthy| healthy >= self.policy.reset_after) {
                streak = 0;
            }
            let outcome = match life.request {
                Request::None => self.last(number, streak, life.end),
                Request::Restart => None,
                Request::Stop(outcome) => Some(outcome),
            };
            if let Some(outcome) = outcome {
                history.push((life.over, Happening::Done(outcome)));
                break;
            }
            if life.request == Request::Restart {
                start = life.over;
                continue;
            }
            start = life.over + self.delay(streak);
            match self.request(life.over, |_| true).filter(|(at, _)| *at < start) {
                None => streak += 1,
                Some((at, Event::Restart)) => start = at,
                Some((at, _)) => {
                    history.push((at, Happening::Done(Outcome::Stopped)));
                    break;
                }
            }
        }
        history
    }

    /// The first request after a moment.
    fn request(&self, after: Duration, wanted: impl Fn(Event) -> bool) -> Option<(Duration, Event)> {
        self.requests.iter().copied().find(|(at, event)| *at > after && wanted(*event))
    }

    fn delay(&self, streak: u32) -> Duration {
        let delay = self.policy.backoff.factor * 2u32.pow(streak);
        self.policy.backoff.ceiling.map_or(delay, |ceiling| delay.min(ceiling))
    }

    /// When silence is too long, and when the heartbeat before it was.
    fn hang(&self, behaviour: Behaviour, start: Duration) -> Option<(Duration, Duration)> {
        let Watchdog::On { timeout, initial_delay } = self.policy.watchdog else { return None };
        let Heartbeats { every, until } = behaviour.heartbeats;
        let beats = (1..).map(|n| every * n).take_while(|beat| *beat <= until && !every.is_zero());
        let mut last = Duration::ZERO;
        for beat in beats {
            if beat > last.max(initial_delay) + timeout {
                break;
            }
            last = beat;
        }
        Some((start + last.max(initial_delay) + timeout, last))
    }

    fn live(&self, behaviour: Behaviour, start: Duration, history: &mut History) -> Life {
        let own_exit = behaviour.exit.map(|(age, status)| (start + age, status));
        let hang = self.hang(behaviour, start);
        let request = self.request(start, |_| true).map(|(at, _)| at);
        let never = Duration::MAX;
        let exit_at = own_exit.map_or(never, |(at, _)| at);
        let hang_at = hang.map_or(never, |(at, _)| at);
        let doomed = exit_at.min(hang_at).min(request.unwrap_or(never));
        let hangs = hang_at == doomed && exit_at != doomed;

        // From when on it is asked to leave: a hang signal comes first.
        let just_before = doomed.saturating_sub(Duration::from_nanos(1));
        let (asked, after_dump) = match self.policy.on_hang {
            OnHang::Signal { grace_period } if hangs => {
                let dumped = match behaviour.on_hang_signal {
                    Some(Reaction::LeavesAfter(pause)) => hang_at + pause,
                    Some(Reaction::Stays) | None => never,
                };
                let request = self.request(doomed, |_| true).map_or(never, |(at, _)| at);
                ((hang_at + grace_period).min(dumped).min(exit_at).min(request), dumped)
            }
            OnHang::Signal { .. } | OnHang::Stop => (doomed, never),
        };

        // The request that makes the end of this run a stop, and the one after it that is urgent.
        let stopping = self.request(just_before, |event| event != Event::Restart).map(|(at, _)| at);
        let urgent = stopping.and_then(|stop| {
            let a_second_later = stop + Duration::from_secs(1) - Duration::from_nanos(1);
            self.request(a_second_later, |event| event == Event::Interrupt).map(|(at, _)| at)
        });
        let kill_at = (asked + self.policy.grace_period).min(urgent.unwrap_or(never));

        let main = if exit_at == asked {
            own_exit.unwrap()
        } else {
            let polite = match behaviour.when_asked {
                Reaction::Stays => never,
                Reaction::LeavesAfter(pause) => asked + pause,
            };
            let polite = (polite.min(after_dump), ExitStatus::Code(0));
            let willing = own_exit.filter(|own| own.0 <= polite.0).unwrap_or(polite);
            if willing.0 < kill_at { willing } else { (kill_at, ExitStatus::KILLED) }
        };
        let over = match behaviour.leftover {
            None => main.0,
            Some(Reaction::Stays) => kill_at.max(main.0),
            Some(Reaction::LeavesAfter(pause)) => (main.0 + pause).min(kill_at).max(main.0),
        };

        if hangs {
            history.push((hang_at, Happening::Hang));
        }
        let killed = kill_at <= over;
        if killed {
            history.push((kill_at, Happening::Kill));
        }
        history.push((main.0, Happening::Exit(main.1)));
        history.sort_by_key(|(at, _)| *at);

        let had_to_be_killed = killed && main.0 == kill_at && exit_at != main.0;
        let in_time = |at: &Duration| *at < over || *at == doomed;
        let restarting = self.request(just_before, |event| event == Event::Restart).map(|(at, _)| at);
        let request = match (stopping.filter(in_time), restarting.filter(in_time)) {
            (Some(_), _) if had_to_be_killed => Request::Stop(Outcome::Killed),
            (Some(_), _) => Request::Stop(Outcome::Stopped),
            (None, Some(_)) => Request::Restart,
            (None, None) => Request::None,
        };
        let (end, healthy) = match hang {
            Some((_, last)) if hangs => (End::Hung, last),
            _ => (End::Exited(main.1), doomed - start),
        };
        Life { over, end, healthy: Some(healthy), request }
    }

    /// The outcome, if no restart follows.
    fn last(&self, number: usize, streak: u32, end: End) -> Option<Outcome> {
        let success = end == End::Exited(ExitStatus::Code(0));
        if success && self.policy.restart != Restart::Always {
            return Some(Outcome::Finished);
        }
        let hopeless = matches!(end, End::NotStarted(failure) if failure.kind != StartFailureKind::Passing);
        let reason = match self.policy.max_restarts {
            _ if hopeless && number == 0 => GiveUp::CannotStart,
            _ if self.policy.restart == Restart::Never => GiveUp::NeverRestarts,
            Limit::Times(most) if streak >= most => GiveUp::RestartsUsedUp,
            Limit::Times(_) | Limit::Unlimited => return None,
        };
        Some(Outcome::GaveUp { end, reason })
    }
}

/// One run, in hindsight.
struct Life {
    over: Duration,
    end: End,
    healthy: Option<Duration>,
    request: Request,
}

/// What was asked while the run was alive or ending.
#[derive(Clone, Copy, PartialEq)]
enum Request {
    None,
    Restart,
    /// With what comes of it.
    Stop(Outcome),
}

/// Milliseconds plus an odd part of their own for each kind of happening, so that no two come at the same moment and
/// their order is not a matter of taste.
fn moment(millis: impl Strategy<Value = u64>, micros: u64) -> impl Strategy<Value = Duration> {
    millis.prop_map(move |millis| Duration::from_micros(millis * 1000 + micros))
}

fn reaction() -> impl Strategy<Value = Reaction> {
    prop_oneof![Just(Reaction::Stays), moment(0..8_000u64, 10).prop_map(Reaction::LeavesAfter),]
}

fn exit_status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![Just(ExitStatus::Code(0)), Just(ExitStatus::Code(1)), Just(ExitStatus::Signal(11))]
}

fn request() -> impl Strategy<Value = Event> {
    prop_oneof![1 => Just(Event::Stop), 1 => Just(Event::Interrupt), 3 => Just(Event::Restart)]
}

fn start_failure() -> impl Strategy<Value = StartFailure> {
    use StartFailureKind::{NotExecutable, NotFound, Passing};
    prop_oneof![Just(NotFound), Just(NotExecutable), Just(Passing)].prop_map(|kind| StartFailure { kind, os_error: 1 })
}

prop_compose! {
    fn behaviour()(
        start_failure in proptest::option::weighted(0.15, start_failure()),
        every in moment(500..20_000u64, 100),
        until in moment(0..200_000u64, 0),
        exit in proptest::option::of((moment(0..120_000u64, 20), exit_status())),
        when_asked in reaction(),
        on_hang_signal in reaction(),
        leftover in proptest::option::weighted(0.3, reaction()),
    ) -> Behaviour {
        let heartbeats = Heartbeats { every, until };
        let on_hang_signal = Some(on_hang_signal);
        Behaviour { start_failure, heartbeats, exit, when_asked, on_hang_signal, leftover, ..Behaviour::SILENT }
    }
}

fn watchdog() -> impl Strategy<Value = Watchdog> {
    let on = (moment(1_000..30_000u64, 3), moment(0..20_000u64, 0));
    prop_oneof![
        1 => Just(Watchdog::Off),
        5 => on.prop_map(|(timeout, initial_delay)| Watchdog::On { timeout, initial_delay }),
    ]
}

prop_compose! {
    fn policy()(
        watchdog in watchdog(),
        on_hang in prop_oneof![
            Just(OnHang::Stop),
            moment(0..8_000u64, 5).prop_map(|grace_period| OnHang::Signal { grace_period }),
        ],
        grace_period in moment(0..8_000u64, 1),
        restart in prop_oneof![1 => Just(Restart::Never), 1 => Just(Restart::Always), 4 => Just(Restart::OnFailure)],
        max_restarts in prop_oneof![Just(Limit::Unlimited), (0..5u32).prop_map(Limit::Times)],
        factor in moment(0..4_000u64, 0),
        ceiling in proptest::option::of(moment(0..10_000u64, 0)),
        reset_after in moment(0..100_000u64, 0),
    ) -> Policy {
        let backoff = Backoff { factor, ceiling, jitter: Jitter::NONE };
        Policy { watchdog, on_hang, grace_period, restart, max_restarts, backoff, reset_after }
    }
}

prop_compose! {
    fn world()(
        policy in policy(),
        runs in proptest::collection::vec(behaviour(), 0..6),
        mut requests in proptest::collection::vec(
            (moment(0..300_000u64, 500), request()), 0..6),
    ) -> World {
        requests.sort_by_key(|(at, _)| *at);
        requests.dedup_by_key(|(at, _)| *at);
        requests.push((THE_END, Event::Stop));
        World { policy, runs, requests }
    }
}

/// A second's worth of cases, unless `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let regressions = FileFailurePersistence::Direct("tests/properties.regressions");
    let asked = ProptestConfig { failure_persistence: Some(Box::new(regressions)), ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { asked } else { ProptestConfig { cases: 2000, ..asked } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_machine_does_what_the_model_says(world in world()) {
        prop_assert_eq!(world.play(), world.expect());
    }
}
