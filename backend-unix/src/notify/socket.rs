//! The socket that the command tells of itself by: who may speak, and how much at a time.

use super::folder::{self, Address};
use super::message::{Message, ParseError, parse};
use crate::notice::{Trouble, UnixNotice};
use nix::libc;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Longer messages are refused; systemd allows as much.
const LONGEST: usize = 4096;
/// A flood must not drown everything else.
pub(crate) const AT_A_TIME: usize = 16;
/// When the main process has ended; its socket seldom holds more: `net.unix.max_dgram_qlen`.
pub(crate) const LAST_MESSAGES: usize = 1024;

/// The receiving end.
pub(crate) struct Notify {
    socket: OwnedFd,
    address: Address,
    refused: Refused,
}

/// Whether it has been told that a message was refused.
enum Refused {
    NotYet,
    Told,
}

/// What is known of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    OfCommand,
    /// It has ended, so that its parents cannot be told any more.
    Gone,
    Stranger,
}

/// Messages of the command, and a notice of one that was refused.
pub(crate) struct Taken {
    pub messages: Vec<Message>,
    pub notice: Option<UnixNotice>,
}

/// One datagram.
struct Datagram {
    /// In our PID namespace; 0 if it is in none of ours.
    sender: i32,
    messages: Result<Vec<Message>, ParseError>,
}

impl Notify {
    /// Opens the socket, in a folder of its own where one can be had.
    ///
    /// # Errors
    /// Those of socket(2), setsockopt(2) and bind(2).
    pub fn open() -> io::Result<(Notify, Option<UnixNotice>)> {
        let (socket, address, error) = folder::bind_somewhere()?;
        let notice = error.map(|error| UnixNotice::Trouble(Trouble::NoSocketFolder { error }));
        Ok((Notify { socket, address, refused: Refused::NotYet }, notice))
    }

    /// Where the socket is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Readable when there is a message to take.
    pub fn received(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes at most so many datagrams; `sender` says what is known of the process of a number. Those that are refused
    /// are told of once.
    pub fn take(&mut self, most: usize, sender: impl Fn(i32) -> Sender) -> Taken {
        let mut taken = Vec::new();
        let mut notice = None;
        for _ in 0..most {
            let Some(Datagram { sender: pid, messages }) = self.receive() else { break };
            let why = match (sender(pid), messages) {
                (Sender::OfCommand, Ok(messages)) => {
                    taken.extend(messages);
                    continue;
                }
                (Sender::OfCommand, Err(ParseError::TooLong)) => {
                    format!("it is longer than {LONGEST} bytes, or has too many lines")
                }
                (Sender::OfCommand, Err(ParseError::Line(line))) => format!("{line} means nothing"),
                (Sender::Stranger, _) => format!("pid {pid} is not of the command"),
                // Nothing is lost. BARRIER=1 is such a message: its sender may end as soon as it is received.
                (Sender::Gone, Ok(messages)) if messages.is_empty() => continue,
                (Sender::Gone, _) => {
                    format!(
                        "its sender, pid {pid}, ended before the supervisor could see whether it was of the command; have it wait, as systemd-notify does without --no-block"
                    )
                }
            };
            if let Refused::NotYet = std::mem::replace(&mut self.refused, Refused::Told) {
                notice = Some(UnixNotice::Trouble(Trouble::MessageRefused { error: io::Error::other(why) }));
            }
        }
        Taken { messages: taken, notice }
    }

    /// Forgets what was said by a run that is over.
    pub fn discard(&mut self, most: usize) {
        (0..most).map_while(|_| self.receive()).for_each(drop);
    }

    fn receive(&self) -> Option<Datagram> {
        let mut bytes = [0; LONGEST];
        let (length, sender, flags) = rustix::io::retry_on_intr(|| receive(&self.socket, &mut bytes)).ok()?;
        let is_cut = flags & libc::MSG_TRUNC != 0;
        let messages = if is_cut { Err(ParseError::TooLong) } else { parse(&bytes[..length]) };
        Some(Datagram { sender, messages })
    }
}

/// The folder goes with the supervisor.
impl Drop for Notify {
    fn drop(&mut self) {
        self.address.remove();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received_with_its_sender_and_no_descriptor_stays() {
        use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socket};
        use std::os::fd::RawFd;
        let (notify, _) = Notify::open().unwrap();
        let (far, near) = (notify.address.raw().unwrap(), std::io::stdin());
        let sender = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        let send = |text: &[u8], rights: &[RawFd]| {
            let rights = [ControlMessage::ScmRights(rights)];
            let flags = MsgFlags::empty();
            sendmsg(sender.as_raw_fd(), &[std::io::IoSlice::new(text)], &rights, flags, Some(&far)).unwrap();
        };
        send(b"WATCHDOG=1", &[near.as_raw_fd(), writing.as_raw_fd()]);
        send(&[b'x'; LONGEST + 1], &[near.as_raw_fd()]);
        let first = notify.receive().unwrap();
        assert_eq!(first.sender, std::process::id().cast_signed());
        assert_eq!(first.messages, Ok(vec![Message::Machine(supervisor_core::Message::Heartbeat)]));
        assert_eq!(notify.receive().unwrap().messages, Err(ParseError::TooLong));
        assert!(notify.receive().is_none());
        // The writing end that was sent along is closed: with our own gone too, the pipe ends.
        drop(writing);
        assert_eq!(rustix::io::read(&reading, &mut [0; 1]), Ok(0));
    }

