//! What is demanded of each life with a fault, and what is accepted although it is not as demanded.

use super::life::{Fate, Life, WITH_A_FAULT};
use super::play::{Company, Pace, Played};
use super::tracer::{Counts, End, Fault, Injection, Role};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fmt;

/// A life without a fault, to which others are compared.
pub struct Reference {
    pub counts: Counts,
    outcome: (End, usize),
    calls: u64,
    /// Lines that are no news, without their numbers, and how often they come.
    lines: BTreeMap<String, usize>,
}

/// An invariant that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// It did not end before the deadline.
    TooLate,
    /// Two of the command lived at once.
    Beside,
    /// The supervisor ended while a process of its command lived.
    LeftAtTheEnd,
    /// Processes lived on.
    Left(Vec<String>),
    /// It may not end so.
    End(End),
    Panicked,
    /// It made far more calls than without the fault.
    Spins(u64),
    /// It came to something else, and no line says why.
    Unexplained(End, usize),
}

impl Reference {
    /// What the same life came to, several times.
    ///
    /// # Errors
    /// It does not come to the same each time, or to something that it must not come to even without a fault.
    pub fn of(life: &Life, played: &[Played]) -> Result<Reference, String> {
        let mut counts = Counts::new();
        let mut lines = BTreeMap::new();
        for one in played {
            keep_most(&mut counts, &one.trace.counts);
            keep_most(&mut lines, &reasons(&one.log));
        }
        let calls = played.iter().map(|one| calls(&one.trace.counts)).max().unwrap_or_default();
        let outcome = played.first().map(Played::outcome).ok_or_else(|| format!("{}: never played", life.name))?;
        let reference = Reference { counts, outcome, calls, lines };
        let complaints: Vec<_> = played.iter().flat_map(|one| complaints(life, &reference, one)).collect();
        let is_same = played.iter().all(|one| one.outcome() == outcome) && outcome.0 == life.end;
        if is_same && complaints.is_empty() {
            return Ok(reference);
        }
        let outcomes: Vec<_> = played.iter().map(Played::outcome).collect();
        let logs: Vec<_> = played.iter().map(|one| one.log.as_str()).collect();
        Err(format!("{}: without a fault: {complaints:?}, {outcomes:?}\n{}", life.name, logs.join("\n")))
    }
}

/// All that is wrong with a life.
pub fn complaints(life: &Life, reference: &Reference, played: &Played) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let end = played.trace.end;
    if played.pace == Pace::TooLate {
        complaints.push(Complaint::TooLate);
    } else if !(end == life.end || life.other_ends.contains(&end) || WITH_A_FAULT.contains(&end)) {
        complaints.push(Complaint::End(end));
    }
    if played.beside == Company::Another {
        complaints.push(Complaint::Beside);
    }
    // One that is killed leaves it to the keeper.
    if played.at_the_end == Company::Another && matches!(end, End::Code(_)) {
        complaints.push(Complaint::LeftAtTheEnd);
    }
    if !played.left.is_empty() {
        complaints.push(Complaint::Left(played.left.clone()));
    }
    if played.log.contains("panicked") {
        complaints.push(Complaint::Panicked);
    }
    if calls(&played.trace.counts) > 10 * reference.calls {
        complaints.push(Complaint::Spins(calls(&played.trace.counts)));
    }
    let is_news = |(line, count): (&String, &usize)| *count > reference.lines.get(line).copied().unwrap_or_default();
    let has_news = reasons(&played.log).iter().any(is_news);
    if played.outcome() != reference.outcome && !has_news && played.pace == Pace::InTime {
        complaints.push(Complaint::Unexplained(end, played.starts));
    }
    complaints
}

/// All calls, but those that try one number after the other where the kernel does not list children or descriptors.
fn calls(counts: &Counts) -> u64 {
    const TRIALS: [i64; 3] = [libc::SYS_waitid, libc::SYS_close, libc::SYS_fcntl];
    counts.iter().filter(|((_, number), _)| !TRIALS.contains(number)).map(|(_, count)| count).sum()
}

fn keep_most<K: Clone + Ord, N: Copy + Default + Ord>(most: &mut BTreeMap<K, N>, counts: &BTreeMap<K, N>) {
    for (key, count) in counts {
        let known = most.entry(key.clone()).or_default();
        *known = (*count).max(*known);
    }
}

