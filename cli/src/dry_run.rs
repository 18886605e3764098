//! What a policy would do to a command that crashes and to one that hangs, played on virtual time.

use crate::exit_code;
use crate::options::Settings;
use crate::report::display::{Counted, Reason, Seconds, Status};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;
use supervisor_backend_unix::Config;
use supervisor_core::sim::{Behaviour, SimBackend};
use supervisor_core::{
    Action, Backend, Ending, ExitStatus, Incoming, Limit, Notice, OnHang, Outcome, Policy, Supervisor, Watchdog,
};

/// Starts that are shown, beside the last one; more tell nothing new.
const SHOWN: u64 = 10;
/// Starts that are played. Whatever goes on after so many does so for ever, or for longer than a person waits.
const MOST_STARTS: u64 = 10_000;

/// Two timelines. In colour only on a terminal, and not where `NO_COLOR` is set: <https://no-color.org>.
pub fn text(settings: &Settings) -> String {
    let is_colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    let ink = if std::io::stdout().is_terminal() && !is_colourless { Ink::Colour } else { Ink::Plain };
    let Settings { policy, backend, .. } = settings;
    let crash = Behaviour { exit: Some((Duration::ZERO, ExitStatus::Code(1))), ..Behaviour::SILENT };
    let mut text = ink.heading("a command that crashes at once") + "\n";
    play(policy, crash, ink, &mut text);
    text += &format!("\n{}\n", ink.heading("a command that hangs at once, and leaves when it is asked"));
    match policy.watchdog {
        Watchdog::On { .. } => play(policy, Behaviour::SILENT, ink, &mut text),
        Watchdog::Off => text += "  no hang is found: --no-heartbeat\n",
    }
    let _ = writeln!(text, "\n{}", escalation(policy, backend));
    if policy.backoff.ceiling.is_none() && policy.backoff.factor > Duration::ZERO {
        text += "the delay doubles without a ceiling; --max-backoff would set one\n";
    }
    text
}

/// The signals, and the time between them.
fn escalation(policy: &Policy, backend: &Config) -> String {
    let (stop, hang) = (backend.stop_signal, backend.hang_signal);
    let words = format!("{stop} asks it to leave, SIGKILL follows after {}", Seconds(policy.grace_period));
    match policy.on_hang {
        OnHang::Stop => words,
        OnHang::Signal { grace_period } => {
            format!("{words}; if it hangs, {hang} comes first, {} before {stop}", Seconds(grace_period))
        }
    }
}

#[derive(Clone, Copy)]
enum Ink {
    Colour,
    Plain,
}

impl Ink {
    fn heading(self, words: &str) -> String {
        self.paint("1", words)
    }

    fn paint(self, code: &str, words: &str) -> String {
        match self {
            Ink::Colour => format!("\x1b[{code}m{words}\x1b[0m"),
            Ink::Plain => words.to_owned(),
        }
    }
}

/// One line for each start, but for those in the middle of many.
fn play(policy: &Policy, behaviour: Behaviour, ink: Ink, text: &mut String) {
    let mut world = SimBackend::new(|_| behaviour, []);
    let (mut supervisor, mut step) = Supervisor::start(policy.clone());
    let mut starts = 0;
    let mut line = String::new();
    loop {
        let time = clock(world.now().since_origin());
        for notice in step.notices {
            match notice {
                Notice::Started { run, .. } => {
                    line = format!("  {time:>12}  {}", ink.paint("32", &format!("start {}", run.0)));
                }
                Notice::Exited { status, ending: Ending::Spontaneous { .. }, .. } => {
                    line += &ink.paint("33", &format!(", {}", Status(status)));
                }
                Notice::Hung { .. } => line += &ink.paint("33", &format!(", hung at {time}")),
                Notice::BackingOff { delay, .. } if starts <= SHOWN => {
                    *text += &format!("{line}, next start {} later\n", clock(delay));
                }
                Notice::Done(outcome) => {
                    if starts > SHOWN + 1 {
                        *text += &format!("  {:>12}\n", "...");
                    }
                    *text += &format!("{line}\n  {time:>12}  {}\n", end(policy, ink, outcome, starts));
                }
                Notice::Exited { .. }
                | Notice::BackingOff { .. }
                | Notice::StartFailed { .. }
                | Notice::Heartbeat { .. }
                | Notice::Delayed { .. }
                | Notice::HangGraceOver { .. }
                | Notice::Ready { .. }
                | Notice::Leaving { .. }
                | Notice::TimeoutSet { .. }
                | Notice::Extended { .. }
                | Notice::StreakEnded { .. }
                | Notice::Stopping { .. }
                | Notice::StoppingInstead { .. }
                | Notice::Restarting { .. }
                | Notice::RestartingInstead { .. }
                | Notice::Killing { .. }
                | Notice::Surviving { .. } => {}
            }
        }
        for action in step.actions {
            match action {
                Action::Start { .. } if starts == MOST_STARTS => {
                    let end = match policy.max_restarts {
                        Limit::Unlimited => "without end".to_owned(),
                        Limit::Times(most) => format!("up to {most} restarts in a row"),
                    };
                    *text += &format!("  {:>12}  and so on, {end}\n", "...");
                    return;
                }
                Action::Start { run, restarts } => {
                    starts += 1;
                    world.start(run, restarts);
                }
                Action::Look { run } => world.look(run),
                Action::Signal { run, purpose } => world.signal(run, purpose),
            }
        }
        if supervisor.outcome().is_some() {
            return;
        }
        let Incoming::Event(event) = world.wait(supervisor.poll_timeout());
        step = supervisor.handle_event(event, world.now());
    }
}

