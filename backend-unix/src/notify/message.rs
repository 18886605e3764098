//! The messages of sd_notify(3): lines of `NAME=VALUE`.

use std::time::Duration;
use supervisor_core as machine;

/// More lines than there are things to say.
pub(crate) const MOST_LINES: usize = 32;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Something that the machine decides on.
    Machine(machine::Message),
    /// `STATUS=`.
    Status(String),
}

/// A message that sd_notify(3) does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    TooLong,
    Line(String),
}

/// The lines that mean something here. Those that sd_notify(3) knows, and others of its form, are passed over.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Message>, ParseError> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split('\n').filter(|line| !line.is_empty());
    if lines.clone().count() > MOST_LINES {
        return Err(ParseError::TooLong);
    }
    let messages: Result<Vec<_>, _> = lines.map(parse_line).collect();
    Ok(messages?.into_iter().flatten().collect())
}

fn parse_line(line: &str) -> Result<Option<Message>, ParseError> {
    let wrong = || ParseError::Line(line.escape_debug().take(100).collect());
    let (name, value) = line.split_once('=').ok_or_else(wrong)?;
    let micros = || value.parse().map(Duration::from_micros).map_err(|_| wrong());
    let above_zero = |time: Duration| if time.is_zero() { Err(wrong()) } else { Ok(time) };
    let message = match (name, value) {
        ("WATCHDOG", "1") => machine::Message::Heartbeat,
        ("WATCHDOG", "trigger") => machine::Message::Hang,
        ("READY", "1") => machine::Message::Ready,
        ("STOPPING", "1") => machine::Message::Leaving,
        ("RESTART_RESET", "1") => machine::Message::StreakOver,
        ("WATCHDOG_USEC", _) => machine::Message::Timeout(micros().and_then(above_zero)?),
        ("EXTEND_TIMEOUT_USEC", _) => machine::Message::Extension(micros()?),
        ("WATCHDOG" | "READY" | "STOPPING" | "RESTART_RESET", _) => return Err(wrong()),
        ("STATUS", text) => return Ok(Some(Message::Status(text.to_owned()))),
        _ => return Ok(None),
    };
    Ok(Some(Message::Machine(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_systemd_means_them() {
        let second = Duration::from_secs(1);
        let table: [(&str, &[Message]); 8] = [
            ("", &[]),
            ("WATCHDOG=1", &[Message::Machine(machine::Message::Heartbeat)]),
            ("WATCHDOG=trigger\n", &[Message::Machine(machine::Message::Hang)]),
            (
                "READY=1\nSTATUS=up: 100%",
                &[Message::Machine(machine::Message::Ready), Message::Status("up: 100%".into())],
            ),
            ("WATCHDOG_USEC=1000000", &[Message::Machine(machine::Message::Timeout(second))]),
            ("EXTEND_TIMEOUT_USEC=1000000", &[Message::Machine(machine::Message::Extension(second))]),
            (
                "RESTART_RESET=1\nSTOPPING=1",
                &[Message::Machine(machine::Message::StreakOver), Message::Machine(machine::Message::Leaving)],
            ),
            ("MAINPID=4711\nFDSTORE=1\nFDNAME=foo\nBARRIER=1\nX_OWN=1\nERRNO=2", &[]),
        ];
        for (text, messages) in table {
            assert_eq!(parse(text.as_bytes()).as_deref(), Ok(messages), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let table = ["hello", "WATCHDOG=2", "READY=yes", "WATCHDOG_USEC=0", "WATCHDOG_USEC=-1", "WATCHDOG_USEC=soon"];
        for text in table {
            assert_eq!(parse(text.as_bytes()), Err(ParseError::Line(text.to_owned())));
        }
        assert!(parse(b"\xff\x00").is_err());
    }

    #[test]
    fn a_message_has_so_many_lines_at_most() {
        let lines = |count: usize| parse("READY=1\n".repeat(count).as_bytes());
        assert_eq!(lines(MOST_LINES).map(|messages| messages.len()), Ok(MOST_LINES));
        assert_eq!(lines(MOST_LINES + 1), Err(ParseError::TooLong));
    }

    #[test]
    fn an_extension_may_be_of_no_length_and_a_bad_line_is_cut() {
        let extension = Message::Machine(machine::Message::Extension(Duration::ZERO));
        assert_eq!(parse(b"EXTEND_TIMEOUT_USEC=0"), Ok(vec![extension]));
        for text in ["STOPPING=2", "RESTART_RESET=0", "EXTEND_TIMEOUT_USEC=-1"] {
            assert_eq!(parse(text.as_bytes()), Err(ParseError::Line(text.to_owned())));
        }
        let Err(ParseError::Line(line)) = parse("x".repeat(200).as_bytes()) else { panic!("it has no =") };
        assert_eq!(line.len(), 100);
    }
}
