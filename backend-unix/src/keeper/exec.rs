//! What is executed, and the way of a new child from fork(2) to execve(2).

use crate::linux::{self, Closing};
use crate::signals::Signals;
use nix::libc;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::process::{Pid, getpid, setpgid};
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use supervisor_core::{StartFailure, StartFailureKind};

/// Where a command without a slash is looked for if there is no PATH: execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// The longest first line of a script that the kernel reads: `BINPRM_BUF_SIZE`.
const FIRST_LINE: u64 = 256;

pub(crate) const RESTARTS: &str = "SUPERVISED_RESTARTS";
const LISTEN_PID: &str = "LISTEN_PID";
const LISTEN_PIDFDID: &str = "LISTEN_PIDFDID";

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
pub(crate) struct Program {
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
    /// They are for the process whose pid is in `LISTEN_PID`, which is each child's own in turn.
    Passed,
}

/// As what a child is born.
pub(crate) enum Role<'a> {
    /// The command, with all that the supervisor inherited.
    Command,
    /// A hook or a probe, which has no descriptors but the standard streams.
    Helper { input: BorrowedFd<'a>, output: Output<'a> },
}

/// Where a helper writes to.
pub(crate) enum Output<'a> {
    /// Where the supervisor does.
    Shared,
    /// Here, its errors too.
    Into(BorrowedFd<'a>),
}

impl Program {
    /// # Errors
    /// `InvalidInput` if a string has a NUL in it.
    pub fn new(command: &Command) -> io::Result<Program> {
        let arguments = std::iter::once(&command.program).chain(&command.arguments);
        let own_pid = std::process::id().to_string();
        let passed = command.environment.iter().any(|(name, value)| name == LISTEN_PID && *value == *own_pid);
        let replaced = |name: &OsString| passed && (name == LISTEN_PID || name == LISTEN_PIDFDID);
        let environment = command.environment.iter().filter(|(name, _)| name != RESTARTS && !replaced(name));
        Ok(Program {
            paths: candidates(command).into_iter().map(c_string).collect::<io::Result<_>>()?,
            arguments: arguments.map(|argument| c_string(argument.clone())).collect::<io::Result<_>>()?,
            environment: environment.map(|(name, value)| assignment(name, value)).collect::<io::Result<_>>()?,
            sockets: if passed { Sockets::Passed } else { Sockets::None },
        })
    }

    /// All that a child needs, with these variables more: after fork(2) it must not allocate.
    pub fn prepare<'a>(&'a self, variables: &'a [CString]) -> Launch<'a> {
        let listen_pid = Box::new(ListenPid::new());
        let own_variable = (self.sockets == Sockets::Passed).then_some(listen_pid.0.as_ptr().cast());
        let environment = pointers(self.environment.iter().chain(variables));
        Launch {
            paths: &self.paths,
            argv: pointers(self.arguments.iter()),
            envp: own_variable.into_iter().chain(environment).collect(),
            listen_pid,
        }
    }
}

/// What a child is to execute.
pub(crate) struct Launch<'a> {
    paths: &'a [CString],
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    /// One of the variables, which only the child can write.
    listen_pid: Box<ListenPid>,
}

impl Launch<'_> {
    /// In the child of `parent`: leads a process group of its own, dies with its parent, and executes; `tell` is called
    /// just before. Returns only if something failed. Makes nothing but system calls.
    pub fn execute(
        &mut self,
        parent: Pid,
        role: &Role<'_>,
        signals: &Signals,
        tell: impl FnOnce() -> Result<(), Errno>,
    ) -> Errno {
        self.listen_pid.set(getpid());
        let prepared = setpgid(None, None)
            .and_then(|()| role.prepare_descriptors())
            .and_then(|()| linux::die_with_parent(parent))
            .and_then(|()| tell())
            .and_then(|()| signals.restore().map_err(|error| Errno::from_raw_os_error(error as i32)));
        match prepared {
            Ok(()) => self.try_paths(),
            Err(error) => error,
        }
    }

    /// Tries one path after another, as execvp(3) does: one that may not be executed is remembered, one that is not
    /// there is passed over, anything else ends the search.
    fn try_paths(&self) -> Errno {
        let mut result = Errno::NOENT;
        for path in self.paths {
            // SAFETY: the path and both lists are terminated, and live until the image is replaced.
            unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
            match linux::last_error() {
                Errno::ACCESS if self.paths.len() == 1 || is_there(path) => result = Errno::ACCESS,
                Errno::ACCESS | Errno::NOENT | Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT => {}
                error => return error,
            }
        }
        result
    }
}

