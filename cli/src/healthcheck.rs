//! `--healthcheck`: what a status file says, for a person and for `HEALTHCHECK` of a container.

use crate::patience;
use crate::report::State;
use crate::report::display::Escaped;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use supervisor_backend_unix::{ProcessId, Vitality, within};

/// A status file is smaller than this.
const MOST_BYTES: u64 = 1 << 20;

/// What is read of a status file.
#[derive(Deserialize)]
struct Told {
    name: String,
    supervisor: i32,
    supervisor_start_time: u64,
    state: State,
    since: String,
    run: u64,
    pid: Option<u32>,
}

/// One line that says how it is.
///
/// # Errors
/// The same, where it is not well.
pub fn check(file: &Path) -> Result<String, String> {
    let shown = file.display().to_string();
    let shown = Escaped(&shown);
    let text = read(file).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "; no supervisor has written it, or its supervisor was killed",
            _ => "",
        };
        format!("unhealthy: cannot read {shown}: {error}{hint}")
    })?;
    judge(&shown, &text, |supervisor| supervisor.vitality())
}

/// The same for what such a file holds.
pub fn judge(shown: &Escaped, text: &str, vitality: impl FnOnce(ProcessId) -> Vitality) -> Result<String, String> {
    // serde quotes the text in what it says.
    let told: Told = serde_json::from_str(text).map_err(|error| {
        format!("unhealthy: {shown} is no status file of supervisor: {}", Escaped(&error.to_string()))
    })?;
    let Told { name, supervisor, supervisor_start_time: start_time, state, since, run, pid } = told;
    let (name, since) = (Escaped(&name), Escaped(&since));
    match vitality(ProcessId { pid: supervisor, start_time }) {
        Vitality::Going => {}
        // Then the file tells how it ended.
        Vitality::Gone if matches!(state, State::Finished | State::Stopped | State::GaveUp) => {}
        Vitality::Gone => {
            return Err(format!("unhealthy: {name}: its supervisor, pid {supervisor}, does not run any more"));
        }
        // It notices neither a hang nor an end meanwhile.
        Vitality::Stopped => {
            let words = format!("a signal has stopped its supervisor, pid {supervisor}");
            return Err(format!("unhealthy: {name}: {words}; kill -CONT {supervisor} lets it go on"));
        }
    }
    match (state, pid) {
        // One that was asked to leave may have much to finish, and is well meanwhile.
        (State::Running | State::Restarting | State::Stopping, Some(pid)) => {
            Ok(format!("healthy: {name}: run {run}, pid {pid}, {} {since}", words(state)))
        }
        (State::Running | State::Restarting | State::Stopping, None)
        | (State::Starting | State::Hung | State::Clearing | State::BackingOff, _)
        | (State::Finished | State::Stopped | State::GaveUp, _) => {
            Err(format!("unhealthy: {name}: run {run} {} {since}", words(state)))
        }
    }
}

fn words(state: State) -> &'static str {
    match state {
        State::Starting => "has been starting since",
        State::Running => "has been running since",
        State::Hung => "has been hung since",
        State::Restarting => "has been leaving, to be started again, since",
        State::Stopping => "has been stopping since",
        State::Clearing => "is over; the supervisor has been ending its leftovers since",
        State::BackingOff => "is over; the supervisor has been waiting to start it again since",
        State::Finished => "finished at",
        State::Stopped => "was stopped at",
        State::GaveUp => "is over; the supervisor gave up at",
    }
}

/// A file system that does not answer is not waited for, nor is a pipe.
fn read(file: &Path) -> io::Result<String> {
    let file = file.to_owned();
    within(patience::LONG, move || {
        let mut text = String::new();
        File::open(&file)?.take(MOST_BYTES).read_to_string(&mut text)?;
        Ok(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;
    use supervisor_core::Limit;

    fn checked(text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        std::fs::write(&path, text).unwrap();
        check(&path)
    }

    fn status(state: State) -> Status {
        let mut status = Status::new("web".to_owned(), Limit::Unlimited);
        (status.state, status.pid) = (state, Some(7));
        status
    }

    #[test]
    fn a_command_that_runs_is_healthy() {
        assert!(
            checked(&status(State::Running).json())
                .unwrap()
                .starts_with("healthy: web: run 1, pid 7, has been running since ")
        );
    }

    #[test]
    fn all_else_is_not() {
        for state in [State::Starting, State::Hung, State::BackingOff, State::GaveUp, State::Stopped] {
            assert!(
                checked(&status(state).json())
                    .unwrap_err()
                    .starts_with(&format!("unhealthy: web: run 1 {} 2", words(state)))
            );
        }
        for text in ["", "{}", "null", "[1, 2]", "{\"state\":\"running\"}", "\u{0}"] {
            assert!(checked(text).unwrap_err().contains("is no status file"), "{text}");
        }
        let missing = check(Path::new("/no/such/file")).unwrap_err();
        assert!(missing.contains("cannot read /no/such/file") && missing.contains("no supervisor has written it"));
        assert!(!check(Path::new("/")).unwrap_err().contains("no supervisor has written it"));
    }

    #[test]
    fn what_is_said_of_any_file_is_one_line() {
        let text = status(State::Running).json().replace("\"running\"", "\"a\\nb\\u001b[31m\\u202e\"");
        let line = checked(&text).unwrap_err();
        assert!(line.contains("unknown variant `a\\nb\\u{1b}[31m\\u{202e}`"), "{line}");
    }

    #[test]
    fn one_that_is_asked_to_leave_is_well_meanwhile_while_it_lives() {
        for state in [State::Running, State::Restarting, State::Stopping] {
            assert!(checked(&status(state).json()).is_ok(), "{state:?}");
            let mut status = status(state);
            status.pid = None;
            assert!(checked(&status.json()).is_err(), "{state:?}");
        }
    }

    #[test]
    fn each_state_is_told_in_words_of_its_own() {
        let told = [
            (State::Starting, "has been starting since"),
            (State::Running, "has been running since"),
            (State::Hung, "has been hung since"),
            (State::Restarting, "has been leaving, to be started again, since"),
            (State::Stopping, "has been stopping since"),
            (State::Clearing, "is over; the supervisor has been ending its leftovers since"),
            (State::BackingOff, "is over; the supervisor has been waiting to start it again since"),
            (State::Finished, "finished at"),
            (State::Stopped, "was stopped at"),
            (State::GaveUp, "is over; the supervisor gave up at"),
        ];
        for (state, words) in told {
            let line = checked(&status(state).json()).unwrap_or_else(|line| line);
            assert!(line.contains(&format!(" {words} 2")), "{line}");
        }
    }

    #[test]
    fn a_supervisor_that_is_gone_is_known_by_its_start_time() {
        let own = ProcessId::own().unwrap().start_time;
        let text = status(State::Running).json().replace(&format!("{own}"), &format!("{}", own + 1));
        assert!(checked(&text).unwrap_err().contains("does not run any more"));
        let ended = text.replace("\"running\"", "\"finished\"");
        assert!(checked(&ended).unwrap_err().contains("run 1 finished at "));
    }

    #[test]
    fn a_supervisor_that_is_stopped_notices_nothing() {
        let text = status(State::Running).json();
        let line = judge(&Escaped("x"), &text, |_| Vitality::Stopped).unwrap_err();
        let own = std::process::id();
        let words =
            format!("unhealthy: web: a signal has stopped its supervisor, pid {own}; kill -CONT {own} lets it go on");
        assert_eq!(line, words);
    }
}
