//! The keeper's driver, as `process.rs` has it, step by step: between any two of them the world may change, and the
//! keeper be killed. What it decides is decided by the machine that ships.

use super::Setup;
use super::invariants::{Broken, order_reaches_its_own};
use super::world::{At, Daemon, ExecResult, Group, Hold, Keeper, Loop, Main, Parent, Stage, Stop, World};
use crate::keeper::protocol::{Input, KeeperMachine, Leftovers, Order, Output, Report};
use crate::keeper::run::KeeperEnd;
use crate::signals::Signal;
use rustix::io::Errno;
use std::collections::VecDeque;
use supervisor_core::ExitStatus;

/// One step of a keeper.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    TellsOfFailure,
    Exits,
    Clears,
    Does(Output),
    Loop(At),
}

/// What becomes of a message on a bounded line.
#[derive(PartialEq, Eq)]
pub enum Sent {
    Yes,
    /// There is no room, or nobody to hear it.
    Full,
}

impl World {
    /// Whether the keeper is about to fork the main process.
    pub fn keeper_is_born(&self) -> bool {
        self.keeper == Keeper::Born
    }

    pub fn keeper_forks(&mut self, setup: &Setup) {
        self.fork_main();
        self.keeper = Keeper::Keeps(Loop {
            machine: KeeperMachine::new(setup.policy, self.number),
            at: At::Sleep,
            todo: VecDeque::new(),
            exec_result: ExecResult::Open,
            is_signalled: false,
            hold: Hold::None,
        });
    }

    /// What the keeper does next, if it runs and has something to do.
    pub fn keeper_turn(&self, setup: &Setup) -> Option<Turn> {
        match &self.keeper {
            Keeper::None | Keeper::Born | Keeper::Zombie(_) => None,
            Keeper::CannotFork => Some(Turn::TellsOfFailure),
            Keeper::HasFailed => Some(Turn::Exits),
            Keeper::Clears { hold: Hold::None } => Some(Turn::Clears),
            Keeper::Keeps(keeper) if keeper.hold == Hold::None => self.turn_of_loop(keeper, setup),
            Keeper::Keeps(_) | Keeper::Clears { hold: Hold::Stopped | Hold::Traced } => None,
        }
    }

    fn turn_of_loop(&self, keeper: &Loop, setup: &Setup) -> Option<Turn> {
        let can_go_on = match (keeper.todo.front(), keeper.at) {
            (Some(Output::Tell(_)), _) => self.line_has_room(setup),
            (Some(_), _) => true,
            (None, At::Sleep) => {
                let has_result = keeper.machine.is_starting() && keeper.exec_result != ExecResult::Open;
                keeper.is_signalled || has_result || !self.orders.is_empty() || !self.supervisor_lives()
            }
            (None, At::ExecResult | At::Orders | At::Reap { .. } | At::MainEnded { .. } | At::Parent) => true,
        };
        let turn = keeper.todo.front().map_or(Turn::Loop(keeper.at), |&output| Turn::Does(output));
        can_go_on.then_some(turn)
    }

    /// One step of the keeper.
    pub fn keeper_goes_on(&mut self, turn: Turn, setup: &Setup) -> Result<(), Broken> {
        match (turn, &mut self.keeper) {
            (Turn::TellsOfFailure, keeper) => {
                *keeper = Keeper::HasFailed;
                // That a dead supervisor does not hear it changes nothing.
                let _ = self.send(Report::Failed { os_error: Errno::AGAIN.raw_os_error() }, setup);
            }
            (Turn::Exits, _) => self.end_keeper(KeeperEnd::Clean),
            (Turn::Clears, _) => self.clear(),
            (Turn::Does(output), keeper) => {
                if let Keeper::Keeps(keeper) = keeper {
                    keeper.todo.pop_front();
                }
                return self.carry_out(output, setup);
            }
            (Turn::Loop(at), Keeper::Keeps(keeper)) => {
                let keeper = keeper.clone();
                self.turn(at, keeper, setup);
            }
            (Turn::Loop(_), _) => {}
        }
        Ok(())
    }

    /// What the loop does at one place, and where it goes from there.
    fn turn(&mut self, at: At, mut keeper: Loop, setup: &Setup) {
        let (input, next) = match at {
            At::Sleep => {
                keeper.is_signalled = false;
                (None, At::ExecResult)
            }
            At::ExecResult => (exec_result(&keeper), At::Orders),
            At::Orders => match self.orders.pop_front() {
                Some(Order { recipient, signal }) => {
                    (Some(Input::Ordered { recipient, signal: signal.number() }), At::Orders)
                }
                None if self.supervisor_lives() => (None, At::Reap { main_end: None }),
                None => (Some(Input::LineEnded), At::Reap { main_end: None }),
            },
            At::Reap { main_end } => self.wait(main_end, setup),
            At::MainEnded { status, leftovers } => (Some(Input::MainEnded { status, leftovers }), At::Parent),
            At::Parent => ((!self.supervisor_lives()).then_some(Input::LineEnded), At::Sleep),
        };
        keeper.at = next;
        // It may have executed since the result was read.
        let late = if let At::MainEnded { .. } = next { exec_result(&keeper) } else { None };
        for input in input.into_iter().chain(late) {
            keeper.todo.extend(keeper.machine.handle(input).into_iter().flatten());
        }
        self.keeper = Keeper::Keeps(keeper);
    }

