//! The timeline: a row for each second, hour or day, a colour for each state, a tick for each heartbeat.

use crate::replay::account::State;
use crate::replay::life::{Course, Life};
use crate::replay::words::{Span, duration};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A row is divided into so many cells; what is shorter than one is still to be seen.
const CELLS: i64 = 360;

const MOST_ROWS: i64 = 12;

/// Lengths of a row, in milliseconds: people count in these.
const LENGTHS: [i64; 12] = [
    1_000,
    10_000,
    60_000,
    600_000,
    3_600_000,
    7_200_000,
    21_600_000,
    86_400_000,
    604_800_000,
    2_592_000_000,
    7_776_000_000,
    31_536_000_000,
];

/// Where moments lie.
struct Scale {
    /// Milliseconds since 1970.
    origin: i64,
    row: i64,
    rows: i64,
}

impl Scale {
    fn of(from: Timestamp, to: Timestamp) -> Scale {
        let (from, to) = (from.as_millisecond(), to.as_millisecond());
        let rows = |row: i64| to.div_euclid(row) - from.div_euclid(row) + 1;
        match LENGTHS.into_iter().find(|row| rows(*row) <= MOST_ROWS) {
            Some(row) => Scale { origin: from.div_euclid(row) * row, row, rows: rows(row) },
            None => Scale { origin: from, row: to - from + 1, rows: 1 },
        }
    }

    fn cell(&self, moment: Timestamp) -> usize {
        let since = (moment.as_millisecond() - self.origin).clamp(0, self.row * self.rows - 1);
        (i128::from(since) * i128::from(CELLS) / i128::from(self.row)) as usize
    }

    fn cells(&self) -> usize {
        (self.rows * CELLS) as usize
    }

    /// The beginning of a row, as precise as rows are.
    fn label(&self, row: i64) -> String {
        let format = if self.row < 60_000 { "%m-%d %H:%M:%S" } else { "%m-%d %H:%M" };
        let begin = Timestamp::from_millisecond(self.origin + row * self.row).unwrap_or(Timestamp::MIN);
        begin.to_zoned(TimeZone::UTC).strftime(format).to_string()
    }
}

/// What is seen in a cell.
#[derive(Clone, Copy, Default)]
struct Cell {
    /// The worst that happened; none outside of the log.
    state: Option<State>,
    has_beat: bool,
    has_hang: bool,
}

/// Draws the timeline.
pub fn put(page: &mut String, life: &Life) {
    let scale = Scale::of(life.from, life.to);
    let row_length = Span(duration(scale.row as f64 / 1_000.0));
    super::put(page, format_args!("<h2>Timeline</h2>\n<p class=\"quiet\">Each row is {row_length} long.</p>\n"));
    let cells = cells(life, &scale);
    page.push_str("<div class=\"timeline\">\n");
    for (number, row) in cells.chunks(CELLS as usize).enumerate() {
        let label = scale.label(number as i64);
        super::put(
            page,
            format_args!("<time>{label}</time><svg viewBox=\"0 0 {CELLS} 30\" preserveAspectRatio=\"none\">"),
        );
        draw(page, row);
        page.push_str("</svg>\n");
    }
    page.push_str("</div>\n");
    legend(page);
}

/// A rectangle for each stretch of one state, and one path for each kind of mark.
fn draw(page: &mut String, row: &[Cell]) {
    let mut begin = 0;
    for stretch in row.chunk_by(|one, other| one.state == other.state) {
        if let Some(state) = stretch[0].state {
            let (class, words, width) = (class(state), words(state), stretch.len());
            super::put(
                page,
                format_args!(
                    "<rect class=\"{class}\" x=\"{begin}\" y=\"6\" width=\"{width}\" height=\"18\"><title>{words}</title></rect>"
                ),
            );
        }
        begin += stretch.len();
    }
    marks(page, row, "beat", 25, |cell| cell.has_beat);
    marks(page, row, "hang", 0, |cell| cell.has_hang);
}

