//! Looks at the heartbeat file in a thread of its own: a file system that never answers blocks nobody else.

use crate::clock::SystemClock;
use crate::heartbeat::Heartbeat;
use crate::silence::Silence;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Clock};
use supervisor_core::{Instant, Observation, RunId};

/// A start waits no longer than this for a look at what is there before it.
const START_WAITS: Duration = Duration::from_millis(250);
/// More than a look needs.
const STACK: usize = 128 * 1024;

/// Asks, and takes the answers.
pub(crate) struct Looker {
    eye: Arc<Eye>,
    answers: Receiver<Answer>,
    /// Answers that came while another was waited for.
    early: VecDeque<Answer>,
    thread: Thread,
    /// Questions without an answer so far.
    open: usize,
    /// Of the file system.
    silence: Silence,
}

/// What an answer says.
pub(crate) struct Answer {
    pub to: Question,
    pub observation: Observation,
    /// Why the file has become unreadable, if it has.
    pub error: Option<io::Error>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Question {
    /// What is there before a start?
    Before,
    /// What has changed?
    During(RunId),
}

enum Thread {
    NotStarted,
    Started,
}

/// What the thread has before it.
enum Desk {
    /// Never more than two: the latest of each kind, since nobody wants to know of a run that is over.
    Open(VecDeque<Question>),
    Closed,
}

/// What looks, be it in its own thread or, where none can be had, in the one that asks.
struct Eye {
    heartbeat: Mutex<Heartbeat<SystemClock>>,
    answers: Sender<Answer>,
    /// Becomes readable with each answer: eventfd(2).
    answered: OwnedFd,
    desk: Mutex<Desk>,
    changed: Condvar,
}

impl Eye {
    /// Answers one question after another, until nobody asks any more.
    fn work(&self) {
        while let Some(question) = self.next() {
            self.answer(question);
        }
    }

    fn next(&self) -> Option<Question> {
        let is_idle = |desk: &mut Desk| matches!(desk, Desk::Open(questions) if questions.is_empty());
        let desk = self.changed.wait_while(lock(&self.desk), is_idle);
        match &mut *desk.unwrap_or_else(PoisonError::into_inner) {
            Desk::Open(questions) => questions.pop_front(),
            Desk::Closed => None,
        }
    }

    /// Puts a question on the desk, and tells how many others it has made pointless.
    fn ask(&self, question: Question) -> usize {
        let mut desk = lock(&self.desk);
        let Desk::Open(questions) = &mut *desk else { return 0 };
        let before = questions.len();
        match question {
            Question::Before => questions.clear(),
            Question::During(_) => questions.retain(|waiting| *waiting == Question::Before),
        }
        let pointless = before - questions.len();
        questions.push_back(question);
        self.changed.notify_one();
        pointless
    }

    fn answer(&self, question: Question) {
        let mut error = None;
        let mut heartbeat = lock(&self.heartbeat);
        let observation = match question {
            Question::Before => {
                heartbeat.begin(|failed| error = Some(failed));
                Observation::Unchanged
            }
            Question::During(_) => heartbeat.look(|failed| error = Some(failed)),
        };
        drop(heartbeat);
        // Nobody listens any more only when the process ends.
        let _ = self.answers.send(Answer { to: question, observation, error });
        let _ = rustix::io::write(&self.answered, &1u64.to_ne_bytes());
    }
}

impl Looker {
    /// # Errors
    /// Those of eventfd(2).
    pub fn new(path: PathBuf) -> io::Result<Looker> {
        let (sender, answers) = channel();
        let answered = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let heartbeat = Mutex::new(Heartbeat::new(path, SystemClock));
        let desk = Mutex::new(Desk::Open(VecDeque::new()));
        let eye = Arc::new(Eye { heartbeat, answers: sender, answered, desk, changed: Condvar::new() });
        Ok(Looker { eye, answers, early: VecDeque::new(), thread: Thread::NotStarted, open: 0, silence: Silence::None })
    }

    /// Readable when there is an answer to take.
    pub fn answered(&self) -> BorrowedFd<'_> {
        self.eye.answered.as_fd()
    }

    /// Takes the file as it is before a start. A file system that does not answer delays the start only so long.
    pub fn before_start(&mut self) {
        let is_stuck = self.open > 0;
        self.ask(Question::Before);
        let deadline = Clock::now() + START_WAITS;
        while !is_stuck && self.early.iter().all(|answer| answer.to != Question::Before) {
            match self.answers.recv_timeout(deadline.saturating_duration_since(Clock::now())) {
                Ok(answer) => self.early.push_back(answer),
                Err(_) => return,
            }
        }
    }

    /// Looks what has changed.
    pub fn look(&mut self, run: RunId) {
        self.ask(Question::During(run));
    }

    /// The next answer, if there is one.
    pub fn take(&mut self) -> Option<Answer> {
        let _ = rustix::io::read(&self.eye.answered, &mut [0; 8]);
        let answer = self.early.pop_front().or_else(|| self.answers.try_recv().ok());
        self.open -= usize::from(answer.is_some());
        if answer.is_some() {
            self.silence = if self.open > 0 { Silence::Since(SystemClock::now()) } else { Silence::None };
        }
        answer
    }

    /// When an answer will have been waited for too long.
    pub fn due(&self) -> Option<Instant> {
        self.silence.due()
    }

    /// For how long an answer has been waited for, told once if that is too long.
    pub fn overdue(&mut self, now: Instant) -> Option<Duration> {
        self.silence.overdue(now)
    }

    fn ask(&mut self, question: Question) {
        if let Silence::None = self.silence {
            self.silence = Silence::Since(SystemClock::now());
        }
        self.open += 1;
        if let Thread::NotStarted = self.thread {
            self.start_thread();
        }
        match self.thread {
            Thread::Started => self.open -= self.eye.ask(question),
            Thread::NotStarted => self.eye.answer(question),
        }
    }

    /// Without a thread, for now, the one that asks looks itself.
    fn start_thread(&mut self) {
        let eye = Arc::clone(&self.eye);
        let thread = std::thread::Builder::new().name("heartbeat".to_owned()).stack_size(STACK);
        if thread.spawn(move || eye.work()).is_ok() {
            self.thread = Thread::Started;
        }
    }
}

/// The thread ends, once its file system answers.
impl Drop for Looker {
    fn drop(&mut self) {
        *lock(&self.eye.desk) = Desk::Closed;
        self.eye.changed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_still_wants_to_know_waits() {
        let looker = Looker::new("/nowhere".into()).unwrap();
        let eye = &looker.eye;
        let asked = [Question::Before, Question::During(RunId(1)), Question::During(RunId(2)), Question::Before];
        assert_eq!(asked.map(|question| eye.ask(question)), [0, 0, 1, 2]);
        assert_eq!(eye.ask(Question::During(RunId(3))), 0);
        assert!(eye.next() == Some(Question::Before) && eye.next() == Some(Question::During(RunId(3))));
        *lock(&eye.desk) = Desk::Closed;
        assert!(eye.next().is_none());
    }
}
