//! The heartbeat file: whether it changed, and when, without ever waiting for a file system that does not answer.

pub(crate) mod file_status;
#[expect(clippy::module_inception, reason = "the file is named for the one thing that it looks at")]
mod heartbeat;
pub(crate) mod rights;
pub(crate) mod watcher;
