//! A world on virtual time: commands that behave as a script says, and a clock that jumps.
//!
//! [`SimBackend`] is a [`Backend`] like any other, so that [`run`](crate::run) takes the very decisions that it takes
//! in production, through as much time as one likes.

use crate::{Backend, Event, ExitStatus, Instant, Observation, RunId, Signal, StartFailure};
use alloc::collections::VecDeque;
use core::time::Duration;

/// What SIGKILL makes of a process; its number is 9 wherever there are signals.
const KILLED: ExitStatus = ExitStatus::Signal(9);

/// How one run of a command will behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Why it does not even start, if so.
    pub start_failure: Option<StartFailure>,
    /// Its heartbeats.
    pub heartbeats: Heartbeats,
    /// When it ends by itself, counted from its start, and how.
    pub exit: Option<(Duration, ExitStatus)>,
    /// What it does when it is asked to leave. It then exits with code 0.
    pub when_asked: Reaction,
    /// What a process does that it leaves behind, if it leaves one.
    pub leftover: Option<Reaction>,
}

/// Heartbeats: none at the start, then one `every` so often, up to and including `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeats {
    /// The pause between two; zero means that there are none.
    pub every: Duration,
    /// How long after the start they cease.
    pub until: Duration,
}

impl Heartbeats {
    /// Never any.
    pub const NONE: Heartbeats = Heartbeats { every: Duration::ZERO, until: Duration::ZERO };

    /// The last one at or before `age`, the time since the start.
    pub fn last(&self, age: Duration) -> Option<Duration> {
        let count = age.min(self.until).as_nanos().checked_div(self.every.as_nanos())?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (count > 0).then(|| self.every * count)
    }
}

/// What a process does when it is asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It stays.
    Stays,
    /// It leaves after this long.
    LeavesAfter(Duration),
}

/// A simulated world. `behave` says what each run will be like.
pub struct SimBackend<W> {
    now: Instant,
    behave: W,
    /// Answers that are due at once.
    answers: VecDeque<Event>,
    /// What is asked of the supervisor, and when, in order of time.
    requests: VecDeque<(Instant, Event)>,
    life: Life,
}

/// What lives in the world.
enum Life {
    Nothing,
    Main {
        run: RunId,
        started: Instant,
        behaviour: Behaviour,
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
            answers: VecDeque::new(),
            requests: requests.into_iter().collect(),
            life: Life::Nothing,
        }
    }

    /// Whether nothing of any run is left.
    pub fn is_empty(&self) -> bool {
        matches!(self.life, Life::Nothing)
    }

    /// The next thing that will happen in the world by itself.
    fn next_change(&self) -> Option<(Instant, Change)> {
        match self.life {
            Life::Main { exit: Some((at, _)), .. } => Some((at, Change::Exit)),
            Life::Leftover { leaves: Departure::At(at), .. } => Some((at, Change::Gone)),
            Life::Gone { .. } => Some((self.now, Change::Gone)),
            Life::Nothing | Life::Main { exit: None, .. } | Life::Leftover { leaves: Departure::Never, .. } => None,
        }
    }

    fn apply(&mut self, change: Change) -> Option<Event> {
        match (change, &self.life) {
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
                Some(Event::Gone { run })
            }
            (Change::Request, _) => self.requests.pop_front().map(|(_, event)| event),
            (Change::Exit | Change::Gone, _) => None,
        }
    }
}

/// Kinds of happenings.
#[derive(Clone, Copy)]
enum Change {
    Exit,
    Gone,
    Request,
}

impl<W: FnMut(RunId) -> Behaviour> Backend for SimBackend<W> {
    fn now(&self) -> Instant {
        self.now
    }

    fn start(&mut self, run: RunId, _restarts: u32) {
        assert!(self.is_empty(), "{run} is started beside what is left of another");
        let behaviour = (self.behave)(run);
        if let Some(failure) = behaviour.start_failure {
            self.answers.push_back(Event::StartFailed { run, failure });
            return;
        }
        let exit = behaviour.exit.map(|(age, status)| (self.now + age, status));
        self.life = Life::Main { run, started: self.now, behaviour, looked: self.now, exit };
        self.answers.push_back(Event::Started { run, pid: 1000 });
    }

    fn signal(&mut self, _run: RunId, signal: Signal) {
        let now = self.now;
        match (&mut self.life, signal) {
            (Life::Main { exit, .. }, Signal::Kill) => *exit = Some((now, KILLED)),
            (Life::Main { exit, behaviour, .. }, Signal::Stop | Signal::Hang) => {
                if let Reaction::LeavesAfter(pause) = behaviour.when_asked {
                    let asked = (now + pause, ExitStatus::Code(0));
                    *exit = Some(exit.filter(|own| own.0 <= asked.0).unwrap_or(asked));
                }
            }
            (Life::Leftover { leaves, .. }, Signal::Kill) => *leaves = Departure::At(now),
            (Life::Leftover { leaves, when_asked, .. }, Signal::Stop | Signal::Hang) => {
                if let Reaction::LeavesAfter(pause) = when_asked {
                    *leaves = Departure::At(now + *pause);
                }
            }
            (Life::Nothing | Life::Gone { .. }, _) => {}
        }
    }

    fn look(&mut self, run: RunId) {
        let observation = match &mut self.life {
            Life::Main { started, behaviour, looked, .. } => {
                let last = behaviour.heartbeats.last(self.now - *started).map(|age| *started + age);
                let news = last.filter(|at| *at > *looked);
                *looked = self.now;
                news.map_or(Observation::Unchanged, |at| Observation::Changed { at })
            }
            Life::Nothing | Life::Leftover { .. } | Life::Gone { .. } => Observation::Unchanged,
        };
        self.answers.push_back(Event::Observed { run, observation });
    }

    /// # Panics
    /// If nothing would ever happen again.
    fn wait(&mut self, until: Option<Instant>) -> Event {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return answer;
            }
            let request = self.requests.front().map(|(at, _)| (*at, Change::Request));
            let next = self.next_change().into_iter().chain(request).min_by_key(|(at, _)| *at);
            match (next, until) {
                (Some((at, _)), Some(until)) if until < at => {
                    self.now = self.now.max(until);
                    return Event::Elapsed;
                }
                (Some((at, change)), _) => {
                    self.now = self.now.max(at);
                    if let Some(event) = self.apply(change) {
                        return event;
                    }
                }
                (None, Some(until)) => {
                    self.now = self.now.max(until);
                    return Event::Elapsed;
                }
                (None, None) => panic!("nothing will ever happen again"),
            }
        }
    }
}
