//! Looks at the heartbeat file: did it change, and when?

use super::file_status::{self, FileStatus};
use super::rights::Rights;
use crate::clock::{Clock, Reading, nanos, stamp_lag};
use crate::notice::HeartbeatFound;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use supervisor_core::{Instant, Observation};

/// The wall clock and the monotonic clock agree on an interval if they differ by no more than this many nanoseconds.
const AGREEMENT: u128 = 1_000_000;

/// The heartbeat file of one run after another.
pub(crate) struct Heartbeat<C> {
    path: PathBuf,
    clock: C,
    last_look: Reading,
    /// The file as it was last seen. A file that is gone since is no heartbeat, nor is its absence.
    last_seen: Option<FileStatus>,
    hiding: Hiding,
}

/// Whether a heartbeat may be hidden, since its stamp is the same as that of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hiding {
    /// It would have another stamp, or there was no heartbeat in this run.
    Impossible,
    /// The last one is stamped in whole seconds. Others may have the same stamp until then, by the wall clock.
    Possible { until: i128 },
}

/// The coarsest stamps, those of FAT, have two seconds.
const COARSEST_STAMP: i128 = 2_000_000_000;

/// What a look finds.
#[derive(Debug)]
pub(crate) struct Look {
    pub observation: Observation,
    pub found: Found,
    /// To make a heartbeat, where none came.
    pub rights: Option<Rights>,
}

/// The file at the moment of a look.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is there, with stamps of this precision.
    File(Precision),
    /// It is not, but its folder changed a moment ago: a command that removes it and makes it anew may be in between.
    JustGone,
    /// It is not, or cannot be looked at.
    Nothing(HeartbeatFound),
}

/// A file that is removed to be made anew is there again within this time, or is not waited for.
pub(crate) const GAP: Duration = Duration::from_millis(100);

/// Of time stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Fine,
    Seconds,
}

impl<C: Clock> Heartbeat<C> {
    pub fn new(path: PathBuf, clock: C) -> Heartbeat<C> {
        let last_look = clock.read();
        Heartbeat { path, clock, last_look, last_seen: None, hiding: Hiding::Impossible }
    }

    /// Takes the file as it is before a start: what is there now is no heartbeat of the new run.
    pub fn begin(&mut self) -> Look {
        let (seen, found) = self.see();
        self.last_seen = seen;
        self.hiding = Hiding::Impossible;
        self.last_look = self.clock.read();
        self.clock.was_stepped();
        Look { observation: Observation::Unchanged, found, rights: None }
    }

    /// Compares the file with how it was at the last look.
    pub fn look(&mut self) -> Look {
        let (seen, found) = self.see();
        let look = self.clock.read();
        let was_stepped = self.clock.was_stepped();
        let observation = match seen {
            Some(file) if Some(file) != self.last_seen => {
                let is_dated = !was_stepped && !self.was_switched(&file);
                self.last_seen = Some(file);
                self.hiding = if file.is_stamped_in_seconds() {
                    Hiding::Possible { until: nanos(file.changed) + COARSEST_STAMP + stamp_lag() }
                } else {
                    Hiding::Impossible
                };
                let moment = is_dated.then(|| self.moment_of(file, look)).flatten();
                moment.map_or(Observation::ChangedSometime, |at| Observation::Changed { at })
            }
            Some(_) => self.hidden(look),
            None => Observation::Unchanged,
        };
        self.last_look = look;
        let found = match found {
            Found::Nothing(HeartbeatFound::NoFile) if self.has_folder_just_changed(look) => Found::JustGone,
            found => found,
        };
        let rights = match observation {
            Observation::Unchanged => Rights::of(&self.path).ok(),
            Observation::Changed { .. } | Observation::ChangedSometime => None,
        };
        Look { observation, found, rights }
    }

    fn see(&self) -> (Option<FileStatus>, Found) {
        match file_status::file_status(&self.path) {
            Ok(file) if file.is_stamped_in_seconds() => (Some(file), Found::File(Precision::Seconds)),
            Ok(file) => (Some(file), Found::File(Precision::Fine)),
            Err(error) => (None, Found::Nothing(self.explain(error))),
        }
    }

