//! The command that is supervised, which tells by records what happens to it: test-clients/bare/workload.rs.

use crate::workspace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What it does; see its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Launch,
    Idle,
    Crash,
    Beat,
    Hang,
    HangNotify,
    Falter,
    Family,
    Tree,
}

impl Behaviour {
    const ALL: [Behaviour; 9] = [
        Behaviour::Launch,
        Behaviour::Idle,
        Behaviour::Crash,
        Behaviour::Beat,
        Behaviour::Hang,
        Behaviour::HangNotify,
        Behaviour::Falter,
        Behaviour::Family,
        Behaviour::Tree,
    ];

    fn name(self) -> &'static str {
        match self {
            Behaviour::Launch => "launch",
            Behaviour::Idle => "idle",
            Behaviour::Crash => "crash",
            Behaviour::Beat => "beat",
            Behaviour::Hang => "hang",
            Behaviour::HangNotify => "hang-notify",
            Behaviour::Falter => "falter",
            Behaviour::Family => "family",
            Behaviour::Tree => "tree",
        }
    }
}

/// One program for each behaviour, and the FIFOs that they write to.
pub struct Workloads {
    folder: PathBuf,
}

impl Workloads {
    /// Compiles them into a folder.
    ///
    /// # Errors
    /// They do not compile.
    pub fn compile(folder: &Path) -> io::Result<Workloads> {
        let workloads = Workloads { folder: folder.to_owned() };
        for fifo in [workloads.records(), workloads.alive()] {
            rustix::fs::mknodat(CWD, fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        }
        for behaviour in Behaviour::ALL {
            let flags = "--edition 2024 -C panic=abort -C opt-level=s -C strip=symbols -C relocation-model=static \
                         -C target-feature=+crt-static -C link-args=-nostartfiles -C link-args=-nostdlib -C link-args=-static";
            let compile = &mut Command::new("rustc");
            let compile = compile.args(flags.split_whitespace()).arg("-o").arg(workloads.path(behaviour));
            let compile = compile.arg(workspace::root().join("test-clients/bare/workload.rs"));
            let compile = compile.env("WORKLOAD_BEHAVIOUR", behaviour.name());
            workspace::run(
                compile.env("WORKLOAD_RECORDS", workloads.records()).env("WORKLOAD_ALIVE", workloads.alive()),
            )?;
        }
        // Pages of a file that is not yet on the disk would count as private and dirty.
        rustix::fs::sync();
        Ok(workloads)
    }

    pub fn path(&self, behaviour: Behaviour) -> PathBuf {
        self.folder.join(behaviour.name())
    }

    fn records(&self) -> PathBuf {
        self.folder.join("records")
    }

    /// What a tree keeps open while it lives.
    pub fn alive(&self) -> PathBuf {
        self.folder.join("alive")
    }
}

/// One thing that happened to a workload, as it tells.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// When, by CLOCK_MONOTONIC.
    pub at: Duration,
    /// In which process.
    pub pid: i32,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The launcher is about to become the supervisor.
    Exec,
    /// The first instruction of a process.
    Start,
    /// A heartbeat is made.
    Beat,
    /// SIGTERM has come.
    Asked,
}

/// What workloads tell, in the order in which they tell it.
pub struct Records {
    fifo: File,
    waiting: VecDeque<Record>,
}

impl Records {
    /// As much as a pipe may hold for an ordinary user: 65,536 records.
    const CAPACITY: usize = 1 << 20;

    /// # Errors
    /// Those of opening a FIFO.
    pub fn open(workloads: &Workloads) -> io::Result<Records> {
        // With a writer of its own, the FIFO never ends.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let fifo = OpenOptions::new().read(true).write(true).custom_flags(flags).open(workloads.records())?;
        rustix::pipe::fcntl_setpipe_size(&fifo, Records::CAPACITY)?;
        Ok(Records { fifo, waiting: VecDeque::new() })
    }

    /// Everything that was told so far.
    pub fn drain(&mut self) -> Vec<Record> {
        self.fill();
        self.waiting.drain(..).collect()
    }

    /// Waits for so many records of a kind; those of other kinds before them are dropped.
    ///
    /// # Errors
    /// They do not come in time.
    pub fn expect(&mut self, kind: Kind, count: usize, patience: Duration) -> io::Result<Vec<Record>> {
        let deadline = Instant::now() + patience;
        let mut found = Vec::new();
        while found.len() < count {
            let record = self.next(deadline).map_err(|error| {
                let message = format!("{} of {count} records {kind:?} came: {error}", found.len());
                io::Error::new(error.kind(), message)
            })?;
            found.extend(Some(record).filter(|record| record.kind == kind));
        }
        Ok(found)
    }

    /// Waits for the next record.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn next(&mut self, deadline: Instant) -> io::Result<Record> {
        loop {
            match self.waiting.pop_front() {
                Some(record) => return Ok(record),
                None => self.wait(deadline)?,
            }
        }
    }

    /// Waits until there is something to read.
    fn wait(&mut self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&self.fifo, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => self.fill(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn fill(&mut self) {
        let mut bytes = Vec::new();
        // It ends with EAGAIN, once all was read.
        let _ = self.fifo.read_to_end(&mut bytes);
        self.waiting.extend(bytes.as_chunks().0.iter().filter_map(Record::read));
    }
}

impl Record {
    fn read(bytes: &[u8; 16]) -> Option<Record> {
        let number = u128::from_ne_bytes(*bytes);
        let kind = match number >> 96 {
            1 => Kind::Exec,
            2 => Kind::Start,
            3 => Kind::Beat,
            4 => Kind::Asked,
            _ => return None,
        };
        Some(Record { at: Duration::from_nanos(number as u64), pid: (number >> 64) as i32, kind })
    }
}
