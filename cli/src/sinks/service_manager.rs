//! The service manager above, if there is one that listens: sd_notify(3) upward, by a thread of its own, so that one that
//! does not read holds nothing up.

use crate::options::Settings;
use crate::patience::LastWords;
use crate::report::display::Seconds;
use crate::report::{Content, Record, Sink, Standing, Troubles};
use std::ffi::OsStr;
use std::io;
use std::mem::{Discriminant, discriminant};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use supervisor_backend_unix::{Notifications, UnixNotice, Worker};
use supervisor_core::{Notice, OnHang, Phase, Policy, RunId};

/// Messages that wait for a manager that does not read just now.
const MOST_WAITING: usize = 64;
/// How long the last messages may take.
const LAST_MESSAGES: Duration = Duration::from_millis(100);

/// A service manager such as systemd.
pub struct ServiceManager {
    messages: Worker<String>,
    readiness: Readiness,
    /// The phase that it knows of.
    known: Option<(RunId, Discriminant<Phase>)>,
}

/// When the command counts as ready, and with it the supervisor as a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// As soon as it is started.
    Start,
    /// When it says so.
    Message,
}

impl ServiceManager {
    /// The one that `NOTIFY_SOCKET` names, if any. One that cannot be told anything is told of once.
    pub fn find(settings: &Settings, troubles: &Troubles) -> Option<ServiceManager> {
        let notifications = settings.backend.notifications;
        let address = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let messages = parse(&address).and_then(|address| begin(address, troubles.clone()));
        let readiness = match notifications {
            Notifications::Refused => Readiness::Start,
            Notifications::Taken => Readiness::Message,
        };
        match messages {
            Ok(messages) => {
                warn_of_short_watchdog(&settings.policy, troubles);
                Some(ServiceManager { messages, readiness, known: None })
            }
            Err(error) => {
                is_deaf(troubles, &error);
                None
            }
        }
    }

    /// Says something, soon. Of what only tells the present, the latest is enough.
    fn say(&self, message: String) {
        let is_present = |message: &str| {
            !message.contains('\n') && ["STATUS=", "WATCHDOG="].iter().any(|name| message.starts_with(name))
        };
        let kind = |message: &str| message.split('=').next().map(str::to_owned);
        if is_present(&message) {
            let kind_of_this = kind(&message);
            self.messages.put_instead(message, |other| is_present(other) && kind(other) == kind_of_this);
        } else {
            self.messages.put(message);
        }
    }

    fn say_phase(&mut self, standing: &Standing) {
        let now = Some((standing.run, discriminant(&standing.phase)));
        if now == self.known {
            return;
        }
        self.known = now;
        let run = standing.run;
        self.say(match standing.phase {
            Phase::Starting => format!("STATUS={run}: starting"),
            Phase::Running { pid, .. } => match self.readiness {
                Readiness::Start => ready(&format!("STATUS={run}, pid {pid}")),
                Readiness::Message => format!("STATUS={run}, pid {pid}: not ready yet"),
            },
            Phase::Hung(_) => format!("STATUS={run}: hung"),
            Phase::Restarting(_) => format!("STATUS={run}: to be started again"),
            Phase::Clearing => format!("STATUS={run}: has ended"),
            Phase::BackingOff { until } => {
                let (next, delay) = (standing.restarts + 1, Seconds(until - standing.at));
                format!("STATUS={run}: has ended; restart {next} comes after {delay}")
            }
            Phase::Stopping(_) => format!("STOPPING=1\nSTATUS={run}: stopping"),
            Phase::Done(_) => "STOPPING=1".to_owned(),
        });
    }
}

impl Sink for ServiceManager {
    fn record(&mut self, record: &Record, standing: &Standing) {
        match &record.content {
            Content::Machine { notice, .. } => {
                self.say_phase(standing);
                if let (Notice::Ready { .. }, Readiness::Message) = (notice, self.readiness) {
                    // What the command says of itself may come with it.
                    self.say(ready(""));
                }
            }
            Content::Backend(UnixNotice::Status { text }) => self.say(format!("STATUS={text}")),
            Content::Backend(UnixNotice::Tick {}) => match standing.phase {
                Phase::Hung(_) => {}
                Phase::Starting
                | Phase::Running { .. }
                | Phase::Restarting(_)
                | Phase::Stopping(_)
                | Phase::Clearing
                | Phase::BackingOff { .. }
                | Phase::Done(_) => self.say("WATCHDOG=1".to_owned()),
            },
            Content::Backend(_)
            | Content::Supervising { .. }
            | Content::Settings {}
            | Content::Input { .. }
            | Content::LongDelay { .. }
            | Content::LogLinesLost { .. }
            | Content::Trouble { .. } => {}
        }
    }

    fn flush(&mut self, last_words: &mut LastWords) {
        last_words.spend(|left| self.messages.flush(left.min(LAST_MESSAGES)));
    }
}

fn ready(status: &str) -> String {
    format!("READY=1\nMAINPID={}\n{status}", std::process::id()).trim_end().to_owned()
}

fn begin(address: SocketAddr, troubles: Troubles) -> io::Result<Worker<String>> {
    let socket = UnixDatagram::unbound()?;
    let mut failures = 0;
    Ok(Worker::new("notify", MOST_WAITING, move |message: String| {
        if let Err(error) = socket.send_to_addr(message.as_bytes(), &address) {
            failures += 1;
            if failures == 1 {
                is_deaf(&troubles, &error);
            }
        }
    }))
}

fn is_deaf(troubles: &Troubles, error: &io::Error) {
    let words = format!("the service manager at NOTIFY_SOCKET cannot be told anything: {error}");
    troubles.tell("service_manager", error.to_string(), words);
}

/// It is not fed while a hung command is brought to its end.
fn warn_of_short_watchdog(policy: &Policy, troubles: &Troubles) {
    let Some(watchdog) = feeding_interval().map(|interval| interval * 2) else { return };
    let first = match policy.on_hang {
        OnHang::Stop => Duration::ZERO,
        OnHang::Signal { grace_period } => grace_period,
    };
    let needed = first.saturating_add(policy.grace_period);
    if watchdog <= needed {
        let (watchdog, needed) = (Seconds(watchdog), Seconds(needed));
        let error =
            format!("its watchdog of {watchdog} is not longer than the {needed} that a hung command may take to leave");
        let words = format!("the service manager may end the supervisor in a hang: {error}; raise WatchdogSec=");
        troubles.tell("service_manager", error, words);
    }
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
