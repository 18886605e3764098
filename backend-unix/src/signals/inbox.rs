//! Signals to the supervisor: all are blocked, and read from a descriptor.
//!
//! No signal has a handler and none is ignored, so that a command inherits all but the mask as the supervisor found it.

use super::Signal;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The standard signals that the supervisor listens to. In this order signals that come together are taken: a polite
/// request to stop after an urgent one, so that the two together do not mean "stop at once".
const HEARD: [Signal; 17] = [
    Signal::INT,
    Signal::TERM,
    // Rarely sent for a purpose, but all of them would end the supervisor without a word.
    Signal::ALRM,
    Signal::VTALRM,
    Signal::PROF,
    Signal::IO,
    Signal::PWR,
    Signal::STKFLT,
    Signal::XCPU,
    Signal::TSTP,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::CHLD,
    // The parent-death signal of keepers, which share the descriptor.
    Signal::CONT,
];

/// What would stop or end the supervisor for writing its log, or for passing the terminal on. Never taken.
const HARMLESS: [Signal; 3] = [Signal::PIPE, Signal::TTOU, Signal::XFSZ];

/// Real-time signals mean something to the command alone.
fn heard() -> impl Iterator<Item = Signal> {
    HEARD.into_iter().chain(Signal::real_time_ones())
}

/// Whether SIGPIPE was ignored when the process started; Rust's runtime ignores it before `main`.
static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember_sigpipe() {
    SIGPIPE_WAS_IGNORED.store(is_ignored(Signal::PIPE).unwrap_or_default(), Ordering::Relaxed);
}

// SAFETY: an entry of .init_array is a function that runs before `main`; this one only makes a system call.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_STARTUP: extern "C" fn() = remember_sigpipe;

/// What a SIGHUP to the supervisor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The terminal that the supervisor was started from is gone: stop.
    Stop,
    /// What the command makes of it.
    Forward,
}

/// Whether the command is to find SIGCHLD ignored, as the supervisor found it: then the kernel reaps its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaping {
    ByProcess,
    ByKernel,
}

/// The supervisor's hold on its signals.
#[derive(Debug)]
pub struct Signals {
    original_mask: SigSet,
    original_reaping: Reaping,
    inbox: SignalFd,
    hangup: Hangup,
}

impl Signals {
    /// Takes over the signals of this process. Call it before any other thread is started, so that all of them leave
    /// the signals to this one.
    ///
    /// # Errors
    /// Those of sigaction(2), signalfd(2) and pthread_sigmask(3).
    pub fn take_over() -> io::Result<Signals> {
        let stops_are_ignored = is_ignored(Signal::TSTP)?;
        // One who ignores SIGTSTP does not want to be stopped from a terminal.
        let heard = set_of(heard().filter(|signal| *signal != Signal::TSTP || !stops_are_ignored));
        let blocked = set_of(HARMLESS.into_iter());
        let original_mask = change_mask(libc::SIG_BLOCK, &heard)?;
        change_mask(libc::SIG_BLOCK, &blocked)?;
        if !SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed) {
            set_disposition(Signal::PIPE, libc::SIG_DFL)?;
        }
        let original_reaping = if is_ignored(Signal::CHLD)? { Reaping::ByKernel } else { Reaping::ByProcess };
        if original_reaping == Reaping::ByKernel {
            set_disposition(Signal::CHLD, libc::SIG_DFL)?;
        }
        let inbox = SignalFd::with_flags(&heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let hangup = if !is_ignored(Signal::HUP)? && has_terminal() { Hangup::Stop } else { Hangup::Forward };
        Ok(Signals { original_mask, original_reaping, inbox, hangup })
    }

    /// What a SIGHUP means: a stop if the supervisor has a controlling terminal and was not told to ignore its end.
    pub fn hangup(&self) -> Hangup {
        self.hangup
    }

