//! `cargo xtask pictures`: the pictures of the documents, drawn from what the machine decides on virtual time.

use crate::drawing::{Anchor, Drawing, Ink, LINE, LogScale, WIDTH};
use crate::workspace;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};
use supervisor_core::sim::{Behaviour, Heartbeats, Reaction, SimBackend};
use supervisor_core::{Event, Evidence, Instant, Notice, Policy};

/// What is to be done.
#[derive(clap::Args)]
pub struct Options {
    /// Write nothing, and fail if something would be written
    #[arg(long)]
    check: bool,
}

/// Draws them, or checks that they are up to date.
pub fn run(options: Options) -> ExitCode {
    let pictures = [("docs/hang.svg", hang()), ("docs/backoff.svg", backoff())];
    let outcome = pictures.into_iter().try_for_each(|(name, picture)| settle(name, &picture, options.check));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn settle(name: &str, picture: &str, check: bool) -> io::Result<()> {
    let path = workspace::root().join(name);
    let is_current = fs::read_to_string(&path).is_ok_and(|text| text == picture);
    match (is_current, check) {
        (true, _) => Ok(()),
        (false, true) => Err(io::Error::other(format!("{name} is not up to date: run cargo xtask pictures"))),
        (false, false) => workspace::write(&path, picture),
    }
}

/// A command that beats every three seconds until it hangs, and takes two seconds to leave.
const BEHAVIOUR: Behaviour = Behaviour {
    heartbeats: Heartbeats { every: Duration::from_secs(3), until: Duration::from_secs(13) },
    when_asked: Reaction::LeavesAfter(Duration::from_secs(2)),
    ..Behaviour::SILENT
};
/// When the story has been told: in the second run.
const END: f64 = 50.0;

/// What the picture of a hang shows, in seconds.
struct Story {
    starts: Vec<f64>,
    last_beat: f64,
    hung: f64,
    exited: f64,
}

/// One hang under the default policy, as the machine deals with it.
fn story() -> Story {
    let stop = (Instant::from_origin(Duration::from_secs_f64(END)), Event::Stop);
    let mut world = SimBackend::new(|_| BEHAVIOUR, [stop]);
    let mut story = Story { starts: Vec::new(), last_beat: 0.0, hung: 0.0, exited: 0.0 };
    supervisor_core::run(Policy::default(), &mut world, |at: Instant, notice: Notice| {
        let seconds = at.since_origin().as_secs_f64();
        match notice {
            Notice::Started { .. } => story.starts.push(seconds),
            Notice::Hung { evidence: Evidence::Silence { silence }, .. } => {
                story.hung = seconds;
                story.last_beat = seconds - silence.as_secs_f64();
            }
            Notice::Exited { .. } if story.exited == 0.0 => story.exited = seconds,
            Notice::Hung { evidence: Evidence::Report {}, .. }
            | Notice::Exited { .. }
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
            | Notice::Surviving { .. }
            | Notice::BackingOff { .. }
            | Notice::Done(_) => {}
        }
    });
    story
}

fn hang() -> String {
    const TOP: f64 = 58.0;
    const HEIGHT: f64 = 26.0;
    const LEFT: f64 = 12.0;
    let story = story();
    let place = |seconds: f64| LEFT + seconds / END * (WIDTH - 2.0 * LEFT);
    let mut drawing = Drawing::new(
        "A command hangs: after 20 s without a heartbeat the supervisor asks it to leave, and starts it again",
    );
    drawing.heading(LEFT, 24.0, "A command hangs, and is healed");
    let mut bar = |from: f64, to: f64, ink| drawing.bar(place(from), TOP, place(to) - place(from), HEIGHT, ink);
    bar(story.starts[0], story.last_beat, Ink::Good);
    bar(story.last_beat, story.hung, Ink::Bad);
    bar(story.hung, story.exited, Ink::Waiting);
    bar(story.exited, story.starts[1], Ink::Axis);
    bar(story.starts[1], END, Ink::Good);
    for start in &story.starts[..2] {
        beats()
            .map(|age| start + age)
            .filter(|at| *at < END)
            .for_each(|at| drawing.dot(place(at), TOP - 9.0, 3.5, Ink::Good));
    }
    let y = TOP + HEIGHT + 14.0;
    drawing.line(&[(LEFT, y), (WIDTH - LEFT, y)], Ink::Axis);
    for second in (0..=END as u32).step_by(10) {
        drawing.text(place(f64::from(second)).clamp(LEFT + 6.0, WIDTH - LEFT - 12.0), y + 18.0, Anchor::Middle, second);
    }
    let lines = [
        (0.0, Ink::Good, "the command starts; each dot is a heartbeat".to_owned()),
        (story.last_beat, Ink::Bad, "the last heartbeat, then silence".to_owned()),
        (story.hung, Ink::Waiting, "20 s of silence: it hangs, and gets SIGTERM".to_owned()),
        (story.exited, Ink::Axis, "the command has left; the supervisor waits 1 s".to_owned()),
        (story.starts[1], Ink::Good, "the command starts again, and beats".to_owned()),
    ];
    let mut y = y + 22.0 + LINE;
    for (at, ink, words) in lines {
        drawing.bar(LEFT, y - 11.0, 12.0, 12.0, ink);
        drawing.text(LEFT + 66.0, y, Anchor::End, format_args!("{at:.0} s"));
        drawing.text(LEFT + 78.0, y, Anchor::Start, words);
        y += LINE + 3.0;
    }
    drawing.finish(y)
}

/// The ages at which a run beats.
fn beats() -> impl Iterator<Item = f64> {
    let Heartbeats { every, until } = BEHAVIOUR.heartbeats;
    (1..).map(move |count| every * count).take_while(move |age| *age <= until).map(|age| age.as_secs_f64())
}

/// Policies that are compared, as options of the supervisor.
const POLICIES: [(&str, Ink); 3] =
    [("", Ink::Bad), ("--max-backoff 60", Ink::Accent), ("--backoff-factor 0.1 --max-backoff 10", Ink::Good)];
const RESTARTS: u32 = 12;

/// The delay before each restart of a command that crashes at once.
fn backoff() -> String {
    const LEFT: f64 = 64.0;
    const TOP: f64 = 44.0;
    const BOTTOM: f64 = 264.0;
    let mut drawing = Drawing::new("The delay before each consecutive restart, under three policies");
    drawing.heading(12.0, 24.0, "Delay before each restart");
    let up = LogScale::new((0.1, 3600.0), (BOTTOM, TOP));
    let place = |restart: u32| LEFT + f64::from(restart - 1) / f64::from(RESTARTS - 1) * (WIDTH - LEFT - 20.0);
    for (seconds, words) in
        [(0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h")]
    {
        let y = up.place(seconds);
        drawing.line(&[(LEFT, y), (WIDTH - 12.0, y)], Ink::Axis);
        drawing.text(LEFT - 8.0, y + 5.0, Anchor::End, words);
    }
    for restart in 1..=RESTARTS {
        drawing.text(place(restart), BOTTOM + 20.0, Anchor::Middle, restart);
    }
    drawing.text((LEFT + WIDTH) / 2.0, BOTTOM + 42.0, Anchor::Middle, "consecutive restarts");
    let mut y = BOTTOM + 42.0 + LINE * 1.5;
    for (options, ink) in POLICIES {
        let delays = delays(options);
        let points: Vec<_> = (1..).zip(&delays).map(|(restart, delay)| (place(restart), up.place(*delay))).collect();
        drawing.line(&points, ink);
        points.iter().for_each(|(x, y)| drawing.dot(*x, *y, 3.0, ink));
        drawing.bar(12.0, y - 11.0, 12.0, 12.0, ink);
        drawing.text(32.0, y, Anchor::Start, if options.is_empty() { "the default: no ceiling" } else { options });
        y += LINE + 3.0;
    }
    drawing.finish(y)
}

/// The delays in seconds, from the machine itself.
fn delays(options: &str) -> Vec<f64> {
    // The options are ours, and a test reads them.
    let policy = supervisor_cli::policy(options.split_whitespace().map(Into::into)).unwrap_or_default();
    (0..RESTARTS).map(|made| policy.backoff.delay(made, 0).as_secs_f64()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_has_a_hang_and_a_second_start() {
        let story = story();
        assert_eq!(story.starts[..2], [0.0, 35.0]);
        assert_eq!((story.last_beat, story.hung, story.exited), (12.0, 32.0, 34.0));
    }

    #[test]
    fn the_options_of_the_curves_are_read() {
        for (options, _) in POLICIES {
            assert!(supervisor_cli::policy(options.split_whitespace().map(Into::into)).is_ok(), "{options}");
        }
        assert_eq!(delays("--max-backoff 60")[..8], [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    }
}
