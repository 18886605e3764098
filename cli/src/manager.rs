//! The service manager above, if there is one that listens: sd_notify(3) upward.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A service manager such as systemd.
pub struct Manager {
    socket: UnixDatagram,
    ear: Ear,
}

/// Whether it hears.
#[derive(PartialEq)]
enum Ear {
    Open,
    /// It did not once; nothing more is said of that.
    Deaf,
}

impl Manager {
    /// The one that `NOTIFY_SOCKET` names, if any.
    ///
    /// # Errors
    /// That its address makes no sense, or nobody is there.
    pub fn find() -> Option<io::Result<Manager>> {
        std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()).map(|address| connect(&address))
    }

    /// Says something, without waiting.
    ///
    /// # Errors
    /// Those of send(2), once.
    pub fn tell(&mut self, words: &str) -> io::Result<()> {
        match self.socket.send(words.as_bytes()) {
            Ok(_) => self.ear = Ear::Open,
            Err(_) if self.ear == Ear::Deaf => {}
            Err(error) => {
                self.ear = Ear::Deaf;
                return Err(error);
            }
        }
        Ok(())
    }
}

fn connect(address: &OsString) -> io::Result<Manager> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(Manager { socket, ear: Ear::Open })
}

/// How often its watchdog wants to be fed: half the time that it allows, as sd_watchdog_enabled(3) advises.
pub fn feeding_interval() -> Option<Duration> {
    let variable = |name| std::env::var(name).ok();
    let for_another = variable("WATCHDOG_PID").is_some_and(|pid| pid != std::process::id().to_string());
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (micros > 0 && !for_another).then(|| Duration::from_micros(micros) / 2)
}
