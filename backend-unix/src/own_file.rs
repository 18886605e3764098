//! Files that tell the present, such as the status file: replaced whole by rename(2), and gone with the supervisor.
//!
//! Should the supervisor be killed, a keeper removes them. It knows them by inode and time of writing of the last two
//! versions, which both see in one page of shared memory: a file that another supervisor has put there since is left
//! alone.

use crate::linux::names_in;
use rustix::fs::{AtFlags, CWD, FlockOperation, Statx, StatxFlags, flock, statx, unlink};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::ffi::CString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The beginning of the name of a next version; the pid of its writer and the name of the file follow.
const PREFIX: &str = ".supervisor-";

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
    versions: Versions,
}

/// The version that has the name, and the one that is about to take it, in memory that keepers share.
#[derive(Debug)]
struct Versions(&'static [Version; 2]);

/// What tells one version from all others: its inode, and when it was written, in nanoseconds since the epoch. An inode
/// alone may be used again at once. All zero while there is none.
#[derive(Debug)]
struct Version {
    inode: AtomicU64,
    written: AtomicU64,
}

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
        Ok(OwnFile { shared: Arc::new(Shared { path, next, raw_path, raw_next, versions: Versions::new()? }) })
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
        let Shared { path, next, versions, .. } = &*self.shared;
        let [current, coming] = versions.0;
        if current.inode.load(Ordering::Acquire) == 0 {
            sweep(path);
        }
        let mut file = create(next)?;
        file.write_all(text.as_bytes()).inspect_err(|_| drop(std::fs::remove_file(next)))?;
        coming.set(identity(&file)?);
        std::fs::rename(next, path).inspect_err(|_| drop(std::fs::remove_file(next)))?;
        current.set(identity(&file)?);
        Ok(())
    }

    /// Removes what has its name, and finds out that a version can be written. No reader sees an empty one.
    ///
    /// # Errors
    /// Those of open(2), write(2) and unlink(2).
    pub fn make_way(&self) -> io::Result<()> {
        let Shared { path, next, .. } = &*self.shared;
        sweep(path);
        let written = create(next).and_then(|mut file| file.write_all(b"\n"));
        let removed = std::fs::remove_file(next);
        written.and(removed)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
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
        let found = statx(CWD, &self.raw_path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO | StatxFlags::MTIME);
        if found.is_ok_and(|found| self.versions.0.iter().any(|version| version.is(&found))) {
            let _ = unlink(&self.raw_path);
        }
    }
}

impl Versions {
    fn new() -> io::Result<Versions> {
        let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping harms no other. It is zeroed, aligned to a page, and never unmapped.
        let versions = unsafe {
            let page = mmap_anonymous(std::ptr::null_mut(), size_of::<[Version; 2]>(), access, kind)?;
            &*page.cast::<[Version; 2]>()
        };
        Ok(Versions(versions))
    }
}

impl Version {
    fn set(&self, (inode, written): (u64, u64)) {
        self.inode.store(inode, Ordering::Release);
        self.written.store(written, Ordering::Release);
    }

    fn is(&self, found: &Statx) -> bool {
        let known = (self.inode.load(Ordering::Acquire), self.written.load(Ordering::Acquire));
        known.0 != 0 && known == numbers(found)
    }
}

/// A new file, not one that somebody has planted there. One that is left of a process that had our number is replaced.
fn create(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    let file = open().or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => std::fs::remove_file(path).and_then(|()| open()),
        _ => Err(error),
    })?;
    // It tells those who sweep that its writer lives.
    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
    // Whatever the umask says, others may read what is written for them.
    file.set_permissions(Permissions::from_mode(0o644))?;
    Ok(file)
}

/// Removes next versions of this file that are left of supervisors that were killed while they had no keeper. Their
/// writers hold no lock any more, in whatever PID namespace they were.
fn sweep(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    for entry in names_in(folder).unwrap_or_default() {
        let next = folder.join(&entry);
        let is_left = || {
            File::open(&next).is_ok_and(|file| {
                next.symlink_metadata().is_ok_and(|found| found.is_file())
                    && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            })
        };
        if is_next_version(entry.as_bytes(), name.as_bytes()) && is_left() {
            let _ = std::fs::remove_file(&next);
        }
    }
}

