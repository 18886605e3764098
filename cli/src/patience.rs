//! How long others are waited for.

use std::time::Duration;

/// For what the start depends on.
pub const LONG: Duration = Duration::from_secs(2);
/// For what is merely good to know.
pub const SHORT: Duration = Duration::from_millis(250);
/// For what is handed on at the end.
pub const LAST_WORDS: Duration = Duration::from_millis(500);
