//! `cargo xtask docs`: the man page and the README's table of options, from the one definition of the options.

use crate::{choices, man_page, workspace};
use std::path::PathBuf;
use std::process::ExitCode;
use supervisor_cli::help::{ENVIRONMENT, EXIT_CODES, FILES, SIGNALS, VARIABLES};

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
    workspace::root().join(name)
}

fn read(name: &str) -> Result<String, String> {
    std::fs::read_to_string(path(name)).map_err(|error| error.to_string())
}

/// A table of the README, between two comments that name it.
struct Table {
    name: &'static str,
    rows: fn() -> String,
    place: Place,
}

/// Whether the README has it.
enum Place {
    /// It must.
    Required,
    /// As its author likes.
    Optional,
}

const TABLES: [Table; 6] = [
    Table { name: "options", rows: options, place: Place::Required },
    Table { name: "exit codes", rows: || table(["exit code", "when"], &EXIT_CODES), place: Place::Required },
    Table { name: "variables", rows: variables, place: Place::Optional },
    Table { name: "environment", rows: || table(["variable", "meaning"], &ENVIRONMENT), place: Place::Optional },
    Table { name: "signals", rows: || table(["signal", "what the supervisor does"], &SIGNALS), place: Place::Optional },
    Table { name: "files", rows: || table(["file", "what it is"], &FILES), place: Place::Optional },
];

fn readme() -> Result<String, String> {
    TABLES.iter().try_fold(read("README.md")?, |text, table| table.write_into(&text))
}

impl Table {
    fn write_into(&self, text: &str) -> Result<String, String> {
        let name = self.name;
        let (begin, end) = (format!("<!-- {name}: cargo xtask docs -->\n"), format!("<!-- end of {name} -->\n"));
        match (text.split_once(&begin), &self.place) {
            (Some((before, rest)), _) => {
                let (_, after) = rest.split_once(&end).ok_or(format!("its table of {name} has no end"))?;
                Ok(format!("{before}{begin}{}{end}{after}", (self.rows)()))
            }
            (None, Place::Optional) => Ok(text.to_owned()),
            (None, Place::Required) => Err(format!("its table of {name} has no beginning")),
        }
    }
}

fn options() -> String {
    let rows = listed().into_iter().map(|option| {
        let meaning = option.get_help().map(ToString::to_string).unwrap_or_default();
        format!("| `{}` | {} | {} |\n", cell(&names(&option)), default(&option), prose(&meaning))
    });
    format!("| option | default | meaning |\n| --- | --- | --- |\n{}", rows.collect::<String>())
}

fn variables() -> String {
    let names = VARIABLES.map(|(names, value)| (format!("`{}`", names.replace(", ", "` `")), value));
    let rows: Vec<_> = names.iter().map(|(names, value)| (names.as_str(), *value)).collect();
    table(["variable", "value"], &rows)
}

fn table([first, second]: [&str; 2], rows: &[(&str, &str)]) -> String {
    let rows = rows.iter().map(|(first, second)| format!("| {} | {} |\n", prose(first), prose(second)));
    format!("| {first} | {second} |\n| --- | --- |\n{}", rows.collect::<String>())
}

/// Text in a table that is not code: what stands in angle brackets would be taken for HTML.
fn prose(text: &str) -> String {
    cell(text).replace('<', "\\<")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// All but the command itself.
fn listed() -> Vec<clap::Arg> {
    choices::documented().get_arguments().filter(|option| option.get_long().is_some()).cloned().collect()
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
    let page = man_page::render().map_err(|error| error.to_string())?;
    String::from_utf8(page).map_err(|error| error.to_string())
}

/// The translation is made by hand; it must not miss an option, or tell another default.
fn translation() -> Result<String, String> {
    let text = read("README.ru.md")?;
    for option in listed() {
        let name = format!("--{}", option.get_long().unwrap_or_default());
        // Other tables may name an option, too.
        let mut rows = text.lines().filter(|line| line.starts_with('|') && line.split(" | ").count() == 3);
        let row = rows.find(|row| row.split(['`', ' ', ',']).any(|word| word == name));
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
