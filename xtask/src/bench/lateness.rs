//! How late hangs are decided, over thousands of them: of supervisors side by side, with timeouts of all lengths.

use super::measure::millis;
use super::page::{self, Part, number};
use super::rig::{PATIENCE, Rig};
use super::workload::{Behaviour, Kind, Record};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Supervisors of one timeout, side by side.
const SIDE_BY_SIDE: usize = 8;
/// Timeouts that are tried, and hangs of each.
const TIMEOUTS: usize = 20;
const HANGS: usize = 100;
/// Threads that do nothing but compute.
const LOOPS: usize = 2;

/// Measures on a machine that is idle but for this, and beside busy loops; and writes the page's part of it.
///
/// # Errors
/// A supervisor does not do its work.
pub fn measure(own: &Path, is_quick: bool) -> io::Result<()> {
    let load = page::load();
    let mut rig = Rig::build()?;
    let timeouts = if is_quick { TIMEOUTS / 10 } else { TIMEOUTS };
    let idle = hangs(&mut rig, own, timeouts)?;
    let busy_loops = BusyLoops::begin();
    let busy = hangs(&mut rig, own, timeouts)?;
    drop(busy_loops);
    let text = words(&[("idle", idle), ("beside two busy loops", busy)], &load);
    println!("{text}");
    if is_quick { Ok(()) } else { page::replace(Part::Lateness, &text) }
}

/// Milliseconds after the deadline of each hang, in order of size; negative is early.
fn hangs(rig: &mut Rig, own: &Path, timeouts: usize) -> io::Result<Vec<f64>> {
    let mut late = Vec::new();
    for _ in 0..timeouts {
        let timeout = Duration::from_millis(fastrand::u64(50..=2000));
        eprintln!("{HANGS} hangs with a timeout of {} ms", timeout.as_millis());
        late.extend(hangs_of(rig, own, timeout)?);
    }
    late.sort_by(f64::total_cmp);
    Ok(late)
}

/// Each command beats a few times, at moments of its own, and never again.
fn hangs_of(rig: &mut Rig, own: &Path, timeout: Duration) -> io::Result<Vec<f64>> {
    let options = format!("--timeout {}ms --backoff-factor 0", timeout.as_millis());
    for _ in 0..SIDE_BY_SIDE {
        rig.supervise(own, &options, Behaviour::Falter, 0)?;
    }
    let mut beats: HashMap<i32, Duration> = HashMap::new();
    let mut late = Vec::new();
    while late.len() < HANGS {
        let Record { at, pid, kind } = rig.records.next(Instant::now() + PATIENCE)?;
        match kind {
            Kind::Beat => drop(beats.insert(pid, at)),
            Kind::Asked => {
                // On a busy machine the start alone may take longer than the timeout.
                let beat = beats.remove(&pid);
                late.extend(beat.map(|beat| millis(at.saturating_sub(beat)) - millis(timeout)));
            }
            Kind::Exec | Kind::Start => {}
        }
    }
    rig.clear();
    Ok(late)
}

/// They end with this.
struct BusyLoops {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BusyLoops {
    fn begin() -> BusyLoops {
        let is_over = Arc::new(AtomicBool::new(false));
        let busy = || {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || while !is_over.load(Ordering::Relaxed) {})
        };
        let threads = (0..LOOPS).map(|_| busy()).collect();
        BusyLoops { is_over, threads }
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn words(series: &[(&str, Vec<f64>)], load: &str) -> String {
    let mut text = format!("## Never early\n\n{}\n", page::circumstances(load));
    text += &format!(
        "{TIMEOUTS} timeouts from 50 ms to 2 s, chosen at random; {SIDE_BY_SIDE} supervisors side by side; one to five \
         beats of a heartbeat file, at random, up to 20 ms apart. From the deadline to the moment at which the command has \
         the signal, the autopsy included:\n\n\
         | machine | hangs | early | earliest, ms | median, ms | 95 %, ms | 99 %, ms | latest, ms |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for (machine, late) in series {
        let early = late.iter().filter(|late| **late < 0.0).count();
        let at = |share: f64| number(late[((late.len() - 1) as f64 * share) as usize]);
        let quantiles = [0.0, 0.5, 0.95, 0.99, 1.0].map(at).join(" | ");
        text += &format!("| {machine} | {} | {early} | {quantiles} |\n", late.len());
    }
    text
}
