//! The bill of materials (SBOM): all crates that the program is made of, as CycloneDX.

use super::Dist;
use crate::workspace::{self, PACKAGE};
use serde_json::Value;
use std::collections::BTreeSet;
use std::{fs, io};

/// Writes it, where cargo-cyclonedx is there.
///
/// # Errors
/// Those of cargo and of the file system.
pub fn write(dist: &Dist) -> io::Result<()> {
    if workspace::find("cargo-cyclonedx").is_none() {
        println!("no SBOM: cargo install cargo-cyclonedx");
        return Ok(());
    }
    let mut list = workspace::cargo();
    list.env("SOURCE_DATE_EPOCH", &dist.epoch).args(["cyclonedx", "--quiet", "--format", "json"]);
    list.args(["--target", &dist.linkage.triple(), "--override-filename", "sbom"]);
    workspace::run(&mut list)?;
    // It writes one beside each manifest of the workspace; the program's is the one that people need.
    let text = fs::read_to_string(workspace::root().join("cli/sbom.json"))?;
    for folder in ["core", "backend-unix", "cli", "test-clients", "xtask"] {
        match fs::remove_file(workspace::root().join(folder).join("sbom.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
    }
    // Its paths are those of the machine that builds.
    let root = fs::canonicalize(workspace::root())?;
    let text = text.replace(&format!("file://{}/", root.display()), "file:///");
    let mut bill: Value = serde_json::from_str(&text)?;
    keep(&mut bill, &crates(dist)?);
    fs::write(dist.folder.join(dist.name(".cdx.json")), format!("{bill:#}\n"))
}

/// The crates that are built into the program, each as `name@version`.
fn crates(dist: &Dist) -> io::Result<BTreeSet<String>> {
    let mut tree = workspace::cargo();
    tree.args(["tree", "--locked", "--package", PACKAGE, "--edges", "normal,build", "--prefix", "none"]);
    let lines = workspace::output(tree.args(["--format", "{p}", "--target", &dist.linkage.triple()]))?;
    let name = |line: &str| {
        let mut words = line.split(' ');
        Some(format!("{}@{}", words.next()?, words.next()?.strip_prefix('v')?))
    };
    Ok(lines.lines().filter_map(name).collect())
}

/// Drops what other members of the workspace have turned on.
fn keep(bill: &mut Value, crates: &BTreeSet<String>) {
    let is_kept = |reference: &Value| {
        let crate_of = reference.as_str().and_then(|reference| reference.rsplit_once('#'));
        crate_of.is_some_and(|(_, crate_of)| crates.contains(crate_of))
    };
    if let Some(components) = bill["components"].as_array_mut() {
        components.retain(|component| is_kept(&component["bom-ref"]));
    }
    for row in bill["dependencies"].as_array_mut().into_iter().flatten() {
        if let Some(others) = row.get_mut("dependsOn").and_then(Value::as_array_mut) {
            others.retain(is_kept);
        }
    }
    if let Some(rows) = bill["dependencies"].as_array_mut() {
        rows.retain(|row| is_kept(&row["ref"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_program_is_not_made_of_is_dropped_wherever_it_is_named() {
        let (cli, log, regex) = ("path+file:///cli#cli@0.1.0", "registry+x#log@0.4.1", "registry+x#regex@1.0.0");
        let mut bill = json!({
            "components": [{ "bom-ref": log }, { "bom-ref": regex }],
            "dependencies": [
                { "ref": cli, "dependsOn": [log, regex] },
                { "ref": log },
                { "ref": regex, "dependsOn": [log] },
            ],
        });
        keep(&mut bill, &["cli@0.1.0", "log@0.4.1"].map(str::to_owned).into());
        let kept = json!({
            "components": [{ "bom-ref": log }],
            "dependencies": [{ "ref": cli, "dependsOn": [log] }, { "ref": log }],
        });
        assert_eq!(bill, kept);
    }
}
