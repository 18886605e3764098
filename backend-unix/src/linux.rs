//! What only Linux has: the subreaper, the parent-death signal, the list of children, `statx`.

use crate::process::Process;
use nix::libc;
use rustix::fs::{AtFlags, CWD, FileType, Stat, Statx, StatxFlags, StatxTimestamp, Timespec, major, minor};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::io::Read;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

/// Makes this process the parent of every descendant that loses its own: PR_SET_CHILD_SUBREAPER(2const).
pub(crate) fn become_subreaper() -> io::Result<()> {
    let failed = |error: Errno| io::Error::other(format!("prctl(PR_SET_CHILD_SUBREAPER): {error}"));
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(failed)
}

/// In a new child: dies with `parent`, the process that forked it: PR_SET_PDEATHSIG(2const).
///
/// # Errors
/// `ESRCH` if the parent is already gone.
pub(crate) fn die_with_parent(parent: Pid) -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    match rustix::process::getppid() {
        Some(current) if current != parent => Err(Errno::SRCH),
        // A child that is the first of a new PID namespace does not see its parent.
        Some(_) | None => Ok(()),
    }
}

/// More than are open in a supervisor, where the limit allows a thousand million.
const MOST_DESCRIPTORS: RawFd = 1 << 16;

/// When descriptors are closed.
#[derive(Clone, Copy)]
pub(crate) enum Closing {
    Now,
    /// By execve(2).
    AtExec,
}

/// Closes every descriptor from `first` on. In a new child only: it makes nothing but system calls, and does not ask
/// whose they are.
pub(crate) fn close_from(first: RawFd, when: Closing) {
    let flags = match when {
        Closing::Now => 0,
        Closing::AtExec => libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: nothing in the child uses them any more.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if result == 0 {
        return;
    }
    // Before Linux 5.11, and where a filter denies it.
    let limit = getrlimit(Resource::Nofile).maximum.and_then(|limit| RawFd::try_from(limit).ok());
    for descriptor in first..limit.map_or(MOST_DESCRIPTORS, |limit| limit.min(MOST_DESCRIPTORS)) {
        match when {
            // SAFETY: as above.
            Closing::Now => unsafe { libc::close(descriptor) },
            // SAFETY: as above.
            Closing::AtExec => unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) },
        };
    }
}

/// Whether `/proc` shows the processes of our own PID namespace, by the numbers that we know them by.
pub(crate) fn proc_is_ours() -> io::Result<()> {
    let shown = fs::read_link("/proc/self")?;
    if shown.as_os_str() == std::process::id().to_string().as_str() {
        return Ok(());
    }
    Err(io::Error::other("/proc belongs to another PID namespace"))
}

/// Opens something even where the soft limit leaves no room for another descriptor: whoever cannot see what is left can
/// neither kill it nor leave. The hard limit stays, and so does the soft one for whatever is started.
fn with_room<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match open() {
        Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
            let limit = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
            let result = open();
            setrlimit(Resource::Nofile, limit)?;
            result
        }
        result => result,
    }
}

/// A file of `/proc`, which says that it is empty and gives all in one piece to a reader with enough room.
pub(crate) fn read_proc(path: &str) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(4096);
    with_room(|| fs::File::open(path))?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The children of a process; none of one that is gone.
///
/// # Errors
/// That they cannot be told just now, as for want of a descriptor.
pub(crate) fn children_of(pid: i32) -> io::Result<Vec<i32>> {
    static KERNEL_LISTS_CHILDREN: LazyLock<bool> =
        LazyLock::new(|| match fs::File::open(format!("/proc/self/task/{}/children", std::process::id())) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        });
    if *KERNEL_LISTS_CHILDREN { listed_children_of(pid) } else { found_children_of(pid) }
}

/// Those of all its threads, as the kernel lists them where it is built with `CONFIG_PROC_CHILDREN`:
/// proc_pid_task_tid_children(5).
fn listed_children_of(pid: i32) -> io::Result<Vec<i32>> {
    let Some(tasks) = unless_gone(with_room(|| fs::read_dir(format!("/proc/{pid}/task"))))? else {
        return Ok(Vec::new());
    };
    let mut children = Vec::new();
    for task in tasks {
        let Some(task) = unless_gone(task)? else { continue };
        let path = format!("/proc/{pid}/task/{}/children", task.file_name().display());
        let list = unless_gone(read_proc(&path))?.unwrap_or_default();
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Ok(children)
}

/// Those among all processes.
fn found_children_of(pid: i32) -> io::Result<Vec<i32>> {
    let mut children = Vec::new();
    for entry in with_room(|| fs::read_dir("/proc"))? {
        let Some(candidate) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let stat = unless_gone(read_proc(&format!("/proc/{candidate}/stat")))?.unwrap_or_default();
        if Process::parse(candidate, &stat).is_some_and(|process| process.parent == pid) {
            children.push(candidate);
        }
    }
    Ok(children)
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What identifies a version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStatus {
    device: (u32, u32),
    inode: u64,
    size: u64,
    modified: Timespec,
    /// The time of the last change of content or attributes, kept by the kernel.
    pub changed: Timespec,
}

/// Looks at a file without opening it, symbolic links followed. On a network file system the server answers, not a
/// cache.
///
/// # Errors
/// Those of statx(2), and `IsADirectory`.
pub(crate) fn file_status(path: &Path) -> io::Result<FileStatus> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE | StatxFlags::MTIME | StatxFlags::CTIME;
    let (kind, status) = match rustix::fs::statx(CWD, path, AtFlags::STATX_FORCE_SYNC, wanted) {
        Ok(status) => (FileType::from_raw_mode(status.stx_mode.into()), FileStatus::from(status)),
        // Before Linux 4.11, and where a filter denies it.
        Err(Errno::NOSYS | Errno::PERM) => {
            let status = rustix::fs::stat(path)?;
            (FileType::from_raw_mode(status.st_mode), FileStatus::from(status))
        }
        Err(error) => return Err(error.into()),
    };
    if kind == FileType::Directory { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(status) }
}

impl From<Statx> for FileStatus {
    fn from(status: Statx) -> FileStatus {
        let time = |stamp: StatxTimestamp| Timespec { tv_sec: stamp.tv_sec, tv_nsec: stamp.tv_nsec.into() };
        FileStatus {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_call_tells_the_same_of_a_file() {
        let path = std::env::current_exe().unwrap();
        assert_eq!(file_status(&path).unwrap(), FileStatus::from(rustix::fs::stat(&path).unwrap()));
    }

    #[test]
    fn children_are_found_as_they_are_listed() {
        let own = std::process::id().cast_signed();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        for children in [listed_children_of(own), found_children_of(own)] {
            assert!(children.unwrap().contains(&pid));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for children in
            [listed_children_of(own), found_children_of(own), listed_children_of(pid), found_children_of(pid)]
        {
            assert!(!children.unwrap().contains(&pid));
        }
    }
}
