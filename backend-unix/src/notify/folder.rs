//! Where the socket is. It is a file, as systemd's own is, since not all client libraries know abstract names. It lies in
//! a folder of its own, which goes with the supervisor, or with its keeper. Where there is no folder to write to, the
//! name is abstract after all.

use crate::errand::in_a_process;
use crate::heartbeat::file_status::is_at_hand;
use crate::linux::names_in;
use crate::worker::within;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, setsockopt, socket, sockopt};
use rustix::fs::{rmdir, unlink};
use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the socket in its folder.
const SOCKET: &str = "notify";
/// The beginning of the folder's name; a pid and a random number follow.
const PREFIX: &str = "supervisor-";
/// A folder that has no socket after so long is left of a supervisor that was killed while it made them.
const LONGEST_START: Duration = Duration::from_secs(60);
/// No file system is waited for longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// Where the socket is.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// In a folder of its own.
    Folder {
        folder: PathBuf,
        /// As rmdir(2) and unlink(2) take them: a keeper must not allocate.
        raw_folder: CString,
        raw_socket: CString,
    },
    /// A name without a file.
    Abstract(String),
}

impl Address {
    fn in_folder(folder: PathBuf) -> io::Result<Address> {
        let raw = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput);
        let (raw_folder, raw_socket) = (raw(&folder)?, raw(&folder.join(SOCKET))?);
        Ok(Address::Folder { folder, raw_folder, raw_socket })
    }

    pub fn raw(&self) -> nix::Result<UnixAddr> {
        match self {
            Address::Folder { folder, .. } => UnixAddr::new(&folder.join(SOCKET)),
            Address::Abstract(name) => UnixAddr::new_abstract(name.as_bytes()),
        }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn variable(&self) -> OsString {
        match self {
            Address::Folder { folder, .. } => folder.join(SOCKET).into(),
            Address::Abstract(name) => format!("@{name}").into(),
        }
    }

    /// Leaves no file behind. Makes nothing but system calls.
    pub fn clear(&self) {
        if let Address::Folder { raw_folder, raw_socket, .. } = self {
            let _ = unlink(raw_socket);
            let _ = rmdir(raw_folder);
        }
    }

    /// The same, but does not wait for a file system that does not answer.
    pub fn remove(&self) {
        let Address::Folder { .. } = self else { return };
        // What is not gone by then is swept by the next supervisor that looks here.
        let _ = in_a_process(PATIENCE, || {
            self.clear();
            Ok(())
        });
    }
}

/// Binds a socket, in the first place that takes it: `XDG_RUNTIME_DIR`, `TMPDIR`, /tmp, /run, the abstract namespace.
/// Tells also why none of the folders would do.
///
/// # Errors
/// Those of socket(2), setsockopt(2) and bind(2).
pub(crate) fn bind_somewhere() -> io::Result<(OwnedFd, Address, Option<io::Error>)> {
    let mut random = [0; 8];
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK);
    let name = format!("{PREFIX}{}-{:016x}", std::process::id(), u64::from_ne_bytes(random));
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = runtime.into_iter().chain([std::env::temp_dir(), "/tmp".into(), "/run".into()]);
    let mut failure = None;
    for place in places.filter(|place| place.is_absolute()) {
        match bind_below(place, &name) {
            Ok((socket, address)) => return Ok((socket, address, None)),
            Err(error) => failure = Some(error),
        }
    }
    let address = Address::Abstract(name);
    Ok((bind_to(&address)?, address, failure))
}

fn bind_below(place: PathBuf, name: &str) -> io::Result<(OwnedFd, Address)> {
    let folder = place.join(name);
    Address::in_folder(folder.clone())?.raw()?;
    in_a_process(PATIENCE, || create(&folder))?;
    if is_at_hand(&folder) {
        sweep(&place);
        return bind_in_folder(folder);
    }
    within(PATIENCE, move || bind_in_folder(folder.clone()))
}

/// Others may pass, and see nothing.
fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o711).create(folder)
}

fn bind_in_folder(folder: PathBuf) -> io::Result<(OwnedFd, Address)> {
    let address = Address::in_folder(folder)?;
    let Address::Folder { folder, .. } = &address else { return Err(io::ErrorKind::InvalidInput.into()) };
    let bound = fs::set_permissions(folder, Permissions::from_mode(0o711)).and_then(|()| {
        let socket = bind_to(&address)?;
        // The command may have become another user.
        fs::set_permissions(folder.join(SOCKET), Permissions::from_mode(0o666))?;
        Ok(socket)
    });
    match bound {
        Ok(socket) => Ok((socket, address)),
        Err(error) => {
            address.clear();
            Err(error)
        }
    }
}

fn bind_to(address: &Address) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::PassCred, &true)?;
    bind(socket.as_raw_fd(), &address.raw()?)?;
    Ok(socket)
}

