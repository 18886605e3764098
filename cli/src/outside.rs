//! What holds of everything that comes from outside, whatever it is: `cargo xtask fuzz` tries it with inputs that nobody
//! thought of, and a test with those that were kept in `cli/fuzz/corpus`.
//!
//! Each function takes one input, and panics where it is not treated as it should be.

mod command_line;
mod markup;
mod records;
mod replay;
mod rust_log;
mod status_file;
mod values;

pub use command_line::command_line;
pub use records::notify;
pub use replay::replay;
pub use rust_log::rust_log;
pub use status_file::status_file;
pub use values::values;

use crate::report::display::changes_direction;

/// A sentence for people.
fn assert_line(text: &str) {
    assert!(!text.is_empty() && text.chars().all(is_harmless), "{text:?}");
}

/// Text for people: whole lines, or none at all.
fn assert_lines(text: &str) {
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    assert!(text.chars().all(|character| character == '\n' || is_harmless(character)), "{text:?}");
}

/// Whether it plays neither with the terminal nor with the order of the text.
fn is_harmless(character: char) -> bool {
    !character.is_control() && !changes_direction(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Holds each input that was kept against what must hold.
    fn try_kept(name: &str, target: impl Fn(&[u8])) {
        let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let kept: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!kept.is_empty());
        for file in kept {
            // Shown where it fails.
            println!("{}", file.display());
            target(&fs::read(file).unwrap());
        }
    }

    #[test]
    fn kept_command_lines() {
        try_kept("command_line", command_line);
    }

    #[test]
    fn kept_datagrams() {
        try_kept("notify", notify);
    }

    #[test]
    fn kept_logs() {
        try_kept("replay", replay);
    }

    #[test]
    fn kept_filters() {
        try_kept("rust_log", rust_log);
    }

    #[test]
    fn kept_status_files() {
        try_kept("status_file", status_file);
    }

    #[test]
    fn kept_values() {
        try_kept("values", values);
    }
}
