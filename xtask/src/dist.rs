//! `cargo xtask dist`: what people install, into `dist` in the target folder.

mod completions;
mod materials;
mod packages;
mod trial;

use crate::man_page;
use crate::workspace::{self, Linkage, PACKAGE, PROGRAM, REPLAY};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

/// How it is made.
#[derive(clap::Args)]
pub struct Options {
    /// Install what was made into empty roots, and run it there (as root, with dpkg and unshare)
    #[arg(long)]
    check: bool,
}

/// Makes everything for which there is a tool, and says what is missing.
pub fn run(options: Options) -> ExitCode {
    match make(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where things stand while they are made.
struct Dist {
    /// What people get.
    folder: PathBuf,
    /// The files of which archives and packages are made.
    stage: PathBuf,
    version: String,
    linkage: Linkage,
    /// The age of all that is made, so that the same commit gives the same bytes, in seconds since the epoch:
    /// <https://reproducible-builds.org/specs/source-date-epoch/>.
    epoch: String,
}

impl Dist {
    fn begin() -> io::Result<Dist> {
        let folder = workspace::target()?.join("dist");
        let stage = folder.join("stage");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
        fs::create_dir_all(&stage)?;
        let epoch = env::var("SOURCE_DATE_EPOCH").map_or_else(|_| commit_time(), Ok)?;
        Ok(Dist { folder, stage, version: workspace::version()?, linkage: Linkage::available()?, epoch })
    }

    /// The name of a file that is for one kind of machine.
    fn name(&self, suffix: &str) -> String {
        format!("{PACKAGE}-{}-{}{suffix}", self.version, self.linkage.triple())
    }
}

fn make(options: &Options) -> io::Result<()> {
    let dist = Dist::begin()?;
    println!("{PROGRAM} {}: {}", dist.version, dist.linkage.words());
    let binary = workspace::build_static(dist.linkage)?;
    fs::copy(&binary, dist.folder.join(PROGRAM))?;
    fs::copy(&binary, dist.stage.join(PROGRAM))?;
    fs::copy(binary.with_file_name(REPLAY), dist.stage.join(REPLAY))?;
    man_pages(&dist.stage)?;
    completions::write(&dist.stage.join("completions"))?;
    stage_documents(&dist.stage)?;
    archive(&dist)?;
    packages::deb(&dist)?;
    packages::rpm(&dist)?;
    materials::write(&dist)?;
    if options.check {
        trial::of_binary(&dist)?;
        trial::of_deb(&dist)?;
    }
    fs::remove_dir_all(&dist.stage)?;
    sums(&dist.folder)?;
    println!("{}", dist.folder.display());
    Ok(())
}

fn man_pages(stage: &Path) -> io::Result<()> {
    fs::write(stage.join(format!("{PROGRAM}.1")), man_page::render()?)?;
    fs::write(stage.join(format!("{REPLAY}.1")), man_page::render_replay()?)
}

/// What people read, with all that its links lead to, in the order of their paths.
///
/// # Errors
/// Those of git.
fn documents() -> io::Result<Vec<PathBuf>> {
    const READ: [&str; 7] = [
        ":(glob)*.md",
        ":(glob)LICENSE-*",
        "docs",
        "packaging",
        "cli/EVENTS.md",
        "core/README.md",
        ":!packaging/tests",
    ];
    let names = workspace::output(workspace::command("git").args(["ls-files", "--"]).args(READ))?;
    Ok(names.lines().map(PathBuf::from).collect())
}

fn stage_documents(stage: &Path) -> io::Result<()> {
    documents()?.into_iter().try_for_each(|name| {
        let to = stage.join(&name);
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(workspace::root().join(&name), to).map(drop)
    })
}

/// The same bytes for the same files: sorted, owned by root, of one age.
fn archive(dist: &Dist) -> io::Result<()> {
    let root = format!("--transform=s,^\\.,{},", dist.name(""));
    let options = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=go-w", &root];
    let file = dist.folder.join(dist.name(".tar.gz"));
    let mut tar = Command::new("tar");
    // Without -n, gzip would note a name and a time of its own.
    tar.args(options).args([&format!("--mtime=@{}", dist.epoch), "--use-compress-program=gzip -n", "-cf"]).arg(file);
    workspace::run(tar.arg("-C").arg(&dist.stage).arg("."))
}

fn commit_time() -> io::Result<String> {
    let time = workspace::output(workspace::command("git").args(["log", "-1", "--format=%ct"]))?;
    Ok(time.trim().to_owned())
}

fn sums(folder: &Path) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let sums = workspace::output(Command::new("sha256sum").current_dir(folder).arg("--").args(names))?;
    fs::write(folder.join("SHA256SUMS"), sums)
}
