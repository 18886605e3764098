//! The supervisor's driver, as `backend/run.rs`, `backend/children.rs` and `backend/signalling.rs` have it. What it
//! knows of a run is known by the machine that ships.

use super::invariants::{Broken, exit_is_true, no_loss_without_a_kill, no_second_copy, nothing_is_left, one_end};
use super::keeper::Sent;
use super::world::{Adoption, Asked, Daemon, Hold, Keeper, Main, Note, Parent, Stop, Supervisor, Told, World};
use super::{NOW, Setup, Sight};
use crate::keeper::exec::failure;
use crate::keeper::protocol::{Order, Recipient};
use crate::keeper::run::{Effect, KeeperEnd, Run};
use crate::signals::Signal;
use rustix::io::Errno;
use std::mem;
use supervisor_core::{Event, ExitStatus, RunId};

impl World {
    pub fn run(&self) -> Option<&Run<()>> {
        match &self.supervisor {
            Supervisor::Lives { run, .. } => Some(run),
            Supervisor::Killed | Supervisor::Left => None,
        }
    }

    fn run_mut(&mut self) -> Option<&mut Run<()>> {
        match &mut self.supervisor {
            Supervisor::Lives { run, .. } => Some(run),
            Supervisor::Killed | Supervisor::Left => None,
        }
    }

    pub fn told(&self) -> Option<Told> {
        match self.supervisor {
            Supervisor::Lives { told, .. } => Some(told),
            Supervisor::Killed | Supervisor::Left => None,
        }
    }

    pub fn asked(&self) -> Asked {
        match self.supervisor {
            Supervisor::Lives { asked, .. } => asked,
            Supervisor::Killed | Supervisor::Left => Asked::Nothing,
        }
    }

    pub fn adoption(&self) -> Adoption {
        match self.supervisor {
            Supervisor::Lives { adoption, .. } => adoption,
            Supervisor::Killed | Supervisor::Left => Adoption::None,
        }
    }

    /// Whether the core starts a run now: the first one, or another.
    pub fn may_start(&self) -> bool {
        match &self.supervisor {
            Supervisor::Lives { id, told: Told::Over, asked, .. } => {
                *asked != Asked::Stop && (*id == RunId(0) || self.left.restarts > 0)
            }
            Supervisor::Lives { .. } | Supervisor::Killed | Supervisor::Left => false,
        }
    }

    /// Begins a run, with a keeper or without: fork(2) may fail.
    pub fn start(&mut self, keeper: Keeper) -> Result<(), Broken> {
        no_second_copy(self)?;
        let has_keeper = keeper != Keeper::None;
        let Supervisor::Lives { run, id, told, asked, .. } = &mut self.supervisor else { return Ok(()) };
        if *id > RunId(0) {
            self.left.restarts -= 1;
        }
        (*id, *told, *asked) = (RunId(id.0 + 1), Told::Nothing, Asked::Nothing);
        let this = *id;
        self.reports.clear();
        self.orders.clear();
        (self.keeper, self.keeper_was_killed, self.main_end) = (keeper, false, None);
        if has_keeper {
            *run = Run::begin(this, (), NOW);
            return Ok(());
        }
        let failure = failure(Errno::AGAIN.raw_os_error());
        self.tell(Event::StartFailed { run: this, failure })
    }

    /// The core gets to know something.
    fn tell(&mut self, event: Event) -> Result<(), Broken> {
        let Supervisor::Lives { id, told, .. } = &mut self.supervisor else { return Ok(()) };
        *told = one_end(*told, *id, event)?;
        if *told == Told::Over { nothing_is_left(self) } else { Ok(()) }
    }

    pub fn can_hear(&self) -> bool {
        !self.reports.is_empty() && self.run().is_some_and(|run| run.keeper().is_some())
    }

    pub fn hear(&mut self, setup: &Setup) -> Result<(), Broken> {
        let Some(report) = self.reports.pop_front() else { return Ok(()) };
        let effect = self.run_mut().map_or(Effect::None, |run| run.hear(report, NOW));
        self.follow(effect, setup)
    }

    /// All that the keeper told is heard before its end is taken.
    pub fn reap_keeper(&mut self, end: KeeperEnd, setup: &Setup) -> Result<(), Broken> {
        while self.can_hear() {
            self.hear(setup)?;
        }
        self.keeper = Keeper::None;
        let effect = self.run_mut().map_or(Effect::None, |run| run.keeper_ended(end));
        self.follow(effect, setup)
    }

    fn follow(&mut self, effect: Effect, setup: &Setup) -> Result<(), Broken> {
        match effect {
            Effect::None | Effect::Stopped { .. } | Effect::Continued { .. } => Ok(()),
            Effect::Started { run, main, held } => {
                self.tell(Event::Started { run, pid: main.unsigned_abs() })?;
                held.into_iter().for_each(|signal| {
                    self.order(Recipient::Main, signal, setup);
                });
                Ok(())
            }
            Effect::Exited { run, status, .. } => {
                exit_is_true(self, status)?;
                self.tell(Event::Exited { run, status })?;
                self.ask_leftovers(setup);
                Ok(())
            }
            Effect::TooLate { signal } => {
                if signal == Signal::TERM.number() && self.note == Note::WithMain {
                    self.note = Note::None;
                    self.ask_leftovers(setup);
                }
                Ok(())
            }
            Effect::Over(event) => self.tell(event),
            Effect::Lost => {
                self.adopt();
                no_loss_without_a_kill(self)
            }
            Effect::LostStarting { run, main } => {
                self.tell(Event::Started { run, pid: main.unsigned_abs() })?;
                self.follow(Effect::LostAlive { run, main }, setup)
            }
            Effect::LostAlive { run, .. } => {
                self.adopt();
                no_loss_without_a_kill(self)?;
                self.tell(Event::Exited { run, status: ExitStatus::KILLED })
            }
        }
    }

