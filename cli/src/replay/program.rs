//! The program `supervisor-replay`.

use super::heading::{closing, title};
use super::life::Life;
use super::moment::Moment;
use super::story::{Decision, Kind};
use super::words::{clock, day};
use super::{Log, page};
use crate::exit_code;
use crate::options::{VERSION, wrong};
use crate::report::display::Escaped;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Tell what a supervisor did, and why, from its log
#[derive(Parser)]
#[command(name = "supervisor-replay", version = VERSION, args_override_self = true, max_term_width = 100, after_help = after_help())]
#[command(override_usage = "supervisor-replay [--at <TIME>] [--html <FILE>] <LOG>")]
struct Options {
    /// A log that `supervisor --log-format json` wrote, or - for standard input. With -v the log also holds
    /// the facts behind each decision: they are played again, and the decisions are checked
    #[arg(value_name = "LOG")]
    log: PathBuf,
    /// Tell only what led to this moment: a time in UTC such as 12:03, 12:03:07 or 2026-11-24T12:03:07Z
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    at: Option<Moment>,
    /// Also write a page for a browser, which tells the whole log
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Each exit code, and when the program ends with it.
pub const EXIT_CODES: [(&str, &str); 3] = [
    ("0", "the log was told"),
    ("1", "the log cannot be read, or its facts, played again, lead to other decisions"),
    ("2", "wrong usage"),
];

/// Command lines, and what they do.
pub const EXAMPLES: [(&str, &str); 2] = [
    ("supervisor-replay /var/log/worker.jsonl --at 03:12", "tells what led to that moment"),
    ("journalctl -u worker -o cat | supervisor-replay - --html night.html", "also draws a page with the timeline"),
];

fn after_help() -> String {
    let rows = |title: &str, rows: &[(&str, &str)]| {
        let rows = rows.iter().map(|(name, meaning)| format!("\n  {name}: {meaning}"));
        format!("{title}{}", rows.collect::<String>())
    };
    format!("{}\n\n{}", rows("Exit codes:", &EXIT_CODES), rows("Examples:", &EXAMPLES))
}

/// The options, for manual pages and completions.
pub fn parser() -> clap::Command {
    Options::command()
}

/// The program: `supervisor-replay [--at <TIME>] [--html <FILE>] <LOG>`.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let (message, code) = match Options::try_parse_from(&arguments) {
        Ok(options) => match tell(&options) {
            Ok(code) => return code,
            Err(message) => (message, ExitCode::FAILURE),
        },
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // A reader that has closed standard output does not want to read it.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => (wrong_usage(&error, &arguments), ExitCode::from(exit_code::USAGE)),
    };
    let _ = writeln!(std::io::stderr(), "supervisor-replay: {message}");
    code
}

fn wrong_usage(error: &clap::Error, arguments: &[OsString]) -> String {
    const NOTHING_GIVEN: &str = "no log given: supervisor-replay [--at <TIME>] [--html <FILE>] <LOG>";
    let words = wrong::one_line(error, arguments, &parser(), NOTHING_GIVEN);
    format!("{} (see supervisor-replay --help)", Escaped(&words))
}

fn tell(options: &Options) -> Result<ExitCode, String> {
    let name = name(&options.log);
    if let Some(file) = options.html.as_ref().filter(|file| is_same(file, &options.log)) {
        return Err(format!(
            "--html {}: this is the log itself; give another path",
            Escaped(&file.display().to_string())
        ));
    }
    let text = read(&options.log).map_err(|error| format!("{name}: cannot read the log: {error}"))?;
    let log = Log::read(&text).map_err(|message| format!("{name}: {message}"))?;
    // A reader that has closed standard output does not want to read more.
    let _ = std::io::stdout().write_all(words(&log, options.at).as_bytes());
    if let Some(file) = &options.html {
        std::fs::write(file, page::page(&log)).map_err(|error| {
            let file = file.display().to_string();
            format!("--html {}: cannot write the page: {error}", Escaped(&file))
        })?;
        let _ = writeln!(std::io::stdout(), "The page with the timeline: {}", Escaped(&file.display().to_string()));
    }
    match log.difference() {
        Some(difference) => Err(format!("{name}: {difference}")),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Whether both paths lead to one file.
fn is_same(file: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((identity(file), identity(other)), (Ok(file), Ok(other)) if file == other)
}

fn name(log: &Path) -> String {
    let is_standard_input = log == "-";
    if is_standard_input { "standard input".to_owned() } else { Escaped(&log.display().to_string()).to_string() }
}

fn read(log: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    match OsString::from(log) {
        name if name == "-" => std::io::stdin().read_to_end(&mut bytes)?,
        name => std::fs::File::open(name)?.read_to_end(&mut bytes)?,
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A whole log, or what led to a moment, in lines.
pub fn words(log: &Log, at: Option<Moment>) -> String {
    let mut words = String::new();
    for life in &log.lives {
        let told = match at {
            Some(moment) => led_to(life, moment),
            None => &life.decisions[..],
        };
        let _ = writeln!(words, "{}", title(life));
        if let Some(end) = at.map(|moment| moment.end(life.from, life.to)) {
            let moment = format!("{} {} UTC", day(end), clock(end));
            let heading = match (told.is_empty(), end < life.from) {
                (false, _) => format!("What led to {moment}:"),
                (true, true) => format!("{moment} is before this log begins."),
                (true, false) => format!("By {moment} the supervisor had decided nothing."),
            };
            let _ = writeln!(words, "{heading}");
        }
        told.iter().for_each(|decision| {
            let _ = writeln!(words, "{} {}  {}", day(decision.time), clock(decision.time), decision.words);
        });
        let _ = writeln!(words, "{}\n", closing(life));
    }
    words
}

/// What led to a moment: its run from the start on, and the run before where nothing has happened since that start.
fn led_to(life: &Life, moment: Moment) -> &[Decision] {
    let end = moment.end(life.from, life.to);
    let told = &life.decisions[..life.decisions.partition_point(|decision| decision.time <= end)];
    let before_last = &told[..told.len().saturating_sub(1)];
    let start = before_last.iter().rposition(|decision| decision.kind == Kind::Start).unwrap_or(0);
    &told[start..]
}
