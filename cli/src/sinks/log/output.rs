//! Lines on their way to standard error: at once where nothing can wait, by a thread else. One for which there is no room
//! is dropped, and counted in the next one that gets through.

use super::Style;
use super::destination::Destination;
use super::stderr::Stderr;
use crate::report::{Content, Record, Troubles, lines_lost};
use log::Level;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use supervisor_backend_unix::Worker;

/// How long the last lines may take if standard error takes none just now.
const LAST_CHANCE: Duration = Duration::from_millis(50);

/// The way to standard error.
pub struct Output<D = Stderr> {
    shared: Arc<Shared<D>>,
    waiting: Worker<Line>,
    /// Lines for which there was no room since the last one that found some.
    dropped: AtomicU64,
}

struct Shared<D> {
    style: Style,
    destination: D,
    troubles: Troubles,
    /// Lines that the thread has yet to write: others must not overtake them.
    behind: AtomicUsize,
    /// Lines that could not be written since the last one that could.
    failed: AtomicU64,
}

struct Line {
    text: Vec<u8>,
    dropped_before: u64,
}

impl<D: Destination> Output<D> {
    pub fn new(style: Style, destination: D, troubles: Troubles) -> Output<D> {
        let room = destination.room();
        let (behind, failed) = (AtomicUsize::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { style, destination, troubles, behind, failed });
        let for_thread = Arc::clone(&shared);
        let take = move |line: Line| for_thread.write(&line);
        Output { shared, waiting: Worker::new("log", room, take), dropped: AtomicU64::new(0) }
    }

    fn push(&self, text: &[u8]) {
        let dropped_before = self.dropped.swap(0, SeqCst);
        let rest = match self.shared.behind.load(SeqCst) {
            0 => self.shared.write_now(text, dropped_before),
            _ => Some(Line { text: text.to_vec(), dropped_before }),
        };
        rest.into_iter().for_each(|line| self.wait(line));
    }

    fn wait(&self, line: Line) {
        let dropped_before = line.dropped_before;
        self.shared.behind.fetch_add(1, SeqCst);
        if self.waiting.offer(line).is_err() {
            self.shared.behind.fetch_sub(1, SeqCst);
            self.dropped.fetch_add(dropped_before + 1, SeqCst);
        }
    }

    /// Waits until all lines are written, but no longer than that, and hardly for a reader that stalls.
    pub fn flush(&self, patience: Duration) {
        let is_writable = || self.shared.destination.is_writable();
        self.waiting.take_here(is_writable);
        self.waiting.flush(if is_writable() { patience } else { patience.min(LAST_CHANCE) });
    }
}

impl<D: Destination> Shared<D> {
    /// Gives back what has to wait.
    fn write_now(&self, text: &[u8], dropped_before: u64) -> Option<Line> {
        let counted = self.counted(text, dropped_before);
        let result = self.destination.write_now(&counted.text);
        let written = *result.as_ref().unwrap_or(&counted.text.len());
        let rest = counted.text[written..].to_vec();
        self.settle(counted, result.map(drop));
        (!rest.is_empty()).then_some(Line { text: rest, dropped_before: 0 })
    }

    /// By the thread.
    fn write(&self, line: &Line) {
        let counted = self.counted(&line.text, line.dropped_before);
        let result = self.destination.write(&counted.text);
        self.settle(counted, result);
        self.behind.fetch_sub(1, SeqCst);
    }

    /// Tells of lost lines once they are counted, and counts one more if this one is lost.
    fn settle(&self, counted: Counted, result: io::Result<()>) {
        match result {
            Ok(()) => counted.lost.into_iter().for_each(|record| self.troubles.hand_on(record)),
            Err(_) => drop(self.failed.fetch_add(counted.lines_lost + 1, SeqCst)),
        }
    }

    /// A line, after one that counts those that are lost before it.
    fn counted(&self, text: &[u8], dropped: u64) -> Counted {
        let lines = dropped + self.failed.swap(0, SeqCst);
        if lines == 0 {
            return Counted { text: text.to_vec(), lines_lost: 0, lost: None };
        }
        let record = Record::new(Level::Warn, Content::LogLinesLost { lines }, lines_lost(lines));
        let first = self.style.lines(&record).join("\n") + "\n";
        Counted { text: [first.as_bytes(), text].concat(), lines_lost: lines, lost: Some(record) }
    }
}

struct Counted {
    text: Vec<u8>,
    lines_lost: u64,
    /// What tells of them.
    lost: Option<Record>,
}

/// What `env_logger` writes to: each line in one piece.
pub struct Pipe(pub Arc<Output>);

