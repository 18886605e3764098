//! What happened last night: a JSON log is played through the machine again, and told for people.

mod account;
mod entry;
mod heading;
mod life;
pub(crate) mod moment;
pub(crate) mod page;
mod playback;
pub(crate) mod program;
mod story;
mod words;

pub use program::{EXAMPLES, EXIT_CODES, main, parser};
pub use story::{Decision, Kind};

use entry::Reading;
use life::{Finish, Life};
use playback::Playback;
use std::collections::BTreeMap;

/// What a log tells.
pub struct Replay {
    /// All that was decided, one supervisor after another, and what the supervisor noticed beside.
    pub decisions: Vec<Decision>,
    /// How many facts led to it. A log without `input` events has none.
    pub facts: usize,
    /// Facts that could not be played: the log has lost lines, or its beginning.
    pub facts_not_played: usize,
    /// Supervisors of which the log does not tell the end.
    pub unfinished: usize,
}

/// Plays a log through the machine again, and compares what follows with what followed then.
///
/// # Errors
/// The text holds no log, or the machine decides otherwise than the log says; in one line.
pub fn replay(text: &str) -> Result<Replay, String> {
    let log = Log::read(text)?;
    if let Some(difference) = log.difference() {
        return Err(difference);
    }
    let facts = log.facts();
    Ok(Replay {
        facts,
        facts_not_played: log.lives.iter().map(|life| life.inputs).sum::<usize>() - facts,
        unfinished: log.lives.iter().filter(|life| life.ending == Finish::Missing).count(),
        decisions: log.lives.into_iter().flat_map(|life| life.decisions).collect(),
    })
}

/// A whole log.
pub(crate) struct Log {
    /// In the order in which they begin.
    lives: Vec<Life>,
    /// Lines of a supervisor that cannot be read.
    damaged: usize,
}

impl Log {
    pub(crate) fn read(text: &str) -> Result<Log, String> {
        let mut log = Log { lives: Vec::new(), damaged: 0 };
        let mut latest = BTreeMap::<u32, usize>::new();
        for line in text.lines() {
            match Reading::of(line) {
                Reading::Entry(entry) => log.take(*entry, &mut latest),
                Reading::Damaged => log.damaged += 1,
                Reading::Foreign => {}
            }
        }
        log.lives.iter_mut().for_each(|life| life.playback.end());
        match (log.lives.is_empty(), log.damaged) {
            (false, _) => Ok(log),
            (true, 0) => {
                Err("it holds no JSON line of a supervisor: write the log with --log-format json (from a journal, \
                              by journalctl -o cat)"
                    .to_owned())
            }
            (true, _) => Err("no line of a supervisor in it can be read: the file is damaged, \
                              or another version of the supervisor has written it"
                .to_owned()),
        }
    }

    /// Pids are used again: each `supervising` is another supervisor.
    fn take(&mut self, entry: entry::Entry, latest: &mut BTreeMap<u32, usize>) {
        let pid = entry.line.supervisor;
        let begins = matches!(entry.event, entry::Event::Supervising { .. });
        let index = match latest.get(&pid) {
            Some(index) if !begins => *index,
            _ => {
                self.lives.push(Life::begin(&entry));
                latest.insert(pid, self.lives.len() - 1);
                self.lives.len() - 1
            }
        };
        self.lives[index].take(entry);
    }

    /// How many facts were played.
    fn facts(&self) -> usize {
        self.lives.iter().map(|life| life.playback.facts()).sum()
    }

    /// The first decision that the machine makes otherwise, and what that may come from.
    pub(crate) fn difference(&self) -> Option<String> {
        let how = self.lives.iter().find_map(|life| match &life.playback {
            Playback::Differs { how, .. } => Some(how),
            Playback::Playing(_) | Playback::Interrupted { .. } | Playback::NoBeginning => None,
        })?;
        let damaged = match self.damaged {
            0 => String::new(),
            lines => format!(" ({lines} damaged lines could not be read)"),
        };
        Some(format!(
            "{how}; lines of the log are missing or were changed{damaged}, or another version of the supervisor \
             wrote them: replay a log with the version that wrote it"
        ))
    }
}

#[cfg(test)]
mod tests;
