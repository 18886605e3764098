//! `cargo xtask replay`: feeds a JSON log through the machine again, and says why it decided as it did.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use supervisor_cli::display::{Ended, Seconds, Status};
use supervisor_cli::journal::{Line, Said, Taken, compare, expected, is_of_machine};
use supervisor_core::{
    DelayCause, Ending, Event, Evidence, GiveUp, Instant, KillCause, Notice, OnHang, Outcome, Policy, StartFailureKind,
    Step, Supervisor,
};

/// What is replayed.
#[derive(clap::Args)]
pub struct Options {
    /// A log written with --log-format json; lines of other programs in it are passed over
    file: PathBuf,
    /// Only what led to this moment: a time of day such as 12:03:07, or the beginning of a whole time stamp
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<String>,
}

fn moment(text: &str) -> Result<String, String> {
    let is_time = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "-T:.Z".contains(c))
        && text.contains([':', 'T']);
    if is_time { Ok(text.to_owned()) } else { Err("give a time such as 12:03:07 or 2026-11-24T12:03".to_owned()) }
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
        Ok(replay) => {
            let told = tell(&replay.decisions, options.at.as_deref());
            let mut words =
                format!("{} facts led to the same {} decisions again", replay.facts, replay.decisions.len());
            if replay.unfinished > 0 {
                words += "; the log stops before the end";
            }
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
    if shown.is_empty() {
        return "nothing was decided by then\n".to_owned();
    }
    shown.iter().map(|decision| format!("{}  {}\n", decision.time, decision.words)).collect()
}

/// Whether a time stamp lies at or before a moment, as precise as that is given.
fn is_by(time: &str, moment: &str) -> bool {
    let time = if moment.contains('T') { time } else { time.split_once('T').map_or(time, |(_, time)| time) };
    time.get(..moment.len()).unwrap_or(time) <= moment
}

/// Plays a log through the machine, life by life, and compares what follows with what followed then.
pub fn replay(text: &str) -> Result<Replay, String> {
    let mut lives = BTreeMap::<u32, Life>::new();
    let mut replay = Replay::default();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        match (line.content, lives.get_mut(&line.supervisor)) {
            (Said::Taken(Taken::Supervising { policy }), _) => {
                if let Some(before) = lives.insert(line.supervisor, Life::begin(policy, line.time)) {
                    before.end(&mut replay)?;
                }
            }
            (Said::Taken(Taken::Input { at, input }), Some(life)) => {
                replay.facts += 1;
                let decisions = life.take(Instant::from_origin(at), input, line.time)?;
                replay.decisions.extend(decisions);
            }
            (Said::Other(fields), Some(life)) => life.compare(&fields)?,
            (Said::Taken(Taken::Input { .. }) | Said::Other(_), None) => {}
        }
    }
    for life in lives.into_values() {
        life.end(&mut replay)?;
    }
    if replay.lives > 0 && replay.facts == 0 {
        return Err("it has no \"input\" events: write it with --verbose".to_owned());
    }
    if replay.lives == 0 {
        return Err("it has no \"supervising\" event: write it with --log-format json and --verbose".to_owned());
    }
    Ok(replay)
}

/// What a replay came to.
#[derive(Default)]
pub struct Replay {
    /// All that was decided, in order.
    pub decisions: Vec<Decision>,
    /// How many facts led to it.
    pub facts: usize,
    lives: usize,
    /// Lives of which the log does not tell the end.
    unfinished: usize,
}

/// One supervisor, played again.
struct Life {
    machine: Supervisor,
    story: Story,
    /// The time of the last fact, and what should be told of it.
    time: String,
    expected: VecDeque<Map<String, Value>>,
}

impl Life {
    fn begin(policy: Policy, time: String) -> Life {
        let (machine, _) = Supervisor::start(policy.clone());
        Life { machine, story: Story::new(policy), time, expected: VecDeque::new() }
    }

    fn take(&mut self, at: Instant, input: Event, time: String) -> Result<Vec<Decision>, String> {
        self.check_all_told()?;
        self.time = time;
        let step = self.machine.handle_event(input, at);
        self.expected = step.notices.iter().map(expected).collect();
        Ok(self.story.told(&self.time, &step))
    }

    /// A line must say what is decided now. What only the world knows may be in it besides.
    fn compare(&mut self, line: &Map<String, Value>) -> Result<(), String> {
        let event = line.get("event").and_then(Value::as_str).unwrap_or_default();
        if event == "log_lines_lost" {
            return Err(format!("{}: the log has lost lines here, so that the rest cannot be played", self.time));
        }
        if !is_of_machine(event) {
            return Ok(());
        }
        let time = &self.time;
        let Some(expected) = self.expected.pop_front() else {
            return Err(format!("{time}: {event:?} followed, and should not have"));
        };
        compare(&expected, line).map_err(|difference| format!("{time}: {event:?} differs: {difference}"))
    }

    fn check_all_told(&mut self) -> Result<(), String> {
        match self.expected.pop_front() {
            Some(missing) => Err(format!("{}: {} should have followed, and did not", self.time, missing["event"])),
            None => Ok(()),
        }
    }

