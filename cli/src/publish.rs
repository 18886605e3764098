//! A file that always holds the latest text, whole: each new one replaces it by rename(2), in a thread of its own, so
//! that a file system that does not answer delays nobody.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

/// How long the last text may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A published file.
pub struct Published {
    shared: Arc<(Mutex<Desk>, Condvar)>,
}

/// What is to be written.
struct Desk {
    latest: Latest,
    writer: Writer,
}

enum Latest {
    Written,
    Waiting(String),
}

#[derive(PartialEq)]
enum Writer {
    /// No thread could be had yet.
    Missing,
    Idle,
    Writing,
}

impl Published {
    /// Writes the first text at once.
    ///
    /// # Errors
    /// That the file cannot be written, or is something that must not be replaced: a device, a pipe, a folder.
    pub fn begin(path: &Path, first: &str, on_error: impl Fn(&io::Error) + Send + 'static) -> io::Result<Published> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() && !found.is_symlink() => {
                return Err(io::Error::other("it is there, and not a regular file"));
            }
            Ok(_) | Err(_) => replace(path, first)?,
        }
        let shared = Arc::new((Mutex::new(Desk { latest: Latest::Written, writer: Writer::Missing }), Condvar::new()));
        let published = Published { shared: Arc::clone(&shared) };
        let path = path.to_owned();
        let write = std::thread::Builder::new().name("publish".to_owned());
        if write.spawn(move || write_on(&shared, &path, on_error)).is_ok() {
            published.desk().writer = Writer::Idle;
        }
        Ok(published)
    }

    /// Replaces the text, soon. One that was not written yet is passed over.
    pub fn put(&self, text: String) {
        self.desk().latest = Latest::Waiting(text);
        self.shared.1.notify_all();
    }

    /// Waits until the latest text is written, but not for a file system that does not answer.
    pub fn flush(&self) {
        let busy = |desk: &mut Desk| {
            desk.writer != Writer::Missing
                && (matches!(desk.latest, Latest::Waiting(_)) || desk.writer == Writer::Writing)
        };
        drop(self.shared.1.wait_timeout_while(self.desk(), LAST_WORDS, busy));
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_on((desk, changed): &(Mutex<Desk>, Condvar), path: &Path, on_error: impl Fn(&io::Error)) {
    let mut failing = false;
    loop {
        let mut guard = desk.lock().unwrap_or_else(PoisonError::into_inner);
        guard.writer = Writer::Idle;
        changed.notify_all();
        let text = loop {
            match std::mem::replace(&mut guard.latest, Latest::Written) {
                Latest::Waiting(text) => break text,
                Latest::Written => guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
            }
        };
        guard.writer = Writer::Writing;
        drop(guard);
        let result = replace(path, &text);
        if let (Err(error), false) = (&result, failing) {
            on_error(error);
        }
        failing = result.is_err();
    }
}

/// Readers see the old text or the new one. A symbolic link is replaced, not followed.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let readable = fs::Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().prefix(".supervisor-").permissions(readable).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_is_there_after_a_flush() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        let published = Published::begin(&path, "0", |error| panic!("{error}")).unwrap();
        for number in 1..=1000 {
            published.put(number.to_string());
        }
        published.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1000");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
    }

    #[test]
    fn a_planted_link_is_replaced_and_its_target_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("status"), folder.path().join("target"));
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        replace(&path, "state").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn a_failure_is_told_once_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("status");
        let (told, errors) = std::sync::mpsc::channel();
        let published = Published::begin(&path, "0", move |error| told.send(error.kind()).unwrap()).unwrap();
        fs::remove_dir_all(&inner).unwrap();
        for _ in 0..3 {
            published.put("1".to_owned());
            published.flush();
        }
        fs::create_dir(&inner).unwrap();
        published.put("2".to_owned());
        published.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "2");
        drop(published);
        assert_eq!(errors.try_iter().collect::<Vec<_>>(), [io::ErrorKind::NotFound]);
    }
}
