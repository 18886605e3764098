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
use supervisor_core::{Notice, OnHang, Phase, RunId};

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
                warn_of_short_watchdog(settings, troubles);
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
    let words = format!("the supervisor cannot tell anything to the service manager at NOTIFY_SOCKET: {error}");
    troubles.tell("service_manager", error.to_string(), words);
}

/// It is not fed while a hung command is brought to its end.
fn warn_of_short_watchdog(settings: &Settings, troubles: &Troubles) {
    let Some(watchdog) = settings.backend.tick.map(|interval| interval * 2) else { return };
    let policy = &settings.policy;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::machine;
    use log::Level;
    use supervisor_core::{Instant, LastBeat, Main, Outcome, Supervisor};

    const RUNNING: Phase = Phase::Running { pid: 7, last_beat: LastBeat::Start(Instant::ORIGIN) };

    struct Scene {
        _folder: tempfile::TempDir,
        above: UnixDatagram,
        manager: ServiceManager,
    }

    impl Scene {
        fn new(readiness: Readiness) -> Scene {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            let above = UnixDatagram::bind(&path).unwrap();
            above.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let messages = begin(parse(path.as_os_str()).unwrap(), Troubles::channel().0).unwrap();
            Scene { _folder: folder, above, manager: ServiceManager { messages, readiness, known: None } }
        }

        fn take(&mut self, content: Content, run: u64, phase: Phase) {
            let standing = Standing { run: RunId(run), phase, restarts: 1, ..Standing::FIRST };
            self.manager.record(&Record::new(Level::Info, content, String::new()), &standing);
        }

        /// The next message that the manager gets.
        fn told(&self) -> String {
            let mut bytes = [0; 256];
            let length = self.above.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        }
    }

    fn some_notice() -> Content {
        machine(Notice::StoppingInstead { run: RunId(1) })
    }

    fn ready_notice() -> Content {
        machine(Notice::Ready { run: RunId(1), pid: 7 })
    }

    fn tick() -> Content {
        Content::Backend(UnixNotice::Tick {})
    }

    #[test]
    fn each_phase_is_told_once() {
        let mut scene = Scene::new(Readiness::Message);
        let until = Instant::ORIGIN;
        let table = [
            (Phase::Starting, "STATUS=run 1: starting"),
            (RUNNING, "STATUS=run 1, pid 7: not ready yet"),
            (Phase::Hung(Main::Left), "STATUS=run 1: hung"),
            (Phase::Restarting(Main::Left), "STATUS=run 1: to be started again"),
            (Phase::Clearing, "STATUS=run 1: has ended"),
            (Phase::BackingOff { until }, "STATUS=run 1: has ended; restart 2 comes after 0 s"),
            (Phase::Stopping(Main::Left), "STOPPING=1\nSTATUS=run 1: stopping"),
            (Phase::Done(Outcome::Stopped), "STOPPING=1"),
        ];
        for (phase, words) in table {
            scene.take(some_notice(), 1, phase);
            scene.take(some_notice(), 1, phase);
            assert_eq!(scene.told(), words);
        }
        scene.take(some_notice(), 2, Phase::Done(Outcome::Stopped));
        assert_eq!(scene.told(), "STOPPING=1", "of another run");
    }

    #[test]
    fn a_service_is_ready_when_it_is_started_or_when_it_says_so() {
        let ready = format!("READY=1\nMAINPID={}", std::process::id());
        let mut scene = Scene::new(Readiness::Start);
        scene.take(some_notice(), 1, RUNNING);
        assert_eq!(scene.told(), format!("{ready}\nSTATUS=run 1, pid 7"));
        scene.take(ready_notice(), 1, RUNNING);
        scene.take(tick(), 1, RUNNING);
        assert_eq!(scene.told(), "WATCHDOG=1", "it is ready already");

        let mut scene = Scene::new(Readiness::Message);
        scene.take(ready_notice(), 1, RUNNING);
        assert_eq!(scene.told(), "STATUS=run 1, pid 7: not ready yet");
        assert_eq!(scene.told(), ready);
        scene.take(Content::Backend(UnixNotice::Status { text: "up".to_owned() }), 1, RUNNING);
        assert_eq!(scene.told(), "STATUS=up");
    }

    #[test]
    fn a_hang_feeds_no_watchdog() {
        let mut scene = Scene::new(Readiness::Start);
        scene.take(tick(), 1, Phase::Hung(Main::Left));
        scene.take(tick(), 1, Phase::Clearing);
        assert_eq!(scene.told(), "WATCHDOG=1");
        scene.take(Content::Backend(UnixNotice::Status { text: "up".to_owned() }), 1, Phase::Hung(Main::Left));
        assert_eq!(scene.told(), "STATUS=up");
    }

    /// The manager does not read, so that nothing of this has been sent when the next message comes.
    #[test]
    fn of_what_tells_the_present_the_latest_is_enough() {
        let (sent, messages) = std::sync::mpsc::channel();
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (begun, first) = std::sync::mpsc::channel();
        let worker = Worker::new("test", MOST_WAITING, move |message: String| {
            begun.send(()).unwrap();
            gate.recv().unwrap();
            sent.send(message).unwrap();
        });
        let manager = ServiceManager { messages: worker, readiness: Readiness::Start, known: None };
        manager.say("STATUS=0".to_owned());
        first.recv().unwrap();
        let said =
            ["STATUS=1", "WATCHDOG=1", "READY=1\nSTATUS=x", "STATUS=2", "WATCHDOG=1", "STOPPING=1", "STATUS=3\nX=1"];
        said.into_iter().for_each(|message| manager.say(message.to_owned()));
        let expected = ["STATUS=0", "READY=1\nSTATUS=x", "STATUS=2", "WATCHDOG=1", "STOPPING=1", "STATUS=3\nX=1"];
        (0..expected.len()).for_each(|_| go.send(()).unwrap());
        let told: Vec<_> = (0..expected.len()).map(|_| messages.recv().unwrap()).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_watchdog_that_would_end_the_supervisor_in_a_hang_is_told_of() {
        let words = |tick: Option<u64>, options: &[&str]| {
            let mut settings = crate::options::settings_of(options);
            settings.backend.tick = tick.map(Duration::from_secs);
            let (troubles, told) = Troubles::channel();
            warn_of_short_watchdog(&settings, &troubles);
            told.try_iter().map(|record| record.words).collect::<String>()
        };
        let short = "its watchdog of 10 s is not longer than the 10 s that a hung command may take to leave";
        assert!(words(Some(5), &["--grace-period", "10"]).contains(short));
        let signal = ["--grace-period", "6", "--hang-signal", "QUIT", "--hang-grace-period", "4"];
        assert!(words(Some(5), &signal).contains(short));
        assert!(words(Some(5), &["--grace-period", "9"]).is_empty() && words(None, &signal).is_empty());
    }

    #[test]
    fn one_that_cannot_be_told_anything_is_told_of_once() {
        let (troubles, told) = Troubles::channel();
        let worker = begin(parse(OsStr::new("/no/such/socket")).unwrap(), troubles).unwrap();
        (0..3).for_each(|_| worker.put("READY=1".to_owned()));
        worker.flush(Duration::from_secs(60));
        let told: Vec<_> = told.try_iter().map(|record| record.words).collect();
        assert!(told.len() == 1 && told[0].contains("cannot tell anything"), "{told:?}");
    }

    #[test]
    fn an_address_is_a_path_or_an_abstract_name() {
        let parsed = |text: &str| parse(OsStr::new(text));
        assert_eq!(parsed("/run/notify").unwrap().as_pathname(), Some(std::path::Path::new("/run/notify")));
        assert_eq!(parsed("@name").unwrap().as_abstract_name(), Some(&b"name"[..]));
        assert_eq!(parsed("vsock:2:1234").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_machine_begins_as_the_manager_expects() {
        let (supervisor, _) = Supervisor::start(supervisor_core::Policy::default());
        assert_eq!(supervisor.phase(), Standing::FIRST.phase);
    }
}
