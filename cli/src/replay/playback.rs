//! Plays the facts in a log through the machine again, and compares what follows with what followed then.

use crate::journal::{Line, Said, Taken, compare, expected, is_of_machine};
use crate::report::display::Escaped;
use crate::report::{RepeatVerdict, Repeats};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use supervisor_core::{Event, Instant, Policy, Step, Supervisor};

/// How far the facts of one supervisor could be played again.
pub enum Playback {
    /// They are, so far.
    Playing(Box<Machine>),
    /// Some were, until lines of the log were lost.
    Interrupted { facts: usize },
    /// The beginning of the log, with the policy, is not there.
    NoBeginning,
    /// The machine decides otherwise.
    Differs { facts: usize, how: String },
}

impl Playback {
    pub fn begin(policy: Policy) -> Playback {
        Playback::Playing(Box::new(Machine::begin(policy)))
    }

    /// How many facts were played.
    pub fn facts(&self) -> usize {
        match self {
            Playback::Playing(machine) => machine.facts,
            Playback::Interrupted { facts } | Playback::Differs { facts, .. } => *facts,
            Playback::NoBeginning => 0,
        }
    }

    /// `how` quotes the log, which may hold anything.
    fn differs(facts: usize, how: &str) -> Playback {
        Playback::Differs { facts, how: Escaped(how).to_string() }
    }

    /// Takes a line: a fact, or what should follow from the facts before it.
    pub fn take(&mut self, line: &Line) {
        let Playback::Playing(machine) = self else { return };
        let facts = machine.facts;
        if let Err(how) = machine.take(line) {
            *self = Playback::differs(facts, &how);
        }
    }

    /// Lines were lost here, facts among them for all one knows.
    pub fn interrupt(&mut self) {
        if let Playback::Playing(machine) = self {
            *self = Playback::Interrupted { facts: machine.facts };
        }
    }

    /// The log may end with a fact: a supervisor that is killed does not tell what followed.
    pub fn end(&mut self) {
        let Playback::Playing(machine) = self else { return };
        let facts = machine.facts;
        if let (Some(_), Err(how)) = (machine.supervisor.outcome(), machine.check_all_told()) {
            *self = Playback::differs(facts, &how);
        }
    }
}

/// The machine, and what the log should say next.
pub struct Machine {
    supervisor: Supervisor,
    repeats: Repeats,
    facts: usize,
    /// When the last fact was logged.
    time: String,
    expected: VecDeque<Map<String, Value>>,
}

impl Machine {
    fn begin(policy: Policy) -> Machine {
        let (supervisor, _) = Supervisor::start(policy);
        let (repeats, expected) = (Repeats::default(), VecDeque::new());
        Machine { supervisor, repeats, facts: 0, time: String::new(), expected }
    }

    fn take(&mut self, line: &Line) -> Result<(), String> {
        match &line.content {
            Said::Taken(Taken::Supervising { .. }) => Ok(()),
            Said::Taken(Taken::Input { at, input }) => self.play(Instant::from_origin(*at), *input, &line.time),
            // Without facts there is nothing to compare with.
            Said::Other(_) if self.facts == 0 => Ok(()),
            Said::Other(fields) => self.compare(fields),
        }
    }

    fn play(&mut self, at: Instant, input: Event, time: &str) -> Result<(), String> {
        self.check_all_told()?;
        self.facts += 1;
        time.clone_into(&mut self.time);
        let Step { notices, .. } = self.supervisor.handle_event(input, at);
        let told = notices.iter().filter(|notice| self.repeats.take(notice, at) != RepeatVerdict::PassedOver);
        self.expected = told.map(expected).collect();
        Ok(())
    }

    /// A line must say what is decided now. What only the world knows may be in it besides.
    fn compare(&mut self, line: &Map<String, Value>) -> Result<(), String> {
        let event = line.get("event").and_then(Value::as_str).unwrap_or_default();
        if !is_of_machine(event) {
            return Ok(());
        }
        let Some(expected) = self.expected.pop_front() else {
            return Err(format!("{}: the log says {event:?}, and nothing led to it", self.time));
        };
        compare(&expected, line).map_err(|how| format!("{}: of {event:?} the log says otherwise: {how}", self.time))
    }

    fn check_all_told(&self) -> Result<(), String> {
        match self.expected.front() {
            Some(missing) => Err(format!("{}: {} should follow in the log, and does not", self.time, missing["event"])),
            None => Ok(()),
        }
    }
}
