//! The exit code of the supervisor, after those of env(1), timeout(1) and the shells.

use supervisor_core::{End, ExitStatus, Outcome, StartFailureKind};

/// The command finished with 0, or the supervisor was asked to stop and nothing is left.
pub const WELL: u8 = 0;
/// A health check finds that it is not well.
pub const UNHEALTHY: u8 = 1;
/// Wrong usage.
pub const USAGE: u8 = 2;
/// The last run hung.
const HUNG: u8 = 124;
/// The supervisor itself cannot work.
pub const CANNOT_WORK: u8 = 125;
/// The command cannot be started.
const CANNOT_START: u8 = 126;
/// There is no such command.
const NOT_FOUND: u8 = 127;
/// The command was killed by the signal of this number more.
const SIGNAL_BASE: u8 = 128;
/// Asked to stop, and the command had to be killed: as if by SIGKILL.
const KILLED: u8 = SIGNAL_BASE + 9;

/// The exit code that tells of an outcome.
pub fn of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Finished | Outcome::Stopped => WELL,
        Outcome::Killed => KILLED,
        Outcome::GaveUp { end, .. } => match end {
            End::Exited(ExitStatus::Code(code)) => code,
            End::Exited(ExitStatus::Signal(number)) => SIGNAL_BASE.saturating_add(number),
            End::Hung => HUNG,
            End::NotStarted(failure) => match failure.kind {
                StartFailureKind::NotFound => NOT_FOUND,
                StartFailureKind::NotExecutable | StartFailureKind::Passing => CANNOT_START,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor_core::{GiveUp, StartFailure};

    #[test]
    fn every_outcome_has_its_code() {
        let gave_up = |end| Outcome::GaveUp { end, reason: GiveUp::RestartsUsedUp };
        let not_started = |kind| gave_up(End::NotStarted(StartFailure { kind, os_error: 0 }));
        let table = [
            (Outcome::Finished, 0),
            (Outcome::Stopped, 0),
            (Outcome::Killed, 137),
            (gave_up(End::Exited(ExitStatus::Code(0))), 0),
            (gave_up(End::Exited(ExitStatus::Code(3))), 3),
            (gave_up(End::Exited(ExitStatus::Signal(11))), 139),
            (gave_up(End::Hung), 124),
            (not_started(StartFailureKind::Passing), 126),
            (not_started(StartFailureKind::NotExecutable), 126),
            (not_started(StartFailureKind::NotFound), 127),
        ];
        for (outcome, code) in table {
            assert_eq!(of(outcome), code, "{outcome:?}");
        }
    }
}
