//! Runs a program for each event, beside supervision: one at a time, in order, and none for long. Only near the end of
//! the supervisor, when a slow one would cost the last events, they run side by side.

use crate::clock::SystemClock;
use crate::helper::{Helper, HelperEnd, Parted};
use crate::keeper::Company;
use crate::keeper::exec::{Command, Output, Program, Role, variable};
use crate::notice::{Trouble, UnixNotice};
use crate::signals::{Signal, Signals};
use crate::source::Source;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use supervisor_core::{ExitStatus, Instant};

/// Calls that wait for their turn; of more, those that repeat are dropped, and told of.
const MOST_WAITING: usize = 256;
/// Where a command fails without a pause for hours and its hook is slow, the oldest of all others go, too.
const MOST_MILESTONES: usize = 1 << 14;
/// How long one may take.
const LONGEST: Duration = Duration::from_secs(10);
/// What repeats and has waited for so long gives way to milestones behind it.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How many run side by side near the end.
const MOST_AT_ONCE: usize = 16;
/// Calls that are named where they could not be made; more are only counted.
const MOST_NAMED: usize = 8;

/// Calls of a hook, in order.
#[derive(Clone, Debug)]
pub struct HookQueue(Sender<Call>);

/// The other end of a [`HookQueue`].
#[derive(Debug)]
pub struct HookCalls(Receiver<Call>);

/// How much depends on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The like of it comes again and again: it is dropped first where the hook is too slow.
    Repeats,
    /// It tells a step in the life of the command, and always arrives.
    Milestone,
}

#[derive(Debug)]
struct Call {
    event: &'static str,
    input: String,
    weight: Weight,
    pushed: Instant,
}

impl HookQueue {
    /// A queue, and its other end for [`HookConfig`](crate::HookConfig).
    pub fn channel() -> (HookQueue, HookCalls) {
        let (sender, receiver) = channel();
        (HookQueue(sender), HookCalls(receiver))
    }

    /// Adds a call: the value of `SUPERVISOR_EVENT`, and what the hook reads.
    pub fn push(&self, event: &'static str, input: String, weight: Weight) {
        // It is lost only when the process ends.
        let _ = self.0.send(Call { event, input, weight, pushed: SystemClock::now() });
    }
}

/// Runs them.
pub(crate) struct HookRunner {
    program: Program,
    calls: HookCalls,
    waiting: VecDeque<Call>,
    dropped: u64,
    pace: Pace,
    running: Vec<Running>,
}

enum Pace {
    OneByOne,
    /// The end is near.
    SideBySide,
}

struct Running {
    event: &'static str,
    helper: Helper,
}

impl HookRunner {
    /// # Errors
    /// `InvalidInput` for a program that cannot be written down.
    pub fn new(program: &Command, calls: HookCalls) -> io::Result<HookRunner> {
        let program = Program::new(program)?;
        let (waiting, running) = (VecDeque::new(), Vec::new());
        Ok(HookRunner { program, calls, waiting, dropped: 0, pace: Pace::OneByOne, running })
    }

    pub fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        self.running.iter().map(|running| running.helper.source())
    }

    pub fn is_idle(&mut self) -> bool {
        self.receive();
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// The keepers of those that run.
    pub fn keepers(&self) -> impl Iterator<Item = i32> {
        self.running.iter().map(|running| running.helper.keeper())
    }

    /// Whether one was killed that is not reaped yet.
    pub fn has_killed_keeper(&self) -> bool {
        self.running.iter().any(|running| running.helper.has_killed_keeper())
    }

    /// Has the one of this keeper go on, should the keeper have been stopped.
    pub fn wake(&self, keeper: i32) {
        let stopped = self.running.iter().filter(|running| running.helper.keeper() == keeper);
        stopped.for_each(|running| running.helper.wake());
    }

    /// Ends what takes too long, and starts what waits.
    pub fn poll(&mut self, now: Instant, signals: &Signals, company: Company) -> Vec<UnixNotice> {
        let mut notices = Vec::new();
        self.receive();
        for Running { event, helper } in &mut self.running {
            let end = helper.poll_end(now);
            notices.extend(end.and_then(|end| trouble(event, end)));
        }
        while self.running.len() < self.pace.most_at_once() {
            self.dropped += give_way(&mut self.waiting, now);
            let dropped = std::mem::take(&mut self.dropped);
            if dropped > 0 {
                notices.push(failed(lost(dropped)));
            }
            let Some(call) = self.waiting.pop_front() else { break };
            match self.start(&call, now, signals, company) {
                Ok(helper) => self.running.push(Running { event: call.event, helper }),
                Err(error) => notices.push(failed(format!("{}: the hook cannot be started: {error}", call.event))),
            }
        }
        notices
    }

    /// Sees to keepers that should have ended by now.
    pub fn poll_parting(&mut self, now: Instant) -> Vec<Parted> {
        let mut parted = Vec::new();
        self.running.retain_mut(|running| {
            let outcome = running.helper.poll_parting(now);
            parted.push(outcome);
            outcome != Parted::GivenUp
        });
        parted
    }

    /// One of its keepers was reaped.
    pub fn reaped(&mut self, keeper: i32, now: Instant) -> Option<UnixNotice> {
        let index = self.running.iter().position(|running| running.helper.keeper() == keeper)?;
        let Running { event, helper } = self.running.remove(index);
        helper.reaped(now).and_then(|end| trouble(event, end))
    }

    /// The end is near: what repeats is not worth the time that is left, and the rest does not wait for its turn.
    pub fn hurry(&mut self) {
        self.receive();
        self.pace = Pace::SideBySide;
        let before = self.waiting.len();
        self.waiting.retain(|call| call.weight == Weight::Milestone);
        self.dropped += (before - self.waiting.len()) as u64;
    }

    /// Ends those that run, and tells which calls are not made any more.
    pub fn end(&mut self) -> Option<UnixNotice> {
        self.receive();
        let cut_off = self.running.drain(..).map(|running| running.event);
        let untold: Vec<_> = cut_off.chain(self.waiting.drain(..).map(|call| call.event)).collect();
        (!untold.is_empty()).then(|| {
            let more = match untold.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let names = untold[..untold.len().min(MOST_NAMED)].join(", ");
            failed(format!("not told at the end, since the hook is too slow: {names}{more}"))
        })
    }

    /// Takes what was pushed, as far as there is room.
    fn receive(&mut self) {
        for call in self.calls.0.try_iter() {
            self.waiting.push_back(call);
            self.dropped += u64::from(make_room(&mut self.waiting));
        }
    }

    fn start(&self, call: &Call, now: Instant, signals: &Signals, company: Company) -> io::Result<Helper> {
        let mut file = std::fs::File::from(memfd_create(c"event", MemfdFlags::CLOEXEC)?);
        file.write_all(call.input.as_bytes())?;
        seek(&file, SeekFrom::Start(0))?;
        let event = variable("SUPERVISOR_EVENT", call.event)?;
        let role = Role::Helper { input: file.as_fd(), output: Output::Shared };
        Helper::start(&self.program, &[event], &role, signals, now + LONGEST, company)
    }
}