impl Role<'_> {
    fn prepare_descriptors(&self) -> Result<(), Errno> {
        let Role::Helper { input, output } = self else { return Ok(()) };
        linux::close_from(3, Closing::AtExec);
        linux::duplicate(input.as_raw_fd(), 0)?;
        if let Output::Into(output) = output {
            let output = output.as_raw_fd();
            linux::duplicate(output, 1)?;
            linux::duplicate(output, 2)?;
        }
        Ok(())
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

/// A variable of the environment.
pub(crate) fn variable(name: &str, value: &str) -> io::Result<CString> {
    assignment(OsStr::new(name), OsStr::new(value))
}

/// Why a program cannot be executed.
#[derive(Debug)]
pub enum FindError {
    /// There is no such program.
    NotFound,
    /// There is one, but it may not be executed.
    NotExecutable,
    /// It is a script, and its interpreter is not there.
    NoInterpreter(PathBuf),
    /// It cannot be looked at.
    Other(io::Error),
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FindError::NotFound => f.write_str("there is no such program"),
            FindError::NotExecutable => f.write_str("it is not executable"),
            FindError::NoInterpreter(path) => write!(f, "its interpreter, {}, is not there", path.display()),
            FindError::Other(error) => error.fmt(f),
        }
    }
}

/// Where a program is: its first candidate that may be executed.
///
/// # Errors
/// That there is none.
pub fn find(command: &Command) -> Result<PathBuf, FindError> {
    let mut error = FindError::NotFound;
    for path in candidates(command).into_iter().map(PathBuf::from).filter(|path| path.is_file()) {
        if rustix::fs::access(&path, rustix::fs::Access::EXEC_OK).is_err() {
            error = FindError::NotExecutable;
            continue;
        }
        return match interpreter(&path).map_err(FindError::Other)? {
            Some(interpreter) if !interpreter.exists() => Err(FindError::NoInterpreter(interpreter)),
            Some(_) | None => Ok(path),
        };
    }
    Err(error)
}

