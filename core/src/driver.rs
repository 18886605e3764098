//! The loop that connects the machine to a world.

use crate::{Action, Event, Instant, Notice, Outcome, Policy, Purpose, RunId, Supervisor};

/// A world in which commands run: Unix processes, or a simulation.
///
/// Orders return nothing. Every result, that of a failed start too, comes back through [`wait`](Backend::wait).
pub trait Backend {
    /// What the world tells people of itself; [`Infallible`](core::convert::Infallible) if it tells nothing.
    type Notice;

    /// The current time, which never goes backwards.
    fn now(&self) -> Instant;

    /// Starts the command: [`Action::Start`].
    fn start(&mut self, run: RunId, restarts: u32);

    /// Signals a run: [`Action::Signal`].
    fn signal(&mut self, run: RunId, purpose: Purpose);

    /// Looks at the heartbeat: [`Action::Look`].
    fn look(&mut self, run: RunId);

    /// Sleeps until something is known, or until `until`: then it is [`Event::Timeout`]. Events and notices come in
    /// the order in which they happened.
    fn wait(&mut self, until: Option<Instant>) -> Incoming<Self::Notice>;
}

/// What a world has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<N> {
    /// A fact, for the machine.
    Event(Event),
    /// A story of the world's own, for people.
    Notice(N),
}

/// Who is told what happens, and when; `supervisor` is as it stands then. Any function that takes the notices of the
/// machine will do.
pub trait Report<N> {
    /// A fact, before the machine takes it.
    fn event(&mut self, _at: Instant, _event: Event) {}

    /// A notice of the machine, before its actions are carried out.
    fn notice(&mut self, at: Instant, notice: Notice, supervisor: &Supervisor);

    /// A notice of the backend.
    fn backend_notice(&mut self, _at: Instant, _notice: N, _supervisor: &Supervisor) {}
}

impl<N, F: FnMut(Instant, Notice)> Report<N> for F {
    fn notice(&mut self, at: Instant, notice: Notice, _supervisor: &Supervisor) {
        self(at, notice);
    }
}

/// Supervises a command to its end. `report` gets every fact and every notice with its time.
pub fn run<B: Backend>(policy: Policy, backend: &mut B, mut report: impl Report<B::Notice>) -> Outcome {
    let (mut supervisor, mut step) = Supervisor::start(policy);
    let mut now = backend.now();
    loop {
        step.notices.into_iter().for_each(|notice| report.notice(now, notice, &supervisor));
        for action in step.actions {
            match action {
                Action::Start { run, restarts } => backend.start(run, restarts),
                Action::Look { run } => backend.look(run),
                Action::Signal { run, purpose } => backend.signal(run, purpose),
            }
        }
        if let Some(outcome) = supervisor.outcome() {
            return outcome;
        }
        let event = loop {
            match backend.wait(supervisor.poll_timeout()) {
                Incoming::Event(event) => break event,
                Incoming::Notice(notice) => report.backend_notice(backend.now(), notice, &supervisor),
            }
        };
        now = backend.now();
        report.event(now, event);
        step = supervisor.handle_event(event, now);
    }
}
