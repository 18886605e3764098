//! What the kernel does when a process is killed or ends: parent-death signals, orphans and their new parents, SIGCHLD.

use super::world::{Daemon, DeathSignal, ExecResult, Hold, Keeper, Loop, Main, Parent, Stage, Supervisor, World};
use crate::keeper::run::KeeperEnd;
use supervisor_core::ExitStatus;

impl World {
    pub fn kill_main(&mut self) {
        if let Main::Lives { parent, .. } = self.main {
            self.main = Main::Dying { parent };
        }
    }

    pub fn kill_daemon(&mut self) {
        if let Daemon::Lives { group, parent } = self.daemon {
            self.daemon = Daemon::Dying { group, parent };
        }
    }

    /// Kills the children of a process and, as one kill follows the other, all below them.
    pub fn kill_below(&mut self, root: Parent) {
        let main_is_below = self.main_parent() == Some(root);
        let daemon_parent = self.daemon_parent();
        if daemon_parent == Some(root) || (main_is_below && daemon_parent == Some(Parent::Main)) {
            self.kill_daemon();
        }
        if main_is_below {
            self.kill_main();
        }
    }

    /// The main process ends: its child goes to the next subreaper above it.
    pub fn end_main(&mut self, status: ExitStatus) {
        let Some(parent) = self.main_parent() else { return };
        if let Keeper::Keeps(Loop { exec_result: result @ ExecResult::Open, .. }) = &mut self.keeper {
            *result = ExecResult::Closed;
        }
        self.main = Main::Zombie { status, parent };
        self.main_end = Some(status);
        self.set_daemon_parent(Parent::Main, self.subreaper());
        self.settle_dead(parent);
    }

    pub fn end_daemon(&mut self) {
        let (Daemon::Lives { group, parent } | Daemon::Dying { group, parent }) = self.daemon else { return };
        self.daemon = Daemon::Zombie { group, parent };
        self.settle_dead(parent);
    }

    /// The keeper ends: its children become the supervisor's, and the main process gets its parent-death signal.
    pub fn end_keeper(&mut self, end: KeeperEnd) {
        self.keeper = if self.supervisor_lives() { Keeper::Zombie(end) } else { Keeper::None };
        self.orders.clear();
        let heir = self.subreaper();
        if self.main_parent() == Some(Parent::Keeper) {
            if let Main::Lives { stage: Stage::Armed | Stage::Announced | Stage::Failing, .. }
            | Main::Lives { stage: Stage::Executes { death_signal: DeathSignal::Kept }, .. } = self.main
            {
                self.kill_main();
            }
            self.set_main_parent(heir);
        }
        self.set_daemon_parent(Parent::Keeper, heir);
        self.settle_dead(heir);
    }

    /// The supervisor is killed: the line ends, and the keeper goes on if it was stopped.
    pub fn end_supervisor(&mut self) {
        self.supervisor = Supervisor::Killed;
        self.reports.clear();
        if self.hold() == Hold::Stopped {
            self.set_hold(Hold::None);
        }
        self.signal_keeper();
        if let Keeper::Zombie(_) = self.keeper {
            self.keeper = Keeper::None;
        }
        if self.main_parent() == Some(Parent::Supervisor) {
            self.set_main_parent(Parent::Kernel);
        }
        self.set_daemon_parent(Parent::Supervisor, Parent::Kernel);
        self.settle_dead(Parent::Kernel);
    }

    /// Who gets what loses its parent below the keeper.
    fn subreaper(&self) -> Parent {
        match (self.keeper_lives(), self.supervisor_lives()) {
            (true, _) => Parent::Keeper,
            (false, true) => Parent::Supervisor,
            (false, false) => Parent::Kernel,
        }
    }

    fn set_main_parent(&mut self, new: Parent) {
        if let Main::Lives { parent, .. } | Main::Dying { parent } | Main::Zombie { parent, .. } = &mut self.main {
            *parent = new;
        }
    }

    fn set_daemon_parent(&mut self, old: Parent, new: Parent) {
        if let Daemon::Lives { parent, .. } | Daemon::Dying { parent, .. } | Daemon::Zombie { parent, .. } =
            &mut self.daemon
            && *parent == old
        {
            *parent = new;
        }
    }

    /// A dead child signals its parent; the first process reaps it.
    fn settle_dead(&mut self, parent: Parent) {
        match parent {
            Parent::Keeper => self.signal_keeper(),
            Parent::Kernel => {
                if let Main::Zombie { parent: Parent::Kernel, .. } = self.main {
                    self.main = Main::None;
                }
                if let Daemon::Zombie { parent: Parent::Kernel, .. } = self.daemon {
                    self.daemon = Daemon::None;
                }
            }
            Parent::Main | Parent::Supervisor => {}
        }
    }

    pub fn signal_keeper(&mut self) {
        if let Keeper::Keeps(Loop { is_signalled, .. }) = &mut self.keeper {
            *is_signalled = true;
        }
    }
}
