//! Starts the command: fork, put everything in order in the child, execute.

use crate::linux::{self, Closing};
use crate::mark::Mark;
use crate::signals::Signals;
use nix::libc;
use nix::unistd::{ForkResult, fork};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, getpid, setpgid};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use supervisor_core::{StartFailure, StartFailureKind};

/// Where a command without a slash is looked for if there is no PATH: execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// What to execute.
#[derive(Clone, Debug)]
pub struct Command {
    /// A path, or a name to be looked for in the PATH of `environment`.
    pub program: OsString,
    /// Its arguments, without the name of the program.
    pub arguments: Vec<OsString>,
    /// All of its environment but `SUPERVISED_RESTARTS`.
    pub environment: Vec<(OsString, OsString)>,
}

/// A command in the form that execve(2) takes.
pub(crate) struct Image {
    /// Every path that may be the program, the first one first.
    paths: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    sockets: Sockets,
}

/// Listening sockets that a service manager passed to this process: sd_listen_fds(3).
#[derive(PartialEq)]
enum Sockets {
    None,
    /// They are for whoever has the pid in `LISTEN_PID`, which is each child's own in turn.
    Passed,
}

/// As what a child is born.
pub(crate) enum Birth<'a> {
    /// The command.
    Command { mark: Option<Mark> },
    /// A hook: it reads the event, and has nothing else of ours or of the command's but the other standard streams.
    Hook { input: BorrowedFd<'a>, mark: Option<Mark> },
}

/// A child between fork and execve.
pub(crate) struct Spawned {
    pub pid: Pid,
    /// Ends without a byte once the command executes, or tells the error number of what failed.
    pub exec_result: OwnedFd,
}

impl Image {
    /// # Errors
    /// `InvalidInput` if a string has a NUL in it.
    pub fn new(command: &Command) -> io::Result<Image> {
        let arguments = std::iter::once(&command.program).chain(&command.arguments);
        let own_pid = std::process::id().to_string();
        let passed = command.environment.iter().any(|(name, value)| name == LISTEN_PID && *value == *own_pid);
        let replaced = |name: &OsString| passed && (name == LISTEN_PID || name == LISTEN_PIDFDID);
        let environment = command.environment.iter().filter(|(name, _)| name != RESTARTS && !replaced(name));
        Ok(Image {
            paths: candidates(command).into_iter().map(c_string).collect::<io::Result<_>>()?,
            arguments: arguments.map(|argument| c_string(argument.clone())).collect::<io::Result<_>>()?,
            environment: environment.map(|(name, value)| assignment(name, value)).collect::<io::Result<_>>()?,
            sockets: if passed { Sockets::Passed } else { Sockets::None },
        })
    }

    /// Forks a child that leads a process group of its own, dies with this process, and executes the command with
    /// these variables more.
    ///
    /// # Errors
    /// Those of pipe2(2) and fork(2). What fails in the child comes through [`Spawned::exec_result`].
    pub fn spawn(&self, variables: &[CString], birth: &Birth<'_>, signals: &Signals) -> io::Result<Spawned> {
        let argv = pointers(self.arguments.iter());
        let mut listen_pid = ListenPid::new();
        let own_variable = (self.sockets == Sockets::Passed).then_some(listen_pid.0.as_ptr().cast());
        let envp = pointers(self.environment.iter().chain(variables)).into_iter();
        let envp: Vec<_> = own_variable.into_iter().chain(envp).collect();
        let parent = getpid();
        let (exec_result, tell) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // SAFETY: the child makes nothing but system calls, on what was prepared above, until it executes or exits.
        match unsafe { fork()? } {
            ForkResult::Child => {
                listen_pid.set(getpid());
                let error = become_command(&self.paths, &argv, &envp, parent, birth, signals);
                // Should nobody read it any more, the exit code still tells.
                let _ = rustix::io::write(&tell, &error.raw_os_error().to_ne_bytes());
                // SAFETY: _exit(2) runs no destructor and no exit handler of the parent.
                unsafe { libc::_exit(127) }
            }
            ForkResult::Parent { child } => {
                let pid = Pid::from_raw(child.as_raw()).expect("the pid of a child is positive");
                // Done on both sides, so that the group exists for whichever comes first. It fails once the child has
                // executed, and is then no longer needed.
                let _ = setpgid(Some(pid), Some(pid));
                Ok(Spawned { pid, exec_result })
            }
        }
    }
}

impl Spawned {
    /// What became of the execution, once it is known: `Ok` if the command runs, or was killed on the way.
    pub fn result(&self) -> Option<Result<(), StartFailure>> {
        let mut number = [0; 4];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.exec_result, &mut number)) {
            Ok(4) => Some(Err(failure(i32::from_ne_bytes(number)))),
            Err(Errno::AGAIN) => None,
            Ok(_) | Err(_) => Some(Ok(())),
        }
    }
}

