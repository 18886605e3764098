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
    let line = line(program, arguments);
    let first = program.split_whitespace().next().unwrap_or_default();
    let has_sign = |text: &str| SHELL_SIGNS.iter().any(|sign| text.contains(sign));
    if SHELL_WORDS.contains(&first) || (first != program && has_sign(program)) {
        let quoted = shlex::try_quote(&line).unwrap_or_default();
        format!("only a shell understands this: run sh -c {}", Escaped(&quoted))
    } else if is_assignment(first) {
        format!("to set a variable for the command, put env before it: env {}", Escaped(&line))
    } else if first != program {
        let words = "it is a whole command line in one word: leave out the quotes around it, as in supervisor --";
        format!("{words} {}", Escaped(&line))
    } else if program.starts_with("--") {
        "it looks like an option: options of supervisor stand before the command, and before --".to_owned()
    } else if program.is_empty() {
        "the command is an empty word: a variable in its place may not be set".to_owned()
    } else if program.contains('/') {
        "there is no such file, or the interpreter of that script is not there".to_owned()
    } else {
        "it is in none of the folders of PATH, or its interpreter is not there; give its path".to_owned()
    }
}

/// The command as it would be typed. The program may be a command line itself; an argument is one word.
fn line(program: &str, arguments: &[String]) -> String {
    let needs_quotes = |word: &str| {
        word.is_empty() || word.contains(|character: char| character.is_whitespace() || "'\"\\".contains(character))
    };
    let quoted = |word: &String| match shlex::try_quote(word) {
        Ok(quoted) if needs_quotes(word) => quoted.into_owned(),
        Ok(_) | Err(_) => word.clone(),
    };
    [program.to_owned()].into_iter().chain(arguments.iter().map(quoted)).collect::<Vec<_>>().join(" ")
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
        let table: [(&[&str], &str); 16] = [
            (&["sleep 10"], "leave out the quotes around it, as in supervisor -- sleep 10"),
            (&["FOO=1", "server"], "env FOO=1 server"),
            (&["FOO=1 server"], "env FOO=1 server"),
            (&["cd", "/srv"], "sh -c 'cd /srv'"),
            (&["cd x && y"], "sh -c 'cd x && y'"),
            (&["server | logger"], "sh -c 'server | logger'"),
            (&["ulimit", "-n", "5"], "sh -c 'ulimit -n 5'"),
            (&["cd it's && y"], "sh -c \"cd it's && y\""),
            (&["cd", "my folder"], "sh -c \"cd 'my folder'\""),
            (&["FOO=1", "server", "two words", ""], "env FOO=1 server 'two words' ''"),
            (&["sleep 10", "&&", "true"], "supervisor -- sleep 10 && true"),
            (&["--timeout", "60"], "options of supervisor stand before the command"),
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
