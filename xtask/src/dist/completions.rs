//! Completions for shells, from the one definition of the options.

use crate::choices::words_of;
use crate::workspace::{PROGRAM, REPLAY};
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueHint};
use clap_complete::{Shell, generate};
use std::path::Path;
use std::{fs, io};

/// Options that name a signal. Those that are offered are the usual ones; the program takes more, numbers too.
const SIGNAL_OPTIONS: [(&str, &[&str]); 4] = [
    ("stop_signal", &["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "KILL"]),
    ("hang_signal", &["QUIT", "ABRT", "USR1", "USR2", "HUP"]),
    ("stop_on", &["QUIT", "HUP", "USR1", "USR2", "WINCH"]),
    ("restart_signal", &["HUP", "USR1", "USR2"]),
];

/// Options that name a file, and the one that names a program.
const HINTS: [(&str, ValueHint); 8] = [
    ("heartbeat_file", ValueHint::FilePath),
    ("status_file", ValueHint::FilePath),
    ("metrics_file", ValueHint::FilePath),
    ("pid_file", ValueHint::FilePath),
    ("healthcheck", ValueHint::FilePath),
    ("log", ValueHint::FilePath),
    ("html", ValueHint::FilePath),
    ("on_event", ValueHint::ExecutablePath),
];

/// Writes them into a folder, under the names by which shells look for them.
///
/// # Errors
/// Those of the file system.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        fs::write(
            folder.join(file_name(shell, PROGRAM)),
            script(shell, PROGRAM, supervisor_cli::parser()) + &commands(shell),
        )?;
        fs::write(folder.join(file_name(shell, REPLAY)), script(shell, REPLAY, supervisor_cli::replay::parser()))?;
    }
    Ok(())
}

/// The name by which a shell looks for the completions of a program.
pub fn file_name(shell: Shell, program: &str) -> String {
    match shell {
        Shell::Zsh => format!("_{program}"),
        Shell::Fish => format!("{program}.fish"),
        // The others are not made.
        _ => format!("{program}.bash"),
    }
}

fn script(shell: Shell, program: &str, parser: Command) -> String {
    let mut script = Vec::new();
    generate(shell, &mut for_shells(parser), program, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The parser with what only a shell needs to know.
fn for_shells(parser: Command) -> Command {
    parser.mut_args(|option: Arg| {
        let id = option.get_id().as_str().to_owned();
        let signals = SIGNAL_OPTIONS.iter().find(|(name, _)| *name == id).map(|(_, signals)| *signals);
        let values = words_of(&id).or(signals);
        let hint = HINTS.iter().find(|(name, _)| *name == id).map(|(_, hint)| *hint);
        match (values, hint) {
            (Some(values), _) => option.value_parser(PossibleValuesParser::new(values)),
            (None, Some(hint)) => option.value_hint(hint),
            (None, None) if option.is_positional() => option.value_hint(ValueHint::CommandWithArguments),
            (None, None) if option.get_action().takes_values() => option.value_hint(ValueHint::Other),
            (None, None) => option,
        }
    })
}

/// What a shell must be told by hand: where the command begins, and that its own completions follow it.
fn commands(shell: Shell) -> String {
    match shell {
        Shell::Bash => COMMANDS_IN_BASH.replace("OPTIONS_WITH_VALUE", &options_with_value("|")),
        Shell::Fish => {
            let options = options_with_value(" ");
            // Fish takes long options that come first for its own, so something else stands before them.
            format!("complete -c {PROGRAM} -x -a '(__fish_complete_subcommand - {options})'\n")
        }
        // Zsh learns it from the hint, and the others are not made.
        _ => String::new(),
    }
}

fn options_with_value(separator: &str) -> String {
    let parser = supervisor_cli::parser();
    let takes_value = parser.get_arguments().filter(|option| option.get_action().takes_values());
    takes_value.filter_map(Arg::get_long).map(|name| format!("--{name}")).collect::<Vec<_>>().join(separator)
}

const COMMANDS_IN_BASH: &str = r#"
_supervisor_and_command() {
    local place=1
    while ((place < COMP_CWORD)); do
        case "${COMP_WORDS[place]}" in
            --) ((place++)); break ;;
            OPTIONS_WITH_VALUE) ((place += 2)) ;;
            -*) ((place++)) ;;
            *) break ;;
        esac
    done
    if ((place < COMP_CWORD)) && declare -F _command_offset >/dev/null; then
        _command_offset "$place"
    elif ((place == COMP_CWORD)) && [[ "${COMP_WORDS[COMP_CWORD]}" != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    elif ((place >= COMP_CWORD)); then
        _supervisor "$@"
    fi
}
complete -F _supervisor_and_command -o bashdefault -o default supervisor
"#;
