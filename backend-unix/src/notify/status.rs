//! What the command says of its status: told once while it stays the same, and once a second at most.

use crate::notice::UnixNotice;
use crate::source::Source;
use std::time::Duration;
use supervisor_core::Instant;

/// Between two that are told.
const PAUSE: Duration = Duration::from_secs(1);

/// The status of a run.
#[derive(Debug, Default)]
pub(crate) struct Status {
    told: Option<Told>,
    held: Option<Held>,
}

#[derive(Debug)]
struct Told {
    text: String,
    at: Instant,
}

/// What came too soon to be told: the latest, and how many came before it.
#[derive(Debug)]
struct Held {
    text: String,
    passed_over: u64,
}

impl Status {
    /// Takes what the command says.
    pub fn take(&mut self, text: String, now: Instant) -> Vec<UnixNotice> {
        let before = self.held.take();
        if self.told.as_ref().is_some_and(|told| told.text == text) {
            return Vec::new();
        }
        let passed_over = before.map_or(0, |held| held.passed_over + 1);
        self.held = Some(Held { text, passed_over });
        self.poll(now)
    }

    pub fn source(&self) -> Source<'_> {
        Source { due: self.held.as_ref().and(self.due()), descriptor: None }
    }

    /// Tells what was held back, once that is due.
    pub fn poll(&mut self, now: Instant) -> Vec<UnixNotice> {
        if self.due().is_some_and(|due| now < due) { Vec::new() } else { self.tell(now) }
    }

    /// Tells it now: the run is over.
    pub fn end(&mut self, now: Instant) -> Vec<UnixNotice> {
        let notices = self.tell(now);
        *self = Status::default();
        notices
    }

    fn due(&self) -> Option<Instant> {
        self.told.as_ref().map(|told| told.at + PAUSE)
    }

    fn tell(&mut self, now: Instant) -> Vec<UnixNotice> {
        let Some(Held { text, passed_over }) = self.held.take() else { return Vec::new() };
        self.told = Some(Told { text: text.clone(), at: now });
        let sum = (passed_over > 0).then_some(UnixNotice::MessagesSummed { messages: passed_over });
        sum.into_iter().chain([UnixNotice::Status { text }]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(notices: Vec<UnixNotice>) -> Vec<String> {
        let text = |notice| match notice {
            UnixNotice::Status { text } => text,
            UnixNotice::MessagesSummed { messages } => messages.to_string(),
            other => panic!("{other:?}"),
        };
        notices.into_iter().map(text).collect()
    }

    #[test]
    fn one_is_told_a_second_and_the_last_one_always() {
        let at = |millis| Instant::from_origin(Duration::from_millis(millis));
        let mut status = Status::default();
        assert_eq!(texts(status.take("a".into(), at(0))), ["a"]);
        assert!(status.take("a".into(), at(5000)).is_empty() && status.source().due.is_none());
        assert_eq!(texts(status.take("b".into(), at(5000))), ["b"]);
        for (text, time) in [("c", 5100), ("d", 5200), ("e", 5300)] {
            assert!(status.take(text.into(), at(time)).is_empty());
        }
        assert_eq!(status.source().due, Some(at(6000)));
        assert!(status.poll(at(5999)).is_empty());
        assert_eq!(texts(status.poll(at(6000))), ["2", "e"]);
        assert!(status.take("f".into(), at(6001)).is_empty());
        assert_eq!(texts(status.end(at(6002))), ["f"]);
        assert_eq!(texts(status.take("f".into(), at(6003))), ["f"]);
    }
}
