//! The files that options name: the heartbeat file, which the command touches, and those that tell the state.

use super::{Options, Refusal, usage};
use crate::patience;
use crate::report::display::Escaped;
use std::io;
use std::path::{Path, PathBuf};
use supervisor_backend_unix::{OwnFile, within_at};
use supervisor_core::Watchdog;

/// A file that tells the current state.
pub struct StateFileSettings {
    pub option: &'static str,
    /// As it is written on the command line.
    pub given: PathBuf,
    pub form: FileForm,
    pub file: OwnFile,
}

/// What it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    Status,
    Metrics,
    Pid,
}

/// The state files that are asked for, none of which is another's, or the heartbeat file.
pub fn state_files(options: &Options, heartbeat_file: &Path) -> Result<Vec<StateFileSettings>, Refusal> {
    let wanted = [
        ("--status-file", &options.status_file, FileForm::Status),
        ("--metrics-file", &options.metrics_file, FileForm::Metrics),
        ("--pid-file", &options.pid_file, FileForm::Pid),
    ];
    let mut known = vec![("--heartbeat-file", heartbeat_file.to_owned())];
    let mut files = Vec::new();
    for (option, path, form) in wanted {
        let Some(path) = path else { continue };
        let file = own_file(option, path)?;
        if let Some((other, _)) = known.iter().find(|(_, known)| known == file.path()) {
            return Err(same_file(option, path, other));
        }
        known.push((option, file.path().to_owned()));
        files.push(StateFileSettings { option, given: path.clone(), form, file });
    }
    Ok(files)
}

/// Two options must not name one file.
pub fn same_file(option: &str, path: &Path, other: &str) -> Refusal {
    usage(format!("{option} {}: is the file of {other} too; give another path", Escaped(&path.display().to_string())))
}

fn own_file(option: &str, path: &Path) -> Result<OwnFile, Refusal> {
    OwnFile::new(path).map_err(|error| match error.kind() {
        // What the system refuses is no mistake in the path.
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => {
            usage(format!("invalid value '{}' for '{option} <PATH>': give the path of a file", path.display()))
        }
        _ => Refusal::cannot_work(format!("{option} {}: cannot be written: {error}", path.display())),
    })
}

/// The heartbeat file by its absolute path.
pub fn heartbeat_file(path: &Path, watchdog: Watchdog) -> Result<PathBuf, Refusal> {
    if path.as_os_str().is_empty() {
        return Err(usage("invalid value '' for '--heartbeat-file <PATH>': give the path of a file".to_owned()));
    }
    let absolute = match (std::path::absolute(path), watchdog) {
        (Ok(absolute), _) => absolute,
        (Err(_), Watchdog::Off) => return Ok(path.to_owned()),
        (Err(error), Watchdog::On { .. }) => {
            let path = path.display();
            return Err(Refusal::cannot_work(format!("--heartbeat-file {path}: give an absolute path: {error}")));
        }
    };
    if watchdog != Watchdog::Off && is_directory(&absolute) {
        let path = path.display();
        return Err(Refusal::cannot_work(format!("--heartbeat-file {path}: is a directory; give the path of a file")));
    }
    Ok(absolute)
}

/// Whether there is a directory. A file system that does not answer soon has none; nor is it worth failing for.
fn is_directory(path: &Path) -> bool {
    let owned = path.to_owned();
    within_at(path, patience::SHORT, move || Ok(owned.is_dir())).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code;
    use std::time::Duration;

    const ON: Watchdog = Watchdog::On { timeout: Duration::from_secs(1), initial_delay: Duration::ZERO };

    #[test]
    fn a_folder_is_no_heartbeat_file_unless_nothing_looks_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = heartbeat_file(folder.path(), ON).unwrap_err();
        assert!(refusal.exit_code == exit_code::CANNOT_WORK && refusal.message.contains("is a directory"));
        assert_eq!(heartbeat_file(folder.path(), Watchdog::Off).unwrap(), folder.path());
        assert_eq!(heartbeat_file(&folder.path().join("beat"), ON).unwrap(), folder.path().join("beat"));
    }

    #[test]
    fn an_empty_path_is_refused() {
        assert!(heartbeat_file(Path::new(""), ON).unwrap_err().message.contains("give the path of a file"));
    }

    #[test]
    fn a_relative_path_is_below_the_working_directory() {
        let absolute = std::env::current_dir().unwrap().join("beat");
        assert_eq!(heartbeat_file(Path::new("beat"), ON).unwrap(), absolute);
    }
}
