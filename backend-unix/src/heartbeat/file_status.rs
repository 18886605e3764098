//! A look at a file: what identifies its present version, and whether the look can be made without waiting for others.

use crate::linux::read_proc;
use nix::libc;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Statx, StatxFlags, StatxTimestamp, Timespec,
};
use rustix::fs::{major, minor, openat2, statat, statx};
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What identifies a version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStatus {
    /// The symbolic link that led to it, if the path is one.
    link: Option<Link>,
    device: (u32, u32),
    inode: u64,
    size: u64,
    modified: Timespec,
    /// The time of the last change of content or attributes, kept by the kernel.
    pub changed: Timespec,
}

/// What identifies a symbolic link: one that was switched away and back is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    inode: u64,
    changed: Timespec,
}

impl FileStatus {
    /// Whether this is the same file by the same link, perhaps in another version.
    pub fn is_same_file(&self, other: &FileStatus) -> bool {
        (self.link, self.device, self.inode) == (other.link, other.device, other.inode)
    }

    /// Whether its stamps have whole seconds, as those of FAT and of small ext3.
    pub fn is_stamped_in_seconds(&self) -> bool {
        self.changed.tv_nsec == 0 && self.modified.tv_nsec == 0
    }
}

/// Looks at a file without opening it, symbolic links followed. On a network file system the server answers, not a
/// cache.
///
/// # Errors
/// Those of statx(2), and `IsADirectory`.
pub(crate) fn file_status(path: &Path) -> io::Result<FileStatus> {
    let (kind, status) = status_of(path, AtFlags::SYMLINK_NOFOLLOW)?;
    let (kind, status) = match kind {
        FileType::Symlink => {
            let link = Link { inode: status.inode, changed: status.changed };
            let (kind, status) = status_of(path, AtFlags::empty())?;
            (kind, FileStatus { link: Some(link), ..status })
        }
        _ => (kind, status),
    };
    if kind == FileType::Directory { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(status) }
}

/// When a name was added to a folder or removed from it last.
///
/// # Errors
/// Those of statx(2).
pub(crate) fn folder_changed(path: &Path) -> io::Result<Timespec> {
    status_of(path, AtFlags::empty()).map(|(_, status)| status.modified)
}

fn status_of(path: &Path, links: AtFlags) -> io::Result<(FileType, FileStatus)> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE | StatxFlags::MTIME | StatxFlags::CTIME;
    match statx(CWD, path, AtFlags::STATX_FORCE_SYNC | links, wanted) {
        Ok(status) => Ok((FileType::from_raw_mode(status.stx_mode.into()), status.into())),
        // Before Linux 4.11, and where a filter denies it.
        Err(Errno::NOSYS | Errno::PERM) => {
            let status = statat(CWD, path, links)?;
            Ok((FileType::from_raw_mode(status.st_mode), status.into()))
        }
        Err(error) => Err(error.into()),
    }
}

impl From<Statx> for FileStatus {
    fn from(status: Statx) -> FileStatus {
        let time = |stamp: StatxTimestamp| Timespec { tv_sec: stamp.tv_sec, tv_nsec: stamp.tv_nsec.into() };
        FileStatus {
            link: None,
            device: (status.stx_dev_major, status.stx_dev_minor),
            inode: status.stx_ino,
            size: status.stx_size,
            modified: time(status.stx_mtime),
            changed: time(status.stx_ctime),
        }
    }
}

impl From<Stat> for FileStatus {
    fn from(status: Stat) -> FileStatus {
        // The types of the fields are not the same everywhere.
        FileStatus {
            link: None,
            device: (major(status.st_dev), minor(status.st_dev)),
            inode: status.st_ino as _,
            size: status.st_size as _,
            modified: Timespec { tv_sec: status.st_mtime as _, tv_nsec: status.st_mtime_nsec as _ },
            changed: Timespec { tv_sec: status.st_ctime as _, tv_nsec: status.st_ctime_nsec as _ },
        }
    }
}

