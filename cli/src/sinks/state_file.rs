//! Files that tell the present: status, metrics, the pid. Each change replaces them whole, in a thread of their own, so
//! that a file system that does not answer holds nothing up.

use crate::options::{FileForm, Settings, StateFileSettings};
use crate::patience::{self, LastWords};
use crate::report::display::{Escaped, Seconds};
use crate::report::{Change, Record, Sink, Standing, Status, Troubles};
use crate::sinks::metrics;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};
use supervisor_backend_unix::{OwnFile, Stall, Worker, in_a_process, is_at_hand};

/// Heartbeats alone rewrite the files no more often than this.
const SELDOM: Duration = Duration::from_secs(1);

/// All such files of a supervisor.
pub struct StateFiles {
    status: Status,
    files: Vec<StateFile>,
    written: Instant,
}

/// One of them.
struct StateFile {
    path: PathBuf,
    form: FileForm,
    /// Only the latest version is worth writing.
    versions: Worker<Version>,
    last: Version,
    /// Of its file system.
    stall: Stall,
    complaint: Complaint,
}

/// What is told of a file that cannot be written.
#[derive(Clone)]
struct Complaint {
    option: &'static str,
    words: String,
    troubles: Troubles,
}

/// What a file holds, if it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    Text(String),
    Gone,
}

impl StateFiles {
    /// All that the settings ask for, if they do, written for the first time.
    ///
    /// # Errors
    /// That a file cannot be written, in one line.
    pub fn begin(settings: &Settings, troubles: &Troubles) -> Result<Option<StateFiles>, String> {
        if settings.files.is_empty() {
            return Ok(None);
        }
        let status = Status::new(settings.name.clone(), settings.policy.max_restarts);
        let files = settings.files.iter().map(|file| StateFile::begin(file, &status, troubles));
        Ok(Some(StateFiles { files: files.collect::<Result<_, _>>()?, status, written: Instant::now() }))
    }

    fn write(&mut self) {
        self.written = Instant::now();
        self.files.iter_mut().for_each(|file| file.write(&self.status));
    }
}

impl Sink for StateFiles {
    fn record(&mut self, record: &Record, standing: &Standing) {
        self.files.iter_mut().for_each(|file| file.complain_of_stall(standing.at));
        match self.status.take(record, standing) {
            Change::Something => self.write(),
            Change::Heartbeat if self.written.elapsed() >= SELDOM => self.write(),
            Change::Heartbeat | Change::Nothing => {}
        }
    }

    fn flush(&mut self, last_words: &mut LastWords) {
        // What heartbeats alone have changed.
        self.write();
        self.files.iter().for_each(|file| last_words.spend(|left| file.flush(left)));
    }
}

impl StateFile {
    fn begin(settings: &StateFileSettings, status: &Status, troubles: &Troubles) -> Result<StateFile, String> {
        let StateFileSettings { option, given, form, file } = settings;
        let words = format!("{option} {}: cannot be written", Escaped(&given.display().to_string()));
        let first = version(*form, status);
        create(file, &first).map_err(|error| format!("{words}: {}; {}", reason(&error), remedy(&error)))?;
        let complaint = Complaint { option, words, troubles: troubles.clone() };
        let of_failure = complaint.clone();
        let versions = writer(file.clone(), move |error| of_failure.tell(&error.to_string()));
        let path = file.path().to_owned();
        Ok(StateFile { path, form: *form, versions, last: first, stall: Stall::None, complaint })
    }

    /// Tells once of a file system that does not answer any more.
    fn complain_of_stall(&mut self, at: supervisor_core::Instant) {
        self.stall = match (self.versions.is_idle(), self.stall) {
            (true, _) => Stall::None,
            (false, Stall::None) => Stall::Since(at),
            (false, stall) => stall,
        };
        if let Some(waited) = self.stall.overdue(at) {
            self.complaint.tell(&format!("its file system does not answer for {}", Seconds(waited)));
        }
    }

    /// A file system of this machine answers, however busy the machine is.
    fn flush(&self, patience: Duration) {
        self.versions.flush(if is_at_hand(&self.path) { patience::LONG } else { patience });
    }

    fn write(&mut self, status: &Status) {
        let version = version(self.form, status);
        if version != self.last {
            self.versions.put(version.clone());
            self.last = version;
        }
    }
}

