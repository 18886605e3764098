//! The programs that are measured side by side, each set up to keep one command alive.

use crate::workspace;
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// A program that can be measured.
pub struct Peer {
    pub name: &'static str,
    program: &'static str,
    source: Source,
    pub role: Role,
    /// Writes its configuration, and tells its command line.
    arguments: fn(&Place) -> io::Result<Vec<OsString>>,
}

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It starts a command, and ends with it.
    Init,
    /// It starts it again.
    Supervisor,
    /// A loop that starts it again: the least that can be had.
    Loop,
}

/// Where it comes from.
enum Source {
    Debian(&'static str),
    Crate,
    Python,
    Npm,
}

/// Where it works, and on what.
pub struct Place<'a> {
    /// An empty folder, its working directory.
    pub home: &'a Path,
    pub command: &'a Path,
}

impl Peer {
    /// Where it is installed, if it is.
    pub fn installed(&self) -> Option<PathBuf> {
        workspace::find(self.program)
    }

    pub fn how_to_install(&self) -> String {
        match self.source {
            Source::Debian(package) => format!("apt-get install {package}"),
            Source::Crate => format!("cargo install {}", self.name),
            Source::Python => format!("pip install {}", self.name),
            Source::Npm => format!("npm install -g {}", self.name),
        }
    }

    /// The version that is installed, as its package or itself tells.
    pub fn version(&self) -> String {
        let text = match self.source {
            Source::Debian(package) => {
                workspace::output(Command::new("dpkg-query").args(["-W", "-f=${Version}", package]))
            }
            Source::Crate | Source::Python | Source::Npm => {
                workspace::output(Command::new(self.program).arg("--version"))
            }
        };
        let text = text.unwrap_or_default();
        text.lines().last().and_then(|line| line.split(' ').next_back()).unwrap_or_default().to_owned()
    }

    /// The command line that keeps a command alive there.
    ///
    /// # Errors
    /// Those of writing its configuration.
    pub fn line(&self, place: &Place) -> io::Result<Vec<OsString>> {
        let program = self.installed().unwrap_or_else(|| self.program.into());
        Ok([program.into_os_string()].into_iter().chain((self.arguments)(place)?).collect())
    }
}

const fn peer(
    name: &'static str,
    program: &'static str,
    source: Source,
    role: Role,
    arguments: fn(&Place) -> io::Result<Vec<OsString>>,
) -> Peer {
    Peer { name, program, source, role, arguments }
}

/// All that are known. The names are those of `--peer`.
pub static PEERS: [Peer; 14] = [
    peer("tini", "tini", Source::Debian("tini"), Role::Init, |place| words("-s --", place)),
    peer("dumb-init", "dumb-init", Source::Debian("dumb-init"), Role::Init, |place| words("--", place)),
    peer("catatonit", "catatonit", Source::Debian("catatonit"), Role::Init, |place| words("--", place)),
    peer("shell", "sh", Source::Debian("dash"), Role::Loop, shell),
    peer("runit", "runsv", Source::Debian("runit"), Role::Supervisor, run_script),
    peer("s6", "s6-supervise", Source::Debian("s6"), Role::Supervisor, run_script),
    peer("daemontools", "supervise", Source::Debian("daemontools"), Role::Supervisor, run_script),
    peer("daemon", "daemon", Source::Debian("daemon"), Role::Supervisor, |place| {
        words("--idiot --unsafe --foreground --respawn --acceptable 0 --attempts 1000000 --delay 0 --", place)
    }),
    peer("openrc", "supervise-daemon", Source::Debian("openrc"), Role::Supervisor, supervise_daemon),
    peer("monit", "monit", Source::Debian("monit"), Role::Supervisor, monit),
    peer("supervisord", "supervisord", Source::Debian("supervisor"), Role::Supervisor, supervisord),
    peer("circus", "circusd", Source::Python, Role::Supervisor, circus),
    peer("horust", "horust", Source::Crate, Role::Supervisor, horust),
    peer("pm2", "pm2-runtime", Source::Npm, Role::Supervisor, |place| {
        Ok(["start", "--interpreter", "none"].into_iter().map(OsString::from).chain([place.command.into()]).collect())
    }),
];

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    PEERS.iter().map(|peer| peer.name)
}

/// Options, and the command.
fn words(options: &str, place: &Place) -> io::Result<Vec<OsString>> {
    Ok(options.split_whitespace().map(OsString::from).chain([place.command.into()]).collect())
}

fn shell(place: &Place) -> io::Result<Vec<OsString>> {
    Ok(vec!["-c".into(), format!("while :; do {}; done", place.command.display()).into()])
}

/// A service folder; its program `run` is the command itself.
fn run_script(place: &Place) -> io::Result<Vec<OsString>> {
    symlink(place.command, place.home.join("run"))?;
    Ok(vec![place.home.into()])
}

/// What OpenRC calls the service; its supervisor wants it in the environment, too.
pub const SERVICE: &str = "bench";

fn supervise_daemon(place: &Place) -> io::Result<Vec<OsString>> {
    let pid_file = place.home.join("pid");
    let options = "--respawn-max 0 --pidfile".split(' ').map(OsString::from);
    let line = [OsString::from(SERVICE)].into_iter().chain(options);
    Ok(line.chain([pid_file.into(), "--start".into(), place.command.into()]).collect())
}

fn monit(place: &Place) -> io::Result<Vec<OsString>> {
    // It takes any process with such a command line for its own.
    let link = place.home.join("workload");
    symlink(place.command, &link)?;
    let (home, command) = (place.home.display(), link.display());
    let text = format!(
        "set daemon 1\nset pidfile {home}/pid\nset statefile {home}/state\nset idfile {home}/id\n\
         check process workload matching \"{command}\"\n  start program = \"{command}\" with timeout 1 second\n"
    );
    let file = configuration(place, "monitrc", &text)?;
    Ok(vec!["-I".into(), "-c".into(), file.into()])
}

fn supervisord(place: &Place) -> io::Result<Vec<OsString>> {
    let command = place.command.display();
    let text = format!(
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=pid\n\
         [program:workload]\ncommand={command}\nautorestart=true\nstartsecs=0\nstartretries=1000000\n"
    );
    let file = configuration(place, "supervisord.conf", &text)?;
    Ok(vec!["-c".into(), file.into()])
}

fn circus(place: &Place) -> io::Result<Vec<OsString>> {
    let (home, command) = (place.home.display(), place.command.display());
    let text = format!(
        "[circus]\nendpoint = ipc://{home}/endpoint\npubsub_endpoint = ipc://{home}/pubsub\ncheck_delay = 0.1\n\
         [watcher:workload]\ncmd = {command}\nwarmup_delay = 0\nmax_retry = -1\n"
    );
    Ok(vec![configuration(place, "circus.ini", &text)?.into()])
}

fn horust(place: &Place) -> io::Result<Vec<OsString>> {
    let command = place.command.display();
    let text = format!("command = \"{command}\"\n[restart]\nstrategy = \"always\"\nbackoff = \"0s\"\nattempts = 0\n");
    configuration(place, "workload.toml", &text)?;
    Ok(vec!["--uds-folder-path".into(), place.home.into(), "--services-path".into(), place.home.into()])
}

fn configuration(place: &Place, name: &str, text: &str) -> io::Result<PathBuf> {
    let path = place.home.join(name);
    fs::write(&path, text)?;
    // One of them refuses what others may read.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(path)
}
