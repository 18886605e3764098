//! The world: processes as the kernel has them, the line with its bounds, and what the core was told.

use super::Setup;
use crate::keeper::protocol::{KeeperMachine, Leftovers, Order, Output, Report};
use crate::keeper::run::{KeeperEnd, Run};
use std::collections::VecDeque;
use supervisor_core::{ExitStatus, RunId};

/// A number that is given to a process again as soon as it is free.
const NUMBER: i32 = 10;
/// Another one, should that belong to a stranger.
const OTHER_NUMBER: i32 = 20;

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub supervisor: Supervisor,
    pub keeper: Keeper,
    /// Whether the keeper of this run was killed.
    pub keeper_was_killed: bool,
    /// What the keeper told and the supervisor did not hear yet.
    pub reports: VecDeque<Report>,
    /// What the supervisor ordered and the keeper did not take yet.
    pub orders: VecDeque<Order>,
    pub main: Main,
    /// How the main process of this run ended, in truth.
    pub main_end: Option<ExitStatus>,
    pub daemon: Daemon,
    /// Whether the daemon got the stop signal, in truth.
    pub stop: Stop,
    /// What the supervisor has noted of that.
    pub note: Note,
    /// The number of the main process and of its group.
    pub number: i32,
    /// Whether `NUMBER` was given to a process that is none of the command's, and to its group.
    pub stranger: bool,
    pub left: Left,
}

/// What may still happen, so that the world is finite.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Left {
    pub restarts: u8,
    pub requests: u8,
    pub forwards: u8,
    pub daemons: u8,
    pub pauses_of_main: u8,
    pub kills_of_keeper: u8,
    pub kills_of_supervisor: u8,
    pub stops_of_keeper: u8,
    pub lost_helpers: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Supervisor {
    Lives {
        run: Run<()>,
        id: RunId,
        told: Told,
        asked: Asked,
        adoption: Adoption,
    },
    Killed,
    /// It exited: the last run is over.
    Left,
}

/// What the core knows of the current run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Told {
    Nothing,
    Started,
    Exited,
    Over,
}

/// What the core or a person wants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    Nothing,
    /// The run is to end, and may be followed by another.
    EndOfRun,
    Stop,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Adoption {
    None,
    UnderWay,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Keeper {
    None,
    /// Forked, and about to fork the main process.
    Born,
    /// It could not fork, and tells so.
    CannotFork,
    /// It told so, and exits.
    HasFailed,
    Keeps(Loop),
    /// It kills its children until there are none.
    Clears {
        hold: Hold,
    },
    /// Not reaped yet.
    Zombie(KeeperEnd),
}

/// Whether something from outside holds a keeper.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    None,
    /// By SIGSTOP.
    Stopped,
    /// By a debugger: no SIGCONT has it go on.
    Traced,
}

/// The loop of a keeper, as `process.rs` has it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Loop {
    pub machine: KeeperMachine,
    pub at: At,
    /// What the machine has decided and is not done.
    pub todo: VecDeque<Output>,
    pub exec_result: ExecResult,
    /// Whether a signal is pending that ends the sleep.
    pub is_signalled: bool,
    pub hold: Hold,
}

/// Where in its loop it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Sleep,
    ExecResult,
    Orders,
    Reap {
        main_end: Option<ExitStatus>,
    },
    /// The main process was reaped.
    MainEnded {
        status: ExitStatus,
        leftovers: Leftovers,
    },
    Parent,
}

