//! How long others are waited for.

use std::time::{Duration, Instant};

/// For what the start depends on.
pub const LONG: Duration = Duration::from_secs(2);
/// For what is merely good to know.
pub const SHORT: Duration = Duration::from_millis(250);
/// For all that is handed on at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is left of the time for last words. All sinks share it, so that an exit is not held up by each of them anew.
pub struct LastWords {
    left: Duration,
}

impl LastWords {
    pub fn begin() -> LastWords {
        LastWords { left: LAST_WORDS }
    }

    /// Does what may `wait` for others, but no longer than that.
    pub fn spend(&mut self, wait: impl FnOnce(Duration)) {
        let begun = Instant::now();
        wait(self.left);
        self.left = self.left.saturating_sub(begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_spent_no_other_has() {
        let mut last_words = LastWords::begin();
        let mut offered = Vec::new();
        last_words.spend(|left| offered.push(left));
        last_words.spend(std::thread::sleep);
        last_words.spend(|left| offered.push(left));
        assert_eq!(offered, [LAST_WORDS, Duration::ZERO]);
    }
}
