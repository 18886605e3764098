//! `RUST_LOG`, which other programs read too.

use super::records::assert_record;
use crate::report::Troubles;
use crate::sinks::Verbosity;
use crate::sinks::log::TARGET;
use crate::sinks::log::filter::choose;
use env_filter::{Builder, Filter};
use log::{Level, LevelFilter, Metadata};

/// A program that no filter names: no variable holds a NUL.
const NOBODY: &str = "\0";

/// The first byte says how much is logged without it.
pub fn rust_log(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first().filter(|(_, rest)| !rest.contains(&0)) else { return };
    let (verbosity, own) = match first % 4 {
        0 => (Verbosity::Quiet, "warn"),
        1 => (Verbosity::Normal, "info"),
        2 => (Verbosity::Verbose, "debug"),
        _ => (Verbosity::Trace, "trace"),
    };
    let variable = String::from_utf8_lossy(rest).into_owned();
    let (troubles, received) = Troubles::channel();
    let chosen = choose(Some(variable.clone()), verbosity);
    match (&chosen, filter(&variable)) {
        (Ok(chosen), Some(filter)) if *chosen == variable => {
            let is_as_written = level(&filter, TARGET) == level_of(&variable);
            assert!(is_as_written || is_ambiguous(&variable), "{variable:?}");
        }
        (Ok(chosen), Some(filter)) => {
            assert_eq!(chosen, own);
            // Without any directive, as in `/text`, env_logger lets errors of everybody through.
            let is_silent = level(&filter, NOBODY) == LevelFilter::Off || directives(&variable).next().is_none();
            assert!(is_silent || is_ambiguous(&variable), "{variable:?}");
        }
        (Err(refusal), None) => assert_eq!(refusal.instead, own),
        (chosen, _) => panic!("{variable:?}: {chosen:?}"),
    }
    // What is chosen is never complained of by env_logger itself.
    assert!(filter(&chosen.unwrap_or_else(|refusal| refusal.tell(&troubles))).is_some());
    received.try_iter().for_each(|record| assert_record(&record));
}

fn filter(text: &str) -> Option<Filter> {
    Builder::new().try_parse(text).ok().map(Builder::build)
}

fn level(filter: &Filter, target: &str) -> LevelFilter {
    let is_on = |level: &Level| filter.enabled(&Metadata::builder().target(target).level(*level).build());
    Level::iter().filter(is_on).last().map_or(LevelFilter::Off, |level| level.to_level_filter())
}

/// Whether a directive has no name, as in `=debug`. To env_logger it means everybody, and it depends on the order of all
/// directives whether it outranks a bare level.
fn is_ambiguous(variable: &str) -> bool {
    directives(variable).any(|directive| directive.starts_with('='))
}

fn directives(variable: &str) -> impl Iterator<Item = &str> {
    let before = variable.split('/').next().unwrap_or_default();
    before.split(',').map(str::trim).filter(|directive| !directive.is_empty())
}

/// What it says of this program: the last of the longest names counts, and a bare level is the shortest.
fn level_of(variable: &str) -> LevelFilter {
    let parsed = directives(variable).map(|directive| match directive.split_once('=') {
        None => directive.parse().map_or((directive, LevelFilter::Trace), |level| ("", level)),
        Some((name, level)) => (name, level.trim().parse().unwrap_or(LevelFilter::Trace)),
    });
    let about_us = parsed.filter(|(name, _)| TARGET.starts_with(name));
    about_us.max_by_key(|(name, _)| name.len()).map_or(LevelFilter::Off, |(_, level)| level)
}
