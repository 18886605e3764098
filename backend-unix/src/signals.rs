//! Signals to the supervisor: counted by a handler, taken by the loop; and what the command inherits of them.

use nix::libc;
use nix::poll::{PollFd, ppoll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, raise, sigaction};
use nix::sys::time::TimeSpec;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

/// What the supervisor listens to. In this order signals that come together are taken: a polite request to stop
/// after an urgent one, so that the two together do not mean "stop at once".
const HEARD: [Signal; 16] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    // Nobody sends these for a purpose, but all of them would end the supervisor without a word.
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGPWR,
    Signal::SIGSTKFLT,
    Signal::SIGXCPU,
    Signal::SIGTSTP,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];

/// What would stop or end the supervisor for writing its log, or for passing the terminal on.
const IGNORED: [Signal; 3] = [Signal::SIGPIPE, Signal::SIGTTOU, Signal::SIGXFSZ];

/// How often each signal came and was not taken yet, by number.
static PENDING: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];
/// Who sent it last.
static SENDER: [AtomicI32; 32] = [const { AtomicI32::new(0) }; 32];

extern "C" fn note(number: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let index = number.unsigned_abs() as usize;
    // SAFETY: the kernel passes a valid siginfo_t to a handler installed with SA_SIGINFO.
    let sender = unsafe { (*info).si_pid() };
    SENDER[index].store(sender, Ordering::Relaxed);
    PENDING[index].fetch_add(1, Ordering::Release);
}

/// Whether SIGPIPE was ignored when the process started; Rust's runtime ignores it before `main`.
static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember_sigpipe() {
    // SAFETY: sigaction(2) with a null action only fills in `found`, for which all zeroes is a valid value.
    let ignored = unsafe {
        let mut found: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut found) == 0 && found.sa_sigaction == libc::SIG_IGN
    };
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
    original_actions: Vec<(Signal, SigAction)>,
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
        let heard: SigSet = HEARD.into_iter().collect();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&heard), None)?;
        let noting = SigAction::new(SigHandler::SigAction(note), SaFlags::SA_RESTART, SigSet::all());
        let ignoring = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        let mut original_actions = Vec::new();
        for (signals, action) in [(&HEARD[..], noting), (&IGNORED[..], ignoring)] {
            for &signal in signals {
                // SAFETY: `note` does nothing but atomic stores, which is allowed in a handler.
                let found = unsafe { sigaction(signal, &action)? };
                if signal == Signal::SIGTSTP && matches!(found.handler(), SigHandler::SigIgn) {
                    // Whoever started us does not want us to be stopped from a terminal.
                    // SAFETY: as above.
                    unsafe { sigaction(signal, &ignoring)? };
                }
                original_actions.push((signal, original(signal, found)));
            }
        }
        let mut waiting_mask = original_mask;
        HEARD.into_iter().for_each(|signal| waiting_mask.remove(signal));
        let hangup = if has_terminal() && !is_ignored(&original_actions, Signal::SIGHUP) {
            Hangup::Stop
        } else {
            Hangup::Forward
        };
        Ok(Signals { original_mask, original_actions, waiting_mask, hangup })
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
        HEARD.into_iter().flat_map(|signal| {
            let index = signal as usize;
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
        let stopping = [Signal::SIGTSTP].into_iter().collect();
        let by_default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action is no handler that could be misused.
        let noting = unsafe { sigaction(Signal::SIGTSTP, &by_default)? };
        // The kernel passes it over where nobody would ever continue us: in an orphaned process group.
        raise(Signal::SIGTSTP)?;
        pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&stopping), None)?;
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&stopping), None)?;
        // SAFETY: it is `note` again, which does nothing but atomic stores.
        unsafe { sigaction(Signal::SIGTSTP, &noting)? };
        Ok(())
    }

    /// In a new child: gives it the mask and dispositions that the supervisor was started with.
    ///
    /// Everything that calls is async-signal-safe. Handlers go first, lest one runs in the child.
    pub(crate) fn restore(&self) -> nix::Result<()> {
        for (signal, action) in &self.original_actions {
            // SAFETY: the action is SIG_DFL or SIG_IGN: no handler that could be misused.
            unsafe { sigaction(*signal, action)? };
        }
        self.original_mask.thread_set_mask()
    }
}

/// What a command inherits of an action: ignored or default, since handlers do not survive execve(2).
fn original(signal: Signal, found: SigAction) -> SigAction {
    let ignored = match signal {
        Signal::SIGPIPE => SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed),
        _ => matches!(found.handler(), SigHandler::SigIgn),
    };
    let handler = if ignored { SigHandler::SigIgn } else { SigHandler::SigDfl };
    SigAction::new(handler, SaFlags::empty(), SigSet::empty())
}

fn is_ignored(actions: &[(Signal, SigAction)], wanted: Signal) -> bool {
    actions.iter().any(|(signal, action)| *signal == wanted && matches!(action.handler(), SigHandler::SigIgn))
}

/// Whether the process has a controlling terminal: only then can /dev/tty be opened, see tty(4).
fn has_terminal() -> bool {
    use rustix::fs::{Mode, OFlags, open};
    open("/dev/tty", OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}
