//! Work that may wait for others, such as a file system or a service manager, done by a thread of its own, so that who
//! orders it does not wait.

use crate::heartbeat::file_status::is_at_hand;
use crate::signals::is_stop_pending;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// More than such work needs. The pages that are not used cost nothing.
const STACK: usize = 128 * 1024;

/// A thread and the bounded queue before it. The thread starts with the first item.
pub struct Worker<T> {
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
    thread: Thread,
}

#[derive(PartialEq)]
enum Thread {
    /// None was needed yet, or none could be had.
    Missing,
    Idle,
    Busy,
}

impl<T: Send + 'static> Worker<T> {
    /// A thread of this name takes them, one after another. At most `room` wait.
    pub fn new(name: &'static str, room: usize, take: impl FnMut(T) + Send + 'static) -> Worker<T> {
        let desk = Mutex::new(Desk { waiting: VecDeque::new(), thread: Thread::Missing });
        let shared = Shared { desk, changed: Condvar::new(), take: Mutex::new(Box::new(take)) };
        Worker { shared: Arc::new(shared), name, room }
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
        if desk.thread == Thread::Missing {
            let shared = Arc::clone(&self.shared);
            let work = spawn(self.name, move || shared.work());
            desk.thread = if work.is_ok() { Thread::Busy } else { Thread::Missing };
        }
        self.shared.changed.notify_all();
    }

    /// Adds an item that makes others pointless; returns how many of them waited.
    pub fn put_instead(&self, item: T, is_pointless: impl Fn(&T) -> bool) -> usize {
        let mut desk = lock(&self.shared.desk);
        let before = desk.waiting.len();
        desk.waiting.retain(|item| !is_pointless(item));
        let pointless = before - desk.waiting.len();
        drop(desk);
        self.put(item);
        pointless
    }

    /// Where no thread could be had, takes here what waits, for as long as that `may` be done.
    pub fn take_here(&self, may: impl Fn() -> bool) {
        if lock(&self.shared.desk).thread != Thread::Missing {
            return;
        }
        // A thread may have been had just now after all; it keeps that for ever.
        let Ok(mut take) = self.shared.take.try_lock() else { return };
        while may() {
            let Some(item) = lock(&self.shared.desk).waiting.pop_front() else { break };
            take(item);
        }
    }

    /// Whether all is taken, and done.
    pub fn is_idle(&self) -> bool {
        !is_busy(&mut lock(&self.shared.desk))
    }

    /// Waits until all is taken, but no longer than that.
    pub fn flush(&self, patience: Duration) {
        drop(self.shared.changed.wait_timeout_while(lock(&self.shared.desk), patience, is_busy));
    }
}

