//! Runs a supervised command as Unix processes: the mechanism behind [`supervisor_core`]'s decisions.
//!
//! [`UnixBackend`] starts the command in a process group of its own, looks at its heartbeat file, signals it, and
//! reaps. It sleeps in one `ppoll(2)` until the next deadline, and is woken by signals, messages and answers. As a child subreaper it
//! keeps hold of every descendant: when `wait(2)` has no child left to wait for, nothing of a run is left.

#[cfg(not(target_os = "linux"))]
compile_error!("only Linux has what this backend needs to keep hold of a process tree: see src/linux.rs");

mod autopsy;
mod backend;
mod clock;
mod config;
mod guard;
mod heartbeat;
mod hooks;
mod linux;
mod looker;
mod mark;
mod messages;
mod notice;
mod notify;
mod process;
mod protection;
mod reap;
mod signal;
mod signals;
mod silence;
mod spawn;
mod terminal;
mod tree;

pub use autopsy::Examined;
pub use backend::UnixBackend;
pub use config::{Config, Hook, Notifications};
pub use hooks::Hooks;
pub use notice::{Named, Target, UnixNotice};
pub use signal::Signal;
pub use signals::{Hangup, Signals};
pub use spawn::{Command, find};
