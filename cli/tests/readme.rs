//! The pages for people, held against the program: links, commands, options, both languages, and the heartbeats in each
//! language that is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

const PROGRAM: &str = env!("CARGO_BIN_EXE_supervisor");
const ENGLISH: &str = "README.md";
const RUSSIAN: &str = "README.ru.md";

#[test]
fn every_relative_link_leads_somewhere() {
    let all = pages().into_iter().flat_map(|page| links(&page).into_iter().map(move |link| (page.clone(), link)));
    let dead: Vec<_> = all.filter(|(page, link)| !leads(page, link)).collect();
    assert!(dead.is_empty(), "dead links: {dead:#?}");
}

#[test]
fn every_command_is_accepted_by_the_program() {
    let folder = tempfile::tempdir().unwrap();
    write_hook(&folder.path().join("notify-chat"));
    for (command, page) in commands() {
        let words: Vec<_> = command.iter().skip(1).filter(|word| *word != "--dry-run").collect();
        if words.first().is_some_and(|word| *word == "--healthcheck") {
            continue;
        }
        let mut supervisor = Command::new(PROGRAM);
        supervisor.arg("--dry-run").args(&words).current_dir(folder.path());
        // Where the command line sets no limit, a short story is enough.
        let tried = supervisor.env("SUPERVISOR_MAX_RESTARTS", "0").output().unwrap();
        assert!(tried.status.success(), "{page}: {command:?}: {}", text(&tried.stderr));
    }
}

/// The hook that the manual shows, whose name is in its second line.
fn write_hook(path: &Path) {
    let hook = blocks("docs/manual.md", "sh").into_iter().find(|block| block.contains("# notify-chat:")).unwrap();
    fs::write(path, hook).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_command_has_a_ceiling_for_its_delays() {
    let without = |command: &[String]| {
        !["--max-backoff", "--healthcheck"].iter().any(|option| command.iter().any(|word| word == option))
    };
    let found: Vec<_> = commands().into_iter().filter(|(command, _)| without(command)).collect();
    assert!(found.is_empty(), "an example without --max-backoff: {found:#?}");
}

#[test]
fn the_pages_know_the_options_of_the_program() {
    let program = options_of_the_program();
    assert_eq!(rows(ENGLISH).into_keys().collect::<BTreeSet<_>>(), program, "the table in {ENGLISH}");
    let manual = read("docs/manual.md");
    let explained = |option: &String| [' ', '`'].iter().any(|end| manual.contains(&format!("`{option}{end}")));
    let missing: Vec<_> = program.iter().filter(|option| !explained(option)).collect();
    assert!(missing.is_empty(), "docs/manual.md does not explain {missing:?}");
    for page in pages() {
        let unknown: Vec<_> =
            options_in_prose(&read(&page)).into_iter().filter(|option| !program.contains(option)).collect();
        assert!(unknown.is_empty(), "{page} speaks of {unknown:?}");
        let strange: Vec<_> = variables_in(&read(&page)).into_iter().filter(|name| !program.contains(name)).collect();
        assert!(strange.is_empty(), "{page} has variables for {strange:?}");
    }
}

#[test]
fn both_languages_tell_the_same() {
    assert_eq!(rows(RUSSIAN), rows(ENGLISH), "options and defaults");
    assert_eq!(code(RUSSIAN), code(ENGLISH), "commands and programs");
    let targets = |page: &str, other: &str| -> BTreeSet<String> {
        let files = links(page).into_iter().map(|link| link.split('#').next().unwrap_or_default().to_owned());
        files.filter(|file| file != other && !file.is_empty()).collect()
    };
    assert_eq!(targets(RUSSIAN, ENGLISH), targets(ENGLISH, RUSSIAN), "links");
}

#[test]
fn the_first_five_minutes_end_as_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let worker = blocks(ENGLISH, "python").into_iter().find(|block| block.starts_with("# worker.py")).unwrap();
    fs::write(folder.path().join("worker.py"), worker).unwrap();
    let command = blocks(ENGLISH, "bash").into_iter().find(|block| block.contains("worker.py")).unwrap();
    let words = shlex::split(&command).unwrap();
    let mut supervisor = Command::new(PROGRAM);
    let ended =
        supervisor.args(&words[1..]).env("SUPERVISOR_MAX_RESTARTS", "0").current_dir(folder.path()).output().unwrap();
    assert_eq!(ended.status.code(), Some(124), "{}", text(&ended.stderr));
    for words in ["for the first time", "hung: pid", "autopsy: pid", "sent SIGTERM to process group"] {
        assert!(text(&ended.stderr).contains(words), "no {words:?} in {}", text(&ended.stderr));
    }
}

