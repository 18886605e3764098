//! Waiting for children: a process is the only one that reaps its own, and until then their numbers are their own.

use nix::libc;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, wait, waitid};
use supervisor_core::ExitStatus;

/// Children of threads and of clone(2) with whatever signal, too: `__WALL`.
const ALL_KINDS: u32 = libc::__WALL.cast_unsigned();

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
    /// It could not be looked for: what happened is found by looking again.
    Unknown,
}

/// Looks for one change of a child, without waiting: waitpid(2).
pub(crate) fn next_change() -> Found {
    let kinds = WaitOptions::from_bits_retain(ALL_KINDS);
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED | kinds;
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
        Err(_) => Found::Unknown,
    }
}

/// Whether there are any children at all: waitid(2).
pub(crate) fn has_children() -> bool {
    !matches!(waitid(WaitId::All, just_ask()), Err(Errno::CHILD))
}

/// Whether a process is a child of this one that is not reaped yet.
pub(crate) fn is_child(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| waitid(WaitId::Pid(pid), just_ask()).is_ok())
}

fn just_ask() -> WaitIdOptions {
    let kinds = WaitIdOptions::from_bits_retain(ALL_KINDS);
    WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT | kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_one_until_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        assert!(is_child(pid) && has_children());
        child.wait().unwrap();
        assert!(!is_child(pid) && !is_child(std::process::id().cast_signed()) && !is_child(0));
    }
}
