//! Commands that run another one, and keep the name of the heartbeat file from it.

use crate::options::programs::quoted;
use std::path::Path;

/// How the variable gets through, if the command is known to take it away: sudo(8), doas(1), su(1), runuser(1). What it
/// says to run can be pasted into a shell.
pub fn remedy(program: &str, arguments: &[String]) -> Option<String> {
    if arguments.iter().any(|word| hands_on(word)) {
        return None;
    }
    let is_login = || arguments.iter().any(|word| ["-", "-l", "--login"].contains(&word.as_str()));
    let name = Path::new(program).file_name()?.to_str()?;
    let option = match name {
        "sudo" => "--preserve-env=HEARTBEAT_FILE",
        "su" | "runuser" if is_login() => "--whitelist-environment=HEARTBEAT_FILE",
        // It has no such option.
        "doas" => return Some("let doas hand on HEARTBEAT_FILE, by setenv in doas.conf".to_owned()),
        _ => return None,
    };
    let words: Vec<_> = [program, option].into_iter().chain(arguments.iter().map(String::as_str)).map(quoted).collect();
    Some(format!("let {name} hand on HEARTBEAT_FILE, as in supervisor -- {}", words.join(" ")))
}

fn hands_on(word: &str) -> bool {
    let names_it = word.starts_with("--") && word.contains("HEARTBEAT_FILE");
    names_it || word.starts_with("HEARTBEAT_FILE") || ["-E", "--preserve-env"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &[&str]) -> Option<String> {
        let arguments: Vec<_> = line[1..].iter().map(|word| (*word).to_owned()).collect();
        remedy(line[0], &arguments)
    }

    #[test]
    fn what_takes_the_variable_away_is_told_how_to_hand_it_on() {
        let table: [(&[&str], &str); 5] = [
            (
                &["sudo", "-u", "app", "sh", "-c", "touch \"$HEARTBEAT_FILE\""],
                "supervisor -- sudo --preserve-env=HEARTBEAT_FILE -u app sh -c 'touch \"$HEARTBEAT_FILE\"'",
            ),
            (&["/usr/bin/sudo", "server"], "let sudo hand on"),
            (&["su", "-", "app"], "supervisor -- su --whitelist-environment=HEARTBEAT_FILE - app"),
            (&["runuser", "-l", "app"], "supervisor -- runuser --whitelist-environment=HEARTBEAT_FILE -l app"),
            (&["doas", "server"], "setenv in doas.conf"),
        ];
        for (line, words) in table {
            assert!(told(line).is_some_and(|told| told.contains(words)), "{line:?}: {:?}", told(line));
        }
    }

    #[test]
    fn what_hands_the_variable_on_is_left_alone() {
        let table: [&[&str]; 9] = [
            &["server", "-"],
            &["su", "app"],
            &["setpriv", "--reuid=1", "server"],
            &["sudo", "-E", "server"],
            &["sudo", "--preserve-env", "server"],
            &["sudo", "--preserve-env=PATH,HEARTBEAT_FILE", "server"],
            &["sudo", "HEARTBEAT_FILE=/x", "server"],
            &["su", "-w", "HEARTBEAT_FILE", "-", "app"],
            &["/"],
        ];
        for line in table {
            assert_eq!(told(line), None, "{line:?}");
        }
    }
}
