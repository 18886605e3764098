//! What is said of a life before and behind its story.

use super::life::{Beginning, Finish, Life};
use super::playback::Playback;
use super::story::Kind;
use super::words::day_and_time;
use crate::report::display::{Counted, Escaped};
use std::fmt::Write as _;

/// Who did what, and when.
pub fn title(life: &Life) -> String {
    let command = command(life);
    format!("{command} (supervisor {}), {} to {} UTC", life.supervisor, day_and_time(life.from), day_and_time(life.to))
}

/// The command as a person would type it.
pub fn command(life: &Life) -> String {
    match &life.beginning {
        Beginning::Known { command } => {
            let quoted = shlex::try_join(command.iter().map(String::as_str)).unwrap_or_else(|_| command.join(" "));
            Escaped(&quoted).to_string()
        }
        Beginning::Missing => "a command that the log does not name".to_owned(),
    }
}

/// How far the story can be trusted, and whether it has an end.
pub fn closing(life: &Life) -> String {
    let mut words = trust(life);
    if life.lines_lost > 0 {
        let _ = write!(words, " {} of the log were lost.", Counted(life.lines_lost as usize, "line", "lines"));
    }
    match life.ending {
        Finish::Done { .. } => {}
        Finish::Missing => words.push_str(
            " The log stops before the end: the supervisor was killed, or it still works, or the rest is elsewhere.",
        ),
    }
    words
}

fn trust(life: &Life) -> String {
    let facts = Counted(life.playback.facts(), "fact", "facts");
    let decided = life.decisions.iter().filter(|decision| decision.kind != Kind::Remark).count();
    let decisions = Counted(decided, "decision", "decisions");
    match (&life.playback, life.inputs) {
        (Playback::Differs { how, .. }, _) => {
            format!("The first {facts}, played again, led to the same decisions, and then the log differs: {how}.")
        }
        (Playback::Playing(_) | Playback::NoBeginning | Playback::Interrupted { .. }, 0) => {
            "Told from the events of the log alone. Run the supervisor with -v, and its decisions can be checked as well."
                .to_owned()
        }
        (Playback::Playing(_), _) if decided == 0 => {
            format!("Checked: {facts} of the log, played again, led to no decision, as they did then.")
        }
        (Playback::Playing(_), _) => {
            format!("Checked: {facts} of the log, played again, led to the same {decisions}.")
        }
        (Playback::Interrupted { .. }, _) => {
            format!("Checked until lines of the log were lost: {facts}, played again, led to the same decisions.")
        }
        (Playback::NoBeginning, _) => {
            "Told from the events of the log alone: its beginning, with the policy, is missing.".to_owned()
        }
    }
}