/// The failure behind an error number of fork(2), execve(2) or what comes between.
pub(crate) fn failure(os_error: i32) -> StartFailure {
    let kind = match Errno::from_raw_os_error(os_error) {
        Errno::NOENT | Errno::NOTDIR => StartFailureKind::NotFound,
        Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::TXTBSY => StartFailureKind::Passing,
        _ => StartFailureKind::NotExecutable,
    };
    StartFailure { kind, os_error }
}

pub(crate) const RESTARTS: &str = "SUPERVISED_RESTARTS";
const LISTEN_PID: &str = "LISTEN_PID";
const LISTEN_PIDFDID: &str = "LISTEN_PIDFDID";

/// In the child: returns only if something failed.
fn become_command(
    paths: &[CString],
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
    parent: Pid,
    birth: &Birth<'_>,
    signals: &Signals,
) -> Errno {
    let (Birth::Command { mark } | Birth::Hook { mark, .. }) = birth;
    let prepared = setpgid(None, None)
        .and_then(|()| birth.prepare_descriptors())
        .and_then(|()| mark.map_or(Ok(()), Mark::set))
        .and_then(|()| linux::die_with_parent(parent))
        .and_then(|()| signals.restore().map_err(|error| Errno::from_raw_os_error(error as i32)));
    match prepared {
        Ok(()) => execute(paths, argv, envp),
        Err(error) => error,
    }
}

impl Birth<'_> {
    fn prepare_descriptors(&self) -> Result<(), Errno> {
        let Birth::Hook { input, .. } = self else { return Ok(()) };
        linux::close_from(3, Closing::AtExec);
        // SAFETY: nothing in the child uses its standard input.
        let result = unsafe { libc::dup2(input.as_raw_fd(), 0) };
        if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(nix::errno::Errno::last_raw())) }
    }
}

/// `LISTEN_PID=` and room for a pid, which only the child knows.
struct ListenPid([u8; 24]);

impl ListenPid {
    const NAME: &[u8] = b"LISTEN_PID=";

    fn new() -> ListenPid {
        let mut bytes = [0; 24];
        bytes[..Self::NAME.len()].copy_from_slice(Self::NAME);
        ListenPid(bytes)
    }

    /// Writes decimal digits, and allocates nothing.
    fn set(&mut self, pid: Pid) {
        let mut rest = pid.as_raw_nonzero().get().unsigned_abs();
        let digits = rest.ilog10() as usize + 1;
        for place in self.0[Self::NAME.len()..][..digits].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

/// Tries one path after another, as execvp(3) does: one that may not be executed is remembered, one that is not there
/// is passed over, anything else ends the search.
fn execute(paths: &[CString], argv: &[*const libc::c_char], envp: &[*const libc::c_char]) -> Errno {
    let mut result = Errno::NOENT;
    for path in paths {
        // SAFETY: the path and both lists are terminated, and live until the image is replaced.
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        match Errno::from_raw_os_error(nix::errno::Errno::last_raw()) {
            Errno::ACCESS if paths.len() == 1 || is_there(path) => result = Errno::ACCESS,
            Errno::ACCESS | Errno::NOENT | Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT => {}
            error => return error,
        }
    }
    result
}

/// A folder that may not be searched says nothing of what is in it.
fn is_there(path: &CString) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok()
}

fn candidates(command: &Command) -> Vec<OsString> {
    let program = command.program.as_bytes();
    if program.is_empty() || program.contains(&b'/') {
        return vec![command.program.clone()];
    }
    let path = command.environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_bytes());
    let folders = path.unwrap_or(DEFAULT_PATH.as_bytes()).split(|&byte| byte == b':');
    folders
        .map(|folder| match folder {
            b"" => OsString::from_vec([b"./", program].concat()),
            folder => OsString::from_vec([folder, b"/", program].concat()),
        })
        .collect()
}

/// `SUPERVISED_RESTARTS`.
pub(crate) fn restarts_variable(restarts: u32) -> io::Result<CString> {
    variable(RESTARTS, &restarts.to_string())
}

/// A variable of the environment.
pub(crate) fn variable(name: &str, value: &str) -> io::Result<CString> {
    assignment(OsStr::new(name), OsStr::new(value))
}

/// Where a program is: its first candidate that may be executed.
///
/// # Errors
/// `NotFound`, or `PermissionDenied` if none of those found may be executed.
pub fn find(command: &Command) -> io::Result<PathBuf> {
    let mut error = io::ErrorKind::NotFound;
    for path in candidates(command).into_iter().map(PathBuf::from).filter(|path| path.is_file()) {
        if rustix::fs::access(&path, rustix::fs::Access::EXEC_OK).is_ok() {
            return Ok(path);
        }
        error = io::ErrorKind::PermissionDenied;
    }
    Err(error.into())
}

fn assignment(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    c_string(OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat()))
}

fn c_string(string: OsString) -> io::Result<CString> {
    CString::new(string.into_vec()).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a NUL in a string"))
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CString>) -> Vec<*const libc::c_char> {
    strings.map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