fn end(policy: &Policy, ink: Ink, outcome: Outcome, starts: u64) -> String {
    let starts = Counted(usize::try_from(starts).unwrap_or(usize::MAX), "start", "starts");
    let code = exit_code::of(outcome);
    match outcome {
        Outcome::GaveUp { reason, .. } => {
            let reason = Reason(reason, policy.max_restarts);
            ink.paint("31", &format!("gives up after {starts}: {reason}; exit code {code}"))
        }
        Outcome::Finished | Outcome::Stopped | Outcome::Killed => {
            format!("finished after {starts}: exit code {code}")
        }
    }
}

/// A time that people read at once.
fn clock(time: Duration) -> String {
    let (seconds, minutes) = (time.as_secs() % 60, time.as_secs() / 60);
    match (minutes / 60 / 24, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => Seconds(time).to_string(),
        (0, 0, minutes) => format!("{minutes} min {seconds:02} s"),
        (0, hours, minutes) => format!("{hours} h {minutes:02} min"),
        (days, hours, _) => format!("{days} d {hours:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor_core::Limit;

    fn played(policy: Policy, behaviour: Behaviour) -> String {
        let mut text = String::new();
        play(&policy, behaviour, Ink::Plain, &mut text);
        text
    }

    #[test]
    fn a_crash_is_shown_to_its_end() {
        let crash = Behaviour { exit: Some((Duration::ZERO, ExitStatus::Code(1))), ..Behaviour::SILENT };
        let text = played(Policy { max_restarts: Limit::Times(2), ..Policy::default() }, crash);
        let words: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(
            words,
            [
                "0 s  start 1, exited with code 1, next start 1 s later",
                "1 s  start 2, exited with code 1, next start 2 s later",
                "3 s  start 3, exited with code 1",
                "3 s  gives up after 3 starts: the supervisor has made the 2 restarts in a row that --max-restarts allows; exit code 1",
            ]
        );
    }

    #[test]
    fn what_has_no_end_is_cut_short() {
        let text = played(Policy::default(), Behaviour::SILENT);
        assert_eq!(text.lines().filter(|line| line.contains("start ")).count(), 10);
        assert!(text.ends_with("and so on, without end\n"), "{text}");
        assert!(text.contains("start 1, hung at 20 s, next start 1 s later"), "{text}");
    }

    #[test]
    fn of_many_starts_the_first_and_the_last_are_shown() {
        let policy = Policy { max_restarts: Limit::Times(40), ..Policy::default() };
        let crash = Behaviour { exit: Some((Duration::ZERO, ExitStatus::Code(1))), ..Behaviour::SILENT };
        let text = played(policy, crash);
        assert!(text.contains("start 10,") && !text.contains("start 11,"), "{text}");
        assert!(text.contains("start 41, exited with code 1\n"), "{text}");
        assert!(
            text.contains(
                "gives up after 41 starts: the supervisor has made the 40 restarts in a row that --max-restarts allows"
            ),
            "{text}"
        );
    }

    #[test]
    fn times_are_read_at_once() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 01 s"),
            (125, "2 min 05 s"),
            (3_700, "1 h 01 min"),
            (200_000, "2 d 07 h"),
        ];
        for (seconds, text) in table {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }

    fn told(options: &[&str]) -> String {
        use crate::options::{Request, read};
        let line = [&["supervisor"], options, &["sleep", "10"]].concat();
        match read(line.into_iter().map(std::ffi::OsString::from), []) {
            Ok(Request::Supervise(settings)) => text(&settings),
            Ok(_) | Err(_) => panic!("{options:?} supervises nothing"),
        }
    }

    #[test]
    fn a_crash_a_hang_and_the_signals_are_told() {
        let plain = told(&["--max-restarts", "1"]);
        for words in [
            "a command that crashes at once",
            ", next start 1 s later\n",
            "a command that hangs at once, and leaves when it is asked",
            ", hung at 20 s",
            "\nSIGTERM asks it to leave, SIGKILL follows after 5 s\n",
            "the delay doubles without a ceiling; --max-backoff would set one\n",
        ] {
            assert!(plain.contains(words), "{words}: {plain}");
        }
        for options in [["--max-backoff", "60"], ["--backoff-factor", "0"]] {
            assert!(!told(&options).contains("without a ceiling"), "{options:?}");
        }
        assert!(told(&["--no-heartbeat", "--max-restarts", "1"]).contains("no hang is found: --no-heartbeat\n"));
        let signals = "SIGTERM asks it to leave, SIGKILL follows after 5 s; if it hangs, SIGQUIT comes first, 3 s before \
                       SIGTERM\n";
        assert!(told(&["--hang-signal", "QUIT", "--hang-grace-period", "3"]).contains(signals));
    }

    #[test]
    fn headings_and_ends_have_colours() {
        assert_eq!((Ink::Colour.heading("x").as_str(), Ink::Plain.heading("x").as_str()), ("\x1b[1mx\x1b[0m", "x"));
        assert!(end(&Policy::default(), Ink::Plain, Outcome::Finished, 2) == "finished after 2 starts: exit code 0");
    }

    #[test]
    fn a_gap_is_shown_where_starts_are_left_out() {
        let crash = Behaviour { exit: Some((Duration::ZERO, ExitStatus::Code(1))), ..Behaviour::SILENT };
        for (restarts, gaps) in [(9, 0), (10, 0), (11, 1), (12, 1)] {
            let text = played(Policy { max_restarts: Limit::Times(restarts), ..Policy::default() }, crash);
            assert_eq!(text.matches("...").count(), gaps, "{restarts}: {text}");
        }
    }
}
