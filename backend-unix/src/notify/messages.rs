//! Messages of the command: from whom they are taken, and how many at a time.

use crate::notice::UnixNotice;
use crate::notify::{Datagram, Nonsense, Notify, Place, Word};
use std::io;
use std::os::fd::BorrowedFd;

/// A flood must not drown everything else.
pub(crate) const AT_A_TIME: usize = 16;
/// When the main process has ended; its socket seldom holds more: `net.unix.max_dgram_qlen`.
pub(crate) const LAST_WORDS: usize = 1024;

pub(crate) struct Messages {
    notify: Notify,
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
    /// It has ended, so that nobody can tell any more.
    Gone,
    Stranger,
}

impl Messages {
    /// # Errors
    /// Those of [`Notify::open`].
    pub fn open() -> io::Result<Messages> {
        Ok(Messages { notify: Notify::open()?, refused: Refused::NotYet })
    }

    pub fn place(&self) -> &Place {
        self.notify.place()
    }

    /// Readable when there is a message to take.
    pub fn received(&self) -> BorrowedFd<'_> {
        self.notify.received()
    }

    /// Takes some. While nothing runs, `sender` knows nobody; what was said last by a run that is over is no news.
    pub fn take(
        &mut self,
        most: usize,
        sender: impl Fn(i32) -> Sender,
        report: &mut impl FnMut(UnixNotice),
    ) -> Vec<Word> {
        let mut taken = Vec::new();
        for _ in 0..most {
            let Some(Datagram { sender: pid, words }) = self.notify.take() else { break };
            match (sender(pid), words) {
                (Sender::OfCommand, Ok(words)) => taken.extend(words),
                (Sender::OfCommand, Err(Nonsense::TooLong)) => self.refuse("it is too long", report),
                (Sender::OfCommand, Err(Nonsense::Line(line))) => self.refuse(&format!("{line} means nothing"), report),
                (Sender::Stranger, _) => self.refuse(&format!("pid {pid} is not of the command"), report),
                (Sender::Gone, _) => {
                    let why = format!("pid {pid} has ended already, so that nobody knows whether it is of the command");
                    self.refuse(&why, report);
                }
            }
        }
        taken
    }

    fn refuse(&mut self, why: &str, report: &mut impl FnMut(UnixNotice)) {
        if let Refused::NotYet = self.refused {
            self.refused = Refused::Told;
            report(UnixNotice::MessageRefused { error: io::Error::other(why.to_owned()) });
        }
    }
}
