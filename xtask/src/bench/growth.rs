//! How costs grow: with restarts, with looks at a heartbeat, with descendants, with supervisors side by side.

use super::measure::{median, millis, settle};
use super::page::{self, Part, number};
use super::rig::{PATIENCE, Rig};
use super::workload::{Behaviour, Kind, Record};
use crate::drawing::{Anchor, Drawing, Ink, LINE, LogScale, WIDTH};
use crate::processes;
use crate::workspace;
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{io, thread};

/// A cost that grows, or does not.
struct Curve {
    /// What grows.
    of: &'static str,
    /// The cost, and its unit.
    name: &'static str,
    unit: &'static str,
    points: Vec<(f64, f64)>,
}

impl Curve {
    fn new(of: &'static str, name: &'static str, unit: &'static str) -> Curve {
        Curve { of, name, unit, points: Vec::new() }
    }
}

/// How far it is driven.
struct Extent {
    restarts: usize,
    /// At a heartbeat that is there.
    looks: usize,
    descendants: &'static [usize],
    supervisors: &'static [usize],
}

const FULL: Extent = Extent {
    restarts: 100_000,
    looks: LOOKS_OF_A_DAY,
    descendants: &[10, 100, 1_000, 5_000],
    supervisors: &[1, 10, 100, 1_000],
};
const QUICK: Extent =
    Extent { restarts: 5_000, looks: LOOKS_OF_A_DAY / 10, descendants: &[10, 100, 1_000], supervisors: &[1, 10, 100] };

/// The supervisor looks once a timeout: with a timeout of 20 s, the default, so often a day.
const LOOKS_OF_A_DAY: usize = 24 * 60 * 60 / 20;

/// Points of a curve of something that goes on and on.
const STEPS: usize = 10;

/// Measures, and writes the page's part of it.
///
/// # Errors
/// A supervisor does not do its work.
pub fn measure(own: &Path, is_quick: bool) -> io::Result<()> {
    let extent = if is_quick { QUICK } else { FULL };
    let load = page::load();
    let mut rig = Rig::build()?;
    let mut curves = Vec::from(restarts(&mut rig, own, extent.restarts)?);
    curves.push(looks(&mut rig, own, extent.looks)?);
    curves.extend(descendants(&mut rig, own, extent.descendants)?);
    curves.extend(supervisors(&mut rig, own, extent.supervisors)?);
    let text = words(&curves, &load);
    println!("{text}");
    if is_quick {
        return Ok(());
    }
    workspace::write(&workspace::root().join("docs/growth.svg"), &picture(&curves))?;
    page::replace(Part::Growth, &text)
}

/// The cost of a restart, and the memory, after so many.
fn restarts(rig: &mut Rig, own: &Path, count: usize) -> io::Result<[Curve; 2]> {
    eprintln!("{count} restarts");
    let mut time = Curve::new("restarts", "a restart", "ms");
    let mut memory = Curve::new("restarts", "private dirty memory of the supervisor", "KiB");
    let supervisor = rig.supervise(own, "--no-heartbeat --backoff-factor 0", Behaviour::Crash, 0)?;
    let mut last: Option<Record> = None;
    for step in 1..=STEPS {
        let starts = rig.records.expect(Kind::Start, count / STEPS, PATIENCE * 10)?;
        let pairs = last.iter().chain(&starts).zip(&starts[usize::from(last.is_none())..]);
        let mut took: Vec<f64> = pairs.map(|(one, next)| millis(next.at.saturating_sub(one.at))).collect();
        let made = (step * count / STEPS) as f64;
        time.points.extend(median(&mut took).map(|took| (made, took)));
        memory.points.push((made, memory_alone(supervisor)));
        last = starts.last().copied();
    }
    rig.clear();
    Ok([time, memory])
}

/// The memory after so many looks at the heartbeat of one run. They come faster than in life: time plays no part in it.
fn looks(rig: &mut Rig, own: &Path, count: usize) -> io::Result<Curve> {
    const TIMEOUT: Duration = Duration::from_millis(20);
    eprintln!("{count} looks");
    let mut memory = Curve::new("looks at a heartbeat", "private dirty memory of the supervisor", "KiB");
    let options = format!("--timeout {}ms --max-restarts 0", TIMEOUT.as_millis());
    let supervisor = rig.supervise(own, &options, Behaviour::Beat, 0)?;
    rig.records.expect(Kind::Start, 1, PATIENCE)?;
    settle();
    let before = processes::context_switches(&[supervisor]);
    for step in 1..=STEPS {
        let wanted = step * count / STEPS;
        let looks = || (processes::context_switches(&[supervisor]) - before) as usize;
        while looks() < wanted {
            if processes::Process::find(supervisor).is_none_or(|process| process.is_dead()) {
                return Err(io::Error::other("the machine is too busy: a command that beats was called hung"));
            }
            thread::sleep(TIMEOUT);
        }
        memory.points.push((wanted as f64, memory_alone(supervisor)));
    }
    rig.clear();
    Ok(memory)
}

