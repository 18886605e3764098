//! Programs that run beside the command: the hook and the probe, looked for before anything is started.

use super::values::Parsed;
use super::{Refusal, usage};
use crate::patience;
use std::ffi::{OsStr, OsString};
use std::io;
use supervisor_backend_unix::{Command, FindError, find, within};

/// A hook, which reads its events and has no arguments.
pub fn hook(program: OsString, environment: &[(OsString, OsString)]) -> Result<Command, Refusal> {
    if program.is_empty() {
        return Err(usage("invalid value '' for '--on-event <PROGRAM>': give a program".to_owned()));
    }
    // Sockets that were passed down are for the command.
    let environment = environment.iter().filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"LISTEN_"));
    look_for("--on-event", Command { program, arguments: vec![], environment: environment.cloned().collect() })
}

/// A probe: a command line, split into words as a shell does.
pub fn probe(line: OsString, environment: &[(OsString, OsString)]) -> Result<Command, Refusal> {
    let (program, arguments) = words(&line).map_err(|remedy| {
        let line = line.to_string_lossy();
        usage(format!("invalid value '{line}' for '--probe <COMMAND_LINE>': {remedy}"))
    })?;
    let arguments = arguments.into_iter().map(OsString::from).collect();
    look_for("--probe", Command { program: program.into(), arguments, environment: environment.to_vec() })
}

/// The first word of a command line, and the others.
pub fn words(line: &OsStr) -> Parsed<(String, Vec<String>)> {
    let text = line.to_str().ok_or("it is not text")?;
    let mut words = shlex::split(text).ok_or("it ends inside quotes; close them")?.into_iter();
    let program = words.next().ok_or("give a command line, such as 'curl -f localhost'")?;
    let arguments: Vec<String> = words.collect();
    // As an argument it would pass in silence.
    // One in quotes is meant for the program.
    let is_bare = |word: &String| text.split_whitespace().any(|raw| raw == word);
    let is_sign = |word: &&String| ["&&", "||", "|", ";", ">", "<", "2>"].contains(&word.as_str()) && is_bare(word);
    let is_home = program.starts_with("~/") && is_bare(&program);
    match arguments.iter().find(is_sign).map(String::as_str).or(is_home.then_some("~")) {
        Some(sign) => Err(format!("only a shell understands {sign}: write sh -c and the line in quotes")),
        None => Ok((program, arguments)),
    }
}

fn look_for(option: &str, command: Command) -> Result<Command, Refusal> {
    let wanted = command.clone();
    let found = within(patience::LONG, move || Ok(find(&wanted)));
    let remedy = match found.unwrap_or_else(|error| Err(FindError::Other(error))) {
        Ok(_) => return Ok(command),
        Err(error) => remedy(&error, &command),
    };
    Err(Refusal::cannot_work(format!("{option} {}: {remedy}", command.program.display())))
}

fn remedy(error: &FindError, command: &Command) -> String {
    match error {
        // A hook has no arguments, and would take none of env.
        FindError::NotFound if is_assignment(&command.program.to_string_lossy()) && !command.arguments.is_empty() => {
            let words = std::iter::once(&command.program).chain(&command.arguments);
            let line: Vec<_> = words.map(|word| quoted(&word.to_string_lossy())).collect();
            format!("to set a variable for the probe, put env before it: env {}", line.join(" "))
        }
        FindError::NotFound if command.program.to_string_lossy().contains(char::is_whitespace) => {
            "there is no such program; if it is a whole command line in one word, put it into a script".to_owned()
        }
        FindError::NotFound => {
            "there is no such program; give the path of one, or a name to be found in PATH".to_owned()
        }
        FindError::NotExecutable => "it cannot be executed; make it executable, as with chmod +x".to_owned(),
        FindError::NoInterpreter(path) => {
            format!("its interpreter {} is not there; install it, or correct the first line", path.display())
        }
        FindError::Other(error) if error.kind() == io::ErrorKind::TimedOut => {
            "its file system does not answer; give a program on another".to_owned()
        }
        FindError::Other(error) => error.to_string(),
    }
}

