//! Where the workspace stands, what its parts are called, and how its programs are built.

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The program, as people call it.
pub const PROGRAM: &str = "supervisor";
/// What tells of its log; people get it along with the program.
pub const REPLAY: &str = "supervisor-replay";
/// The package that holds it, for cargo and for distributions; some registries have another `supervisor`.
pub const PACKAGE: &str = "heartbeat-supervisor";

/// The root of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A program that is run in the root of the workspace.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Cargo itself.
pub fn cargo() -> Command {
    command(env!("CARGO"))
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be run, or does not end with code 0; the message names it.
pub fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status().map_err(|error| cannot_run(command, &error))?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{} ended with {status}", shown(command)))) }
}

/// Runs a program to its end, and returns what it prints.
///
/// # Errors
/// As [`run`].
pub fn output(command: &mut Command) -> io::Result<String> {
    let output = command.output().map_err(|error| cannot_run(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{} ended with {}: {complaint}", shown(command), output.status)))
}

fn cannot_run(command: &Command, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot run {}: {error}", shown(command)))
}

fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Where cargo puts what it builds; `CARGO_TARGET_DIR` decides, or cargo's configuration.
///
/// # Errors
/// Those of `cargo metadata`.
pub fn target() -> io::Result<PathBuf> {
    Ok(PathBuf::from(metadata()?["target_directory"].as_str().unwrap_or("target")))
}

/// The version of the program's package.
///
/// # Errors
/// Those of `cargo metadata`.
pub fn version() -> io::Result<String> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let version = packages.filter(|package| package["name"] == PACKAGE).find_map(|package| package["version"].as_str());
    version.map(ToOwned::to_owned).ok_or_else(|| io::Error::other(format!("there is no package {PACKAGE}")))
}

fn metadata() -> io::Result<Value> {
    let text = output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
    Ok(serde_json::from_str(&text)?)
}

/// The library that a static program contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    Musl,
    Glibc,
}

impl Linkage {
    /// Musl where this toolchain has it.
    pub fn available() -> io::Result<Linkage> {
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let library = Path::new(sysroot.trim()).join("lib/rustlib").join(Linkage::Musl.triple());
        Ok(if library.is_dir() { Linkage::Musl } else { Linkage::Glibc })
    }

    pub fn triple(self) -> String {
        let library = match self {
            Linkage::Musl => "musl",
            Linkage::Glibc => "gnu",
        };
        format!("{}-unknown-linux-{library}", env::consts::ARCH)
    }

    /// What whoever builds should know.
    pub fn words(self) -> &'static str {
        match self {
            Linkage::Musl => "static, with musl",
            Linkage::Glibc => {
                "static, with glibc, as this toolchain has no musl (rustup target add x86_64-unknown-linux-musl): \
                 larger, and slower to start"
            }
        }
    }
}

/// Builds the program as it is given to people: static.
///
/// # Errors
/// It does not build.
pub fn build_static(linkage: Linkage) -> io::Result<PathBuf> {
    let triple = linkage.triple();
    let flags = release_flags(linkage);
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--locked", "-p", PACKAGE, "--target", &triple]);
    // Beside those of .cargo/config.toml, which RUSTFLAGS would replace.
    build.arg("--config").arg(format!("target.'cfg(all())'.rustflags = {flags:?}"));
    run(&mut build)?;
    Ok(target()?.join(triple).join("release").join(PROGRAM))
}

/// What only a release is built with: the program names no folder of the machine that built it.
fn release_flags(linkage: Linkage) -> Vec<String> {
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    };
    let remap = format!("--remap-path-prefix={}=/crates", home.join("registry/src").display());
    let is_static = match linkage {
        Linkage::Musl => None,
        Linkage::Glibc => Some("-Ctarget-feature=+crt-static".to_owned()),
    };
    [remap].into_iter().chain(is_static).collect()
}

/// Builds the program as `cargo install` does.
///
/// # Errors
/// It does not build.
pub fn build_release() -> io::Result<PathBuf> {
    run(cargo().args(["build", "--quiet", "--release", "--locked", "-p", PACKAGE]))?;
    Ok(target()?.join("release").join(PROGRAM))
}

/// A program that `--supervisor` names, by its whole path: it is run in other folders.
///
/// # Errors
/// It is not there.
pub fn given(path: &Path) -> io::Result<PathBuf> {
    let unusable = |error: io::Error| io::Error::new(error.kind(), format!("--supervisor {}: {error}", path.display()));
    fs::canonicalize(path).map_err(unusable)
}

/// A program on `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Where daemons are, which not every user's PATH has.
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Writes a file of the workspace.
///
/// # Errors
/// Those of the file system, with the path.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(path, text)).map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        io::Error::new(error.kind(), message)
    })
}
