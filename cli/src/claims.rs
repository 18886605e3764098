//! Files that must not be shared, by two supervisors or by two options: each is claimed for the life of this process.

use crate::options::{Refusal, Settings, same_file};
use crate::report::Troubles;
use crate::report::display::Escaped;
use std::path::Path;
use supervisor_backend_unix::{Claim, Claimed, Identity};

/// The claim on the file of an option.
pub struct ClaimedFile {
    option: &'static str,
    claim: Claim,
}

/// Claims them, and tells of those that another supervisor has claimed. The claims hold until they are dropped.
///
/// # Errors
/// That two options name the same file, by whatever paths.
pub fn take(settings: &Settings, troubles: &Troubles) -> Result<Vec<ClaimedFile>, Refusal> {
    let heartbeat = settings.backend.heartbeat_file.iter().map(|path| ("--heartbeat-file", path.as_path()));
    let state = settings.files.iter().map(|file| (file.option, file.file.path()));
    let mut files = Vec::new();
    for (option, path) in heartbeat.chain(state) {
        match Claim::take(path) {
            Claimed::Ours(claim) => files.push(ClaimedFile { option, claim }),
            Claimed::Unknown => {}
            Claimed::Taken(identity) => match holder(&files, &identity) {
                Some(other) => return Err(same_file(option, path, other)),
                None => warn(option, path, troubles),
            },
        }
    }
    Ok(files)
}

fn holder(files: &[ClaimedFile], identity: &Identity) -> Option<&'static str> {
    files.iter().find(|file| file.claim.identity() == identity).map(|file| file.option)
}

fn warn(option: &'static str, path: &Path, troubles: &Troubles) {
    let file = path.display().to_string();
    let risk = match option {
        "--heartbeat-file" => ": while one command beats, the supervisor of the other notices no hang",
        _ => "",
    };
    let words =
        format!("another supervisor uses {} too{risk}; give each one a file of its own with {option}", Escaped(&file));
    troubles.tell(option, "another supervisor uses the file too".to_owned(), words);
}
