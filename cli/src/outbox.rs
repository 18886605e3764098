//! Work that may wait for others, such as a file system or a service manager, done by a thread of its own, so that whoever
//! orders it does not wait.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Items on their way to the one that takes them.
pub struct Outbox<T> {
    shared: Arc<Shared<T>>,
    name: &'static str,
    room: usize,
}

struct Shared<T> {
    desk: Mutex<Desk<T>>,
    changed: Condvar,
    take: Mutex<Box<dyn FnMut(T) + Send>>,
}

struct Desk<T> {
    waiting: VecDeque<T>,
    worker: Worker,
}

#[derive(PartialEq)]
enum Worker {
    /// No thread could be had yet.
    Missing,
    Idle,
    Busy,
}

impl<T: Send + 'static> Outbox<T> {
    /// A thread of this name takes them, one after another. At most `room` wait.
    pub fn new(name: &'static str, room: usize, take: impl FnMut(T) + Send + 'static) -> Outbox<T> {
        let desk = Mutex::new(Desk { waiting: VecDeque::new(), worker: Worker::Missing });
        let shared = Shared { desk, changed: Condvar::new(), take: Mutex::new(Box::new(take)) };
        Outbox { shared: Arc::new(shared), name, room }
    }

    /// Adds an item. Where there is no room, the oldest is dropped.
    pub fn put(&self, item: T) {
        let mut desk = lock(&self.shared.desk);
        if desk.waiting.len() == self.room {
            desk.waiting.pop_front();
        }
        self.add(desk, item);
    }

    /// Adds an item.
    ///
    /// # Errors
    /// The item, where there is no room for it.
    pub fn offer(&self, item: T) -> Result<(), T> {
        let desk = lock(&self.shared.desk);
        if desk.waiting.len() == self.room {
            return Err(item);
        }
        self.add(desk, item);
        Ok(())
    }

    /// The thread is started with the first item; where none is to be had, items wait for the next attempt.
    fn add(&self, mut desk: MutexGuard<'_, Desk<T>>, item: T) {
        desk.waiting.push_back(item);
        if desk.worker == Worker::Missing {
            let shared = Arc::clone(&self.shared);
            let work = std::thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.work());
            desk.worker = if work.is_ok() { Worker::Busy } else { Worker::Missing };
        }
        self.shared.changed.notify_all();
    }

    /// Adds an item that makes others pointless.
    pub fn put_instead(&self, item: T, is_pointless: impl Fn(&T) -> bool) {
        lock(&self.shared.desk).waiting.retain(|item| !is_pointless(item));
        self.put(item);
    }

    /// Where no thread could be had, takes here what waits, for as long as that `may` be done.
    pub fn take_here(&self, may: impl Fn() -> bool) {
        if lock(&self.shared.desk).worker != Worker::Missing {
            return;
        }
        // A thread may have been had just now after all; it keeps that for ever.
        let Ok(mut take) = self.shared.take.try_lock() else { return };
        while may() {
            let Some(item) = lock(&self.shared.desk).waiting.pop_front() else { break };
            take(item);
        }
    }

    /// Waits until all is taken, but no longer than that.
    pub fn flush(&self, patience: Duration) {
        let is_busy = |desk: &mut Desk<T>| match desk.worker {
            Worker::Missing => false,
            Worker::Idle => !desk.waiting.is_empty(),
            Worker::Busy => true,
        };
        drop(self.shared.changed.wait_timeout_while(lock(&self.shared.desk), patience, is_busy));
    }
}

impl<T> Shared<T> {
    fn work(&self) {
        let mut take = lock(&self.take);
        loop {
            take(self.next());
        }
    }

    fn next(&self) -> T {
        let mut desk = lock(&self.desk);
        desk.worker = Worker::Idle;
        self.changed.notify_all();
        loop {
            if let Some(item) = desk.waiting.pop_front() {
                desk.worker = Worker::Busy;
                return item;
            }
            desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        });
        outbox.put(1);
        // The first one is under way, wherever its thread is held up, before the others come.
        while !lock(&outbox.shared.desk).waiting.is_empty() {
            std::thread::yield_now();
        }
        (2..=5).for_each(|number| outbox.put(number));
        outbox.flush(Duration::ZERO);
        (0..3).for_each(|_| go.send(()).unwrap());
        outbox.flush(Duration::from_secs(60));
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [1, 4, 5]);
    }
}
