//! What the command tells of itself, as programs made for systemd do: sd_notify(3).
//!
//! The socket is a file, as systemd's own is, since not all client libraries know abstract names. It lies in a folder of
//! its own, which goes with the supervisor, or with its guard. Where there is no folder to write to, the name is abstract
//! after all. Anybody may send to it, so that each message is asked where it comes from.

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;
use supervisor_core::Message;

/// Longer messages are refused; systemd allows as much.
const LONGEST: usize = 4096;
/// More lines than there are things to say.
const MOST_LINES: usize = 32;

/// The receiving end.
pub(crate) struct Notify {
    socket: OwnedFd,
    place: Place,
}

/// Where the socket is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a folder of its own.
    Folder(PathBuf),
    /// The name, without a file.
    Abstract(String),
}

/// Its name in the folder.
const SOCKET: &str = "notify";

impl Place {
    fn find() -> Place {
        let mut random = [0; 8];
        let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK);
        let name = format!("supervisor-{}-{:016x}", std::process::id(), u64::from_ne_bytes(random));
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = runtime.into_iter().chain([std::env::temp_dir(), "/tmp".into(), "/run".into()]);
        let mut folders = places.filter(|place| place.is_absolute()).map(|place| place.join(&name));
        let made = folders.find(|folder| {
            let place = Place::Folder(folder.clone());
            // Others may pass, and see nothing.
            let made = place.address().is_ok() && DirBuilder::new().mode(0o711).create(folder).is_ok();
            made && fs::set_permissions(folder, Permissions::from_mode(0o711)).is_ok()
        });
        made.map_or(Place::Abstract(name), Place::Folder)
    }

    fn address(&self) -> nix::Result<UnixAddr> {
        match self {
            Place::Folder(folder) => UnixAddr::new(&folder.join(SOCKET)),
            Place::Abstract(name) => UnixAddr::new_abstract(name.as_bytes()),
        }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn variable(&self) -> OsString {
        match self {
            Place::Folder(folder) => folder.join(SOCKET).into(),
            Place::Abstract(name) => format!("@{name}").into(),
        }
    }

    /// Leaves nothing behind.
    pub fn clear(&self) {
        if let Place::Folder(folder) = self {
            let _ = fs::remove_file(folder.join(SOCKET));
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        self.place.clear();
    }
}

/// One datagram, whoever sent it.
pub(crate) struct Datagram {
    /// In our PID namespace; 0 if it is in none of ours.
    pub sender: i32,
    pub words: Result<Vec<Word>, Nonsense>,
}

/// What a line of a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    ForMachine(Message),
    /// `STATUS=`.
    Status(String),
}

/// A message that sd_notify(3) does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nonsense {
    TooLong,
    Line(String),
}

impl Notify {
    /// # Errors
    /// Those of socket(2), setsockopt(2) and bind(2).
    pub fn open() -> io::Result<Notify> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&socket, sockopt::PassCred, &true)?;
        let notify = Notify { socket, place: Place::find() };
        bind(notify.socket.as_raw_fd(), &notify.place.address()?)?;
        if let Place::Folder(folder) = &notify.place {
            // The command may have become another user.
            fs::set_permissions(folder.join(SOCKET), Permissions::from_mode(0o666))?;
        }
        Ok(notify)
    }

    /// Where the socket is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn received(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next datagram, if there is one.
    pub fn take(&self) -> Option<Datagram> {
        let mut bytes = [0; LONGEST];
        let (length, sender, flags) = rustix::io::retry_on_intr(|| receive(&self.socket, &mut bytes)).ok()?;
        let is_cut = flags & libc::MSG_TRUNC != 0;
        let words = if is_cut { Err(Nonsense::TooLong) } else { read(&bytes[..length]) };
        Some(Datagram { sender, words })
    }
}

/// Room for the credentials of the sender, aligned as control messages are: cmsg(3).
#[repr(C, align(8))]
struct Control([u8; Control::ROOM]);

impl Control {
    // SAFETY: this only computes.
    const ROOM: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as u32) } as usize;
}

/// Receives a datagram: its length, the pid of its sender, and flags. Descriptors that come along find no room, so that the
/// kernel closes them: however many there are, none is ever ours.
fn receive(socket: &OwnedFd, bytes: &mut [u8]) -> Result<(usize, i32, i32), Errno> {
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = Control([0; Control::ROOM]);
    // SAFETY: all zeroes is a valid message header; it points to what lives until the end of this function; and the kernel
    // has written whole control messages, of which the first is that of the credentials.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
        (header.msg_control, header.msg_controllen) = (control.0.as_mut_ptr().cast(), Control::ROOM as _);
        let length = libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0);
        let Ok(length) = usize::try_from(length) else {
            return Err(Errno::from_raw_os_error(nix::errno::Errno::last_raw()));
        };
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        let has_sender = !first.is_null() && (*first).cmsg_type == libc::SCM_CREDENTIALS;
        let credentials = has_sender.then(|| libc::CMSG_DATA(first).cast::<libc::ucred>().read_unaligned());
        Ok((length, credentials.map_or(0, |credentials| credentials.pid), header.msg_flags))
    }
}

