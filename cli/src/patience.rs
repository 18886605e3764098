//! Questions to a file system that may never answer.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

/// For what the start depends on.
pub const LONG: Duration = Duration::from_secs(2);
/// For what is merely good to know.
pub const SHORT: Duration = Duration::from_millis(250);

/// What `work` comes to, unless that takes too long. A thread of its own does it, and goes on then. Where none can be
/// had, it is done here, however long it takes.
///
/// # Errors
/// `TimedOut`.
pub fn within<T>(patience: Duration, work: impl Fn() -> T + Clone + Send + 'static) -> io::Result<T>
where
    T: Send + 'static,
{
    let (teller, told) = mpsc::channel();
    let here = work.clone();
    // Nobody listens any more to what comes late.
    let there = move || teller.send(work()).unwrap_or_default();
    match std::thread::Builder::new().spawn(there) {
        Ok(_) => told.recv_timeout(patience).map_err(|_| io::ErrorKind::TimedOut.into()),
        Err(_) => Ok(here()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier};

    #[test]
    fn an_answer_is_handed_on() {
        assert_eq!(within(Duration::from_secs(60), || 42).unwrap(), 42);
    }

    #[test]
    fn no_answer_is_not_waited_for() {
        let gate = Arc::new(Barrier::new(2));
        let never = Arc::clone(&gate);
        let result = within(Duration::from_millis(1), move || never.wait().is_leader());
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
