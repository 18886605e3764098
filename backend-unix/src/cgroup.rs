//! What the cgroup of a process tells: kills for want of memory, and whether it is frozen. Version 2 of cgroups(7), and
//! version 1 where that is mounted.

use crate::linux::read_proc;

const ROOT: &str = "/sys/fs/cgroup";

/// How many processes of our cgroup, which the command shares at its start, the kernel has killed for want of memory.
pub(crate) fn memory_kills() -> Option<u64> {
    let version_2 = || number(&own_file("", "memory.events")?, "oom_kill");
    let version_1 = || number(&own_file("memory", "memory.oom_control")?, "oom_kill");
    version_2().or_else(version_1)
}

/// Whether the cgroup of a process is frozen.
pub(crate) fn is_frozen(pid: i32) -> bool {
    let version_2 = || number(&file_of(pid, "", "cgroup.events")?, "frozen").map(|frozen| frozen == 1);
    let version_1 = || Some(file_of(pid, "freezer", "freezer.state")?.trim() == "FROZEN");
    version_2().or_else(version_1).unwrap_or(false)
}

fn own_file(controller: &str, name: &str) -> Option<String> {
    file_of(std::process::id().cast_signed(), controller, name)
}

/// A file of the cgroup that a process is in, in the hierarchy of a controller; that of version 2 has no name. Inside a
/// container the path may be that of the host, and the cgroup the one that is mounted.
fn file_of(pid: i32, controller: &str, name: &str) -> Option<String> {
    let cgroups = read_proc(&format!("/proc/{pid}/cgroup")).ok()?;
    let path = cgroups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|found| found == controller).then_some(path)
    })?;
    let base = if controller.is_empty() { ROOT.to_owned() } else { format!("{ROOT}/{controller}") };
    let places = [format!("{base}{}/{name}", path.trim_end_matches('/')), format!("{base}/{name}")];
    places.iter().find_map(|place| read_proc(place).ok())
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
}
