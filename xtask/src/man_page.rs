//! The man page, from the one definition of the options and what there is to say beside them.

use crate::choices;
use crate::workspace::{PACKAGE, REPLAY};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;
use supervisor_cli::help::{ENVIRONMENT, EXAMPLES, EXIT_CODES, FILES, SEE_ALSO, SIGNALS, VARIABLES};
use supervisor_cli::replay::{EXAMPLES as REPLAY_EXAMPLES, EXIT_CODES as REPLAY_EXIT_CODES};

/// The page, with the sections of man-pages(7).
///
/// # Errors
/// Those of the writer, which has none.
pub fn render() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let parser = choices::documented();
    let values = values(&parser);
    let man = Man::new(parser).manual("User Commands");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let sections = [
        section("VALUES", &values),
        list("EXIT STATUS", "", &EXIT_CODES),
        list("ENVIRONMENT", "The supervisor reads", &ENVIRONMENT),
        rows("The command gets the environment without the variables of options, and", &VARIABLES),
        list("SIGNALS", "", &SIGNALS),
        list("FILES", "", &FILES),
        list("EXAMPLES", "", &EXAMPLES),
        section("SEE ALSO", &SEE_ALSO.join(", ")),
    ];
    let mut rest = Roff::new();
    rest.extend(sections);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// That of `supervisor-replay`.
///
/// # Errors
/// Those of the writer, which has none.
pub fn render_replay() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // The commit, which `-V` tells, is too long for the foot of a page.
    let source = format!("{REPLAY} {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(supervisor_cli::replay::parser()).manual("User Commands").source(source);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    rest.extend([
        list("EXIT STATUS", "", &REPLAY_EXIT_CODES),
        list("EXAMPLES", "", &REPLAY_EXAMPLES),
        section("SEE ALSO", &format!("{PACKAGE}(1), journalctl(1)")),
    ]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// What durations and signals look like: the first paragraph below the options in `--help`.
fn values(parser: &clap::Command) -> String {
    let text = parser.get_after_help().map(ToString::to_string).unwrap_or_default();
    text.split("\n\n").next().unwrap_or_default().replace('\n', " ")
}

fn section(title: &str, words: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]).text([roman(words)]);
    roff
}

fn list(title: &str, introduction: &str, table: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    roff.extend([rows(introduction, table)]);
    roff
}

fn rows(introduction: &str, table: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    if !introduction.is_empty() {
        roff.control("PP", []).text([roman(introduction)]);
    }
    for (name, meaning) in table {
        roff.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sections_are_there_in_their_order() {
        let page = String::from_utf8(render().unwrap()).unwrap();
        let titles = ["NAME", "SYNOPSIS", "EXIT STATUS", "ENVIRONMENT", "SIGNALS", "FILES", "EXAMPLES", "SEE ALSO"];
        let place = |title: &str| page.find(&format!(".SH {title}")).or_else(|| page.find(&format!(".SH \"{title}\"")));
        let places: Vec<_> = titles.iter().map(|title| place(title).expect(title)).collect();
        assert!(places.is_sorted());
    }
}
