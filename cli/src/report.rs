//! Tells what happens: each event becomes one record, which is handed to every sink.

pub mod display;
mod record;
mod repeats;
mod run;
mod sentences;
mod status;

#[cfg(test)]
pub use record::tests::samples;
pub use record::{Content, HOOK, Record, time};
pub use repeats::{Repeats, Verdict as RepeatVerdict};
pub use sentences::lines_lost;
pub use status::{Change, State, Status};

use crate::options::Settings;
use crate::patience::LastWords;
use display::Escaped;
use record::Beside;
use run::{Condition, KnownRun};
use sentences::Sentences;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use supervisor_backend_unix::UnixNotice;
use supervisor_core::{Event, Instant, Notice, Phase, Report, RunId, Supervisor};

/// The record of a notice as far as the machine decides what is in it.
pub fn machine(notice: Notice) -> Content {
    Content::Machine { notice, beside: Beside::of(&notice, Condition::Going) }
}

/// A delay above this without a ceiling surprises people.
const LONG_DELAY: Duration = Duration::from_secs(300);

/// Who wants to know what happens: the log, files, a hook, a service manager.
pub trait Sink {
    /// Takes a record. It never waits for others.
    fn record(&mut self, record: &Record, standing: &Standing);

    /// Waits until all is handed on, but no longer than that.
    fn flush(&mut self, last_words: &mut LastWords);
}

/// Where the supervisor stands when a record is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When, on the machine's clock.
    pub at: Instant,
    pub run: RunId,
    pub phase: Phase,
    /// Made so far in this streak.
    pub restarts: u32,
}

impl Standing {
    /// Before anything is started.
    pub const FIRST: Standing = Standing { at: Instant::ORIGIN, run: RunId(1), phase: Phase::Starting, restarts: 0 };

    fn of(at: Instant, supervisor: &Supervisor) -> Standing {
        Standing { at, run: supervisor.run(), phase: supervisor.phase(), restarts: supervisor.restarts() }
    }
}

/// Where sinks, and threads that work for them, tell what they cannot do: it is handed to all sinks with the next record.
#[derive(Clone)]
pub struct Troubles(Sender<Record>);

impl Troubles {
    pub fn channel() -> (Troubles, Receiver<Record>) {
        let (sender, receiver) = channel();
        (Troubles(sender), receiver)
    }

    /// Tells that something cannot be done: with what, why, and the same for people in one line.
    pub fn tell(&self, with: &'static str, error: String, words: String) {
        // Names and values of variables may hold anything.
        let words = Escaped(&words).to_string();
        self.hand_on(Record::new(log::Level::Warn, Content::Trouble { with, error }, words));
    }

    /// Hands on a record that one sink has made.
    pub fn hand_on(&self, record: Record) {
        // Without a reporter nobody is left to hear of it.
        let _ = self.0.send(record);
    }
}

/// Makes the records.
pub struct Reporter {
    sentences: Sentences,
    run: KnownRun,
    standing: Standing,
    repeats: Repeats,
    sinks: Vec<Box<dyn Sink>>,
    troubles: Receiver<Record>,
}

impl Reporter {
    pub fn new(settings: &Settings, sinks: Vec<Box<dyn Sink>>, troubles: Receiver<Record>) -> Reporter {
        Reporter {
            sentences: Sentences::new(settings),
            run: KnownRun::default(),
            standing: Standing::FIRST,
            repeats: Repeats::default(),
            sinks,
            troubles,
        }
    }

    /// The first records: what is supervised, by what policy, and what is worth a warning in that.
    pub fn begin(&mut self, settings: &Settings) {
        self.tell(Content::supervising(settings));
        self.tell(Content::Settings {});
        self.hand_out_troubles();
    }

    /// A notice of the backend that comes when all is over.
    pub fn late(&mut self, notice: UnixNotice) {
        self.tell(Content::Backend(notice));
    }

    /// Waits until all is told, but no longer than that.
    pub fn flush(&mut self, last_words: &mut LastWords) {
        self.sinks.iter_mut().for_each(|sink| sink.flush(last_words));
        if self.hand_out_troubles() {
            self.sinks.iter_mut().for_each(|sink| sink.flush(last_words));
        }
    }

    fn tell(&mut self, content: Content) {
        self.hand_out_troubles();
        let (level, words) = self.sentences.of(&content, &self.run, &self.standing);
        self.hand_out(&Record::new(level, content, words));
    }

    /// Whether a notice is told. If so, what was passed over before it is told first, in a sum.
    fn is_told(&mut self, verdict: RepeatVerdict) -> bool {
        match verdict {
            RepeatVerdict::PassedOver => false,
            RepeatVerdict::Told { passed_over: 0 } => true,
            RepeatVerdict::Told { passed_over } => {
                self.tell(Content::Backend(UnixNotice::MessagesSummed { messages: passed_over }));
                true
            }
        }
    }

    /// Tells whether there were any.
    fn hand_out_troubles(&mut self) -> bool {
        // What a sink meets while it takes these is for the next time.
        let troubles: Vec<_> = self.troubles.try_iter().collect();
        troubles.iter().for_each(|record| self.hand_out(record));
        !troubles.is_empty()
    }

    fn hand_out(&mut self, record: &Record) {
        self.sinks.iter_mut().for_each(|sink| sink.record(record, &self.standing));
    }
}

impl Report<UnixNotice> for &mut Reporter {
    fn event(&mut self, at: Instant, event: Event) {
        self.tell(Content::Input { at: at.since_origin(), input: event });
    }

    fn notice(&mut self, at: Instant, notice: Notice, supervisor: &Supervisor) {
        self.standing = Standing::of(at, supervisor);
        self.run.take(&notice, at);
        let verdict = self.repeats.take(&notice, at);
        if !self.is_told(verdict) {
            return;
        }
        self.tell(Content::Machine { notice, beside: Beside::of(&notice, self.run.condition) });
        if let Notice::BackingOff { delay, .. } = notice
            && delay > LONG_DELAY
            && !self.sentences.has_ceiling()
        {
            self.tell(Content::LongDelay { delay });
        }
    }

    fn backend_notice(&mut self, at: Instant, notice: UnixNotice, supervisor: &Supervisor) {
        self.standing = Standing::of(at, supervisor);
        self.run.take_of_backend(&notice, supervisor.phase().pid());
        let verdict = self.repeats.take_of_backend(&notice, at);
        if !self.is_told(verdict) {
            return;
        }
        self.tell(Content::Backend(notice));
    }
}

#[cfg(test)]
mod tests;
