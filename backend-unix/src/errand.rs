//! Work that may wait in the kernel for ever, and cannot be killed there: a write to a file system that is frozen, or
//! whose server has taken the request. A thread that waits so holds up the end of its process. A process of its own does
//! not.

use crate::linux::{self, Closing};
use crate::signals::is_stop_pending;
use crate::tree::process::Process;
use crate::worker::GLANCE;
use nix::unistd::{ForkResult, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal, waitpid};
use std::io;
use std::time::{Duration, Instant};

/// A process that is ready to run does not wait for a file system, but for its turn: where there is much to do, it gets
/// so many times the patience.
const PATIENCE_FOR_A_TURN: u32 = 10;

/// The longest words of an error.
const ROOM: usize = 256;

/// What `work` comes to in a process of its own, unless that waits too long, or a request to stop comes meanwhile.
/// Where none can be had, it is done here, however long it takes. What it changes in memory is lost with that process.
///
/// # Errors
/// Those of `work`, `TimedOut`, and `Interrupted`.
pub fn in_a_process(patience: Duration, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let Ok((answer, far)) = pipe_with(PipeFlags::CLOEXEC) else { return work() };
    // SAFETY: another thread may hold a lock just now, which is then never free in the child: it gets no further, and
    // is given up.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            // Nobody must wait for the end of a stream that this process does not use.
            let far = linux::duplicate(far.as_raw_fd(), 0).unwrap_or(far.as_raw_fd());
            if far == 0 {
                linux::close_from(1, Closing::Now);
            }
            let words = to_words(&work());
            // SAFETY: it is open for as long as this process lives.
            let _ = rustix::io::write(unsafe { rustix::fd::BorrowedFd::borrow_raw(far) }, &words);
            linux::exit(0)
        }
        Ok(ForkResult::Parent { child }) => {
            drop(far);
            let result = wait(&answer, patience, || is_ready_to_run(child.as_raw()));
            let child = Pid::from_raw(child.as_raw()).expect("the pid of a child is positive");
            // One that has answered ends at once; one that is stuck is reaped when it is not stuck any more.
            let options = if is_known(&result) { WaitOptions::empty() } else { WaitOptions::NOHANG };
            let _ = kill_process(child, Signal::KILL);
            let _ = rustix::io::retry_on_intr(|| waitpid(Some(child), options));
            result
        }
        Err(_) => work(),
    }
}

fn is_known(result: &io::Result<()>) -> bool {
    !matches!(result, Err(error) if [io::ErrorKind::TimedOut, io::ErrorKind::Interrupted].contains(&error.kind()))
}

fn is_ready_to_run(pid: i32) -> bool {
    Process::read(pid).is_some_and(|process| process.state == 'R')
}

fn has_answered(answer: &OwnedFd) -> bool {
    let ready =
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(answer, PollFlags::IN)], Some(&Timespec::default())));
    ready.is_ok_and(|ready| ready > 0)
}

fn wait(answer: &OwnedFd, patience: Duration, waits_for_a_turn: impl Fn() -> bool) -> io::Result<()> {
    let begun = Instant::now();
    let last = begun + patience * PATIENCE_FOR_A_TURN;
    let mut until = begun + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let glance = Timespec::try_from(left.min(GLANCE)).unwrap_or_default();
        match poll(&mut [PollFd::new(answer, PollFlags::IN)], Some(&glance)) {
            Ok(0) | Err(_) if is_stop_pending() => return Err(io::ErrorKind::Interrupted.into()),
            Ok(0) | Err(_) if left.is_zero() => {
                let has_time = Instant::now() < last && waits_for_a_turn();
                // It may have got its turn, and answered, just before it was looked at.
                if !has_time && !has_answered(answer) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                until = Instant::now() + GLANCE;
            }
            Ok(0) | Err(_) => {}
            Ok(_) => {
                let mut words = [0; ROOM];
                let length = rustix::io::retry_on_intr(|| rustix::io::read(answer, &mut words))?;
                return from_words(&words[..length]);
            }
        }
    }
}

/// The error number, 0 for none and -1 for an error without one, and the words of the last kind.
fn to_words(result: &io::Result<()>) -> Vec<u8> {
    let (number, text) = match result {
        Ok(()) => (0, String::new()),
        Err(error) => error.raw_os_error().map_or_else(|| (-1, error.to_string()), |number| (number, String::new())),
    };
    let mut words = i32::to_ne_bytes(number).to_vec();
    words.extend(text.bytes().take(ROOM - words.len()));
    words
}

fn from_words(words: &[u8]) -> io::Result<()> {
    match words.split_first_chunk() {
        Some((number, text)) => match i32::from_ne_bytes(*number) {
            0 => Ok(()),
            -1 => Err(io::Error::other(String::from_utf8_lossy(text))),
            number => Err(io::Error::from_raw_os_error(number)),
        },
        // It was killed.
        None => Err(Errno::CHILD.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_errand_comes_back_with_what_it_met() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        in_a_process(LONG, || std::fs::write(&file, "text")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
        let error = in_a_process(LONG, || std::fs::create_dir(&file)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let error = in_a_process(LONG, || Err(io::Error::other("words"))).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::Other, "words"));
        let error = in_a_process(LONG, || Err(io::Error::other("w".repeat(ROOM)))).unwrap_err();
        assert_eq!(error.to_string().len(), ROOM - 4);
        assert!(in_a_process(LONG, || linux::exit(0)).is_err(), "it was killed");
    }

    #[test]
    fn one_that_is_stuck_is_given_up() {
        let begun = Instant::now();
        let error = in_a_process(Duration::from_millis(50), || {
            std::thread::sleep(LONG);
            Ok(())
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < LONG);
    }

    #[test]
    fn an_answer_that_comes_while_its_process_is_looked_at_counts() {
        let (answer, far) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let answers_now = || {
            rustix::io::write(&far, &to_words(&Err(Errno::NOSPC.into()))).unwrap();
            false
        };
        let error = wait(&answer, Duration::from_millis(20), answers_now).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_process_that_sleeps_is_not_ready_to_run() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().try_into().unwrap();
        let begun = Instant::now();
        let mut is_ready = true;
        while is_ready && begun.elapsed() < LONG {
            is_ready = is_ready_to_run(pid);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_ready);
        assert!(!is_ready_to_run(pid), "it is gone");
    }

    #[test]
    fn one_that_is_ready_to_run_has_more_time_but_not_for_ever() {
        let spin = |time: Duration| {
            let begun = Instant::now();
            while begun.elapsed() < time {}
            Ok(())
        };
        in_a_process(Duration::from_millis(100), || spin(Duration::from_millis(300))).unwrap();
        let begun = Instant::now();
        let error = in_a_process(Duration::from_millis(20), || spin(LONG)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= Duration::from_millis(20) * PATIENCE_FOR_A_TURN && begun.elapsed() < LONG);
    }
}