    /// A file that is not there may come yet, but not without a folder.
    fn explain(&self, error: io::Error) -> HeartbeatFound {
        let has_folder = || self.path.parent().is_none_or(Path::is_dir);
        match error.kind() {
            io::ErrorKind::NotFound if has_folder() => HeartbeatFound::NoFile,
            io::ErrorKind::NotFound => HeartbeatFound::NoFolder,
            _ => HeartbeatFound::Unreadable { error },
        }
    }

    fn has_folder_just_changed(&self, look: Reading) -> bool {
        let changed = self.path.parent().map(file_status::folder_changed);
        let age = |changed| Some(Duration::from_nanos(u64::try_from(look.wall - nanos(changed)).ok()?));
        changed.and_then(Result::ok).and_then(age).is_some_and(|age| age < GAP)
    }

    /// Whether the path may lead to another file than at the last look because a link on it was switched: the stamps of
    /// that file may be older than the switch.
    fn was_switched(&self, file: &FileStatus) -> bool {
        let is_same_file = self.last_seen.is_some_and(|last| last.is_same_file(file));
        !is_same_file && std::fs::canonicalize(&self.path).ok().as_ref() != Some(&self.path)
    }

    /// What may have become of a file that looks as it did at the last look: heartbeats may be hidden until their stamps
    /// would tell.
    fn hidden(&mut self, look: Reading) -> Observation {
        let Hiding::Possible { until } = self.hiding else { return Observation::Unchanged };
        if until > look.wall && until - look.wall <= COARSEST_STAMP + stamp_lag() {
            return Observation::ChangedSometime;
        }
        self.hiding = Hiding::Impossible;
        if until <= self.last_look.wall {
            return Observation::Unchanged;
        }
        self.at(until, look).map_or(Observation::ChangedSometime, |at| Observation::Changed { at })
    }

    /// When the change was made, at the latest, where its stamp can be believed: it lies between the two looks, the
    /// clocks agree on the length of that interval, the file system uses the clock of this machine, and stamps finer
    /// than seconds.
    ///
    /// The stamp is the status change time: unlike the modification time, no program can set it.
    fn moment_of(&self, file: FileStatus, look: Reading) -> Option<Instant> {
        let stamp = nanos(file.changed);
        let lag = stamp_lag();
        let in_interval = (self.last_look.wall - lag..=look.wall).contains(&stamp);
        let is_fine = file.changed.tv_nsec != 0;
        if !(in_interval && is_fine && file_status::is_stamped_by_this_machine(&self.path)) {
            return None;
        }
        self.at((stamp + lag).min(look.wall), look)
    }

