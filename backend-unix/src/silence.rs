//! For how long somebody who was asked has not answered.

use std::time::Duration;
use supervisor_core::Instant;

/// Longer than this is worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Of a file system, for instance.
pub(crate) enum Silence {
    None,
    Since(Instant),
    /// It has been told of.
    Told,
}

impl Silence {
    /// When it will have lasted too long.
    pub fn due(&self) -> Option<Instant> {
        match self {
            Silence::Since(since) => Some(*since + WORTH_TELLING),
            Silence::None | Silence::Told => None,
        }
    }

    /// For how long it has lasted, told once if that is too long.
    pub fn overdue(&mut self, now: Instant) -> Option<Duration> {
        match self {
            Silence::Since(since) if now - *since >= WORTH_TELLING => {
                let waited = now - *since;
                *self = Silence::Told;
                Some(waited)
            }
            Silence::None | Silence::Since(_) | Silence::Told => None,
        }
    }
}