/// The pipe from the child that is to execute the command.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExecResult {
    Open,
    Failed,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    Main,
    Keeper,
    Supervisor,
    /// The first process of the system: nothing of ours sees what it has.
    Kernel,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Main {
    None,
    Lives {
        stage: Stage,
        parent: Parent,
        has_paused: bool,
    },
    /// A SIGKILL is on its way.
    Dying {
        parent: Parent,
    },
    Zombie {
        status: ExitStatus,
        parent: Parent,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Its parent-death signal is not set yet.
    Forked,
    /// It is, and it is about to tell of itself.
    Armed,
    /// It told, and what follows is execve(2).
    Announced,
    /// execve(2) failed; it exits.
    Failing,
    Executes {
        death_signal: DeathSignal,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeathSignal {
    Kept,
    /// By a setuid program: prctl(2).
    Cleared,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Daemon {
    None,
    Lives { group: Group, parent: Parent },
    Dying { group: Group, parent: Parent },
    Zombie { group: Group, parent: Parent },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    NotSent,
    Sent,
    /// The line had no room for the order, which is told, or the keeper is gone.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    None,
    /// It got the signal with the group of the main process.
    WithMain,
    ByItself,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    OfMain,
    Own,
}

impl World {
    pub fn new(setup: &Setup) -> World {
        let run = Run::Idle;
        let (told, asked, adoption) = (Told::Over, Asked::Nothing, Adoption::None);
        World {
            supervisor: Supervisor::Lives { run, id: RunId(0), told, asked, adoption },
            keeper: Keeper::None,
            keeper_was_killed: false,
            reports: VecDeque::new(),
            orders: VecDeque::new(),
            main: Main::None,
            main_end: None,
            daemon: Daemon::None,
            stop: Stop::NotSent,
            note: Note::None,
            number: NUMBER,
            stranger: false,
            left: setup.left.clone(),
        }
    }

    pub fn supervisor_lives(&self) -> bool {
        matches!(self.supervisor, Supervisor::Lives { .. })
    }

    /// Whether it lives or is not reaped yet: what can still have children is only the former.
    pub fn keeper_lives(&self) -> bool {
        !matches!(self.keeper, Keeper::None | Keeper::Zombie(_))
    }

    pub fn hold(&self) -> Hold {
        match &self.keeper {
            Keeper::Keeps(Loop { hold, .. }) | Keeper::Clears { hold } => *hold,
            Keeper::None | Keeper::Born | Keeper::CannotFork | Keeper::HasFailed | Keeper::Zombie(_) => Hold::None,
        }
    }

    pub fn set_hold(&mut self, new: Hold) {
        if let Keeper::Keeps(Loop { hold, .. }) | Keeper::Clears { hold } = &mut self.keeper {
            *hold = new;
        }
    }

    /// Whether a process of the run is there, dead ones that are not reaped included.
    pub fn has_processes(&self) -> bool {
        self.main != Main::None || self.daemon != Daemon::None
    }

    pub fn is_empty(&self) -> bool {
        !self.has_processes() && self.keeper == Keeper::None
    }

    /// A new main process takes the lowest number that is free, so that it is that of the last one where it can be.
    pub fn fork_main(&mut self) {
        self.number = if self.stranger { OTHER_NUMBER } else { NUMBER };
        self.main = Main::Lives { stage: Stage::Forked, parent: Parent::Keeper, has_paused: false };
    }

    /// A number is free when no process and no group has it.
    pub fn number_is_free(&self) -> bool {
        self.main == Main::None && !self.daemon_is_in_group()
    }

    pub fn daemon_is_in_group(&self) -> bool {
        match self.daemon {
            Daemon::Lives { group, .. } | Daemon::Dying { group, .. } | Daemon::Zombie { group, .. } => {
                group == Group::OfMain
            }
            Daemon::None => false,
        }
    }

    pub fn stranger_has(&self, number: i32) -> bool {
        self.stranger && number == NUMBER
    }

    pub fn main_parent(&self) -> Option<Parent> {
        match self.main {
            Main::Lives { parent, .. } | Main::Dying { parent } | Main::Zombie { parent, .. } => Some(parent),
            Main::None => None,
        }
    }

    pub fn daemon_parent(&self) -> Option<Parent> {
        match self.daemon {
            Daemon::Lives { parent, .. } | Daemon::Dying { parent, .. } | Daemon::Zombie { parent, .. } => Some(parent),
            Daemon::None => None,
        }
    }

    /// Whether a main process that does not execute yet holds its end of the line: the line ends with it.
    pub fn main_holds_line(&self) -> bool {
        match self.main {
            Main::Lives { stage: Stage::Executes { .. }, .. } => false,
            Main::Lives { stage: Stage::Forked | Stage::Armed | Stage::Announced | Stage::Failing, .. } => true,
            Main::None | Main::Dying { .. } | Main::Zombie { .. } => false,
        }
    }

    pub fn has_children(&self, parent: Parent) -> bool {
        self.main_parent() == Some(parent) || self.daemon_parent() == Some(parent)
    }
}