/// The private dirty memory of a process that works: the median of many moments, since in some of them it shares pages
/// with a child that has just been forked.
fn memory_alone(pid: i32) -> f64 {
    const SAMPLES: usize = 50;
    let samples = (0..SAMPLES).map(|_| {
        thread::sleep(Duration::from_millis(1));
        processes::memory(&[pid]).private_dirty
    });
    median(&mut samples.collect::<Vec<_>>()).unwrap_or_default()
}

/// Of each size of a tree the median of so many is told.
const ROUNDS: usize = 5;

/// The cost of a stop and of a hang with so many processes below the command.
fn descendants(rig: &mut Rig, own: &Path, counts: &[usize]) -> io::Result<[Curve; 3]> {
    let mut stop = Curve::new("descendants", "a stop", "ms");
    let mut late = Curve::new("descendants", "from the deadline of a hang to the first signal", "ms");
    let mut heal = Curve::new("descendants", "a hang, from the signal to the next start", "ms");
    for count in counts {
        eprintln!("{count} descendants");
        let mut rounds = [(); 3].map(|()| Vec::new());
        for _ in 0..ROUNDS {
            let (lateness, healing) = hang_takes(rig, own, *count)?;
            let took = [stop_takes(rig, own, *count)?, lateness, healing];
            rounds.iter_mut().zip(took).for_each(|(samples, took)| samples.push(took));
        }
        for (curve, samples) in [&mut stop, &mut late, &mut heal].into_iter().zip(&mut rounds) {
            curve.points.extend(median(samples).map(|middle| (*count as f64, middle)));
        }
    }
    Ok([stop, late, heal])
}

/// SIGTERM to the supervisor until its end.
fn stop_takes(rig: &mut Rig, own: &Path, count: usize) -> io::Result<f64> {
    let supervisor = rig.supervise(own, "--no-heartbeat", Behaviour::Family, count)?;
    rig.records.expect(Kind::Start, count + 1, PATIENCE)?;
    settle();
    let asked = Instant::now();
    processes::send(supervisor, Signal::TERM);
    waitpid(Pid::from_raw(supervisor), WaitOptions::empty())?;
    let took = millis(asked.elapsed());
    rig.clear();
    Ok(took)
}

fn hang_takes(rig: &mut Rig, own: &Path, count: usize) -> io::Result<(f64, f64)> {
    const TIMEOUT: Duration = Duration::from_secs(3);
    rig.supervise(own, "--timeout 3 --backoff-factor 0", Behaviour::Hang, count)?;
    let beat = rig.records.expect(Kind::Beat, 1, PATIENCE)?[0];
    // Children may still tell of their starts after the beat.
    settle();
    rig.records.drain();
    let asked = rig.records.expect(Kind::Asked, 1, PATIENCE)?[0];
    let start = rig.records.expect(Kind::Start, 1, PATIENCE)?[0];
    rig.clear();
    Ok((millis(asked.at.saturating_sub(beat.at)) - millis(TIMEOUT), millis(start.at.saturating_sub(asked.at))))
}

/// What so many supervisors take, and whether each finds its hang.
fn supervisors(rig: &mut Rig, own: &Path, counts: &[usize]) -> io::Result<[Curve; 3]> {
    const TIMEOUT: Duration = Duration::from_secs(10);
    const WINDOW: Duration = Duration::from_secs(5);
    let mut memory = Curve::new("supervisors", "memory of one, PSS", "KiB");
    let mut switches = Curve::new("supervisors", "context switches of one", "/s");
    let mut late = Curve::new("supervisors", "the latest hang", "ms late");
    for count in counts {
        eprintln!("{count} supervisors");
        let side_by_side = *count as f64;
        let mut idle: Vec<Record> = Vec::new();
        for _ in 0..*count {
            rig.supervise(own, "--timeout 3600", Behaviour::Idle, 0)?;
            idle.extend(rig.records.expect(Kind::Start, 1, PATIENCE)?);
        }
        let pids = rig.at_rest(&idle);
        memory.points.push((side_by_side, processes::memory(&pids).pss / side_by_side));
        let before = processes::context_switches(&pids);
        thread::sleep(WINDOW);
        let switched = processes::context_switches(&pids) - before;
        switches.points.push((side_by_side, switched / side_by_side / WINDOW.as_secs_f64()));
        rig.clear();
        for _ in 0..*count {
            rig.supervise(own, "--timeout 10 --restart never", Behaviour::Hang, 0)?;
        }
        late.points.push((side_by_side, latest(rig, *count, TIMEOUT)?));
        rig.clear();
    }
    Ok([memory, switches, late])
}

