//! The page for a browser: one file, without script and without anything from the network.

mod runs;
mod text;
mod timeline;

use super::Log;
use super::account::Outage;
use super::heading::{closing, command};
use super::life::{Finish, Life};
use super::words::{Span, day_and_time};
use crate::report::display::Counted;
use std::fmt::Write;
use text::Text;

/// Scripts and requests are forbidden, should anything from a log ever get through unescaped.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = include_str!("page/style.css");

/// More supervisors than this are folded.
const OPEN_LIVES: usize = 3;

/// Tells a whole log.
pub fn page(log: &Log) -> String {
    let command = log.lives.first().map(command).unwrap_or_default();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>What happened: {}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n<h1>What happened</h1>\n",
        Text(&command)
    );
    for life in &log.lives {
        let open = if log.lives.len() <= OPEN_LIVES { " open" } else { "" };
        put(&mut page, format_args!("<details class=\"life\"{open}><summary>{}</summary>\n", heading(life)));
        tell(&mut page, life);
        page.push_str("</details>\n");
    }
    page.push_str("<footer>All times are in UTC.</footer>\n</main></body></html>\n");
    page
}

/// Adds to the page. Writing to a String does not fail.
fn put(page: &mut String, words: std::fmt::Arguments) {
    let _ = page.write_fmt(words);
}

fn heading(life: &Life) -> String {
    let command = command(life);
    format!("<code>{}</code> <span class=\"quiet\">supervisor {}</span>", Text(&command), life.supervisor)
}

fn tell(page: &mut String, life: &Life) {
    put(page, format_args!("<p class=\"quiet\">{} to {} UTC</p>\n", day_and_time(life.from), day_and_time(life.to)));
    availability(page, life);
    tiles(page, life);
    timeline::put(page, life);
    outages(page, life);
    runs::hangs(page, life);
    runs::runs(page, life);
    put(page, format_args!("<p class=\"quiet\">{}</p>\n", Text(&closing(life))));
}

fn availability(page: &mut String, life: &Life) {
    let Some(percent) = life.account.availability() else {
        return page.push_str("<p class=\"verdict\">The log is too short to tell the availability.</p>\n");
    };
    let (up, wanted) = (Span(life.account.total(super::account::State::Available)), Span(life.account.wanted()));
    put(
        page,
        format_args!(
            "<p class=\"verdict\"><b>{} %</b> available</p>\n<p>The command was available for {up} of {wanted}.",
            rounded(percent)
        ),
    );
    match life.account.longest_outage() {
        None => page.push_str(" There was no outage."),
        Some(longest) => {
            let count = Counted(life.account.outages.len(), "outage", "outages");
            put(
                page,
                format_args!(
                    " There were {count}; the longest lasted {}: {}.",
                    Span(longest.length()),
                    Text(&longest.why)
                ),
            );
        }
    }
    page.push_str(" A command that hangs counts as unavailable from its last heartbeat on.</p>\n");
    put(page, format_args!("<p>{}</p>\n", end(life)));
}

/// Rounded down, so that nothing below 100 % looks like it.
fn rounded(percent: f64) -> String {
    let text = format!("{:.2}", (percent * 100.0).floor() / 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn end(life: &Life) -> String {
    match life.ending {
        Finish::Done { exit_code } => {
            format!("The supervisor ended at {} UTC with exit code {exit_code}.", day_and_time(life.to))
        }
        Finish::Missing => format!("<strong>The log stops at {} UTC, before the end.</strong>", day_and_time(life.to)),
    }
}

fn tiles(page: &mut String, life: &Life) {
    let tiles = [
        (life.runs.len(), "run", "runs"),
        (life.restarts(), "restart", "restarts"),
        (life.hangs(), "hang", "hangs"),
        (life.kills, "end by SIGKILL", "ends by SIGKILL"),
    ];
    page.push_str("<ul class=\"tiles\">");
    for (number, one, many) in tiles {
        let words = if number == 1 { one } else { many };
        put(page, format_args!("<li><b>{number}</b> {words}</li>"));
    }
    page.push_str("</ul>\n");
}

/// As many outages as are worth reading; the timeline shows the others.
const MOST_OUTAGES: usize = 5;

fn outages(page: &mut String, life: &Life) {
    let mut longest: Vec<&Outage> = life.account.outages.iter().collect();
    if longest.is_empty() {
        return;
    }
    longest.sort_by_key(|outage| std::cmp::Reverse(outage.length()));
    page.push_str(
        "<h2>Longest outages</h2>\n<div class=\"wide\"><table><tr><th>From</th><th>Length</th><th>Reason</th></tr>\n",
    );
    for outage in longest.iter().take(MOST_OUTAGES) {
        let (from, length) = (day_and_time(outage.from), Span(outage.length()));
        put(
            page,
            format_args!("<tr><td><time>{from}</time></td><td>{length}</td><td>{}</td></tr>\n", Text(&outage.why)),
        );
    }
    page.push_str("</table></div>\n");
}