/// In each of these, `work` deletes the heartbeat file, which fails unless the loop has just made it.
const LANGUAGES: [Language; 6] = [
    Language {
        name: "sh",
        file: "main.sh",
        build: &[],
        run: &["sh", "-e", "main.sh"],
        before: "list_jobs() { printf '1\\n2\\n3\\n'; }\nwork() { rm \"$HEARTBEAT_FILE\" && echo worked; }\n",
        after: "",
    },
    Language {
        name: "python",
        file: "main.py",
        build: &[],
        run: &["python3", "main.py"],
        before: "import os, pathlib\n\ndef jobs():\n    return range(3)\n\ndef work(job):\n    heartbeat.unlink()\n    \
                 print('worked', flush=True)\n\n",
        after: "",
    },
    Language {
        name: "js",
        file: "main.mjs",
        build: &[],
        run: &["node", "main.mjs"],
        before: "import fs from 'node:fs'\nasync function* jobs() { yield* [1, 2, 3] }\n\
                 async function work(job) { fs.unlinkSync(heartbeat); console.log('worked') }\n",
        after: "",
    },
    Language {
        name: "go",
        file: "main.go",
        build: &[],
        run: &["go", "run", "main.go"],
        before: "package main\n\nimport (\"fmt\"; \"os\")\n\nfunc jobs() chan int { c := make(chan int, 3); c <- 1; c <- 2; \
                 c <- 3; close(c); return c }\n\nfunc work(job int) { if os.Remove(os.Getenv(\"HEARTBEAT_FILE\")) != nil { \
                 os.Exit(1) }; fmt.Println(\"worked\") }\n\nfunc main() {\n",
        after: "}\n",
    },
    Language {
        name: "java",
        file: "Main.java",
        build: &[],
        run: &["java", "Main.java"],
        before: "import java.nio.file.*;\npublic class Main {\n    static int[] jobs() { return new int[] {1, 2, 3}; }\n    \
                 static void work(int job) throws Exception { Files.delete(Path.of(System.getenv(\"HEARTBEAT_FILE\"))); \
                 System.out.println(\"worked\"); }\n    public static void main(String[] arguments) throws Exception {\n",
        after: "    }\n}\n",
    },
    Language {
        name: "rust",
        file: "main.rs",
        build: &["rustc", "--edition=2024", "-o", "main", "main.rs"],
        run: &["./main"],
        before: "fn jobs() -> [u8; 3] { [1, 2, 3] }\nfn work(_job: u8) { \
                 std::fs::remove_file(std::env::var_os(\"HEARTBEAT_FILE\").unwrap()).unwrap(); println!(\"worked\"); }\n\
                 fn main() {\n",
        after: "}\n",
    },
];

struct Language {
    /// The name of its blocks in the page.
    name: &'static str,
    file: &'static str,
    /// How it is compiled, if it is.
    build: &'static [&'static str],
    run: &'static [&'static str],
    before: &'static str,
    after: &'static str,
}

#[test]
fn the_heartbeat_beats_in_every_language_at_hand() {
    for language in LANGUAGES {
        let tool = language.build.first().or(language.run.first()).unwrap();
        if on_path(tool) {
            beats(&language);
        } else {
            // The harness would keep what eprintln! says to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED: the heartbeat in {}: there is no {tool} here", language.name);
        }
    }
}

fn beats(language: &Language) {
    let folder = tempfile::tempdir().unwrap();
    let is_loop = |block: &String| block.contains("work(job)") || block.contains("work \"$job\"");
    let snippet = blocks(ENGLISH, language.name).into_iter().find(is_loop).unwrap();
    let program = format!("{}{snippet}{}", language.before, language.after);
    fs::write(folder.path().join(language.file), &program).unwrap();
    if let Some((tool, arguments)) = language.build.split_first() {
        let built = Command::new(tool).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(built.status.success(), "{}: {}", language.name, text(&built.stderr));
    }
    let run = supervised(folder.path(), language.run);
    assert_eq!(run.status.code(), Some(0), "{}: {}\n{program}", language.name, text(&run.stderr));
    assert_eq!(text(&run.stdout), "worked\n".repeat(3), "{}", language.name);
}

fn supervised(folder: &Path, command: &[&str]) -> Output {
    let mut supervisor = Command::new(PROGRAM);
    supervisor.args(["--timeout", "60", "--restart", "never", "--"]).args(command);
    supervisor.current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn on_path(tool: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(tool).exists())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Both READMEs and all of docs, by their paths from the root.
fn pages() -> Vec<String> {
    let docs =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let docs = docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    docs.chain([ENGLISH, RUSSIAN].map(str::to_owned)).collect()
}

/// The lines outside of fenced blocks.
fn prose(page: &str) -> Vec<String> {
    let mut fenced = false;
    let text = read(page);
    let outside = text.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced && !line.starts_with("```")
    });
    outside.map(str::to_owned).collect()
}