/// Each beats once and is asked to leave once: the greatest lateness of so many.
fn latest(rig: &mut Rig, count: usize, timeout: Duration) -> io::Result<f64> {
    let mut beats = HashMap::new();
    let mut latest = f64::NEG_INFINITY;
    let mut asked = 0;
    while asked < count {
        let record = rig.records.next(Instant::now() + PATIENCE)?;
        match record.kind {
            Kind::Beat => drop(beats.insert(record.pid, record.at)),
            Kind::Asked => {
                asked += 1;
                let beat = beats.get(&record.pid).copied().unwrap_or_default();
                latest = latest.max(millis(record.at.saturating_sub(beat)) - millis(timeout));
            }
            Kind::Exec | Kind::Start => {}
        }
    }
    Ok(latest)
}

fn words(curves: &[Curve], load: &str) -> String {
    let mut text = format!("## Growth\n\n{}\n![How costs grow](growth.svg)\n", page::circumstances(load));
    for group in curves.chunk_by(|one, next| one.of == next.of) {
        text += &format!("\n| {} |", group[0].of);
        text.extend(group.iter().map(|curve| format!(" {}, {} |", curve.name, curve.unit)));
        text += "\n| ---: |";
        text.extend(group.iter().map(|_| " ---: |"));
        for (place, (size, _)) in group[0].points.iter().enumerate() {
            text += &format!("\n| {size} |");
            let figures =
                group.iter().map(|curve| curve.points.get(place).map_or(String::new(), |point| number(point.1)));
            text.extend(figures.map(|figure| format!(" {figure} |")));
        }
        text += "\n";
    }
    text += "\nLooks: at a timeout of 20 s so many make a day; here they come every 20 ms. Descendants: the median of five; before the \
             first signal the autopsy looks at each of them, and between the signal and the next start the kernel ends them, \
             which takes it longer than in proportion to their number. Supervisors side by side: memory and context switches \
             with a timeout of an hour, in which nothing is to be done; each of them found its hang, since the measurement \
             waits for all.\n";
    text
}

/// A panel for each curve, both scales logarithmic.
fn picture(curves: &[Curve]) -> String {
    const HEIGHT: f64 = 90.0;
    let mut drawing = Drawing::new("How costs grow: with restarts, descendants, and supervisors side by side");
    let mut y = 24.0;
    for curve in curves {
        drawing.heading(8.0, y, format_args!("{}, {}", curve.name, curve.unit));
        let (top, bottom) = (y + 14.0, y + 14.0 + HEIGHT);
        let (least, most) = range(curve.points.iter().map(|point| point.1));
        let across = LogScale::new(range(curve.points.iter().map(|point| point.0)), (70.0, WIDTH - 30.0));
        let up = LogScale::new((least / 2.0, most * 2.0), (bottom, top));
        drawing.line(&[(60.0, bottom), (WIDTH - 20.0, bottom)], Ink::Axis);
        let points: Vec<_> = curve.points.iter().map(|(size, cost)| (across.place(*size), up.place(*cost))).collect();
        drawing.line(&points, Ink::Accent);
        points.iter().for_each(|(x, y)| drawing.dot(*x, *y, 3.0, Ink::Accent));
        // Where points are many, the first and the last tell all.
        let step = if points.len() > 4 { points.len() - 1 } else { 1 };
        for ((size, cost), (x, place)) in curve.points.iter().zip(&points).step_by(step) {
            drawing.text(*x, place - 7.0, Anchor::Middle, number(*cost));
            drawing.text(*x, bottom + 16.0, Anchor::Middle, size);
        }
        y = bottom + 16.0 + LINE;
        drawing.text(WIDTH / 2.0, y, Anchor::Middle, curve.of);
        y += LINE * 1.5;
    }
    drawing.finish(y)
}

/// The least and the most, above zero.
fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let least = values.clone().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    let least = if least.is_finite() { least } else { 0.001 };
    (least, values.fold(least, f64::max))
}
