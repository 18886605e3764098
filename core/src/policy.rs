//! What the user wants: the numbers and choices that every decision follows.

use core::time::Duration;

/// The rules of one supervisor, fixed for its life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Policy {
    /// Whether silence counts as a hang, and how long it may last.
    pub watchdog: Watchdog,
    /// What comes before a hung command is asked to leave.
    pub on_hang: OnHang,
    /// The wait between asking a run to leave and killing it.
    pub grace_period: Duration,
    /// Which ends of a run are followed by a restart.
    pub restart: Restart,
    /// Consecutive restarts before giving up.
    pub max_restarts: Limit,
    /// The delay before each restart.
    pub backoff: Backoff,
    /// A run that was healthy for this long ends the streak of restarts.
    pub reset_after: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            watchdog: Watchdog::On { timeout: Duration::from_secs(20), initial_delay: Duration::ZERO },
            on_hang: OnHang::Stop,
            grace_period: Duration::from_secs(5),
            restart: Restart::OnFailure,
            max_restarts: Limit::Unlimited,
            backoff: Backoff::default(),
            reset_after: Duration::from_secs(60),
        }
    }
}

/// Hang detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Watchdog {
    /// Only the end of the command counts.
    Off,
    /// Silence longer than `timeout` is a hang.
    On {
        /// The longest silence of a healthy command.
        timeout: Duration,
        /// No silence is counted before this long after a start.
        initial_delay: Duration,
    },
}

/// What comes before a hung command is asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum OnHang {
    /// Nothing: it is asked at once.
    Stop,
    /// The hang signal, so that it can say what it was doing (a stack dump, a core dump).
    Signal {
        /// For so long, before it is asked to leave. Nothing that the command tells lengthens that.
        grace_period: Duration,
    },
}

/// Which ends of a run are followed by a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Restart {
    /// None: the first end is the last.
    Never,
    /// Every end but success.
    OnFailure,
    /// Every end.
    Always,
}

/// A ceiling for the number of consecutive restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Limit {
    /// There is none.
    Unlimited,
    /// At most so many; `Times(0)` never restarts.
    Times(u32),
}

/// Exponential backoff: `factor * 2^n`, at most `ceiling`, then stretched by `jitter`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Backoff {
    /// The delay before the first restart of a streak.
    pub factor: Duration,
    /// The longest delay before it is stretched, if there is one.
    pub ceiling: Option<Duration>,
    /// A random stretch, so that a fleet does not restart in step.
    pub jitter: Jitter,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { factor: Duration::from_secs(1), ceiling: None, jitter: Jitter::NONE }
    }
}

impl Backoff {
    /// The delay after `made` consecutive restarts; `draw` picks the stretch, one draw a restart.
    pub fn delay(&self, made: u32, draw: u64) -> Duration {
        // 2^94 ns is more than a Duration holds, so 94 doublings saturate whatever is not zero.
        let exponential = (0..made.min(94)).fold(self.factor, |delay, _| delay.saturating_mul(2));
        let delay = self.ceiling.map_or(exponential, |ceiling| exponential.min(ceiling));
        self.jitter.stretch(delay, draw)
    }
}

/// Each delay is stretched by a random share of itself, up to a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Jitter {
    /// The largest share, in parts per billion: 0 to 1,000,000,000.
    pub parts_per_billion: u32,
    /// What tells this supervisor's stretches from those of its fellows.
    pub seed: u64,
}

impl Jitter {
    /// Every delay exactly as computed.
    pub const NONE: Jitter = Jitter { parts_per_billion: 0, seed: 0 };

    /// The same draw always gives the same stretch: the machine stays a pure function.
    fn stretch(self, delay: Duration, draw: u64) -> Duration {
        let share = u128::from(splitmix64(self.seed ^ draw) >> 32);
        let nanos = delay.as_nanos();
        let most = nanos.saturating_mul(u128::from(self.parts_per_billion)) / 1_000_000_000;
        let extra = most.saturating_mul(share) >> 32;
        delay.saturating_add(from_nanos(extra))
    }
}

fn from_nanos(nanos: u128) -> Duration {
    match u64::try_from(nanos / 1_000_000_000) {
        Ok(secs) => Duration::new(secs, (nanos % 1_000_000_000) as u32),
        Err(_) => Duration::MAX,
    }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
pub(crate) fn splitmix64(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
