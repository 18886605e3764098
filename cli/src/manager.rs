//! The service manager above, if there is one that listens: sd_notify(3) upward, by a thread of its own, so that one that
//! does not read delays nobody.

use crate::logging::{Format, trouble};
use crate::outbox::Outbox;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Words that wait for a manager that does not read just now.
const MOST_WAITING: usize = 64;
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A service manager such as systemd.
pub struct Manager {
    words: Outbox<String>,
}

impl Manager {
    /// The one that `NOTIFY_SOCKET` names, if any. One that cannot be told anything is told of once.
    pub fn find(format: Format) -> Option<Manager> {
        let address = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let begun = parse(&address).and_then(|address| begin(address, format));
        begun.map_err(|error| is_deaf(format, &error)).ok()
    }

    /// Says something, soon. Of what only tells the present, the latest is enough.
    pub fn tell(&self, words: &str) {
        let is_present =
            |words: &str| !words.contains('\n') && ["STATUS=", "WATCHDOG="].iter().any(|name| words.starts_with(name));
        let kind = |words: &str| words.split('=').next().map(str::to_owned);
        if is_present(words) {
            self.words.put_instead(words.to_owned(), |other| is_present(other) && kind(other) == kind(words));
        } else {
            self.words.put(words.to_owned());
        }
    }

    /// Waits until all is said, but not for long.
    pub fn flush(&self) {
        self.words.flush(LAST_WORDS);
    }
}

fn begin(address: SocketAddr, format: Format) -> io::Result<Manager> {
    let socket = UnixDatagram::unbound()?;
    let mut failures = 0;
    let say = move |words: String| {
        if let Err(error) = socket.send_to_addr(words.as_bytes(), &address) {
            failures += 1;
            if failures == 1 {
                is_deaf(format, &error);
            }
        }
    };
    Ok(Manager { words: Outbox::new("notify", MOST_WAITING, say) })
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