fn marks(page: &mut String, row: &[Cell], class: &str, y: u32, is_marked: impl Fn(&Cell) -> bool) {
    let marked: Vec<_> = row.iter().enumerate().filter(|(_, cell)| is_marked(cell)).collect();
    if marked.is_empty() {
        return;
    }
    super::put(page, format_args!("<path class=\"{class}\" d=\""));
    marked.iter().for_each(|(x, _)| super::put(page, format_args!("M{x}.5 {y}v5")));
    page.push_str("\"/>");
}

fn legend(page: &mut String) {
    page.push_str("<ul class=\"legend\">");
    for state in State::ALL {
        super::put(page, format_args!("<li><i class=\"{}\"></i>{}</li>", class(state), words(state)));
    }
    for (class, words) in [("hang", "found hung (above)"), ("beat", "heartbeat that the log tells of (below)")] {
        super::put(page, format_args!("<li><i class=\"{class}\"></i>{words}</li>"));
    }
    page.push_str("</ul>\n");
}

fn class(state: State) -> &'static str {
    match state {
        State::Available => "available",
        State::Stopping => "stopping",
        State::Starting => "starting",
        State::BackingOff => "backing-off",
        State::Ending => "ending",
        State::Silent => "silent",
    }
}

fn words(state: State) -> &'static str {
    match state {
        State::Available => "available",
        State::Stopping => "asked to stop",
        State::Starting => "starting",
        State::BackingOff => "waiting for the next start",
        State::Ending => "ended, or being ended",
        State::Silent => "silent, then found hung",
    }
}

fn cells(life: &Life, scale: &Scale) -> Vec<Cell> {
    let mut cells = vec![Cell::default(); scale.cells()];
    for period in &life.account.periods {
        let (first, end) = (scale.cell(period.from), scale.cell(period.to));
        let end = end.max(first + 1).min(cells.len());
        cells[first..end].iter_mut().for_each(|cell| cell.state = cell.state.max(Some(period.state)));
    }
    life.beats.iter().for_each(|at| cells[scale.cell(*at)].has_beat = true);
    for run in &life.runs {
        match run.course {
            Course::Hung { at, .. } => cells[scale.cell(at)].has_hang = true,
            Course::Open | Course::NotStarted { .. } | Course::Exited { .. } => {}
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(from: &str, to: &str) -> Scale {
        Scale::of(from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn rows_begin_where_people_begin_to_count() {
        let night = scale("2026-11-24T22:10:00Z", "2026-11-25T06:30:00Z");
        assert_eq!((night.row, night.rows, night.label(0).as_str()), (3_600_000, 9, "11-24 22:00"));
        let minutes = scale("2026-11-24T22:10:00Z", "2026-11-24T22:15:30Z");
        assert_eq!((minutes.row, minutes.label(0).as_str()), (60_000, "11-24 22:10"));
        let moment = scale("2026-11-24T22:10:01.5Z", "2026-11-24T22:10:03Z");
        assert_eq!((moment.row, moment.rows, moment.label(2).as_str()), (1_000, 3, "11-24 22:10:03"));
    }

    #[test]
    fn any_span_of_time_has_few_rows() {
        let ages = Scale::of(Timestamp::MIN, Timestamp::MAX);
        assert_eq!((ages.rows, ages.cell(Timestamp::MAX)), (1, CELLS as usize - 1));
        let instant = Scale::of(Timestamp::MAX, Timestamp::MAX);
        assert_eq!(instant.rows, 1);
        assert!(instant.cell(Timestamp::MAX) < instant.cells());
    }

    #[test]
    fn moments_outside_of_the_log_are_drawn_at_its_edge() {
        let night = scale("2026-11-24T22:10:00Z", "2026-11-25T06:30:00Z");
        assert_eq!(night.cell(Timestamp::MIN), 0);
        assert_eq!(night.cell(Timestamp::MAX), night.cells() - 1);
    }
}
