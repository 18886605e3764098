//! The figures to read: docs/benchmarks.md, of which each part is replaced by itself.

use super::measure::Metric;
use super::results::{Bound, Goal, Kind, Results, Subject, Verdict};
use crate::workspace;
use std::path::PathBuf;
use std::process::Command;
use std::{fs, io};

const NAME: &str = "docs/benchmarks.md";

/// What is there before anything was measured.
const FRAME: &str = "# Benchmarks\n\n<!-- figures -->\n<!-- end of figures -->\n\n<!-- growth -->\n<!-- end of growth -->\n\n\
     <!-- lateness -->\n<!-- end of lateness -->\n";

/// A part of the page.
#[derive(Clone, Copy)]
pub enum Part {
    Figures,
    Growth,
    Lateness,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Figures => "figures",
            Part::Growth => "growth",
            Part::Lateness => "lateness",
        }
    }
}

/// Replaces a part of the page.
///
/// # Errors
/// Those of the file system; or the page lacks the comments between which the part stands.
pub fn replace(part: Part, text: &str) -> io::Result<()> {
    let path = path();
    let page = fs::read_to_string(&path).unwrap_or_else(|_| FRAME.to_owned());
    let name = part.name();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let parts = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts.ok_or_else(|| io::Error::other(format!("{NAME} has no part {name}")))?;
    workspace::write(&path, &format!("{before}{begin}{text}{end}{after}"))
}

fn path() -> PathBuf {
    workspace::root().join(NAME)
}

/// On what, when and how it was measured.
pub fn circumstances(load: &str) -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = processor.map_or("a processor without a name", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes: f64 = memory.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
    let commit =
        workspace::output(workspace::command("git").args(["rev-parse", "--short", "HEAD"])).unwrap_or_default();
    let compiler = workspace::output(Command::new("rustc").arg("--version")).unwrap_or_default();
    let now = jiff::Timestamp::now().to_string();
    let date = now.split('T').next().unwrap_or_default();
    format!(
        "Measured on {date} by `cargo xtask bench`, commit {}: {processor}, {cores} cores, {:.0} GiB, Linux {}, {}. \
         The load of the machine at the beginning was {load}.\n",
        commit.trim(),
        kibibytes / f64::from(1 << 20),
        kernel.trim(),
        compiler.trim()
    )
}

/// How busy the machine was in the last minute: proc_loadavg(5).
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The part with the figures.
pub fn figures(results: &Results, missing: &[String], load: &str) -> String {
    let mut text = circumstances(load);
    text += "\n![Start, restart and memory of this supervisor and its peers](benchmarks.svg)\n";
    text += "\n## Side by side\n\nIn parentheses: how many times the figure of this supervisor.\n\n| |";
    let columns: Vec<Metric> = Metric::ALL.into_iter().collect();
    let title = |metric: &Metric| format!(" {}{} |", metric.title(), spaced(", ", metric.unit()));
    text.extend(columns.iter().map(title));
    text += "\n| --- |";
    text.extend(columns.iter().map(|_| " ---: |"));
    text += "\n";
    text.extend(results.subjects.iter().map(|subject| row(results, subject, &columns)));
    text += &hangs(results);
    text += METHOD;
    text += GOALS;
    text.extend(results.goals().iter().map(goal));
    text += TRIED;
    if !missing.is_empty() {
        text += "\nNot installed, and so not measured:\n\n";
        text.extend(missing.iter().map(|line| format!("- {line}\n")));
    }
    text
}

fn goal(goal: &Goal) -> String {
    let bound = match &goal.bound {
        Bound::AtMost(limit) => format!("at most {}{}", number(*limit), spaced(" ", goal.unit)),
        Bound::AtLeast(limit) => format!("at least {}{}", number(*limit), spaced(" ", goal.unit)),
        Bound::Times { factor, of, figure } => {
            let figure = figure.map_or("not measured".to_owned(), |figure| number(figure) + &spaced(" ", goal.unit));
            format!("at most {factor} × {of} ({figure})")
        }
    };
    let figure = goal.figure.map_or("not measured".to_owned(), |figure| number(figure) + &spaced(" ", goal.unit));
    let ratio = goal.figure.zip(goal.limit()).filter(|(_, limit)| *limit != 0.0);
    let ratio = ratio.map_or(String::new(), |(figure, limit)| format!("{:.2}", figure / limit));
    let verdict = match goal.verdict() {
        Verdict::Met => "met".to_owned(),
        Verdict::Missed(excess) => format!("**missed by {}{}**", number(excess), spaced(" ", goal.unit)),
        Verdict::Unknown => String::new(),
    };
    format!("| {} | {bound} | {figure} | {ratio} | {verdict} |\n", goal.row)
}

fn row(results: &Results, subject: &Subject, columns: &[Metric]) -> String {
    let own = results.subject(Kind::Own);
    let cell = |metric: &Metric| -> String {
        let figure = subject.samples.figure(*metric);
        let own = own.and_then(|own| own.samples.figure(*metric)).filter(|own| *own > 0.0);
        match (figure, own) {
            (Some(figure), Some(own)) if subject.kind != Kind::Own => {
                format!(" {} ({:.1}) |", number(figure), figure / own)
            }
            (Some(figure), _) => format!(" {} |", number(figure)),
            (None, _) if *metric == Metric::TreeGone && subject.samples.survived > 0 => " it lives on |".to_owned(),
            (None, _) => " |".to_owned(),
        }
    };
    let cells: String = columns.iter().map(cell).collect();
    format!("| {}{} |{cells}\n", subject.name, spaced(" ", &subject.version))
}

