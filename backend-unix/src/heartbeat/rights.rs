//! Why a command may be unable to make its heartbeat, as far as modes and mounts tell.

use crate::linux::read_proc;
use crate::notice::Hindrance;
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::io;
use std::path::Path;

/// Who may write a file or a folder: inode(7), mount(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    owner: u32,
    group: u32,
    mode: u32,
    /// What writing takes: a folder has to be searched, too.
    needed: u32,
    is_read_only: bool,
}

impl Rights {
    /// Those to the heartbeat file, or to its folder while there is no file.
    ///
    /// # Errors
    /// Those of stat(2) and statvfs(2).
    pub fn of(path: &Path) -> io::Result<Rights> {
        const WRITE: u32 = 2;
        const SEARCH: u32 = 1;
        let in_folder = |_| {
            let folder = path.parent().ok_or(rustix::io::Errno::NOENT)?;
            Ok::<_, rustix::io::Errno>((folder, rustix::fs::stat(folder)?, WRITE | SEARCH))
        };
        let (place, status, needed) = rustix::fs::stat(path).map(|status| (path, status, WRITE)).or_else(in_folder)?;
        let is_read_only = statvfs(place)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        let (owner, group, mode) = (status.st_uid, status.st_gid, status.st_mode);
        Ok(Rights { owner, group, mode, needed, is_read_only })
    }

    /// What hinders a process from writing, if anything does.
    pub fn hindrance(&self, pid: i32) -> Option<Hindrance> {
        if self.is_read_only {
            return Some(Hindrance::ReadOnly {});
        }
        let credentials = Credentials::of(pid)?;
        (!self.allow(&credentials)).then_some(Hindrance::Denied { user: credentials.user })
    }

    fn allow(&self, credentials: &Credentials) -> bool {
        let class = if credentials.user == self.owner {
            6
        } else if credentials.groups.contains(&self.group) {
            3
        } else {
            0
        };
        credentials.overrides_modes || self.mode >> class & self.needed == self.needed
    }
}

/// What decides whether a process may write: credentials(7).
#[derive(Debug, PartialEq, Eq)]
struct Credentials {
    user: u32,
    groups: Vec<u32>,
    /// By capabilities(7).
    overrides_modes: bool,
}

impl Credentials {
    fn of(pid: i32) -> Option<Credentials> {
        Credentials::parse(&read_proc(&format!("/proc/{pid}/status")).ok()?)
    }

    /// From proc_pid_status(5).
    fn parse(status: &str) -> Option<Credentials> {
        const CAP_DAC_OVERRIDE: u32 = 1;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let numbers = |name: &str| Some(field(name)?.split_whitespace().map_while(|word| word.parse().ok()));
        // Real, effective, saved, and that for file systems.
        let user = numbers("Uid:")?.nth(3)?;
        let group = numbers("Gid:")?.nth(3)?;
        let groups = numbers("Groups:")?.chain([group]).collect();
        let capabilities = u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?;
        Some(Credentials { user, groups, overrides_modes: capabilities >> CAP_DAC_OVERRIDE & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    const STATUS: &str =
        "Name:\tx\nUid:\t1\t2\t3\t1000\nGid:\t4\t5\t6\t100\nGroups:\t7 8 \nCapEff:\t0000000000000000\n";

    #[test]
    fn credentials_are_read_as_the_kernel_checks_them() {
        let expected = Credentials { user: 1000, groups: vec![7, 8, 100], overrides_modes: false };
        assert_eq!(Credentials::parse(STATUS).unwrap(), expected);
        let root = STATUS.replace("0000000000000000", "000001ffffffffff");
        assert!(Credentials::parse(&root).unwrap().overrides_modes);
        assert_eq!(Credentials::parse("Name:\tx\n"), None);
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let table = [
            // owner, group, mode, what is needed, allowed?
            (1000, 0, 0o200, 2, true),
            (1000, 0, 0o022, 2, false),
            (0, 8, 0o020, 2, true),
            (0, 8, 0o202, 2, false),
            (0, 100, 0o730, 3, true),
            (0, 0, 0o777, 3, true),
            (0, 0, 0o776, 3, false),
            (0, 0, 0o755, 3, false),
        ];
        let credentials = Credentials::parse(STATUS).unwrap();
        for (owner, group, mode, needed, is_allowed) in table {
            let rights = Rights { owner, group, mode, needed, is_read_only: false };
            assert_eq!(rights.allow(&credentials), is_allowed, "{rights:?}");
        }
        let rights = Rights { owner: 0, group: 0, mode: 0, needed: 3, is_read_only: false };
        assert!(rights.allow(&Credentials { overrides_modes: true, ..credentials }));
    }

    #[test]
    fn while_there_is_no_file_its_folder_counts() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
        let file = folder.path().join("heartbeat.txt");
        let before = Rights::of(&file).unwrap();
        assert_eq!((before.mode & 0o777, before.needed), (0o750, 3));
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let rights = Rights::of(&file).unwrap();
        assert_eq!((rights.mode & 0o777, rights.needed, rights.is_read_only), (0o640, 2, false));
        assert!(Rights::of(&folder.path().join("no/such")).is_err());
        // This process has made it.
        assert_eq!(rights.hindrance(std::process::id().cast_signed()), None);
    }
}