    /// The log may end with a fact; nobody had the time to tell what followed.
    fn end(self, replay: &mut Replay) -> Result<(), String> {
        replay.lives += 1;
        replay.unfinished += usize::from(self.machine.outcome().is_none());
        match (self.machine.outcome(), self.expected.front()) {
            (Some(_), Some(missing)) => Err(format!("{}: {} should have followed", self.time, missing["event"])),
            (Some(_), None) | (None, _) => Ok(()),
        }
    }
}

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
                let why = match failure.kind {
                    StartFailureKind::NotFound => "there is no such command",
                    StartFailureKind::NotExecutable => "it cannot be executed",
                    StartFailureKind::Passing => "the system lacked something",
                };
                self.why = format!("{run} could not be started: {why}");
                self.why.clone()
            }
            Notice::Hung { run, evidence, on_hang, .. } => {
                self.why = match evidence {
                    Evidence::Silence { silence } => {
                        format!("silent for {} since {}", Seconds(silence), before(time, silence))
                    }
                    Evidence::Report {} => "it said that it hangs".to_owned(),
                };
                let next = match on_hang {
                    OnHang::Stop => "asked to leave",
                    OnHang::Signal { .. } => "it gets the hang signal",
                };
                format!("{run} hung: {}; {next}", self.why)
            }
            Notice::HangGraceOver { run, .. } => format!("{run} asked to leave: {}, and still there", self.why),
            Notice::Delayed { run, late, extension, cause, .. } => {
                let cause = match cause {
                    DelayCause::Supervisor => "the supervisor could not run",
                    DelayCause::Look => "the look took long",
                };
                format!("{run} has {} more: {cause} for {}", Seconds(extension), Seconds(late))
            }
            Notice::Stopping { run, .. } | Notice::StoppingInstead { run } => {
                self.why = "the supervisor was asked to stop".to_owned();
                format!("{run} is to end: {}", self.why)
            }
            Notice::Restarting { run, .. } | Notice::RestartingInstead { run } => {
                self.why = "the supervisor was asked to restart the command".to_owned();
                format!("{run} is to end: {}", self.why)
            }
            Notice::Exited { run, status, ending, .. } => {
                let how = Status(status);
                if let Ending::Spontaneous { after } = ending {
                    self.why = format!("it {how} after {}", Seconds(after));
                }
                format!(
                    "{run} {how}: {}",
                    if let Ending::Spontaneous { .. } = ending { "by itself" } else { &self.why }
                )
            }
            Notice::Killing { run, cause: KillCause::GracePeriodOver } => {
                format!("{run} killed: {}, grace {} over", self.why, Seconds(grace))
            }
            Notice::Killing { run, cause: KillCause::Interrupt } => format!("{run} killed: a second request to stop"),
            Notice::BackingOff { restart, delay, .. } => {
                let words = format!("restart {restart} is due in {}: {}", Seconds(delay), self.why);
                self.why = format!("restart {restart} after {}", Seconds(delay));
                words
            }
            Notice::Done(outcome) => last_words(outcome),
            Notice::Ready { run, .. } => format!("{run} is ready: it said so"),
            Notice::Leaving { run, .. } => format!("{run} leaves: it said so"),
            Notice::TimeoutSet { run, timeout, .. } => {
                format!("{run} may be silent for {}: it said so", Seconds(timeout))
            }
            Notice::Extended { run, by, .. } => format!("{run} has {} more: it said so", Seconds(by)),
            Notice::StreakEnded { run, .. } => format!("the streak of restarts is over: {run} said so"),
            Notice::Heartbeat { .. } | Notice::Surviving { .. } => return None,
        })
    }
}

fn last_words(outcome: Outcome) -> String {
    let (end, reason) = match outcome {
        Outcome::Finished => return "over: the command did what it was started for".to_owned(),
        Outcome::Stopped => return "over: stopped, and the command left".to_owned(),
        Outcome::Killed => return "over: stopped, and the command had to be killed".to_owned(),
        Outcome::GaveUp { end, reason } => (end, reason),
    };
    let reason = match reason {
        GiveUp::NeverRestarts => "it is never restarted",
        GiveUp::RestartsUsedUp => "all restarts are used up",
        GiveUp::CannotStart => "trying again would not help",
    };
    format!("over: {reason}; the last run {}", Ended(end))
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

    /// The log of a command that hung twice, and refused to leave.
    const LOG: &str = include_str!("../tests/life.jsonl");

    #[test]
    fn a_log_is_played_again_and_explained() {
        let replay = replay(LOG).unwrap();
        let words: Vec<_> = replay.decisions.iter().map(|decision| decision.words.as_str()).collect();
        assert!(words.iter().any(|words| words.contains("run 1 killed: silent for 0.3")), "{words:?}");
        assert!(words.iter().any(|words| words.ends_with("grace 0.2 s over")), "{words:?}");
        assert_eq!((replay.lives, replay.unfinished), (1, 0));
        // Others' lines in between change nothing, nor does another life after it.
        let mixed = LOG.replace('\n', "\nTraceback: {\n") + LOG;
        assert_eq!(super::replay(&mixed).unwrap().lives, 2);
    }

    #[test]
    fn what_was_tampered_with_is_found() {
        let drop_line = |words: &str| {
            LOG.lines().filter(|line| !line.contains(words)).map(|line| format!("{line}\n")).collect::<String>()
        };
        let tampered = [
            LOG.replace("\"delay\":0.1", "\"delay\":0.2"),
            LOG.replace("\"exit_code\":124", "\"exit_code\":0"),
            LOG.replace("\"outcome\":\"gave_up\"", "\"outcome\":\"finished\""),
            LOG.replace("\"event\":\"hung\"", "\"event\":\"stopping\""),
            drop_line("\"event\":\"killing\""),
            drop_line("\"unchanged\""),
            drop_line("\"supervising\""),
        ];
        for log in tampered {
            assert_ne!(log, LOG);
            assert!(replay(&log).is_err(), "{log}");
        }
    }

    #[test]
    fn a_log_that_stops_before_the_end_is_told_so() {
        let half: String = LOG.lines().take(8).map(|line| format!("{line}\n")).collect();
        assert_eq!(replay(&half).unwrap().unfinished, 1);
    }

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