/// Whether an entry of its folder is a next version of this file.
fn is_next_version(entry: &[u8], name: &[u8]) -> bool {
    let pid = entry.strip_prefix(PREFIX.as_bytes()).and_then(|rest| rest.strip_suffix(name)?.strip_suffix(b"-"));
    pid.is_some_and(|pid| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit))
}

fn identity(file: impl AsFd) -> io::Result<(u64, u64)> {
    let found = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MTIME)?;
    Ok(numbers(&found))
}

fn numbers(found: &Statx) -> (u64, u64) {
    let written = found.stx_mtime.tv_sec.cast_unsigned().wrapping_mul(1_000_000_000);
    (found.stx_ino, written.wrapping_add(found.stx_mtime.tv_nsec.into()))
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
        let (left, other) = (".supervisor-4711-status", ".supervisor-4711-other");
        let (of_living, no_number) = (".supervisor-4712-status", ".supervisor-x-status");
        for name in [left, other, no_number] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let _living = create(&folder.path().join(of_living)).unwrap();
        file.replace("state").unwrap();
        assert!(!folder.path().join(left).exists());
        assert!([other, of_living, no_number].iter().all(|name| folder.path().join(name).exists()));
    }

    /// As by a supervisor that was killed just before, or just after, it renamed a version.
    #[test]
    fn either_of_the_last_two_versions_is_known() {
        let (folder, file) = place();
        file.replace("one").unwrap();
        let two = folder.path().join("two");
        let coming = create(&two).unwrap();
        file.shared.versions.0[1].set(identity(&coming).unwrap());
        file.clear();
        assert!(!file.path().exists());
        fs::rename(&two, file.path()).unwrap();
        file.clear();
        assert!(!file.path().exists());
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
        // It may have got the inode that was ours.
        let found = statx(CWD, file.path(), AtFlags::empty(), StatxFlags::INO | StatxFlags::MTIME).unwrap();
        let (inode, written) = numbers(&found);
        file.shared.versions.0[0].set((inode, written - 1));
        file.clear();
        assert!(file.path().exists());
    }

    #[test]
    fn what_makes_way_leaves_nothing_and_tells_what_cannot_be_written() {
        let (folder, file) = place();
        file.make_way().unwrap();
        fs::write(file.path(), "old").unwrap();
        file.make_way().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::create_dir(file.path()).unwrap();
        assert!(file.make_way().is_err(), "a folder does not make way");
        fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(file.make_way().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(file.replace("text").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_next_version_is_named_after_its_file_and_its_writer() {
        let table = [
            (".supervisor-1-status", true),
            (".supervisor-4711-status", true),
            (".supervisor--status", false),
            (".supervisor-1a-status", false),
            (".supervisor-1-my-status", false),
            (".supervisor-1status", false),
            ("supervisor-1-status", false),
            ("status", false),
        ];
        for (entry, is_one) in table {
            assert_eq!(is_next_version(entry.as_bytes(), b"status"), is_one, "{entry}");
        }
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        for path in ["/", "/a\0b"] {
            assert_eq!(OwnFile::new(Path::new(path)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_next_version_is_left_neither_by_a_failure_nor_by_a_keeper() {
        let (folder, file) = place();
        fs::create_dir(file.path()).unwrap();
        assert!(file.replace("text").is_err(), "a folder is not replaced");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::remove_dir(file.path()).unwrap();
        // Of a process that had our number.
        fs::write(&file.shared.next, "left").unwrap();
        file.replace("text").unwrap();
        fs::write(&file.shared.next, "left").unwrap();
        file.replace("more").unwrap();
        fs::write(&file.shared.next, "left").unwrap();
        file.clear();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_version_is_known_by_inode_and_time() {
        let (_folder, file) = place();
        file.replace("text").unwrap();
        let found = fs::metadata(file.path()).unwrap();
        use std::os::unix::fs::MetadataExt;
        let written = found.mtime().cast_unsigned() * 1_000_000_000 + found.mtime_nsec().cast_unsigned();
        assert_eq!(identity(File::open(file.path()).unwrap()).unwrap(), (found.ino(), written));
    }
}
