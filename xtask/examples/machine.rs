//! What the machine costs by itself, as one line of JSON. `cargo xtask bench` runs it, built for release.
//!
//! First a service is simulated for a month, and every event noted. Then a fresh machine is told the same events again.

use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as WallClock};
use supervisor_core::sim::{Behaviour, Service, SimBackend};
use supervisor_core::{Event, Instant, Notice, Policy, Report, RunId, Supervisor};

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

const MONTH: Duration = Duration::from_secs(30 * 86_400);
const REPETITIONS: u32 = 15;

fn main() {
    let mut noted = Noted { events: Vec::new() };
    supervisor_core::run(Policy::default(), &mut world(), &mut noted);
    let events = noted.events;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let replay = fastest(|| tell(&events));
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let simulation = fastest(|| {
        supervisor_core::run(Policy::default(), &mut world(), |_: Instant, notice: Notice| {
            black_box(notice);
        });
    });
    let count = events.len() as f64;
    let figures = json!({
        "handle_event_ns": replay.as_nanos() as f64 / count,
        "allocations": allocations as f64 / count / f64::from(REPETITIONS),
        "events_per_second": count / simulation.as_secs_f64(),
    });
    println!("{figures}");
}

fn world() -> SimBackend<impl FnMut(RunId) -> Behaviour> {
    let service = Service { seed: 1 };
    SimBackend::new(move |run| service.behaviour(run), [(Instant::from_origin(MONTH), Event::Stop)])
}

fn tell(events: &[(Event, Instant)]) {
    let (mut machine, _) = Supervisor::start(Policy::default());
    for (event, at) in events {
        let _ = black_box(machine.handle_event(black_box(*event), *at));
    }
}

/// Of several times, the one that was disturbed least.
fn fastest(mut work: impl FnMut()) -> Duration {
    let times = (0..REPETITIONS).map(|_| {
        let begun = WallClock::now();
        work();
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}

/// What the machine was told.
struct Noted {
    events: Vec<(Event, Instant)>,
}

impl<N> Report<N> for &mut Noted {
    fn event(&mut self, at: Instant, event: Event) {
        self.events.push((event, at));
    }

    fn notice(&mut self, _at: Instant, _notice: Notice, _supervisor: &Supervisor) {}
}

/// The system's allocator, and a count.
struct Counting;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}