    /// One look for a change of a child: dead ones are reaped one by one.
    fn wait(&mut self, main_end: Option<ExitStatus>, setup: &Setup) -> (Option<Input>, At) {
        if let Main::Zombie { status, parent: Parent::Keeper } = self.main {
            self.main = Main::None;
            return (None, At::Reap { main_end: Some(status) });
        }
        if let Daemon::Zombie { parent: Parent::Keeper, .. } = self.daemon {
            self.daemon = Daemon::None;
            return (None, At::Reap { main_end });
        }
        if let Main::Lives { parent: Parent::Keeper, has_paused: has_paused @ true, .. } = &mut self.main {
            *has_paused = false;
            // Dropped where there is no room.
            let _ = self.send(Report::Stopped { pid: self.number, signal: Signal::STOP.number() }, setup);
            return (None, At::Reap { main_end });
        }
        let leftovers = if self.has_children(Parent::Keeper) { Leftovers::Some } else { Leftovers::None };
        match (main_end, leftovers) {
            (Some(status), leftovers) => (None, At::MainEnded { status, leftovers }),
            (None, Leftovers::None) => (Some(Input::LastEnded), At::Parent),
            (None, Leftovers::Some) => (None, At::Parent),
        }
    }

    fn carry_out(&mut self, output: Output, setup: &Setup) -> Result<(), Broken> {
        match output {
            // Without room it is not its turn; without a supervisor it fails, and that is all.
            Output::Tell(report) => {
                self.send(report, setup);
            }
            Output::SignalMain { main, signal } => {
                order_reaches_its_own(self, main)?;
                if self.main_has(main) && signal == Signal::KILL.number() {
                    self.kill_main();
                }
            }
            Output::SignalGroup { main, signal } => {
                order_reaches_its_own(self, main)?;
                if self.number == main && signal == Signal::KILL.number() {
                    self.kill_group();
                }
                if self.number == main && signal == Signal::TERM.number() && self.daemon_is_in_group() {
                    self.stop = Stop::Sent;
                }
            }
            Output::SignalChildren { signal } => {
                if signal == Signal::KILL.number() {
                    self.kill_children();
                } else if self.daemon_parent() == Some(Parent::Keeper) {
                    self.stop = Stop::Sent;
                }
            }
            Output::Clear => self.keeper = Keeper::Clears { hold: Hold::None },
            Output::Exit => self.end_keeper(KeeperEnd::Clean),
        }
        Ok(())
    }

    /// Without a supervisor nothing waits for room.
    pub fn line_has_room(&self, setup: &Setup) -> bool {
        !self.supervisor_lives() || self.reports.len() < setup.room
    }

    fn send(&mut self, report: Report, setup: &Setup) -> Sent {
        match (self.supervisor_lives(), self.reports.len() < setup.room) {
            (false, _) => Sent::Yes,
            (true, true) => {
                self.reports.push_back(report);
                Sent::Yes
            }
            (true, false) => Sent::Full,
        }
    }

    /// One pass: kills all children, and the groups that they lead; then reaps what is dead.
    fn clear(&mut self) {
        if self.main_parent() == Some(Parent::Keeper) {
            self.kill_group();
        }
        self.kill_children();
        if let Main::Zombie { parent: Parent::Keeper, .. } = self.main {
            self.main = Main::None;
        }
        if let Daemon::Zombie { parent: Parent::Keeper, .. } = self.daemon {
            self.daemon = Daemon::None;
        }
        if !self.has_children(Parent::Keeper) {
            self.end_keeper(KeeperEnd::Clean);
        }
    }

    fn main_has(&self, number: i32) -> bool {
        self.main != Main::None && self.number == number
    }

    fn kill_group(&mut self) {
        if let Daemon::Lives { group: Group::OfMain, .. } = self.daemon {
            self.kill_daemon();
        }
        self.kill_main();
    }

    fn kill_children(&mut self) {
        if self.main_parent() == Some(Parent::Keeper) {
            self.kill_main();
        }
        if self.daemon_parent() == Some(Parent::Keeper) {
            self.kill_daemon();
        }
    }

    /// The child on its way to execve(2) sets its parent-death signal, and looks whether its parent is still there.
    pub fn main_arms(&mut self) {
        if let Main::Lives { stage, parent, .. } = &mut self.main {
            *stage = if *parent == Parent::Keeper { Stage::Armed } else { Stage::Failing };
        }
    }

    pub fn main_announces(&mut self, setup: &Setup) {
        if let Main::Lives { stage, .. } = &mut self.main {
            *stage = Stage::Announced;
            // Its turn only comes when there is room; that a dead supervisor does not hear it changes nothing.
            let _ = self.send(Report::Forked { pid: self.number }, setup);
        }
    }

    pub fn main_reaches(&mut self, new: Stage, result: ExecResult) {
        if let Main::Lives { stage, .. } = &mut self.main {
            *stage = new;
        }
        if let Keeper::Keeps(Loop { exec_result, .. }) = &mut self.keeper {
            *exec_result = result;
        }
    }
}

/// What reading the pipe tells.
fn exec_result(keeper: &Loop) -> Option<Input> {
    if !keeper.machine.is_starting() {
        return None;
    }
    match keeper.exec_result {
        ExecResult::Open => None,
        ExecResult::Failed => Some(Input::ExecFailed { os_error: Errno::NOENT.raw_os_error() }),
        ExecResult::Closed => Some(Input::Executed),
    }
}
