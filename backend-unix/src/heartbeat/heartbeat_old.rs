//! Looks at the heartbeat file: did it change, and when?

use crate::clock::{Clock, Reading, nanos};
use crate::linux::{self, FileStatus};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use supervisor_core::{Instant, Observation};

/// A file stamp comes from a coarse clock: it may lie this long before the moment of the change.
/// Ten milliseconds is the tick of the slowest kernel (`CONFIG_HZ=100`).
const TICK: i128 = 10_000_000;

/// The wall clock and the monotonic clock agree on an interval if they differ by no more than this.
const AGREEMENT: u128 = 1_000_000;

/// The heartbeat file of one run after another.
pub(crate) struct Heartbeat<C> {
    path: PathBuf,
    clock: C,
    last_look: Reading,
    /// The file as it was last seen. A file that is gone since is no heartbeat, nor is its absence.
    last_seen: Option<FileStatus>,
    access: Access,
}

#[derive(PartialEq)]
enum Access {
    Good,
    Failing,
}

impl<C: Clock> Heartbeat<C> {
    pub fn new(path: PathBuf, clock: C) -> Heartbeat<C> {
        let last_look = clock.read();
        Heartbeat { path, clock, last_look, last_seen: None, access: Access::Good }
    }

    /// Takes the file as it is before a start: what is there now is no heartbeat of the new run.
    pub fn begin(&mut self, on_error: impl FnOnce(io::Error)) {
        self.last_seen = self.see(on_error);
        self.last_look = self.clock.read();
    }

    /// Compares the file with how it was at the last look. Calls `on_error` if the file has become unreadable.
    pub fn look(&mut self, on_error: impl FnOnce(io::Error)) -> Observation {
        let seen = self.see(on_error);
        let look = self.clock.read();
        let observation = match seen {
            Some(file) if Some(file) != self.last_seen => {
                self.last_seen = Some(file);
                match self.moment_of(file, look) {
                    Some(at) => Observation::Changed { at },
                    None => Observation::ChangedSometime,
                }
            }
            Some(_) | None => Observation::Unchanged,
        };
        self.last_look = look;
        observation
    }

    fn see(&mut self, on_error: impl FnOnce(io::Error)) -> Option<FileStatus> {
        let result = linux::file_status(&self.path);
        let access = match &result {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_directory() => Access::Good,
            Err(_) => Access::Failing,
            Ok(_) => Access::Good,
        };
        let newly_failing = access == Access::Failing && self.access == Access::Good;
        self.access = access;
        result
            .map_err(|error| {
                if newly_failing {
                    on_error(error)
                }
            })
            .ok()
    }

    /// A file that is not there may come yet, but not without a directory.
    fn has_directory(&self) -> bool {
        self.path.parent().is_none_or(|directory| directory.is_dir())
    }

