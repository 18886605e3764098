//! Files that tell the present, such as the status file: replaced whole by rename(2), and gone with the supervisor.
//!
//! Should the supervisor be killed, a keeper removes them. It knows them by the inode that was written last, which both
//! see in one page of shared memory: a file that another supervisor has put there since is left alone.

use rustix::fs::{AtFlags, CWD, StatxFlags, statx, unlink};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::process::{Pid, test_kill_process};
use std::ffi::CString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The beginning of the name of a next version; the pid of its writer and the name of the file follow.
const PREFIX: &str = ".supervisor-";
/// Longer than a next version waits to take the name.
const LONG_AGO: Duration = Duration::from_secs(60);

/// A file that only this process writes, and that does not outlive it.
#[derive(Clone, Debug)]
pub struct OwnFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// The next version, until it takes the name.
    next: PathBuf,
    /// The same paths as unlink(2) takes them: a keeper must not allocate.
    raw_path: CString,
    raw_next: CString,
    last: Inode,
}

/// The inode of the last version, in memory that keepers share; 0 while there is none.
#[derive(Debug)]
struct Inode(&'static AtomicU64);

impl OwnFile {
    /// Writes nothing yet.
    ///
    /// # Errors
    /// Those of mmap(2), and `InvalidInput` for a path with a NUL in it or without a name.
    pub fn new(path: &Path) -> io::Result<OwnFile> {
        let path = std::path::absolute(path)?;
        let mut name = std::ffi::OsString::from(format!("{PREFIX}{}-", std::process::id()));
        name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        let next = path.with_file_name(name);
        let (raw_path, raw_next) = (raw(&path)?, raw(&next)?);
        Ok(OwnFile { shared: Arc::new(Shared { path, next, raw_path, raw_next, last: Inode::new()? }) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Replaces the text. Readers see the old one or the new one. A symbolic link is replaced, not followed.
    ///
    /// # Errors
    /// Those of open(2), write(2) and rename(2).
    pub fn replace(&self, text: &str) -> io::Result<()> {
        let Shared { path, next, last, .. } = &*self.shared;
        if last.get() == 0 {
            sweep(path);
        }
        let mut file = create(next)?;
        file.write_all(text.as_bytes()).inspect_err(|_| drop(std::fs::remove_file(next)))?;
        last.set(inode_of(&file)?);
        std::fs::rename(next, path).inspect_err(|_| drop(std::fs::remove_file(next)))
    }

    /// Removes it, unless another has put a file of its own there.
    pub fn remove(&self) {
        self.shared.remove();
    }

    /// In a keeper: removes it, and what may be left of a next version. Makes nothing but system calls.
    pub(crate) fn clear(&self) {
        let _ = unlink(&self.shared.raw_next);
        self.shared.remove();
    }
}

impl Shared {
    fn remove(&self) {
        let found = statx(CWD, &self.raw_path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO);
        if found.is_ok_and(|found| found.stx_ino != 0 && found.stx_ino == self.last.get()) {
            let _ = unlink(&self.raw_path);
        }
    }
}

impl Inode {
    fn new() -> io::Result<Inode> {
        let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping harms no other. It is zeroed, aligned to a page, and never unmapped.
        let number = unsafe {
            let page = mmap_anonymous(std::ptr::null_mut(), size_of::<AtomicU64>(), access, kind)?;
            &*page.cast::<AtomicU64>()
        };
        Ok(Inode(number))
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, inode: u64) {
        self.0.store(inode, Ordering::Release);
    }
}

/// A new file, not one that somebody has planted there. One that is left of a process that had our number is replaced.
fn create(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    let file = open().or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => std::fs::remove_file(path).and_then(|()| open()),
        _ => Err(error),
    })?;
    // Whatever the umask says, others may read what is written for them.
    file.set_permissions(Permissions::from_mode(0o644))?;
    Ok(file)
}

/// Removes next versions of this file that are left of supervisors that were killed while they had no keeper. One that was
/// written a moment ago may be of a living one in another PID namespace.
fn sweep(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let pid = pid_of_owner(entry.file_name().as_bytes(), name.as_bytes());
        let is_dead = |pid: Pid| test_kill_process(pid) == Err(Errno::SRCH);
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if pid.is_some_and(is_dead) && age().is_some_and(|age| age >= LONG_AGO) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whose next version of this file an entry of its folder is.
fn pid_of_owner(entry: &[u8], name: &[u8]) -> Option<Pid> {
    let pid = entry.strip_prefix(PREFIX.as_bytes())?.strip_suffix(name)?.strip_suffix(b"-")?;
    Pid::from_raw(std::str::from_utf8(pid).ok()?.parse().ok()?)
}

fn inode_of(file: impl AsFd) -> io::Result<u64> {
    Ok(statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::INO)?.stx_ino)
}

fn raw(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn place() -> (tempfile::TempDir, OwnFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = OwnFile::new(&folder.path().join("status")).unwrap();
        (folder, file)
    }

    #[test]
    fn the_last_text_is_there_and_no_other_file() {
        let (folder, file) = place();
        (0..100).for_each(|number| file.replace(&number.to_string()).unwrap());
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "99");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        file.remove();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_planted_link_is_replaced_and_its_target_is_not_touched() {
        let (folder, file) = place();
        let target = folder.path().join("target");
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, file.path()).unwrap();
        file.replace("state").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(!fs::symlink_metadata(file.path()).unwrap().is_symlink());
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn what_a_dead_supervisor_has_left_half_written_is_swept() {
        let (folder, file) = place();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let (old, young) = (format!(".supervisor-{dead}-status"), format!(".supervisor-{dead}-other"));
        let of_living = format!(".supervisor-{}-status.bak", std::process::id());
        for name in [&old, &young, &of_living] {
            let left = File::create(folder.path().join(name)).unwrap();
            left.set_modified(std::time::SystemTime::now() - LONG_AGO * 2).unwrap();
        }
        file.replace("state").unwrap();
        assert!(!folder.path().join(&old).exists());
        assert!(folder.path().join(&young).exists() && folder.path().join(&of_living).exists());
    }

    #[test]
    fn the_file_of_another_is_left_alone() {
        let (folder, file) = place();
        file.replace("ours").unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "another's").unwrap();
        fs::rename(&other, file.path()).unwrap();
        file.clear();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "another's");
    }
}
