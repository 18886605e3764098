//! What happened, and when: told line by line, and drawn at the end.

/// Something worth a mark in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    Start { pid: i32 },
    Beat,
    Hung,
    Term,
    Cont,
    Kill,
    Exit { clean: bool },
    BackOff,
    CannotStart,
    Stopped,
    Ready,
}

/// The moments of one performance, with the time of each in seconds.
#[derive(Default)]
pub struct Timeline {
    moments: Vec<(f64, Moment)>,
    log: Vec<(f64, String)>,
}

/// The width of the picture.
const COLUMNS: usize = 72;

/// What the words of a line mean. The first that fits counts.
const MEANINGS: [(&str, Moment); 13] = [
    ("Heartbeat sent", Moment::Beat),
    (": hung:", Moment::Hung),
    ("sent SIGTERM", Moment::Term),
    ("sent SIGCONT", Moment::Cont),
    ("sent SIGKILL", Moment::Kill),
    ("exited with code 0", Moment::Exit { clean: true }),
    ("exited with code", Moment::Exit { clean: false }),
    ("was killed by", Moment::Exit { clean: false }),
    ("restart ", Moment::BackOff),
    ("cannot start", Moment::CannotStart),
    ("is stopped by", Moment::Stopped),
    ("Waiting for SIGTERM", Moment::Ready),
    ("READY", Moment::Ready),
];

impl Timeline {
    /// Takes a line of the log, of the supervisor or the command, and tells it at once.
    pub fn add(&mut self, at: f64, line: &str) {
        let (who, words) = match line.split_once(" supervisor[") {
            Some((_, rest)) => ("supervisor", rest.split_once("] ").map_or(rest, |(_, words)| words)),
            None => ("  command ", line),
        };
        // The last line of giving up repeats how the last run ended.
        let moment = match words {
            words if words.starts_with("giving up") || words.starts_with("finished") => None,
            words if who == "supervisor" && words.contains(": started ") => pid(words).map(|pid| Moment::Start { pid }),
            words => MEANINGS.iter().find(|(meaning, _)| words.contains(meaning)).map(|(_, moment)| *moment),
        };
        println!("  {at:7.3} s  {who}  {} {words}", moment.map_or(' ', Moment::mark));
        self.moments.extend(moment.map(|moment| (at, moment)));
        self.log.push((at, words.to_owned()));
    }

    pub fn moments(&self) -> impl Iterator<Item = (f64, Moment)> {
        self.moments.iter().copied()
    }

    /// How often a moment came.
    pub fn count(&self, wanted: Moment) -> usize {
        self.moments().filter(|(_, moment)| *moment == wanted).count()
    }

    pub fn starts(&self) -> usize {
        self.moments().filter(|(_, moment)| matches!(moment, Moment::Start { .. })).count()
    }

    /// When a moment came for the last time.
    pub fn last(&self, wanted: impl Fn(Moment) -> bool) -> Option<f64> {
        self.moments().filter(|(_, moment)| wanted(*moment)).last().map(|(at, _)| at)
    }

    /// The time from the last `from` to the first `to` after it.
    pub fn between(&self, from: impl Fn(Moment) -> bool, to: impl Fn(Moment) -> bool) -> Option<f64> {
        let begin = self.last(from)?;
        let end = self.moments().find(|(at, moment)| *at >= begin && to(*moment));
        end.map(|(at, _)| at - begin)
    }

    /// Whether the log has a line with these words.
    pub fn tells(&self, words: &str) -> bool {
        self.log.iter().any(|(_, line)| line.contains(words))
    }

    /// Draws one row for each run.
    pub fn print(&self) {
        let end = self.log.last().map_or(0.0, |(at, _)| *at).max(0.001);
        let column = |at: f64| ((at / end * (COLUMNS - 1) as f64) as usize).min(COLUMNS - 1);
        println!("\n         0 s{:>width$}", format!("{end:.1} s"), width = COLUMNS - 3);
        let starts: Vec<_> = self.moments().filter(|(_, moment)| moment.begins_a_run()).map(|(at, _)| at).collect();
        for (number, start) in starts.iter().enumerate() {
            let next = starts.get(number + 1).copied().unwrap_or(f64::INFINITY);
            let moments: Vec<_> = self.moments().filter(|(at, _)| (*start..next).contains(at)).collect();
            println!("  run {:<3}{}", number + 1, row(&moments, end, column));
        }
        println!(
            "         ─ lives  ♥ heartbeat  ! found hung  T SIGTERM  C SIGCONT  K SIGKILL  ✓ exit 0  ✗ other end  S stopped  ∙ backoff\n"
        );
    }
}

fn row(moments: &[(f64, Moment)], end: f64, column: impl Fn(f64) -> usize) -> String {
    let mut cells = vec![' '; COLUMNS];
    let find = |wanted: &dyn Fn(Moment) -> bool| moments.iter().find(|(_, moment)| wanted(*moment)).map(|(at, _)| *at);
    if let Some(start) = find(&|moment| matches!(moment, Moment::Start { .. })) {
        let exit = find(&|moment| matches!(moment, Moment::Exit { .. })).unwrap_or(end);
        cells[column(start)..=column(exit)].fill('─');
    }
    if let Some(wait) = find(&|moment| moment == Moment::BackOff) {
        let from = column(wait);
        let to = (from + 4).min(COLUMNS - 1);
        cells[from..=to].fill('∙');
    }
    // Moments that would share a column stand side by side.
    let mut free = 0;
    for (at, moment) in moments.iter().filter(|(_, moment)| moment.mark() != ' ') {
        let place = column(*at).max(free);
        cells.resize(cells.len().max(place + 1), ' ');
        cells[place] = moment.mark();
        free = place + 1;
    }
    cells.into_iter().collect()
}

impl Moment {
    pub fn begins_a_run(self) -> bool {
        matches!(self, Moment::Start { .. } | Moment::CannotStart)
    }

    fn mark(self) -> char {
        match self {
            Moment::Start { .. } => '▶',
            Moment::Beat => '♥',
            Moment::Hung => '!',
            Moment::Term => 'T',
            Moment::Cont => 'C',
            Moment::Kill => 'K',
            Moment::Exit { clean: true } => '✓',
            Moment::Exit { clean: false } | Moment::CannotStart => '✗',
            Moment::Stopped => 'S',
            Moment::BackOff | Moment::Ready => ' ',
        }
    }
}

/// The number after "pid ".
fn pid(words: &str) -> Option<i32> {
    words.split_once("as pid ")?.1.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