/// Removes folders of ours whose socket has no receiver any more: their supervisor was killed while it had no keeper.
fn sweep(place: &Path) {
    let own_user = rustix::process::geteuid().as_raw();
    for name in names_in(place).unwrap_or_default() {
        let folder = place.join(&name);
        let is_named_so = name.as_bytes().starts_with(PREFIX.as_bytes());
        let is_own = || folder.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == own_user);
        if is_named_so && is_own() && (is_dead(&folder.join(SOCKET)) || is_old(&folder)) {
            let _ = fs::remove_file(folder.join(SOCKET));
            let _ = fs::remove_dir(&folder);
        }
    }
}

/// Whether a folder has no socket, and was made longer ago than any start takes.
fn is_old(folder: &Path) -> bool {
    let made = fs::symlink_metadata(folder).and_then(|found| found.modified());
    let age = made.ok().and_then(|made| made.elapsed().ok()).unwrap_or_default();
    age >= LONGEST_START
        && folder.join(SOCKET).symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether there is a socket, and nothing that receives from it. It may be of a supervisor in another PID namespace, so
/// that its pid tells nothing.
fn is_dead(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Ok(trial) = socket(AddressFamily::Unix, SockType::Datagram, flags, None) else { return false };
    let Ok(address) = UnixAddr::new(path) else { return false };
    connect(trial.as_raw_fd(), &address) == Err(nix::errno::Errno::ECONNREFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_a_receiver_are_swept_and_others_stay() {
        let place = tempfile::tempdir().unwrap();
        let (living, dead) = (place.path().join("supervisor-1-a"), place.path().join("supervisor-2-b"));
        let (other, plain) = (place.path().join("other"), place.path().join("supervisor-3-c"));
        [&living, &dead, &other].into_iter().for_each(|folder| create(folder).unwrap());
        let (_socket, _) = bind_in_folder(living.clone()).unwrap();
        drop(bind_in_folder(dead.clone()).unwrap());
        drop(bind_in_folder(other.clone()).unwrap());
        fs::create_dir(&plain).unwrap();
        // A child that another test forks may have the socket, until it executes its program.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while dead.exists() && std::time::Instant::now() < deadline {
            sweep(place.path());
        }
        assert_eq!([living, dead, other, plain].map(|folder| folder.exists()), [true, false, true, true]);
    }

    #[test]
    fn a_folder_that_never_got_its_socket_is_swept_when_it_is_old() {
        let place = tempfile::tempdir().unwrap();
        let [new, old, other] =
            ["supervisor-1-a", "supervisor-2-b", "supervisor-3-c"].map(|name| place.path().join(name));
        [&new, &old, &other].into_iter().for_each(|folder| create(folder).unwrap());
        let (_socket, _) = bind_in_folder(other.clone()).unwrap();
        for folder in [&old, &other] {
            fs::File::open(folder).unwrap().set_modified(std::time::SystemTime::now() - LONGEST_START).unwrap();
        }
        sweep(place.path());
        assert_eq!([new, old, other].map(|folder| folder.exists()), [true, false, true]);
    }

    /// Not even by root, who could.
    #[test]
    fn a_folder_of_another_user_is_not_swept() {
        let place = tempfile::tempdir().unwrap();
        let dead = place.path().join("supervisor-1-a");
        create(&dead).unwrap();
        drop(bind_in_folder(dead.clone()).unwrap());
        if std::os::unix::fs::chown(&dead, Some(65534), None).is_err() {
            return eprintln!("SKIPPED: not root");
        }
        sweep(place.path());
        assert!(dead.join(SOCKET).symlink_metadata().is_ok());
    }

    #[test]
    fn others_may_pass_and_the_command_may_have_become_another_user() {
        let place = tempfile::tempdir().unwrap();
        let (_socket, address) = bind_below(place.path().to_owned(), "supervisor-1-a").unwrap();
        let Address::Folder { folder, .. } = &address else { panic!("it is a folder") };
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder), mode(&folder.join(SOCKET))), (0o711, 0o666));
        assert_eq!(address.variable(), folder.join(SOCKET));
        assert_eq!(Address::Abstract("name".to_owned()).variable(), "@name");
        address.remove();
        assert!(!place.path().join("supervisor-1-a").exists());
    }

    #[test]
    fn what_cannot_be_bound_leaves_no_folder() {
        let place = tempfile::tempdir().unwrap();
        for name in ["x".repeat(100).as_str(), "no/folder", "a\0b"] {
            assert!(bind_below(place.path().to_owned(), name).is_err(), "{name}");
        }
        fs::create_dir(place.path().join("of-another")).unwrap();
        assert!(bind_below(place.path().to_owned(), "of-another").is_err());
        let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["of-another"]);
    }
}
