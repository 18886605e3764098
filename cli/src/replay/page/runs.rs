//! Each hang with what its processes were doing, and each run with its story.

use super::put;
use super::text::Text;
use crate::replay::entry::{Autopsy, Process, Rest};
use crate::replay::life::{Course, Life, Run};
use crate::replay::story::Decision;
use crate::replay::words::{Span, between, clock, day_and_time, seconds};

/// Runs and hangs that are seen at once; those before are folded.
const LATEST: usize = 20;

/// Runs and hangs in the page: a log may have any number.
const MOST_RUNS: usize = 1_000;
const MOST_HANGS: usize = 100;

/// Sentences of one run: a probe may fail, and a command may speak, any number of times.
const MOST_SENTENCES: usize = 200;

/// The hangs, the latest first.
pub fn hangs(page: &mut String, life: &Life) {
    let hangs: Vec<_> = life.runs.iter().filter(|run| matches!(run.course, Course::Hung { .. })).collect();
    list(page, "Hangs", &hangs, MOST_HANGS, hang);
}

/// The runs, the latest first.
pub fn runs(page: &mut String, life: &Life) {
    let runs: Vec<_> = life.runs.iter().collect();
    list(page, "Runs", &runs, MOST_RUNS, |page, run| story(page, life, run));
    let first = runs.first().map_or(life.decisions.len(), |run| run.decisions.start);
    if first > 0 {
        page.push_str("<details><summary>Before the first start</summary>\n");
        sentences(page, &life.decisions[..first]);
        page.push_str("</details>\n");
    }
}

fn list(page: &mut String, title: &str, runs: &[&Run], most: usize, item: impl Fn(&mut String, &Run)) {
    if runs.is_empty() {
        return;
    }
    put(page, format_args!("<h2>{title}</h2>\n"));
    let shown = runs.len().min(most);
    let (latest, earlier) = (shown.min(LATEST), shown.saturating_sub(LATEST));
    runs.iter().rev().take(latest).for_each(|run| item(page, run));
    if earlier > 0 {
        put(page, format_args!("<details><summary>{earlier} earlier</summary>\n"));
        runs.iter().rev().skip(latest).take(earlier).for_each(|run| item(page, run));
        page.push_str("</details>\n");
    }
    if runs.len() > shown {
        let more = runs.len() - shown;
        put(page, format_args!("<p class=\"quiet\">{more} before these are in the log alone.</p>\n"));
    }
}

fn hang(page: &mut String, run: &Run) {
    let Course::Hung { at, silence } = run.course else { return };
    let silence = match silence {
        Some(silence) => format!("silent for {}", seconds(silence)),
        None => "the command said so itself".to_owned(),
    };
    let (number, at) = (run.number, day_and_time(at));
    put(page, format_args!("<details><summary><i class=\"silent\"></i>{at}, run {number}: {silence}</summary>\n"));
    match &run.autopsy {
        Some(found) => autopsy(page, found),
        None => page.push_str("<p>The log does not say what its processes were doing.</p>\n"),
    }
    page.push_str("</details>\n");
}

fn autopsy(page: &mut String, autopsy: &Autopsy) {
    if autopsy.frozen {
        page.push_str("<p>Its cgroup was frozen, so that none of its processes could run.</p>\n");
    }
    page.push_str(
        "<div class=\"wide\"><table><tr><th>Process</th><th>State</th><th>Waits in</th><th>CPU</th><th>Threads</th></tr>\n",
    );
    autopsy.processes.iter().for_each(|found| process(page, found));
    page.push_str("</table></div>\n");
    if let Some(Rest { processes, running, cpu }) = autopsy.rest {
        let cpu = seconds(cpu);
        put(page, format_args!("<p>{processes} more processes, {running} of them running, used {cpu} of CPU.</p>\n"));
    }
}

fn process(page: &mut String, process: &Process) {
    let Process { pid, name, state, waits_in, cpu, over, threads, tracer } = process;
    let traced = tracer.map(|tracer| format!(", traced by pid {tracer}")).unwrap_or_default();
    let (name, waits_in) = (Text(name), Text(waits_in));
    let (cpu, over, meaning) = (seconds(*cpu), seconds(*over), meaning(*state));
    put(
        page,
        format_args!(
            "<tr><td>{name} <span class=\"quiet\">{pid}</span></td><td>{meaning}{traced}</td>\
             <td><code>{waits_in}</code></td><td>{cpu} in {over}</td><td>{threads}</td></tr>\n"
        ),
    );
}

/// The states of proc_pid_stat(5).
fn meaning(state: char) -> String {
    let meaning = match state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "waiting for a disk or the like",
        'T' => "stopped by a signal",
        't' => "stopped by a debugger",
        'Z' => "ended, not yet reaped",
        other => return Text(&other.to_string()).to_string(),
    };
    format!("{meaning} ({state})")
}

fn story(page: &mut String, life: &Life, run: &Run) {
    let (number, from) = (run.number, day_and_time(run.from));
    let (class, end) = course(life, run);
    put(page, format_args!("<details><summary><i class=\"{class}\"></i>{from}, run {number}: {end}</summary>\n"));
    sentences(page, &life.decisions[run.decisions.clone()]);
    page.push_str("</details>\n");
}

fn sentences(page: &mut String, decisions: &[Decision]) {
    page.push_str("<ol>\n");
    for decision in decisions.iter().take(MOST_SENTENCES) {
        put(page, format_args!("<li><time>{}</time> {}</li>\n", clock(decision.time), Text(&decision.words)));
    }
    page.push_str("</ol>\n");
    if let Some(more @ 1..) = decisions.len().checked_sub(MOST_SENTENCES) {
        put(page, format_args!("<p class=\"quiet\">{more} more sentences of this run are in the log alone.</p>\n"));
    }
}

/// A colour and a few words.
fn course(life: &Life, run: &Run) -> (&'static str, String) {
    let after = |at| Span(between(run.from, at));
    match &run.course {
        Course::Open => ("available", format!("runs for {} when the log stops", after(life.to))),
        Course::NotStarted { words } => ("ending", format!("not started: {}", Text(words))),
        Course::Exited { at, words } => ("ending", format!("{} after {}", Text(words), after(*at))),
        Course::Hung { at, .. } => ("silent", format!("hung after {}", after(*at))),
    }
}
