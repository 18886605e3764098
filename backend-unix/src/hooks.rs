//! Runs a program for each event, beside supervision: one at a time, in order, and none for long.

use crate::linux::children_of;
use crate::mark::Mark;
use crate::notice::UnixNotice;
use crate::signals::Signals;
use crate::spawn::{Birth, Command, Image, Spawned, variable};
use crate::tree::kill_below;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
use supervisor_core::{ExitStatus, Instant};

/// Events that wait for their turn; more are dropped, and told of.
const MOST_WAITING: usize = 256;
/// How long one may take, and all of them at the end.
pub(crate) const LONGEST: Duration = Duration::from_secs(10);

/// Events for the hook, in order.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    queue: Rc<RefCell<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Call>,
    dropped: u64,
}

#[derive(Debug)]
struct Call {
    event: String,
    input: String,
}

impl Hooks {
    /// Adds an event: the value of `SUPERVISOR_EVENT`, and what the hook reads.
    pub fn push(&self, event: String, input: String) {
        let mut queue = self.queue.borrow_mut();
        if queue.waiting.len() < MOST_WAITING {
            queue.waiting.push_back(Call { event, input });
        } else {
            queue.dropped += 1;
        }
    }
}

/// Runs them.
pub(crate) struct Runner {
    image: Image,
    hooks: Hooks,
    mark: Option<Mark>,
    current: Current,
}

enum Current {
    None,
    Running {
        event: String,
        spawned: Spawned,
        until: Instant,
    },
    /// It took too long, and is to be reaped.
    Killed {
        pid: i32,
    },
}

impl Runner {
    /// # Errors
    /// `InvalidInput` for a program that cannot be written down.
    pub fn new(program: &Command, hooks: Hooks, mark: Option<Mark>) -> io::Result<Runner> {
        let image = Image::new(program)?;
        Ok(Runner { image, hooks, mark: mark.map(Mark::of_hook), current: Current::None })
    }

    /// When the current one has to be looked after.
    pub fn due(&self) -> Option<Instant> {
        match &self.current {
            Current::Running { until, .. } => Some(*until),
            Current::None | Current::Killed { .. } => None,
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.current, Current::None) && self.hooks.queue.borrow().waiting.is_empty()
    }

    /// The current one.
    pub fn pid(&self) -> Option<i32> {
        match &self.current {
            Current::None => None,
            Current::Running { spawned, .. } => Some(spawned.pid.as_raw_nonzero().get()),
            Current::Killed { pid } => Some(*pid),
        }
    }

    /// Ends what takes too long, and starts what waits.
    pub fn turn(&mut self, now: Instant, signals: &Signals, report: &mut impl FnMut(UnixNotice)) {
        if let Current::Running { event, spawned, until } = &self.current
            && now >= *until
        {
            let error = io::Error::other(format!("{event}: still running after 10 s, and killed"));
            let pid = spawned.pid.as_raw_nonzero().get();
            self.current = Current::Killed { pid };
            self.kill_all();
            report(UnixNotice::HookFailed { error });
        }
        while matches!(self.current, Current::None) {
            let dropped = std::mem::take(&mut self.hooks.queue.borrow_mut().dropped);
            if dropped > 0 {
                let error = io::Error::other(format!("{dropped} events are lost on a hook that is too slow"));
                report(UnixNotice::HookFailed { error });
            }
            let Some(call) = self.hooks.queue.borrow_mut().waiting.pop_front() else { return };
            match self.start(&call, signals) {
                Ok(spawned) => self.current = Current::Running { event: call.event, spawned, until: now + LONGEST },
                Err(error) => {
                    let error = io::Error::other(format!("{}: cannot be started: {error}", call.event));
                    report(UnixNotice::HookFailed { error });
                }
            }
        }
    }

    fn start(&self, call: &Call, signals: &Signals) -> io::Result<Spawned> {
        let file = memfd_create(c"event", MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        file.write_all(call.input.as_bytes())?;
        seek(&file, SeekFrom::Start(0))?;
        let event = variable("SUPERVISOR_EVENT", &call.event)?;
        self.image.spawn(&[event], &Birth::Hook { input: file.as_fd(), mark: self.mark }, signals)
    }

    /// Takes note that a child was reaped; tells whether it was the current hook.
    pub fn reaped(&mut self, pid: i32, status: ExitStatus, report: &mut impl FnMut(UnixNotice)) -> bool {
        if self.pid() != Some(pid) {
            return false;
        }
        if let Current::Running { event, spawned, .. } = std::mem::replace(&mut self.current, Current::None) {
            let words = match (spawned.result(), status) {
                (Some(Err(failure)), _) => {
                    Some(format!("cannot be started: {}", io::Error::from_raw_os_error(failure.os_error)))
                }
                (_, ExitStatus::Code(0)) => None,
                (_, ExitStatus::Code(code)) => Some(format!("exited with code {code}")),
                (_, ExitStatus::Signal(number)) => Some(format!("was killed by signal {number}")),
            };
            if let Some(words) = words {
                report(UnixNotice::HookFailed { error: io::Error::other(format!("{event}: {words}")) });
            }
        }
        self.kill_all();
        true
    }

    /// Kills the current one and all that it started, at once.
    pub fn end(&mut self, report: &mut impl FnMut(UnixNotice)) {
        self.kill_all();
        let waiting = std::mem::take(&mut self.hooks.queue.borrow_mut().waiting);
        let cut_off = match &self.current {
            Current::Running { event, .. } => Some(event.as_str()),
            Current::None | Current::Killed { .. } => None,
        };
        let untold: Vec<_> = cut_off.into_iter().chain(waiting.iter().map(|call| call.event.as_str())).collect();
        if !untold.is_empty() {
            const NAMED: usize = 8;
            let more = match untold.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let names = untold[..untold.len().min(NAMED)].join(", ");
            let words = format!("not told at the end, since the hook is too slow: {names}{more}");
            report(UnixNotice::HookFailed { error: io::Error::other(words) });
        }
    }

    /// Kills the current one, as long as it is not reaped, and all that hooks have started.
    fn kill_all(&self) {
        kill_below(|| {
            let children = children_of(std::process::id().cast_signed()).unwrap_or_default();
            let is_ours = |pid| self.pid() == Some(pid) || (self.mark.is_some() && Mark::on(pid) == self.mark);
            children.into_iter().filter(|&pid| is_ours(pid)).collect()
        });
    }
}
