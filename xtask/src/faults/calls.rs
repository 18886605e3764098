//! The system calls that a supervisor and its keepers make, and how each of them can fail: section ERRORS of its page
//! in section 2 of the manual, mistakes of the caller included. `ENOSYS` is there where an older kernel lacks the call.

use nix::errno::Errno;
use nix::libc;

/// One that can be made to fail.
#[derive(Debug)]
pub struct Call {
    pub number: i64,
    pub name: &'static str,
    /// Their names.
    errnos: &'static str,
}

/// What the kernel does with a call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Refuses,
    /// What it does otherwise, too.
    DoesItAllTheSame,
}

impl Call {
    /// Nothing is known of a call that is not in the table.
    pub fn find(number: i64) -> Option<&'static Call> {
        CALLS.iter().find(|call| call.number == number)
    }

    pub fn named(name: &str) -> Option<&'static Call> {
        CALLS.iter().find(|call| call.name == name)
    }

    /// How it can fail.
    pub fn errnos(&self) -> impl Iterator<Item = Errno> {
        self.errnos.split_whitespace().filter_map(errno)
    }

    pub fn manner(&self) -> Manner {
        // Linux always releases the descriptor: close(2).
        if self.number == libc::SYS_close { Manner::DoesItAllTheSame } else { Manner::Refuses }
    }
}

/// The error of this name, as `ENOMEM`.
pub fn errno(name: &str) -> Option<Errno> {
    /// The greatest number that the kernel returns for an error: `MAX_ERRNO`.
    const GREATEST: i32 = 4095;
    let all = (1..=GREATEST).map(Errno::from_raw).filter(|errno| *errno != Errno::UnknownErrno);
    all.into_iter().find(|errno| format!("{errno:?}") == name)
}

const fn call(number: i64, name: &'static str, errnos: &'static str) -> Call {
    Call { number, name, errnos }
}

/// statmount(2), which libc does not know yet.
const SYS_STATMOUNT: i64 = 457;

const OPEN: &str = "\
    EACCES EAGAIN EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE \
    ENODEV ENOENT ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EOVERFLOW EPERM EROFS ETXTBSY";
const READ: &str = "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR";
const WRITE: &str = "EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE";
const STAT: &str = "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EOVERFLOW";
const ACCESS: &str = "EACCES EBADF EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS ETXTBSY";
const READLINK: &str = "EACCES EBADF EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR";
const CHMOD: &str = "EACCES EBADF EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EOPNOTSUPP EPERM EROFS";
const MKDIR: &str =
    "EACCES EBADF EDQUOT EEXIST EFAULT EINVAL ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS";
const RENAME: &str = "\
    EACCES EBADF EBUSY EDQUOT EFAULT EINVAL EISDIR ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR \
    ENOTEMPTY EPERM EROFS EXDEV";
const UNLINK: &str = "EACCES EBADF EBUSY EFAULT EINVAL EIO EISDIR ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS";
const RMDIR: &str = "EACCES EBUSY EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR ENOTEMPTY EPERM EROFS";
const POLL: &str = "EFAULT EINTR EINVAL ENOMEM";
const DUP: &str = "EBADF EBUSY EINTR EINVAL EMFILE ENOMEM";
const FORK: &str = "EAGAIN EBUSY EEXIST EINVAL ENOMEM ENOSPC ENOSYS EOPNOTSUPP EPERM EUSERS";
const WAIT: &str = "EAGAIN ECHILD EINTR EINVAL ESRCH";
const SEND: &str = "\
    EACCES EAGAIN EALREADY EBADF ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL EISCONN EMSGSIZE ENOBUFS ENOMEM \
    ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE";
const RECEIVE: &str = "EAGAIN EBADF ECONNREFUSED EFAULT EINTR EINVAL ENOMEM ENOTCONN ENOTSOCK";
const KILL: &str = "EAGAIN EINVAL EPERM ESRCH";
const SLEEP: &str = "EFAULT EINTR EINVAL EOPNOTSUPP";
const NONE: &str = "";

