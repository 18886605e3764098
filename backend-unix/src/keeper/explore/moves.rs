//! What can happen next.

use super::Setup;
use super::invariants::Broken;
use super::keeper::Turn;
use super::world::{
    Adoption, Asked, Daemon, DeathSignal, ExecResult, Group, Hold, Keeper, Main, Note, Parent, Stage, Stop, Told, World,
};
use crate::keeper::run::KeeperEnd;
use supervisor_core::ExitStatus;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    SupervisorForksKeeper,
    SupervisorCannotFork,
    SupervisorHears,
    SupervisorReapsKeeper(KeeperEnd),
    SupervisorReapsAdopted,
    SupervisorClearsAdopted,
    SupervisorWakesKeeper,
    SupervisorKills,
    SupervisorKillsStalledKeeper,
    SupervisorExits,
    KeeperForksMain,
    KeeperCannotFork,
    KeeperGoesOn(Turn),
    MainSetsParentDeathSignal,
    MainTellsOfItself,
    MainExecutes(DeathSignal),
    MainCannotExecute,
    MainStopsAndContinues,
    MainForksDaemon(Group),
    MainEnds(ExitStatus),
    DaemonEnds,
    NumberIsReused,
    EndOfRunIsAskedFor,
    StopIsAskedFor,
    SignalIsForwarded,
    KeeperIsKilled,
    KeeperIsStopped,
    KeeperIsTraced,
    DebuggerLeaves,
    SupervisorIsKilled,
    /// The keeper of a hook or a probe is killed.
    HelperIsLost,
}

/// What makes a thing happen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It comes by itself.
    Progress,
    /// The core kills what does not leave.
    Kill,
    /// A command or a person may do it, or not.
    Choice,
}

impl World {
    pub fn moves(&self, setup: &Setup) -> Vec<(Move, Class)> {
        let mut moves = Vec::new();
        self.moves_of_supervisor(&mut moves);
        self.moves_of_keeper(setup, &mut moves);
        self.moves_of_command(setup, &mut moves);
        self.moves_of_people(setup, &mut moves);
        moves
    }

    fn moves_of_supervisor(&self, moves: &mut Vec<(Move, Class)>) {
        if !self.supervisor_lives() {
            return;
        }
        let mut progress = |is_possible: bool, action| moves.extend(is_possible.then_some((action, Class::Progress)));
        progress(self.may_start(), Move::SupervisorForksKeeper);
        progress(self.may_start(), Move::SupervisorCannotFork);
        progress(self.can_hear(), Move::SupervisorHears);
        if let Keeper::Zombie(end) = self.keeper {
            progress(!self.main_holds_line(), Move::SupervisorReapsKeeper(end));
        }
        progress(self.can_reap_adopted(), Move::SupervisorReapsAdopted);
        progress(self.adoption() == Adoption::UnderWay, Move::SupervisorClearsAdopted);
        progress(self.hold() == Hold::Stopped, Move::SupervisorWakesKeeper);
        progress(self.may_leave(), Move::SupervisorExits);
        if self.may_kill() {
            moves.push((Move::SupervisorKills, Class::Kill));
        }
        if self.keeper_is_stalled() {
            moves.push((Move::SupervisorKillsStalledKeeper, Class::Kill));
        }
    }

    fn moves_of_keeper(&self, setup: &Setup, moves: &mut Vec<(Move, Class)>) {
        if self.keeper_is_born() {
            moves.extend([Move::KeeperForksMain, Move::KeeperCannotFork].map(|action| (action, Class::Progress)));
        }
        moves.extend(self.keeper_turn(setup).map(|turn| (Move::KeeperGoesOn(turn), Class::Progress)));
        // Nothing that it leaves unread tells of it then.
        if self.hold() == Hold::Traced && !self.supervisor_lives() {
            moves.push((Move::DebuggerLeaves, Class::Progress));
        }
    }

    fn moves_of_command(&self, setup: &Setup, moves: &mut Vec<(Move, Class)>) {
        match self.main {
            Main::None | Main::Zombie { .. } => {}
            Main::Dying { .. } => moves.push((Move::MainEnds(ExitStatus::KILLED), Class::Progress)),
            Main::Lives { stage: Stage::Forked, .. } => {
                moves.push((Move::MainSetsParentDeathSignal, Class::Progress));
            }
            Main::Lives { stage: Stage::Armed, .. } => {
                if self.line_has_room(setup) {
                    moves.push((Move::MainTellsOfItself, Class::Progress));
                }
            }
            Main::Lives { stage: Stage::Announced, .. } => {
                let execute = [DeathSignal::Kept, DeathSignal::Cleared].map(Move::MainExecutes);
                moves.extend(execute.into_iter().chain([Move::MainCannotExecute]).map(|it| (it, Class::Progress)));
            }
            Main::Lives { stage: Stage::Failing, .. } => {
                moves.push((Move::MainEnds(ExitStatus::Code(127)), Class::Progress));
            }
            Main::Lives { stage: Stage::Executes { .. }, parent, .. } => {
                moves.push((Move::MainEnds(ExitStatus::Code(0)), Class::Choice));
                if parent == Parent::Keeper && self.left.pauses_of_main > 0 {
                    moves.push((Move::MainStopsAndContinues, Class::Choice));
                }
                if self.daemon == Daemon::None && self.left.daemons > 0 {
                    moves
                        .extend([Group::OfMain, Group::Own].map(|group| (Move::MainForksDaemon(group), Class::Choice)));
                }
            }
        }
        match self.daemon {
            Daemon::None | Daemon::Zombie { .. } => {}
            Daemon::Lives { .. } => moves.push((Move::DaemonEnds, Class::Choice)),
            Daemon::Dying { .. } => moves.push((Move::DaemonEnds, Class::Progress)),
        }
    }

