//! Who is below a process, as `/proc` tells.

use super::process::{self, Process};
use crate::linux::{names_in, read_proc};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::LazyLock;

/// Trees larger than this are told by one look at all processes, which costs less than one at each of them.
const LARGE: usize = 200;
/// A parent may end between the look at its own parent and the one at it: what it had started has come to one that was
/// looked at before. All are asked again until none of them has anybody new, but no more often than this.
const MOST_LOOKS: u32 = 4;

/// A process below another.
#[derive(Clone, Debug)]
pub(crate) enum Member {
    Seen(Process),
    /// Listed as a child of `parent`, but `/proc` does not show it to us: mount option hidepid, proc(5).
    Hidden {
        pid: i32,
        parent: i32,
    },
}

impl Member {
    pub fn parent(&self) -> i32 {
        match self {
            Member::Seen(process) => process.parent,
            Member::Hidden { parent, .. } => *parent,
        }
    }
}

static KERNEL_LISTS_CHILDREN: LazyLock<bool> =
    LazyLock::new(|| match std::fs::File::open(format!("/proc/self/task/{}/children", std::process::id())) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    });

/// The children of a process; none of one that is gone.
///
/// # Errors
/// That they cannot be told just now, as for want of a descriptor.
pub(crate) fn children_of(pid: i32) -> io::Result<Vec<i32>> {
    if *KERNEL_LISTS_CHILDREN {
        return listed_children_of(pid, 2);
    }
    let processes = all_processes()?;
    Ok(processes.into_iter().filter(|process| process.parent == pid).map(|process| process.id.pid).collect())
}

/// All below these processes, parents before children, without the dead: first the children of the roots.
///
/// # Errors
/// That they cannot be told just now, as for want of a descriptor.
pub(crate) fn members_below(roots: &[i32]) -> io::Result<Vec<Member>> {
    if *KERNEL_LISTS_CHILDREN && let Some(members) = listed_below(roots, listed_children_of)? {
        return Ok(members);
    }
    found_below(roots)
}

/// By the lists of the kernel, which name the children of a process with so many threads; none where the tree is large.
fn listed_below(roots: &[i32], list: impl Fn(i32, u32) -> io::Result<Vec<i32>>) -> io::Result<Option<Vec<Member>>> {
    let mut known: BTreeSet<i32> = roots.iter().copied().collect();
    let mut members = Vec::new();
    // Of the roots it is not known how many threads they have.
    let mut parents: Vec<(i32, u32)> = roots.iter().map(|&root| (root, 2)).collect();
    for _ in 0..MOST_LOOKS {
        let before = parents.len();
        let mut next = 0;
        while let Some(&(parent, threads)) = parents.get(next) {
            next += 1;
            for pid in list(parent, threads)?.into_iter().filter(|&pid| known.insert(pid)) {
                let process = Process::read(pid);
                parents.push((pid, process.as_ref().map_or(1, |process| process.threads)));
                match process {
                    Some(process) if process.is_alive() => members.push(Member::Seen(process)),
                    Some(_) => {}
                    // A child may be reaped between the list and the look at it.
                    None if process::exists(pid) => members.push(Member::Hidden { pid, parent }),
                    None => {}
                }
            }
            if parents.len() > LARGE {
                let has_hidden = members.iter().any(|member| matches!(member, Member::Hidden { .. }));
                if !has_hidden {
                    return Ok(None);
                }
            }
        }
        if parents.len() == before {
            break;
        }
    }
    Ok(Some(members))
}

/// As one look at all processes shows them.
fn found_below(roots: &[i32]) -> io::Result<Vec<Member>> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in with_present_parents(all_processes()?, Process::read) {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found: Vec<Process> = roots.iter().flat_map(|root| children.remove(root).unwrap_or_default()).collect();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        let below = children.remove(&process.id.pid).unwrap_or_default();
        found.extend(below);
        next += 1;
    }
    Ok(found.into_iter().filter(Process::is_alive).map(Member::Seen).collect())
}

/// One whose parent was gone when that was to be seen has another by now: it is read again.
fn with_present_parents(processes: Vec<Process>, read: impl Fn(i32) -> Option<Process>) -> Vec<Process> {
    let pids: BTreeSet<i32> = processes.iter().map(|process| process.id.pid).collect();
    let present = |process: Process| if pids.contains(&process.parent) { Some(process) } else { read(process.id.pid) };
    processes.into_iter().filter_map(present).collect()
}

fn all_processes() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for pid in numbers_in(Path::new("/proc"))? {
        let stat = unless_gone(read_proc(&format!("/proc/{pid}/stat")))?.unwrap_or_default();
        let process = Process::parse(pid, &stat);
        processes.extend(process.and_then(|seen| if seen.threads > 0 { Some(seen) } else { Process::read(pid) }));
    }
    Ok(processes)
}

