//! Tells the program what it is built from, for `--version`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    let commit = commit().map(|commit| format!("{commit}, ")).unwrap_or_default();
    println!("cargo::rustc-env=SUPERVISOR_BUILD= ({commit}{target})");
}

/// Where this is a work tree of its own, and git is there.
fn commit() -> Option<String> {
    if git(&["rev-parse", "--show-prefix"])? != "cli/" {
        return None;
    }
    // It changes with each commit.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
