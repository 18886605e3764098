//! What was made is tried where nothing else is: in empty roots.

use super::Dist;
use crate::workspace::{self, PACKAGE, PROGRAM};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// The static program in a folder that holds nothing else, where it supervises itself.
///
/// # Errors
/// It does not work there.
pub fn of_binary(dist: &Dist) -> io::Result<()> {
    let root = tempfile::tempdir()?;
    fs::copy(dist.folder.join(PROGRAM), root.path().join(PROGRAM))?;
    supervise_in(root.path(), "/supervisor")?;
    println!("{PROGRAM} works in an empty root");
    Ok(())
}

/// The package for Debian, installed into a root that holds nothing but dpkg's own folders.
///
/// # Errors
/// It cannot be installed, does not work, or claims a file of Debian's own `supervisor`.
pub fn of_deb(dist: &Dist) -> io::Result<()> {
    let Some(package) = package(dist)? else {
        println!("skipped: the .deb is not tried, since there is none");
        return Ok(());
    };
    let root = tempfile::tempdir()?;
    let database = root.path().join("var/lib/dpkg");
    ["info", "updates", "triggers"].into_iter().try_for_each(|name| fs::create_dir_all(database.join(name)))?;
    ["status", "available"].into_iter().try_for_each(|name| fs::write(database.join(name), ""))?;
    let option = format!("--root={}", root.path().display());
    workspace::output(Command::new("dpkg").args([&option, "--force-depends", "-i"]).arg(package))?;
    for name in ["usr/share/man/man1/supervisor.1.gz", "lib/systemd/system/supervisor.service"] {
        if root.path().join(name).exists() {
            return Err(io::Error::other(format!("{name} belongs to Debian's package supervisor")));
        }
    }
    supervise_in(root.path(), "/usr/bin/supervisor")?;
    // It says what is missing, in one line.
    let mut replay = Command::new("unshare");
    let said = replay.args(["-Urmpf", "chroot"]).arg(root.path()).args(["/usr/bin/supervisor-replay", "--help"]);
    workspace::output(said)?;
    println!("the .deb installs into an empty root and works there");
    Ok(())
}

fn package(dist: &Dist) -> io::Result<Option<PathBuf>> {
    let files = fs::read_dir(&dist.folder)?.flatten().map(|entry| entry.path());
    let mut packages = files.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    Ok(packages.next())
}

/// The supervisor supervises itself: nothing else is there to be run.
fn supervise_in(root: &Path, program: &str) -> io::Result<()> {
    let mut chroot = Command::new("unshare");
    chroot.args(["-Urmpf", "chroot"]).arg(root).args([program, "--no-heartbeat", "--", program, "--version"]);
    let said = workspace::output(&mut chroot)?;
    if said.contains(PROGRAM) {
        return Ok(());
    }
    Err(io::Error::other(format!("{PACKAGE} printed {said:?} instead of its version")))
}
