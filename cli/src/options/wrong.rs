//! Wrong usage, as clap finds it, in one line that names the option, the value and the remedy.

use super::hints;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The words of a clap error, without its usage block; `nothing_given` where what the program is for is missing.
pub fn one_line(error: &clap::Error, parser: &clap::Command, nothing_given: &str) -> String {
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
        return unknown(argument, parser);
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

fn unknown(argument: &str, parser: &clap::Command) -> String {
    if !argument.starts_with('-') {
        return format!("there is one word too many: {argument}");
    }
    let options: Vec<_> = parser.get_arguments().filter_map(|option| option.get_long()).collect();
    let name = argument.strip_prefix("--").unwrap_or_default().split('=').next().unwrap_or_default();
    let hint = hints::did_you_mean_option(name, options.into_iter().chain(["help", "version"]));
    format!("there is no option {argument}{hint}")
}
