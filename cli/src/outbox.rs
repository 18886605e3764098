//! Work that may wait for others, such as a file system or a service manager, done by a thread of its own, so that whoever
//! orders it does not wait.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Items on their way to the one that takes them.
pub struct Outbox<T> {
    shared: Arc<(Mutex<Desk<T>>, Condvar)>,
    room: usize,
}

struct Desk<T> {
    waiting: VecDeque<T>,
    worker: Worker,
}

#[derive(PartialEq)]
enum Worker {
    Idle,
    Busy,
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts the thread that takes them, one after another. At most `room` wait; then the oldest is dropped.
    ///
    /// # Errors
    /// That no thread is to be had.
    pub fn new(name: &str, room: usize, mut take: impl FnMut(T) + Send + 'static) -> io::Result<Outbox<T>> {
        let desk = Desk { waiting: VecDeque::new(), worker: Worker::Idle };
        let shared = Arc::new((Mutex::new(desk), Condvar::new()));
        let outbox = Outbox { shared: Arc::clone(&shared), room };
        let work = move || {
            let (desk, changed) = &*shared;
            loop {
                take(next(desk, changed));
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(outbox)
    }

    /// Adds an item.
    pub fn put(&self, item: T) {
        let mut desk = lock(&self.shared.0);
        if desk.waiting.len() == self.room {
            desk.waiting.pop_front();
        }
        desk.waiting.push_back(item);
        self.shared.1.notify_all();
    }

    /// Waits until all is taken, but no longer than that.
    pub fn flush(&self, patience: Duration) {
        let is_busy = |desk: &mut Desk<T>| !desk.waiting.is_empty() || desk.worker == Worker::Busy;
        drop(self.shared.1.wait_timeout_while(lock(&self.shared.0), patience, is_busy));
    }
}

fn next<T>(desk: &Mutex<Desk<T>>, changed: &Condvar) -> T {
    let mut desk = lock(desk);
    desk.worker = Worker::Idle;
    changed.notify_all();
    loop {
        if let Some(item) = desk.waiting.pop_front() {
            desk.worker = Worker::Busy;
            return item;
        }
        desk = changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
    }
}

fn lock<T>(desk: &Mutex<Desk<T>>) -> MutexGuard<'_, Desk<T>> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{channel, sync_channel};

    #[test]
    fn items_are_taken_in_order_and_the_oldest_are_dropped() {
        let (go, gate) = sync_channel(0);
        let (sender, taken) = channel();
        let outbox = Outbox::new("test", 2, move |number| {
            gate.recv().unwrap();
            sender.send(number).unwrap();
        })
        .unwrap();
        outbox.put(1);
        // The first one is under way, wherever its thread is held up, before the others come.
        while !lock(&outbox.shared.0).waiting.is_empty() {
            std::thread::yield_now();
        }
        (2..=5).for_each(|number| outbox.put(number));
        outbox.flush(Duration::ZERO);
        (0..3).for_each(|_| go.send(()).unwrap());
        outbox.flush(Duration::from_secs(60));
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [1, 4, 5]);
    }
}
