//! A backend on virtual time.

use super::{Behaviour, Heartbeats, Means, Reaction, Stamps};
use crate::{Backend, Event, ExitStatus, Incoming, Instant, Message, Observation, Purpose, RunId};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;

/// A simulated world. `behave` says what each run will be like.
pub struct SimBackend<W> {
    now: Instant,
    behave: W,
    /// Answers, and when they will be there.
    answers: Vec<(Instant, Event)>,
    /// What is asked of the supervisor, and when, in order of time.
    requests: VecDeque<(Instant, Event)>,
    /// When the supervisor does not run, from one moment to another.
    pauses: Vec<(Instant, Instant)>,
    life: Life,
    events: u64,
}

/// What lives in the world.
enum Life {
    Nothing,
    Main {
        run: RunId,
        started: Instant,
        behaviour: Behaviour,
        /// When heartbeats became known last, or could have.
        looked: Instant,
        exit: Option<(Instant, ExitStatus)>,
    },
    Leftover {
        run: RunId,
        leaves: Departure,
        when_asked: Reaction,
    },
    /// Nothing any more, which is yet to be told.
    Gone {
        run: RunId,
    },
}

enum Departure {
    Never,
    At(Instant),
}

impl<W: FnMut(RunId) -> Behaviour> SimBackend<W> {
    /// A world in which the supervisor is asked to do what `requests` say, in order of time.
    pub fn new(behave: W, requests: impl IntoIterator<Item = (Instant, Event)>) -> SimBackend<W> {
        SimBackend {
            now: Instant::ORIGIN,
            behave,
            answers: Vec::new(),
            requests: requests.into_iter().collect(),
            pauses: Vec::new(),
            life: Life::Nothing,
            events: 0,
        }
    }

    /// The same world, but the supervisor does not run from one moment to another: it is paused, its host overloaded.
    pub fn with_pauses(self, pauses: impl IntoIterator<Item = (Instant, Instant)>) -> SimBackend<W> {
        SimBackend { pauses: pauses.into_iter().collect(), ..self }
    }

    /// How many facts were told so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Whether nothing of any run is left.
    pub fn is_empty(&self) -> bool {
        matches!(self.life, Life::Nothing)
    }

    /// The next thing that will happen; of several at the same moment, answers come first and requests last.
    fn next_change(&self) -> Option<(Instant, Change)> {
        let answer = self.answers.iter().map(|(at, _)| (*at, Change::Answer)).min_by_key(|(at, _)| *at);
        let own = match self.life {
            Life::Main { exit: Some((at, _)), .. } => Some((at, Change::Exit)),
            Life::Leftover { leaves: Departure::At(at), .. } => Some((at, Change::Gone)),
            Life::Gone { .. } => Some((self.now, Change::Gone)),
            Life::Nothing | Life::Main { exit: None, .. } | Life::Leftover { leaves: Departure::Never, .. } => None,
        };
        let beat = match self.life {
            Life::Main {
                started, behaviour: Behaviour { heartbeats, beats_by: Means::Messages, .. }, looked, ..
            } => heartbeats.next(looked - started).map(|age| (started + age, Change::Beat)),
            Life::Main { .. } | Life::Nothing | Life::Leftover { .. } | Life::Gone { .. } => None,
        };
        let request = self.requests.front().map(|(at, _)| (*at, Change::Request));
        [answer, beat, own, request].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Lets time pass until then, and on to the end of a pause.
    fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        while let Some((_, end)) = self.pauses.iter().find(|(from, end)| (*from..*end).contains(&self.now)) {
            self.now = *end;
        }
    }

    fn apply(&mut self, change: Change) -> Option<Event> {
        match (change, &self.life) {
            (Change::Answer, _) => {
                let first = self.answers.iter().enumerate().min_by_key(|(_, (at, _))| *at).map(|(index, _)| index);
                first.map(|index| self.answers.remove(index).1)
            }
            (Change::Beat, Life::Main { .. }) => self.beat(),
            (Change::Exit, Life::Main { run, behaviour, exit: Some((_, status)), .. }) => {
                let (run, status) = (*run, *status);
                self.life = match behaviour.leftover {
                    None => Life::Gone { run },
                    Some(when_asked) => Life::Leftover { run, leaves: Departure::Never, when_asked },
                };
                Some(Event::Exited { run, status })
            }
            (Change::Gone, Life::Leftover { run, .. } | Life::Gone { run }) => {
                let run = *run;
                self.life = Life::Nothing;
                Some(Event::Cleared { run })
            }
            (Change::Request, _) => self.requests.pop_front().map(|(_, event)| event),
            (Change::Beat | Change::Exit | Change::Gone, _) => None,
        }
    }