/// Whether the stamps of a file come from the clock of this machine: not on network file systems, nor on those served
/// by a program.
pub(crate) fn is_stamped_by_this_machine(path: &Path) -> bool {
    /// File systems whose stamps come from elsewhere, by their magic number: statfs(2).
    const FOREIGN: [u32; 10] = [
        0x6969,      // NFS
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB 2
        0x517b,      // SMB
        0x6573_5546, // FUSE
        0x0102_1997, // 9P
        0x00c3_6400, // Ceph
        0x5346_414f, // AFS
        0x0bd0_0bd0, // Lustre
        0x786f_4256, // VirtualBox shared folders
    ];
    rustix::fs::statfs(path).is_ok_and(|found| !FOREIGN.contains(&(found.f_type as u32)))
}

/// Whether a path can be looked at without waiting for anything but this machine: its folder is found in the kernel's
/// cache, on a file system of this machine, and it is no link to elsewhere. Never waits itself: openat2(2).
pub fn is_at_hand(path: &Path) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat2(CWD, folder, flags, Mode::empty(), ResolveFlags::CACHED) else { return false };
    let cached = AtFlags::STATX_DONT_SYNC;
    let Ok(status) = statx(&folder, c"", cached | AtFlags::EMPTY_PATH, MOUNT_ID) else { return false };
    if !is_local_mount(status.stx_mnt_id) {
        return false;
    }
    match statx(&folder, name, cached | AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE | MOUNT_ID) {
        Ok(file) => {
            let is_link = FileType::from_raw_mode(file.stx_mode.into()) == FileType::Symlink;
            file.stx_mnt_id == status.stx_mnt_id && !is_link
        }
        Err(error) => error == Errno::NOENT,
    }
}

/// Whether an open file lies on a file system of this machine.
pub fn is_local_file(file: impl rustix::fd::AsFd) -> bool {
    statx(file, c"", AtFlags::STATX_DONT_SYNC | AtFlags::EMPTY_PATH, MOUNT_ID)
        .is_ok_and(|status| is_local_mount(status.stx_mnt_id))
}

/// `STATX_MNT_ID_UNIQUE`, since Linux 6.8; older kernels give numbers that may be used again.
const MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000).union(StatxFlags::MNT_ID);

/// Whether a mount is of a file system of this machine. The last answer is remembered: numbers of mounts are unique.
fn is_local_mount(id: u64) -> bool {
    static LAST_LOCAL: AtomicU64 = AtomicU64::new(0);
    if id != 0 && LAST_LOCAL.load(Ordering::Relaxed) == id {
        return true;
    }
    let is_local =
        magic_of_mount(id).map_or_else(|| has_local_kind(id), |magic| LOCAL.iter().any(|(_, of)| *of == magic));
    if is_local {
        LAST_LOCAL.store(id, Ordering::Relaxed);
    }
    is_local
}

/// File systems that wait for nothing but this machine, by name and by magic number: statfs(2).
const LOCAL: [(&str, u64); 9] = [
    ("ext4", 0xef53),
    ("ext3", 0xef53),
    ("ext2", 0xef53),
    ("xfs", 0x5846_5342),
    ("btrfs", 0x9123_683e),
    ("tmpfs", 0x0102_1994),
    ("overlay", 0x794c_7630),
    ("f2fs", 0xf2f5_2010),
    ("ramfs", 0x8584_58f6),
];

/// By statmount(2), since Linux 6.8, which asks no file system.
fn magic_of_mount(id: u64) -> Option<u64> {
    const STATMOUNT: libc::c_long = 457;
    // The size of the request, the mount, what is wanted: `STATMOUNT_SB_BASIC`.
    let request: [u64; 3] = [24, id, 1];
    let mut found = [0_u64; 64];
    let size = size_of_val(&found);
    // SAFETY: both are as large as is said.
    let result = unsafe { libc::syscall(STATMOUNT, &request, &mut found, size, 0) };
    // Size and options; what was found; the device; the magic number.
    (result == 0 && found[1] & 1 != 0).then_some(found[3])
}

