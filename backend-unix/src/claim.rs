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
    identity: Identity,
    _name: OwnedFd,
}

/// What a path leads to: the folder by its device and number, whatever path leads to it, and the name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Vec<u8>);

/// What became of a claim.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Ours(Claim),
    /// Another process has it, or another claim of this one.
    Taken(Identity),
    /// It cannot be told: the folder is not there, or its file system does not answer.
    Unknown,
}

impl Claim {
    /// Claims a path, whether there is a file or not: links on the way to it are followed.
    pub fn take(path: &Path) -> Claimed {
        let owned = path.to_owned();
        let Ok(identity) = within_at(path, PATIENCE, move || identity(&owned)) else { return Claimed::Unknown };
        match bind_to(&identity.0) {
            Ok(name) => Claimed::Ours(Claim { identity, _name: name }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Claimed::Taken(identity),
            Err(_) => Claimed::Unknown,
        }
    }

    /// What is claimed.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let path = if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = statx(CWD, folder, AtFlags::empty(), StatxFlags::INO)?;
    let start = format!("supervisor:{}:{}:{}:", folder.stx_dev_major, folder.stx_dev_minor, folder.stx_ino);
    Ok(Identity([start.as_bytes(), name.as_bytes()].concat()))
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
        let Claimed::Taken(identity) = Claim::take(&alias.join("heartbeat.txt")) else { panic!("it is claimed") };
        assert_eq!(identity, *claim.identity());
        assert!(matches!(Claim::take(&folder.path().join("other")), Claimed::Ours(_)));
        assert!(matches!(Claim::take(&folder.path().join("no/such")), Claimed::Unknown));
        drop(claim);
        // A child that another test forks may have it, until it executes its program.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !matches!(Claim::take(&file), Claimed::Ours(_)) {
            assert!(std::time::Instant::now() < deadline, "it is free again");
        }
    }

    #[test]
    fn a_link_is_claimed_as_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let Claimed::Ours(_claim) = Claim::take(&file) else { panic!("it is free") };
        assert!(matches!(Claim::take(&link), Claimed::Taken(_)));
        assert!(matches!(Claim::take(Path::new("/")), Claimed::Unknown));
    }

    #[test]
    fn of_a_long_name_the_end_tells() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(200);
        let Claimed::Ours(_claim) = Claim::take(&folder.path().join(format!("{long}1"))) else { panic!("it is free") };
        assert!(matches!(Claim::take(&folder.path().join(format!("{long}2"))), Claimed::Ours(_)));
        assert!(matches!(Claim::take(&folder.path().join(format!("{long}1"))), Claimed::Taken(_)));
    }
}
