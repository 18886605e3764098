//! Job control: whose terminal it is, and what its keys do to the command and to this process.

use super::{Main, Number, UnixBackend, raw};
use crate::notice::UnixNotice;
use crate::signals::Hangup;
use crate::terminal::{Interrupt, Return, Terminal};
use rustix::process::Pid;
use supervisor_core::{Event, ExitStatus};

impl<R: FnMut(UnixNotice)> UnixBackend<R> {
    /// A main process that wants the terminal gets it, if we have it; one that is stopped by its keys stops us too.
    pub(super) fn stopped(&mut self, pid: i32, signal: i32) {
        let Main::Alive { pid: main, .. } = &self.main else { return };
        let main = *main;
        if raw(main) != pid {
            return;
        }
        if [Number::TTIN, Number::TTOU].map(Number::number).contains(&signal) {
            self.lend_terminal();
        } else if signal == Number::TSTP.number() && self.terminal.is_lent() {
            self.suspend();
        }
    }

    pub(super) fn lend_terminal(&mut self) {
        let Main::Alive { pid: main, .. } = &self.main else {
            self.terminal = Terminal::Kept;
            return;
        };
        if self.terminal.lend(*main) {
            let group = raw(*main);
            signal_group(group, Number::CONT);
            (self.report)(UnixNotice::TerminalLent { group });
        }
    }

    fn take_terminal_back(&mut self, main: Pid) -> Return {
        let tree = &self.tree;
        let is_job = |group: Pid| tree.descendants().iter().any(|process| process.group == raw(group));
        self.terminal.take_back(|group| group == main || is_job(group))
    }

    /// Stops the command and this process, as the terminal's keys ask, until somebody continues us.
    pub(super) fn suspend(&mut self) {
        let main = match &self.main {
            Main::Alive { pid, .. } => Some(*pid),
            Main::None | Main::Starting { .. } | Main::Ended { .. } => None,
        };
        (self.report)(UnixNotice::Suspended);
        let loan = main.map_or(Return::NotLent, |main| self.take_terminal_back(main));
        main.into_iter().for_each(|main| signal_group(raw(main), Number::TSTP));
        // Nothing is lost if we cannot be stopped.
        let _ = self.signals.suspend();
        (self.report)(UnixNotice::Resumed);
        if let (Some(main), Return::Returned(interrupt)) = (main, loan) {
            self.terminal.lend(main);
            if interrupt == Interrupt::Request {
                self.terminal.request_by_sigint();
            }
        }
        main.into_iter().for_each(|main| signal_group(raw(main), Number::CONT));
    }

    /// The terminal comes back with the end of the main process. One that ended by its keys, or with the terminal, tells
    /// what a person wants.
    pub(super) fn settle_terminal(&mut self, main: Pid, status: ExitStatus) {
        const AFTER_SIGINT: [ExitStatus; 2] = [ExitStatus::Signal(2), ExitStatus::Code(128 + 2)];
        let signal = match self.take_terminal_back(main) {
            Return::Returned(Interrupt::Keys) if AFTER_SIGINT.contains(&status) => Number::INT,
            Return::HungUp if self.signals.hangup() == Hangup::Stop => Number::HUP,
            Return::NotLent | Return::Returned(_) | Return::HungUp => return,
        };
        (self.report)(UnixNotice::Received { signal, sender: 0 });
        self.events.push_back(Event::Stop);
    }
}

/// A group whose leader is not reaped; that it may be gone is nothing to tell.
fn signal_group(group: i32, signal: Number) {
    let _ = signal.send_to_group(group);
}
