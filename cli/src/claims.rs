//! Files that two supervisors must not share: each is claimed for the life of this process.

use crate::options::Settings;
use crate::report::Troubles;
use crate::report::display::Escaped;
use std::path::Path;
use supervisor_backend_unix::{Claim, Claimed};

/// Claims them, and tells of those that another supervisor has claimed. The claims hold until they are dropped.
pub fn take(settings: &Settings, troubles: &Troubles) -> Vec<Claim> {
    let heartbeat = settings.backend.heartbeat_file.iter().map(|path| ("--heartbeat-file", path.as_path()));
    let state = settings.files.iter().map(|file| (file.option, file.file.path()));
    heartbeat.chain(state).filter_map(|(option, path)| claim(option, path, troubles)).collect()
}

fn claim(option: &'static str, path: &Path, troubles: &Troubles) -> Option<Claim> {
    match Claim::take(path) {
        Claimed::Ours(claim) => Some(claim),
        Claimed::Unknown => None,
        Claimed::Taken => {
            let file = path.display().to_string();
            let words = format!(
                "another supervisor uses {} too; give each one a file of its own with {option}",
                Escaped(&file)
            );
            troubles.tell(option, "another supervisor uses the file too".to_owned(), words);
            None
        }
    }
}
