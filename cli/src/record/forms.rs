//! How single things look in JSON.

use jiff::{Timestamp, Unit};
use serde::{Serialize, Serializer};
use std::time::Duration;
use supervisor_backend_unix::{Examined, Named, Target};
use supervisor_core::{ExitStatus, Limit};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusForm {
    Code(u8),
    Signal(u8),
}

impl From<ExitStatus> for StatusForm {
    fn from(status: ExitStatus) -> StatusForm {
        match status {
            ExitStatus::Code(code) => StatusForm::Code(code),
            ExitStatus::Signal(signal) => StatusForm::Signal(signal),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetForm {
    Group(i32),
    Processes(Vec<ProcessForm>),
}

impl From<&Target> for TargetForm {
    fn from(target: &Target) -> TargetForm {
        match target {
            Target::Group(group) => TargetForm::Group(*group),
            // As for kill(2).
            Target::All => TargetForm::Group(-1),
            Target::Process(process) => TargetForm::Processes(vec![process.into()]),
            Target::Leftovers(processes) => TargetForm::Processes(processes.iter().map(ProcessForm::from).collect()),
        }
    }
}

#[derive(Serialize)]
pub struct ProcessForm {
    pub pid: i32,
    pub name: String,
}

impl From<&Named> for ProcessForm {
    fn from(process: &Named) -> ProcessForm {
        ProcessForm { pid: process.pid, name: process.name.clone() }
    }
}

/// A process of a hung tree.
#[derive(Serialize)]
pub struct ExaminedForm {
    #[serde(flatten)]
    pub process: ProcessForm,
    pub parent: i32,
    pub state: char,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub waits_in: String,
    #[serde(serialize_with = "seconds")]
    pub cpu: Duration,
    #[serde(serialize_with = "seconds")]
    pub over: Duration,
    pub threads: u32,
}

impl From<&Examined> for ExaminedForm {
    fn from(examined: &Examined) -> ExaminedForm {
        ExaminedForm {
            process: (&examined.process).into(),
            parent: examined.parent,
            state: examined.state,
            waits_in: examined.waits_in.clone(),
            cpu: examined.cpu,
            over: examined.over,
            threads: examined.threads,
        }
    }
}

/// As on the command line: -1 is without limit.
pub fn limit(limit: Limit) -> i64 {
    match limit {
        Limit::Unlimited => -1,
        Limit::Times(most) => most.into(),
    }
}

/// RFC 3339, to the millisecond, in UTC.
pub fn time(moment: Timestamp) -> String {
    let moment = moment.round(Unit::Millisecond).unwrap_or(moment);
    format!("{moment:.3}")
}

pub fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

pub fn maybe_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&duration.map(|duration| duration.as_secs_f64()))
}
