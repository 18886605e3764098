//! Another user, without any right beyond his own, who the tests can become where they are root.

use crate::support::{Place, can, copy_program, skipped};
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Executes what follows as that user.
pub const AS_OTHER: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// These words, executed as that user.
pub fn as_other<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(AS_OTHER[0]);
    // Setpriv itself still has the rights of root when it executes.
    command.args(&AS_OTHER[1..]).args(["env", "--default-signal"]).args(words);
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// Whether the tests can become that user.
pub fn can_become_other() -> bool {
    let can = can(&[&AS_OTHER[..], &["true"]].concat());
    if !can {
        skipped("setpriv --reuid: not root");
    }
    can
}

/// Whether that user can run a shell, or another program that knows its option -c: it may lie where only root can go.
pub fn other_can_run(program: &str) -> bool {
    can(&[&AS_OTHER[..], &["env", program, "-c", ""]].concat())
}

/// A place where that user may go, with the supervisor in it, which itself may lie where only root can go.
pub fn place_for_other() -> Place {
    let place = Place::new();
    place.allow("", 0o755);
    copy_program(env!("CARGO_BIN_EXE_supervisor"), place.path("supervisor"));
    place
}
