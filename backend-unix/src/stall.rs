//! For how long an answer has been outstanding.

use std::time::Duration;
use supervisor_core::Instant;

/// Longer than this is worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Of a file system or a keeper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stall {
    /// Nothing is outstanding.
    #[default]
    None,
    /// Something is, from then on.
    Since(Instant),
    /// It has been told of.
    Told,
}

impl Stall {
    /// When it will have lasted too long.
    pub fn due(&self) -> Option<Instant> {
        match self {
            Stall::Since(since) => Some(*since + WORTH_TELLING),
            Stall::None | Stall::Told => None,
        }
    }

    /// For how long it has lasted, told once if that is too long.
    pub fn overdue(&mut self, now: Instant) -> Option<Duration> {
        match self {
            Stall::Since(since) if now - *since >= WORTH_TELLING => {
                let waited = now - *since;
                *self = Stall::Told;
                Some(waited)
            }
            Stall::None | Stall::Since(_) | Stall::Told => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_a_second_is_told_once() {
        let at = |millis| Instant::from_origin(Duration::from_millis(millis));
        let mut stall = Stall::Since(at(5));
        assert_eq!((stall.due(), stall.overdue(at(1004))), (Some(at(1005)), None));
        assert_eq!(stall.overdue(at(1205)), Some(Duration::from_millis(1200)));
        assert_eq!((stall, stall.due(), stall.overdue(at(9000))), (Stall::Told, None, None));
        assert_eq!((Stall::None.due(), Stall::None.overdue(at(9000))), (None, None));
    }
}