    fn beat(&mut self) -> Option<Event> {
        let Life::Main { run, looked, .. } = &mut self.life else { return None };
        *looked = self.now;
        Some(Event::Message { run: *run, message: Message::Heartbeat })
    }
}

impl Behaviour {
    fn reaction(&self, purpose: Purpose) -> Reaction {
        match purpose {
            Purpose::Hang => self.on_hang_signal.unwrap_or(self.when_asked),
            Purpose::Stop | Purpose::Kill => self.when_asked,
        }
    }
}

/// Kinds of happenings.
#[derive(Clone, Copy)]
enum Change {
    Answer,
    Beat,
    Exit,
    Gone,
    Request,
}

impl<W: FnMut(RunId) -> Behaviour> Backend for SimBackend<W> {
    type Notice = Infallible;

    fn now(&self) -> Instant {
        self.now
    }

    fn start(&mut self, run: RunId, _restarts: u32) {
        assert!(self.is_empty(), "{run} is started beside what is left of another");
        let behaviour = (self.behave)(run);
        let started = self.now + behaviour.start_takes;
        let answer = match behaviour.start_failure {
            Some(failure) => Event::StartFailed { run, failure },
            None => {
                let exit = behaviour.exit.map(|(age, status)| (started + age, status));
                self.life = Life::Main { run, started, behaviour, looked: started, exit };
                Event::Started { run, pid: 1000 }
            }
        };
        self.answers.push((started, answer));
    }

    fn signal(&mut self, _run: RunId, purpose: Purpose) {
        let now = self.now;
        match (&mut self.life, purpose) {
            (Life::Main { exit, started, .. }, Purpose::Kill) => *exit = Some((now.max(*started), ExitStatus::KILLED)),
            (Life::Main { exit, behaviour, started, .. }, Purpose::Stop | Purpose::Hang) => {
                if let Reaction::LeavesAfter(pause) = behaviour.reaction(purpose) {
                    let asked = (now.max(*started) + pause, ExitStatus::Code(0));
                    *exit = Some(exit.filter(|own| own.0 <= asked.0).unwrap_or(asked));
                }
            }
            (Life::Leftover { leaves, .. }, Purpose::Kill) => *leaves = Departure::At(now),
            (Life::Leftover { leaves, when_asked, .. }, Purpose::Stop | Purpose::Hang) => {
                if let Reaction::LeavesAfter(pause) = when_asked {
                    *leaves = Departure::At(now + *pause);
                }
            }
            (Life::Nothing | Life::Gone { .. }, _) => {}
        }
    }

    fn look(&mut self, run: RunId) {
        let (observation, takes) = match &mut self.life {
            Life::Main { started, behaviour, looked, .. } => {
                let heartbeats = match behaviour.beats_by {
                    Means::File => behaviour.heartbeats,
                    Means::Messages => Heartbeats::NONE,
                };
                let last = heartbeats.last(self.now - *started).map(|age| *started + age);
                let news = last.filter(|at| *at > *looked);
                if behaviour.beats_by == Means::File {
                    *looked = self.now;
                }
                let observation = match (news, behaviour.stamps) {
                    (None, _) => Observation::Unchanged,
                    (Some(at), Stamps::Believed) => Observation::Changed { at },
                    (Some(_), Stamps::Doubted) => Observation::ChangedSometime,
                };
                (observation, behaviour.look_takes)
            }
            Life::Nothing | Life::Leftover { .. } | Life::Gone { .. } => (Observation::Unchanged, Duration::ZERO),
        };
        self.answers.push((self.now + takes, Event::Observed { run, observation }));
    }

    /// # Panics
    /// If nothing would ever happen again.
    fn wait(&mut self, until: Option<Instant>) -> Incoming<Infallible> {
        self.events += 1;
        loop {
            let next = self.next_change().filter(|(at, _)| until.is_none_or(|until| *at <= until));
            let Some((at, change)) = next else {
                self.advance(until.expect("something will happen, or a deadline comes"));
                return Incoming::Event(Event::Timeout);
            };
            self.advance(at);
            if let Some(event) = self.apply(change) {
                return Incoming::Event(event);
            }
        }
    }
}