    #[test]
    fn no_file_is_left() {
        let (notify, _) = Notify::open().unwrap();
        let Address::Folder { folder, .. } = notify.address.clone() else { panic!("no folder to write to") };
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        drop(notify);
        assert!(!folder.exists());
    }

    #[test]
    fn a_refusal_is_told_once_with_its_reason() {
        let refused = |text: &str, sender: Sender| {
            let (mut notify, _) = Notify::open().unwrap();
            let far = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let path = notify.address.variable();
            for text in [text, text, "READY=1"] {
                far.send_to(text.as_bytes(), &path).unwrap();
            }
            let taken = notify.take(3, |_| sender);
            let words = match taken.notice {
                Some(UnixNotice::Trouble(Trouble::MessageRefused { error })) => error.to_string(),
                other => panic!("{other:?}"),
            };
            far.send_to(text.as_bytes(), &path).unwrap();
            assert!(notify.take(1, |_| sender).notice.is_none(), "it is told once");
            (words, taken.messages.len())
        };
        let own = std::process::id();
        assert_eq!(refused("hello", Sender::OfCommand), ("hello means nothing".to_owned(), 1));
        assert_eq!(
            refused(&"\n\n".repeat(2500), Sender::OfCommand),
            ("it is longer than 4096 bytes, or has too many lines".to_owned(), 1)
        );
        assert_eq!(refused("READY=1", Sender::Stranger), (format!("pid {own} is not of the command"), 0));
        let (words, messages) = refused("READY=1", Sender::Gone);
        assert!(words.contains("ended before the supervisor could see") && messages == 0);
        let (words, _) = refused("BARRIER=1", Sender::Stranger);
        assert!(words.ends_with("is not of the command"));
    }

    #[test]
    fn a_message_that_says_nothing_is_no_loss_though_its_sender_is_gone() {
        let (mut notify, _) = Notify::open().unwrap();
        let far = std::os::unix::net::UnixDatagram::unbound().unwrap();
        far.send_to(b"BARRIER=1", notify.address.variable()).unwrap();
        let taken = notify.take(1, |_| Sender::Gone);
        assert!(taken.notice.is_none() && taken.messages.is_empty());
    }

    #[test]
    fn so_many_are_taken_at_a_time_and_what_is_discarded_is_gone() {
        let (mut notify, _) = Notify::open().unwrap();
        let far = std::os::unix::net::UnixDatagram::unbound().unwrap();
        (0..5).for_each(|_| assert_eq!(far.send_to(b"READY=1", notify.address.variable()).unwrap(), 7));
        assert_eq!(notify.take(2, |_| Sender::OfCommand).messages.len(), 2);
        notify.discard(2);
        assert_eq!(notify.take(9, |_| Sender::OfCommand).messages.len(), 1);
    }
}