/// Whether a thread works, or is about to. Where there is none, it cannot be waited for.
fn is_busy<T>(desk: &mut Desk<T>) -> bool {
    match desk.thread {
        Thread::Missing => false,
        Thread::Idle => !desk.waiting.is_empty(),
        Thread::Busy => true,
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
        desk.thread = Thread::Idle;
        self.changed.notify_all();
        loop {
            if let Some(item) = desk.waiting.pop_front() {
                desk.thread = Thread::Busy;
                return item;
            }
            desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Between two looks for a request to stop.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// What `work` comes to, unless that takes too long, or a request to stop comes meanwhile. A thread of its own does it,
/// and goes on then. Where none can be had, it is done here, however long it takes.
///
/// # Errors
/// Those of `work`, `TimedOut`, and `Interrupted`.
pub fn within<T: Send + 'static>(
    patience: Duration,
    work: impl Fn() -> io::Result<T> + Send + Sync + 'static,
) -> io::Result<T> {
    let work: Arc<dyn Fn() -> io::Result<T> + Send + Sync> = Arc::new(work);
    let here = Arc::clone(&work);
    let (sender, answers) = mpsc::channel();
    // What comes late is not wanted any more.
    let there = move || sender.send(work()).unwrap_or_default();
    match spawn("question", there) {
        Ok(()) => answer(&answers, patience),
        Err(_) => here(),
    }
}

fn answer<T>(answers: &mpsc::Receiver<io::Result<T>>, patience: Duration) -> io::Result<T> {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match answers.recv_timeout(left.min(GLANCE)) {
            Ok(answer) => return answer,
            Err(_) if is_stop_pending() => return Err(io::ErrorKind::Interrupted.into()),
            Err(_) if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}

/// The same, about a path: done here, and at once, where nothing but this machine could be waited for.
///
/// # Errors
/// As for [`within`].
pub fn within_at<T: Send + 'static>(
    path: &Path,
    patience: Duration,
    work: impl Fn() -> io::Result<T> + Send + Sync + 'static,
) -> io::Result<T> {
    if is_at_hand(path) { work() } else { within(patience, work) }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work).map(drop)
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::mpsc::{channel, sync_channel};

    #[test]
    fn items_are_taken_in_order_and_the_oldest_are_dropped() {
        let (go, gate) = sync_channel(0);
        let (sender, taken) = channel();
        let worker = Worker::new("test", 2, move |number| {
            gate.recv().unwrap();
            sender.send(number).unwrap();
        });
        worker.put(1);
        // The first one is under way, wherever its thread is held up, before the others come.
        while !lock(&worker.shared.desk).waiting.is_empty() {
            std::thread::yield_now();
        }
        (2..=5).for_each(|number| worker.put(number));
        worker.flush(Duration::ZERO);
        (0..3).for_each(|_| go.send(()).unwrap());
        worker.flush(Duration::from_secs(60));
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [1, 4, 5]);
    }

    #[test]
    fn an_answer_is_waited_for_longer_than_a_glance() {
        let work = || {
            std::thread::sleep(GLANCE * 3);
            Ok(())
        };
        within(Duration::from_secs(60), work).unwrap();
    }

    #[test]
    fn an_answer_is_handed_on() {
        within(Duration::from_secs(60), || Ok(())).unwrap();
        let error = within::<()>(Duration::from_secs(60), || Err(io::ErrorKind::NotADirectory.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn no_answer_is_not_waited_for() {
        let gate = Arc::new(Barrier::new(2));
        let never = Arc::clone(&gate);
        let wait = move || {
            never.wait();
            Ok(())
        };
        assert_eq!(within(Duration::from_millis(1), wait).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// A worker that is stuck with its first item, and the way to let it go on.
    fn stuck(room: usize) -> (Worker<u32>, mpsc::SyncSender<()>, mpsc::Receiver<u32>) {
        let (go, gate) = sync_channel(64);
        let (sender, taken) = channel();
        let worker = Worker::new("test", room, move |number| {
            gate.recv().unwrap();
            sender.send(number).unwrap();
        });
        worker.put(0);
        while !lock(&worker.shared.desk).waiting.is_empty() {
            std::thread::yield_now();
        }
        (worker, go, taken)
    }

    #[test]
    fn an_item_without_room_is_given_back() {
        let (worker, go, taken) = stuck(2);
        assert_eq!([1, 2, 3].map(|item| worker.offer(item)), [Ok(()), Ok(()), Err(3)]);
        (0..3).for_each(|_| go.send(()).unwrap());
        worker.flush(Duration::from_secs(60));
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn what_an_item_makes_pointless_is_dropped_and_counted() {
        let (worker, go, taken) = stuck(8);
        (1..=5).for_each(|item| worker.put(item));
        assert_eq!(worker.put_instead(6, |item| item % 2 == 0), 2);
        (0..5).for_each(|_| go.send(()).unwrap());
        worker.flush(Duration::from_secs(60));
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [0, 1, 3, 5, 6]);
    }

    #[test]
    fn where_a_thread_is_at_work_nothing_is_taken_here() {
        let (worker, _go, _taken) = stuck(8);
        worker.put(1);
        worker.take_here(|| panic!("it would wait for the thread"));
    }

    #[test]
    fn without_a_thread_what_waits_is_taken_here_for_as_long_as_that_may_be_done() {
        let (sender, taken) = channel();
        let worker = Worker::new("test", 8, move |number| sender.send(number).unwrap());
        lock(&worker.shared.desk).waiting.extend([1, 2, 3]);
        let left = std::cell::Cell::new(2);
        worker.take_here(|| left.replace(left.get() - 1) > 0);
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [1, 2]);
        worker.take_here(|| true);
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [3]);
        // Nobody takes what waits now, and nobody waits for that.
        lock(&worker.shared.desk).waiting.push_back(4);
        worker.flush(Duration::from_secs(3600));
    }

    #[test]
    fn what_is_at_hand_is_asked_here() {
        let folder = tempfile::tempdir().unwrap();
        let here = std::thread::current().id();
        let thread =
            |path: &Path| within_at(path, Duration::from_secs(60), || Ok(std::thread::current().id())).unwrap();
        assert_eq!(thread(&folder.path().join("file")) == here, is_at_hand(&folder.path().join("file")));
        assert_ne!(thread(Path::new("/proc/self/status")), here);
    }
}
