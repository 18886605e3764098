//! The figures to look at: bars on a logarithmic scale.

use super::measure::Metric;
use super::results::{Kind, Results, Subject};
use crate::drawing::{Anchor, Drawing, Ink, LINE, LogScale, WIDTH};

const NAMES: f64 = 115.0;
const FIGURES: f64 = 80.0;
const BAR: f64 = 13.0;

/// What is worth a picture.
const SHOWN: [Metric; 4] = [Metric::Start, Metric::Restart, Metric::PrivateDirty, Metric::Further];

/// One group of bars for each of them, the least first.
pub fn chart(results: &Results) -> String {
    let mut drawing = Drawing::new("This supervisor and its peers: less is better, each scale is logarithmic");
    let mut y = 24.0;
    for metric in SHOWN {
        drawing.heading(8.0, y, format_args!("{}, {}", metric.title(), metric.unit()));
        y = bars(&mut drawing, results, metric, y + LINE) + LINE;
    }
    drawing.text(8.0, y, Anchor::Start, "Less is better; each scale is logarithmic.");
    drawing.finish(y + 12.0)
}

fn bars(drawing: &mut Drawing, results: &Results, metric: Metric, mut y: f64) -> f64 {
    let figure =
        |subject: &'_ Subject| subject.samples.figure(metric).map(|figure| (subject.name, subject.kind, figure));
    let mut rows: Vec<_> = results.subjects.iter().filter_map(figure).collect();
    rows.sort_by(|one, other| one.2.total_cmp(&other.2));
    let least = rows.first().map_or(1.0, |row| row.2).max(0.01);
    let most = rows.last().map_or(1.0, |row| row.2);
    let scale = LogScale::new((least / 2.0, most), (0.0, WIDTH - NAMES - FIGURES));
    for (name, kind, figure) in rows {
        let ink = match kind {
            Kind::Own | Kind::OwnByCargo => Ink::Accent,
            Kind::Init | Kind::Supervisor | Kind::Loop => Ink::Other,
        };
        drawing.text(NAMES - 6.0, y, Anchor::End, name);
        let width = scale.place(figure).max(1.0);
        drawing.bar(NAMES, y - BAR + 2.0, width, BAR, ink);
        drawing.text(NAMES + width + 6.0, y, Anchor::Start, super::page::number(figure));
        y += LINE;
    }
    y
}
