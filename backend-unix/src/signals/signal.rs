//! Signals by number and by name, the real-time ones among them: signal(7).

use nix::libc;
use nix::sys::signal::Signal as Standard;
use rustix::io::Errno;
use rustix::process::{Pid, kill_process, kill_process_group};
use std::fmt;

/// The first real-time signal that programs may use, and the last. These are glibc's numbers, which commands count by,
/// whatever C library this program has: signal(7).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// A signal that programs use: a standard one, or a real-time one that the C library leaves to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

#[expect(missing_docs, reason = "signal(7) says what they mean")]
impl Signal {
    pub const HUP: Signal = Signal(libc::SIGHUP);
    pub const INT: Signal = Signal(libc::SIGINT);
    pub const QUIT: Signal = Signal(libc::SIGQUIT);
    pub const KILL: Signal = Signal(libc::SIGKILL);
    pub const USR1: Signal = Signal(libc::SIGUSR1);
    pub const USR2: Signal = Signal(libc::SIGUSR2);
    pub const PIPE: Signal = Signal(libc::SIGPIPE);
    pub const ALRM: Signal = Signal(libc::SIGALRM);
    pub const TERM: Signal = Signal(libc::SIGTERM);
    pub const STKFLT: Signal = Signal(libc::SIGSTKFLT);
    pub const CHLD: Signal = Signal(libc::SIGCHLD);
    pub const STOP: Signal = Signal(libc::SIGSTOP);
    pub const CONT: Signal = Signal(libc::SIGCONT);
    pub const TSTP: Signal = Signal(libc::SIGTSTP);
    pub const TTIN: Signal = Signal(libc::SIGTTIN);
    pub const TTOU: Signal = Signal(libc::SIGTTOU);
    pub const XCPU: Signal = Signal(libc::SIGXCPU);
    pub const XFSZ: Signal = Signal(libc::SIGXFSZ);
    pub const VTALRM: Signal = Signal(libc::SIGVTALRM);
    pub const PROF: Signal = Signal(libc::SIGPROF);
    pub const WINCH: Signal = Signal(libc::SIGWINCH);
    pub const IO: Signal = Signal(libc::SIGIO);
    pub const PWR: Signal = Signal(libc::SIGPWR);
}

impl Signal {
    /// The signal of this number, if there is one.
    pub fn from_number(number: i32) -> Option<Signal> {
        let signal = Signal(number);
        (signal.standard().is_some() || signal.is_real_time()).then_some(signal)
    }

    /// The signal of this name, in capitals, with or without SIG: `TERM`, `SIGTERM`, `RTMIN+3`, `RTMAX-1`.
    pub fn from_name(name: &str) -> Option<Signal> {
        let name = name.strip_prefix("SIG").unwrap_or(name);
        let offset = |sign, digits: &str| match digits.strip_prefix(sign) {
            None if digits.is_empty() => Some(0),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u8>().ok(),
            Some(_) | None => None,
        };
        let real_time = if let Some(rest) = name.strip_prefix("RTMIN") {
            Signal(RTMIN + i32::from(offset('+', rest)?))
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            Signal(RTMAX - i32::from(offset('-', rest)?))
        } else {
            return format!("SIG{name}").parse().ok().map(|standard: Standard| Signal(standard as i32));
        };
        real_time.is_real_time().then_some(real_time)
    }

    /// As the kernel knows it.
    pub fn number(self) -> i32 {
        self.0
    }

    /// All standard signals, in the order of their numbers.
    pub fn standard_ones() -> impl Iterator<Item = Signal> {
        Standard::iterator().map(|standard| Signal(standard as i32))
    }

    /// All real-time signals, in the order of their numbers.
    pub fn real_time_ones() -> impl Iterator<Item = Signal> {
        (RTMIN..=RTMAX).map(Signal)
    }

    /// Whether it is one without a meaning of its own.
    pub fn is_real_time(self) -> bool {
        (RTMIN..=RTMAX).contains(&self.0)
    }

