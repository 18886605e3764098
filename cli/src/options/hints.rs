//! What somebody probably meant who wrote something else.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::time::Duration;
use strsim::damerau_levenshtein;
use supervisor_backend_unix::Signal;

/// What is worth a warning, though nothing is wrong for sure.
#[derive(Debug, PartialEq, Eq)]
pub struct Hint {
    /// What it is about: `environment`, `options`.
    pub about: &'static str,
    /// A sentence.
    pub words: String,
}

/// Of our variables, and of some that other programs use.
const PREFIX: &str = "SUPERVISOR_";

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

/// Variables that are nearly ones of ours: of four letters one may be wrong, two at most, or the last words are
/// missing, or there is one too many, or the letters are small.
pub fn misspelt_variables<'a>(
    environment: impl Iterator<Item = &'a OsStr>,
    ours: &BTreeSet<OsString>,
) -> impl Iterator<Item = Hint> {
    let others = environment.filter(|name| !ours.contains(*name)).filter_map(OsStr::to_str);
    others.filter_map(|name| {
        let capital = name.to_ascii_uppercase();
        if !capital.starts_with(PREFIX) || OF_SUPERVISORD.contains(&capital.as_str()) {
            return None;
        }
        let distances =
            ours.iter().filter_map(|ours| ours.to_str()).map(|ours| (damerau_levenshtein(&capital, ours), ours));
        let most = ((name.len() - PREFIX.len()) / 4).clamp(1, 2);
        let nearest = distances.filter(|(distance, _)| *distance <= most).min().map(|(_, ours)| ours.to_owned());
        let meant = nearest.or_else(|| longer_or_shorter_variables(&capital, ours))?;
        let words = format!("the variable {name} means nothing to supervisor; did you mean {meant}?");
        Some(Hint { about: "environment", words })
    })
}

/// `SUPERVISOR_HEARTBEAT` is the beginning of `SUPERVISOR_HEARTBEAT_FILE`, and `SUPERVISOR_TIMEOUT` that of
/// `SUPERVISOR_TIMEOUT_SECONDS`. One short word, as in `SUPERVISOR_LOG`, may well begin a variable of another program.
fn longer_or_shorter_variables(name: &str, ours: &BTreeSet<OsString>) -> Option<String> {
    let begins = |beginning: &str, whole: &str| {
        let is_long = beginning.len() - PREFIX.len() >= LONG_WORD;
        is_long && whole.strip_prefix(beginning).is_some_and(|rest| rest.starts_with('_'))
    };
    let meant = ours.iter().filter_map(|ours| ours.to_str()).filter(|ours| begins(name, ours) || begins(ours, name));
    let meant: Vec<_> = meant.collect();
    (!meant.is_empty()).then(|| meant.join(" or "))
}

/// Signals that the kernel drops where a program does not handle them: signal(7).
const DROPPED: [&str; 3] = ["CHLD", "URG", "WINCH"];

/// Says that a stop signal ends few commands.
pub fn gentle_stop_signal(signal: Signal) -> Option<Hint> {
    let is_dropped = DROPPED.iter().any(|name| Signal::from_name(name) == Some(signal));
    let words = format!(
        "--stop-signal {signal} ends only a command that handles it; another one does not notice it, and the \
         supervisor kills it after --grace-period"
    );
    is_dropped.then_some(Hint { about: "options", words })
}

/// Says that a ceiling of 0 is not the same as no ceiling.
pub fn no_delay(factor: Duration, ceiling: Option<Duration>) -> Option<Hint> {
    let words = "with --max-backoff 0 there is no delay before a restart, however often the command fails; leave the \
                 option out for delays without a ceiling";
    let takes_all = ceiling == Some(Duration::ZERO) && factor > Duration::ZERO;
    takes_all.then(|| Hint { about: "options", words: words.to_owned() })
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
        let ours = [
            "SUPERVISOR_TIMEOUT",
            "SUPERVISOR_NAME",
            "SUPERVISOR_ON_EVENT",
            "SUPERVISOR_HEARTBEAT_FILE",
            "SUPERVISOR_LOG_FORMAT",
            "SUPERVISOR_BACKOFF_FACTOR",
            "SUPERVISOR_BACKOFF_JITTER",
        ];
        let ours = ours.map(OsString::from).into();
        let found =
            |name: &str| misspelt_variables([OsStr::new(name)].into_iter(), &ours).next().map(|hint| hint.words);
        for (name, meant) in [
            ("SUPERVISOR_TIMEOT", "mean SUPERVISOR_TIMEOUT?"),
            ("SUPERVISOR_ONEVENT", "mean SUPERVISOR_ON_EVENT?"),
            ("SUPERVISOR_HEARTBEAT", "mean SUPERVISOR_HEARTBEAT_FILE?"),
            ("SUPERVISOR_BACKOFF", "mean SUPERVISOR_BACKOFF_FACTOR or SUPERVISOR_BACKOFF_JITTER?"),
            ("SUPERVISOR_TIMEOUT_SECONDS", "mean SUPERVISOR_TIMEOUT?"),
            (
                "supervisor_timeout",
                "variable supervisor_timeout means nothing to supervisor; did you mean SUPERVISOR_TIMEOUT?",
            ),
            ("Supervisor_Heartbeat", "mean SUPERVISOR_HEARTBEAT_FILE?"),
        ] {
            assert!(found(name).is_some_and(|words| words.contains(meant)), "{name}");
        }
        for name in OF_SUPERVISORD.into_iter().chain([
            "SUPERVISOR_TIMEOUT",
            "SUPERVISOR_NODE",
            "SUPERVISOR_LOG",
            "SUPERVISOR_HEART",
            "SUPERVISOR_NAME_SERVER",
            "SUPERVISOR_TIMEOUTS_OF_OTHERS",
            "SUPERVISOR_",
            "supervisor_node",
            "supervisor_enabled",
            "PATH",
        ]) {
            assert_eq!(found(name), None, "{name}");
        }
    }

    #[test]
    fn a_stop_signal_that_most_programs_do_not_notice_is_told_of() {
        let told = |name: &str| gentle_stop_signal(Signal::from_name(name).unwrap()).map(|hint| hint.words);
        for name in DROPPED {
            assert!(told(name).is_some_and(|words| words.starts_with(&format!("--stop-signal SIG{name} ends only"))));
        }
        assert_eq!((told("TERM"), told("INT"), told("KILL")), (None, None, None));
    }

    #[test]
    fn a_ceiling_of_nothing_is_told_of_where_there_would_be_a_delay() {
        let told = |factor, ceiling: Option<u64>| {
            no_delay(Duration::from_secs(factor), ceiling.map(Duration::from_secs)).map(|hint| hint.words)
        };
        assert!(told(1, Some(0)).is_some_and(|words| words.starts_with("with --max-backoff 0 there is no delay")));
        assert_eq!((told(0, Some(0)), told(1, Some(1)), told(1, None)), (None, None, None));
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