impl Complaint {
    fn tell(&self, error: &str) {
        self.troubles.tell(self.option, error.to_owned(), format!("{}: {error}", self.words));
    }
}

fn version(form: FileForm, status: &Status) -> Version {
    match (form, status.pid) {
        (FileForm::Status, _) => Version::Text(status.json()),
        (FileForm::Metrics, _) => Version::Text(metrics::text(status)),
        (FileForm::Pid, Some(pid)) => Version::Text(format!("{pid}\n")),
        (FileForm::Pid, None) => Version::Gone,
    }
}

/// Writes the first version, and finds out that others can be written.
///
/// # Errors
/// That the file cannot be written, that its file system does not answer, or that it is something that must not be
/// replaced: a device, a pipe, a folder.
fn create(file: &OwnFile, first: &Version) -> io::Result<()> {
    in_a_process(patience::LONG, || {
        refuse_what_is_no_file(file.path())?;
        match first {
            Version::Text(text) => file.replace(text),
            Version::Gone => file.make_way(),
        }
    })
}

fn refuse_what_is_no_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        // What comes out of another process keeps its number, not its kind.
        Ok(found) if found.is_dir() => Err(io::Error::from_raw_os_error(Errno::ISDIR.raw_os_error())),
        Ok(found) if !found.is_file() && !found.is_symlink() => {
            Err(io::Error::other("it is there, and not a regular file"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Writes the latest version. `on_error` is told of the first failure of each row of them.
fn writer(file: OwnFile, on_error: impl Fn(&io::Error) + Send + 'static) -> Worker<Version> {
    let mut last = Ok(());
    Worker::new("files", 1, move |version| {
        let result = match version {
            Version::Text(text) => file.replace(&text),
            Version::Gone => {
                file.remove();
                Ok(())
            }
        };
        if let (Err(error), Ok(())) = (&result, &last) {
            on_error(error);
        }
        last = result;
    })
}

fn remedy(error: &io::Error) -> &'static str {
    match (error.raw_os_error().map(Errno::from_raw_os_error), error.kind()) {
        (Some(Errno::MFILE | Errno::NFILE), _) => "allow more open files, as by ulimit -n",
        (_, io::ErrorKind::IsADirectory) => "give the path of a file in it",
        (_, io::ErrorKind::Other) => "give the path of a regular file, or one where nothing is yet",
        (_, _) => "give a path in a folder that can be written to",
    }
}

/// Without the names of temporary files.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its folder is not there".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("user {} may not write to its folder", rustix::process::geteuid().as_raw())
        }
        io::ErrorKind::TimedOut => "its file system does not answer".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::Other => error.to_string(),
        // Those without a kind of their own, such as too many open files.
        _ if error.raw_os_error().is_some() => error.to_string(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Version {
        Version::Text(text.to_owned())
    }

    #[test]
    fn the_last_version_is_there_after_a_flush() {
        let folder = tempfile::tempdir().unwrap();
        let file = OwnFile::new(&folder.path().join("status")).unwrap();
        create(&file, &text("0")).unwrap();
        let versions = writer(file.clone(), |error| panic!("{error}"));
        (1..=1000).for_each(|number: u32| versions.put(text(&number.to_string())));
        versions.flush(Duration::from_secs(60));
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "1000");
        versions.put(Version::Gone);
        versions.flush(Duration::from_secs(60));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_not_there_at_first_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = OwnFile::new(&folder.path().join("pid")).unwrap();
        create(&file, &Version::Gone).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(create(&OwnFile::new(&folder.path().join("no/pid")).unwrap(), &Version::Gone).is_err());
    }

    #[test]
    fn a_file_system_that_stops_answering_is_told_of_once() {
        let (go, gate) = std::sync::mpsc::sync_channel(0);
        let (troubles, told) = Troubles::channel();
        let versions = Worker::new("test", 1, move |_| gate.recv().unwrap());
        let complaint = Complaint { option: "--status-file", words: "x: cannot be written".to_owned(), troubles };
        let (path, form, last) = ("x".into(), FileForm::Status, Version::Gone);
        let mut file = StateFile { path, form, versions, last, stall: Stall::None, complaint };
        let at = |seconds| supervisor_core::Instant::from_origin(Duration::from_secs(seconds));
        file.complain_of_stall(at(0));
        file.versions.put(text("1"));
        (10..15).for_each(|second| file.complain_of_stall(at(second)));
        let words: Vec<_> = told.try_iter().map(|record| record.words).collect();
        assert_eq!(words, ["x: cannot be written: its file system does not answer for 1 s"]);
        go.send(()).unwrap();
        file.versions.flush(Duration::from_secs(60));
        file.complain_of_stall(at(20));
        assert_eq!((told.try_iter().count(), file.stall), (0, Stall::None));
    }

    #[test]
    fn a_failure_is_told_once_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let file = OwnFile::new(&inner.join("status")).unwrap();
        let (told, errors) = std::sync::mpsc::channel();
        let versions = writer(file.clone(), move |error| told.send(error.kind()).unwrap());
        fs::remove_dir_all(&inner).unwrap();
        for _ in 0..3 {
            versions.put(text("1"));
            versions.flush(Duration::from_secs(60));
        }
        fs::create_dir(&inner).unwrap();
        versions.put(text("2"));
        versions.flush(Duration::from_secs(60));
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "2");
        drop(versions);
        assert_eq!(errors.try_iter().collect::<Vec<_>>(), [io::ErrorKind::NotFound]);
    }

    #[test]
    fn a_pid_file_is_there_while_the_command_lives() {
        let mut status = Status::new("web".to_owned(), supervisor_core::Limit::Unlimited);
        assert_eq!(version(FileForm::Pid, &status), Version::Gone);
        status.pid = Some(7);
        assert_eq!(version(FileForm::Pid, &status), text("7\n"));
        assert_eq!(version(FileForm::Status, &status), Version::Text(status.json()));
        assert_eq!(version(FileForm::Metrics, &status), Version::Text(metrics::text(&status)));
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, link) = (folder.path().join("plain"), folder.path().join("link"));
        fs::write(&plain, "").unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for path in [&plain, &link, &folder.path().join("nothing")] {
            assert!(refuse_what_is_no_file(path).is_ok(), "{}", path.display());
        }
        let refused = |path: &Path| {
            let error = refuse_what_is_no_file(path).unwrap_err();
            (reason(&error), remedy(&error))
        };
        let of_folder = ("it is a folder".to_owned(), "give the path of a file in it");
        assert_eq!(refused(folder.path()), of_folder);
        let (reason, remedy) = refused(Path::new("/dev/null"));
        assert_eq!(reason, "it is there, and not a regular file");
        assert_eq!(remedy, "give the path of a regular file, or one where nothing is yet");
    }

    #[test]
    fn what_has_no_kind_of_its_own_is_told_as_the_system_tells_it() {
        let error = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        assert_eq!(reason(&error), "Too many open files (os error 24)");
        assert_eq!(reason(&io::ErrorKind::InvalidData.into()), "invalid data");
    }

    #[test]
    fn a_reason_names_no_temporary_file() {
        let denied = format!("user {} may not write to its folder", rustix::process::geteuid().as_raw());
        let table = [
            (io::ErrorKind::NotFound, "its folder is not there"),
            (io::ErrorKind::PermissionDenied, denied.as_str()),
            (io::ErrorKind::TimedOut, "its file system does not answer"),
            (io::ErrorKind::StorageFull, "no storage space"),
        ];
        for (kind, words) in table {
            assert_eq!(reason(&io::Error::new(kind, ".supervisor-1-status")), words);
        }
    }

    #[test]
    fn heartbeats_alone_rewrite_seldom() {
        use supervisor_core::{Notice, RunId};
        let heartbeat = Notice::Heartbeat { run: RunId(1), pid: 7, first: false, ago: Duration::ZERO };
        let written = |notice: Notice, age: Duration| {
            let status = Status::new("web".to_owned(), supervisor_core::Limit::Unlimited);
            let begun = Instant::now().checked_sub(age).unwrap();
            let mut files = StateFiles { status, files: vec![], written: begun };
            let record = Record::new(log::Level::Info, crate::report::machine(notice), String::new());
            files.record(&record, &Standing::FIRST);
            files.written != begun
        };
        assert!(!written(heartbeat, Duration::ZERO) && written(heartbeat, SELDOM));
        assert!(written(Notice::Started { run: RunId(1), pid: 7 }, Duration::ZERO));
    }
}
