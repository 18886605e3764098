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

/// Supervises a command to its end. `report` gets every notice with its time, before its actions are carried out.
pub fn run(policy: Policy, backend: &mut impl Backend, mut report: impl FnMut(Instant, Notice)) -> Outcome {
    let (mut supervisor, mut step) = Supervisor::start(policy);
    let mut now = backend.now();
    loop {
        step.notices.into_iter().for_each(|notice| report(now, notice));
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
        step = supervisor.handle_event(event, now);
    }
}