/// The lines that can say why, without what differs each time, and how often they come.
fn reasons(log: &str) -> BTreeMap<String, usize> {
    /// Of our own, of the runtime of Rust, and of glibc.
    const BEGINNINGS: [&str; 4] = ["supervisor: ", "memory allocation of", "fatal runtime error", "Fatal glibc error"];
    let says_why = |line: &&str| {
        line.contains(" WARN ") || line.contains(" ERROR ") || BEGINNINGS.iter().any(|words| line.starts_with(words))
    };
    let mut reasons = BTreeMap::new();
    for line in log.lines().filter(says_why) {
        *reasons.entry(line.replace(|c: char| c.is_ascii_digit(), "")).or_default() += 1;
    }
    reasons
}

/// Changes of its mask that the supervisor and the runtime of Rust make themselves, at the beginning.
const OWN_MASKS: u64 = 3;

/// Why a broken invariant is accepted, if it is.
pub fn accepted(life: &Life, fault: &Fault, played: &Played, complaint: &Complaint) -> Option<&'static str> {
    let end = played.trace.end;
    let is_of_the_end = matches!(complaint, Complaint::End(_) | Complaint::Panicked | Complaint::Unexplained(..));
    let is_abort = is_of_the_end && end == End::Signal(Signal::SIGABRT);
    let has_panicked = *complaint == Complaint::Panicked;
    let is_left = matches!(complaint, Complaint::Left(_) | Complaint::LeftAtTheEnd | Complaint::Beside);
    match (played.trace.injection, fault.role, fault.call.name, fault.errno) {
        (Injection::Loading, ..) if is_of_the_end && played.starts == 0 => Some(
            "the loader, the C library and the runtime of Rust end a program that they cannot load, each in its own \
             way; nothing was started",
        ),
        (_, Role::Thread, "mmap" | "mprotect" | "rseq" | "sigaltstack", _) if is_abort || has_panicked => Some(
            "the C library and the runtime of Rust abort where a new thread cannot be set up, before its first line; \
             the keeper ends the command",
        ),
        (_, Role::Supervisor | Role::Thread, "mmap" | "mremap", _) if is_abort => {
            Some("the allocator of Rust aborts where there is no memory; the keeper ends the command")
        }
        (_, Role::Supervisor, "mmap" | "mremap", _)
            if is_left && end == End::Signal(Signal::SIGABRT) && life.keeper == Fate::Killed =>
        {
            Some(
                "the allocator of Rust aborts where there is no memory, in the moment in which its only keeper is killed",
            )
        }
        (_, _, "fcntl", Errno::EBADF) if is_abort || is_left => Some(
            "a debug build asks of each descriptor whether it is open before it closes it, and aborts if it is not",
        ),
        (_, _, "close", _) if is_of_the_end => Some(
            "the standard library panics where closedir(3) fails, which only a descriptor that is not open brings \
             about; the keeper ends the command",
        ),
        (_, _, "futex", _) if *complaint == Complaint::TooLate => Some(
            "a wake that wakes nobody: the standard library takes it for done, and no futex(2) that is in use fails",
        ),
        (_, Role::Supervisor, "rt_sigprocmask", _)
            if is_of_the_end && matches!(end, End::Signal(_)) && fault.occurrence > OWN_MASKS =>
        {
            Some(
                "fork(3) of musl does not ask whether its own block of signals worked, and restores a mask that it never \
                 saved; the keeper ends the command",
            )
        }
        (_, _, "wait4" | "waitid", Errno::ECHILD) if is_left => {
            Some("that there are no children is the last word there is on it: only the kernel knows them")
        }
        _ => None,
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::TooLate => f.write_str("it does not end in time"),
            Complaint::Beside => f.write_str("a second copy of the command was started beside a living one"),
            Complaint::LeftAtTheEnd => f.write_str("the command lived when the supervisor had ended"),
            Complaint::Left(names) => write!(f, "processes live on: {}", names.join(", ")),
            Complaint::End(end) => write!(f, "it ends with {end:?}"),
            Complaint::Panicked => f.write_str("it panicked"),
            Complaint::Spins(calls) => write!(f, "it spins: {calls} system calls"),
            Complaint::Unexplained(end, starts) => {
                write!(f, "it ends with {end:?} after {starts} starts, and no line says why")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_can_say_why_count() {
        let log = "2026-01-01T00:00:00Z INFO  supervisor[7] pid 9 started\n2026 WARN  supervisor[7] it hangs\nhello\n";
        assert_eq!(reasons(log).into_iter().collect::<Vec<_>>(), [(" WARN  supervisor[] it hangs".to_owned(), 1)]);
    }
}
