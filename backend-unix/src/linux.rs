//! What only Linux has, of a process: the subreaper, the parent-death signal, its title, its descriptors, `/proc`.

use nix::libc;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
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

/// Ends this process at once: no destructor runs, and no exit handler of the process that forked it.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: nothing is left to be done.
    unsafe { libc::_exit(code) }
}

/// Why the last call of libc failed.
pub(crate) fn last_error() -> Errno {
    Errno::from_raw_os_error(nix::errno::Errno::last_raw())
}

/// Makes `to` another name of the descriptor `from`, and returns it: dup2(2). In a new child only: it does not ask whose
/// `to` is.
pub(crate) fn duplicate(from: RawFd, to: RawFd) -> Result<RawFd, Errno> {
    // SAFETY: nothing in the child uses what `to` was.
    if unsafe { libc::dup2(from, to) } == to { Ok(to) } else { Err(last_error()) }
}

/// Another name of a descriptor in the place of a standard stream, above those. Where there is none, it stays.
pub(crate) fn duplicate_above_streams(descriptor: RawFd) -> RawFd {
    if descriptor > 2 {
        return descriptor;
    }
    // SAFETY: a new name harms no descriptor.
    let above = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    if above > 2 { above } else { descriptor }
}

/// How many bytes the other end of a socket has not read yet: unix(7), `SIOCOUTQ`. Sockets count what the kernel keeps
/// beside the bytes, too; 0 means that all was read.
pub(crate) fn unread_by_peer(socket: BorrowedFd<'_>) -> i32 {
    let mut count = 0;
    // SAFETY: the kernel writes one number.
    unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    count
}

unsafe extern "C" {
    /// The first argument, where the kernel has put it; both glibc and musl set it, see program_invocation_name(3).
    static program_invocation_name: *mut libc::c_char;
}

/// In a keeper: shows itself as the keeper of a process, instead of with the arguments of the supervisor.
///
/// The title replaces the arguments in their place, as others see them in proc_pid_cmdline(5). Allocates nothing.
pub(crate) fn set_name_and_title(name: &CStr, of: i32) {
    let _ = rustix::thread::set_name(name);
    let mut title = [0; 32];
    let length = write_title(&mut title, name, of);
    // SAFETY: the kernel has put the arguments there, one after the other, each with a NUL behind it; this process does
    // not read them any more, and the last NUL stays.
    unsafe {
        let start = program_invocation_name.cast::<u8>();
        let room = arguments_length(start);
        start.write_bytes(0, room);
        start.copy_from_nonoverlapping(title.as_ptr(), length.min(room.saturating_sub(1)));
    }
}

/// The length of all arguments, NULs included: as many as the kernel counts, in its auxiliary vector's neighbour.
///
/// # Safety
/// `start` is where the kernel has put the first argument of this process.
unsafe fn arguments_length(start: *const u8) -> usize {
    let count = ARGUMENTS.load(std::sync::atomic::Ordering::Relaxed);
    let mut length = 0;
    for _ in 0..count {
        // SAFETY: there are so many strings, one after the other.
        length += unsafe { CStr::from_ptr(start.add(length).cast()) }.to_bytes_with_nul().len();
    }
    length
}

/// How many arguments this process has. Counting them allocates, so that it is done before a fork.
static ARGUMENTS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Makes [`set_name_and_title`] possible in children.
pub(crate) fn count_arguments() {
    ARGUMENTS.store(std::env::args_os().len(), std::sync::atomic::Ordering::Relaxed);
}

/// `NAME of PID`; returns its length.
fn write_title(title: &mut [u8; 32], name: &CStr, of: i32) -> usize {
    use std::io::Write;
    let mut rest = &mut title[..];
    let _ = rest.write_all(name.to_bytes()).and_then(|()| write!(rest, " of {of}"));
    let left = rest.len();
    title.len() - left
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
pub(crate) fn with_room<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
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
    const ROOM: usize = 4096;
    // The standard library would ask for size and place of the file first.
    let file = with_room(|| Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))?;
    let mut bytes = Vec::with_capacity(ROOM);
    while rustix::io::retry_on_intr(|| rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)))? > 0 {
        bytes.reserve(ROOM);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names in a folder. The standard library would panic where the folder cannot be closed.
pub(crate) fn names_in(folder: &Path) -> io::Result<Vec<OsString>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = with_room(|| Ok(open(folder, flags, Mode::empty())?))?;
    let mut names = Vec::new();
    for entry in Dir::new(opened)? {
        names.push(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned());
    }
    names.retain(|name| name != "." && name != "..");
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_long_file_of_proc_is_read_to_its_end() {
        let Ok(text) = read_proc("/proc/self/smaps") else {
            return eprintln!("SKIPPED: this kernel does not tell of the memory of a process");
        };
        assert!(text.len() > 4096 && text.ends_with('\n') && text.contains("[stack]"), "{} bytes", text.len());
    }

    #[test]
    fn a_title_is_cut_where_there_is_no_room() {
        let written = |name: &CStr, of| {
            let mut title = [0; 32];
            let length = write_title(&mut title, name, of);
            String::from_utf8(title[..length].to_vec()).unwrap()
        };
        assert_eq!(written(c"keeper", 4711), "keeper of 4711");
        assert_eq!(written(c"a name of thirty-one characters", 7).len(), 32);
    }

    #[test]
    fn descriptors_above_the_streams_keep_their_names() {
        let file = fs::File::open("/dev/null").unwrap();
        assert_eq!(duplicate_above_streams(file.as_raw_fd()), file.as_raw_fd());
        for stream in [0, 2] {
            let above = duplicate_above_streams(stream);
            assert!(above > 2);
            // SAFETY: it was made here, and nobody else knows it.
            unsafe { libc::close(above) };
        }
    }

    #[test]
    fn what_the_other_end_has_not_read_is_counted() {
        let (near, far) = std::os::unix::net::UnixDatagram::pair().unwrap();
        assert_eq!(unread_by_peer(near.as_fd()), 0);
        near.send(b"order").unwrap();
        assert!(unread_by_peer(near.as_fd()) > 0);
        far.recv(&mut [0; 8]).unwrap();
        assert_eq!(unread_by_peer(near.as_fd()), 0);
    }

    #[test]
    fn proc_is_that_of_this_process() {
        assert!(proc_is_ours().is_ok());
        assert!(read_proc("/proc/self/stat").unwrap().starts_with(&format!("{} ", std::process::id())));
        assert!(read_proc("/proc/no/such").is_err());
    }

    #[test]
    fn another_error_than_a_want_of_room_is_final() {
        let tries = std::cell::Cell::new(0);
        let attempt = |error: Errno| {
            with_room(|| {
                tries.set(tries.get() + 1);
                if tries.get() == 1 { Err(io::Error::from(error)) } else { Ok(()) }
            })
        };
        assert!(attempt(Errno::NOENT).is_err());
        tries.set(0);
        assert!(attempt(Errno::MFILE).is_ok());
        assert_eq!(tries.get(), 2);
    }
}
