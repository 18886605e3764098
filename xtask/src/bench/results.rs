//! What was measured, and what it is worth: goals, and by how much they are met or missed.

use super::measure::{Metric, median};
use super::own::{Beating, Hangs, Machine};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Samples of one subject, by what they are samples of.
#[derive(Default)]
pub struct Samples {
    samples: BTreeMap<Metric, Vec<f64>>,
    /// Rounds after which its tree went on.
    pub survived: usize,
}

impl Samples {
    pub fn add(&mut self, metric: Metric, samples: impl IntoIterator<Item = f64>) {
        self.samples.entry(metric).or_default().extend(samples);
    }

    pub fn figure(&self, metric: Metric) -> Option<f64> {
        median(&mut self.samples.get(&metric)?.clone())
    }
}

/// One that was measured.
pub struct Subject {
    pub name: &'static str,
    pub version: String,
    pub kind: Kind,
    pub samples: Samples,
}

/// What it is to a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This supervisor, static.
    Own,
    /// This supervisor, as cargo builds it.
    OwnByCargo,
    /// It starts a command once.
    Init,
    /// It starts a command again.
    Supervisor,
    /// A loop of a shell.
    Loop,
}

/// Everything.
pub struct Results {
    pub subjects: Vec<Subject>,
    pub file: Hangs,
    pub notify: Hangs,
    /// Milliseconds.
    pub tick: f64,
    pub beating: Beating,
    /// Milliseconds of one walk through /proc.
    pub walk: f64,
    pub machine: Machine,
}

/// A row of the table of goals.
pub struct Goal {
    pub row: &'static str,
    pub unit: &'static str,
    pub figure: Option<f64>,
    pub bound: Bound,
}

/// What is to be held.
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// So many times the figure of a peer, which may be missing here.
    Times {
        factor: f64,
        of: &'static str,
        figure: Option<f64>,
    },
}

/// Whether it is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Met,
    /// By so much, in its unit.
    Missed(f64),
    Unknown,
}

impl Goal {
    /// The bound as a figure.
    pub fn limit(&self) -> Option<f64> {
        match self.bound {
            Bound::AtMost(limit) | Bound::AtLeast(limit) => Some(limit),
            Bound::Times { factor, figure, .. } => figure.map(|figure| figure * factor),
        }
    }

    pub fn verdict(&self) -> Verdict {
        let (Some(figure), Some(limit)) = (self.figure, self.limit()) else { return Verdict::Unknown };
        let excess = match self.bound {
            Bound::AtMost(_) | Bound::Times { .. } => figure - limit,
            Bound::AtLeast(_) => limit - figure,
        };
        if excess <= 0.0 { Verdict::Met } else { Verdict::Missed(excess) }
    }
}

impl Results {
    pub fn subject(&self, kind: Kind) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.kind == kind)
    }

    fn own(&self, metric: Metric) -> Option<f64> {
        self.subject(Kind::Own)?.samples.figure(metric)
    }

    fn named(&self, name: &str, metric: Metric) -> Option<f64> {
        self.subjects.iter().find(|subject| subject.name == name)?.samples.figure(metric)
    }

    /// The best of all other supervisors.
    fn fastest_restart(&self) -> Option<f64> {
        let supervisors = self.subjects.iter().filter(|subject| subject.kind == Kind::Supervisor);
        supervisors.filter_map(|subject| subject.samples.figure(Metric::Restart)).min_by(f64::total_cmp)
    }

    pub fn goals(&self) -> Vec<Goal> {
        let tini = |factor, metric| Bound::Times { factor, of: "tini", figure: self.named("tini", metric) };
        let by_cargo = self.subject(Kind::OwnByCargo).and_then(|own| own.samples.figure(Metric::Start));
        let goal = |row, unit, figure, bound| Goal { row, unit, figure, bound };
        let at_most = |row, unit, figure, limit| Goal { row, unit, figure: Some(figure), bound: Bound::AtMost(limit) };
        let at_least =
            |row, unit, figure, limit| Goal { row, unit, figure: Some(figure), bound: Bound::AtLeast(limit) };
        let shell = self.named("shell", Metric::Restart);
        vec![
            goal("start", "ms", self.own(Metric::Start), tini(1.0, Metric::Start)),
            goal("start, as cargo install builds it", "ms", by_cargo, tini(1.5, Metric::Start)),
            goal(
                "restart without backoff, the command crashes at once",
                "ms",
                self.own(Metric::Restart),
                Bound::Times { factor: 1.5, of: "a shell loop", figure: shell },
            ),
            goal(
                "the same",
                "ms",
                self.own(Metric::Restart),
                Bound::Times { factor: 1.0, of: "the fastest other supervisor", figure: self.fastest_restart() },
            ),
            goal("private dirty memory", "KiB", self.own(Metric::PrivateDirty), tini(1.0, Metric::PrivateDirty)),
            goal("each further supervisor, PSS", "KiB", self.own(Metric::Further), tini(1.0, Metric::Further)),
            goal(
                "threads, idle",
                "",
                self.own(Metric::Threads),
                Bound::Times { factor: 1.0, of: "its processes", figure: self.own(Metric::Processes) },
            ),
            goal("context switches, idle", "/s", self.own(Metric::Switches), Bound::AtMost(0.0)),
            at_most("context switches beside 1,000 heartbeats a second", "/s", self.beating.switches, 0.6),
            goal(
                "CPU in each timeout beside them",
                "ms",
                Some(self.beating.cpu),
                Bound::Times { factor: 1.0, of: "a walk through /proc", figure: Some(self.walk) },
            ),
            at_least("the earliest hang", "ms late", self.file.decided.least, 0.0),
            at_most("the latest hang", "ms late", self.file.decided.most, 2.0 * self.tick + 2.0),
            at_least("the earliest hang with --notify", "ms late", self.notify.decided.least, 0.0),
            at_most("the latest hang with --notify", "ms late", self.notify.decided.most, 1.0),
            goal("SIGKILL to tree gone", "ms", self.own(Metric::TreeGone), Bound::AtMost(10.0)),
            goal("program file, static", "KiB", self.own(Metric::Size), Bound::AtMost(1536.0)),
            at_most("handle_event", "ns", self.machine.event, 50.0),
            at_most("its allocations", "", self.machine.allocations, 0.0),
            at_least("simulated events", "million/s", self.machine.simulation / 1e6, 10.0),
        ]
    }

    pub fn json(&self) -> Value {
        let figures = |subject: &Subject| -> Value {
            let figure = |metric: &Metric| (metric.title().to_owned(), json!(subject.samples.figure(*metric)));
            let figures: serde_json::Map<_, _> = Metric::ALL.iter().map(figure).collect();
            json!({ "name": subject.name, "version": subject.version, "figures": figures })
        };
        let goal = |goal: &Goal| {
            let is_met = match goal.verdict() {
                Verdict::Met => json!(true),
                Verdict::Missed(_) => json!(false),
                Verdict::Unknown => Value::Null,
            };
            json!({ "row": goal.row, "figure": goal.figure, "limit": goal.limit(), "unit": goal.unit, "met": is_met })
        };
        json!({
            "subjects": self.subjects.iter().map(figures).collect::<Vec<_>>(),
            "goals": self.goals().iter().map(goal).collect::<Vec<_>>(),
        })
    }
}
