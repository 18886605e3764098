//! Packages for distributions, made of the staged files. Their manifest is written here, so that it may name files
//! wherever the target folder is.

use super::{Dist, completions, documents};
use crate::workspace::{self, PACKAGE, PROGRAM, REPLAY};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// A file of a package: where it is staged, where it is installed, and its mode.
type Asset = (String, String, &'static str);

/// Debian has another `supervisor` with a page supervisor.1, so the page goes by the package's name everywhere.
fn assets(zsh_folder: &str) -> io::Result<Vec<Asset>> {
    let share = "usr/share";
    let mut assets = vec![
        (PROGRAM.to_owned(), "usr/bin/".to_owned(), "755"),
        (REPLAY.to_owned(), "usr/bin/".to_owned(), "755"),
        (format!("{PACKAGE}.1"), format!("{share}/man/man1/"), "644"),
        (format!("{REPLAY}.1"), format!("{share}/man/man1/"), "644"),
    ];
    for program in [PROGRAM, REPLAY] {
        let staged = |shell| format!("completions/{}", completions::file_name(shell, program));
        let bash = format!("{share}/bash-completion/completions/{program}");
        assets.extend([
            (staged(Shell::Bash), bash, "644"),
            (staged(Shell::Zsh), format!("{share}/zsh/{zsh_folder}/"), "644"),
            (staged(Shell::Fish), format!("{share}/fish/vendor_completions.d/"), "644"),
        ]);
    }
    for name in documents()? {
        let folder = Path::new("usr/share/doc").join(PACKAGE).join(&name);
        let folder = folder.parent().unwrap_or(Path::new("")).display().to_string();
        assets.push((name.display().to_string(), folder + "/", "644"));
    }
    Ok(assets)
}

/// Makes the package for Debian and its kin.
///
/// # Errors
/// Those of cargo-deb.
pub fn deb(dist: &Dist) -> io::Result<()> {
    if workspace::find("cargo-deb").is_none() {
        println!("no .deb: cargo install cargo-deb");
        return Ok(());
    }
    let manifest = manifest(dist)?;
    let mut build = Command::new("cargo");
    build
        .env("SOURCE_DATE_EPOCH", &dist.epoch)
        .args(["deb", "--quiet", "--no-build", "--no-strip", "--manifest-path"])
        .arg(manifest);
    workspace::run(build.arg("--output").arg(&dist.folder))
}

/// Makes the package for Fedora and its kin.
///
/// # Errors
/// Those of cargo-generate-rpm.
pub fn rpm(dist: &Dist) -> io::Result<()> {
    if workspace::find("cargo-generate-rpm").is_none() {
        println!("no .rpm: cargo install cargo-generate-rpm");
        return Ok(());
    }
    manifest(dist)?;
    let mut build = Command::new("cargo");
    build.env("SOURCE_DATE_EPOCH", &dist.epoch);
    build.current_dir(&dist.stage).args(["generate-rpm", "--auto-req", "disabled", "--output"]);
    workspace::run(build.arg(&dist.folder))
}

/// A package of cargo without code, which names the staged files.
fn manifest(dist: &Dist) -> io::Result<PathBuf> {
    fs::create_dir_all(dist.stage.join("src"))?;
    fs::write(dist.stage.join("src/main.rs"), "fn main() {}\n")?;
    fs::copy(dist.stage.join(format!("{PROGRAM}.1")), dist.stage.join(format!("{PACKAGE}.1")))?;
    let maintainer = maintainer()?;
    fs::write(dist.stage.join("changelog"), changelog(dist, &maintainer)?)?;
    fs::write(dist.stage.join("copyright"), copyright()?)?;
    let deb: String = assets("vendor-completions")?
        .iter()
        .map(|(from, to, mode)| format!("    [{from:?}, {to:?}, {mode:?}],\n"))
        .collect();
    let rpm = assets("site-functions")?.into_iter().map(|(from, to, mode)| {
        let name = from.rsplit('/').next().unwrap_or_default();
        let to = if to.ends_with('/') { format!("/{to}{name}") } else { format!("/{to}") };
        format!("    {{ source = {from:?}, dest = {to:?}, mode = \"100{mode}\" }},\n")
    });
    let rpm: String = rpm.collect();
    let text = format!(
        "[package]\nname = {PACKAGE:?}\nversion = {:?}\nedition = \"2024\"\nlicense = \"MIT OR Apache-2.0\"\n\
         description = {SUMMARY:?}\n\n[workspace]\n\n\
         [package.metadata.deb]\nmaintainer = {maintainer:?}\nsection = \"admin\"\npriority = \"optional\"\ndepends = \"\"\n\
         changelog = \"changelog\"\ncopyright = {COPYRIGHT:?}\nlicense-file = [\"copyright\", \"0\"]\n\
         extended-description = {DESCRIPTION:?}\nassets = [\n{deb}]\n\n\
         [package.metadata.generate-rpm]\nrequire-sh = false\nassets = [\n{rpm}]\n",
        dist.version
    );
    let path = dist.stage.join("Cargo.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// In Debian's form, deb-changelog(5); what has changed is told in CHANGELOG.md.
fn changelog(dist: &Dist, maintainer: &str) -> io::Result<String> {
    let date =
        workspace::output(Command::new("date").args(["--utc", "--rfc-email", &format!("--date=@{}", dist.epoch)]))?;
    let (version, date) = (&dist.version, date.trim());
    Ok(format!(
        "{PACKAGE} ({version}-1) unstable; urgency=medium\n\n  * Version {version}.\n\n -- {maintainer}  {date}\n"
    ))
}

/// Who makes the package, as Debian's own tools are told, debchange(1); else who made the commit.
fn maintainer() -> io::Result<String> {
    match (env::var("DEBFULLNAME"), env::var("DEBEMAIL")) {
        (Ok(name), Ok(address)) => Ok(format!("{name} <{address}>")),
        (Err(_), _) | (_, Err(_)) => {
            let author = workspace::output(workspace::command("git").args(["log", "-1", "--format=%an <%ae>"]))?;
            Ok(author.trim().to_owned())
        }
    }
}

/// Whose the program is, and its licences: that of Apache lies on each system of Debian.
fn copyright() -> io::Result<String> {
    let mit = fs::read_to_string(workspace::root().join("LICENSE-MIT"))?;
    Ok(format!(
        "{COPYRIGHT}\n\nThe licence is that of MIT, below, or the Apache License 2.0, as you like; the text of the \
         latter is in\n/usr/share/common-licenses/Apache-2.0.\n\n{mit}"
    ))
}

const COPYRIGHT: &str = "Copyright: the authors of heartbeat-supervisor";
const SUMMARY: &str = "keeps a command alive: restarts it when it fails or hangs";
const DESCRIPTION: &str = "The program is called supervisor. It starts a command, and starts it again when it crashes, \
is killed, or is silent for too long. Nothing of a run is left when the next one starts. It is one static file without \
dependencies, and can be installed beside the package supervisor.";
