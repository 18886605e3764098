//! Where supervisors are started, one after another or side by side, and cleared away.

use super::measure::settle;
use super::peers::{Peer, Place, SERVICE};
use super::workload::{Behaviour, Record, Records, Workloads};
use crate::processes;
use crate::workspace;
use std::ffi::OsString;
use std::io::{BufReader, PipeReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

/// Longer than the slowest start of any of them.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The folder, the workloads and what they tell.
pub struct Rig {
    folder: tempfile::TempDir,
    pub workloads: Workloads,
    pub records: Records,
    homes: usize,
}

/// One that is measured.
#[derive(Clone)]
pub enum Subject {
    /// This project's own, built in some way.
    Own { name: &'static str, program: PathBuf },
    /// Another one.
    Peer(&'static Peer),
}

impl Subject {
    pub fn name(&self) -> &'static str {
        match self {
            Subject::Own { name, .. } => name,
            Subject::Peer(peer) => peer.name,
        }
    }

    /// The file that is executed.
    pub fn program(&self) -> Option<PathBuf> {
        match self {
            Subject::Own { program, .. } => Some(program.clone()),
            Subject::Peer(peer) => peer.installed(),
        }
    }

    /// A command line that keeps the command alive, and starts it again at once where it can.
    fn line(&self, place: &Place) -> io::Result<Vec<OsString>> {
        match self {
            Subject::Own { program, .. } => {
                let options = "--no-heartbeat --restart always --backoff-factor 0 --".split(' ').map(OsString::from);
                Ok([program.into()].into_iter().chain(options).chain([place.command.into()]).collect())
            }
            Subject::Peer(peer) => peer.line(place),
        }
    }
}

impl Rig {
    /// # Errors
    /// The workloads do not compile, or the kernel denies what is needed.
    pub fn build() -> io::Result<Rig> {
        processes::adopt()?;
        // On a disk: pages of files in memory always count as dirty.
        let target = workspace::target()?;
        fs::create_dir_all(&target)?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
        let workloads = Workloads::compile(folder.path())?;
        let records = Records::open(&workloads)?;
        Ok(Rig { folder, workloads, records, homes: 0 })
    }

    /// Starts a subject that keeps a workload alive, in a folder of its own. Its process is returned.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self, subject: &Subject, behaviour: Behaviour) -> io::Result<i32> {
        let home = self.home()?;
        let line = subject.line(&Place { home: &home, command: &self.workloads.path(behaviour) })?;
        self.launch(&home, line, Stdio::null())
    }

    /// Starts this project's supervisor with options and a workload, which has one argument.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn supervise(
        &mut self,
        program: &Path,
        options: &str,
        behaviour: Behaviour,
        argument: usize,
    ) -> io::Result<i32> {
        self.supervise_logged(program, options, behaviour, argument, Stdio::null())
    }

    /// The same, and its log.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn supervise_heard(
        &mut self,
        program: &Path,
        options: &str,
        behaviour: Behaviour,
    ) -> io::Result<BufReader<PipeReader>> {
        let (log, end) = io::pipe()?;
        self.supervise_logged(program, options, behaviour, 0, end.into())?;
        Ok(BufReader::new(log))
    }

    fn supervise_logged(
        &mut self,
        program: &Path,
        options: &str,
        behaviour: Behaviour,
        argument: usize,
        log: Stdio,
    ) -> io::Result<i32> {
        let home = self.home()?;
        let options = options.split_whitespace().map(OsString::from);
        let command = [self.workloads.path(behaviour).into_os_string(), argument.to_string().into()];
        let line = [program.into()].into_iter().chain(options).chain(["--".into()]).chain(command).collect();
        self.launch(&home, line, log)
    }

    /// By a launcher that stamps the moment of its execve(2).
    fn launch(&self, home: &Path, line: Vec<OsString>, log: Stdio) -> io::Result<i32> {
        let launcher = Command::new(self.workloads.path(Behaviour::Launch))
            .args(line)
            .current_dir(home)
            // The size of the environment is part of the memory.
            .env_clear()
            .envs(["HOME", "PATH"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("PM2_HOME", home)
            .env("RC_SVCNAME", SERVICE)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(launcher.id() as i32)
    }

    fn home(&mut self) -> io::Result<PathBuf> {
        self.homes += 1;
        let home = self.folder.path().join(format!("home-{}", self.homes));
        fs::create_dir(&home)?;
        Ok(home)
    }

    /// The processes of supervisors: all that run, without the workloads that have told of their start.
    pub fn supervisors(&self, workloads: &[Record]) -> Vec<i32> {
        let is_workload = |pid: &i32| workloads.iter().any(|record| record.pid == *pid);
        processes::below().into_iter().filter(|pid| !is_workload(pid)).collect()
    }

    /// The same, once they have come to rest.
    pub fn at_rest(&self, workloads: &[Record]) -> Vec<i32> {
        settle();
        self.supervisors(workloads)
    }

    /// Ends all that runs, and forgets what it told.
    pub fn clear(&mut self) {
        processes::clear();
        self.records.drain();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        processes::clear();
    }
}
