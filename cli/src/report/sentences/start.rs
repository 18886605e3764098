//! What is likely wrong with a command that cannot be found, and what to do.

use crate::options::programs::{is_assignment, quoted};
use rustix::io::Errno;

/// Words that only a shell knows.
const SHELL_WORDS: [&str; 22] = [
    ".", "[[", "alias", "case", "cd", "eval", "exec", "export", "for", "if", "pushd", "read", "set", "shopt", "source",
    "trap", "ulimit", "umask", "unset", "until", "wait", "while",
];

/// What ties commands together in a shell, as words of their own.
const SHELL_SIGNS: [&str; 9] = ["&&", "||", ";", "|", ">", "<", "&", "(", ")"];

/// What a shell does not take as it stands, anywhere in a line.
const SHELL_CHARACTERS: &str = "();|&<>$`{}*?\n";

/// What people ask of a daemon; this program has none, and would run such a word.
const REQUESTS: [&str; 7] = ["help", "reload", "restart", "start", "status", "stop", "version"];

/// Of durations.
const UNITS: [&str; 6] = ["d", "h", "m", "s", "ms", "us"];

/// The likeliest remedy. What it says to run can be pasted into a shell.
pub fn remedy(program: &str, arguments: &[String]) -> String {
    if let Some(inner) = within_quotes(program) {
        return remedy(inner, arguments);
    }
    let first = program.split_whitespace().next().unwrap_or_default();
    let is_line = first != program;
    let is_sign = |word: &str| SHELL_SIGNS.contains(&word);
    let is_of_a_shell = SHELL_WORDS.contains(&first)
        || program.contains(|character| SHELL_CHARACTERS.contains(character))
        || program.split_whitespace().any(|word| word.starts_with('~'));
    if is_of_a_shell || (is_line && arguments.iter().any(|word| is_sign(word))) {
        let raw_or_quoted = |word: &str| if is_sign(word) { word.to_owned() } else { quoted(word) };
        for_a_shell(first, &line(program, arguments, raw_or_quoted))
    } else if is_assignment(first) {
        // A value with spaces, in a word of its own, had quotes around it.
        let assignment = if arguments.is_empty() { program.to_owned() } else { quoted(program) };
        let arguments = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
        format!("to set a variable for the command, put env before it: env {}", line(&assignment, arguments, quoted))
    } else if UNITS.contains(&program) {
        format!("if it is the unit of a duration, leave out the space before it, as in 30{program}")
    } else if is_line {
        let words = "there is no such file; if it is a whole command line in one word, leave out the quotes around it";
        format!("{words}, as in supervisor -- {}", line(program, arguments, quoted))
    } else if program.starts_with("--") {
        "it looks like an option: options of supervisor stand before the command, and before --".to_owned()
    } else if program.is_empty() {
        "the command is an empty word: a variable in its place may not be set".to_owned()
    } else if REQUESTS.contains(&program) {
        "there is no daemon to talk to: supervisor COMMAND runs a command, supervisor --healthcheck STATUS_FILE tells \
         how one is, and supervisor --help lists the options"
            .to_owned()
    } else if program.contains('/') {
        "there is no such file, or the interpreter of that script is not there".to_owned()
    } else {
        format!(
            "it is in none of the folders of PATH, or its interpreter is not there; give its path, such as ./{program} where \
             it is in the working directory"
        )
    }
}

/// What to do where a file is there, but cannot be executed: execve(2).
pub fn permission(os_error: i32) -> &'static str {
    match Errno::from_raw_os_error(os_error) {
        Errno::NOEXEC => {
            "if it is a script, name its interpreter before it, or in its first line, as in #!/bin/sh; if it is a program, \
             it is made for another kind of machine, or is damaged"
        }
        _ => "if it is a file, make it executable (chmod +x), or name its interpreter before it",
    }
}

