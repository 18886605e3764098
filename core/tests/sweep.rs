//! Thousands of simulated lives, each from a seed: a random policy, a random service, pauses of the supervisor, a stop
//! at a random moment. Whatever happened must add up.
//!
//! `SWEEP_SEEDS` says how many, 3000 unless it is set.

use fastrand::Rng;
use std::cell::Cell;
use std::time::Duration;
use supervisor_core::sim::{Activity, Behaviour, Ledger, Reaction, Service, SimBackend};
use supervisor_core::{
    Backend, Backoff, Ending, Event, Evidence, ExitStatus, GiveUp, Incoming, Instant, Jitter, KillCause, Limit, Notice,
    OnHang, Outcome, Policy, Purpose, Report, Restart, RunId, Supervisor, Watchdog, run,
};

/// Notes when the last look was made.
struct Spied<'a, B> {
    world: B,
    looked: &'a Cell<Instant>,
}

impl<B: Backend> Backend for Spied<'_, B> {
    type Notice = B::Notice;

    fn now(&self) -> Instant {
        self.world.now()
    }

    fn start(&mut self, run: RunId, restarts: u32) {
        self.world.start(run, restarts);
    }

    fn signal(&mut self, run: RunId, purpose: Purpose) {
        self.world.signal(run, purpose);
    }

    fn look(&mut self, run: RunId) {
        self.looked.set(self.now());
        self.world.look(run);
    }

    fn wait(&mut self, until: Option<Instant>) -> Incoming<B::Notice> {
        self.world.wait(until)
    }
}

/// Notes each notice with its time, and that of the last look; and where the time went.
struct Witness<'a> {
    looked: &'a Cell<Instant>,
    told: Vec<(Instant, Notice, Instant)>,
    ledger: Ledger,
}

impl<N> Report<N> for &mut Witness<'_> {
    fn event(&mut self, at: Instant, event: Event) {
        Report::<N>::event(&mut &mut self.ledger, at, event);
    }

    fn notice(&mut self, at: Instant, notice: Notice, supervisor: &Supervisor) {
        self.told.push((at, notice, self.looked.get()));
        Report::<N>::notice(&mut &mut self.ledger, at, notice, supervisor);
    }
}

/// One life: what was wanted, what was told and when, how it ended.
struct Life {
    policy: Policy,
    /// Each notice with its time, and that of the last look.
    told: Vec<(Instant, Notice, Instant)>,
    outcome: Outcome,
    end: Instant,
    ledger: Ledger,
    /// What each run was like in truth.
    truth: Vec<Behaviour>,
}

fn live(seed: u64) -> Life {
    let mut dice = Rng::with_seed(seed);
    let policy = policy(&mut dice);
    let service = Service { seed };
    let finishes = dice.bool();
    let dumps = match policy.on_hang {
        OnHang::Stop => None,
        OnHang::Signal { .. } if dice.bool() => Some(Reaction::Stays),
        OnHang::Signal { .. } => Some(Reaction::LeavesAfter(Duration::from_millis(dice.u64(0..8_000)))),
    };
    let behave = |run: RunId| {
        let behaviour = Behaviour { on_hang_signal: dumps, ..service.behaviour(run) };
        match behaviour.exit {
            Some((after, _)) if finishes && run.0.is_multiple_of(7) => {
                Behaviour { exit: Some((after, ExitStatus::Code(0))), ..behaviour }
            }
            Some((after, _)) if run.0.is_multiple_of(13) => behaviour.with_keeper_lost(after),
            Some(_) | None => behaviour,
        }
    };
    let mut requests = vec![(moment(&mut dice, 6 * 3_600), Event::Stop)];
    for _ in 0..dice.u32(0..3) {
        let soon = Duration::from_millis(dice.u64(0..4_000));
        requests.push((requests[0].0 + soon, if dice.bool() { Event::Stop } else { Event::Interrupt }));
    }
    requests.extend((0..dice.usize(0..4)).map(|_| (moment(&mut dice, 6 * 3_600), Event::Restart)));
    requests.sort_by_key(|(at, _)| *at);
    let pauses = (0..dice.usize(0..20)).map(|_| {
        let from = moment(&mut dice, 6 * 3_600);
        (from, from + Duration::from_millis(dice.u64(0..30_000)))
    });
    let mut truth = Vec::new();
    let behave = |run: RunId| {
        truth.push(behave(run));
        behave(run)
    };
    let looked = Cell::new(Instant::ORIGIN);
    let mut witness = Witness { looked: &looked, told: Vec::new(), ledger: Ledger::default() };
    let world = SimBackend::new(behave, requests).with_pauses(pauses.collect::<Vec<_>>());
    let mut world = Spied { world, looked: &looked };
    let outcome = run(policy.clone(), &mut world, &mut witness);
    assert!(world.world.is_empty(), "something is left of the last run");
    let end = world.now();
    drop(world);
    let Witness { told, ledger, .. } = witness;
    Life { policy, told, outcome, end, ledger, truth }
}

