//! `test_client [scenario] [duration in seconds]`: behaves well or badly, as the scenario says.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use supervisor_test_clients::{error, exit_on_sigterm, heartbeat_file, info, sleep, speed, warning, write_heartbeat};

/// For scenarios that take a duration and are not given one.
const DEFAULT_DURATION: u32 = 30;

fn main() -> io::Result<ExitCode> {
    // A heartbeat left from before would be misleading.
    match std::fs::remove_file(heartbeat_file()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    exit_on_sigterm()?;
    if let Some(seed) = number("TEST_CLIENT_SEED") {
        fastrand::seed(seed + number("SUPERVISED_RESTARTS").unwrap_or(0));
    }
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next().unwrap_or_else(|| "normal".to_owned());
    let duration = match arguments.next().map(|duration| duration.parse()) {
        None => DEFAULT_DURATION,
        Some(Ok(duration)) => duration,
        Some(Err(_)) => {
            error("The duration is a whole number of seconds");
            return Ok(ExitCode::FAILURE);
        }
    };
    match scenario.as_str() {
        "normal" => normal(duration),
        "crash_periodic" => crash_periodic(duration),
        "hang" => hang(),
        "sigterm_test" => sigterm_test(),
        "long_request" => long_request(duration),
        unknown => {
            error(format_args!("Unknown scenario: {unknown}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn normal(duration: u32) -> io::Result<ExitCode> {
    info(format_args!("Test client: Normal operation (sending heartbeat for {duration} seconds)"));
    let started = Instant::now();
    while started.elapsed() < real(duration) {
        write_heartbeat()?;
        random_pause();
    }
    info("Test client: Exiting normally.");
    Ok(ExitCode::SUCCESS)
}

fn crash_periodic(duration: u32) -> io::Result<ExitCode> {
    info(format_args!("Test client: Simulating periodic crashes (sending heartbeat for {duration} seconds)"));
    let started = Instant::now();
    while started.elapsed() < real(duration) {
        write_heartbeat()?;
        random_pause();
        if fastrand::f64() < 0.2 {
            error("Test client: Simulating a random crash!");
            return Ok(ExitCode::FAILURE);
        }
    }
    info("Test client: Exiting normally after periodic crashes.");
    Ok(ExitCode::SUCCESS)
}

fn hang() -> io::Result<ExitCode> {
    info("Test client: Simulating a hang (sending heartbeat for 10 seconds, then stopping heartbeat and looping)");
    for _ in 0..2 {
        write_heartbeat()?;
        sleep(5.0);
    }
    warning("Test client: Stopping heartbeat and entering infinite loop. Supervisor should detect timeout.");
    loop {
        sleep(1.0);
    }
}

fn sigterm_test() -> io::Result<ExitCode> {
    info("Test client: Waiting for SIGTERM (sending heartbeat)");
    loop {
        write_heartbeat()?;
        sleep(5.0);
    }
}

fn long_request(duration: u32) -> io::Result<ExitCode> {
    info(format_args!(
        "Test client: Simulating a long request (sending heartbeat, then pausing for {duration}s without heartbeat)"
    ));
    write_heartbeat()?;
    info(format_args!("Test client: Starting long operation, no heartbeat for {duration} seconds."));
    sleep(duration.into());
    write_heartbeat()?;
    info("Test client: Long operation finished, heartbeat sent. Exiting.");
    Ok(ExitCode::SUCCESS)
}

fn random_pause() {
    sleep(3.0 + 4.0 * fastrand::f64());
}

fn real(duration: u32) -> Duration {
    Duration::from_secs_f64(f64::from(duration) / speed())
}
