//! Tells the program what it is built from, for `--version`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    let commit = commit().map(|commit| format!("{commit}, ")).unwrap_or_default();
    println!("cargo::rustc-env=SUPERVISOR_BUILD= ({commit}{target})");
}

/// What the program is made of, seen from here.
const SOURCES: [&str; 9] = [
    "Cargo.toml",
    "build.rs",
    "src",
    "../core/Cargo.toml",
    "../core/src",
    "../backend-unix/Cargo.toml",
    "../backend-unix/src",
    "../Cargo.toml",
    "../Cargo.lock",
];

/// Where this is a work tree of its own, and git is there; `-dirty` where the sources are not those of the commit.
fn commit() -> Option<String> {
    if git(&["rev-parse", "--show-prefix"])? != "cli/" {
        return None;
    }
    // It changes with each commit.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    SOURCES.iter().for_each(|source| println!("cargo::rerun-if-changed={source}"));
    let is_clean = git(&[&["diff", "--quiet", "HEAD", "--"], &SOURCES[..]].concat()).is_some();
    let dirty = if is_clean { "" } else { "-dirty" };
    git(&["rev-parse", "--short", "HEAD"]).map(|commit| commit + dirty)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