impl Pace {
    fn most_at_once(&self) -> usize {
        match self {
            Pace::OneByOne => 1,
            Pace::SideBySide => MOST_AT_ONCE,
        }
    }
}

fn lost(events: u64) -> String {
    match events {
        1 => "1 event is lost: the hook is too slow for it".to_owned(),
        events => format!("{events} events are lost: the hook is too slow for them"),
    }
}

/// Where too many wait, the oldest of those that repeat goes; tells whether one did.
fn make_room(waiting: &mut VecDeque<Call>) -> bool {
    let is_full = waiting.len() > MOST_WAITING;
    let repeats = || waiting.iter().position(|call| call.weight == Weight::Repeats);
    let oldest = (waiting.len() > MOST_MILESTONES).then_some(0);
    let surplus = if is_full { repeats().or(oldest) } else { None };
    surplus.and_then(|index| waiting.remove(index)).is_some()
}

/// Where milestones wait behind what repeats for longer than they should, that goes; tells how much did.
fn give_way(waiting: &mut VecDeque<Call>, now: Instant) -> u64 {
    let before = waiting.len();
    let mut ahead = waiting.iter().rposition(|call| call.weight == Weight::Milestone).unwrap_or_default();
    waiting.retain(|call| {
        let is_ahead = ahead > 0;
        ahead = ahead.saturating_sub(1);
        !(is_ahead && call.weight == Weight::Repeats && now - call.pushed >= LONGEST_WAIT)
    });
    (before - waiting.len()) as u64
}

fn trouble(event: &str, end: HelperEnd) -> Option<UnixNotice> {
    let words = match end {
        HelperEnd::Exited(ExitStatus::Code(0)) => return None,
        HelperEnd::Exited(ExitStatus::Code(code)) => format!("exited with code {code}"),
        HelperEnd::Exited(ExitStatus::Signal(number)) => match Signal::from_number(number.into()) {
            Some(signal) => format!("was killed by {signal}"),
            None => format!("was killed by signal {number}"),
        },
        HelperEnd::NotStarted(os_error) => {
            format!("cannot be started: {}", io::Error::from_raw_os_error(os_error))
        }
        HelperEnd::TookTooLong => "was still running after 10 s, and was killed".to_owned(),
    };
    Some(failed(format!("{event}: the hook {words}")))
}

