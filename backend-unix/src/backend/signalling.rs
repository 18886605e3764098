//! Signals to a run, by what they are for.

use super::UnixBackend;
use super::run::Run;
use crate::config::StopTarget;
use crate::keeper::protocol::Recipient;
use crate::keeper::run::{Conduct, Rest, Visibility};
use crate::keeper::{Holder, Keeper};
use crate::linux::read_proc;
use crate::notice::{Disregard, Named, Target, Trouble, UnixNotice};
use crate::probe::ProbeRunner;
use crate::signals::Signal;
use crate::tree::{Delivery, end_held, named};
use rustix::io::Errno;
use std::io;
use std::time::Duration;
use supervisor_core::{Backend, Instant, Purpose};

/// Between two attempts to see what is left.
const RESCAN_INTERVAL: Duration = Duration::from_millis(100);

/// Signals that wait for the start of the command.
const MOST_HELD: usize = 64;

/// Whether the keeper has an order.
enum Sent {
    Yes,
    No,
}

impl UnixBackend {
    pub(super) fn signal_run(&mut self, purpose: Purpose) {
        match (&mut self.run, purpose) {
            (Run::Idle | Run::Ended { rest: Rest::Adopted, .. }, _) => {}
            (Run::Ended { .. }, Purpose::Stop | Purpose::Hang) => self.ask_leftovers(self.stop_signal),
            (Run::Starting { .. } | Run::Alive { .. }, Purpose::Hang) => {
                self.examine();
                self.set_conduct(Conduct::Hung);
                self.ask(self.hang_signal);
            }
            (Run::Starting { .. } | Run::Alive { .. }, Purpose::Stop) => {
                self.set_conduct(Conduct::Asked);
                self.ask(self.stop_signal);
            }
            (Run::Starting { .. } | Run::Alive { .. } | Run::Ended { .. }, Purpose::Kill) => self.kill(),
        }
    }

    /// Passes a signal to the supervisor on to the main process, as soon as that is known to execute the command.
    pub(super) fn forward(&mut self, signal: Signal) {
        let (keeper, main) = match &mut self.run {
            Run::Alive { keeper, main, .. } => (keeper, main),
            Run::Starting { held, .. } if held.len() < MOST_HELD => return held.push(signal),
            Run::Idle | Run::Starting { .. } | Run::Ended { .. } => {
                return self.tell(UnixNotice::SignalForwarded { signal, pid: None });
            }
        };
        let (pid, result) = (*main, keeper.order(Recipient::Main, signal));
        self.tell(match result {
            Ok(()) => UnixNotice::SignalForwarded { signal, pid: Some(pid) },
            Err(error) => failed(signal, Target::Processes { processes: vec![named(pid)] }, error),
        });
    }

    /// Sends a signal to the group of the main process; that it may be gone is nothing to tell.
    pub(super) fn signal_group(&self, signal: Signal) {
        let _ = self.run.keeper().map(|keeper| keeper.order(Recipient::Group, signal));
    }

    /// What a hung command is doing, and what became of its heartbeats.
    fn examine(&mut self) {
        let Run::Alive { run, main, started, .. } = self.run else { return };
        let has_beaten = self.last_beat > started;
        let probe = self.probe.as_mut().and_then(ProbeRunner::unfinished);
        self.tell_all(probe);
        let autopsy = self.sampler.examine(&self.tree, self.last_beat);
        self.tell(autopsy);
        let missing = self.watcher.as_mut().filter(|_| !has_beaten).and_then(|watcher| {
            let (found, hindrance) = watcher.missing(main)?;
            Some(UnixNotice::HeartbeatMissing { file: watcher.path().to_owned(), found, hindrance })
        });
        self.tell_all(missing);
        let now = self.now();
        self.watcher.iter_mut().for_each(|watcher| watcher.await_late(run, now));
    }

    /// It only gets worse.
    fn set_conduct(&mut self, new: Conduct) {
        if let Run::Alive { conduct, .. } = &mut self.run {
            *conduct = new.max(*conduct);
        }
    }

