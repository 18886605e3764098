//! Signals to the supervisor: counted by a handler, taken by the loop; and what the command inherits of them.

use crate::signal::Signal;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, ppoll};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::time::TimeSpec;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

/// The standard signals that the supervisor listens to. In this order signals that come together are taken: a polite
/// request to stop after an urgent one, so that the two together do not mean "stop at once".
const HEARD: [Signal; 16] = [
    Signal::INT,
    Signal::TERM,
    // Nobody sends these for a purpose, but all of them would end the supervisor without a word.
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
];

/// What would stop or end the supervisor for writing its log, or for passing the terminal on.
const IGNORED: [Signal; 3] = [Signal::PIPE, Signal::TTOU, Signal::XFSZ];

/// Real-time signals mean something to the command alone.
fn heard() -> impl Iterator<Item = Signal> {
    HEARD.into_iter().chain(Signal::real_time_ones())
}

/// How often each signal came and was not taken yet, by number.
static PENDING: [AtomicU32; NUMBERS] = [const { AtomicU32::new(0) }; NUMBERS];
/// Who sent it last.
static SENDER: [AtomicI32; NUMBERS] = [const { AtomicI32::new(0) }; NUMBERS];
/// More than any signal's.
const NUMBERS: usize = 65;

extern "C" fn note(number: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let index = number.unsigned_abs() as usize;
    // SAFETY: the kernel passes a valid siginfo_t to a handler installed with SA_SIGINFO.
    let sender = unsafe { (*info).si_pid() };
    SENDER[index].store(sender, Ordering::Relaxed);
    PENDING[index].fetch_add(1, Ordering::Release);
}

/// What becomes of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposition {
    Default,
    Ignored,
    /// `note` is called.
    Noted,
}

impl Disposition {
    fn of(signal: Signal) -> nix::Result<Disposition> {
        Disposition::exchange(signal, ptr::null())
    }

    /// Makes it that of a signal, and tells what it was: sigaction(2).
    fn set(self, signal: Signal) -> nix::Result<Disposition> {
        // SAFETY: all zeroes are a valid value, and a set to be filled in.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: it is a set.
        unsafe { libc::sigfillset(&mut action.sa_mask) };
        (action.sa_sigaction, action.sa_flags) = match self {
            Disposition::Default => (libc::SIG_DFL, 0),
            Disposition::Ignored => (libc::SIG_IGN, 0),
            Disposition::Noted => (note as *const () as usize, libc::SA_SIGINFO | libc::SA_RESTART),
        };
        Disposition::exchange(signal, &action)
    }

    fn exchange(signal: Signal, action: *const libc::sigaction) -> nix::Result<Disposition> {
        // SAFETY: as in `set`.
        let mut found: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the action is null or complete; its handler, `note`, does nothing but atomic stores.
        Errno::result(unsafe { libc::sigaction(signal.number(), action, &mut found) })?;
        Ok(match found.sa_sigaction {
            libc::SIG_IGN => Disposition::Ignored,
            handler if handler == note as *const () as usize => Disposition::Noted,
            // A handler of others does not survive execve(2).
            _ => Disposition::Default,
        })
    }
}

