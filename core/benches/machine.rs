//! What an event costs in each state, in time and in allocations: `cargo bench -p supervisor-core`.

use divan::{AllocProfiler, Bencher, black_box};
use std::time::Duration;
use supervisor_core::sim::{Service, SimBackend};
use supervisor_core::{Event, ExitStatus, Instant, Message, Notice, Observation, OnHang, Policy, RunId, Supervisor};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const RUN: RunId = RunId(1);

fn at(seconds: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(seconds))
}

/// A hang signal with a time of its own.
fn dumping() -> Policy {
    Policy { on_hang: OnHang::Signal { grace_period: Duration::from_secs(3) }, ..Policy::default() }
}

/// A machine to which this has happened.
fn after(policy: Policy, events: &[(u64, Event)]) -> Supervisor {
    let (mut machine, _) = Supervisor::start(policy);
    for (seconds, event) in events {
        let _ = machine.handle_event(*event, at(*seconds));
    }
    machine
}

const STARTED: (u64, Event) = (0, Event::Started { run: RUN, pid: 1 });
const EXITED: (u64, Event) = (1, Event::Exited { run: RUN, status: ExitStatus::Code(1) });

/// The same event again and again, each time in the same state.
fn event(bencher: Bencher, history: &[(u64, Event)], seconds: u64, event: Event) {
    event_under(bencher, Policy::default(), history, seconds, event);
}

fn event_under(bencher: Bencher, policy: Policy, history: &[(u64, Event)], seconds: u64, event: Event) {
    let machine = after(policy, history);
    bencher
        .with_inputs(|| machine.clone())
        .bench_local_refs(|machine| machine.handle_event(black_box(event), at(seconds)));
}

#[divan::bench]
fn starting_started(bencher: Bencher) {
    event(bencher, &[], 0, STARTED.1);
}

#[divan::bench]
fn running_deadline(bencher: Bencher) {
    event(bencher, &[STARTED], 20, Event::Timeout);
}

#[divan::bench]
fn looking_heartbeat(bencher: Bencher) {
    let observation = Observation::Changed { at: at(15) };
    event(bencher, &[STARTED, (20, Event::Timeout)], 20, Event::Observed { run: RUN, observation });
}

#[divan::bench]
fn looking_hang(bencher: Bencher) {
    let observation = Observation::Unchanged;
    event(bencher, &[STARTED, (20, Event::Timeout)], 20, Event::Observed { run: RUN, observation });
}

#[divan::bench]
fn running_exit(bencher: Bencher) {
    event(bencher, &[STARTED], 1, EXITED.1);
}

#[divan::bench]
fn ending_cleared(bencher: Bencher) {
    event(bencher, &[STARTED, EXITED], 1, Event::Cleared { run: RUN });
}

#[divan::bench]
fn ending_kill(bencher: Bencher) {
    event(bencher, &[STARTED, EXITED], 6, Event::Timeout);
}

#[divan::bench]
fn backing_off_restart(bencher: Bencher) {
    event(bencher, &[STARTED, EXITED, (1, Event::Cleared { run: RUN })], 2, Event::Timeout);
}

#[divan::bench]
fn running_stop(bencher: Bencher) {
    event(bencher, &[STARTED], 1, Event::Stop);
}

#[divan::bench]
fn running_restart(bencher: Bencher) {
    event(bencher, &[STARTED], 1, Event::Restart);
}

#[divan::bench]
fn hang_signalled_stop(bencher: Bencher) {
    let hang = Event::Message { run: RUN, message: Message::Hang };
    event_under(bencher, dumping(), &[STARTED, (1, hang)], 4, Event::Timeout);
}

/// The whole loop: a day in the life of a service.
#[divan::bench]
fn simulated_day() {
    let service = Service { seed: 1 };
    let mut world = SimBackend::new(|run| service.behaviour(run), [(at(86_400), Event::Stop)]);
    black_box(supervisor_core::run(Policy::default(), &mut world, |_: Instant, notice: Notice| {
        black_box(notice);
    }));
}