    fn ask(&mut self, signal: Signal) {
        if signal == Signal::INT {
            self.terminal.request_by_sigint();
        }
        let recipient = match self.stop_target {
            StopTarget::Group => Recipient::Group,
            StopTarget::Main => Recipient::Main,
        };
        let (Sent::Yes, Some(main)) = (self.order(recipient, signal), self.main()) else { return };
        let stopped = self.tree.sent_to(signal, |process| match recipient {
            Recipient::Group => process.group == main || process.id.pid == main,
            Recipient::Main | Recipient::Children => process.id.pid == main,
        });
        self.wake_stopped(recipient, stopped);
    }

    /// By the keeper, too: what goes on before it has got the signal may stop itself again.
    fn wake_stopped(&mut self, recipient: Recipient, stopped: Vec<Named>) {
        if stopped.is_empty() {
            return;
        }
        let _ = self.run.keeper().map(|keeper| keeper.order(recipient, Signal::CONT));
        for process in stopped {
            let target = Target::Processes { processes: vec![process] };
            self.tell(UnixNotice::SignalSent { signal: Signal::CONT, target });
        }
    }

    /// A signal to the group of the main process came too late: what is left did not get it.
    pub(super) fn ask_again(&mut self, number: i32) {
        let Some(signal) = Signal::from_number(number) else { return };
        let was_noted = self.tree.not_sent_to(signal);
        if let Run::Ended { .. } = self.run
            && was_noted
            && signal == self.stop_signal
            && !self.tree.was_sent(Signal::KILL)
        {
            self.ask_leftovers(signal);
        }
    }

    fn ask_leftovers(&mut self, signal: Signal) {
        let delivery = self.tree.signal_rest(signal);
        self.deliver(signal, delivery);
    }

    fn kill(&mut self) {
        self.tell_disregard();
        if let Run::Starting { .. } | Run::Alive { .. } = self.run {
            let _ = self.order(Recipient::Group, Signal::KILL);
        }
        let main = self.main();
        let delivery = self.tree.kill(|process| Some(process.group) == main);
        self.deliver(Signal::KILL, delivery);
        if let Run::Ended { rest: Rest::Kept { keeper, .. }, .. } = &self.run {
            // All is killed and told. But a keeper that is held leaves the order unread, which shows it.
            let _ = keeper.order(Recipient::Children, Signal::KILL);
        }
        let now = self.now();
        if self.run.keeper_mut().is_some_and(|keeper| keeper.is_held(now)) {
            self.end_held_keeper();
        }
    }

    /// Sees to what a debugger holds when the main process has ended.
    pub(super) fn look_for_holder(&mut self, now: Instant) {
        match self.run.keeper_mut().map_or(Holder::None, |keeper| keeper.holder_of_end(now)) {
            Holder::None => {}
            Holder::OfKeeper => self.end_held_keeper(),
            Holder::OfMain => {
                let pid = self.main().unwrap_or_default();
                self.trouble(Trouble::Unreaped { pid });
            }
        }
    }

    fn end_held_keeper(&mut self) {
        let Some(keeper) = self.run.keeper() else { return };
        end_held(keeper);
        let keeper = keeper.pid();
        self.trouble(Trouble::KeeperStuck { keeper });
    }

    /// A signal that could not be sent to what is left, since that could not be seen.
    pub(super) fn retry_signal(&mut self, now: Instant) {
        if let Run::Ended { rest: Rest::Kept { visibility: Visibility::Lost { retry_at, unsent }, .. }, .. } = self.run
            && now >= retry_at
        {
            match unsent {
                Signal::KILL => self.kill(),
                signal => self.ask_leftovers(signal),
            }
        }
    }