    /// Readable while there are signals to take.
    pub(crate) fn inbox(&self) -> BorrowedFd<'_> {
        self.inbox.as_fd()
    }

    /// Takes the signals that came since the last call, each with the process that sent it.
    pub(crate) fn take(&self) -> Vec<(Signal, i32)> {
        let mut taken = Vec::new();
        while let Some(info) = read_one(self.inbox()) {
            let signal = Signal::from_number(info.ssi_signo.cast_signed());
            taken.extend(signal.map(|signal| (signal, info.ssi_pid.cast_signed())));
        }
        let rank = |signal: Signal| HEARD.iter().position(|heard| *heard == signal).unwrap_or(HEARD.len());
        taken.sort_by_key(|(signal, _)| rank(*signal));
        taken
    }

    /// Stops this process, as SIGTSTP asks, and returns when it goes on.
    ///
    /// # Errors
    /// Those of raise(3) and pthread_sigmask(3).
    pub(crate) fn suspend(&self) -> nix::Result<()> {
        let stopping = set_of([Signal::TSTP].into_iter());
        // The kernel passes it over where no process would ever continue us: in an orphaned process group.
        // SAFETY: raise(3) has no memory to harm.
        Errno::result(unsafe { libc::raise(libc::SIGTSTP) })?;
        change_mask(libc::SIG_UNBLOCK, &stopping)?;
        change_mask(libc::SIG_BLOCK, &stopping).map(drop)
    }

    /// In a new child: gives it the mask and dispositions that the supervisor was started with. Makes nothing but
    /// system calls.
    pub(crate) fn restore(&self) -> nix::Result<()> {
        match self.original_reaping {
            Reaping::ByKernel => set_disposition(Signal::CHLD, libc::SIG_IGN)?,
            Reaping::ByProcess => {}
        }
        change_mask(libc::SIG_SETMASK, &self.original_mask).map(drop)
    }
}

/// Whether a SIGTERM or SIGINT waits to be taken: sigpending(2).
pub fn is_stop_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the kernel fills in a set; a set of zeroes is a valid one, too.
    let pending = unsafe {
        libc::sigpending(pending.as_mut_ptr());
        SigSet::from_sigset_t_unchecked(pending.assume_init())
    };
    [nix::sys::signal::SIGTERM, nix::sys::signal::SIGINT].into_iter().any(|signal| pending.contains(signal))
}

/// In a keeper: forgets all signals that came. They only woke it.
pub(crate) fn drain(inbox: BorrowedFd<'_>) {
    while read_one(inbox).is_some() {}
}

fn read_one(inbox: BorrowedFd<'_>) -> Option<libc::signalfd_siginfo> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let length = size_of::<libc::signalfd_siginfo>();
    // SAFETY: there is room for `length` bytes.
    let read = unsafe { libc::read(inbox.as_raw_fd(), info.as_mut_ptr().cast(), length) };
    // SAFETY: any bytes are a valid one.
    (read == length.cast_signed()).then(|| unsafe { info.assume_init() })
}

fn is_ignored(signal: Signal) -> nix::Result<bool> {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the kernel fills in what is found; nothing is changed.
    let found = unsafe {
        Errno::result(libc::sigaction(signal.number(), ptr::null(), found.as_mut_ptr()))?;
        found.assume_init()
    };
    Ok(found.sa_sigaction == libc::SIG_IGN)
}

fn set_disposition(signal: Signal, disposition: libc::sighandler_t) -> nix::Result<()> {
    // SAFETY: all zeroes are a valid value; neither disposition is a handler.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = disposition;
        Errno::result(libc::sigaction(signal.number(), &action, ptr::null_mut())).map(drop)
    }
}

