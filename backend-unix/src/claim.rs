//! Claims on paths, so that two supervisors notice that they share a file.
//!
//! A claim is an abstract socket, unix(7): its name exists for as long as it is bound, and no file is made. Supervisors
//! see each other's claims within one network namespace.

use crate::worker::within_at;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// A claim is only good to have: no file system is waited for longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// A claim of this process on a path, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Claim {
    _name: OwnedFd,
}

/// What became of a claim.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Ours(Claim),
    /// Another process has it.
    Taken,
    /// It cannot be told: the folder is not there, or its file system does not answer.
    Unknown,
}

impl Claim {
    /// Claims a path, whether there is a file or not: links on the way to it are followed.
    pub fn take(path: &Path) -> Claimed {
        let owned = path.to_owned();
        let name = within_at(path, PATIENCE, move || identity(&owned));
        match name.and_then(|name| bind_to(&name)) {
            Ok(name) => Claimed::Ours(Claim { _name: name }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Claimed::Taken,
            Err(_) => Claimed::Unknown,
        }
    }
}

/// The folder by its device and number, whatever path leads to it, and the name in it.
fn identity(path: &Path) -> io::Result<Vec<u8>> {
    let path = if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = statx(CWD, folder, AtFlags::empty(), StatxFlags::INO)?;
    let start = format!("supervisor:{}:{}:{}:", folder.stx_dev_major, folder.stx_dev_minor, folder.stx_ino);
    Ok([start.as_bytes(), name.as_bytes()].concat())
}

fn bind_to(name: &[u8]) -> io::Result<OwnedFd> {
    /// What fits into an address, with the NUL before it.
    const LONGEST: usize = 107;
    // Of a longer name the end tells more.
    let name = &name[name.len().saturating_sub(LONGEST)..];
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    bind(socket.as_raw_fd(), &UnixAddr::new_abstract(name)?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_claimed_once_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("heartbeat.txt");
        let Claimed::Ours(claim) = Claim::take(&file) else { panic!("it is free") };
        let alias = folder.path().join("alias");
        std::os::unix::fs::symlink(folder.path(), &alias).unwrap();
        assert!(matches!(Claim::take(&alias.join("heartbeat.txt")), Claimed::Taken));
        assert!(matches!(Claim::take(&folder.path().join("other")), Claimed::Ours(_)));
        assert!(matches!(Claim::take(&folder.path().join("no/such")), Claimed::Unknown));
        drop(claim);
        assert!(matches!(Claim::take(&file), Claimed::Ours(_)));
    }

    #[test]
    fn a_link_is_claimed_as_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let Claimed::Ours(_claim) = Claim::take(&file) else { panic!("it is free") };
        assert!(matches!(Claim::take(&link), Claimed::Taken));
        assert!(matches!(Claim::take(Path::new("/")), Claimed::Unknown));
    }

    #[test]
    fn of_a_long_name_the_end_tells() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(200);
        let Claimed::Ours(_claim) = Claim::take(&folder.path().join(format!("{long}1"))) else { panic!("it is free") };
        assert!(matches!(Claim::take(&folder.path().join(format!("{long}2"))), Claimed::Ours(_)));
        assert!(matches!(Claim::take(&folder.path().join(format!("{long}1"))), Claimed::Taken));
    }
}
