//! What is likely wrong with a command that cannot be found, and what to do.

use crate::report::display::Escaped;

/// Words that only a shell knows.
const SHELL_WORDS: [&str; 22] = [
    ".", "[[", "alias", "case", "cd", "eval", "exec", "export", "for", "if", "pushd", "read", "set", "shopt", "source",
    "trap", "ulimit", "umask", "unset", "until", "wait", "while",
];

/// What ties commands together in a shell.
const SHELL_SIGNS: [&str; 8] = ["&&", "||", ";", "|", ">", "<", "&", "$("];

/// The likeliest remedy.
pub fn remedy(program: &str, arguments: &[String]) -> String {
    let line = [program].into_iter().chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let line = Escaped(&line);
    let first = program.split_whitespace().next().unwrap_or_default();
    let has_sign = |text: &str| SHELL_SIGNS.iter().any(|sign| text.contains(sign));
    if SHELL_WORDS.contains(&first) || (first != program && has_sign(program)) {
        format!("only a shell understands this: run sh -c '{line}'")
    } else if is_assignment(first) {
        format!("to set a variable for the command, put env before it: env {line}")
    } else if first != program {
        format!("it is a whole command line in one word: leave out the quotes around it, as in supervisor -- {line}")
    } else if program.is_empty() {
        "the command is an empty word: a variable in its place may not be set".to_owned()
    } else if program.contains('/') {
        "there is no such file, or the interpreter of that script is not there".to_owned()
    } else {
        "it is in none of the folders of PATH, or its interpreter is not there; give its path".to_owned()
    }
}

/// `FOO=1`, as a shell takes it in front of a command.
fn is_assignment(word: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_remedy_is_named() {
        let table: [(&[&str], &str); 11] = [
            (&["sleep 10"], "leave out the quotes around it, as in supervisor -- sleep 10"),
            (&["FOO=1", "server"], "env FOO=1 server"),
            (&["FOO=1 server"], "env FOO=1 server"),
            (&["cd", "/srv"], "sh -c 'cd /srv'"),
            (&["cd x && y"], "sh -c 'cd x && y'"),
            (&["server | logger"], "sh -c 'server | logger'"),
            (&["ulimit", "-n", "5"], "sh -c"),
            (&["/opt/server"], "no such file, or the interpreter"),
            (&["serverr"], "none of the folders of PATH"),
            (&["a/b=c"], "no such file"),
            (&[""], "an empty word"),
        ];
        for (command, expected) in table {
            let arguments: Vec<_> = command[1..].iter().map(|word| (*word).to_owned()).collect();
            let words = remedy(command[0], &arguments);
            assert!(words.contains(expected), "{command:?}: {words}");
        }
    }
}