/// The interpreter that the first line of a script names; a program that cannot be read may be no script: execve(2).
fn interpreter(path: &Path) -> io::Result<Option<PathBuf>> {
    let Ok(file) = std::fs::File::open(path) else { return Ok(None) };
    let mut start = Vec::new();
    file.take(FIRST_LINE).read_to_end(&mut start)?;
    let Some(line) = start.strip_prefix(b"#!") else { return Ok(None) };
    let mut words = line.split(|&byte| byte == b'\n').next().unwrap_or_default().split(|byte| b" \t\r".contains(byte));
    Ok(words.find(|word| !word.is_empty()).map(|word| PathBuf::from(OsStr::from_bytes(word))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn command(program: &str, environment: &[(&str, &str)]) -> Command {
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Command { program: program.into(), arguments: vec!["-x".into()], environment }
    }

    fn texts(strings: &[CString]) -> Vec<&str> {
        strings.iter().map(|string| string.to_str().unwrap()).collect()
    }

    #[test]
    fn a_name_is_looked_for_in_each_folder_of_path() {
        let candidates = |program: &str, variable: (&str, &str)| -> Vec<String> {
            let found = candidates(&command(program, &[variable]));
            found.into_iter().map(|path| path.into_string().unwrap()).collect()
        };
        let path = ("PATH", "/a::/b");
        assert_eq!(candidates("x", path), ["/a/x", "./x", "/b/x"]);
        for program in ["./x", "/y/x", ""] {
            assert_eq!(candidates(program, path), [program]);
        }
        assert_eq!(candidates("x", ("PATHS", "/a")), ["/bin/x", "/usr/bin/x"]);
    }

    #[test]
    fn sockets_that_were_passed_to_this_process_are_for_its_children() {
        let own = std::process::id().to_string();
        let passed = [("LISTEN_PID", own.as_str()), ("LISTEN_FDS", "1"), (RESTARTS, "5"), ("A", "b")];
        let program = Program::new(&command("/x", &passed)).unwrap();
        assert_eq!(texts(&program.environment), ["LISTEN_FDS=1", "A=b"]);
        assert_eq!((texts(&program.arguments), texts(&program.paths)), (vec!["/x", "-x"], vec!["/x"]));
        let more = [variable("B", "c").unwrap()];
        // One of each, the pid of the child, and the end of the list.
        assert_eq!(program.prepare(&more).envp.len(), 2 + 1 + 1 + 1);
        let others = Program::new(&command("/x", &[("LISTEN_PID", "1"), ("OTHER_PID", own.as_str())])).unwrap();
        assert_eq!(texts(&others.environment), ["LISTEN_PID=1".to_owned(), format!("OTHER_PID={own}")]);
        assert_eq!(others.prepare(&more).envp.len(), 2 + 1 + 1);
    }

    #[test]
    fn a_string_with_a_nul_is_refused() {
        for (program, value) in [("a\0b", ""), ("a", "c\0d")] {
            let error = Program::new(&command(program, &[("A", value)])).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_pid_is_written_in_decimal() {
        for number in [1, 9, 10, 4711, 4_194_304] {
            let mut listen_pid = ListenPid::new();
            listen_pid.set(Pid::from_raw(number).unwrap());
            let text = CStr::from_bytes_until_nul(&listen_pid.0).unwrap();
            assert_eq!(text.to_str().unwrap(), format!("LISTEN_PID={number}"));
        }
    }

    #[test]
    fn failures_that_pass_are_told_from_those_that_stay() {
        let table = [
            (Errno::NOENT, StartFailureKind::NotFound),
            (Errno::NOTDIR, StartFailureKind::NotFound),
            (Errno::AGAIN, StartFailureKind::Passing),
            (Errno::NOMEM, StartFailureKind::Passing),
            (Errno::MFILE, StartFailureKind::Passing),
            (Errno::NFILE, StartFailureKind::Passing),
            (Errno::TXTBSY, StartFailureKind::Passing),
            (Errno::ACCESS, StartFailureKind::NotExecutable),
            (Errno::NOEXEC, StartFailureKind::NotExecutable),
        ];
        for (error, kind) in table {
            let os_error = error.raw_os_error();
            assert_eq!(failure(os_error), StartFailure { kind, os_error });
        }
    }

    #[test]
    fn a_program_is_found_with_what_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, tools) = (folder.path().join("plain"), folder.path().join("tools"));
        [&plain, &tools].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let write = |path: PathBuf, text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write(plain.join("tool"), "", 0o644);
        write(tools.join("tool"), "#!/bin/sh -e\n", 0o755);
        write(tools.join("odd"), "#! /no/such/thing -x\n", 0o755);
        write(tools.join("bare"), "#!\n", 0o755);
        let path = format!("{}:{}", plain.display(), tools.display());
        let found = |name: &str| find(&command(name, &[("PATH", &path)])).map_err(|error| error.to_string());
        assert_eq!((found("tool"), found("bare")), (Ok(tools.join("tool")), Ok(tools.join("bare"))));
        assert_eq!(found("odd"), Err("its interpreter, /no/such/thing, is not there".to_owned()));
        assert_eq!(found("none"), Err("there is no such program".to_owned()));
        assert_eq!(found(plain.join("tool").to_str().unwrap()), Err("it is not executable".to_owned()));
        assert_eq!(found(plain.to_str().unwrap()), Err("there is no such program".to_owned()), "a folder is none");
    }

    #[test]
    fn what_may_not_be_searched_says_nothing_of_what_is_in_it() {
        assert!(is_there(&c"/proc/self".to_owned()) && !is_there(&c"/no/such".to_owned()));
    }
}
