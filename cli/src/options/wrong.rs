//! Wrong usage, as clap finds it, in one line that names the option, the value and the remedy.

use super::hints;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// The words of a clap error about these arguments, without its usage block; `nothing_given` where what the program is
/// for is missing.
pub fn one_line(error: &clap::Error, arguments: &[OsString], parser: &clap::Command, nothing_given: &str) -> String {
    if error.kind() == ErrorKind::MissingRequiredArgument {
        return nothing_given.to_owned();
    }
    if let (ErrorKind::InvalidValue, Some(ContextValue::String(option))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && error.get(ContextKind::InvalidValue).is_none_or(|value| value.to_string().is_empty())
    {
        return format!("a value is missing for '{option}'");
    }
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(argument))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        return unknown(argument, arguments, parser);
    }
    if let (ErrorKind::TooManyValues, Some(ContextValue::String(option))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        return format!("{option} takes no value: leave out the = and what follows it");
    }
    let text = error.to_string();
    let words = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<_> = words.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    words.join("; ").trim_start_matches("error: ").to_owned()
}

/// An option that is written with one dash, which makes a row of letters of it: `-heartbeat-file` would ask for help.
pub fn one_dash_too_few(arguments: &[OsString], parser: &clap::Command) -> Option<String> {
    let is_option = |word: &&str| parser.get_arguments().any(|option| option.get_long() == Some(&word[1..]));
    let word = behind_one_dash(arguments).find(is_option)?;
    Some(format!("there is no option {word}; did you mean -{word}?"))
}

/// Without what follows a `=`.
fn behind_one_dash(arguments: &[OsString]) -> impl Iterator<Item = &str> {
    let words = arguments.iter().filter_map(|word| word.to_str()?.split('=').next());
    words.filter(|word| word.len() > 2 && word.starts_with('-') && !word.starts_with("--"))
}

fn unknown(argument: &str, arguments: &[OsString], parser: &clap::Command) -> String {
    if !argument.starts_with('-') {
        return format!("there is one word too many: {argument}");
    }
    let options: Vec<_> = parser.get_arguments().filter_map(|option| option.get_long()).collect();
    let hint = |written: &str| {
        let known = options.iter().copied().chain(["help", "version"]);
        hints::did_you_mean_option(written.trim_start_matches('-'), known)
    };
    if argument.starts_with("--") {
        return format!("there is no option {argument}{}", hint(argument));
    }
    let letter = argument.trim_start_matches('-');
    let mut words = behind_one_dash(arguments).filter(|word| word.contains(letter)).map(|word| (word, hint(word)));
    match words.find(|(_, hint)| !hint.is_empty()) {
        Some((word, hint)) => format!("there is no option {word}{hint}"),
        None => format!("there is no option {argument}"),
    }
}
