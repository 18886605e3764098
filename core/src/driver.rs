//! The loop that connects the machine to a world.

use crate::{Action, Event, Instant, Notice, Outcome, Policy, RunId, Signal, Supervisor};

/// A world in which commands run: Unix processes, or a simulation.
///
/// Orders return nothing. Every result, that of a failed start too, comes back through [`wait`](Backend::wait).
pub trait Backend {
    /// The current time, which never goes backwards.
    fn now(&self) -> Instant;

    /// Starts the command: [`Action::Start`].
    fn start(&mut self, run: RunId, restarts: u32);

    /// Signals a run: [`Action::Signal`].
    fn signal(&mut self, run: RunId, signal: Signal);

    /// Looks at the heartbeat: [`Action::Look`].
    fn look(&mut self, run: RunId);

    /// Sleeps until a fact is known, or until `until`: then the fact is [`Event::Elapsed`].
    fn wait(&mut self, until: Option<Instant>) -> Event;
}

/// Who is told what happens, and when: any function that takes notices will do.
pub trait Report {
    /// A fact, before the machine takes it.
    fn event(&mut self, _at: Instant, _event: Event) {}

    /// A notice of the machine, before its actions are carried out.
    fn notice(&mut self, at: Instant, notice: Notice);
}

impl<F: FnMut(Instant, Notice)> Report for F {
    fn notice(&mut self, at: Instant, notice: Notice) {
        self(at, notice);
    }
}

/// Supervises a command to its end. `report` gets every fact and every notice with its time.
pub fn run(policy: Policy, backend: &mut impl Backend, mut report: impl Report) -> Outcome {
    let (mut supervisor, mut step) = Supervisor::start(policy);
    let mut now = backend.now();
    loop {
        step.notices.into_iter().for_each(|notice| report.notice(now, notice));
        for action in step.actions {
            match action {
                Action::Start { run, restarts } => backend.start(run, restarts),
                Action::Look { run } => backend.look(run),
                Action::Signal { run, signal } => backend.signal(run, signal),
            }
        }
        if let Some(outcome) = supervisor.outcome() {
            return outcome;
        }
        let event = backend.wait(supervisor.poll_timeout());
        now = backend.now();
        report.event(now, event);
        step = supervisor.handle_event(event, now);
    }
}