/// By proc_pid_mountinfo(5).
fn has_local_kind(id: u64) -> bool {
    let mounts = read_proc("/proc/self/mountinfo").unwrap_or_default();
    let start = format!("{id} ");
    let kind = mounts.lines().find(|line| line.starts_with(&start)).and_then(|line| line.split_once(" - "));
    kind.and_then(|(_, rest)| rest.split(' ').next()).is_some_and(|kind| LOCAL.iter().any(|(name, _)| *name == kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_call_tells_the_same_of_a_file() {
        let path = std::env::current_exe().unwrap();
        assert_eq!(file_status(&path).unwrap(), FileStatus::from(rustix::fs::stat(&path).unwrap()));
    }

    #[test]
    fn a_link_is_not_at_hand_and_proc_is_no_file_system_of_this_kind() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert!(!is_at_hand(&link));
        assert!(!is_at_hand(Path::new("/proc/self/status")));
        // Either it is at hand whether it is there or not, or this folder never is.
        let before = is_at_hand(&file);
        std::fs::write(&file, "").unwrap();
        assert_eq!(is_at_hand(&file), before);
    }

    #[test]
    fn what_may_wait_for_others_is_not_at_hand() {
        let root = openat2(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED);
        if root.is_err() {
            return eprintln!("skipped: this kernel cannot look into its cache alone: openat2(2), RESOLVE_CACHED");
        }
        let folder = tempfile::tempdir().unwrap();
        let is_local = is_local_file(std::fs::File::open(folder.path()).unwrap());
        assert_eq!(is_at_hand(&folder.path().join("file")), is_local);
        assert!(!is_at_hand(Path::new("/")) && !is_at_hand(&folder.path().join("no/such")));
        assert!(!is_local_file(std::fs::File::open("/proc/self/status").unwrap()));
    }

    #[test]
    fn a_version_of_a_file_is_not_another_file() {
        let whole = Timespec { tv_sec: 7, tv_nsec: 0 };
        let fine = Timespec { tv_sec: 7, tv_nsec: 1 };
        let file = FileStatus { link: None, device: (1, 2), inode: 3, size: 4, modified: whole, changed: whole };
        assert!(file.is_same_file(&FileStatus { size: 5, changed: fine, ..file }));
        for other in [FileStatus { inode: 4, ..file }, FileStatus { device: (1, 3), ..file }] {
            assert!(!file.is_same_file(&other));
        }
        assert!(file.is_stamped_in_seconds());
        for finer in [FileStatus { modified: fine, ..file }, FileStatus { changed: fine, ..file }] {
            assert!(!finer.is_stamped_in_seconds());
        }
    }

    #[test]
    fn a_folder_is_no_file_to_look_at() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(file_status(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(file_status(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn either_call_tells_the_same_of_a_mount() {
        let is_known = |path: &str| {
            let magic = rustix::fs::statfs(path).unwrap().f_type as u64;
            LOCAL.iter().any(|(_, of)| *of == magic)
        };
        for path in [std::env::temp_dir().to_str().unwrap(), "/proc"] {
            assert_eq!(is_local_file(std::fs::File::open(path).unwrap()), is_known(path), "{path}");
            let status = |wanted| statx(CWD, path, AtFlags::empty(), wanted).unwrap().stx_mnt_id;
            assert_eq!(has_local_kind(status(StatxFlags::MNT_ID)), is_known(path), "{path}");
            // Older kernels have no such call.
            if let Some(magic) = magic_of_mount(status(MOUNT_ID)) {
                assert_eq!(magic, rustix::fs::statfs(path).unwrap().f_type as u64, "{path}");
            }
        }
        assert!(magic_of_mount(0).is_none() && !has_local_kind(0) && !is_local_mount(0));
    }
}