/// Whether SIGPIPE was ignored when the process started; Rust's runtime ignores it before `main`.
static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember_sigpipe() {
    let ignored = Disposition::of(Signal::PIPE).is_ok_and(|found| found == Disposition::Ignored);
    SIGPIPE_WAS_IGNORED.store(ignored, Ordering::Relaxed);
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

/// The supervisor's hold on its signals. They reach it only while it waits.
#[derive(Debug)]
pub struct Signals {
    original_mask: SigSet,
    original_dispositions: Vec<(Signal, Disposition)>,
    waiting_mask: SigSet,
    hangup: Hangup,
}

impl Signals {
    /// Takes over the signals of this process. Call it before any other thread is started, so that all of them leave
    /// the signals to this one.
    ///
    /// # Errors
    /// Those of sigaction(2) and pthread_sigmask(3).
    pub fn take_over() -> io::Result<Signals> {
        let original_mask = SigSet::thread_get_mask()?;
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&with(SigSet::empty(), heard())), None)?;
        let noted = heard().map(|signal| (signal, Disposition::Noted));
        let mut original_dispositions = Vec::new();
        for (signal, disposition) in noted.chain(IGNORED.map(|signal| (signal, Disposition::Ignored))) {
            let found = match disposition.set(signal) {
                // Emulators and the like keep some for themselves.
                Err(Errno::EINVAL) if signal.is_real_time() => continue,
                found => found?,
            };
            if (signal, found) == (Signal::TSTP, Disposition::Ignored) {
                // Whoever started us does not want us to be stopped from a terminal.
                found.set(signal)?;
            }
            original_dispositions.push((signal, original(signal, found)));
        }
        let is_hangup_ignored = original_dispositions.contains(&(Signal::HUP, Disposition::Ignored));
        let hangup = if has_terminal() && !is_hangup_ignored { Hangup::Stop } else { Hangup::Forward };
        Ok(Signals { waiting_mask: without(original_mask, heard()), original_mask, original_dispositions, hangup })
    }

    /// What a SIGHUP means: a stop if the supervisor has a controlling terminal and was not told to ignore its end.
    pub fn hangup(&self) -> Hangup {
        self.hangup
    }

    /// Sleeps until a signal comes, a descriptor of `fds` is ready, or `timeout` is over; not at all while
    /// signals are untaken. They are let in only here. May return early.
    pub(crate) fn sleep(&self, fds: &mut [PollFd<'_>], timeout: Option<Duration>) {
        /// About 30 years: more seconds than that are not understood everywhere.
        const LONGEST: Duration = Duration::from_secs(1_000_000_000);
        let untaken = PENDING.iter().any(|times| times.load(Ordering::Acquire) > 0);
        let timeout = if untaken { Some(Duration::ZERO) } else { timeout };
        let timeout = timeout.map(|timeout| TimeSpec::from_duration(timeout.min(LONGEST)));
        // Whoever waits looks at everything anyway: EINTR means that, ENOMEM passes, nothing else can happen here.
        if let Ok(1..) = ppoll(fds, timeout, Some(self.waiting_mask)) {
            // Where a descriptor is ready at once, the kernel lets no signal in: a flood would keep them out for ever.
            self.let_in();
        }
    }

    fn let_in(&self) {
        let mut current = SigSet::empty();
        // Neither can fail with these arguments.
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.waiting_mask), Some(&mut current));
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&current), None);
    }

    /// Takes the signals that came since the last call, each with the process that sent it.
    pub(crate) fn take() -> impl Iterator<Item = (Signal, i32)> {
        heard().flat_map(|signal| {
            let index = signal.number().unsigned_abs() as usize;
            let times = PENDING[index].swap(0, Ordering::Acquire);
            let sender = SENDER[index].load(Ordering::Relaxed);
            (0..times).map(move |_| (signal, sender))
        })
    }

    /// Stops this process, as SIGTSTP asks, and returns when it goes on.
    ///
    /// # Errors
    /// Those of sigaction(2) and pthread_sigmask(3).
    pub(crate) fn suspend(&self) -> nix::Result<()> {
        let stopping = with(SigSet::empty(), [Signal::TSTP].into_iter());
        let noted = Disposition::Default.set(Signal::TSTP)?;
        // The kernel passes it over where nobody would ever continue us: in an orphaned process group.
        // SAFETY: raise(3) has no memory to harm.
        Errno::result(unsafe { libc::raise(libc::SIGTSTP) })?;
        pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&stopping), None)?;
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&stopping), None)?;
        noted.set(Signal::TSTP)?;
        Ok(())
    }

    /// In a new child: gives it the mask and dispositions that the supervisor was started with.
    ///
    /// Everything that it calls is async-signal-safe. Handlers go first, lest one runs in the child.
    pub(crate) fn restore(&self) -> nix::Result<()> {
        for (signal, disposition) in &self.original_dispositions {
            disposition.set(*signal)?;
        }
        self.original_mask.thread_set_mask()
    }
}

/// What a command inherits: ignored or default, since handlers do not survive execve(2).
fn original(signal: Signal, found: Disposition) -> Disposition {
    match (signal, found) {
        (Signal::PIPE, _) if !SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed) => Disposition::Default,
        (_, Disposition::Ignored) => Disposition::Ignored,
        (_, Disposition::Default | Disposition::Noted) => Disposition::Default,
    }
}

fn with(set: SigSet, signals: impl Iterator<Item = Signal>) -> SigSet {
    changed(set, libc::sigaddset, signals)
}

fn without(set: SigSet, signals: impl Iterator<Item = Signal>) -> SigSet {
    changed(set, libc::sigdelset, signals)
}

/// nix knows no sets with real-time signals.
fn changed(
    set: SigSet,
    change: unsafe extern "C" fn(*mut libc::sigset_t, libc::c_int) -> libc::c_int,
    signals: impl Iterator<Item = Signal>,
) -> SigSet {
    let mut set = *set.as_ref();
    for signal in signals {
        // SAFETY: both functions change a set that is one, and refuse numbers of no signal.
        unsafe { change(&mut set, signal.number()) };
    }
    // SAFETY: it is a set.
    unsafe { SigSet::from_sigset_t_unchecked(set) }
}

/// Whether the process has a controlling terminal: only then can /dev/tty be opened, see tty(4).
fn has_terminal() -> bool {
    use rustix::fs::{Mode, OFlags, open};
    open("/dev/tty", OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}
