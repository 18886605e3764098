//! What the cgroup of a process tells: kills for want of memory, and whether it is frozen. Version 2 of cgroups(7), and
//! version 1 where that is mounted.

use crate::linux::read_proc;
use std::cell::OnceCell;

const ROOT: &str = "/sys/fs/cgroup";

/// Counts the processes of our cgroup, which the command shares at its start, that the kernel has killed for want of
/// memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryKills {
    /// The file that counts them, looked for once; none where there is none.
    place: OnceCell<Option<String>>,
}

impl MemoryKills {
    /// How many there are so far.
    pub fn count(&self) -> Option<u64> {
        let place = self.place.get_or_init(MemoryKills::find).as_ref()?;
        number(&read_proc(place).ok()?, "oom_kill")
    }

    fn find() -> Option<String> {
        let own = std::process::id().cast_signed();
        let files = [("", "memory.events"), ("memory", "memory.oom_control")];
        let places = files.into_iter().flat_map(|(controller, name)| places_of(own, controller, name));
        let counts = |place: &String| read_proc(place).is_ok_and(|text| number(&text, "oom_kill").is_some());
        places.into_iter().find(counts)
    }
}

/// Whether the cgroup of a process is frozen.
pub(crate) fn is_frozen(pid: i32) -> bool {
    let version_2 = || number(&file_of(pid, "", "cgroup.events")?, "frozen").map(|frozen| frozen == 1);
    let version_1 = || Some(file_of(pid, "freezer", "freezer.state")?.trim() == "FROZEN");
    version_2().or_else(version_1).unwrap_or(false)
}

fn file_of(pid: i32, controller: &str, name: &str) -> Option<String> {
    places_of(pid, controller, name).iter().find_map(|place| read_proc(place).ok())
}

/// Where a file may be of the cgroup that a process is in, in the hierarchy of a controller; that of version 2 has no
/// name. Inside a container the path may be that of the host, and the cgroup the one that is mounted.
fn places_of(pid: i32, controller: &str, name: &str) -> Vec<String> {
    let cgroups = read_proc(&format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let path = cgroups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|found| found == controller).then_some(path)
    });
    let base = if controller.is_empty() { ROOT.to_owned() } else { format!("{ROOT}/{controller}") };
    let own = path.map(|path| format!("{base}{}/{name}", path.trim_end_matches('/')));
    own.into_iter().chain([format!("{base}/{name}")]).collect()
}

/// The number behind a key, one of each a line.
fn number(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_whole_key() {
        let events = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(number(events, "oom_kill"), Some(2));
        assert_eq!(number(events, "oom_kil"), None);
        assert_eq!(number("", "frozen"), None);
    }

    #[test]
    fn a_file_is_looked_for_in_the_cgroup_and_then_in_the_mounted_one() {
        let own = std::process::id().cast_signed();
        let places = places_of(own, "", "cgroup.events");
        assert_eq!(places.last().unwrap(), "/sys/fs/cgroup/cgroup.events");
        for place in &places {
            assert!(place.starts_with("/sys/fs/cgroup/") && place.ends_with("/cgroup.events"), "{place}");
            assert!(!place.contains("//"), "{place}");
        }
        assert_eq!(places_of(own, "no-such", "x"), ["/sys/fs/cgroup/no-such/x"]);
        assert_eq!(places_of(0, "freezer", "x"), ["/sys/fs/cgroup/freezer/x"]);
    }

    #[test]
    fn this_process_is_not_frozen() {
        assert!(!is_frozen(std::process::id().cast_signed()));
    }
}