/// Those of all its threads, as the kernel lists them where it is built with `CONFIG_PROC_CHILDREN`:
/// proc_pid_task_tid_children(5). Where it has one thread, that need not be looked for.
fn listed_children_of(pid: i32, threads: u32) -> io::Result<Vec<i32>> {
    if threads == 1 {
        return listed_children_of_thread(pid, pid);
    }
    let threads = unless_gone(numbers_in(Path::new(&format!("/proc/{pid}/task"))))?.unwrap_or_default();
    let mut children = Vec::new();
    for thread in threads {
        children.extend(listed_children_of_thread(pid, thread)?);
    }
    Ok(children)
}

fn numbers_in(folder: &Path) -> io::Result<Vec<i32>> {
    Ok(names_in(folder)?.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

fn listed_children_of_thread(pid: i32, thread: i32) -> io::Result<Vec<i32>> {
    let list = unless_gone(read_proc(&format!("/proc/{pid}/task/{thread}/children")))?.unwrap_or_default();
    Ok(list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// One that may not be looked at counts as gone: what is below it comes to a subreaper when it is.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    const GONE: [Errno; 4] = [Errno::NOENT, Errno::SRCH, Errno::PERM, Errno::ACCESS];
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if GONE.iter().any(|gone| error.raw_os_error() == Some(gone.raw_os_error())) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Signal;
    use crate::tree::process::ProcessId;
    use std::cell::Cell;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    fn pids(members: Vec<Member>) -> Vec<i32> {
        let pid = |member| match member {
            Member::Seen(process) => process.id.pid,
            Member::Hidden { pid, .. } => pid,
        };
        members.into_iter().map(pid).collect()
    }

    fn listed(roots: &[i32]) -> Vec<Member> {
        listed_below(roots, listed_children_of).unwrap().unwrap()
    }

    #[test]
    fn a_child_whose_parent_ends_meanwhile_is_found() {
        let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
        let child = sleeper.id().cast_signed();
        let (root, parent) = (1, i32::MAX);
        // The parent has ended when it is asked: its child is the root's by then.
        let parent_ended = Cell::new(false);
        let list = |pid, _| {
            let children = match pid {
                _ if pid == root && parent_ended.get() => vec![child],
                _ if pid == root => vec![parent],
                _ => vec![],
            };
            parent_ended.set(parent_ended.get() || pid == parent);
            Ok(children)
        };
        assert_eq!(pids(listed_below(&[root], list).unwrap().unwrap()), [child]);
        // The same where all processes are looked at.
        let adopted = Process::read(child).unwrap();
        let before = Process { parent, ..adopted.clone() };
        let processes = with_present_parents(vec![before], |pid| (pid == child).then(|| adopted.clone()));
        assert_eq!(processes.iter().map(|process| process.parent).collect::<Vec<_>>(), [adopted.parent]);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }

    #[test]
    fn a_parent_that_is_there_is_not_asked_for_again() {
        let own = Process::read(std::process::id().cast_signed()).unwrap();
        let child = Process { parent: own.id.pid, id: ProcessId { pid: i32::MAX, ..own.id }, ..own.clone() };
        let first = Process { parent: child.id.pid, ..own };
        assert_eq!(with_present_parents(vec![first, child], |pid| panic!("read {pid} again")).len(), 2);
    }

    #[test]
    fn looks_end_though_there_is_always_somebody_new() {
        let looks = Cell::new(0);
        let list = |pid, _| {
            looks.set(looks.get() + u32::from(pid == 1));
            Ok(if pid == 1 { vec![i32::MAX - looks.get().cast_signed()] } else { vec![] })
        };
        assert!(listed_below(&[1], list).unwrap().unwrap().is_empty());
        assert_eq!(looks.get(), MOST_LOOKS);
    }

    #[test]
    fn members_are_found_as_they_are_listed() {
        // The children of this process are also those of other tests.
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1000 & echo $!; wait; read end"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut told = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut told).unwrap();
        let (parent, pid) = (shell.id().cast_signed(), told.trim().parse().unwrap());
        assert_eq!(pids(listed(&[parent])), [pid]);
        assert_eq!(pids(found_below(&[parent]).unwrap()), [pid]);
        assert_eq!(children_of(parent).unwrap(), [pid]);
        Signal::KILL.send(pid).unwrap();
        while !children_of(parent).unwrap().is_empty() {
            std::thread::yield_now();
        }
        assert!(listed(&[parent]).is_empty());
        assert!(found_below(&[parent, pid]).unwrap().is_empty());
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(children_of(parent).unwrap().is_empty() && children_of(pid).unwrap().is_empty());
    }

    #[test]
    fn a_child_that_is_reaped_meanwhile_is_not_hidden() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "for i in 1 2 3 4 5 6 7 8 9 10; do for j in 1 2 3 4 5 6 7 8 9 10; do (:); done; done"]);
        let mut shell = shell.spawn().unwrap();
        let parent = shell.id().cast_signed();
        while shell.try_wait().unwrap().is_none() {
            let members = listed(&[parent]);
            assert!(members.iter().all(|member| matches!(member, Member::Seen(_))), "{members:?}");
        }
    }
}
