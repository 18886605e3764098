//! A timeline to look at: a row a day, a colour a activity.

use crate::simulate::DAY;
use std::fmt::Write;
use std::time::Duration;
use supervisor_core::sim::{Activity, Ledger, Period};

const LEFT: f64 = 60.0;
const TOP: f64 = 78.0;
const WIDTH: f64 = 1200.0;
const ROW: f64 = 12.0;
/// As many days as are drawn; a life may be longer than any paper.
const MOST_DAYS: f64 = 10_000.0;
/// What is short is still to be seen.
const THINNEST: f64 = 1.0;

/// The account of a life, and its summary in words, as an SVG drawing (<https://www.w3.org/TR/SVG11/>).
pub fn timeline(ledger: &Ledger, title: &str, summary: &str) -> String {
    let days = ledger.end().since_origin().as_secs_f64() / DAY.as_secs_f64();
    let days = days.min(MOST_DAYS);
    let (width, height) = (LEFT + WIDTH + 20.0, TOP + ROW * days.ceil() + 30.0);
    let mut drawing = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"9\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>\n\
         <text x=\"{LEFT}\" y=\"38\" font-size=\"12\">{summary}</text>\n"
    );
    legend(&mut drawing);
    for day in (0..days.ceil() as u32).step_by(10) {
        let y = TOP + ROW * f64::from(day) + 9.0;
        draw(&mut drawing, format_args!("<text x=\"5\" y=\"{y}\">day {}</text>", day + 1));
    }
    for hour in (0..=24).step_by(6) {
        let (x, y) = (LEFT + WIDTH * f64::from(hour) / 24.0, TOP - 4.0);
        draw(&mut drawing, format_args!("<text x=\"{x}\" y=\"{y}\">{hour} h</text>"));
    }
    // What is rare is drawn last, so that it is not painted over.
    for activity in [Activity::Up, Activity::Starting, Activity::BackingOff, Activity::Ending, Activity::Silent] {
        ledger
            .periods()
            .iter()
            .filter(|period| period.activity == activity)
            .for_each(|period| bars(&mut drawing, period));
    }
    drawing.push_str("</svg>\n");
    drawing
}

fn legend(drawing: &mut String) {
    for (place, activity) in Activity::ALL.into_iter().enumerate() {
        let x = LEFT + 110.0 * place as f64;
        draw(
            drawing,
            format_args!("<rect x=\"{x}\" y=\"46\" width=\"10\" height=\"10\" fill=\"{}\"/>", colour(activity)),
        );
        draw(drawing, format_args!("<text x=\"{}\" y=\"55\">{}</text>", x + 14.0, words(activity)));
    }
}

/// One bar for each day that the period touches.
fn bars(drawing: &mut String, period: &Period) {
    let end = Duration::from_secs_f64(MOST_DAYS * DAY.as_secs_f64());
    let (mut from, to) = (period.from.since_origin(), period.to.since_origin().min(end));
    while from < to {
        let day = from.as_secs() / DAY.as_secs();
        let midnight = Duration::from_secs((day + 1) * DAY.as_secs());
        let until = to.min(midnight);
        let scale = |length: Duration| WIDTH * length.as_secs_f64() / DAY.as_secs_f64();
        let x = LEFT + scale(from - (midnight - DAY));
        let y = TOP + ROW * day as f64;
        let (width, height) = (scale(until - from).max(THINNEST), ROW - 2.0);
        draw(
            drawing,
            format_args!(
                "<rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{height}\" fill=\"{}\"><title>{} {:.3} s</title></rect>",
                colour(period.activity),
                words(period.activity),
                period.length().as_secs_f64()
            ),
        );
        from = until;
    }
}

fn draw(drawing: &mut String, element: std::fmt::Arguments) {
    // Writing to a String does not fail.
    let _ = writeln!(drawing, "{element}");
}

fn colour(activity: Activity) -> &'static str {
    match activity {
        Activity::Starting => "#4c78a8",
        Activity::Up => "#c7e9c0",
        Activity::Silent => "#d62728",
        Activity::Ending => "#9467bd",
        Activity::BackingOff => "#ff9f1c",
    }
}

fn words(activity: Activity) -> &'static str {
    match activity {
        Activity::Starting => "starting",
        Activity::Up => "up",
        Activity::Silent => "silent",
        Activity::Ending => "stopping",
        Activity::BackingOff => "backing off",
    }
}
