//! What can happen in the world, and what the machine gets to know of it.

use crate::world::{Asked, Beat, End, Look, Main, World};
use crate::{Setup, at};
use std::time::Duration;
use supervisor_core::{
    Event, ExitStatus, Message, Observation, RunId, StartFailure, StartFailureKind, Supervisor, Watchdog,
};

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    Tick,
    Started,
    StartFailed(StartFailureKind),
    Beat { dated: bool },
    Tell(Message),
    Exit { status: ExitStatus, leftover: bool },
    LeftoverEnds,
    Answer,
    Timeout,
    Stop,
    Interrupt,
    Restart,
}

/// One of each kind.
pub const MESSAGES: [Message; 7] = [
    Message::Heartbeat,
    Message::Ready,
    Message::Hang,
    Message::Timeout(Duration::from_secs(1)),
    Message::StreakOver,
    Message::Extension(Duration::from_secs(2)),
    Message::Leaving,
];

impl World {
    pub fn moves(&self, machine: &Supervisor, setup: &Setup) -> Vec<Move> {
        use Move::*;
        let mut moves = Vec::new();
        if machine.outcome().is_some() {
            return moves;
        }
        let due = machine.poll_timeout().is_some_and(|deadline| deadline <= at(self.tick));
        if due {
            moves.push(Timeout);
        }
        let waiting = self.main == Main::Starting || self.look == Look::Pending;
        let may_wait = (!waiting || setup.late_answers) && (!due || self.pauses < setup.pauses);
        // Whatever was killed ends within the tick.
        if self.tick < setup.horizon && may_wait && !(self.killed && (self.main == Main::Alive || self.leftover)) {
            moves.push(Tick);
        }
        match self.main {
            Main::None => {}
            Main::Starting => {
                moves.push(Started);
                if !self.killed {
                    moves.extend([
                        StartFailed(StartFailureKind::NotFound),
                        StartFailed(StartFailureKind::NotExecutable),
                        StartFailed(StartFailureKind::Passing),
                    ]);
                }
            }
            Main::Alive if self.killed => {
                moves.push(Exit { status: ExitStatus::KILLED, leftover: self.leftover });
                if setup.signals {
                    moves.push(Exit { status: ExitStatus::Signal(15), leftover: self.leftover });
                }
            }
            Main::Alive => {
                for leftover in [false, true] {
                    moves.push(Exit { status: ExitStatus::Code(0), leftover });
                    moves.push(Exit { status: ExitStatus::Code(1), leftover });
                }
                if setup.signals {
                    moves.push(Exit { status: ExitStatus::KILLED, leftover: false });
                }
                if self.beat == self::Beat::None && setup.policy.watchdog != Watchdog::Off && self.asked == Asked::No {
                    moves.extend([Beat { dated: true }, Beat { dated: false }]);
                }
            }
            Main::Exited if self.leftover => moves.push(LeftoverEnds),
            Main::Exited => {}
        }
        if self.main == Main::Alive && self.messages < setup.messages {
            moves.extend(MESSAGES.map(Tell));
        }
        if self.look == Look::Pending {
            moves.push(Answer);
        }
        if self.requests < setup.requests {
            moves.extend([Stop, Interrupt]);
        }
        if self.restart_requests < setup.restart_requests {
            moves.push(Move::Restart);
        }
        moves
    }

