//! The program of `--on-event`: it is called by the backend, for each event that is put into its queue.

use crate::patience::LastWords;
use crate::report::{Content, HOOK, Record, Sink, Standing};
use log::Level;
use supervisor_backend_unix::{HookQueue, UnixNotice, Weight};
use supervisor_core::Notice;

pub struct Hook {
    queue: HookQueue,
}

impl Hook {
    pub fn new(queue: HookQueue) -> Hook {
        Hook { queue }
    }
}

impl Sink for Hook {
    fn record(&mut self, record: &Record, _standing: &Standing) {
        if is_for_hooks(record) {
            self.queue.push(record.content.name(), format!("{}\n", record.json()), weight(&record.content));
        }
    }

    /// Hooks end with the backend.
    fn flush(&mut self, _last_words: &mut LastWords) {}
}

/// Hooks are told of all but what is mere detail, and their own failures.
fn is_for_hooks(record: &Record) -> bool {
    record.level <= Level::Info && record.content.trouble() != Some(HOOK)
}

/// What a command can repeat as often as it likes, or what repeats by itself, is dropped first.
fn weight(content: &Content) -> Weight {
    match content {
        Content::Machine { notice, .. } => weight_of_notice(notice),
        Content::Backend(notice) => weight_of_unix_notice(notice),
        Content::Supervising { .. } | Content::LongDelay { .. } | Content::Trouble { .. } => Weight::Milestone,
        Content::Settings {} | Content::Input { .. } | Content::LogLinesLost { .. } => Weight::Repeats,
    }
}

fn weight_of_notice(notice: &Notice) -> Weight {
    match notice {
        Notice::Started { .. }
        | Notice::StartFailed { .. }
        | Notice::Heartbeat { .. }
        | Notice::Hung { .. }
        | Notice::HangGraceOver { .. }
        | Notice::Stopping { .. }
        | Notice::StoppingInstead { .. }
        | Notice::Restarting { .. }
        | Notice::RestartingInstead { .. }
        | Notice::Exited { .. }
        | Notice::Killing { .. }
        | Notice::BackingOff { .. }
        | Notice::Done(_) => Weight::Milestone,
        Notice::Delayed { .. }
        | Notice::Ready { .. }
        | Notice::Leaving { .. }
        | Notice::TimeoutSet { .. }
        | Notice::Extended { .. }
        | Notice::StreakEnded { .. }
        | Notice::Surviving { .. } => Weight::Repeats,
    }
}

fn weight_of_unix_notice(notice: &UnixNotice) -> Weight {
    match notice {
        UnixNotice::SignalDisregarded { .. }
        | UnixNotice::OutOfMemory { .. }
        | UnixNotice::LeftBehind { .. }
        | UnixNotice::KeeperLost { .. }
        | UnixNotice::Autopsy { .. }
        | UnixNotice::HeartbeatMissing { .. }
        | UnixNotice::HeartbeatLate { .. }
        | UnixNotice::SignalReceived { .. }
        | UnixNotice::SignalSent { .. }
        | UnixNotice::SignalFailed { .. }
        | UnixNotice::Trouble(_) => Weight::Milestone,
        UnixNotice::SignalForwarded { .. }
        | UnixNotice::ProcessStopped { .. }
        | UnixNotice::ProcessContinued { .. }
        | UnixNotice::TerminalLent { .. }
        | UnixNotice::Suspended {}
        | UnixNotice::Resumed {}
        | UnixNotice::Status { .. }
        | UnixNotice::MessagesSummed { .. }
        | UnixNotice::ProbeFailed { .. }
        | UnixNotice::Tick {} => Weight::Repeats,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_told_of_all_but_details_and_their_own_failures() {
        let is_told = |level, content| is_for_hooks(&Record::new(level, content, String::new()));
        let trouble = |with| Content::Trouble { with, error: String::new() };
        for level in [Level::Error, Level::Warn, Level::Info] {
            assert!(is_told(level, Content::Settings {}) && is_told(level, trouble("log")), "{level}");
            assert!(!is_told(level, trouble(HOOK)), "{level}");
        }
        for level in [Level::Debug, Level::Trace] {
            assert!(!is_told(level, Content::Settings {}), "{level}");
        }
    }
}
