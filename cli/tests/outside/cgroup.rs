//! In a control group of its own, cgroups(7): one that is frozen, and one that has too little memory.

use crate::support::{Place, Supervised, is_alive, skipped, wait_for_file, wait_until};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A group that goes with its test.
struct Group(PathBuf);

impl Group {
    /// One that has this file, which only such groups have: of the controller, in the hierarchy of version 1 that has it,
    /// or in that of version 2. None where none can be made.
    fn with(controller: &str, file: &str, place: &Place) -> Option<Group> {
        let name = place.path("").file_name().unwrap().to_owned();
        let hierarchies = [format!("/sys/fs/cgroup/{controller}"), "/sys/fs/cgroup".to_owned()];
        let made = hierarchies.iter().map(|hierarchy| Group(Path::new(hierarchy).join(&name)));
        let group =
            made.filter(|group| std::fs::create_dir(&group.0).is_ok()).find(|group| group.0.join(file).exists());
        if group.is_none() {
            skipped(&format!("no control group with {file} can be made here"));
        }
        group
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
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// One that can be frozen.
struct Freezer {
    group: Group,
    file: &'static str,
    values: [&'static str; 2],
}

impl Freezer {
    fn new(place: &Place) -> Option<Freezer> {
        let (file, values) = if Path::new("/sys/fs/cgroup/freezer").exists() {
            ("freezer.state", ["FROZEN", "THAWED"])
        } else {
            ("cgroup.freeze", ["1", "0"])
        };
        Some(Freezer { group: Group::with("freezer", file, place)?, file, values })
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
    let script = format!("echo 0 > {}; echo > ready; exec sleep 1000", freezer.group.members());
    let mut supervised = place.start(&["--timeout", "3", "--grace-period", "1000", "--max-restarts", "0"], &script);
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
    assert_eq!(end.count("frozen"), 0, "{}", end.log);
}

/// A keeper that is frozen takes no orders: what it kept is ended by the supervisor.
#[test]
fn a_probe_whose_keeper_is_frozen_is_ended_and_others_follow() {
    let place = Place::new();
    let Some(freezer) = Freezer::new(&place) else { return };
    let probe = place.script("probe", "[ -e pid ] && exit 0; echo $$ > pid; exec sleep 1000");
    let options = ["--probe", probe.to_str().unwrap(), "--timeout", "10", "--probe-interval", "0.1"];
    let mut supervised = place.start(&options, "while :; do echo > heartbeat.txt; sleep 0.1; done");
    let pid: i32 = wait_for_file(&place.path("pid")).parse().unwrap();
    freezer.group.set("cgroup.procs", &crate::killed::parent_of(pid).to_string());
    freezer.freeze();
    supervised.wait_for_line("does not take orders: a debugger or a frozen cgroup holds it");
    wait_until("the probe is gone", || !is_alive(pid));
    freezer.thaw();
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_death_for_want_of_memory_is_told_as_one() {
    let place = Place::new();
    let (file, others) = if Path::new("/sys/fs/cgroup/memory").exists() {
        ("memory.limit_in_bytes", ["memory.memsw.limit_in_bytes"])
    } else {
        ("memory.max", ["memory.swap.max"])
    };
    let Some(group) = Group::with("memory", file, &place) else { return };
    group.set(file, "30000000");
    // Where swap is accounted for.
    for other in others {
        let _ = std::fs::write(group.0.join(other), "30000000");
    }
    let mut command = Command::new("sh");
    let line = format!("echo 0 > {}; exec \"$0\" \"$@\"", group.members());
    command.args(["-c", &line, env!("CARGO_BIN_EXE_supervisor"), "--no-heartbeat", "--max-restarts", "2"]);
    command.args(["--backoff-factor", "0", "sh", "-c"]).current_dir(place.path("")).env_remove("RUST_LOG");
    // The last run is killed by somebody else.
    command.arg("[ $SUPERVISED_RESTARTS = 2 ] && kill -KILL $$; exec tail /dev/zero");
    let end = Supervised::start(command).end();
    end.assert_code(137);
    let told = "was killed by SIGKILL, and the kernel counted 1 kill for want of memory in its cgroup";
    end.assert_tells(&[told, "run 2", told, "run 3"]);
    assert_eq!(end.count("for want of memory"), 2, "{}", end.log);
}