/// What the fenced blocks of one kind hold.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let text = read(page);
    let parts = text.split("\n```").skip(1).step_by(2);
    parts.filter_map(|part| part.strip_prefix(kind)?.strip_prefix('\n')).map(|block| format!("{block}\n")).collect()
}

/// The blocks that people copy, without their comments, which each language has its own of.
fn code(page: &str) -> BTreeMap<&'static str, Vec<String>> {
    let is_comment = |line: &&str| line.starts_with("# ") || line.starts_with("// ");
    let bare = |block: String| block.lines().filter(|line| !is_comment(line)).collect::<Vec<_>>().join("\n");
    let kinds = ["bash", "sh", "python", "js", "go", "java", "rust"];
    kinds.into_iter().map(|kind| (kind, blocks(page, kind).into_iter().map(bare).collect())).collect()
}

/// The targets of all links and pictures that are no addresses of the web.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page).join("\n");
    let targets =
        prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

fn leads(page: &str, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let file = if file.is_empty() { page.to_owned() } else { in_folder_of(page, file) };
    let exists = root().join(&file).exists();
    exists && anchor.is_none_or(|anchor| prose(&file).iter().any(|line| anchor_of(line).as_deref() == Some(anchor)))
}

fn in_folder_of(page: &str, file: &str) -> String {
    Path::new(page).with_file_name(file).to_string_lossy().into_owned()
}

/// The anchor that code hosts give a heading: letters, digits, hyphens; spaces become hyphens.
fn anchor_of(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
}

/// The command lines of this program, each from its name on, without what a shell adds; and a page that shows it.
fn commands() -> BTreeMap<Vec<String>, String> {
    let lines = pages().into_iter().flat_map(|page| {
        let blocks = ["bash", "sh"].into_iter().flat_map(|kind| blocks(&page, kind)).collect::<String>();
        blocks.lines().map(|line| (line.to_owned(), page.clone())).collect::<Vec<_>>()
    });
    let found: BTreeMap<_, _> = lines.filter_map(|(line, page)| Some((of_this_program(&line)?, page))).collect();
    assert!(found.len() > 10, "only {} commands found", found.len());
    found
}

fn of_this_program(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line)?;
    let start = words.iter().position(|word| word == "supervisor")?;
    Some(words[start..].iter().take_while(|word| *word != "&").cloned().collect())
}

/// The long options that the help lists.
fn options_of_the_program() -> BTreeSet<String> {
    let help = Command::new(PROGRAM).arg("-h").output().unwrap();
    let help = text(&help.stdout);
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let names = lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    let names: BTreeSet<_> = names.map(|name| name.trim_end_matches('.').to_owned()).collect();
    names.into_iter().filter(|name| !["--help", "--version"].contains(&name.as_str())).collect()
}

/// The rows of a page's table of options: name and default.
fn rows(page: &str) -> BTreeMap<String, String> {
    let prose = prose(page);
    let is_head =
        |line: &String| ["| option | default |", "| опция | по умолчанию |"].iter().any(|head| line.starts_with(head));
    let table = prose.iter().skip_while(|line| !is_head(line)).skip(2).take_while(|line| line.starts_with('|'));
    table.map(|row| name_and_default(row)).collect()
}

fn name_and_default(row: &str) -> (String, String) {
    let cells: Vec<_> = row.split(" | ").collect();
    let name = cells[0].split(['`', ' ', ',']).find(|word| word.starts_with("--")).unwrap_or(cells[0]);
    (name.to_owned(), cells[1].trim_matches(['`', ' ']).to_owned())
}

/// The words in code spans that look like options of this program; those of other programs stand behind their name.
fn options_in_prose(page: &str) -> BTreeSet<String> {
    let spans = page.split('`').skip(1).step_by(2).filter(|span| span.starts_with("--") && span.len() > 2);
    let names = spans.map(|span| span.split([' ', '=', ',']).next().unwrap_or_default().to_owned());
    let foreign = ["--init", "--foreground"];
    names.filter(|name| !foreign.contains(&name.as_str())).collect()
}

/// The options that the variables in a page stand for; hooks have one more variable, with the event's name.
fn variables_in(page: &str) -> BTreeSet<String> {
    let names = page.split("SUPERVISOR_").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    });
    let options = names.filter(|name| !["", "EVENT"].contains(name));
    options.map(|name| format!("--{}", name.to_lowercase().replace('_', "-"))).collect()
}