/// `FOO=1`, as a shell takes it in front of a command.
pub fn is_assignment(word: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// One word for a shell, with quotes if it needs them.
pub fn quoted(word: &str) -> String {
    const PLAIN: &str = "%+,-./:=@_";
    let is_plain = |character: char| character.is_ascii_alphanumeric() || PLAIN.contains(character);
    match shlex::try_quote(word) {
        Ok(quoted) if word.is_empty() || !word.chars().all(is_plain) => quoted.into_owned(),
        Ok(_) | Err(_) => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::PermissionsExt;

    fn environment() -> Vec<(OsString, OsString)> {
        [("PATH", "/bin:/usr/bin"), ("LISTEN_FDS", "1"), ("LISTEN_PID", "2"), ("X", "LISTEN_")]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec()
    }

    #[test]
    fn a_probe_that_needs_a_shell_says_so() {
        assert!(words(OsStr::new("true && true")).unwrap_err().contains("only a shell understands &&"));
        assert!(words(OsStr::new("~/check.sh now")).unwrap_err().contains("only a shell understands ~"));
        assert!(words(OsStr::new("curl -fs x | grep ok")).unwrap_err().contains("only a shell understands |"));
        for line in ["sh -c 'true && true'", "cut -d '|' -f 1 x", r"find . -exec true {} \;", "expr 2 '>' 1"] {
            assert!(words(OsStr::new(line)).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_probe_that_is_not_found_has_a_remedy_of_its_kind() {
        let table = [
            ("FOO=1 check 'a b'", "put env before it: env FOO=1 check 'a b'"),
            ("_x9=1 check", "env _x9=1 check"),
            ("9x=1 check", "there is no such program; give the path"),
            ("F-O=1 check", "there is no such program; give the path"),
            ("FOO=1", "there is no such program; give the path"),
            ("'no such check'", "if it is a whole command line in one word"),
            ("no-such-check now", "there is no such program; give the path"),
        ];
        for (line, words) in table {
            let refusal = probe(line.into(), &environment()).unwrap_err();
            assert!(refusal.message.contains(words), "{line}: {}", refusal.message);
        }
    }

    #[test]
    fn a_hook_gets_no_sockets_and_a_probe_gets_all_that_the_command_gets() {
        let names = |command: Command| -> Vec<_> {
            command.environment.into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
        };
        assert_eq!(names(hook("sh".into(), &environment()).unwrap()), ["PATH", "X"]);
        assert_eq!(names(probe("sh".into(), &environment()).unwrap()).len(), 4);
    }

    #[test]
    fn a_line_that_is_no_command_is_refused() {
        let table = [
            (OsString::from("curl 'x"), "close them"),
            ("".into(), "give a command line"),
            (" # nothing".into(), "give a command line"),
            (OsString::from_vec(vec![b'a', 0xff]), "it is not text"),
        ];
        for (line, words) in table {
            let refusal = probe(line, &environment()).unwrap_err();
            assert!(refusal.exit_code == exit_code::USAGE && refusal.message.contains(words), "{}", refusal.message);
        }
    }

    #[test]
    fn a_program_that_cannot_be_executed_has_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.into_os_string()
        };
        let table = [
            ("/no/such".into(), "there is no such program"),
            (write("plain", "", 0o644), "make it executable"),
            (write("script", "#!/no/interpreter\n", 0o755), "/no/interpreter is not there"),
        ];
        for (program, words) in table {
            let refusal = hook(program, &environment()).unwrap_err();
            assert!(
                refusal.exit_code == exit_code::CANNOT_WORK && refusal.message.contains(words),
                "{}",
                refusal.message
            );
        }
        let refusal = probe("FOO=1 true".into(), &environment()).unwrap_err();
        assert!(
            refusal.message.ends_with("to set a variable for the probe, put env before it: env FOO=1 true"),
            "{}",
            refusal.message
        );
        let timeout = FindError::Other(io::ErrorKind::TimedOut.into());
        let command = hook("sh".into(), &environment()).unwrap();
        assert!(remedy(&timeout, &command).contains("does not answer"));
        let other = FindError::Other(io::ErrorKind::Other.into());
        assert!(!remedy(&other, &command).contains("does not answer"));
    }
}
