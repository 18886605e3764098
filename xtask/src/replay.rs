//! `cargo xtask replay`: feeds a JSON log through the machine again, and says why it decided as it did.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use supervisor_cli::trace::{Content, Line, Taken, event_of};
use supervisor_core::{Ending, ExitStatus, Instant, KillCause, Notice, Policy, Step, Supervisor};

/// What is replayed.
#[derive(clap::Args)]
pub struct Options {
    /// A log written with --log-format json; lines of other programs in it are passed over
    file: PathBuf,
    /// Only what led to this moment: a time of day such as 12:03:07, or the beginning of a whole time stamp
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// A decision, for people.
pub struct Decision {
    time: String,
    words: String,
}

/// Replays, and tells.
pub fn run(options: Options) -> ExitCode {
    let text = match std::fs::read(&options.file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            eprintln!("xtask: {}: {error}", options.file.display());
            return ExitCode::FAILURE;
        }
    };
    match replay(&text) {
        Ok((decisions, facts)) => {
            let told = tell(&decisions, options.at.as_deref());
            let words = format!("{facts} facts led to the same {} decisions again", decisions.len());
            // Whoever closed standard output has read enough.
            let _ = writeln!(std::io::stdout(), "{told}{words}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("xtask: {}: {message}", name(&options.file));
            ExitCode::FAILURE
        }
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn tell(decisions: &[Decision], at: Option<&str>) -> String {
    let is_wanted = |decision: &&Decision| at.is_none_or(|at| is_by(&decision.time, at));
    let wanted: Vec<_> = decisions.iter().filter(is_wanted).collect();
    let shown = if at.is_some() { &wanted[wanted.len().saturating_sub(3)..] } else { &wanted[..] };
    shown.iter().map(|decision| format!("{}  {}\n", decision.time, decision.words)).collect()
}

/// Whether a time stamp lies at or before a moment, as precise as that is given.
fn is_by(time: &str, moment: &str) -> bool {
    let time = if moment.contains('T') { time } else { time.split_once('T').map_or(time, |(_, time)| time) };
    time.get(..moment.len()).unwrap_or(time) <= moment
}

/// Plays the log of one life through the machine, and compares what follows with what followed then.
pub fn replay(text: &str) -> Result<(Vec<Decision>, usize), String> {
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let begin = lines.find_map(|line| match line.content {
        Content::Taken(Taken::Supervising { policy }) => Some((line.time, line.supervisor, policy)),
        Content::Taken(Taken::Input { .. }) | Content::Followed { .. } => None,
    });
    let (mut time, pid, policy) =
        begin.ok_or("it has no \"supervising\" event: write it with --log-format json, and without --quiet")?;
    let (mut machine, mut step) = Supervisor::start(policy.clone());
    let mut story = Story::new(policy);
    let (mut decisions, mut facts) = (Vec::new(), 0);
    let mut expected = VecDeque::new();
    for line in lines.filter(|line| line.supervisor == pid) {
        match line.content {
            Content::Taken(Taken::Supervising { .. }) => return Err("it begins twice".to_owned()),
            Content::Taken(Taken::Input { at, input }) => {
                if let Some(missing) = expected.pop_front() {
                    return Err(format!("{time}: {missing:?} should have followed, and did not"));
                }
                facts += 1;
                time = line.time;
                step = machine.handle_event(input, Instant::from_origin(at));
                expected = step.notices.iter().filter_map(|notice| event_of(&notice)).collect();
                decisions.extend(story.told(&time, &step));
            }
            Content::Followed { event } => {
                let is_of_machine = MACHINE_EVENTS.contains(&event.as_str());
                match expected.front() {
                    Some(next) if *next == event => drop(expected.pop_front()),
                    next if is_of_machine && !is_later_heartbeat(&event, &step) => {
                        return Err(format!("{time}: {event:?} followed, where {next:?} should have"));
                    }
                    Some(_) | None => {}
                }
            }
        }
    }
    Ok((decisions, facts))
}

/// With `--verbose`, heartbeats after the first are logged too.
fn is_later_heartbeat(event: &str, step: &Step) -> bool {
    event == "heartbeat" && step.notices.iter().any(|notice| matches!(notice, Notice::Heartbeat { .. }))
}

const MACHINE_EVENTS: [&str; 16] = [
    "started",
    "start_failed",
    "heartbeat",
    "delayed",
    "hung",
    "ready",
    "leaving",
    "timeout_set",
    "extended",
    "streak_ended",
    "stopping",
    "exited",
    "killing",
    "surviving",
    "backing_off",
    "done",
];

/// What is remembered to say why.
struct Story {
    policy: Policy,
    why: String,
}

impl Story {
    fn new(policy: Policy) -> Story {
        Story { policy, why: "it was started".to_owned() }
    }

    fn told(&mut self, time: &str, step: &Step) -> Vec<Decision> {
        let words = step.notices.iter().filter_map(|notice| self.words(time, notice));
        words.map(|words| Decision { time: time.to_owned(), words }).collect()
    }

    fn words(&mut self, time: &str, notice: Notice) -> Option<String> {
        let grace = self.policy.grace_period;
        Some(match notice {
            Notice::Started { run, pid } => format!("{run} started as pid {pid}: {}", self.why),
            Notice::StartFailed { run, failure } => {
                self.why = format!("{run} could not be started: {:?}", failure.kind);
                self.why.clone()
            }
            Notice::Hung { run, silence, .. } => {
                self.why = format!("silent for {silence:.1?} since {}", before(time, silence));
                format!("{run} hung: {}; asked to leave", self.why)
            }
            Notice::HangReported { run, .. } => {
                self.why = "it said that it hangs".to_owned();
                format!("{run} hung: {}; asked to leave", self.why)
            }
            Notice::Delayed { run, late, extension } => {
                format!("{run} is forgiven: the look came {late:.1?} late, so that it has {extension:.1?} more")
            }
            Notice::Stopping { run, .. } | Notice::StoppingInstead { run } => {
                self.why = "the supervisor was asked to stop".to_owned();
                format!("{run} is to end: {}", self.why)
            }
            Notice::Exited { run, status, ending } => {
                let how = match status {
                    ExitStatus::Code(code) => format!("exited with code {code}"),
                    ExitStatus::Signal(number) => format!("was killed by signal {number}"),
                };
                if let Ending::Spontaneous { after } = ending {
                    self.why = format!("it {how} after {after:.1?}");
                }
                format!(
                    "{run} {how}: {}",
                    if let Ending::Spontaneous { .. } = ending { "by itself" } else { &self.why }
                )
            }
            Notice::Killing { run, cause: KillCause::GracePeriodOver } => {
                format!("{run} killed: {}, grace {grace:?} over", self.why)
            }
            Notice::Killing { run, cause: KillCause::Interrupt } => format!("{run} killed: a second request to stop"),
            Notice::BackingOff { restart, delay, .. } => {
                let words = format!("restart {restart} is due in {delay:?}: {}", self.why);
                self.why = format!("restart {restart} after {delay:?}");
                words
            }
            Notice::Done(outcome) => format!("over: {outcome:?}"),
            Notice::Ready { run } => format!("{run} is ready: it said so"),
            Notice::Leaving { run } => format!("{run} leaves: it said so"),
            Notice::TimeoutSet { run, timeout } => format!("{run} may be silent for {timeout:?}: it said so"),
            Notice::Extended { run, by } => format!("{run} has {by:?} more: it said so"),
            Notice::StreakEnded { run } => format!("the streak of restarts is over: {run} said so"),
            Notice::FirstHeartbeat { .. } | Notice::Heartbeat { .. } | Notice::Surviving { .. } => return None,
        })
    }
}

/// The time of day so long before a time stamp.
fn before(time: &str, ago: Duration) -> String {
    let clock = time.split_once('T').map_or(time, |(_, clock)| clock).trim_end_matches('Z');
    let parts = clock.split(':').map(|part| part.parse::<f64>().unwrap_or_default());
    let seconds = parts.fold(0.0, |sum, part| sum * 60.0 + part);
    let then = (seconds - ago.as_secs_f64()).rem_euclid(86_400.0);
    let whole = then as u64;
    format!("{:02}:{:02}:{:06.3}", whole / 3600, whole / 60 % 60, then % 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_back_over_midnight() {
        assert_eq!(before("2026-11-24T12:03:07.500Z", Duration::from_secs(20)), "12:02:47.500");
        assert_eq!(before("2026-11-24T00:00:05.000Z", Duration::from_secs(10)), "23:59:55.000");
    }

    #[test]
    fn a_moment_may_be_given_roughly() {
        assert!(is_by("2026-11-24T12:03:07.500Z", "12:03:07"));
        assert!(is_by("2026-11-24T12:03:07.500Z", "2026-11-24T12:03"));
        assert!(!is_by("2026-11-24T12:03:08.500Z", "12:03:07"));
    }
}
