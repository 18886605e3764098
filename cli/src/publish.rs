//! A file that always holds the latest text, whole: each new one replaces it by rename(2), in a thread of its own, so
//! that a file system that does not answer delays nobody.

use crate::outbox::Outbox;
use crate::patience::{self, within};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// How long the last text may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A published file.
pub struct Published {
    /// Only the latest text is worth writing.
    texts: Outbox<String>,
}

impl Published {
    /// Writes the first text at once. `on_error` is told of the first failure of each row of them.
    ///
    /// # Errors
    /// That the file cannot be written, that its file system does not answer, or that it is something that must not be replaced: a device, a pipe, a folder.
    pub fn begin(path: &Path, first: &str, on_error: impl Fn(&io::Error) + Send + 'static) -> io::Result<Published> {
        let path = path.to_owned();
        let (first_path, first) = (path.clone(), first.to_owned());
        within(patience::LONG, move || create(&first_path, &first))?;
        let mut last = Ok(());
        let write = move |text: String| {
            let result = replace(&path, &text);
            if let (Err(error), Ok(())) = (&result, &last) {
                on_error(error);
            }
            last = result;
        };
        Ok(Published { texts: Outbox::new("publish", 1, write) })
    }

    /// Replaces the text, soon. One that was not written yet is passed over.
    pub fn put(&self, text: String) {
        self.texts.put(text);
    }

    /// Waits until the latest text is written, but not for a file system that does not answer.
    pub fn flush(&self) {
        self.texts.flush(LAST_WORDS);
    }
}

/// Replaces what may be replaced.
fn create(path: &Path, text: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() && !found.is_symlink() => {
            Err(io::Error::other("it is there, and not a regular file"))
        }
        Ok(_) | Err(_) => replace(path, text),
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
        drop(Published::begin(&path, "state", |error| panic!("{error}")).unwrap());
        // Nobody else may write it, and the umask may keep others from reading it.
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !0o044, 0o600);
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