    /// A moment of the wall clock before this look, where the clocks agree on the interval since the last one.
    fn at(&self, wall: i128, look: Reading) -> Option<Instant> {
        let wall_interval = look.wall - self.last_look.wall;
        let interval = (look.monotonic - self.last_look.monotonic).as_nanos();
        let clocks_agree = wall_interval.abs_diff(interval as i128) <= AGREEMENT;
        let age = Duration::from_nanos(u64::try_from(look.wall - wall).ok()?);
        clocks_agree.then(|| Instant::from_origin(look.monotonic.since_origin().saturating_sub(age)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use std::cell::Cell;
    use std::fs;
    use std::rc::Rc;

    /// The system's clocks, with a wall clock that can be stepped.
    #[derive(Clone, Default)]
    struct SteppedClock {
        step: Rc<Cell<i128>>,
        steps: Rc<Cell<u32>>,
        seen: u32,
    }

    impl SteppedClock {
        fn step(&self, by: i128) {
            self.step.set(self.step.get() + by);
            self.steps.set(self.steps.get() + 1);
        }
    }

    impl Clock for SteppedClock {
        fn read(&self) -> Reading {
            let reading = SystemClock::new().read();
            Reading { wall: reading.wall + self.step.get(), ..reading }
        }

        fn was_stepped(&mut self) -> bool {
            std::mem::replace(&mut self.seen, self.steps.get()) != self.steps.get()
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
            self.heartbeat.begin();
        }

        fn look(&mut self) -> Observation {
            self.heartbeat.look().observation
        }

        /// Makes the path a link to that file, as one step.
        fn switch_to(&self, file: &Path) {
            let link = self.path.with_extension("link");
            std::os::unix::fs::symlink(file, &link).unwrap();
            fs::rename(&link, &self.path).unwrap();
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
        // Longer than a stamp may lie before the change.
        while f.clock.read().monotonic - after < lag() * 2 {}
        let Observation::Changed { at } = f.look() else { panic!("no believable heartbeat") };
        // Never early: a hang is counted from no earlier than the heartbeat.
        assert!(at >= before, "{at:?} is before {before:?}");
        assert!(at <= after + lag(), "{at:?} is long after {after:?}");
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
            assert!(at >= before);
        }
    }

    /// As on a file system of another machine that is not known for one.
    #[test]
    fn stamps_of_another_clock_are_not_believed() {
        for ahead in [-3_600_000_000_000, 3_600_000_000_000] {
            let mut f = fixture();
            f.clock.step.set(ahead);
            f.begin();
            f.beat();
            assert_eq!(f.look(), Observation::ChangedSometime, "ours is {ahead} ns ahead");
        }
    }

    #[test]
    fn after_a_step_of_the_wall_clock_no_stamp_is_believed() {
        for step in [-3_600_000_000_000, -5_000_000, 5_000_000, 3_600_000_000_000] {
            let mut f = fixture();
            f.begin();
            f.beat();
            f.clock.step(step);
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
    fn a_wall_clock_that_steps_there_and_back_dates_nothing() {
        let mut f = fixture();
        f.begin();
        f.clock.step(-3_600_000_000_000);
        f.beat();
        f.clock.step(3_600_000_000_000);
        assert_eq!(f.look(), Observation::ChangedSometime);
        f.beat();
        assert!(matches!(f.look(), Observation::Changed { .. }));
    }

    #[test]
    fn what_cannot_be_looked_at_is_silent_and_explained() {
        let mut f = fixture();
        f.begin();
        assert!(matches!(f.heartbeat.look().found, Found::JustGone), "its folder was just made");
        let before_the_gap = std::time::SystemTime::now() - GAP;
        fs::File::open(f.path.parent().unwrap()).unwrap().set_modified(before_the_gap).unwrap();
        assert!(matches!(f.heartbeat.look().found, Found::Nothing(HeartbeatFound::NoFile)));
        std::os::unix::fs::symlink("heartbeat.txt", &f.path).unwrap();
        let Look { observation, found, .. } = f.heartbeat.look();
        assert_eq!(observation, Observation::Unchanged);
        assert!(matches!(found, Found::Nothing(HeartbeatFound::Unreadable { .. })), "{found:?}");
        fs::remove_file(&f.path).unwrap();
        f.beat();
        assert!(matches!(f.heartbeat.look().found, Found::File(Precision::Fine)));
        fs::remove_dir_all(f.path.parent().unwrap()).unwrap();
        assert!(matches!(f.heartbeat.look().found, Found::Nothing(HeartbeatFound::NoFolder)));
    }

    /// Where stamps have whole seconds, a heartbeat may leave the file as it was.
    #[test]
    fn what_coarse_stamps_may_hide_is_a_heartbeat_until_they_would_tell() {
        let mut f = fixture();
        f.begin();
        let look = f.clock.read();
        f.heartbeat.last_look = look;
        let mut hidden = |until| {
            f.heartbeat.hiding = Hiding::Possible { until };
            (f.heartbeat.hidden(look), f.heartbeat.hiding)
        };
        let latest = look.wall + COARSEST_STAMP + stamp_lag();
        assert_eq!(hidden(latest), (Observation::ChangedSometime, Hiding::Possible { until: latest }));
        assert_eq!(hidden(look.wall), (Observation::Unchanged, Hiding::Impossible), "that is over");
        assert_eq!(hidden(latest + 1), (Observation::ChangedSometime, Hiding::Impossible), "the clock was set back");
    }

    /// The stamp lies between the two looks, but it is that of the file, and not of the switch.
    #[test]
    fn a_link_that_is_switched_is_a_heartbeat_of_unknown_time() {
        let mut f = fixture();
        let (one, two) = (f.path.with_extension("1"), f.path.with_extension("2"));
        fs::write(&one, "").unwrap();
        f.switch_to(&one);
        f.heartbeat.begin();
        fs::write(&two, "").unwrap();
        f.switch_to(&two);
        assert_eq!(f.heartbeat.look().observation, Observation::ChangedSometime);
    }

    /// A stamp from before the last look is not that of the change.
    #[test]
    fn a_link_to_an_older_file_is_a_heartbeat_of_unknown_time() {
        let mut f = fixture();
        let older = f.path.with_extension("older");
        fs::write(&older, "").unwrap();
        let begun = f.clock.read().monotonic;
        while f.clock.read().monotonic - begun < lag() * 2 {}
        f.begin();
        std::os::unix::fs::symlink(&older, &f.path).unwrap();
        assert_eq!(f.look(), Observation::ChangedSometime);
    }

    #[test]
    fn a_link_that_is_switched_there_and_back_is_a_heartbeat_of_unknown_time() {
        let mut f = fixture();
        let (one, two) = (f.path.with_extension("1"), f.path.with_extension("2"));
        [&one, &two].into_iter().for_each(|file| fs::write(file, "").unwrap());
        f.switch_to(&one);
        f.heartbeat.begin();
        f.wait_for_a_tick();
        f.switch_to(&two);
        f.beat();
        f.switch_to(&one);
        assert_eq!(f.heartbeat.look().observation, Observation::ChangedSometime);
        assert_eq!(f.heartbeat.look().observation, Observation::Unchanged);
    }

    /// As on a file system with stamps of whole seconds, where two heartbeats in one second look alike.
    #[test]
    fn what_a_coarse_stamp_may_hide_is_a_heartbeat() {
        let mut f = fixture();
        f.begin();
        let look = |monotonic: u64, wall: i128| Reading {
            monotonic: Instant::from_origin(Duration::from_millis(monotonic)),
            wall: wall * 1_000_000,
        };
        assert_eq!(f.heartbeat.hidden(look(500, 10_500)), Observation::Unchanged, "no heartbeat yet");
        let until = 12_000_000_000;
        (f.heartbeat.hiding, f.heartbeat.last_look) = (Hiding::Possible { until }, look(500, 10_500));
        assert_eq!(f.heartbeat.hidden(look(1500, 11_500)), Observation::ChangedSometime);
        f.heartbeat.last_look = look(1500, 11_500);
        let at = Instant::from_origin(Duration::from_millis(2000));
        assert_eq!(f.heartbeat.hidden(look(3500, 13_500)), Observation::Changed { at });
        assert_eq!(f.heartbeat.hidden(look(3500, 13_500)), Observation::Unchanged, "once");
        // A clock that was set back must not hide a hang for ever.
        (f.heartbeat.hiding, f.heartbeat.last_look) = (Hiding::Possible { until }, look(500, 10_500));
        assert_eq!(f.heartbeat.hidden(look(1500, 1_500)), Observation::ChangedSometime);
        f.heartbeat.last_look = look(1500, 1_500);
        assert_eq!(f.heartbeat.hidden(look(2500, 2_500)), Observation::Unchanged);
        // All was told before.
        (f.heartbeat.hiding, f.heartbeat.last_look) = (Hiding::Possible { until }, look(2500, 12_500));
        assert_eq!(f.heartbeat.hidden(look(3500, 13_500)), Observation::Unchanged);
    }

    fn lag() -> Duration {
        Duration::from_nanos(stamp_lag() as u64)
    }

    #[test]
    fn a_link_that_leads_to_the_same_file_dates_its_heartbeats() {
        let mut f = fixture();
        let file = f.path.with_extension("1");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &f.path).unwrap();
        f.begin();
        f.wait_for_a_tick();
        f.beat();
        assert!(matches!(f.look(), Observation::Changed { .. }));
    }
}
