//! Speaks the sd_notify protocol by the crate sd-notify: is ready, beats for two seconds if it is watched for one, and
//! hangs then.

use sd_notify::NotifyState;
use std::thread::sleep;
use std::time::Duration;

fn main() {
    let watched = sd_notify::watchdog_enabled().expect("somebody watches");
    assert_eq!(watched, Duration::from_secs(1));
    let tell = |state| sd_notify::notify(&[state]).expect("somebody listens");
    tell(NotifyState::Ready);
    tell(NotifyState::Status("a second of watchdog"));
    for _ in 0..20 {
        tell(NotifyState::Watchdog);
        sleep(watched / 10);
    }
    loop {
        sleep(Duration::from_secs(1000));
    }
}