    /// When the change was made, where its stamp can be believed: it lies between the two looks, the clocks agree on
    /// the length of that interval, the file system uses the clock of this machine, and stamps finer than seconds.
    ///
    /// The stamp is the status change time: unlike the modification time, no program can set it.
    fn moment_of(&self, file: FileStatus, look: Reading) -> Option<Instant> {
        let stamp = nanos(file.changed);
        let wall_interval = look.wall - self.last_look.wall;
        let interval = (look.monotonic - self.last_look.monotonic).as_nanos();
        let clocks_agree = wall_interval.abs_diff(interval as i128) <= AGREEMENT;
        let in_interval = (self.last_look.wall - TICK..=look.wall).contains(&stamp);
        let fine = file.changed.tv_nsec != 0;
        if !(clocks_agree && in_interval && fine && linux::is_stamped_by_this_machine(&self.path)) {
            return None;
        }
        let age = Duration::from_nanos(u64::try_from(look.wall - stamp).ok()?);
        Some(Instant::from_origin(look.monotonic.since_origin().saturating_sub(age)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs;
    use std::rc::Rc;

    /// The system's clocks, with a wall clock that can be stepped.
    #[derive(Clone, Default)]
    struct SteppedClock {
        step: Rc<Cell<i128>>,
    }

    impl Clock for SteppedClock {
        fn read(&self) -> Reading {
            let reading = crate::clock::SystemClock.read();
            Reading { wall: reading.wall + self.step.get(), ..reading }
        }
    }

    struct Fixture {
        _folder: tempfile::TempDir,
        path: PathBuf,
        clock: SteppedClock,
        heartbeat: Heartbeat<SteppedClock>,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartbeat.txt");
        let clock = SteppedClock::default();
        let heartbeat = Heartbeat::new(path.clone(), clock.clone());
        Fixture { _folder: folder, path, clock, heartbeat }
    }

    impl Fixture {
        fn beat(&self) {
            fs::write(&self.path, "beat").unwrap();
        }

        fn begin(&mut self) {
            self.heartbeat.begin(|error| panic!("{error}"));
        }

        fn look(&mut self) -> Observation {
            self.heartbeat.look(|error| panic!("{error}"))
        }

        /// The clock that stamps files ticks slowly; waits until it has ticked.
        fn wait_for_a_tick(&self) {
            let stamp = || {
                let probe = self.path.with_extension("probe");
                fs::write(&probe, "").unwrap();
                fs::metadata(&probe).unwrap().modified().unwrap()
            };
            let before = stamp();
            while stamp() == before {}
        }
    }

    #[test]
    fn a_file_left_from_before_is_no_heartbeat() {
        let mut f = fixture();
        f.beat();
        f.begin();
        assert_eq!(f.look(), Observation::Unchanged);
    }

    #[test]
    fn a_heartbeat_is_dated_by_its_stamp() {
        let mut f = fixture();
        f.begin();
        let before = f.clock.read().monotonic;
        f.beat();
        let after = f.clock.read().monotonic;
        f.wait_for_a_tick();
        // Longer than the clocks may disagree.
        while f.clock.read().monotonic - after < Duration::from_millis(2) {}
        let Observation::Changed { at } = f.look() else { panic!("no believable heartbeat") };
        assert!(at + Duration::from_nanos(TICK as u64) >= before, "{at:?} is long before {before:?}");
        assert!(at <= after, "{at:?} is after {after:?}");
        assert_eq!(f.look(), Observation::Unchanged);
    }

    #[test]
    fn a_touch_that_keeps_the_modification_time_is_a_heartbeat() {
        let mut f = fixture();
        f.beat();
        f.begin();
        f.wait_for_a_tick();
        let file = fs::File::options().write(true).open(&f.path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified).unwrap();
        assert!(matches!(f.look(), Observation::Changed { .. }));
    }

    #[test]
    fn a_false_modification_time_deceives_nobody() {
        let (now, hour) = (std::time::SystemTime::now(), Duration::from_secs(3600));
        for lie in [now - hour, now + hour] {
            let mut f = fixture();
            f.begin();
            let before = f.clock.read().monotonic;
            f.beat();
            let file = fs::File::options().write(true).open(&f.path).unwrap();
            file.set_modified(lie).unwrap();
            let Observation::Changed { at } = f.look() else { panic!("no believable heartbeat") };
            assert!(at + Duration::from_nanos(TICK as u64) >= before);
        }
    }

    #[test]
    fn after_a_step_of_the_wall_clock_no_stamp_is_believed() {
        for step in [-3_600_000_000_000, -5_000_000, 5_000_000, 3_600_000_000_000] {
            let mut f = fixture();
            f.begin();
            f.beat();
            f.clock.step.set(step);
            assert_eq!(f.look(), Observation::ChangedSometime, "step of {step} ns");
        }
    }

    #[test]
    fn a_replaced_file_is_a_heartbeat_and_a_deleted_one_is_none() {
        let mut f = fixture();
        f.beat();
        f.begin();
        fs::remove_file(&f.path).unwrap();
        assert_eq!(f.look(), Observation::Unchanged);
        let other = f.path.with_extension("new");
        fs::write(&other, "beat").unwrap();
        fs::rename(&other, &f.path).unwrap();
        assert!(matches!(f.look(), Observation::Changed { .. }));
    }

    #[test]
    fn what_cannot_be_looked_at_is_silent_and_told_once() {
        let mut f = fixture();
        f.begin();
        std::os::unix::fs::symlink("heartbeat.txt", &f.path).unwrap();
        let told = Cell::new(0);
        for _ in 0..3 {
            assert_eq!(f.heartbeat.look(|_| told.set(told.get() + 1)), Observation::Unchanged);
        }
        assert_eq!(told.get(), 1);
        fs::remove_file(&f.path).unwrap();
        f.beat();
        assert!(matches!(f.look(), Observation::Changed { .. }));
    }

    /// A stamp from before the last look is not that of the change.
    #[test]
    fn a_link_to_an_older_file_is_a_heartbeat_of_unknown_time() {
        let mut f = fixture();
        let older = f.path.with_extension("older");
        fs::write(&older, "").unwrap();
        let begun = f.clock.read().monotonic;
        while f.clock.read().monotonic - begun < Duration::from_nanos(2 * TICK as u64) {}
        f.begin();
        std::os::unix::fs::symlink(&older, &f.path).unwrap();
        assert_eq!(f.look(), Observation::ChangedSometime);
    }
}
