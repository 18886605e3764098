//! `cargo xtask docs`: the man page and the README's table of options, from the one definition of the options.

use std::path::PathBuf;
use std::process::ExitCode;
use supervisor_cli::help::{EXIT_CODES, VARIABLES};

/// What is to be done.
#[derive(clap::Args)]
pub struct Options {
    /// Write nothing, and fail if something would be written
    #[arg(long)]
    check: bool,
}

/// Writes them, or checks that they are up to date.
pub fn run(options: Options) -> ExitCode {
    let results = [("README.md", readme()), ("cli/supervisor.1", man_page()), ("README.ru.md", translation())];
    let mut code = ExitCode::SUCCESS;
    for (name, result) in results {
        let outcome = result.and_then(|text| settle(name, &text, options.check));
        if let Err(message) = outcome {
            eprintln!("xtask: {name}: {message}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn settle(name: &str, text: &str, check: bool) -> Result<(), String> {
    let current = read(name).unwrap_or_default();
    match (current == text, check) {
        (true, _) => Ok(()),
        (false, true) => Err("is not up to date: run cargo xtask docs".to_owned()),
        (false, false) => std::fs::write(path(name), text).map_err(|error| error.to_string()),
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name)
}

fn read(name: &str) -> Result<String, String> {
    std::fs::read_to_string(path(name)).map_err(|error| error.to_string())
}

/// The tables of the README, each between two comments that name it.
fn readme() -> Result<String, String> {
    let mut text = read("README.md")?;
    for (name, table) in [("options", options()), ("variables", variables()), ("exit codes", exit_codes())] {
        let (begin, end) = (format!("<!-- {name}: cargo xtask docs -->\n"), format!("<!-- end of {name} -->\n"));
        let (before, rest) = text.split_once(&begin).ok_or(format!("its table of {name} has no beginning"))?;
        let (_, after) = rest.split_once(&end).ok_or(format!("its table of {name} has no end"))?;
        text = format!("{before}{begin}{table}{end}{after}");
    }
    Ok(text)
}

fn options() -> String {
    let mut table = "| option | default | meaning |\n| --- | --- | --- |\n".to_owned();
    for option in listed() {
        let (names, default) = (names(&option), default(&option));
        let meaning = option.get_help().map(ToString::to_string).unwrap_or_default();
        table += &format!("| `{names}` | {default} | {meaning} |\n");
    }
    table
}

fn variables() -> String {
    let rows = VARIABLES.iter().map(|(names, value)| format!("| `{}` | {value} |\n", names.replace(", ", "` `")));
    format!("| variable | value |\n| --- | --- |\n{}", rows.collect::<String>())
}

fn exit_codes() -> String {
    let rows = EXIT_CODES.iter().map(|(code, meaning)| format!("| {code} | {meaning} |\n"));
    format!("| exit code | when |\n| --- | --- |\n{}", rows.collect::<String>())
}

/// All but the command itself.
fn listed() -> Vec<clap::Arg> {
    supervisor_cli::parser().get_arguments().filter(|option| option.get_long().is_some()).cloned().collect()
}

fn names(option: &clap::Arg) -> String {
    let short = option.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let long = option.get_long().unwrap_or_default();
    let takes_value = option.get_action().takes_values();
    let value = option.get_value_names().filter(|_| takes_value).and_then(|names| names.first());
    let value = value.map(|value| format!(" <{value}>")).unwrap_or_default();
    format!("{short}--{long}{value}")
}

fn default(option: &clap::Arg) -> String {
    let values = option.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
    if option.get_action().takes_values() { values.collect::<Vec<_>>().join(" ") } else { String::new() }
}

fn man_page() -> Result<String, String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(supervisor_cli::parser()).render(&mut page).map_err(|error| error.to_string())?;
    String::from_utf8(page).map_err(|error| error.to_string())
}

/// The translation is made by hand; it must not miss an option, or tell another default.
fn translation() -> Result<String, String> {
    let text = read("README.ru.md")?;
    for option in listed() {
        let name = format!("--{}", option.get_long().unwrap_or_default());
        let row =
            text.lines().find(|line| line.starts_with('|') && line.split(['`', ' ', ',']).any(|word| word == name));
        let row = row.ok_or(format!("has no row for {name}"))?;
        let default = default(&option);
        let cell = row.replace("\\|", "").split('|').nth(2).unwrap_or_default().trim().trim_matches('`').to_owned();
        if !default.is_empty() && cell != default {
            return Err(format!("the default of {name} is {default}, not {cell}"));
        }
    }
    let variables = VARIABLES.iter().flat_map(|(names, _)| names.split(", "));
    let codes = EXIT_CODES.iter().map(|(code, _)| *code).filter(|code| code.starts_with(|c: char| c.is_ascii_digit()));
    if let Some(missing) = variables.chain(codes).find(|words| !text.contains(words)) {
        return Err(format!("does not tell of {missing}"));
    }
    Ok(text)
}
