//! Job control: whose terminal it is, and what its keys do to the command and to this process.

use super::UnixBackend;
use super::run::Run;
use crate::notice::UnixNotice;
use crate::signals::{Hangup, Signal};
use crate::terminal::{Interrupt, Return, Terminal};
use rustix::process::Pid;
use supervisor_core::{Event, ExitStatus, Incoming};

/// Whether this process is about to stop itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspension {
    None,
    /// As soon as all is told that happened before.
    Requested,
}

impl UnixBackend {
    /// A main process that wants the terminal gets it, if we have it; one that is stopped by its keys stops us too.
    pub(super) fn stopped(&mut self, pid: i32, signal: i32) {
        if self.main_pid().is_none_or(|main| main.as_raw_nonzero().get() != pid) {
            return;
        }
        if [Signal::TTIN, Signal::TTOU].map(Signal::number).contains(&signal) {
            self.lend_terminal();
        } else if signal == Signal::TSTP.number() && self.terminal.is_lent() {
            self.request_suspension();
        }
    }

    pub(super) fn lend_terminal(&mut self) {
        let Some(main) = self.main_pid() else {
            self.terminal = Terminal::Kept;
            return;
        };
        if self.terminal.lend(main) {
            self.signal_group(Signal::CONT);
            self.tell(UnixNotice::TerminalLent { group: main.as_raw_nonzero().get() });
        }
    }

    fn take_terminal_back(&mut self, main: Pid) -> Return {
        let tree = &self.tree;
        let is_job = |group: Pid| tree.seen().iter().any(|process| process.group == group.as_raw_nonzero().get());
        self.terminal.take_back(|group| group == main || is_job(group))
    }

    /// Asks for a stop of the command and of this process, once that is told.
    pub(super) fn request_suspension(&mut self) {
        self.suspension = Suspension::Requested;
        self.tell(UnixNotice::Suspended {});
    }

    /// Stops the command and this process, as the terminal's keys ask, until another process continues us.
    pub(super) fn suspend_if_requested(&mut self) {
        if std::mem::replace(&mut self.suspension, Suspension::None) == Suspension::None {
            return;
        }
        let main = self.main_pid();
        let loan = main.map_or(Return::NotLent, |main| self.take_terminal_back(main));
        self.signal_group(Signal::TSTP);
        // Nothing is lost if we cannot be stopped.
        let _ = self.signals.suspend();
        self.tell(UnixNotice::Resumed {});
        if let (Some(main), Return::Returned(interrupt)) = (main, loan) {
            self.terminal.lend(main);
            if interrupt == Interrupt::Request {
                self.terminal.request_by_sigint();
            }
        }
        self.signal_group(Signal::CONT);
    }

    /// The terminal comes back with the end of the main process. One that ended by its keys, or with the terminal, tells
    /// what a person wants.
    pub(super) fn settle_terminal(&mut self, main: i32, status: ExitStatus) {
        const AFTER_SIGINT: [ExitStatus; 2] = [ExitStatus::Signal(2), ExitStatus::Code(128 + 2)];
        let Some(main) = Pid::from_raw(main) else { return };
        let signal = match self.take_terminal_back(main) {
            Return::Returned(Interrupt::Keys) if AFTER_SIGINT.contains(&status) => Signal::INT,
            Return::HungUp if self.signals.hangup() == Hangup::Stop => Signal::HUP,
            Return::NotLent | Return::Returned(_) | Return::HungUp => return,
        };
        self.tell(UnixNotice::SignalReceived { signal, sender: 0 });
        self.queue.push_back(Incoming::Event(Event::Stop));
    }

    fn main_pid(&self) -> Option<Pid> {
        match &self.run {
            Run::Alive { main, .. } => Pid::from_raw(*main),
            Run::Idle | Run::Starting { .. } | Run::Ended { .. } => None,
        }
    }
}
