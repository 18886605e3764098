//! What becomes known to the backend, and the events that it makes of it: answers, signals, messages, ends of processes.

use super::{Main, Number, Sight, UnixBackend, named, raw};
use crate::looker::{Looker, Question};
use crate::messages::{LAST_WORDS, Sender};
use crate::notice::{Target, UnixNotice};
use crate::notify::Word;
use crate::process::Process;
use crate::reap::{Found, next_change};
use crate::signals::{Hangup, Signals};
use rustix::process::Pid;
use std::io;
use std::time::Duration;
use supervisor_core::{Backend, Event, ExitStatus, Message, Observation};

/// Su(1) and its like have begun their session so long after their start.
const SESSION_BEGINS: Duration = Duration::from_secs(1);

/// Between two attempts to see what is left.
const BLINK: Duration = Duration::from_millis(100);

impl<R: FnMut(UnixNotice)> UnixBackend<R> {
    pub(super) fn take_messages(&mut self, most: usize) {
        let UnixBackend { main, tree, examiner, events, report, messages, .. } = self;
        let Some(messages) = messages else { return };
        let own = std::process::id().cast_signed();
        let knows = |pid: i32, main: Option<Pid>| match Process::read(pid) {
            // A privileged systemd-notify(1) that is the main process speaks for its parent.
            _ if pid == own || main.is_some_and(|main| raw(main) == pid) || tree.holds(pid) => Sender::OfCommand,
            None if pid != 0 => Sender::Gone,
            Some(_) | None => Sender::Stranger,
        };
        let (run, words) = match main {
            // What comes before the start is known waits for it.
            Main::Starting { .. } => return,
            Main::None => return drop(messages.take(most, |_| Sender::Gone, &mut |_| {})),
            Main::Alive { run, pid } => (*run, messages.take(most, |sender| knows(sender, Some(*pid)), report)),
            Main::Ended { run, .. } => (*run, messages.take(most, |sender| knows(sender, None), report)),
        };
        for word in words {
            match word {
                Word::ForMachine(message) => {
                    if message == Message::Heartbeat {
                        examiner.told(tree);
                    }
                    events.push_back(Event::Told { run, message });
                }
                Word::Status(text) => report(UnixNotice::StatusText { text }),
            }
        }
    }

    pub(super) fn take_exec_result(&mut self) {
        let Main::Starting { run, spawned, .. } = &self.main else { return };
        let (run, pid) = (*run, spawned.pid);
        match spawned.result() {
            None => {}
            Some(Ok(())) => {
                self.main = Main::Alive { run, pid };
                // Told heartbeats put looks off for ever.
                let may_never_look = self.looker.is_none() || self.messages.is_some();
                self.renewal = may_never_look.then(|| self.now() + SESSION_BEGINS);
                self.events.push_back(Event::Started { run, pid: raw(pid).unsigned_abs() });
            }
            Some(Err(failure)) => {
                // It exits as soon as it has told why; if it has been reaped already, all the better.
                let _ = rustix::io::retry_on_intr(|| {
                    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
                });
                self.main = Main::None;
                self.events.push_back(Event::StartFailed { run, failure });
            }
        }
    }

    pub(super) fn take_answers(&mut self) {
        while let Some(answer) = self.looker.as_mut().and_then(Looker::take) {
            if let Some(error) = answer.error {
                (self.report)(UnixNotice::HeartbeatUnreadable { error });
            }
            if let Question::During(run) = answer.to {
                if answer.observation != Observation::Unchanged {
                    self.examiner.found();
                    // It costs no wake-up now, and delays no decision.
                    self.renew_marks();
                }
                self.events.push_back(Event::Observed { run, observation: answer.observation });
            }
        }
    }

    pub(super) fn renew_marks(&self) {
        self.mark.into_iter().for_each(|mark| self.tree.renew(mark));
    }

    pub(super) fn take_signals(&mut self) {
        for (signal, sender) in Signals::take() {
            let event = match (signal, self.signals.hangup()) {
                (Number::CHLD, _) => continue,
                (Number::INT, _) => Event::Interrupt,
                (Number::HUP, Hangup::Forward) | (Number::QUIT | Number::USR1 | Number::USR2 | Number::WINCH, _) => {
                    self.forward(signal);
                    continue;
                }
                (Number::TSTP, _) => {
                    self.suspend();
                    continue;
                }
                (signal, _) if signal.is_real_time() => {
                    self.forward(signal);
                    continue;
                }
                _ => Event::Stop,
            };
            (self.report)(UnixNotice::Received { signal, sender });
            self.events.push_back(event);
        }
    }

    fn forward(&mut self, signal: Number) {
        let pid = match &self.main {
            Main::Alive { pid, .. } => Some(raw(*pid)),
            Main::None | Main::Starting { .. } | Main::Ended { .. } => None,
        };
        // It is not reaped, so that the number is still its own.
        let result = pid.map_or(Ok(()), |pid| signal.send(pid));
        (self.report)(match (result, pid) {
            (Err(error), Some(pid)) => {
                UnixNotice::SignalFailed { signal, target: Target::Process(named(pid)), error: error.into() }
            }
            (Ok(()) | Err(_), pid) => UnixNotice::Forwarded { signal, pid },
        });
    }

    pub(super) fn reap(&mut self) {
        let last = loop {
            match next_change() {
                Found::Ended { pid, status } => {
                    self.tree.forget(pid);
                    if let Some(hooks) = &mut self.hooks
                        && hooks.reaped(pid, status, &mut self.report)
                    {
                        self.tree.spare(hooks.pid());
                        continue;
                    }
                    self.protection.reaped(pid, &mut self.report);
                    self.ended(pid, status);
                }
                Found::Stopped { pid, signal } => {
                    (self.report)(UnixNotice::Stopped { process: named(pid), signal });
                    self.stopped(pid, signal);
                }
                Found::Continued { pid } => (self.report)(UnixNotice::Continued { pid }),
                last @ (Found::Nothing | Found::NoChildren) => break last,
            }
        };
        let Main::Ended { run, group, sight } = self.main else { return };
        let is_empty = if last == Found::NoChildren { Ok(true) } else { self.tree.is_empty(group) };
        if let Ok(true) = is_empty {
            self.main = Main::None;
            self.events.push_back(Event::Gone { run });
        } else if !matches!(sight, Sight::Lost { unsent: Some(_), .. }) {
            self.saw(is_empty.map(drop), None);
        }
    }

    /// Takes note whether it could be told what is left, and what else has to be sent to it.
    pub(super) fn saw(&mut self, result: io::Result<()>, unsent: Option<Number>) {
        let now = self.now();
        let Main::Ended { sight, .. } = &mut self.main else { return };
        let before = *sight;
        *sight = match result {
            Ok(()) => Sight::Clear,
            Err(_) => Sight::Lost { retry_at: now + BLINK, unsent },
        };
        if let (Err(error), Sight::Clear) = (result, before) {
            (self.report)(UnixNotice::LeftoversUnseen { error });
        }
    }

    fn ended(&mut self, pid: i32, status: ExitStatus) {
        if let Main::Starting { spawned, .. } = &self.main
            && raw(spawned.pid) == pid
        {
            // What it told on its pipe came first.
            self.take_exec_result();
        }
        if let Main::Alive { run, pid: main } = self.main
            && raw(main) == pid
        {
            self.take_messages(LAST_WORDS);
            self.settle_terminal(main, status);
            self.main = Main::Ended { run, group: pid, sight: Sight::Clear };
            self.events.push_back(Event::Exited { run, status });
        }
    }
}
