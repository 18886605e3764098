//! The state as metrics, for the textfile collector of Prometheus' node exporter.

use crate::report::{State, Status};
use std::fmt::Write;

/// In the text format of <https://prometheus.io/docs/instrumenting/exposition_formats/>, named as
/// <https://prometheus.io/docs/practices/naming/> asks.
pub fn text(status: &Status) -> String {
    let counts = &status.counts;
    let number = |is_so: bool| f64::from(u8::from(is_so));
    let has_ended_well = matches!(status.state, State::Stopped | State::Finished);
    let metrics = [
        ("up", "gauge", "Whether the command runs.", number(status.state == State::Running)),
        (
            "ended_well",
            "gauge",
            "Whether it is over, since the supervisor was asked to stop or the command has finished.",
            number(has_ended_well),
        ),
        ("starts_total", "counter", "Starts of the command.", counts.starts as f64),
        ("failed_starts_total", "counter", "Starts that failed.", counts.failed_starts as f64),
        ("hangs_total", "counter", "Runs that hung.", counts.hangs as f64),
        ("kills_total", "counter", "Runs of which something had to be killed.", counts.kills as f64),
        ("consecutive_restarts", "gauge", "Restarts in the current streak.", status.restarts.into()),
        ("last_start_timestamp_seconds", "gauge", "The last start.", counts.last_start),
        ("last_heartbeat_timestamp_seconds", "gauge", "The last heartbeat known.", counts.last_heartbeat),
    ];
    let label = status.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    metrics.iter().fold(String::new(), |mut text, (name, kind, help, value)| {
        let _ = writeln!(text, "# HELP supervisor_{name} {help}\n# TYPE supervisor_{name} {kind}");
        let _ = writeln!(text, "supervisor_{name}{{name=\"{label}\"}} {value}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor_core::Limit;

    #[test]
    fn a_name_may_hold_any_character() {
        let text = text(&Status::new("a\\b\"c\nd".to_owned(), Limit::Unlimited));
        assert!(text.contains("supervisor_up{name=\"a\\\\b\\\"c\\nd\"} 0\n"), "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("supervisor_")), "{text}");
    }

    #[test]
    fn each_metric_has_its_value() {
        let mut status = Status::new("web".to_owned(), Limit::Unlimited);
        status.state = State::Running;
        status.restarts = 2;
        let counts = &mut status.counts;
        (counts.starts, counts.failed_starts, counts.hangs, counts.kills) = (3, 4, 5, 6);
        (counts.last_start, counts.last_heartbeat) = (7.5, 8.25);
        let table = [
            ("up", "1"),
            ("ended_well", "0"),
            ("starts_total", "3"),
            ("failed_starts_total", "4"),
            ("hangs_total", "5"),
            ("kills_total", "6"),
            ("consecutive_restarts", "2"),
            ("last_start_timestamp_seconds", "7.5"),
            ("last_heartbeat_timestamp_seconds", "8.25"),
        ];
        let text = text(&status);
        for (name, value) in table {
            assert!(text.contains(&format!("\nsupervisor_{name}{{name=\"web\"}} {value}\n")), "{name}: {text}");
        }
        for (state, value) in [(State::Stopped, 1), (State::Finished, 1), (State::GaveUp, 0), (State::BackingOff, 0)] {
            status.state = state;
            assert!(super::text(&status).contains(&format!("supervisor_ended_well{{name=\"web\"}} {value}\n")));
        }
    }
}
