//! `cargo xtask chaos`: real supervisors of real commands, and faults at random. It ends with an account of everything.

mod account;
mod audit;
mod fault;
mod life;
mod place;

use crate::processes;
use account::Account;
use fault::Fault;
use life::{Last, Life};
use place::Place;
use rustix::process::Signal;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long, how many, and which chaos.
#[derive(clap::Args)]
pub struct Options {
    /// How long faults are injected
    #[arg(long, default_value_t = 0.25, value_parser = minutes)]
    minutes: f64,
    /// Decides which faults come, and what the commands do. The machine's own timing is never the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many supervisors work side by side
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=100))]
    supervisors: u8,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes| (0.01..=1440.0).contains(minutes));
    minutes.ok_or_else(|| "give a number of minutes from 0.01 to 1440".to_owned())
}

/// Longer than any end takes here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two faults, at most, in milliseconds.
const PAUSE: u64 = 150;

/// Injects faults, and accounts for all.
pub fn run(options: Options) -> ExitCode {
    match play(&options) {
        Ok(account) => {
            println!("{}", account.summary());
            if account.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(options: &Options) -> io::Result<Account> {
    // What a killed supervisor leaves behind comes to this process, so that nothing is overlooked.
    processes::adopt()?;
    let mut dice = fastrand::Rng::with_seed(options.seed);
    let mut account = Account::default();
    let folder = tempfile::tempdir()?;
    let places = place::make(folder.path(), options.supervisors)?;
    let mut lives = Vec::new();
    for place in places {
        lives.push(Life::begin(place, &mut dice, &mut account)?);
    }
    let end = Instant::now() + Duration::from_secs_f64(options.minutes * 60.0);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(dice.u64(0..PAUSE)));
        let chosen = dice.usize(..lives.len());
        let fault = Fault::draw(&mut dice);
        account.injected(&fault);
        let Some(last) = lives[chosen].suffer(fault, &mut dice) else { continue };
        let life = lives.swap_remove(chosen);
        let place = settle(life, last, &lives, &mut account)?;
        lives.push(Life::begin(place, &mut dice, &mut account)?);
    }
    while let Some(life) = lives.pop() {
        settle(life, Last::Asked(Signal::TERM), &lives, &mut account)?;
    }
    Ok(account)
}

/// Ends a life beside others, and holds it to account.
fn settle(life: Life, last: Last, others: &[Life], account: &mut Account) -> io::Result<Place> {
    let others: Vec<i32> = others.iter().map(Life::supervisor).collect();
    life.settle(last, &others, account)
}

/// Polls, since what is waited for is seen in /proc and in files. Tells whether it came in time.
fn wait_until(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
