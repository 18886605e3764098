//! Options whose value is one of a few words, and how documents and completions show them.

use clap::Command;

/// What may follow such an option.
const CHOICES: [(&str, &[&str]); 3] = [
    ("restart", &["never", "on-failure", "always"]),
    ("log_format", &["text", "json"]),
    ("stop_target", &["group", "main"]),
];

/// The parser of the options as documents show it: `--restart <never|on-failure|always>`.
pub fn documented() -> Command {
    supervisor_cli::parser().mut_args(|option| match words_of(option.get_id().as_str()) {
        Some(words) => option.value_name(words.join("|")),
        None => option,
    })
}

/// The words from which an option chooses, if it does.
pub fn words_of(name: &str) -> Option<&'static [&'static str]> {
    CHOICES.iter().find(|(option, _)| *option == name).map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_takes_these_words_and_no_others() {
        for (name, words) in CHOICES {
            let option = format!("--{}", name.replace('_', "-"));
            let takes = |word: &str| supervisor_cli::policy([option.clone().into(), word.into()]).is_ok();
            assert!(words.iter().all(|word| takes(word)), "{option}");
            assert!(!takes("another"), "{option}");
        }
    }
}
