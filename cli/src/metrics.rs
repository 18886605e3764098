//! The state as metrics, for the textfile collector of Prometheus' node exporter.

use crate::status::{State, Status};
use std::fmt::Write;

/// <https://prometheus.io/docs/practices/naming/>
pub fn text(status: &Status, command: &str) -> String {
    let counts = &status.counts;
    let metrics = [
        ("up", "gauge", "Whether the command runs.", f64::from(u8::from(status.state == State::Running))),
        ("starts_total", "counter", "Starts of the command.", counts.starts as f64),
        ("failed_starts_total", "counter", "Starts that failed.", counts.failed_starts as f64),
        ("hangs_total", "counter", "Runs that hung.", counts.hangs as f64),
        ("kills_total", "counter", "Runs of which something had to be killed.", counts.kills as f64),
        ("consecutive_restarts", "gauge", "Restarts in the current streak.", status.restarts.into()),
        ("last_start_timestamp_seconds", "gauge", "The last start.", counts.last_start as f64),
        ("last_heartbeat_timestamp_seconds", "gauge", "The last heartbeat known.", counts.last_heartbeat),
    ];
    let label = command.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    metrics.iter().fold(String::new(), |mut text, (name, kind, help, value)| {
        let _ = writeln!(text, "# HELP supervisor_{name} {help}\n# TYPE supervisor_{name} {kind}");
        let _ = writeln!(text, "supervisor_{name}{{command=\"{label}\"}} {value}");
        text
    })
}
