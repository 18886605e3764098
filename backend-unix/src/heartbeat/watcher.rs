//! Looks at the heartbeat file: at once where nothing can wait, else in a thread of its own, so that a file system that
//! never answers holds up nothing else.

use super::file_status::is_at_hand;
use super::heartbeat::{Found, GAP, Heartbeat, Look, Precision};
use super::rights::Rights;
use crate::clock::SystemClock;
use crate::notice::{HeartbeatFound, Hindrance};
use crate::source::Source;
use crate::stall::Stall;
use crate::worker::Worker;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};
use supervisor_core::{Instant, Observation, RunId};

/// A start waits no longer than this for a look at what is there before it.
const START_WAITS: Duration = Duration::from_millis(250);
/// Requests that wait: the latest of each kind is enough.
const ROOM: usize = 3;

/// Orders looks, and takes the answers.
pub(crate) struct Watcher {
    path: PathBuf,
    eye: Arc<Mutex<Heartbeat<SystemClock>>>,
    worker: Worker<Request>,
    answers: Receiver<Answer>,
    /// Readable with each answer of the thread: eventfd(2).
    answered: Arc<OwnedFd>,
    /// Answers to be taken.
    ready: VecDeque<Answer>,
    /// Requests that the thread has not answered.
    outstanding: usize,
    /// Of the file system.
    stall: Stall,
    run: RunRecord,
    gap: Gap,
    late: Late,
    access: Access,
    stamps: Precision,
}

/// A look that was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// What is there before a start?
    Before,
    /// What has changed?
    During(RunId),
    /// What has changed since the run was found to hang?
    After(RunId),
}

struct Answer {
    request: Request,
    look: Look,
}

/// What looks have found in this run.
#[derive(Default)]
struct RunRecord {
    last_beat: Option<Instant>,
    found: Option<HeartbeatFound>,
    rights: Option<Rights>,
}

/// Whether a file that is just gone is waited for, before a look is answered.
enum Gap {
    Closed,
    Open {
        run: RunId,
        /// The next look.
        due: Instant,
        until: Instant,
    },
}

/// Between two looks in a gap.
const GAP_INTERVAL: Duration = Duration::from_millis(5);

/// Whether a heartbeat is looked for that comes too late.
enum Late {
    NotAwaited,
    /// The run hangs, and is asked to leave; the next look is due then.
    Awaited {
        run: RunId,
        due: Instant,
    },
    /// It came.
    Told,
}

/// Between two looks for a late heartbeat.
const LATE_INTERVAL: Duration = Duration::from_millis(100);

/// Whether the file can be looked at.
#[derive(PartialEq)]
enum Access {
    Good,
    Failing,
}

/// What a look tells beyond the heartbeat file itself.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The answer to a look of the machine.
    Observed { run: RunId, observation: Observation },
    /// A heartbeat came after the run was found to hang, so long after the one before it.
    Late { interval: Duration },
    /// The file cannot be looked at any more.
    Unreadable { error: io::Error },
    /// Its time stamps have whole seconds.
    CoarseStamps,
}

