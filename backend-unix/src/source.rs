//! What can wake the loop.

use std::os::fd::BorrowedFd;
use supervisor_core::Instant;

/// One thing that can wake the loop: at a moment, or when a descriptor becomes readable.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source<'a> {
    pub due: Option<Instant>,
    pub descriptor: Option<BorrowedFd<'a>>,
}

impl Source<'_> {
    /// Nothing.
    pub const NONE: Source<'static> = Source { due: None, descriptor: None };
}
