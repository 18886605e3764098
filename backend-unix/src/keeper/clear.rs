//! Kills what a process has for children, one generation after the other: what loses its parent becomes a child of the
//! subreaper that kills. Makes nothing but system calls, so that a keeper can do it.

use crate::keeper::wait::is_child;
use crate::signals::Signal;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, getpgid};

/// The kernel's list of children, as in proc_pid_task_tid_children(5). A keeper has one thread.
const CHILDREN: &core::ffi::CStr = c"/proc/thread-self/children";
/// The number that was given last in our own PID namespace, whatever `/proc` shows: pid_namespaces(7). Those after it
/// were given before they began anew.
const LAST_PID: &core::ffi::CStr = c"/proc/sys/kernel/ns_last_pid";
/// The greatest number that a process can have here, and anywhere: `PID_MAX_LIMIT`, proc_sys_kernel(5).
const PID_MAX: &core::ffi::CStr = c"/proc/sys/kernel/pid_max";
const GREATEST_PID: i32 = 1 << 22;

/// Calls `visit` with each child of this thread. One that comes or goes meanwhile may be missed; so may, where the kernel
/// does not list them, the oldest ones while there are younger ones.
pub(crate) fn each_child(mut visit: impl FnMut(i32)) {
    if list_children(&mut visit).is_err() {
        let greatest = number_in(PID_MAX).unwrap_or(GREATEST_PID).min(GREATEST_PID);
        let last = number_in(LAST_PID).unwrap_or(greatest).min(greatest);
        let is_done = (2..=last).filter(|&pid| is_child(pid)).map(&mut visit).count() > 0;
        if !is_done {
            (last + 1..=greatest).filter(|&pid| is_child(pid)).for_each(visit);
        }
    }
}

/// Kills a child, and all of its group if it leads one: in one call, so that none of them can fork meanwhile.
pub(crate) fn kill_child(child: i32) {
    // Not reaped yet, so that the number is its own. Nothing else can fail that another pass would mend.
    let leads_group = Pid::from_raw(child).is_some_and(|pid| getpgid(Some(pid)) == Ok(pid));
    if leads_group {
        let _ = Signal::KILL.send_to_group(child);
    }
    let _ = Signal::KILL.send(child);
}

/// Whether `/proc` numbers processes as we do: it may be that of another PID namespace.
fn proc_is_ours() -> bool {
    let mut own = [0; 16];
    let Ok(length) = rustix::fs::readlinkat_raw(rustix::fs::CWD, c"/proc/self", &mut own[..]) else { return false };
    let number = own[..length].iter().fold(0, |number, digit| number * 10 + i32::from(digit.wrapping_sub(b'0')));
    number == rustix::process::getpid().as_raw_nonzero().get()
}

fn number_in(path: &core::ffi::CStr) -> Option<i32> {
    let mut digits = [0; 16];
    let length = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::io::read(&file, &mut digits))
        .unwrap_or_default();
    let number = digits[..length].iter().take_while(|digit| digit.is_ascii_digit());
    let number = number.fold(0_i32, |number, digit| number.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    (number > 0).then_some(number)
}

/// Reads the list piece by piece: it may be long.
fn list_children(visit: &mut impl FnMut(i32)) -> rustix::io::Result<()> {
    if !proc_is_ours() {
        return Err(rustix::io::Errno::NOENT);
    }
    let list = open(CHILDREN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut piece = [0; 4096];
    let mut number = 0;
    loop {
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&list, &mut piece))?;
        for byte in &piece[..length] {
            match byte {
                b'0'..=b'9' => number = number * 10 + i32::from(byte - b'0'),
                _ if number > 0 => visit(std::mem::take(&mut number)),
                _ => {}
            }
        }
        if length == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_visited_however_many_there_are() {
        let mut children: Vec<_> =
            (0..700).map(|_| std::process::Command::new("sleep").arg("1000").spawn().unwrap()).collect();
        let mut visited = std::collections::BTreeSet::new();
        each_child(|pid| {
            visited.insert(pid);
        });
        assert!(children.iter().all(|child| visited.contains(&child.id().cast_signed())));
        for child in &mut children {
            kill_child(child.id().cast_signed());
            child.wait().unwrap();
        }
    }

    #[test]
    fn numbers_are_read_without_allocating() {
        let folder = tempfile::tempdir().unwrap();
        let number = |text: &str| {
            let path = folder.path().join("number");
            std::fs::write(&path, text).unwrap();
            number_in(&std::ffi::CString::new(path.to_str().unwrap()).unwrap())
        };
        let table = [
            ("4194304\n", Some(4_194_304)),
            ("7", Some(7)),
            ("12 34", Some(12)),
            ("0\n", None),
            ("", None),
            ("x", None),
        ];
        for (text, expected) in table {
            assert_eq!(number(text), expected, "{text:?}");
        }
        assert_eq!(number("999999999999999"), Some(i32::MAX));
        assert_eq!(number_in(c"/no/such"), None);
        assert!(proc_is_ours());
    }

    #[test]
    fn the_children_of_this_thread_alone_are_listed() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        let mut listed = Vec::new();
        list_children(&mut |pid| listed.push(pid)).unwrap();
        assert!(listed.contains(&pid) && !listed.contains(&std::process::id().cast_signed()));
        kill_child(pid);
        child.wait().unwrap();
    }

    #[test]
    fn of_no_children_none_is_visited() {
        let visit = || list_children(&mut |pid| panic!("pid {pid} is a child of another thread"));
        if std::thread::spawn(visit).join().unwrap().is_err() {
            eprintln!("SKIPPED: this kernel does not list children");
        }
    }

    #[test]
    fn a_child_that_leads_a_group_is_killed_with_it() {
        use std::io::{BufRead, BufReader};
        use std::os::unix::process::CommandExt;
        let mut leader = std::process::Command::new("sh");
        leader.args(["-c", "sleep 1000 & echo $!; wait"]).process_group(0).stdout(std::process::Stdio::piped());
        let mut leader = leader.spawn().unwrap();
        let mut output = BufReader::new(leader.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        kill_child(leader.id().cast_signed());
        leader.wait().unwrap();
        // The other one had the same output, which ends with it.
        assert_eq!(output.read_line(&mut String::new()).unwrap(), 0);
    }
}
