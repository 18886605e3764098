//! What one event leads to.

use crate::{Action, Notice};
use core::fmt;

/// What follows from one event: notices to tell, then actions to carry out, both in order.
///
/// It lives on the stack: the machine never allocates.
#[must_use = "the machine believes that its actions are carried out"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Orders to the backend.
    pub actions: List<Action, 2>,
    /// Stories for people.
    pub notices: List<Notice, 2>,
}

/// A list of at most `N` items.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct List<T, const N: usize> {
    items: [Option<T>; N],
}

impl<T: Copy, const N: usize> List<T, N> {
    /// Panics when the list is full: the exhaustive exploration shows that no step needs more room.
    pub(crate) fn push(&mut self, item: T) {
        let free = self.items.iter_mut().find(|slot| slot.is_none());
        *free.expect("a step has room for all that follows from one event") = Some(item);
    }

    /// The items, first one first.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.items.iter().copied().flatten()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<T: Copy, const N: usize> Default for List<T, N> {
    fn default() -> List<T, N> {
        List { items: [None; N] }
    }
}

impl<T: Copy, const N: usize> IntoIterator for List<T, N> {
    type Item = T;
    type IntoIter = core::iter::Flatten<core::array::IntoIter<Option<T>, N>>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter().flatten()
    }
}

impl<T: Copy + fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