    /// Has the keeper send a signal, and tells of it.
    fn order(&mut self, recipient: Recipient, signal: Signal) -> Sent {
        let target = match (recipient, self.main()) {
            (Recipient::Group, Some(group)) => Target::Group { group },
            (Recipient::Main, Some(main)) => Target::Processes { processes: vec![named(main)] },
            (Recipient::Children, _) | (_, None) => Target::Unseen {},
        };
        match self.run.keeper().map(|keeper: &Keeper| keeper.order(recipient, signal)) {
            Some(Ok(())) => {
                self.tell(UnixNotice::SignalSent { signal, target });
                return Sent::Yes;
            }
            // It is gone, with all that it kept, or is about to be known for lost.
            Some(Err(Errno::PIPE | Errno::CONNRESET)) | None => {}
            Some(Err(error)) => self.tell(failed(signal, target, error)),
        }
        Sent::No
    }

    /// Tells what became of a signal to all members, and has the keeper reach those that only it can.
    fn deliver(&mut self, signal: Signal, delivery: io::Result<Delivery>) {
        let (visibility, error) = match delivery {
            Ok(Delivery { notices, has_unseen }) => {
                self.tell_all(notices);
                if has_unseen {
                    let _ = self.order(Recipient::Children, signal);
                }
                (Visibility::Clear, None)
            }
            Err(error) => (Visibility::Lost { retry_at: self.now() + RESCAN_INTERVAL, unsent: signal }, Some(error)),
        };
        let Run::Ended { rest: Rest::Kept { visibility: known, .. }, .. } = &mut self.run else { return };
        let before = std::mem::replace(known, visibility);
        if let (Some(error), Visibility::Clear) = (error, before) {
            self.trouble(Trouble::LeftoversUnseen { error });
        }
    }

    /// The main process, while it lives, as soon as it is known.
    fn main(&self) -> Option<i32> {
        match &self.run {
            Run::Alive { main, .. } => Some(*main),
            Run::Starting { main, .. } => *main,
            Run::Idle | Run::Ended { .. } => None,
        }
    }

    /// A command that was asked to leave and does not even see the signal is told of so, once, before it is killed.
    fn tell_disregard(&mut self) {
        let Run::Alive { main, conduct: Conduct::Asked | Conduct::Hung, .. } = self.run else { return };
        let signal = self.stop_signal;
        if let Some(disregard) = disregard(main, signal) {
            self.tell(UnixNotice::SignalDisregarded { process: named(main), signal, disregard });
        }
        self.set_conduct(Conduct::Killed);
    }
}

fn failed(signal: Signal, target: Target, error: Errno) -> UnixNotice {
    UnixNotice::SignalFailed { signal, target, error: error.into() }
}

/// What a process does with a signal, if it does not let it in: proc_pid_status(5).
fn disregard(pid: i32, signal: Signal) -> Option<Disregard> {
    let status = read_proc(&format!("/proc/{pid}/status")).ok()?;
    let has = |mask: &str| {
        let digits = status.lines().find_map(|line| line.strip_prefix(mask))?;
        let bits = u64::from_str_radix(digits.trim(), 16).ok()?;
        Some(bits & 1 << (signal.number() - 1) != 0)
    };
    // Shells block signals for moments: one that blocks this signal for good leaves it pending.
    match (has("SigIgn:")?, has("SigBlk:")? && has("ShdPnd:")?) {
        (true, _) => Some(Disregard::Ignored),
        (false, true) => Some(Disregard::Blocked),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_a_process_does_with_a_signal_can_be_read() {
        for (how, expected) in [("ignore", Disregard::Ignored), ("block", Disregard::Blocked)] {
            let option = format!("--{how}-signal=TERM");
            let mut child = Command::new("env").args([&option, "sleep", "1000"]).spawn().unwrap();
            let pid = child.id().cast_signed();
            while named(pid).name != "sleep" {
                std::thread::yield_now();
            }
            assert!(how == "ignore" || disregard(pid, Signal::TERM).is_none(), "blocked, but not sent");
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM).unwrap();
            assert_eq!(disregard(pid, Signal::TERM), Some(expected));
            assert!([Signal::USR1, Signal::VTALRM].iter().all(|signal| disregard(pid, *signal).is_none()));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(disregard(i32::MAX, Signal::TERM), None);
    }
}
