//! A fleet of 10,000 supervised commands in one thread, and why restarts are jittered.
//!
//! All need the same database. It goes away for a minute; without it a command crashes at once. How many start in the
//! worst second after that? `cargo run --release -p supervisor-core --example fleet` tells, without jitter and with.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;
use std::time::Duration;
use supervisor_core::{
    Action, Backoff, Event, ExitStatus, Instant, Jitter, Outcome, Policy, RunId, Step, Supervisor, Watchdog,
};

const FLEET: usize = 10_000;
/// The database is away, in seconds.
const OUTAGE: Range<u64> = 100..160;
/// The end of the story, in seconds.
const END: u64 = 600;

fn main() {
    let plain = worst_second(Jitter::NONE.parts_per_billion);
    let jittered = worst_second(1_000_000_000);
    println!("starts in the worst second: {plain} without jitter, {jittered} with --backoff-jitter 1");
    assert!(plain == FLEET && jittered < FLEET / 2, "jitter does not spread the starts");
}

/// Facts in order of time, then of their making; for each the member that it is about.
#[derive(Default)]
struct Agenda {
    facts: BinaryHeap<Reverse<(Instant, usize, usize)>>,
    made: Vec<Event>,
}

impl Agenda {
    fn add(&mut self, at: Instant, member: usize, event: Event) {
        self.facts.push(Reverse((at, self.made.len(), member)));
        self.made.push(event);
    }

    fn next(&mut self) -> Option<(Instant, usize, Event)> {
        self.facts.pop().map(|Reverse((at, made, member))| (at, member, self.made[made]))
    }
}

/// The fleet and its world.
#[derive(Default)]
struct Fleet {
    members: Vec<Supervisor>,
    agenda: Agenda,
    /// How many starts each second saw.
    starts: BTreeMap<u64, usize>,
}

impl Fleet {
    fn join(&mut self, policy: Policy) {
        let (supervisor, step) = Supervisor::start(policy);
        self.members.push(supervisor);
        self.obey(self.members.len() - 1, step, Instant::ORIGIN);
    }

    fn live(&mut self) {
        while let Some((at, member, event)) = self.agenda.next() {
            let step = self.members[member].handle_event(event, at);
            self.obey(member, step, at);
        }
    }

    fn obey(&mut self, member: usize, step: Step, now: Instant) {
        for action in step.actions {
            match action {
                Action::Start { run, .. } => self.start(member, run, now),
                Action::Signal { .. } => {}
                Action::Look { .. } => unreachable!("the watchdog is off"),
            }
        }
        // A deadline that has moved by then is a wake-up too many, which the machine does not mind.
        if let Some(due) = self.members[member].poll_timeout() {
            self.agenda.add(due, member, Event::Timeout);
        }
    }

    fn start(&mut self, member: usize, run: RunId, now: Instant) {
        let second = now.since_origin().as_secs();
        *self.starts.entry(second).or_default() += 1;
        let (lives_until, status) = match second {
            _ if second < OUTAGE.start => {
                (Instant::from_origin(Duration::from_secs(OUTAGE.start)), ExitStatus::Code(1))
            }
            _ if second < OUTAGE.end => (now, ExitStatus::Code(1)),
            _ => (Instant::from_origin(Duration::from_secs(END)), ExitStatus::Code(0)),
        };
        self.agenda.add(now, member, Event::Started { run, pid: 1 });
        self.agenda.add(lives_until, member, Event::Exited { run, status });
        self.agenda.add(lives_until, member, Event::Cleared { run });
    }
}

/// How many starts the worst second after the outage saw.
fn worst_second(parts_per_billion: u32) -> usize {
    let mut fleet = Fleet::default();
    for seed in 0..FLEET as u64 {
        let backoff = Backoff { jitter: Jitter { parts_per_billion, seed }, ..Backoff::default() };
        fleet.join(Policy { watchdog: Watchdog::Off, backoff, ..Policy::default() });
    }
    fleet.live();
    assert!(
        fleet.members.iter().all(|member| member.outcome() == Some(Outcome::Finished)),
        "somebody is still at work"
    );
    fleet.starts.range(OUTAGE.end..END).map(|(_, count)| *count).max().unwrap_or_default()
}