    fn moves_of_people(&self, setup: &Setup, moves: &mut Vec<(Move, Class)>) {
        let mut choice = |is_possible: bool, action| moves.extend(is_possible.then_some((action, Class::Choice)));
        let (left, lives) = (&self.left, self.supervisor_lives());
        let runs = lives && self.told() != Some(Told::Over);
        let is_asked = self.asked() != Asked::Nothing;
        choice(runs && left.requests > 0 && !is_asked, Move::EndOfRunIsAskedFor);
        choice(lives && left.requests > 0 && self.asked() != Asked::Stop, Move::StopIsAskedFor);
        choice(runs && left.forwards > 0, Move::SignalIsForwarded);
        choice(self.keeper_lives() && left.kills_of_keeper > 0, Move::KeeperIsKilled);
        choice(lives && left.lost_helpers > 0, Move::HelperIsLost);
        choice(lives && left.kills_of_supervisor > 0, Move::SupervisorIsKilled);
        // A keeper that is stopped when its supervisor is dead waits for the one that stopped it.
        let may_be_held = lives && left.stops_of_keeper > 0 && self.hold() == Hold::None && self.keeper_can_be_held();
        choice(may_be_held, Move::KeeperIsStopped);
        choice(may_be_held && setup.debugger, Move::KeeperIsTraced);
        choice(runs && !self.stranger && self.number_is_free(), Move::NumberIsReused);
    }

    fn keeper_can_be_held(&self) -> bool {
        matches!(self.keeper, Keeper::Keeps(_) | Keeper::Clears { .. })
    }

    /// Lets a move happen.
    pub fn make(&mut self, action: Move, setup: &Setup) -> Result<(), Broken> {
        match action {
            Move::SupervisorForksKeeper => return self.start(Keeper::Born),
            Move::SupervisorCannotFork => return self.start(Keeper::None),
            Move::SupervisorHears => return self.hear(setup),
            Move::SupervisorReapsKeeper(end) => return self.reap_keeper(end, setup),
            Move::SupervisorClearsAdopted => return self.clear_adopted(setup),
            Move::SupervisorReapsAdopted => self.reap_adopted(),
            Move::SupervisorWakesKeeper | Move::DebuggerLeaves => self.set_hold(Hold::None),
            Move::SupervisorKills => self.kill(setup),
            Move::SupervisorKillsStalledKeeper => self.kill_keeper(),
            Move::SupervisorExits => self.leave(),
            Move::KeeperForksMain => self.keeper_forks(setup),
            Move::KeeperCannotFork => self.keeper = Keeper::CannotFork,
            Move::KeeperGoesOn(turn) => return self.keeper_goes_on(turn, setup),
            Move::MainSetsParentDeathSignal => self.main_arms(),
            Move::MainTellsOfItself => self.main_announces(setup),
            Move::MainExecutes(death_signal) => {
                self.main_reaches(Stage::Executes { death_signal }, ExecResult::Closed);
            }
            Move::MainCannotExecute => self.main_reaches(Stage::Failing, ExecResult::Failed),
            Move::MainEnds(status) => self.end_main(status),
            Move::DaemonEnds => self.end_daemon(),
            Move::MainStopsAndContinues => {
                self.left.pauses_of_main -= 1;
                self.pause_main();
            }
            Move::MainForksDaemon(group) => {
                self.left.daemons -= 1;
                self.daemon = Daemon::Lives { group, parent: Parent::Main };
                (self.stop, self.note) = (Stop::NotSent, Note::None);
            }
            Move::NumberIsReused => self.stranger = true,
            Move::EndOfRunIsAskedFor => self.request(Asked::EndOfRun, setup),
            Move::StopIsAskedFor => self.request(Asked::Stop, setup),
            Move::SignalIsForwarded => {
                self.left.forwards -= 1;
                self.forward(setup);
            }
            Move::KeeperIsKilled => {
                self.left.kills_of_keeper -= 1;
                self.kill_keeper();
            }
            Move::KeeperIsStopped => self.hold_keeper(Hold::Stopped),
            Move::KeeperIsTraced => self.hold_keeper(Hold::Traced),
            Move::HelperIsLost => {
                self.left.lost_helpers -= 1;
                self.adopt();
            }
            Move::SupervisorIsKilled => {
                self.left.kills_of_supervisor -= 1;
                self.end_supervisor();
            }
        }
        Ok(())
    }

    fn request(&mut self, asked: Asked, setup: &Setup) {
        self.left.requests -= 1;
        self.ask(asked, setup);
    }

    fn kill_keeper(&mut self) {
        self.keeper_was_killed = true;
        self.end_keeper(KeeperEnd::Killed);
    }

    fn hold_keeper(&mut self, hold: Hold) {
        self.left.stops_of_keeper -= 1;
        self.set_hold(hold);
    }

    fn pause_main(&mut self) {
        if let Main::Lives { has_paused, .. } = &mut self.main {
            *has_paused = true;
        }
        self.signal_keeper();
    }
}
