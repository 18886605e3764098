//! Where supervisors live, one after the other: a folder, a user, a view of /proc.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first of the numbers that ordinary users here have; no account has it.
const FIRST_USER: u32 = 61_000;

/// One supervisor at a time lives here.
pub struct Place {
    /// Emptied for each of them.
    pub home: PathBuf,
    /// Not emptied: the next supervisor sweeps what a killed one has left.
    pub temporary: PathBuf,
    kind: Kind,
    programs: PathBuf,
}

/// Who a supervisor is, and what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// As whoever runs this.
    Own,
    /// An ordinary user, whose processes can be counted and denied.
    Ordinary { user: u32 },
    /// The same, to whom /proc hides the command, whose binary cannot be read: `hidepid` of proc(5).
    Hidden { user: u32 },
}

/// So many places, of all kinds that can be had here. Says aloud what cannot.
pub fn make(folder: &Path, count: u8) -> io::Result<Vec<Place>> {
    // Others must reach what lies in it.
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let programs = folder.join("programs");
    fs::create_dir(&programs)?;
    let binaries = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    for (from, to, mode) in
        [("supervisor", "supervisor", 0o755), ("restless", "restless", 0o755), ("restless", "unreadable", 0o711)]
    {
        fs::copy(binaries.join(from), programs.join(to))?;
        fs::set_permissions(programs.join(to), Permissions::from_mode(mode))?;
    }
    (0..count).map(|number| Place::make(folder, &programs, number)).collect()
}

impl Place {
    fn make(folder: &Path, programs: &Path, number: u8) -> io::Result<Place> {
        let user = FIRST_USER + u32::from(number);
        let kind = match number % 3 {
            0 => Kind::Own,
            1 => Kind::Ordinary { user },
            _ => Kind::Hidden { user },
        };
        let temporary = folder.join(format!("temporary-{number}"));
        fs::create_dir(&temporary)?;
        let mut place = Place { home: folder.join(number.to_string()), temporary, kind, programs: programs.to_owned() };
        let trial = place.supervise().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !trial.is_ok_and(|status| status.success()) {
            println!("skipped: supervisor {number} cannot be {kind:?} here (that takes root, setpriv, unshare)");
            place.kind = Kind::Own;
        }
        place.give(&place.temporary)?;
        Ok(place)
    }

    /// An empty home.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.home) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => fs::create_dir(&self.home)?,
        }
        self.give(&self.home)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        match self.kind {
            Kind::Own => Ok(()),
            Kind::Ordinary { user } | Kind::Hidden { user } => chown(path, Some(user), Some(user)),
        }
    }

    /// The supervisor, which has the pid of the child.
    pub fn supervise(&self) -> Command {
        let supervisor = self.programs.join("supervisor");
        match self.kind {
            Kind::Own => Command::new(supervisor),
            Kind::Ordinary { user } => as_user(user, &supervisor),
            Kind::Hidden { user } => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"", "sh"]);
                let inner = as_user(user, &supervisor);
                command.arg(inner.get_program()).args(inner.get_args());
                command
            }
        }
    }

    /// What is supervised.
    pub fn command(&self) -> PathBuf {
        self.programs.join(match self.kind {
            Kind::Own | Kind::Ordinary { .. } => "restless",
            Kind::Hidden { .. } => "unreadable",
        })
    }

    /// Sets the soft limit of a process, by prlimit(1) as its own user: that of another takes CAP_SYS_RESOURCE.
    pub fn limit(&self, pid: i32, resource: &str, soft: &str) {
        let mut command = match self.kind {
            Kind::Own => Command::new("prlimit"),
            Kind::Ordinary { user } | Kind::Hidden { user } => as_user(user, Path::new("prlimit")),
        };
        let _ =
            command.args(["--pid", &pid.to_string(), &format!("--{resource}={soft}:")]).stderr(Stdio::null()).status();
    }

    /// Whether RLIMIT_NPROC of setrlimit(2) limits it; root is free of that.
    pub fn counts_processes(&self) -> bool {
        match self.kind {
            Kind::Own => !rustix::process::getuid().is_root(),
            Kind::Ordinary { .. } | Kind::Hidden { .. } => true,
        }
    }
}

fn as_user(user: u32, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "--"]).arg(program);
    command
}