fn hangs(results: &Results) -> String {
    let mut text = format!(
        "\n## Hangs\n\nHow long after the deadline. A tick of the coarse clock, which stamps files, is {} ms here.\n\n\
         | heartbeat | until | hangs | earliest, ms | median, ms | latest, ms |\n| --- | --- | ---: | ---: | ---: | ---: |\n",
        number(results.tick)
    );
    for (name, hangs) in [("file", &results.file), ("--notify", &results.notify)] {
        let moments = [("the line of the log is read", &hangs.decided), ("the command has the signal", &hangs.asked)];
        for (moment, late) in moments {
            let (least, median, most) = (number(late.least), number(late.median), number(late.most));
            text += &format!("| {name} | {moment} | {} | {least} | {median} | {most} |\n", late.count);
        }
    }
    text
}

/// What the figures mean.
const METHOD: &str = "\n## How it is measured\n\n\
- Every program keeps the same static command of 2 KiB alive. It writes the time of its first instruction into a FIFO.\n\
- The programs take turns, round by round; each figure is the median. Start, and SIGKILL to tree gone: of 15 rounds. \
Restart: of all in 5 s, three times. The rest: of three rounds.\n\
- Start: from the execve(2) of the supervisor to the first instruction of the command.\n\
- Restart: from one start of a command that crashes at once to the next. Some programs wait for a second on purpose.\n\
- Memory: of all processes of the supervisor, without the command, from `smaps_rollup`. Each further one: the difference \
between so many and twice as many, side by side.\n\
- SIGKILL to tree gone: six processes, two of them in sessions of their own, keep a FIFO open; the kernel tells when the \
last one is gone.\n\
- Hangs: one after another, with a timeout of 0.2 s. The supervisor writes the line, then it makes the autopsy, then it \
sends the signal.\n\
- `handle_event` and the simulation: the fastest of 15.\n\
- `supervisor` is the static program of `cargo xtask dist`; `by cargo` is what `cargo install` builds. Both run with \
`--no-heartbeat`, and for restarts with `--restart always --backoff-factor 0`.\n\
- Peers run as their packages set them up, but for what would make them wait: monit looks each second, Circus ten times a \
second.\n\
- A blank: the program does not restart by itself, or the measurement failed, which the task tells.\n\n\
To repeat it: a machine that does nothing else, `cargo xtask bench`.\n";

/// Of goals that are missed.
const TRIED: &str = "\nWhat was tried, and what is left:\n\n\
- Start and restart. The keeper is a second fork, and its page tables are copied, too. A static program instead of a \
dynamic one took a quarter of the start; another allocator and giving back what the options took, a fifth; signalfd(2) \
instead of 49 handlers, 100 system calls; nothing of `/proc/self/mountinfo` is read any more. A keeper cannot be used \
again: it has closed the descriptors that the next command inherits. Built for speed instead of size, the start is 3 to \
4 % faster and the file 560 to 870 KiB larger: left out. What `cargo install` builds is dynamic: \
that is the difference. A restart wakes three processes one after another, which costs more where a virtual machine's host \
is busy: the same program took 0.52 ms in one hour and 0.69 ms in another.\n\
- Memory. There are two processes, so two stacks and two heaps. What the keeper has shared with the supervisor since the \
fork counts in neither as private; it is in the figure for each further one. At a fixed address it would be 30 KiB less, \
without address randomisation: left out.\n\
- `--notify`. poll(2) came late by a thousandth of the timeout: a timer of its own ends the wait now, and the median is below \
the goal. Why the latest of 200 is not is not known.\n\
- Simulation. The machine alone is built for speed, which doubled it; what is left is within the noise of a machine.\n";

/// What they are measured by.
const GOALS: &str = "\n## Goals\n\nThe project wants to be as light as the lightest init, which starts a command once, keeps \
nothing together and notices nothing. How far it is from that:\n\n\
| what | goal | figure | ratio to the goal | |\n| --- | --- | ---: | ---: | --- |\n";

fn spaced(space: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{space}{text}") }
}

/// Three digits that say something.
pub fn number(number: f64) -> String {
    let decimals = match number.abs() {
        0.0 => 0,
        0.0..1.0 => 3,
        1.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figure: f64, bound: Bound) -> String {
        goal(&Goal { row: "start", unit: "ms", figure: Some(figure), bound })
    }

    #[test]
    fn a_goal_is_met_up_to_its_bound_and_missed_by_what_is_above() {
        assert_eq!(row(2.0, Bound::AtMost(2.0)), "| start | at most 2.00 ms | 2.00 ms | 1.00 | met |\n");
        assert_eq!(row(-1.0, Bound::AtLeast(0.0)), "| start | at least 0 ms | -1.00 ms |  | **missed by 1.00 ms** |\n");
        let tini = |figure| Bound::Times { factor: 1.5, of: "tini", figure };
        assert!(row(1.75, tini(Some(1.0))).ends_with("| 1.17 | **missed by 0.250 ms** |\n"));
        assert!(row(1.75, tini(None)).ends_with("| at most 1.5 × tini (not measured) | 1.75 ms |  |  |\n"));
    }

    #[test]
    fn numbers_have_three_digits() {
        let told = [0.0, 0.1234, -1.234, 12.34, 123.4, 12345.6].map(number);
        assert_eq!(told, ["0", "0.123", "-1.23", "12.3", "123", "12346"]);
    }
}