impl io::Write for Pipe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;
    use crate::options::Format;
    use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
    use std::sync::{Mutex, PoisonError};

    /// What the writer gets of a line.
    #[derive(Clone, Copy, PartialEq)]
    enum Answer {
        /// All of it is taken at once.
        All,
        /// So many bytes are; the rest may wait.
        Some(usize),
        Failure,
    }

    struct Scripted {
        room: usize,
        answer: Mutex<Answer>,
        written: Sender<String>,
        begun: Sender<()>,
        /// The thread waits here for each line.
        gate: Mutex<Receiver<()>>,
    }

    impl Scripted {
        fn take(&self, text: &[u8]) {
            self.written.send(String::from_utf8(text.to_vec()).unwrap()).unwrap();
        }
    }

    impl Destination for Arc<Scripted> {
        fn room(&self) -> usize {
            self.room
        }

        fn write_now(&self, text: &[u8]) -> io::Result<usize> {
            let taken = match *self.answer.lock().unwrap() {
                Answer::All => text.len(),
                Answer::Some(bytes) => bytes,
                Answer::Failure => return Err(io::ErrorKind::StorageFull.into()),
            };
            self.take(&text[..taken]);
            Ok(taken)
        }

        fn write(&self, text: &[u8]) -> io::Result<()> {
            self.begun.send(()).unwrap();
            self.gate.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap();
            self.take(text);
            Ok(())
        }

        fn is_writable(&self) -> bool {
            true
        }
    }

    struct Scene {
        output: Output<Arc<Scripted>>,
        scripted: Arc<Scripted>,
        written: Receiver<String>,
        begun: Receiver<()>,
        go: SyncSender<()>,
        told: Receiver<Record>,
    }

    impl Scene {
        fn new(room: usize, answer: Answer) -> Scene {
            let (go, gate) = sync_channel(1024);
            let (written_sender, written) = channel();
            let (begun_sender, begun) = channel();
            let scripted = Arc::new(Scripted {
                room,
                answer: Mutex::new(answer),
                written: written_sender,
                begun: begun_sender,
                gate: Mutex::new(gate),
            });
            let (troubles, told) = Troubles::channel();
            let style = Style { format: Format::Text, reader: Reader::Journal };
            Scene { output: Output::new(style, Arc::clone(&scripted), troubles), scripted, written, begun, go, told }
        }

        fn answer(&self, answer: Answer) {
            *self.scripted.answer.lock().unwrap() = answer;
        }

        /// All that was written, joined.
        fn text(&self) -> String {
            self.output.flush(Duration::from_secs(60));
            self.written.try_iter().collect()
        }

        fn lines_told(&self) -> Vec<u64> {
            let lines = |record: Record| match record.content {
                Content::LogLinesLost { lines } => Some(lines),
                _ => None,
            };
            self.told.try_iter().filter_map(lines).collect()
        }
    }

    #[test]
    fn what_does_not_fit_waits_and_is_not_overtaken() {
        let scene = Scene::new(8, Answer::Some(3));
        scene.output.push(b"first\n");
        scene.begun.recv().unwrap();
        scene.answer(Answer::All);
        scene.output.push(b"second\n");
        (0..2).for_each(|_| scene.go.send(()).unwrap());
        assert_eq!(scene.text(), "first\nsecond\n");
        scene.output.push(b"third\n");
        assert_eq!(scene.text(), "third\n");
        assert!(scene.lines_told().is_empty());
    }

    #[test]
    fn lines_without_room_are_counted_at_their_place() {
        let scene = Scene::new(2, Answer::Some(0));
        scene.output.push(b"first\n");
        // The thread is stuck with the first line. None of these waits for it.
        scene.begun.recv().unwrap();
        (0..2 + 7).for_each(|_| scene.output.push(b"middle\n"));
        (0..3).for_each(|_| scene.go.send(()).unwrap());
        scene.output.flush(Duration::from_secs(60));
        scene.answer(Answer::All);
        scene.output.push(b"last\n");
        assert_eq!(
            scene.text(),
            "first\nmiddle\nmiddle\n<4>the log has lost 7 lines: its reader was too slow, or it could not be written\nlast\n"
        );
        assert_eq!(scene.lines_told(), [7]);
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let scene = Scene::new(8, Answer::Failure);
        (0..3).for_each(|_| scene.output.push(b"bad\n"));
        scene.answer(Answer::All);
        [&b"good\n"[..], b"better\n"].into_iter().for_each(|line| scene.output.push(line));
        assert_eq!(
            scene.text(),
            "<4>the log has lost 3 lines: its reader was too slow, or it could not be written\ngood\nbetter\n"
        );
        assert_eq!(scene.lines_told(), [3]);
    }
}
