//! A random command, the same for the same seed.

use super::{Behaviour, Heartbeats, Means, Reaction, Stamps};
use crate::policy::splitmix64;
use crate::{ExitStatus, RunId, StartFailure, StartFailureKind};
use core::time::Duration;

/// A service that lives between a second and three weeks at a time, then crashes or hangs. It never finishes by itself.
///
/// It may ignore requests to leave, leave processes behind, fail to start, have a slow disk, and time stamps that are
/// not believed.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Everything follows from it.
    pub seed: u64,
}

impl Service {
    /// What a run will be like; the same question always has the same answer.
    pub fn behaviour(&self, run: RunId) -> Behaviour {
        let mut dice = Dice(splitmix64(self.seed).wrapping_add(run.0));
        let start_failure = dice.one_in(50).then_some(StartFailure { kind: StartFailureKind::Passing, os_error: 11 });
        let life = dice.life();
        let hangs = dice.one_in(3);
        let exit = if hangs { None } else { Some((life, dice.failure())) };
        let every = Duration::from_millis(500 + dice.below(5_000));
        Behaviour {
            start_failure,
            start_takes: Duration::from_millis(dice.below(20)),
            heartbeats: Heartbeats { every, until: life },
            beats_by: Means::File,
            stamps: if dice.one_in(10) { Stamps::Doubted } else { Stamps::Believed },
            look_takes: Duration::from_millis(if dice.one_in(10) { dice.below(500) } else { 0 }),
            exit,
            when_asked: dice.reaction(),
            on_hang_signal: None,
            leftover: dice.one_in(7).then(|| dice.reaction()),
        }
    }
}

/// Steele, Lea, Flood: the numbers of SplitMix64.
struct Dice(u64);

impl Dice {
    /// A number from 0 to one less than `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        let number = splitmix64(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        number % bound
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// Short lives are as frequent as long ones: each doubling is as likely as the next.
    fn life(&mut self) -> Duration {
        let magnitude = Duration::from_secs(1 << self.below(20));
        magnitude + magnitude / 1000 * self.below(1000) as u32
    }

    fn failure(&mut self) -> ExitStatus {
        if self.one_in(3) { ExitStatus::Signal(11) } else { ExitStatus::Code(1 + self.below(100) as u8) }
    }

    fn reaction(&mut self) -> Reaction {
        if self.one_in(5) { Reaction::Stays } else { Reaction::LeavesAfter(Duration::from_millis(self.below(4_000))) }
    }
}
