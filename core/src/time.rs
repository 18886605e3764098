//! The machine's own idea of time.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment: the time since an origin that the backend chooses, monotonic.
///
/// All arithmetic saturates, so that "in 500 million years" is a deadline like any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(Duration);

impl Instant {
    /// The origin itself.
    pub const ORIGIN: Instant = Instant(Duration::ZERO);

    /// The moment `elapsed` after the origin.
    pub const fn from_origin(elapsed: Duration) -> Instant {
        Instant(elapsed)
    }

    /// The time since the origin.
    pub const fn since_origin(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(duration))
    }
}

/// The time from the right moment to the left one, zero if the right one is later.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