/// Changes the signal mask of this thread, and returns what it was. pthread_sigmask(3) returns its error number, which nix
/// takes for a success.
fn change_mask(how: libc::c_int, signals: &SigSet) -> nix::Result<SigSet> {
    let mut before = *SigSet::empty().as_ref();
    // SAFETY: both are sets.
    match unsafe { libc::pthread_sigmask(how, signals.as_ref(), &raw mut before) } {
        // SAFETY: it is one that the kernel has filled in.
        0 => Ok(unsafe { SigSet::from_sigset_t_unchecked(before) }),
        error => Err(Errno::from_raw(error)),
    }
}

/// In a keeper: blocks every signal that can be blocked, those too that the C library keeps for itself and leaves out.
pub(crate) fn block_all() {
    let all = u64::MAX;
    // SAFETY: the kernel reads a set of so many bytes: rt_sigprocmask(2).
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, 0, size_of::<u64>()) };
}

/// Written as the kernel reads it: nix knows no sets with real-time signals, and musl none with the first of them.
fn set_of(signals: impl Iterator<Item = Signal>) -> SigSet {
    let mut set = *SigSet::empty().as_ref();
    for signal in signals {
        // SAFETY: a set begins with 64 bits, one for each signal.
        unsafe { *(&raw mut set).cast::<u64>() |= 1 << (signal.number() - 1) };
    }
    // SAFETY: it is a set.
    unsafe { SigSet::from_sigset_t_unchecked(set) }
}

/// Whether the process has a controlling terminal: only then can /dev/tty be opened, see tty(4).
fn has_terminal() -> bool {
    use rustix::fs::{Mode, OFlags, open};
    open("/dev/tty", OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_that_cannot_be_changed_is_an_error() {
        assert_eq!(change_mask(-1, &SigSet::empty()), Err(Errno::EINVAL));
    }

    #[test]
    fn a_changed_mask_is_changed_back() {
        let one = set_of([Signal::WINCH].into_iter());
        let before = change_mask(libc::SIG_BLOCK, &one).unwrap();
        assert!(change_mask(libc::SIG_SETMASK, &before).unwrap().iter().any(|signal| one.contains(signal)));
        assert_eq!(change_mask(libc::SIG_SETMASK, &before), Ok(before));
    }

    #[test]
    fn a_set_has_a_bit_for_each_signal() {
        let real_time = Signal::real_time_ones().next().unwrap();
        let set = set_of([Signal::HUP, Signal::TERM, real_time].into_iter());
        // SAFETY: a set begins with 64 bits.
        let bits = unsafe { *std::ptr::from_ref(set.as_ref()).cast::<u64>() };
        assert_eq!(bits, 1 | 1 << 14 | 1 << 33);
    }

    #[test]
    fn a_disposition_is_found_as_it_was_set() {
        // No other test uses this one, and its default is to be ignored anyway.
        let signal = Signal::WINCH;
        for (disposition, ignored) in [(libc::SIG_IGN, true), (libc::SIG_DFL, false)] {
            set_disposition(signal, disposition).unwrap();
            assert_eq!(is_ignored(signal), Ok(ignored));
        }
    }

    #[test]
    fn signals_are_read_one_by_one_until_there_are_none() {
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reading, true).unwrap();
        let write = |signal: Signal, bytes: usize| {
            let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
            info[..4].copy_from_slice(&signal.number().to_ne_bytes());
            rustix::io::write(&writing, &info[..bytes]).unwrap();
        };
        let whole = size_of::<libc::signalfd_siginfo>();
        write(Signal::TERM, whole);
        assert_eq!(read_one(reading.as_fd()).map(|info| info.ssi_signo), Some(Signal::TERM.number().cast_unsigned()));
        assert!(read_one(reading.as_fd()).is_none());
        write(Signal::TERM, whole - 1);
        assert!(read_one(reading.as_fd()).is_none(), "it is cut off");
        (0..2).for_each(|_| write(Signal::CHLD, whole));
        drain(reading.as_fd());
        write(Signal::HUP, whole);
        assert_eq!(read_one(reading.as_fd()).map(|info| info.ssi_signo), Some(Signal::HUP.number().cast_unsigned()));
    }
}
