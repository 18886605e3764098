//! The service manager above, if there is one that listens: sd_notify(3) upward, by a thread of its own, so that one that
//! does not read delays nobody.

use crate::logging::{Format, trouble};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Words that wait for a manager that does not read just now; more are dropped.
const MOST_WAITING: usize = 64;
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A service manager such as systemd.
pub struct Manager {
    shared: Arc<(Mutex<Mouth>, Condvar)>,
}

/// What is to be said.
#[derive(Default)]
struct Mouth {
    waiting: VecDeque<String>,
    state: State,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Silent,
    Speaking,
}

impl Manager {
    /// The one that `NOTIFY_SOCKET` names, if any. One that cannot be told anything is told of once.
    pub fn find(format: Format) -> Option<Manager> {
        let address = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let begun = parse(&address).and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            let shared = Arc::<(Mutex<Mouth>, Condvar)>::default();
            let manager = Manager { shared: Arc::clone(&shared) };
            let speak = move || speak(&shared, &socket, &address, format);
            std::thread::Builder::new().name("notify".to_owned()).spawn(speak)?;
            Ok(manager)
        });
        begun.map_err(|error| is_deaf(format, &error)).ok()
    }

    /// Says something, soon.
    pub fn tell(&self, words: &str) {
        let mut mouth = self.mouth();
        if mouth.waiting.len() < MOST_WAITING {
            mouth.waiting.push_back(words.to_owned());
        }
        self.shared.1.notify_all();
    }

    /// Waits until all is said, but not for long.
    pub fn flush(&self) {
        let busy = |mouth: &mut Mouth| !mouth.waiting.is_empty() || mouth.state == State::Speaking;
        drop(self.shared.1.wait_timeout_while(self.mouth(), LAST_WORDS, busy));
    }

    fn mouth(&self) -> MutexGuard<'_, Mouth> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn speak((mouth, changed): &(Mutex<Mouth>, Condvar), socket: &UnixDatagram, address: &SocketAddr, format: Format) {
    let mut is_deaf_already = false;
    loop {
        let mut guard = mouth.lock().unwrap_or_else(PoisonError::into_inner);
        guard.state = State::Silent;
        changed.notify_all();
        let words = loop {
            match guard.waiting.pop_front() {
                Some(words) => break words,
                None => guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
            }
        };
        guard.state = State::Speaking;
        drop(guard);
        if let Err(error) = socket.send_to_addr(words.as_bytes(), address)
            && !std::mem::replace(&mut is_deaf_already, true)
        {
            is_deaf(format, &error);
        }
    }
}

fn is_deaf(format: Format, error: &io::Error) {
    let words = format_args!("the service manager at NOTIFY_SOCKET cannot be told anything: {error}");
    trouble(format, "service_manager", error, words);
}

fn parse(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(address),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    }
}

/// How often its watchdog wants to be fed: half the time that it allows, as sd_watchdog_enabled(3) advises.
pub fn feeding_interval() -> Option<Duration> {
    let variable = |name| std::env::var(name).ok();
    let for_another = variable("WATCHDOG_PID").is_some_and(|pid| pid != std::process::id().to_string());
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (micros > 0 && !for_another).then(|| Duration::from_micros(micros) / 2)
}
