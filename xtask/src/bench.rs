//! `cargo xtask bench`: this supervisor and its peers, side by side on the same command.

mod chart;
mod growth;
mod lateness;
mod measure;
mod own;
mod page;
mod peers;
mod results;
mod rig;
mod workload;

pub use rig::{PATIENCE, Rig};
pub use workload::{Behaviour, Kind};

use crate::workspace::{self, Linkage};
use clap::builder::PossibleValuesParser;
use measure::{Effort, Metric};
use own::Means;
use peers::{PEERS, Peer, Role};
use results::{Results, Samples};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What is measured, and how thoroughly.
#[derive(clap::Args)]
pub struct Options {
    /// Measure these peers only; without any, all that are installed
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = PossibleValuesParser::new(peers::names()))]
    peer: Vec<String>,
    /// Write the figures as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The supervisor that is measured, instead of the static one that is built
    #[arg(long, value_name = "PATH")]
    supervisor: Option<PathBuf>,
    /// A few rounds only, for a look; the page is not written
    #[arg(long)]
    quick: bool,
    /// Measure how costs grow instead: with restarts, descendants, and supervisors side by side
    #[arg(long)]
    growth: bool,
    /// Measure how late thousands of hangs are decided instead, on an idle machine and on a busy one
    #[arg(long, conflicts_with = "growth")]
    lateness: bool,
}

const THOROUGH: Effort = Effort { rounds: 15, window: Duration::from_secs(5), instances: 5, hangs: 200 };
const QUICK: Effort = Effort { rounds: 3, window: Duration::from_secs(2), instances: 2, hangs: 20 };

/// Measures, and writes what came of it.
pub fn run(options: Options) -> ExitCode {
    match measured(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measured(options: &Options) -> io::Result<()> {
    let own = match &options.supervisor {
        Some(path) => workspace::given(path)?,
        None => workspace::build_static(Linkage::available()?)?,
    };
    if options.growth {
        return growth::measure(&own, options.quick);
    }
    if options.lateness {
        return lateness::measure(&own, options.quick);
    }
    let by_cargo = workspace::build_release()?;
    let effort = if options.quick { QUICK } else { THOROUGH };
    let load = page::load();
    let (found, missing) = peers(options);
    missing.iter().for_each(|line| eprintln!("not measured: {line}"));
    let mut rig = Rig::build()?;
    let ours = [
        Turn::of_own(workspace::PROGRAM, &own, results::Kind::Own),
        Turn::of_own("by cargo", &by_cargo, results::Kind::OwnByCargo),
    ];
    let turns = ours.into_iter().chain(found.into_iter().map(Turn::of_peer)).collect();
    let results = results(&mut rig, turns, &own, effort)?;
    let text = page::figures(&results, &missing, &load);
    println!("{text}");
    if let Some(path) = &options.json {
        workspace::write(path, &format!("{:#}\n", results.json()))?;
    }
    if options.quick {
        return Ok(());
    }
    workspace::write(&workspace::root().join("docs/benchmarks.svg"), &chart::chart(&results))?;
    page::replace(page::Part::Figures, &text)
}

/// Those that are wanted and installed, and what is to be said of the others.
fn peers(options: &Options) -> (Vec<&'static Peer>, Vec<String>) {
    let wanted = |peer: &&Peer| options.peer.is_empty() || options.peer.iter().any(|name| name == peer.name);
    let (found, missing): (Vec<_>, Vec<_>) = PEERS.iter().filter(wanted).partition(|peer| peer.installed().is_some());
    let missing = missing.into_iter().map(|peer| format!("{}: {}", peer.name, peer.how_to_install()));
    (found, missing.collect())
}

/// One that is measured, and what becomes known of it.
struct Turn {
    subject: rig::Subject,
    known: results::Subject,
    is_left_out: bool,
}

impl Turn {
    fn of_own(name: &'static str, program: &Path, kind: results::Kind) -> Turn {
        let subject = rig::Subject::Own { name, program: program.to_owned() };
        Turn::new(subject, String::new(), kind)
    }

    fn of_peer(peer: &'static Peer) -> Turn {
        let kind = match peer.role {
            Role::Init => results::Kind::Init,
            Role::Supervisor => results::Kind::Supervisor,
            Role::Loop => results::Kind::Loop,
        };
        Turn::new(rig::Subject::Peer(peer), peer.version(), kind)
    }

    fn new(subject: rig::Subject, version: String, kind: results::Kind) -> Turn {
        let known = results::Subject { name: subject.name(), version, kind, samples: Samples::default() };
        Turn { subject, known, is_left_out: false }
    }

    /// One round. A peer that does not work here is left out; this supervisor must work.
    fn play(&mut self, rig: &mut Rig, effort: Effort, round: usize) -> io::Result<()> {
        if self.is_left_out {
            return Ok(());
        }
        let measured = self.measure(rig);
        let observed = measured.and_then(|()| if round < OBSERVATIONS { self.observe(rig, effort) } else { Ok(()) });
        let Err(error) = observed else { return Ok(()) };
        rig.clear();
        let error = io::Error::new(error.kind(), format!("{}: {error}", self.subject.name()));
        match self.subject {
            rig::Subject::Own { .. } => Err(error),
            rig::Subject::Peer(_) => {
                eprintln!("not measured any further: {error}");
                self.is_left_out = true;
                Ok(())
            }
        }
    }

    /// What costs little, so that it can be done often.
    fn measure(&mut self, rig: &mut Rig) -> io::Result<()> {
        let start = measure::start(rig, &self.subject)?;
        self.known.samples.add(Metric::Start, [start]);
        match measure::tree_gone(rig, &self.subject)? {
            Some(took) => self.known.samples.add(Metric::TreeGone, [took]),
            None => self.known.samples.survived += 1,
        }
        Ok(())
    }

    /// What needs a window of time.
    fn observe(&mut self, rig: &mut Rig, effort: Effort) -> io::Result<()> {
        let idle = measure::idle(rig, &self.subject, effort.window)?;
        let samples = &mut self.known.samples;
        samples.add(Metric::PrivateDirty, [idle.private_dirty]);
        samples.add(Metric::Processes, [idle.processes]);
        samples.add(Metric::Threads, [idle.threads]);
        samples.add(Metric::Switches, [idle.switches]);
        samples.add(Metric::Further, [measure::further(rig, &self.subject, effort.instances)?]);
        if self.known.kind != results::Kind::Init {
            samples.add(Metric::Restart, measure::restarts(rig, &self.subject, effort.window)?);
        }
        Ok(())
    }
}

/// Observations are made three times: what they find hardly differs.
const OBSERVATIONS: usize = 3;

/// Everything, in turns.
fn results(rig: &mut Rig, mut turns: Vec<Turn>, own: &Path, effort: Effort) -> io::Result<Results> {
    for round in 0..effort.rounds {
        eprintln!("round {} of {}", round + 1, effort.rounds);
        for turn in &mut turns {
            turn.play(rig, effort, round)?;
        }
    }
    let sized = |mut turn: Turn| {
        let size = turn.subject.program().and_then(|program| measure::size(&program));
        turn.known.samples.add(Metric::Size, size);
        turn.known
    };
    eprintln!("hangs, heartbeats, and the machine by itself");
    Ok(Results {
        file: own::hangs(rig, own, Means::File, effort.hangs)?,
        notify: own::hangs(rig, own, Means::Notify, effort.hangs)?,
        tick: own::tick(),
        beating: own::beating(rig, own, effort)?,
        walk: own::walk(),
        machine: own::machine()?,
        subjects: turns.into_iter().map(sized).collect(),
    })
}