impl Watcher {
    /// # Errors
    /// Those of eventfd(2).
    pub fn new(path: PathBuf) -> io::Result<Watcher> {
        let (sender, answers) = channel();
        let answered = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let eye = Arc::new(Mutex::new(Heartbeat::new(path.clone(), SystemClock::new())));
        let (far_eye, bell) = (Arc::clone(&eye), Arc::clone(&answered));
        let worker = Worker::new("heartbeat", ROOM, move |request| {
            // The answer is lost only when the process ends.
            let _ = sender.send(Answer { request, look: look(&far_eye, request) });
            let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
        });
        Ok(Watcher {
            path,
            eye,
            worker,
            answers,
            answered,
            ready: VecDeque::new(),
            outstanding: 0,
            stall: Stall::None,
            run: RunRecord::default(),
            gap: Gap::Closed,
            late: Late::NotAwaited,
            access: Access::Good,
            stamps: Precision::Fine,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn source(&self) -> Source<'_> {
        let late = match self.late {
            Late::Awaited { due, .. } => Some(due),
            Late::NotAwaited | Late::Told => None,
        };
        let gap = match self.gap {
            Gap::Open { due, .. } => Some(due),
            Gap::Closed => None,
        };
        let due = self.stall.due().into_iter().chain(late).chain(gap).min();
        Source { due, descriptor: (self.outstanding > 0).then(|| self.answered.as_fd()) }
    }

    /// Takes the file as it is before a start. A file system that does not answer delays the start only so long.
    pub fn before_start(&mut self) {
        let is_stuck = self.outstanding > 0;
        self.run = RunRecord::default();
        self.gap = Gap::Closed;
        self.late = Late::NotAwaited;
        self.order(Request::Before);
        let deadline = Clock::now() + START_WAITS;
        while !is_stuck && self.outstanding > 0 {
            match self.answers.recv_timeout(deadline.saturating_duration_since(Clock::now())) {
                Ok(answer) => self.answered(answer),
                Err(_) => return,
            }
        }
    }

    /// Looks what has changed.
    pub fn look(&mut self, run: RunId) {
        self.order(Request::During(run));
    }

    /// From now on, heartbeats of a run that hangs come too late: the first one is told.
    pub fn await_late(&mut self, run: RunId, now: Instant) {
        if let Late::NotAwaited = self.late {
            self.late = Late::Awaited { run, due: now + LATE_INTERVAL };
        }
    }

    /// Looks again for a file that was just gone, and for a heartbeat that comes too late, when that is due.
    pub fn look_again(&mut self, now: Instant) {
        if let Gap::Open { run, due, .. } = &mut self.gap
            && now >= *due
        {
            *due = now + GAP_INTERVAL;
            let run = *run;
            self.order(Request::During(run));
        }
        if let Late::Awaited { run, due } = &mut self.late
            && now >= *due
        {
            *due = now + LATE_INTERVAL;
            let run = *run;
            self.order(Request::After(run));
        }
    }

    /// Looks once more at the end of a run.
    pub fn look_after(&mut self) {
        if let Late::Awaited { run, .. } = std::mem::replace(&mut self.late, Late::NotAwaited) {
            self.order(Request::After(run));
        }
    }

    /// What the looks that were answered since have found.
    pub fn take(&mut self, started: Instant) -> Vec<Finding> {
        if self.outstanding > 0 {
            let _ = rustix::io::read(&self.answered, &mut [0_u8; 8]);
            while let Ok(answer) = self.answers.try_recv() {
                self.answered(answer);
            }
        }
        let answers = std::mem::take(&mut self.ready);
        answers.into_iter().flat_map(|answer| self.find(answer, started)).collect()
    }

    /// For how long an answer has been outstanding, told once if that is too long.
    pub fn overdue(&mut self, now: Instant) -> Option<Duration> {
        self.stall.overdue(now)
    }

    /// What was found instead of a heartbeat, if the run has shown none, and what may hinder its main process.
    pub fn missing(&mut self, main: i32) -> Option<(HeartbeatFound, Option<Hindrance>)> {
        match self.run.last_beat {
            None => {
                let found = self.run.found.take().unwrap_or(HeartbeatFound::OldFile);
                Some((found, self.run.rights.and_then(|rights| rights.hindrance(main))))
            }
            Some(_) => None,
        }
    }

    fn order(&mut self, request: Request) {
        if self.outstanding == 0 && is_at_hand(&self.path) {
            self.ready.push_back(Answer { request, look: look(&self.eye, request) });
            return;
        }
        if let Stall::None = self.stall {
            self.stall = Stall::Since(SystemClock::now());
        }
        // A newer request of its kind says all; before a start no other matters any more.
        let is_pointless = |other: &Request| match request {
            Request::Before => true,
            Request::During(_) | Request::After(_) => *other != Request::Before,
        };
        self.outstanding += 1;
        self.outstanding -= self.worker.put_instead(request, is_pointless);
        self.worker.take_here(|| true);
    }

    fn answered(&mut self, answer: Answer) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.stall = if self.outstanding > 0 { Stall::Since(SystemClock::now()) } else { Stall::None };
        self.ready.push_back(answer);
    }

    fn find(&mut self, answer: Answer, started: Instant) -> Vec<Finding> {
        let Answer { request, look: Look { observation, found, rights } } = answer;
        self.run.rights = rights;
        let is_just_gone = matches!(found, Found::JustGone);
        let mut findings = self.find_of_file(found);
        let at = match observation {
            Observation::Unchanged => None,
            Observation::Changed { at } => Some(at),
            Observation::ChangedSometime => Some(SystemClock::now()),
        };
        match request {
            Request::Before => {}
            Request::During(run) if is_just_gone && self.waits(run) => {}
            Request::During(run) => {
                self.gap = Gap::Closed;
                self.run.last_beat = at.or(self.run.last_beat);
                findings.push(Finding::Observed { run, observation });
            }
            Request::After(_) => {
                if let (Some(at), Late::Awaited { .. } | Late::NotAwaited) = (at, &self.late) {
                    self.late = Late::Told;
                    let before = self.run.last_beat.unwrap_or(started);
                    findings.push(Finding::Late { interval: at - before });
                }
            }
        }
        findings
    }

    /// Whether there is time yet for a file that is just gone to come again.
    fn waits(&mut self, run: RunId) -> bool {
        let now = SystemClock::now();
        let until = match self.gap {
            Gap::Closed => now + GAP,
            Gap::Open { until, .. } => until,
        };
        self.gap = Gap::Open { run, due: now + GAP_INTERVAL, until };
        now < until
    }

    fn find_of_file(&mut self, found: Found) -> Vec<Finding> {
        let before = std::mem::replace(&mut self.access, Access::Good);
        self.run.found = None;
        match found {
            Found::File(Precision::Seconds) if self.stamps == Precision::Fine => {
                self.stamps = Precision::Seconds;
                vec![Finding::CoarseStamps]
            }
            Found::File(Precision::Fine | Precision::Seconds) => vec![],
            Found::JustGone => {
                self.run.found = Some(HeartbeatFound::NoFile);
                vec![]
            }
            Found::Nothing(missing) => {
                let error = unreadable(&missing);
                self.access = if error.is_some() { Access::Failing } else { Access::Good };
                self.run.found = Some(missing);
                let news = error.filter(|_| before == Access::Good);
                news.map(|error| Finding::Unreadable { error }).into_iter().collect()
            }
        }
    }
}

/// Why no heartbeat can be seen. A file that is not there may come yet, but not without a folder.
fn unreadable(missing: &HeartbeatFound) -> Option<io::Error> {
    match missing {
        HeartbeatFound::NoFile | HeartbeatFound::OldFile => None,
        HeartbeatFound::NoFolder => Some(io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error())),
        HeartbeatFound::Unreadable { error } => {
            Some(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error))
        }
    }
}

fn look(eye: &Mutex<Heartbeat<SystemClock>>, request: Request) -> Look {
    let mut heartbeat = eye.lock().unwrap_or_else(PoisonError::into_inner);
    match request {
        Request::Before => heartbeat.begin(),
        Request::During(_) | Request::After(_) => heartbeat.look(),
    }
}

#[cfg(test)]
mod tests;
