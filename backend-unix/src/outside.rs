//! What holds of everything that a command can send: `cargo xtask fuzz` tries it with inputs that nobody thought of, and a
//! test with those that were kept.

use crate::notify::Message;
use crate::notify::message::{MOST_LINES, ParseError, parse};
use std::time::Duration;
use supervisor_core::{self as machine, Event, Instant, Policy, Supervisor};

/// A datagram of sd_notify(3).
///
/// # Panics
/// It is not read as it should be.
pub fn datagram(bytes: &[u8]) {
    match parse(bytes) {
        Ok(messages) => {
            assert!(messages.len() <= MOST_LINES);
            assert_eq!(parse(written(&messages).as_bytes()).as_ref(), Ok(&messages));
            assert_eq!(line_by_line(bytes), Ok(messages.clone()));
            play(&messages);
        }
        Err(ParseError::TooLong) => assert!(lines(bytes).count() > MOST_LINES),
        Err(ParseError::Line(line)) => {
            assert!(!line.is_empty() && !line.chars().any(char::is_control), "{line:?}");
            assert_eq!(line_by_line(bytes), Err(ParseError::Line(line)));
        }
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// No line changes the meaning of another.
fn line_by_line(bytes: &[u8]) -> Result<Vec<Message>, ParseError> {
    let messages: Result<Vec<_>, _> = lines(bytes).map(parse).collect();
    Ok(messages?.concat())
}

/// A datagram that says the same.
fn written(messages: &[Message]) -> String {
    messages.iter().map(|message| line(message) + "\n").collect()
}

fn line(message: &Message) -> String {
    match message {
        Message::Status(text) => format!("STATUS={text}"),
        Message::Machine(machine::Message::Heartbeat) => "WATCHDOG=1".to_owned(),
        Message::Machine(machine::Message::Hang) => "WATCHDOG=trigger".to_owned(),
        Message::Machine(machine::Message::Ready) => "READY=1".to_owned(),
        Message::Machine(machine::Message::Leaving) => "STOPPING=1".to_owned(),
        Message::Machine(machine::Message::StreakOver) => "RESTART_RESET=1".to_owned(),
        Message::Machine(machine::Message::Timeout(time)) => format!("WATCHDOG_USEC={}", time.as_micros()),
        Message::Machine(machine::Message::Extension(time)) => format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()),
    }
}

/// The machine takes them all, a second apart, and waits for no moment that has passed.
fn play(messages: &[Message]) {
    let (mut supervisor, _) = Supervisor::start(Policy::default());
    let run = supervisor.run();
    let mut now = Instant::from_origin(Duration::from_secs(1));
    // No world is there to carry actions out.
    let _ = supervisor.handle_event(Event::Started { run, pid: 1 }, now);
    for message in messages {
        if let Message::Machine(message) = message {
            let _ = supervisor.handle_event(Event::Message { run, message: *message }, now);
        }
        let due = supervisor.poll_timeout();
        assert!(due.is_none_or(|due| due >= now), "{due:?} {messages:?}");
        now = due.map_or(now, |due| due.min(now + Duration::from_secs(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/fuzz/corpus/notify");

    #[test]
    fn kept_datagrams_are_read_as_they_should_be() {
        let kept: Vec<_> = std::fs::read_dir(KEPT).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!kept.is_empty());
        kept.iter().for_each(|file| datagram(&std::fs::read(file).unwrap()));
    }
}
