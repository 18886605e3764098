//! What became of mutants, one by one and in a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Caught,
    /// It does not compile.
    Unviable,
    /// The tests did not end.
    Timeout,
    Alive,
}

impl Verdict {
    pub const ALL: [Verdict; 4] = [Verdict::Caught, Verdict::Unviable, Verdict::Timeout, Verdict::Alive];

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Caught => "caught",
            Verdict::Unviable => "unviable",
            Verdict::Timeout => "timeout",
            Verdict::Alive => "alive",
        }
    }

    /// Where cargo-mutants lists them.
    pub fn list(self) -> &'static str {
        match self {
            Verdict::Caught => "caught.txt",
            Verdict::Unviable => "unviable.txt",
            Verdict::Timeout => "timeout.txt",
            Verdict::Alive => "missed.txt",
        }
    }
}

/// A line of the file that keeps them.
pub fn verdict(line: &str) -> Option<(String, Verdict)> {
    let (verdict, name) = line.split_once(' ')?;
    Some((name.to_owned(), Verdict::ALL.into_iter().find(|known| known.name() == verdict)?))
}

/// The name of a mutant begins with the path of its file.
pub fn file(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// How many of each file became what, and which are alive.
pub struct Table<'a>(pub &'a BTreeMap<String, Option<Verdict>>);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: BTreeSet<_> = self.0.keys().map(|name| file(name)).collect();
        writeln!(f, "| file | mutants | caught | unviable | timeouts | alive | not tried |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- | --- |")?;
        for row in files {
            self.row(f, row, |name| file(name) == row)?;
        }
        self.row(f, "all", |_| true)?;
        let alive = self.0.iter().filter(|(_, verdict)| **verdict == Some(Verdict::Alive));
        alive.map(|(name, _)| name).try_for_each(|name| write!(f, "\nalive: {name}"))
    }
}

impl Table<'_> {
    fn row(&self, f: &mut fmt::Formatter<'_>, title: &str, is_in: impl Fn(&str) -> bool) -> fmt::Result {
        let verdicts: Vec<_> = self.0.iter().filter(|(name, _)| is_in(name)).map(|(_, verdict)| *verdict).collect();
        let count = |wanted: Option<Verdict>| verdicts.iter().filter(|verdict| **verdict == wanted).count();
        write!(f, "| {title} | {}", verdicts.len())?;
        let columns = Verdict::ALL.map(Some).into_iter().chain([None]);
        columns.map(count).try_for_each(|count| write!(f, " | {count}"))?;
        writeln!(f, " |")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_as_it_is_written() {
        let name = "core/src/time.rs:1:5: replace + with - in later";
        for known in Verdict::ALL {
            assert_eq!(verdict(&format!("{} {name}", known.name())), Some((name.to_owned(), known)));
        }
        assert!(verdict("unknown words").is_none() && verdict("").is_none());
    }

    #[test]
    fn a_table_counts_by_file() {
        let tried =
            [("a.rs:1:1: x", Some(Verdict::Caught)), ("a.rs:2:1: y", Some(Verdict::Alive)), ("b.rs:1:1: x", None)];
        let tried = tried.map(|(name, verdict)| (name.to_owned(), verdict)).into_iter().collect();
        let table = Table(&tried).to_string();
        for row in
            ["| a.rs | 2 | 1 | 0 | 0 | 1 | 0 |", "| b.rs | 1 | 0 | 0 | 0 | 0 | 1 |", "| all | 3 | 1 | 0 | 0 | 1 | 1 |"]
        {
            assert!(table.contains(row), "{table}");
        }
        assert!(table.ends_with("alive: a.rs:2:1: y"));
    }
}
