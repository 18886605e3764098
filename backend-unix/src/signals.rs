//! Signals: their names and numbers, and those that come to the supervisor.

mod inbox;
mod signal;

pub use inbox::{Hangup, Signals, is_stop_pending};
pub(crate) use inbox::{block_all, drain};
pub use signal::Signal;