fn moment(dice: &mut Rng, most: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(dice.u64(0..most * 1000)))
}

fn policy(dice: &mut Rng) -> Policy {
    let mut seconds = |most: u64| Duration::from_millis(dice.u64(0..most * 1000));
    let timeout = seconds(60) + Duration::from_secs(1);
    let watchdog = Watchdog::On { timeout, initial_delay: seconds(10) };
    let backoff = Backoff {
        factor: seconds(3),
        ceiling: Some(seconds(300)),
        jitter: Jitter { parts_per_billion: 250_000_000, seed: 7 },
    };
    Policy {
        watchdog: if dice.u8(0..10) == 0 { Watchdog::Off } else { watchdog },
        on_hang: if dice.bool() {
            OnHang::Stop
        } else {
            OnHang::Signal { grace_period: Duration::from_millis(dice.u64(0..6_000)) }
        },
        grace_period: Duration::from_millis(dice.u64(0..6_000)),
        restart: *dice.choice(&[Restart::Never, Restart::OnFailure, Restart::OnFailure, Restart::Always]).unwrap(),
        max_restarts: if dice.bool() { Limit::Unlimited } else { Limit::Times(dice.u32(0..30)) },
        backoff,
        reset_after: Duration::from_millis(dice.u64(0..120_000)),
    }
}

impl Life {
    /// Every start has one end, and no time is lost.
    fn adds_up(&self) {
        let Ledger { starts, ends, failed_starts, exits, hangs, kills, restarts, restart_requests, .. } = self.ledger;
        assert_eq!(starts, ends, "each start has one end");
        assert!(starts <= restarts + restart_requests + 1, "each start but the first is a restart");
        let asked = u64::from(matches!(self.outcome, Outcome::Stopped | Outcome::Killed)) + restart_requests;
        assert!(restarts < starts + asked, "each restart is a start, but for one called off");
        assert!((starts..=starts + asked).contains(&(failed_starts + exits + hangs + asked)), "each end has a cause");
        assert!(kills <= starts - failed_starts, "a run is killed once");

        let periods = self.ledger.periods();
        let gaps = periods.windows(2).filter(|pair| pair[0].to != pair[1].from).count();
        assert_eq!(gaps, 0, "no gap between periods");
        let spent: Duration = Activity::ALL.into_iter().map(|activity| self.ledger.spent(activity)).sum();
        assert_eq!(spent, self.end.since_origin(), "no time is lost");
    }

