//! Reaps: this process is the only one that waits for its children, all of them.

use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use supervisor_core::ExitStatus;

/// What waiting for any child found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A child ended and is reaped.
    Ended { pid: i32, status: ExitStatus },
    /// A child was stopped by a signal.
    Stopped { pid: i32, signal: i32 },
    /// A stopped child goes on.
    Continued { pid: i32 },
    /// Nothing new, but there are children.
    Nothing,
    /// There are no children at all.
    NoChildren,
}

/// Looks for one change of a child, without waiting: waitpid(2).
pub(crate) fn next_change() -> Found {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    match rustix::io::retry_on_intr(|| wait(options)) {
        Ok(Some((pid, status))) => {
            let pid = pid.as_raw_nonzero().get();
            if let Some(signal) = status.stopping_signal() {
                Found::Stopped { pid, signal }
            } else if status.continued() {
                Found::Continued { pid }
            } else if let Some(signal) = status.terminating_signal() {
                Found::Ended { pid, status: ExitStatus::Signal(signal as u8) }
            } else {
                Found::Ended { pid, status: ExitStatus::Code(status.exit_status().unwrap_or_default() as u8) }
            }
        }
        Ok(None) => Found::Nothing,
        Err(Errno::CHILD) => Found::NoChildren,
        Err(error) => unreachable!("waitpid(2) knows no other error for these arguments: {error}"),
    }
}
