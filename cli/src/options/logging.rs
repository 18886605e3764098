//! How much is logged, and in which form.

/// How much is logged where `RUST_LOG` does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// One line an event.
    Normal,
    /// More detail.
    Verbose,
    /// All there is.
    Trace,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A sentence.
    #[default]
    Text,
    /// An object.
    Json,
}
