//! What lines can be written to.

use std::io;

/// Where lines are written to.
pub trait Destination: Send + Sync + 'static {
    /// Lines that may wait for it.
    fn room(&self) -> usize;

    /// Writes as much as can be written without waiting, and tells how many bytes that is.
    fn write_now(&self, text: &[u8]) -> io::Result<usize>;

    /// Writes all of it, however long that takes.
    fn write(&self, text: &[u8]) -> io::Result<()>;

    /// Whether something can be written at once.
    fn is_writable(&self) -> bool;
}