/// Has a shell read the line. Quotes are the likeliest cause where it did not expand the first word; where no shell was
/// asked at all, as below a service manager, the remedy is the same.
fn for_a_shell(first: &str, line: &str) -> String {
    let cause = match first.chars().next() {
        Some('~') => "only a shell expands ~, and only outside quotes",
        Some('$') => "only a shell expands $, and only outside single quotes",
        _ => "only a shell understands this",
    };
    if first == "source" || first == "." {
        // What it sets would end with that shell; and not every sh knows source.
        let words = "only a shell understands this, for itself alone";
        return format!(
            "{words}: name the program in that environment by its path, as in supervisor -- venv/bin/python"
        );
    }
    if line.contains('\n') {
        // The log shows it in one line, which no shell would take for several.
        return format!("{cause}: write its lines to a file, and run supervisor -- sh FILE");
    }
    format!("{cause}: run supervisor -- sh -c {}", quoted(line))
}

/// What stands between quotes that a shell has left where they are.
fn within_quotes(word: &str) -> Option<&str> {
    ['"', '\''].into_iter().find_map(|quote| word.strip_prefix(quote)?.strip_suffix(quote))
}

/// The command as it would be typed. The program may be a command line itself; an argument is one word.
fn line(program: &str, arguments: &[String], word: impl Fn(&str) -> String) -> String {
    arguments.iter().fold(program.to_owned(), |line, argument| line + " " + &word(argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_executed_is_no_program_or_lacks_the_right() {
        assert!(permission(Errno::NOEXEC.raw_os_error()).contains("in its first line, as in #!/bin/sh"));
        assert!(permission(Errno::ACCESS.raw_os_error()).contains("chmod +x"));
    }

    #[test]
    fn the_likeliest_remedy_is_named() {
        let table: [(&[&str], &str); 41] = [
            (&["A=1", "--", "true"], "env A=1 true"),
            (&["ms", "--", "true"], "leave out the space before it, as in 30ms"),
            (&["(touch x)"], "run supervisor -- sh -c '(touch x)'"),
            (
                &["~/bin/x", "two words"],
                "expands ~, and only outside quotes: run supervisor -- sh -c \"~/bin/x 'two words'\"",
            ),
            (&["$HOME/x"], "expands $, and only outside single quotes: run supervisor -- sh -c '$HOME/x'"),
            (&["~"], "only outside quotes"),
            (&["source", "venv/bin/activate"], "by its path, as in supervisor -- venv/bin/python"),
            (&[". venv/bin/activate"], "for itself alone: name the program in that environment"),
            (&["cp ~/x y"], "only a shell understands this: run supervisor -- sh -c 'cp ~/x y'"),
            (&["cp x~ y"], "leave out the quotes around it, as in supervisor -- cp x~ y"),
            (&["server;"], "sh -c 'server;'"),
            (&["server&"], "sh -c 'server&'"),
            (&["cat<x"], "sh -c 'cat<x'"),
            (&["ls *.t?t"], "sh -c 'ls *.t?t'"),
            (&["echo {a,b}"], "sh -c 'echo {a,b}'"),
            (&["touch a\ntouch b"], "run supervisor -- sh FILE"),
            (&["\"touch started\""], "leave out the quotes around it, as in supervisor -- touch started"),
            (&["'serverr'"], "none of the folders of PATH"),
            (&["\""], "none of the folders of PATH"),
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
            (&["sleep 10", "&&", "true"], "sh -c 'sleep 10 && true'"),
            (&["FOO=two words", "server"], "env 'FOO=two words' server"),
            (&["FOO=1", "./my server", "it's", "$x", "*"], "env FOO=1 './my server' \"it's\" '$x' '*'"),
            (&["./my server", "it's"], "there is no such file; if it is a whole command line"),
            (&["help"], "there is no daemon to talk to"),
            (&["start", "web"], "supervisor --healthcheck STATUS_FILE"),
            (&["./stop"], "no such file"),
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