fn failed(words: String) -> UnixNotice {
    UnixNotice::Trouble(Trouble::HookFailed { error: io::Error::other(words) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(event: &'static str, weight: Weight) -> Call {
        Call { event, input: String::new(), weight, pushed: Instant::from_origin(Duration::ZERO) }
    }

    #[test]
    fn what_repeats_gives_way_to_a_milestone_that_has_waited_for_it() {
        let at = |millis| Instant::from_origin(Duration::from_millis(millis));
        let repeats = || call("status", Weight::Repeats);
        let mut waiting = VecDeque::from([repeats(), call("hung", Weight::Milestone), repeats(), repeats()]);
        waiting[2].pushed = at(1);
        waiting.push_back(call("exited", Weight::Milestone));
        waiting.push_back(repeats());
        let events = |waiting: &VecDeque<Call>| waiting.iter().map(|call| call.event).collect::<Vec<_>>().join(" ");
        assert_eq!(give_way(&mut waiting, at(999)), 0);
        assert_eq!(give_way(&mut waiting, at(1000)), 2);
        assert_eq!(events(&waiting), "hung status exited status", "the younger one, and what is behind, stay");
        assert_eq!(give_way(&mut waiting, at(5000)), 1);
        waiting.retain(|call| call.weight == Weight::Repeats);
        assert_eq!((give_way(&mut waiting, at(5000)), events(&waiting).as_str()), (0, "status"), "nothing is behind");
        assert_eq!(give_way(&mut VecDeque::new(), at(5000)), 0);
        let mut waiting = VecDeque::from([call("hung", Weight::Milestone), repeats(), repeats()]);
        assert_eq!(give_way(&mut waiting, at(5000)), 0, "nor is anything behind these");
    }

    #[test]
    fn what_repeats_goes_first_and_milestones_stay() {
        let mut waiting: VecDeque<_> = (0..MOST_WAITING).map(|_| call("status", Weight::Repeats)).collect();
        assert!(!make_room(&mut waiting));
        for _ in 0..MOST_WAITING {
            waiting.push_back(call("exited", Weight::Milestone));
            assert!(make_room(&mut waiting));
        }
        assert!(waiting.iter().all(|call| call.event == "exited"));
        waiting.push_back(call("done", Weight::Milestone));
        assert!(!make_room(&mut waiting), "no milestone is dropped");
        waiting.push_back(call("status", Weight::Repeats));
        assert!(make_room(&mut waiting) && waiting.back().is_some_and(|call| call.event == "done"));
    }

    fn words(notice: Option<UnixNotice>) -> String {
        match notice {
            Some(UnixNotice::Trouble(Trouble::HookFailed { error })) => error.to_string(),
            None => String::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_hook_that_fails_is_told_of_with_its_event() {
        let table = [
            (HelperEnd::Exited(ExitStatus::Code(0)), ""),
            (HelperEnd::Exited(ExitStatus::Code(3)), "hung: the hook exited with code 3"),
            (HelperEnd::Exited(ExitStatus::Signal(9)), "hung: the hook was killed by SIGKILL"),
            (HelperEnd::Exited(ExitStatus::Signal(32)), "hung: the hook was killed by signal 32"),
            (HelperEnd::NotStarted(13), "hung: the hook cannot be started: Permission denied (os error 13)"),
            (HelperEnd::TookTooLong, "hung: the hook was still running after 10 s, and was killed"),
        ];
        for (end, told) in table {
            assert_eq!(words(trouble("hung", end)), told);
        }
        assert_eq!(lost(1), "1 event is lost: the hook is too slow for it");
        assert_eq!(lost(2), "2 events are lost: the hook is too slow for them");
    }

    fn runner() -> (HookQueue, HookRunner) {
        let command = Command { program: "true".into(), arguments: vec![], environment: vec![] };
        let (queue, calls) = HookQueue::channel();
        (queue, HookRunner::new(&command, calls).unwrap())
    }

    #[test]
    fn at_the_end_the_calls_that_wait_are_named() {
        let (queue, mut runner) = runner();
        assert!(runner.is_idle() && runner.end().is_none());
        for event in ["exited", "done"] {
            queue.push(event, String::new(), Weight::Milestone);
        }
        assert!(!runner.is_idle());
        assert_eq!(words(runner.end()), "not told at the end, since the hook is too slow: exited, done");
        assert!(runner.is_idle());
        (0..MOST_NAMED + 2).for_each(|_| queue.push("exited", String::new(), Weight::Milestone));
        assert!(words(runner.end()).ends_with("exited, exited and 2 more"));
        (0..MOST_NAMED).for_each(|_| queue.push("exited", String::new(), Weight::Milestone));
        assert!(words(runner.end()).ends_with("exited, exited"));
    }

    #[test]
    fn near_the_end_what_repeats_is_dropped_and_counted() {
        let (queue, mut runner) = runner();
        let calls = [("status", Weight::Repeats), ("exited", Weight::Milestone), ("status", Weight::Repeats)];
        calls.into_iter().for_each(|(event, weight)| queue.push(event, String::new(), weight));
        runner.hurry();
        assert_eq!((runner.waiting.len(), runner.dropped), (1, 2));
        (0..MOST_WAITING + 3).for_each(|_| queue.push("status", String::new(), Weight::Repeats));
        runner.receive();
        assert_eq!((runner.waiting.len(), runner.dropped), (MOST_WAITING, 2 + 4));
    }

    #[test]
    fn of_too_many_milestones_the_oldest_goes() {
        let mut waiting: VecDeque<_> = (0..MOST_MILESTONES).map(|_| call("exited", Weight::Milestone)).collect();
        waiting[0].event = "started";
        assert!(!make_room(&mut waiting));
        waiting.push_back(call("exited", Weight::Milestone));
        assert!(make_room(&mut waiting));
        assert!(waiting.len() == MOST_MILESTONES && waiting[0].event == "exited");
    }
}
