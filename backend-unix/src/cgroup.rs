//! What the cgroup of a process tells: kills for want of memory, and whether it is frozen. Version 2 of cgroups(7), and
//! version 1 where that is mounted.

use crate::linux::read_proc;
use std::cell::OnceCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

const ROOT: &str = "/sys/fs/cgroup";

/// Counts the processes of our cgroup, which the command shares at its start, that the kernel has killed for want of
/// memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryKills {
    /// The file that counts them, looked for once; none where there is none.
    counter: OnceCell<Option<File>>,
}

impl MemoryKills {
    /// How many there are so far.
    pub fn count(&self) -> Option<u64> {
        read_count(self.counter.get_or_init(MemoryKills::find).as_ref()?)
    }

    fn find() -> Option<File> {
        let cgroups = cgroups_of(std::process::id().cast_signed());
        let files = [("", "memory.events"), ("memory", "memory.oom_control")];
        let places = files.into_iter().flat_map(|(controller, name)| places_in(&cgroups, controller, name));
        let mut counters = places.filter_map(|place| File::open(place).ok());
        counters.find(|counter| read_count(counter).is_some())
    }
}

/// The file stays open: the kernel writes it anew for each reading from its beginning.
fn read_count(counter: &File) -> Option<u64> {
    let mut text = [0; 512];
    let length = counter.read_at(&mut text, 0).ok()?;
    number(std::str::from_utf8(&text[..length]).ok()?, "oom_kill")
}

/// Whether the cgroup of a process is frozen.
pub(crate) fn is_frozen(pid: i32) -> bool {
    let version_2 = || number(&file_of(pid, "", "cgroup.events")?, "frozen").map(|frozen| frozen == 1);
    let version_1 = || Some(file_of(pid, "freezer", "freezer.state")?.trim() == "FROZEN");
    version_2().or_else(version_1).unwrap_or(false)
}

fn file_of(pid: i32, controller: &str, name: &str) -> Option<String> {
    places_in(&cgroups_of(pid), controller, name).iter().find_map(|place| read_proc(place).ok())
}

/// The cgroups that a process is in: cgroups(7).
fn cgroups_of(pid: i32) -> String {
    read_proc(&format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

/// Where a file may be of the cgroup in the hierarchy of a controller; that of version 2 has no name. Inside a container
/// the path may be that of the host, and the cgroup the one that is mounted.
fn places_in(cgroups: &str, controller: &str, name: &str) -> Vec<String> {
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
    use std::io::Write;

    #[test]
    fn a_count_is_read_anew_from_an_open_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"oom_kill 2\n").unwrap();
        let counter = File::open(file.path()).unwrap();
        assert_eq!((read_count(&counter), read_count(&counter)), (Some(2), Some(2)));
        file.as_file().set_len(0).unwrap();
        assert_eq!(read_count(&counter), None);
    }

    #[test]
    fn a_file_is_looked_for_in_the_cgroup_and_at_the_root_of_what_is_mounted() {
        let cgroups = "9:name=systemd:/x\n3:cpu,memory:/a/b\n0::/unit\n";
        let table = [
            ("memory", ["/sys/fs/cgroup/memory/a/b/f", "/sys/fs/cgroup/memory/f"]),
            ("", ["/sys/fs/cgroup/unit/f", "/sys/fs/cgroup/f"]),
        ];
        for (controller, places) in table {
            assert_eq!(places_in(cgroups, controller, "f"), places);
        }
        assert_eq!(places_in("", "", "f"), ["/sys/fs/cgroup/f"]);
    }

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
        let cgroups = cgroups_of(own);
        let places = places_in(&cgroups, "", "cgroup.events");
        assert_eq!(places.last().unwrap(), "/sys/fs/cgroup/cgroup.events");
        for place in &places {
            assert!(place.starts_with("/sys/fs/cgroup/") && place.ends_with("/cgroup.events"), "{place}");
            assert!(!place.contains("//"), "{place}");
        }
        assert_eq!(places_in(&cgroups, "no-such", "x"), ["/sys/fs/cgroup/no-such/x"]);
        assert_eq!(places_in(&cgroups_of(0), "freezer", "x"), ["/sys/fs/cgroup/freezer/x"]);
    }

    #[test]
    fn this_process_is_not_frozen() {
        assert!(!is_frozen(std::process::id().cast_signed()));
    }
}
