//! Questions to a file system that may never answer.

use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// For what the start depends on.
pub const LONG: Duration = Duration::from_secs(2);
/// For what is merely good to know.
pub const SHORT: Duration = Duration::from_millis(250);

/// What `work` comes to, unless that takes too long. A thread of its own does it, and goes on then. Where none can be
/// had, it is done here, however long it takes.
///
/// # Errors
/// Those of `work`, and `TimedOut`.
pub fn within(patience: Duration, work: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> io::Result<()> {
    let work: Arc<dyn Fn() -> io::Result<()> + Send + Sync> = Arc::new(work);
    let here = Arc::clone(&work);
    let (teller, told) = mpsc::channel();
    // Nobody listens any more to what comes late.
    let there = move || teller.send(work()).unwrap_or_default();
    match std::thread::Builder::new().spawn(there) {
        Ok(_) => told.recv_timeout(patience).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        Err(_) => here(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn an_answer_is_handed_on() {
        within(Duration::from_secs(60), || Ok(())).unwrap();
        let error = within(Duration::from_secs(60), || Err(io::ErrorKind::NotADirectory.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn no_answer_is_not_waited_for() {
        let gate = Arc::new(Barrier::new(2));
        let never = Arc::clone(&gate);
        let wait = move || {
            never.wait();
            Ok(())
        };
        assert_eq!(within(Duration::from_millis(1), wait).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
