//! What cannot be done, in words.

use super::Sentences;
use crate::report::display::Seconds;
use log::Level;
use std::time::Duration;
use supervisor_backend_unix::Trouble;
use supervisor_core::Watchdog;

/// Time stamps are coarser than two seconds nowhere: those of FAT. A silence that is longer than this by some hardly
/// grows by that.
const COARSE_ENOUGH: Duration = Duration::from_secs(3);

impl Sentences {
    /// Coarse stamps are no trouble to those who have time.
    pub(super) fn trouble_level(&self, trouble: &Trouble) -> Level {
        match (trouble, self.policy.watchdog) {
            (Trouble::CoarseStamps, Watchdog::On { timeout, .. }) if timeout >= COARSE_ENOUGH => Level::Debug,
            _ => Level::Warn,
        }
    }

    pub(super) fn trouble(&self, trouble: &Trouble) -> String {
        let file = self.heartbeat_file.as_deref().unwrap_or_default();
        match trouble {
            Trouble::StartUnanswered { waited } => {
                let waited = Seconds(*waited);
                format!(
                    "the command's file system has not answered for {waited}; until it does, the supervisor cannot execute the command"
                )
            }
            Trouble::HeartbeatUnanswered { waited } => {
                let waited = Seconds(*waited);
                format!(
                    "the file system of {file} has not answered for {waited}; until it does, the supervisor finds no hang"
                )
            }
            Trouble::HeartbeatUnreadable { error } if error.kind() == std::io::ErrorKind::NotFound => {
                format!(
                    "the folder of the heartbeat file {file} is not there; until it is, the supervisor sees no heartbeat"
                )
            }
            Trouble::HeartbeatUnreadable { error } => {
                format!("the supervisor cannot look at the heartbeat file {file}, which counts as silence: {error}")
            }
            Trouble::CoarseStamps => {
                let words = format!("the time stamps of {file} have whole seconds only");
                match self.policy.watchdog {
                    Watchdog::On { timeout, .. } if timeout < COARSE_ENOUGH => {
                        let (timeout, enough) = (Seconds(timeout), Seconds(COARSE_ENOUGH));
                        format!(
                            "{words}, so that the supervisor finds hangs later than {timeout} allows; use a --timeout of \
                             {enough} or more, or a file on another file system"
                        )
                    }
                    Watchdog::On { .. } | Watchdog::Off => words,
                }
            }
            Trouble::ProcessesInvisible { error } => {
                format!(
                    "/proc does not show the command's processes, so that the supervisor can name and examine none of them: {error}"
                )
            }
            Trouble::LeftoversUnseen { error } => {
                format!("the supervisor cannot see just now what the command has left behind, and tries again: {error}")
            }
            Trouble::KeeperStuck { keeper } => {
                let words = "does not take orders: a debugger or a frozen cgroup holds it";
                format!("the keeper, pid {keeper}, {words}; the supervisor kills it, and all that it keeps")
            }
            Trouble::Unreaped { pid } => {
                let words = "has ended, but the debugger that traces it has not let go of it";
                format!("pid {pid} {words}; the supervisor waits for the debugger")
            }
            Trouble::NoSocketFolder { error } => {
                let words = "NOTIFY_SOCKET is an abstract name, which not all libraries know";
                format!("--notify: the supervisor can make no folder for the socket, so that {words}: {error}")
            }
            Trouble::MessageRefused { error } => format!("--notify: the supervisor ignored a message: {error}"),
            Trouble::HookFailed { error } => format!("--on-event: {error}"),
        }
    }
}
