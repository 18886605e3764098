//! Runs a supervised command as Unix processes: the mechanism behind [`supervisor_core`]'s decisions.
//!
//! [`UnixBackend`] forks a keeper for each run, which starts the command in a process group of its own, keeps everything
//! that the command starts, signals it and reaps it. The backend looks at the heartbeat file, and sleeps in one poll(2)
//! until the next deadline; signals, messages and what keepers tell wake it.

#[cfg(not(target_os = "linux"))]
compile_error!("only Linux has what this backend needs to keep hold of a process tree: see src/linux.rs");

mod backend;
mod cgroup;
mod claim;
mod clock;
mod config;
mod errand;
mod heartbeat;
mod helper;
mod hooks;
mod keeper;
mod linux;
mod notice;
mod notify;
#[cfg(any(test, fuzzing))]
pub mod outside;
mod own_file;
mod probe;
mod signals;
mod source;
mod stall;
mod terminal;
mod timer;
mod tree;
mod worker;

pub use backend::UnixBackend;
pub use claim::{Claim, Claimed, Identity};
pub use config::{Config, HookConfig, Notifications, ProbeConfig, StopTarget};
pub use errand::in_a_process;
pub use heartbeat::file_status::{is_at_hand, is_local_file};
pub use hooks::{HookCalls, HookQueue, Weight};
pub use keeper::exec::{Command, FindError, find};
pub use notice::{
    Disregard, HeartbeatFound, Hindrance, Named, ProbeOutcome, ProcessSnapshot, Rest, Target, Trouble, UnixNotice,
};
pub use own_file::OwnFile;
pub use signals::{Hangup, Signal, Signals, is_stop_pending};
pub use stall::Stall;
pub use tree::process::{ProcessId, Vitality};
pub use worker::{Worker, within, within_at};
