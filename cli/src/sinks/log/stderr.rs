//! Standard error, written to without waiting wherever that can be done. It is shared with the command, so that it is
//! never itself switched to non-blocking.

use super::destination::Destination;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::io::{self, Stderr as Shared};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use supervisor_backend_unix::is_local_file;

/// Lines that wait for a slow reader.
const ROOM: usize = 512;
/// Lines that wait for a slow file: it is to lose none.
const ROOM_OF_FILE: usize = 1 << 16;

/// What standard error is, as far as it decides how it is written to.
pub enum Stderr {
    /// A pipe or a terminal, opened anew: this description is ours alone, and never waits.
    Reopened(OwnedFd),
    Socket(Shared),
    /// A regular file on a file system of this machine.
    LocalFile(Shared),
    /// A regular file on a file system that may not answer.
    DistantFile(Shared),
    /// Anything else, or what could not be opened anew.
    Other(Shared),
}

impl Stderr {
    pub fn find() -> Stderr {
        let shared = io::stderr();
        let Ok(stat) = fstat(&shared) else { return Stderr::Other(shared) };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo | FileType::CharacterDevice => reopen().map_or(Stderr::Other(shared), Stderr::Reopened),
            FileType::Socket => Stderr::Socket(shared),
            FileType::RegularFile if is_local_file(&shared) => Stderr::LocalFile(shared),
            FileType::RegularFile => Stderr::DistantFile(shared),
            _ => Stderr::Other(shared),
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Stderr::Reopened(own) => own.as_fd(),
            Stderr::Socket(shared)
            | Stderr::LocalFile(shared)
            | Stderr::DistantFile(shared)
            | Stderr::Other(shared) => shared.as_fd(),
        }
    }
}

impl Destination for Stderr {
    fn room(&self) -> usize {
        match self {
            Stderr::LocalFile(_) | Stderr::DistantFile(_) => ROOM_OF_FILE,
            Stderr::Reopened(_) | Stderr::Socket(_) | Stderr::Other(_) => ROOM,
        }
    }

    fn write_now(&self, text: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < text.len() {
            let rest = &text[written..];
            let result = match self {
                Stderr::Reopened(own) => rustix::io::write(own, rest),
                Stderr::Socket(shared) => send(shared, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
                Stderr::LocalFile(shared) => rustix::io::write(shared, rest),
                Stderr::DistantFile(_) | Stderr::Other(_) => break,
            };
            match result {
                Ok(bytes) => written += bytes,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }

    fn write(&self, mut text: &[u8]) -> io::Result<()> {
        let descriptor = self.descriptor();
        while !text.is_empty() {
            match rustix::io::write(descriptor, text) {
                Ok(written) => text = &text[written..],
                Err(Errno::INTR) => {}
                // Ours, or one that the command has switched.
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&descriptor, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn is_writable(&self) -> bool {
        poll(&mut [PollFd::new(&self.descriptor(), PollFlags::OUT)], Some(&Timespec::default())) == Ok(1)
    }
}

fn reopen() -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(CWD, c"/proc/self/fd/2", flags, Mode::empty())
}

/// Whether standard error goes to the journal: `JOURNAL_STREAM` of systemd.exec(5).
pub fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fstat(io::stderr()).is_ok_and(|stat| is_named(&stat, &stream))
}

/// Whether these are its device and inode.
fn is_named(stat: &Stat, stream: &str) -> bool {
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;

    /// A pipe that does not wait, as standard error is opened anew.
    fn reopened() -> (OwnedFd, Stderr) {
        let (reading, writing) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&writing, true).unwrap();
        (reading, Stderr::Reopened(writing))
    }

    fn read(pipe: &OwnedFd) -> Vec<u8> {
        let mut bytes = [0; 1 << 17];
        let length = rustix::io::read(pipe, &mut bytes[..]).unwrap();
        bytes[..length].to_vec()
    }

    #[test]
    fn what_finds_room_is_written_at_once_and_the_rest_is_left() {
        let (reading, stderr) = reopened();
        assert_eq!(stderr.write_now(b"line\n").unwrap(), 5);
        assert_eq!(read(&reading), b"line\n");
        let long = vec![b'x'; 1 << 20];
        let written = stderr.write_now(&long).unwrap();
        assert!((1..long.len()).contains(&written), "{written}");
        assert!(!stderr.is_writable());
        assert_eq!(stderr.write_now(b"more").unwrap(), 0);
        while !stderr.is_writable() {
            read(&reading);
        }
        drop(reading);
        assert!(stderr.write_now(b"line\n").is_err() && stderr.write(b"line\n").is_err());
    }

    #[test]
    fn all_is_written_however_long_the_reader_takes() {
        let (reading, stderr) = reopened();
        let long: Vec<u8> = (0..1 << 18).map(|number| number as u8).collect();
        let reader = std::thread::spawn({
            let length = long.len();
            move || {
                let mut text = Vec::new();
                while text.len() < length {
                    text.extend(read(&reading));
                }
                text
            }
        });
        stderr.write(&long).unwrap();
        assert!(reader.join().unwrap() == long);
    }

    #[test]
    fn a_file_loses_no_line_and_a_distant_one_holds_nothing_up() {
        let shared = io::stderr;
        let rooms = [
            (Stderr::LocalFile(shared()), ROOM_OF_FILE),
            (Stderr::DistantFile(shared()), ROOM_OF_FILE),
            (Stderr::Socket(shared()), ROOM),
            (Stderr::Other(shared()), ROOM),
        ];
        for (stderr, room) in rooms {
            assert_eq!(stderr.room(), room);
        }
        for slow in [Stderr::DistantFile(shared()), Stderr::Other(shared())] {
            assert_eq!(slow.write_now(b"not here").unwrap(), 0);
        }
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let stat = fstat(io::stderr()).unwrap();
        assert!(is_named(&stat, &format!("{}:{}", stat.st_dev, stat.st_ino)));
        assert!(!is_named(&stat, &format!("{}:{}", stat.st_dev, stat.st_ino + 1)) && !is_named(&stat, ""));
    }
}
