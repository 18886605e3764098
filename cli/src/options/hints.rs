//! What somebody probably meant who wrote something else.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use strsim::damerau_levenshtein;

/// What is worth a warning, though nothing is wrong for sure.
#[derive(Debug, PartialEq, Eq)]
pub struct Hint {
    /// What it is about: `environment`, `options`.
    pub about: &'static str,
    /// A sentence.
    pub words: String,
}

/// Variables that supervisord gives its children: <http://supervisord.org/subprocess.html>.
const OF_SUPERVISORD: [&str; 4] =
    ["SUPERVISOR_ENABLED", "SUPERVISOR_PROCESS_NAME", "SUPERVISOR_GROUP_NAME", "SUPERVISOR_SERVER_URL"];

/// `; did you mean X?`, where one of the words is nearly the same.
pub fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(word, known).map(|known| format!("; did you mean {known}?")).unwrap_or_default()
}

/// The same for the name of an option: one that it is the beginning of is likelier than one that looks like it.
pub fn did_you_mean_option<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let longer = |beginning: &str| known.clone().filter(|known| known.starts_with(beginning)).collect::<Vec<_>>();
    let meant = match (longer(name), nearest(name, known.clone())) {
        (longer, _) if !name.is_empty() && !longer.is_empty() => longer,
        (_, Some(nearest)) => vec![nearest],
        (_, None) => {
            let first_words = known.clone().filter_map(|known| known.split('-').next());
            nearest(name, first_words.filter(|word| word.len() >= LONG_WORD)).map(longer).unwrap_or_default()
        }
    };
    let meant: Vec<_> = meant.into_iter().map(|name| format!("--{name}")).collect();
    if meant.is_empty() { String::new() } else { format!("; did you mean {}?", meant.join(" or ")) }
}

/// The first word of an option that is shorter looks like too many others.
const LONG_WORD: usize = 5;

/// A mistake in a third of the letters is one that can be made.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let most = (word.chars().count() / 3).clamp(1, 3);
    let distances = known.map(|known| (damerau_levenshtein(&lower, &known.to_lowercase()), known));
    distances.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
}

/// Variables that are nearly ones of ours: of four letters one may be wrong, two at most.
pub fn misspelt_variables<'a>(
    environment: impl Iterator<Item = &'a OsStr>,
    ours: &BTreeSet<OsString>,
) -> impl Iterator<Item = Hint> {
    const PREFIX: &str = "SUPERVISOR_";
    let names = environment.filter_map(OsStr::to_str).filter(|name| name.starts_with(PREFIX));
    let others = names.filter(|name| !ours.contains(OsStr::new(name)) && !OF_SUPERVISORD.contains(name));
    others.filter_map(|name| {
        let distances =
            ours.iter().filter_map(|ours| ours.to_str()).map(|ours| (damerau_levenshtein(name, ours), ours));
        let most = ((name.len() - PREFIX.len()) / 4).clamp(1, 2);
        let (_, meant) = distances.filter(|(distance, _)| *distance <= most).min()?;
        let words = format!("the variable {name} means nothing to supervisor; did you mean {meant}?");
        Some(Hint { about: "environment", words })
    })
}

/// Says that an option went to the command, where it stands behind it without a `--` in between.
pub fn misplaced_option<'a>(arguments: &[OsString], options: impl Iterator<Item = &'a str> + Clone) -> Option<Hint> {
    let name_of = |word: &OsString| Some(word.to_str()?.strip_prefix("--")?.split('=').next()?.to_owned());
    let name = arguments.iter().filter_map(name_of).find(|name| options.clone().any(|option| option == name))?;
    let words = format!(
        "--{name} stands behind the command, and went to it; put it before the command if it is for supervisor, or \
         put -- before the command if it is not"
    );
    Some(Hint { about: "options", words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_option_is_likelier_than_its_look() {
        let known = ["no-heartbeat", "heartbeat-file", "timeout", "max-backoff", "max-restarts"];
        let table = [
            ("heartbeat", "; did you mean --heartbeat-file?"),
            ("timeot", "; did you mean --timeout?"),
            ("max", "; did you mean --max-backoff or --max-restarts?"),
            ("max-retarts", "; did you mean --max-restarts?"),
            ("hearbeat", "; did you mean --heartbeat-file?"),
            ("colour", ""),
            ("", ""),
        ];
        for (name, hint) in table {
            assert_eq!(did_you_mean_option(name, known.iter().copied()), hint, "{name}");
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let ours = ["SUPERVISOR_TIMEOUT", "SUPERVISOR_NAME", "SUPERVISOR_ON_EVENT"].map(OsString::from).into();
        let found =
            |name: &str| misspelt_variables([OsStr::new(name)].into_iter(), &ours).next().map(|hint| hint.words);
        for (name, meant) in
            [("SUPERVISOR_TIMEOT", "SUPERVISOR_TIMEOUT"), ("SUPERVISOR_ONEVENT", "SUPERVISOR_ON_EVENT")]
        {
            assert!(found(name).is_some_and(|words| words.contains(meant)), "{name}");
        }
        for name in OF_SUPERVISORD.into_iter().chain(["SUPERVISOR_TIMEOUT", "SUPERVISOR_NODE", "SUPERVISOR_", "PATH"]) {
            assert_eq!(found(name), None, "{name}");
        }
    }

    #[test]
    fn an_option_behind_the_command_is_found() {
        let found = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(OsString::from).collect();
            misplaced_option(&words, ["timeout", "name"].into_iter()).map(|hint| hint.words)
        };
        for words in [&["--timeout", "5"][..], &["-x", "--timeout=5"]] {
            assert!(found(words).is_some_and(|words| words.starts_with("--timeout stands behind")), "{words:?}");
        }
        for words in [&["timeout"][..], &["--timeouts"], &["--"], &[]] {
            assert_eq!(found(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_third_of_the_letters_may_be_wrong_but_not_more() {
        let meant = |word: &str| nearest(word, ["always", "term"].into_iter());
        assert_eq!((meant("alxxys"), meant("terx"), meant("tore")), (Some("always"), Some("term"), None));
        let ours = ["SUPERVISOR_ON_EVENT"].map(OsString::from).into();
        let found = |name: &str| misspelt_variables([OsStr::new(name)].into_iter(), &ours).count();
        assert_eq!((found("SUPERVISOR_ON_EVXXT"), found("SUPERVISOR_ON_XXXXT")), (1, 0));
    }
}
