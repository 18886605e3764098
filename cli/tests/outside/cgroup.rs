//! In a control group of its own, cgroups(7): one that is frozen, and one that has too little memory.

use crate::support::{Place, Supervised, is_alive, skipped, start_disturbed, wait_for_file, wait_until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A group that goes with its test.
struct Group(PathBuf);

impl Group {
    /// One in the first of these hierarchies where such a file makes it useful and a process becomes a member, who
    /// finds it by the path that the kernel tells. None where none can be made.
    fn with(hierarchies: &[&str], file: &str, place: &Place) -> Option<Group> {
        let name = format!("supervisor-test{}", place.path("").file_name().unwrap().display());
        let made = hierarchies.iter().map(|hierarchy| Group(Path::new(hierarchy).join(&name)));
        let mut made = made.filter(|group| std::fs::create_dir(&group.0).is_ok());
        let group = made.find(|group| group.0.join(file).exists() && group.is_found_by_members(&name));
        if group.is_none() {
            skipped(&format!("no control group with {file} can be used here"));
        }
        group
    }

    fn is_found_by_members(&self, name: &str) -> bool {
        let trial = format!("echo 0 > {} && cat /proc/self/cgroup", self.members());
        let told = Command::new("sh").args(["-c", &trial]).output().unwrap();
        String::from_utf8_lossy(&told.stdout).lines().any(|line| line.ends_with(&format!(":/{name}")))
    }

    fn set(&self, file: &str, value: &str) {
        std::fs::write(self.0.join(file), value).unwrap();
    }

    /// Where a process becomes a member by writing 0.
    fn members(&self) -> String {
        self.0.join("cgroup.procs").display().to_string()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last member may still be about to end.
        let begun = Instant::now();
        while std::fs::remove_dir(&self.0).is_err() && self.0.exists() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// One that can be frozen.
struct Freezer {
    group: Group,
    file: &'static str,
    values: [&'static str; 2],
}

impl Freezer {
    /// Of version 2: what it freezes can be killed.
    fn of_version_2(place: &Place) -> Option<Freezer> {
        let (file, hierarchies) = ("cgroup.freeze", ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]);
        Some(Freezer { group: Group::with(&hierarchies, file, place)?, file, values: ["1", "0"] })
    }

    /// Where a supervisor looks whether its command is frozen.
    fn new(place: &Place) -> Option<Freezer> {
        let of_version_1 = "/sys/fs/cgroup/freezer";
        if !Path::new(of_version_1).exists() {
            return Freezer::of_version_2(place);
        }
        let file = "freezer.state";
        Some(Freezer { group: Group::with(&[of_version_1], file, place)?, file, values: ["FROZEN", "THAWED"] })
    }

    fn freeze(&self) {
        self.group.set(self.file, self.values[0]);
    }

    fn thaw(&self) {
        self.group.set(self.file, self.values[1]);
    }
}

/// What is frozen can end only once it is not.
impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = std::fs::write(self.group.0.join(self.file), self.values[1]);
    }
}

#[test]
fn the_autopsy_of_a_frozen_command_says_that_it_is() {
    let place = Place::new();
    let Some(freezer) = Freezer::new(&place) else { return };
    // It hangs because it is frozen.
    let beats = "while :; do echo > heartbeat.txt; echo > ready; sleep 0.1; done";
    let script = format!("echo 0 > {}; {beats}", freezer.group.members());
    let mut supervised = place.start(&["--timeout", "8", "--grace-period", "1000", "--max-restarts", "0"], &script);
    wait_for_file(&place.path("ready"));
    freezer.freeze();
    supervised.wait_for_line("autopsy: the cgroup of the command is frozen: none of its processes can run");
    freezer.thaw();
    let end = supervised.end();
    end.assert_code(124);
    end.assert_tells(&["hung", "frozen", "sent SIGTERM", "was killed by SIGTERM"]);
}

#[test]
fn the_autopsy_of_one_that_is_not_does_not() {
    let place = Place::new();
    let end = place.run(&["--timeout", "0.5", "--max-restarts", "0"], "exec sleep 1000");
    end.assert_tells(&["autopsy: pid"]);
    assert_eq!(end.count("autopsy: the cgroup of the command is frozen"), 0, "{}", end.log);
}

/// A keeper that is frozen takes no orders: what it kept is ended by the supervisor.
#[test]
fn a_probe_whose_keeper_is_frozen_is_ended_and_others_follow() {
    let place = Place::new();
    let Some(freezer) = Freezer::of_version_2(&place) else { return };
    let probe = place.script("probe", "[ -e pid ] && { echo > next; exit 0; }; echo $$ > pid; exec sleep 1000");
    let options = ["--probe", probe.to_str().unwrap(), "--timeout", "10", "--probe-interval", "0.1"];
    let mut supervised = place.start(&options, "while :; do echo > heartbeat.txt; sleep 0.1; done");
    let pid: i32 = wait_for_file(&place.path("pid")).parse().unwrap();
    freezer.group.set("cgroup.procs", &crate::support::parent_of(pid).to_string());
    freezer.freeze();
    supervised.wait_for_line("does not take orders: a debugger or a frozen cgroup holds it");
    wait_until("the probe is gone", || !is_alive(pid));
    wait_for_file(&place.path("next"));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_death_for_want_of_memory_is_told_as_one() {
    let place = Place::new();
    let Some((_group, command)) = of_too_little_memory(&place) else { return };
    assert_tells_want_of_memory(Supervised::start(command));
}

/// The command may be dead before the supervisor comes to anything else: here it waits whenever it reads that count.
#[test]
fn a_death_for_want_of_memory_at_the_very_start_is_told_too() {
    let place = Place::new();
    let Some((_group, command)) = of_too_little_memory(&place) else { return };
    let late = ["-e", "trace=pread64", "-e", "inject=pread64:delay_enter=300000"];
    let Some(supervised) = start_disturbed(&late, &command) else { return };
    assert_tells_want_of_memory(supervised);
}

/// A supervisor whose command needs more than it may have, twice; its last run is killed by somebody else.
fn of_too_little_memory(place: &Place) -> Option<(Group, Command)> {
    let (hierarchy, limit, swap) = if Path::new("/sys/fs/cgroup/memory").exists() {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", ("memory.swappiness", "0"))
    } else {
        ("/sys/fs/cgroup", "memory.max", ("memory.swap.max", "0"))
    };
    let group = Group::with(&[hierarchy], limit, place)?;
    group.set(limit, "30000000");
    // Where there is any.
    let _ = std::fs::write(group.0.join(swap.0), swap.1);
    let mut command = Command::new("sh");
    let line = format!("echo 0 > {}; exec \"$0\" \"$@\"", group.members());
    command.args(["-c", &line, env!("CARGO_BIN_EXE_supervisor"), "--no-heartbeat", "--max-restarts", "2"]);
    command.args(["--backoff-factor", "0", "sh", "-c"]).current_dir(place.path("")).env_remove("RUST_LOG");
    command.arg("[ $SUPERVISED_RESTARTS = 2 ] && kill -KILL $$; exec tail /dev/zero");
    Some((group, command))
}

fn assert_tells_want_of_memory(supervised: Supervised) {
    let end = supervised.end();
    end.assert_code(137);
    let told = "was killed by SIGKILL, and the kernel counted 1 kill for want of memory in its cgroup";
    end.assert_tells(&[told, "run 2", told, "run 3"]);
    assert_eq!(end.count("for want of memory"), 2, "{}", end.log);
}
