//! `cargo xtask faults`: each system call of a supervisor and its keepers fails once, in each way that its manual page
//! names, and the command is held to be supervised all the same.

mod calls;
mod life;
mod plan;
mod play;
mod tracer;
mod verdict;

use calls::Call;
use clap::builder::PossibleValuesParser;
use life::{LIVES, Life};
use nix::errno::Errno;
use plan::Trial;
use play::Theatre;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, io, thread};
use tracer::{Injection, Role};
use verdict::{Reference, accepted, complaints};

/// Which faults, into what.
#[derive(clap::Args)]
pub struct Options {
    /// Only in this life
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(LIVES.iter().map(|life| life.name)))]
    life: Option<String>,
    /// Only calls of this process
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// Only this system call
    #[arg(long, value_name = "NAME", value_parser = call_of)]
    call: Option<&'static Call>,
    /// Only this error, such as ENOMEM
    #[arg(long, value_name = "NAME", value_parser = errno_of)]
    errno: Option<Errno>,
    /// Only this one of the calls, counted from 1
    #[arg(long, value_name = "COUNT")]
    occurrence: Option<u64>,
    /// Of each call in each process, so many occurrences are chosen
    #[arg(long, value_name = "COUNT", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..))]
    most: u64,
    /// End after so many seconds, whatever is left to do
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Decides which come first
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many lives are lived side by side; four for each processor if it is not given
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// The supervisor that suffers, instead of the one that is built
    #[arg(long, value_name = "PATH")]
    supervisor: Option<PathBuf>,
}

fn call_of(name: &str) -> Result<&'static Call, String> {
    Call::named(name).ok_or_else(|| "xtask/src/faults/calls.rs does not know this call".to_owned())
}

fn errno_of(name: &str) -> Result<Errno, String> {
    calls::errno(name).ok_or_else(|| "give a name, such as ENOMEM".to_owned())
}

/// How often a life is lived without a fault, to know what it comes to, ...
const REHEARSALS: usize = 3;
/// ... and how often that is tried: on a busy machine one may come to something else.
const ATTEMPTS: usize = 3;

/// What all trials came to.
#[derive(Default)]
struct Account {
    injected: u64,
    missed: u64,
    calls: BTreeSet<&'static str>,
    roles: BTreeMap<Role, u64>,
    accepted: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
}

/// Injects faults, and tells what became of them.
pub fn run(options: Options) -> ExitCode {
    match play(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: system calls cannot be followed here: {error}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(options: &Options) -> io::Result<usize> {
    let begun = Instant::now();
    let until = options.seconds.map(|seconds| begun + Duration::from_secs(seconds));
    let theatre = Theatre::build(&supervisor(options)?)?;
    let references = rehearse(&theatre, &plan::lives(options))?;
    let trials = plan::trials(options, &references).map_err(io::Error::other)?;
    let account = Mutex::new(Account::default());
    let next = AtomicUsize::new(0);
    let is_over = || until.is_some_and(|until| Instant::now() >= until);
    thread::scope(|scope| {
        for _ in 0..jobs(options) {
            scope.spawn(|| {
                while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !is_over()) {
                    attempt(&theatre, trial, &account);
                }
            });
        }
    });
    let account = account.into_inner().unwrap_or_else(PoisonError::into_inner);
    account.print(trials.len(), begun.elapsed());
    Ok(account.failures.len())
}

fn supervisor(options: &Options) -> io::Result<PathBuf> {
    match &options.supervisor {
        Some(path) => Ok(path.clone()),
        None => Ok(env::current_exe()?.with_file_name(crate::workspace::PROGRAM)),
    }
}

fn jobs(options: &Options) -> usize {
    options.jobs.unwrap_or_else(|| 4 * thread::available_parallelism().map_or(1, usize::from))
}

/// Each life without a fault.
fn rehearse(theatre: &Theatre, lives: &[&'static Life]) -> io::Result<Vec<(&'static Life, Reference)>> {
    let attempt = |life: &'static Life| {
        let played = (0..REHEARSALS).map(|_| theatre.play(life, None)).collect::<io::Result<Vec<_>>>()?;
        Ok((life, Reference::of(life, &played).map_err(io::Error::other)?))
    };
    let rehearse = |life| (1..ATTEMPTS).find_map(|_| attempt(life).ok()).map_or_else(|| attempt(life), Ok);
    thread::scope(|scope| {
        let rehearsals: Vec<_> = lives.iter().map(|life| scope.spawn(|| rehearse(life))).collect();
        let broken = |_| io::Error::other("a rehearsal panicked");
        rehearsals.into_iter().map(|rehearsal| rehearsal.join().map_err(broken)?).collect()
    })
}

/// Plays one life with a fault, and judges it.
fn attempt(theatre: &Theatre, trial: &Trial<'_>, account: &Mutex<Account>) {
    let Trial { life, reference, fault } = trial;
    let played = theatre.play(life, Some(fault));
    let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
    let played = match played {
        Ok(played) => played,
        Err(error) => return account.fail(format!("--life {} {fault}: {error}", life.name)),
    };
    if played.trace.injection == Injection::Missed {
        account.missed += 1;
        return;
    }
    account.injected += 1;
    account.calls.insert(fault.call.name);
    *account.roles.entry(fault.role).or_default() += 1;
    for complaint in complaints(life, reference, &played) {
        match accepted(life, fault, &played, &complaint) {
            Some(why) => *account.accepted.entry(why).or_default() += 1,
            None => account.fail(format!("--life {} {fault}: {complaint}\n{}", life.name, indented(&played.log))),
        }
    }
}

fn indented(log: &str) -> String {
    log.lines().map(|line| format!("    {line}\n")).collect()
}

impl Account {
    /// Told at once: there may be many more to come.
    fn fail(&mut self, failure: String) {
        println!("FAILED  {failure}");
        self.failures.push(failure);
    }

    fn print(&self, planned: usize, took: Duration) {
        let roles: Vec<_> = self.roles.iter().map(|(role, count)| format!("{role:?} {count}")).collect();
        println!("faults injected   {} of {planned}: {}", self.injected, roles.join(", "));
        println!("system calls      {}", self.calls.len());
        println!("not reached       {}", self.missed);
        for (why, count) in &self.accepted {
            println!("accepted          {count}: {why}");
        }
        println!("failures          {}", self.failures.len());
        println!("duration          {:.1} s", took.as_secs_f64());
    }
}