const CALLS: &[Call] = &[
    call(libc::SYS_access, "access", ACCESS),
    call(libc::SYS_arch_prctl, "arch_prctl", "EFAULT EINVAL ENODEV EPERM"),
    call(
        libc::SYS_bind,
        "bind",
        "EACCES EADDRINUSE EADDRNOTAVAIL EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR ENOTSOCK \
         EROFS",
    ),
    // It tells that it fails by the end of memory as it was, so that no error number can be injected.
    call(libc::SYS_brk, "brk", NONE),
    call(libc::SYS_chmod, "chmod", CHMOD),
    call(libc::SYS_clock_getres, "clock_getres", "EFAULT EINVAL"),
    call(libc::SYS_clock_gettime, "clock_gettime", "EFAULT EINVAL"),
    call(libc::SYS_clock_nanosleep, "clock_nanosleep", SLEEP),
    call(libc::SYS_clone, "clone", FORK),
    call(libc::SYS_clone3, "clone3", FORK),
    call(libc::SYS_close, "close", "EBADF EDQUOT EINTR EIO ENOSPC"),
    call(libc::SYS_close_range, "close_range", "EINVAL EMFILE ENOMEM ENOSYS"),
    call(
        libc::SYS_connect,
        "connect",
        "EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNREFUSED EFAULT EINPROGRESS EINTR \
         EISCONN ENETUNREACH ENOTSOCK EPERM EPROTOTYPE ETIMEDOUT",
    ),
    call(libc::SYS_dup2, "dup2", DUP),
    call(libc::SYS_dup3, "dup3", DUP),
    call(libc::SYS_eventfd2, "eventfd2", "EINVAL EMFILE ENFILE ENODEV ENOMEM"),
    call(
        libc::SYS_execve,
        "execve",
        "E2BIG EACCES EAGAIN EFAULT EINVAL EIO EISDIR ELIBBAD ELOOP EMFILE ENAMETOOLONG ENFILE ENOENT ENOEXEC \
         ENOMEM ENOTDIR EPERM ETXTBSY",
    ),
    call(libc::SYS_exit, "exit", NONE),
    call(libc::SYS_exit_group, "exit_group", NONE),
    call(libc::SYS_faccessat, "faccessat", ACCESS),
    call(libc::SYS_faccessat2, "faccessat2", ACCESS),
    call(libc::SYS_fchmod, "fchmod", CHMOD),
    call(libc::SYS_fchmodat, "fchmodat", CHMOD),
    call(libc::SYS_fcntl, "fcntl", "EACCES EAGAIN EBADF EBUSY EDEADLK EFAULT EINTR EINVAL EMFILE ENOLCK ENOTDIR EPERM"),
    call(libc::SYS_flock, "flock", "EBADF EINTR EINVAL ENOLCK EAGAIN"),
    call(libc::SYS_fork, "fork", FORK),
    call(libc::SYS_fstat, "fstat", STAT),
    call(
        libc::SYS_futex,
        "futex",
        "EACCES EAGAIN EDEADLK EFAULT EINTR EINVAL ENFILE ENOMEM ENOSYS EPERM ESRCH ETIMEDOUT",
    ),
    call(libc::SYS_getcwd, "getcwd", "EACCES EFAULT EINVAL ENAMETOOLONG ENOENT ENOMEM ERANGE"),
    call(libc::SYS_getdents64, "getdents64", "EBADF EFAULT EINVAL ENOENT ENOTDIR"),
    call(libc::SYS_getegid, "getegid", NONE),
    call(libc::SYS_geteuid, "geteuid", NONE),
    call(libc::SYS_getgid, "getgid", NONE),
    call(libc::SYS_getpgid, "getpgid", "EPERM ESRCH"),
    call(libc::SYS_getpgrp, "getpgrp", NONE),
    call(libc::SYS_getpid, "getpid", NONE),
    call(libc::SYS_getppid, "getppid", NONE),
    call(libc::SYS_getrandom, "getrandom", "EAGAIN EFAULT EINTR EINVAL ENOSYS"),
    call(libc::SYS_getrlimit, "getrlimit", "EFAULT EINVAL EPERM"),
    call(libc::SYS_gettid, "gettid", NONE),
    call(libc::SYS_getuid, "getuid", NONE),
    call(libc::SYS_ioctl, "ioctl", "EBADF EFAULT EINVAL ENOTTY"),
    call(libc::SYS_kill, "kill", KILL),
    call(libc::SYS_lseek, "lseek", "EBADF EINVAL ENXIO EOVERFLOW ESPIPE"),
    call(libc::SYS_lstat, "lstat", STAT),
    call(libc::SYS_madvise, "madvise", "EACCES EAGAIN EBADF EINVAL EIO ENOMEM EPERM"),
    call(libc::SYS_memfd_create, "memfd_create", "EFAULT EINVAL EMFILE ENFILE ENOMEM ENOSYS EPERM"),
    call(libc::SYS_mkdir, "mkdir", MKDIR),
    call(libc::SYS_mkdirat, "mkdirat", MKDIR),
    call(libc::SYS_mmap, "mmap", "EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM ETXTBSY"),
    call(libc::SYS_mprotect, "mprotect", "EACCES EINVAL ENOMEM"),
    call(libc::SYS_mremap, "mremap", "EAGAIN EFAULT EINVAL ENOMEM"),
    call(libc::SYS_munmap, "munmap", "EINVAL ENOMEM"),
    call(libc::SYS_nanosleep, "nanosleep", SLEEP),
    call(libc::SYS_newfstatat, "newfstatat", STAT),
    call(libc::SYS_open, "open", OPEN),
    call(libc::SYS_openat, "openat", OPEN),
    call(
        libc::SYS_openat2,
        "openat2",
        "E2BIG EACCES EAGAIN EBADF EFAULT EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENOENT ENOMEM ENOSYS \
         ENOTDIR EPERM EXDEV",
    ),
    call(libc::SYS_pidfd_open, "pidfd_open", "EINVAL EMFILE ENFILE ENODEV ENOMEM ENOSYS ESRCH"),
    call(libc::SYS_pidfd_send_signal, "pidfd_send_signal", "EBADF EINVAL ENOSYS EPERM ESRCH"),
    call(libc::SYS_pipe2, "pipe2", "EFAULT EINVAL EMFILE ENFILE ENOPKG"),
    call(libc::SYS_poll, "poll", POLL),
    call(libc::SYS_ppoll, "ppoll", POLL),
    call(libc::SYS_prctl, "prctl", "EACCES EBADF EBUSY EFAULT EINVAL ENODEV ENXIO EOPNOTSUPP EPERM ERANGE"),
    call(libc::SYS_pread64, "pread64", "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR ENXIO EOVERFLOW ESPIPE"),
    call(libc::SYS_prlimit64, "prlimit64", "EFAULT EINVAL EPERM ESRCH"),
    call(libc::SYS_read, "read", READ),
    call(libc::SYS_readlink, "readlink", READLINK),
    call(libc::SYS_readlinkat, "readlinkat", READLINK),
    call(libc::SYS_readv, "readv", READ),
    call(libc::SYS_recvfrom, "recvfrom", RECEIVE),
    call(libc::SYS_recvmsg, "recvmsg", RECEIVE),
    call(libc::SYS_rename, "rename", RENAME),
    call(libc::SYS_renameat, "renameat", RENAME),
    call(libc::SYS_restart_syscall, "restart_syscall", NONE),
    call(libc::SYS_rmdir, "rmdir", RMDIR),
    call(libc::SYS_rseq, "rseq", "EBUSY EFAULT EINVAL ENOSYS EPERM"),
    call(libc::SYS_rt_sigaction, "rt_sigaction", "EFAULT EINVAL"),
    call(libc::SYS_rt_sigpending, "rt_sigpending", "EFAULT EINVAL"),
    call(libc::SYS_rt_sigprocmask, "rt_sigprocmask", "EFAULT EINVAL"),
    call(libc::SYS_rt_sigreturn, "rt_sigreturn", NONE),
    call(libc::SYS_sched_getaffinity, "sched_getaffinity", "EFAULT EINVAL ESRCH"),
    call(libc::SYS_sched_yield, "sched_yield", NONE),
    call(libc::SYS_sendmsg, "sendmsg", SEND),
    call(libc::SYS_sendto, "sendto", SEND),
    call(libc::SYS_set_robust_list, "set_robust_list", "EINVAL"),
    call(libc::SYS_set_tid_address, "set_tid_address", NONE),
    call(libc::SYS_setpgid, "setpgid", "EACCES EINVAL EPERM ESRCH"),
    call(libc::SYS_setrlimit, "setrlimit", "EFAULT EINVAL EPERM"),
    call(libc::SYS_setsockopt, "setsockopt", "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK"),
    call(libc::SYS_shutdown, "shutdown", "EBADF EINVAL ENOTCONN ENOTSOCK"),
    call(libc::SYS_sigaltstack, "sigaltstack", "EFAULT EINVAL ENOMEM EPERM"),
    call(libc::SYS_signalfd4, "signalfd4", "EBADF EINVAL EMFILE ENFILE ENODEV ENOMEM"),
    call(libc::SYS_socket, "socket", "EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT"),
    call(libc::SYS_socketpair, "socketpair", "EAFNOSUPPORT EFAULT EMFILE ENFILE EOPNOTSUPP EPROTONOSUPPORT"),
    call(libc::SYS_stat, "stat", STAT),
    call(
        libc::SYS_statfs,
        "statfs",
        "EACCES EFAULT EINTR EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOSYS ENOTDIR EOVERFLOW",
    ),
    call(SYS_STATMOUNT, "statmount", "EFAULT EINVAL ENOENT ENOSYS EOVERFLOW EPERM"),
    call(libc::SYS_statx, "statx", "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOSYS ENOTDIR"),
    call(libc::SYS_sysinfo, "sysinfo", "EFAULT"),
    call(libc::SYS_tgkill, "tgkill", KILL),
    call(libc::SYS_timerfd_create, "timerfd_create", "EINVAL EMFILE ENFILE ENODEV ENOMEM EPERM"),
    call(libc::SYS_timerfd_settime, "timerfd_settime", "EBADF ECANCELED EFAULT EINVAL"),
    call(libc::SYS_tkill, "tkill", KILL),
    call(libc::SYS_uname, "uname", "EFAULT"),
    call(libc::SYS_unlink, "unlink", UNLINK),
    call(libc::SYS_unlinkat, "unlinkat", UNLINK),
    call(libc::SYS_wait4, "wait4", WAIT),
    call(libc::SYS_waitid, "waitid", WAIT),
    call(libc::SYS_write, "write", WRITE),
    call(libc::SYS_writev, "writev", WRITE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_and_each_error_is_known_and_named_once() {
        for call in CALLS {
            assert_eq!(Call::find(call.number).map(|found| found.name), Some(call.name));
            assert_eq!(Call::named(call.name).map(|found| found.number), Some(call.number));
            let names: Vec<_> = call.errnos.split_whitespace().collect();
            let unique: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!((unique.len(), call.errnos().count()), (names.len(), names.len()), "{}", call.name);
        }
    }
}