    /// The contract, notice by notice.
    fn keeps_the_contract(&self) {
        let Policy { watchdog, on_hang, grace_period, backoff, max_restarts, .. } = &self.policy;
        let (mut asked, mut hang_signalled, mut waiting) = (Vec::new(), None, None::<Instant>);
        let (mut started, mut ended) = (Instant::ORIGIN, None);
        for &(at, notice, looked) in &self.told {
            match notice {
                Notice::Started { .. } | Notice::StartFailed { .. } => {
                    assert!(waiting.take().is_none_or(|until| at >= until), "no start before its delay is over");
                    asked.clear();
                    (started, ended) = (at, None);
                }
                Notice::Hung { evidence: Evidence::Report {}, .. } => panic!("these services report nothing"),
                Notice::Hung { run, evidence: Evidence::Silence { silence }, on_hang, .. } => {
                    let Watchdog::On { timeout, initial_delay } = *watchdog else {
                        panic!("a hang without a watchdog")
                    };
                    assert!(silence >= timeout, "no hang before a full timeout of silence");
                    let last = self.truth[run.0 as usize - 1].heartbeats.last(looked - started).unwrap_or_default();
                    let truly = (looked - started).saturating_sub(last.max(initial_delay));
                    assert!(truly >= timeout, "silent for {truly:?} only");
                    match on_hang {
                        OnHang::Stop => asked.push(at),
                        OnHang::Signal { .. } => hang_signalled = Some(at),
                    }
                }
                Notice::HangGraceOver { .. } => {
                    let OnHang::Signal { grace_period } = *on_hang else { panic!("there is no hang signal") };
                    let time = at - hang_signalled.take().expect("a hang comes before");
                    assert!(time >= grace_period, "no stop signal before the time of the hang signal is over");
                    asked.push(at);
                }
                Notice::Exited { status, ending, .. } => {
                    asked.push(at);
                    ended = matches!(ending, Ending::Spontaneous { .. }).then_some(status);
                }
                Notice::Stopping { .. } | Notice::Restarting { .. } => asked.push(at),
                Notice::RestartingInstead { .. } => waiting = None,
                Notice::Killing { cause: KillCause::GracePeriodOver, .. } => {
                    assert!(at - asked[0] >= *grace_period, "no kill before the grace period is over");
                }
                Notice::BackingOff { restart, delay, .. } => {
                    assert_ne!(self.policy.restart, Restart::Never, "a restart where there is never one");
                    let finished = ended == Some(ExitStatus::Code(0)) && self.policy.restart == Restart::OnFailure;
                    assert!(!finished, "a restart after success");
                    assert!(!matches!(*max_restarts, Limit::Times(most) if restart > most), "no restart too many");
                    let plain = Backoff { jitter: Jitter::NONE, ..backoff.clone() }.delay(restart - 1, 0);
                    assert!((plain..=plain + plain / 4).contains(&delay), "a delay as the policy says");
                    waiting = Some(at + delay);
                }
                _ => {}
            }
        }
    }

    fn ends_as_it_should(&self) {
        let (_, last, _) = *self.told.last().expect("something is told");
        assert_eq!(last, Notice::Done(self.outcome), "the outcome is the last that is told");
        match self.outcome {
            Outcome::GaveUp { reason: GiveUp::NeverRestarts, .. } => assert_eq!(self.policy.restart, Restart::Never),
            Outcome::GaveUp { reason: GiveUp::RestartsUsedUp, .. } => {
                assert_ne!(self.policy.max_restarts, Limit::Unlimited);
            }
            Outcome::GaveUp { reason: GiveUp::CannotStart, .. } => panic!("these services can be started"),
            Outcome::Finished => assert_ne!(self.policy.restart, Restart::Always),
            Outcome::Stopped | Outcome::Killed => {}
        }
    }
}

#[test]
fn whatever_happens_adds_up() {
    let seeds = std::env::var("SWEEP_SEEDS").map_or(3000, |seeds| seeds.parse().expect("SWEEP_SEEDS is a number"));
    let mut runs = 0;
    let mut outcomes = std::collections::BTreeMap::<_, u32>::new();
    for seed in 0..seeds {
        println!("seed {seed}");
        let life = live(seed);
        life.adds_up();
        life.keeps_the_contract();
        life.ends_as_it_should();
        runs += life.ledger.starts;
        let kind = format!("{:?}", life.outcome).chars().take_while(char::is_ascii_alphabetic).collect::<String>();
        *outcomes.entry(kind).or_default() += 1;
    }
    println!("{seeds} lives, {runs} runs, {outcomes:?}");
    assert!(runs >= 2 * seeds, "lives are too short to show anything");
    assert!(outcomes.len() == 4 || seeds < 3000, "not every outcome was seen: {outcomes:?}");
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in 0..50 {
        assert_eq!(live(seed).told, live(seed).told, "seed {seed}");
    }
}