    /// Lets a move happen and returns the facts that the machine gets to know.
    pub fn make(&mut self, action: Move, due: bool, setup: &Setup) -> Vec<Event> {
        let run = RunId(self.run);
        match action {
            Move::Tick => {
                self.pauses += u8::from(due);
                self.tick += 1;
                vec![]
            }
            Move::Started => {
                self.main = Main::Alive;
                (self.alive_at, self.started, self.undated) = (self.tick, self.tick, false);
                if let Watchdog::On { timeout, initial_delay } = setup.policy.watchdog {
                    (self.timeout, self.counted_from) = (timeout, at(self.tick) + initial_delay);
                }
                vec![Event::Started { run, pid: 1 }]
            }
            Move::StartFailed(kind) => {
                self.main = Main::None;
                (self.end, self.over) = (End::Failure, self.tick);
                vec![Event::StartFailed { run, failure: StartFailure { kind, os_error: 0 } }]
            }
            Move::Beat { dated } => {
                self.beat = if dated { Beat::At(self.tick) } else { Beat::Sometime };
                self.alive_at = self.tick;
                self.undated = !dated;
                self.beats += 1;
                vec![]
            }
            Move::Tell(message) => {
                self.messages += 1;
                self.hear(message);
                vec![Event::Message { run, message }]
            }
            Move::Exit { status, leftover } => {
                self.leftover = leftover;
                self.main = if leftover { Main::Exited } else { Main::None };
                self.over = self.tick;
                self.end = match (status, self.end) {
                    (ExitStatus::KILLED, _) if self.killed => End::Force,
                    (_, End::Hang) => End::Hang,
                    (ExitStatus::Code(0), _) => End::Success,
                    (ExitStatus::Code(_) | ExitStatus::Signal(_), _) => End::Failure,
                };
                let exited = Event::Exited { run, status };
                if leftover { vec![exited] } else { vec![exited, Event::Cleared { run }] }
            }
            Move::LeftoverEnds => {
                self.leftover = false;
                self.main = Main::None;
                self.over = self.tick;
                vec![Event::Cleared { run }]
            }
            Move::Answer => {
                self.look = Look::None;
                self.beaten |= self.beat != Beat::None && setup.messages > 0;
                let observation = match std::mem::replace(&mut self.beat, Beat::None) {
                    Beat::None => Observation::Unchanged,
                    Beat::At(tick) => Observation::Changed { at: at(tick) },
                    Beat::Sometime => Observation::ChangedSometime,
                };
                vec![Event::Observed { run, observation }]
            }
            Move::Timeout => vec![Event::Timeout],
            Move::Stop | Move::Interrupt => {
                self.requests += 1;
                if self.main == Main::None && !self.leftover {
                    // Nothing runs: how the last run ended does not matter any more.
                    self.end = End::None;
                }
                let interrupt = matches!(action, Move::Interrupt);
                self.interrupts_since_stop += u8::from(interrupt && self.is_asked_again());
                self.first_request.get_or_insert(self.tick);
                vec![if interrupt { Event::Interrupt } else { Event::Stop }]
            }
            Move::Restart => {
                self.restart_requests += 1;
                self.restart_asked.get_or_insert(self.tick);
                vec![Event::Restart]
            }
        }
    }

    /// What a message of a living command means.
    pub fn hear(&mut self, message: Message) {
        let now = at(self.tick);
        match (message, self.asked) {
            (Message::Heartbeat, Asked::No) => {
                (self.alive_at, self.undated) = (self.tick, self.beat == Beat::Sometime);
                (self.beats, self.beaten) = (self.beats + 1, true);
            }
            (Message::Ready, Asked::No) => {
                if !self.ready {
                    (self.counted_from, self.beats) = (now, self.beats + 1);
                }
                self.ready = true;
            }
            (Message::Hang, Asked::No) => self.reported = true,
            (Message::Timeout(timeout), Asked::No) => {
                (self.timeout, self.beats) = (timeout, self.beats + 1);
                self.counted_from = self.counted_from.max(now);
            }
            (Message::StreakOver, Asked::No) => self.restarts = 0,
            (Message::Extension(by), Asked::No) if !self.ready && !self.beaten => {
                (self.counted_from, self.beats) = (self.counted_from.max(now + by), self.beats + 1);
            }
            (Message::Extension(by), Asked::Since(_)) if !self.killed => {
                self.grace_until = self.grace_until.max(now + by);
            }
            (_, Asked::HangSignalled { .. } | Asked::Since(_))
            | (Message::Extension(_) | Message::Leaving, Asked::No) => {}
        }
    }
}