    /// Whether a process can catch it: not SIGKILL and SIGSTOP.
    pub fn is_catchable(self) -> bool {
        ![Signal::KILL, Signal::STOP].contains(&self)
    }

    /// Whether it never ends a process, caught or not: it stops or continues it.
    pub fn ends_nothing(self) -> bool {
        [Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::CONT].contains(&self)
    }

    /// Sends it to a child that is not reaped yet.
    pub(crate) fn send(self, child: i32) -> Result<(), Errno> {
        Pid::from_raw(child).map_or(Err(Errno::SRCH), |pid| kill_process(pid, self.to_send()))
    }

    /// Sends it to a process group whose leader is not reaped yet, or that has members left.
    pub(crate) fn send_to_group(self, group: i32) -> Result<(), Errno> {
        Pid::from_raw(group).map_or(Err(Errno::SRCH), |group| kill_process_group(group, self.to_send()))
    }

    /// In the form in which it is sent.
    pub(crate) fn to_send(self) -> rustix::process::Signal {
        // SAFETY: the number is never one that the C library keeps for itself.
        unsafe { rustix::process::Signal::from_raw_unchecked(self.0) }
    }

    fn standard(self) -> Option<Standard> {
        Standard::try_from(self.0).ok()
    }
}

/// `SIGTERM`, `SIGRTMIN+3`.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.standard(), self.0 - RTMIN) {
            (Some(standard), _) => f.write_str(standard.as_str()),
            (None, 0) => f.write_str("SIGRTMIN"),
            (None, offset) => write!(f, "SIGRTMIN+{offset}"),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Signal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_found_by_its_number_and_by_its_name() {
        let all: Vec<_> = Signal::standard_ones().chain(Signal::real_time_ones()).collect();
        assert!(all.contains(&Signal::TERM) && all.is_sorted());
        for signal in all {
            let name = signal.to_string();
            assert_eq!(Signal::from_number(signal.number()), Some(signal));
            assert_eq!(Signal::from_name(&name), Some(signal));
            assert_eq!(Signal::from_name(name.trim_start_matches("SIG")), Some(signal));
        }
    }

    #[test]
    fn real_time_signals_are_counted_from_both_ends() {
        let (first, last) = (RTMIN, RTMAX);
        for (name, number) in [("RTMIN", first), ("RTMIN+3", first + 3), ("RTMAX", last), ("SIGRTMAX-2", last - 2)] {
            assert_eq!(Signal::from_name(name).map(Signal::number), Some(number), "{name}");
        }
    }

    #[test]
    fn others_are_none() {
        for name in ["", "SIG", "SIGSIGTERM", "term", "RTMIN+", "RTMIN-1", "RTMIN++1", "RTMIN+99", "RTMAX+1", "RTMIN3"]
        {
            assert_eq!(Signal::from_name(name), None, "{name}");
        }
        for number in [-1, 0, 32, 33, RTMAX + 1] {
            assert_eq!(Signal::from_number(number), None, "{number}");
        }
    }

    #[test]
    fn some_end_nothing_and_some_cannot_be_caught() {
        let (mut endless, mut fatal) = (Vec::new(), Vec::new());
        for signal in Signal::standard_ones() {
            endless.extend(signal.ends_nothing().then_some(signal));
            fatal.extend((!signal.is_catchable()).then_some(signal));
            assert!(!signal.is_real_time());
        }
        let mut stops = [Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::CONT];
        stops.sort();
        assert_eq!((endless, fatal), (stops.to_vec(), vec![Signal::KILL, Signal::STOP]));
        assert!(Signal::real_time_ones().all(|signal| signal.is_real_time() && signal.is_catchable()));
    }

    #[test]
    fn a_number_that_no_process_has_gets_nothing() {
        for pid in [0, i32::MAX] {
            assert_eq!(Signal::TERM.send(pid), Err(Errno::SRCH));
            assert_eq!(Signal::TERM.send_to_group(pid), Err(Errno::SRCH));
        }
    }
}