    /// Of the run, of a hook or of a probe.
    pub fn adopt(&mut self) {
        if let Supervisor::Lives { adoption, .. } = &mut self.supervisor {
            *adoption = Adoption::UnderWay;
        }
    }

    /// Kills what was adopted. When nothing of it is left, a run whose keeper was killed is over.
    pub fn clear_adopted(&mut self, setup: &Setup) -> Result<(), Broken> {
        if self.has_children(Parent::Supervisor) {
            self.kill_below(Parent::Supervisor);
            return Ok(());
        }
        if let Supervisor::Lives { adoption, .. } = &mut self.supervisor {
            *adoption = Adoption::None;
        }
        let effect = self.run_mut().map_or(Effect::None, Run::adopted_gone);
        self.follow(effect, setup)
    }

    pub fn can_reap_adopted(&self) -> bool {
        matches!(self.main, Main::Zombie { parent: Parent::Supervisor, .. })
            || matches!(self.daemon, Daemon::Zombie { parent: Parent::Supervisor, .. })
    }

    pub fn reap_adopted(&mut self) {
        if let Main::Zombie { parent: Parent::Supervisor, .. } = self.main {
            self.main = Main::None;
        }
        if let Daemon::Zombie { parent: Parent::Supervisor, .. } = self.daemon {
            self.daemon = Daemon::None;
        }
    }

    pub fn ask(&mut self, new: Asked, setup: &Setup) {
        let Supervisor::Lives { run, asked, .. } = &mut self.supervisor else { return };
        *asked = new;
        match run {
            Run::Starting { .. } | Run::Alive { .. } => self.ask_main(setup),
            Run::Ended { .. } => self.ask_leftovers(setup),
            Run::Idle => {}
        }
    }

    fn ask_main(&mut self, setup: &Setup) {
        let knows_main = !matches!(self.run(), Some(Run::Starting { main: None, .. }));
        let sees_daemon = knows_main && setup.sight == Sight::All && self.daemon_is_in_group();
        if self.order(Recipient::Group, Signal::TERM, setup) == Sent::Yes && sees_daemon {
            self.note = Note::WithMain;
        }
    }

    /// Those that it sees it asks itself, unless they were asked before.
    fn ask_leftovers(&mut self, setup: &Setup) {
        match setup.sight {
            Sight::None => {
                if self.order(Recipient::Children, Signal::TERM, setup) == Sent::Full {
                    self.stop = Stop::Failed;
                }
            }
            Sight::All if self.note == Note::None => (self.note, self.stop) = (Note::ByItself, Stop::Sent),
            Sight::All => {}
        }
    }

    /// A signal for the main process, which waits where that is not known to execute yet.
    pub fn forward(&mut self, setup: &Setup) {
        match self.run_mut() {
            Some(Run::Starting { held, .. }) => held.push(Signal::HUP),
            Some(Run::Alive { .. }) => {
                self.order(Recipient::Main, Signal::HUP, setup);
            }
            Some(Run::Idle | Run::Ended { .. }) | None => {}
        }
    }

    pub fn may_kill(&self) -> bool {
        self.asked() != Asked::Nothing && self.run().is_some_and(|run| run.keeper().is_some())
    }

    pub fn kill(&mut self, setup: &Setup) {
        match (self.run(), setup.sight) {
            (Some(Run::Starting { .. } | Run::Alive { .. }), Sight::All) => {
                self.order(Recipient::Group, Signal::KILL, setup);
            }
            (Some(Run::Starting { .. } | Run::Alive { .. }), Sight::None) => {
                self.order(Recipient::Group, Signal::KILL, setup);
                self.order(Recipient::Children, Signal::KILL, setup);
            }
            (Some(Run::Idle | Run::Ended { .. }) | None, Sight::All | Sight::None) => {
                self.order(Recipient::Children, Signal::KILL, setup);
            }
        }
        if setup.sight == Sight::All {
            self.kill_below(Parent::Keeper);
        }
    }

    /// Whether orders have been unread for long while it killed.
    pub fn keeper_is_stalled(&self) -> bool {
        self.may_kill() && !self.orders.is_empty() && self.hold() != Hold::None
    }

    /// Without room, or without a keeper at the other end, it fails at once.
    fn order(&mut self, recipient: Recipient, signal: Signal, setup: &Setup) -> Sent {
        let is_heard = self.keeper_lives() && self.run().is_some_and(|run| run.keeper().is_some());
        if is_heard && self.orders.len() < setup.room {
            self.orders.push_back(Order { recipient, signal });
            Sent::Yes
        } else {
            Sent::Full
        }
    }

    /// It exits when the last run is over.
    pub fn may_leave(&self) -> bool {
        self.told() == Some(Told::Over) && !self.may_start()
    }

    pub fn leave(&mut self) {
        drop(mem::replace(&mut self.supervisor, Supervisor::Left));
    }
}
