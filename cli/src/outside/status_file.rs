//! Status files that `--healthcheck` is given.

use super::assert_line;
use crate::healthcheck::judge;
use crate::report::display::Escaped;
use serde_json::Value;
use supervisor_backend_unix::Vitality;

/// A status file. A supervisor counts as alive if its pid is odd.
pub fn status_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match judge(&Escaped("status"), text, |supervisor| match supervisor.pid % 2 {
        0 => Vitality::Gone,
        _ => Vitality::Going,
    }) {
        Ok(line) => {
            assert!(line.starts_with("healthy: "), "{line}");
            assert_line(&line);
            assert_healthy(text);
        }
        Err(line) => {
            assert!(line.starts_with("unhealthy: "), "{line}");
            assert_line(&line);
        }
    }
}

/// The command runs, is not hung, and the supervisor lives. (serde reads a list in the order of the fields as well.)
fn assert_healthy(text: &str) {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return };
    let state = fields["state"].as_str().unwrap();
    assert!(["running", "restarting", "stopping"].contains(&state), "{state}");
    assert!(fields["pid"].is_u64() && fields["supervisor"].as_i64().unwrap() % 2 != 0);
}
