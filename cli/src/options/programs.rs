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
    Ok((program, words.collect()))
}

fn look_for(option: &str, command: Command) -> Result<Command, Refusal> {
    let wanted = command.clone();
    let found = within(patience::LONG, move || Ok(find(&wanted)));
    let remedy = match found.unwrap_or_else(|error| Err(FindError::Other(error))) {
        Ok(_) => return Ok(command),
        Err(error) => remedy(&error),
    };
    Err(Refusal::cannot_work(format!("{option} {}: {remedy}", command.program.display())))
}

fn remedy(error: &FindError) -> String {
    match error {
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
