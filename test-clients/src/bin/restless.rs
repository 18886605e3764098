//! A service that cannot be relied on: it beats, and then crashes, hangs, finishes, leaves daemons behind, or refuses to
//! leave, as its seed and its run say. `restless SEED`.

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, fork, setsid};
use std::process::exit;
use std::thread::sleep;
use std::time::Duration;

fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(0);
    // Another life in each run.
    let run: u64 = std::process::id().into();
    let mut dice = fastrand::Rng::with_seed(seed ^ run.wrapping_mul(0x9e37_79b9));
    let heartbeat = std::env::var_os("HEARTBEAT_FILE").unwrap_or_else(|| "heartbeat.txt".into());
    if dice.u8(0..3) == 0 {
        refuse_to_leave();
    }
    for _ in 0..dice.u8(0..4) {
        leave_a_daemon(dice.bool());
    }
    for _ in 0..dice.u16(1..80) {
        // Whoever watches is told by this test's faults that it fails.
        let _ = std::fs::write(&heartbeat, "beat");
        sleep(Duration::from_millis(50));
    }
    match dice.u8(0..4) {
        0 => exit(dice.i32(1..100)),
        1 => std::process::abort(),
        2 => leave_a_daemon(true),
        _ => {}
    }
    loop {
        sleep(Duration::from_secs(1000));
    }
}

fn refuse_to_leave() {
    // SAFETY: to ignore a signal runs no code.
    let _ = unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) };
}

/// A process in a session of its own that has lost its parent.
fn leave_a_daemon(stubborn: bool) {
    // SAFETY: there is one thread only.
    let Ok(ForkResult::Child) = (unsafe { fork() }) else { return };
    let _ = setsid();
    // SAFETY: as above.
    if let Ok(ForkResult::Parent { .. }) = unsafe { fork() } {
        exit(0);
    }
    if stubborn {
        refuse_to_leave();
    }
    sleep(Duration::from_secs(1000));
    exit(0);
}