/// The lines that mean something here. Those that sd_notify(3) knows, and others of its form, are passed over.
fn read(bytes: &[u8]) -> Result<Vec<Word>, Nonsense> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split('\n').filter(|line| !line.is_empty());
    if lines.clone().count() > MOST_LINES {
        return Err(Nonsense::TooLong);
    }
    let words: Result<Vec<_>, _> = lines.map(word).collect();
    Ok(words?.into_iter().flatten().collect())
}

fn word(line: &str) -> Result<Option<Word>, Nonsense> {
    let nonsense = || Nonsense::Line(line.escape_debug().take(100).collect());
    let (name, value) = line.split_once('=').ok_or_else(nonsense)?;
    let micros = || value.parse().map(Duration::from_micros).map_err(|_| nonsense());
    let above_zero = |time: Duration| if time.is_zero() { Err(nonsense()) } else { Ok(time) };
    let message = match (name, value) {
        ("WATCHDOG", "1") => Message::Heartbeat,
        ("WATCHDOG", "trigger") => Message::Hang,
        ("READY", "1") => Message::Ready,
        ("STOPPING", "1") => Message::Leaving,
        ("RESTART_RESET", "1") => Message::StreakOver,
        ("WATCHDOG_USEC", _) => Message::Timeout(micros().and_then(above_zero)?),
        ("EXTEND_TIMEOUT_USEC", _) => Message::Extension(micros()?),
        ("WATCHDOG" | "READY" | "STOPPING" | "RESTART_RESET", _) => return Err(nonsense()),
        ("STATUS", text) => return Ok(Some(Word::Status(text.to_owned()))),
        _ => return Ok(None),
    };
    Ok(Some(Word::ForMachine(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_systemd_means_them() {
        let second = Duration::from_secs(1);
        let table: [(&str, &[Word]); 8] = [
            ("", &[]),
            ("WATCHDOG=1", &[Word::ForMachine(Message::Heartbeat)]),
            ("WATCHDOG=trigger\n", &[Word::ForMachine(Message::Hang)]),
            ("READY=1\nSTATUS=up: 100%", &[Word::ForMachine(Message::Ready), Word::Status("up: 100%".into())]),
            ("WATCHDOG_USEC=1000000", &[Word::ForMachine(Message::Timeout(second))]),
            ("EXTEND_TIMEOUT_USEC=1000000", &[Word::ForMachine(Message::Extension(second))]),
            (
                "RESTART_RESET=1\nSTOPPING=1",
                &[Word::ForMachine(Message::StreakOver), Word::ForMachine(Message::Leaving)],
            ),
            ("MAINPID=4711\nFDSTORE=1\nFDNAME=foo\nBARRIER=1\nX_OWN=1\nERRNO=2", &[]),
        ];
        for (text, words) in table {
            assert_eq!(read(text.as_bytes()).as_deref(), Ok(words), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let table = ["hello", "WATCHDOG=2", "READY=yes", "WATCHDOG_USEC=0", "WATCHDOG_USEC=-1", "WATCHDOG_USEC=soon"];
        for text in table {
            assert_eq!(read(text.as_bytes()), Err(Nonsense::Line(text.to_owned())));
        }
        assert!(read(b"\xff\x00").is_err());
    }

    #[test]
    fn what_is_sent_is_received_with_its_sender_and_no_descriptor_stays() {
        use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
        use std::os::fd::RawFd;
        let notify = Notify::open().unwrap();
        let (far, near) = (notify.place.address().unwrap(), std::io::stdin());
        let sender = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        let send = |text: &[u8], rights: &[RawFd]| {
            let rights = [ControlMessage::ScmRights(rights)];
            let flags = MsgFlags::empty();
            sendmsg(sender.as_raw_fd(), &[std::io::IoSlice::new(text)], &rights, flags, Some(&far)).unwrap();
        };
        send(b"WATCHDOG=1", &[near.as_raw_fd(), writing.as_raw_fd()]);
        send(&[b'x'; LONGEST + 1], &[near.as_raw_fd()]);
        let first = notify.take().unwrap();
        assert_eq!(first.sender, std::process::id().cast_signed());
        assert_eq!(first.words, Ok(vec![Word::ForMachine(Message::Heartbeat)]));
        assert_eq!(notify.take().unwrap().words, Err(Nonsense::TooLong));
        assert!(notify.take().is_none());
        // The writing end that was sent along is closed: with our own gone too, the pipe ends.
        drop(writing);
        assert_eq!(rustix::io::read(&reading, &mut [0; 1]), Ok(0));
    }

    #[test]
    fn no_file_is_left() {
        let notify = Notify::open().unwrap();
        let Place::Folder(folder) = notify.place.clone() else { panic!("no folder to write to") };
        assert!(folder.join(SOCKET).exists());
        drop(notify);
        assert!(!folder.exists());
    }
}
