//! `cargo xtask simulate`: the loop of production on virtual time.

use crate::{svg, workspace};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant as WallClock};
use supervisor_core::sim::{Activity, Ledger, Service, SimBackend};
use supervisor_core::{Event, Instant, Jitter, Outcome, Policy, Watchdog};

/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);

/// What is simulated.
#[derive(clap::Args)]
pub struct Options {
    /// Decides all that is random: the same seed gives the same life, byte for byte
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the service is kept alive before it is stopped
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    days: u32,
    /// Where the timeline is drawn
    ///
    /// [default: simulation.svg in cargo's target folder]
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// Options of supervisor, to the end of the line: --policy --timeout 5 --max-restarts 3
    #[arg(long, num_args = 0.., allow_hyphen_values = true, value_name = "OPTIONS")]
    policy: Vec<OsString>,
}

/// One simulated life.
pub struct Life {
    /// How it ended.
    pub outcome: Outcome,
    /// Where its time went.
    pub ledger: Ledger,
    /// How many facts the machine was told.
    pub events: u64,
}

/// Simulates, tells and draws.
pub fn run(options: Options) -> ExitCode {
    let policy = match supervisor_cli::policy(options.policy) {
        Ok(policy) => policy,
        Err(message) => {
            eprintln!("xtask: --policy: {message}");
            return ExitCode::FAILURE;
        }
    };
    let watchdog = policy.watchdog;
    let begun = WallClock::now();
    let life = live(policy, options.seed, DAY * options.days);
    let took = begun.elapsed();
    let mut told = summary(&life);
    if watchdog == Watchdog::Off {
        told.push_str("\nnote                without hang detection a command that hangs counts as up");
    }
    let drawing = drawing(&life, &format!("seed {}, {} days", options.seed, options.days));
    match options.svg.map_or_else(place, Ok).and_then(|place| workspace::write(&place, &drawing).map(|()| place)) {
        // A reader that has closed standard output has read enough.
        Ok(place) => drop(writeln!(std::io::stdout(), "{told}\ntimeline            {}", place.display())),
        Err(error) => {
            eprintln!("xtask: {error}");
            return ExitCode::FAILURE;
        }
    }
    // On standard error: what the clock on the wall says is not the same each time.
    let virtual_years = life.ledger.end().since_origin().as_secs_f64() / 365.25 / DAY.as_secs_f64();
    let took = took.as_secs_f64();
    eprintln!(
        "{:.1} virtual years a second, {:.1} million events a second",
        virtual_years / took,
        life.events as f64 / took / 1e6
    );
    ExitCode::SUCCESS
}

fn place() -> io::Result<PathBuf> {
    Ok(workspace::target()?.join("simulation.svg"))
}

fn drawing(life: &Life, title: &str) -> String {
    svg::timeline(&life.ledger, title, &availability(&life.ledger))
}

/// The account in one sentence.
fn availability(ledger: &Ledger) -> String {
    let (up, outage) = (share(ledger, Activity::Up), human(ledger.longest_outage()));
    let counted = |count: u64, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    let (hangs, restarts) = (counted(ledger.hangs, "hang"), counted(ledger.restarts, "restart"));
    format!("The command was up {up:.4} % of the time, with {hangs} and {restarts}; the longest outage took {outage}.")
}

/// Of the whole time, in percent.
fn share(ledger: &Ledger, activity: Activity) -> f64 {
    // A life may be over at once.
    let seconds = ledger.end().since_origin().as_secs_f64().max(f64::MIN_POSITIVE);
    100.0 * ledger.spent(activity).as_secs_f64() / seconds
}

/// Keeps a random service alive for so long.
pub fn live(mut policy: Policy, seed: u64, span: Duration) -> Life {
    policy.backoff.jitter = Jitter { seed, ..policy.backoff.jitter };
    let service = Service { seed };
    let stop = (Instant::ORIGIN + span, Event::Stop);
    let mut world = SimBackend::new(|run| service.behaviour(run), [stop]);
    let mut ledger = Ledger::default();
    let outcome = supervisor_core::run(policy, &mut world, &mut ledger);
    Life { outcome, events: world.events(), ledger }
}

fn summary(Life { outcome, ledger, events }: &Life) -> String {
    let total = ledger.end().since_origin();
    let share = |activity| share(ledger, activity);
    let mut lines = vec![
        format!("simulated           {}", human(total)),
        format!("availability        {:.4} %", share(Activity::Up)),
        format!("starts              {} ({} failed)", ledger.starts, ledger.failed_starts),
        format!("restarts            {}", ledger.restarts),
        format!("exits               {}", ledger.exits),
        format!("hangs               {}", ledger.hangs),
        format!("kills               {}", ledger.kills),
        format!("longest outage      {}", human(ledger.longest_outage())),
    ];
    let spent = |(words, activity)| format!("{words} {} ({:.4} %)", human(ledger.spent(activity)), share(activity));
    lines.extend(
        [
            ("lost to starting   ", Activity::Starting),
            ("lost to silence    ", Activity::Silent),
            ("lost to stopping   ", Activity::Ending),
            ("lost to backoff    ", Activity::BackingOff),
        ]
        .map(spent),
    );
    lines.push(format!("events              {events}"));
    lines.push(format!("outcome             {outcome:?}"));
    lines.join("\n")
}

/// The two largest units that say something.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.3} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_words_and_the_same_drawing() {
        let told = |seed| {
            let life = live(Policy::default(), seed, DAY * 3);
            (summary(&life), drawing(&life, "a life"))
        };
        assert_eq!(told(1), told(1));
        assert_ne!(told(1), told(2));
    }
}
