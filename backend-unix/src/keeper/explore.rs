//! Every state that a keeper, its supervisor and a command can reach together, breadth first: all orders of what they do,
//! of what the kernel does, and of what people do to them, who may kill or stop either process at every step.
//!
//! What the two processes decide is decided by the machines that ship: [`KeeperMachine`](super::protocol::KeeperMachine)
//! and [`Run`](super::run::Run). What drives them is written down here as `process.rs` and `backend/` have it. A broken
//! invariant is told with the shortest story that leads to it.

mod invariants;
mod keeper;
mod kernel;
mod moves;
mod supervisor;
mod world;

use super::protocol::Policy;
use invariants::{PROMISES, Promise, both_killed_is_the_only_way_out, got_away};
use moves::{Class, Move};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use supervisor_core::Instant;
use world::{Left, World};

/// The protocol knows no time.
const NOW: Instant = Instant::from_origin(Duration::ZERO);

/// What is explored.
#[derive(Clone)]
struct Setup {
    policy: Policy,
    sight: Sight,
    /// How many messages the line holds in either direction.
    room: usize,
    /// Whether a debugger may hold the keeper.
    debugger: bool,
    left: Left,
}

/// Whether the supervisor sees what is below the keeper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    All,
    /// `/proc` shows nothing: it has the keeper signal its children.
    None,
}

/// All states, and how they follow from each other.
struct Explored {
    worlds: HashMap<Rc<World>, usize>,
    paths: Vec<Option<(usize, Move)>>,
    edges: Vec<Edge>,
}

struct Edge {
    from: usize,
    to: usize,
    class: Class,
}

fn explore(setup: &Setup) -> Explored {
    let first = Rc::new(World::new(setup));
    let mut explored = Explored { worlds: HashMap::from([(first.clone(), 0)]), paths: vec![None], edges: Vec::new() };
    let mut queue = VecDeque::from([(first, 0)]);
    while let Some((world, from)) = queue.pop_front() {
        for (action, class) in world.moves(setup) {
            let mut next = World::clone(&world);
            let judged = next.make(action, setup).and_then(|()| both_killed_is_the_only_way_out(&next));
            if let Err(broken) = judged {
                panic!("broken: {broken}\n{}", explored.story(from, Some(action)));
            }
            let next = Rc::new(next);
            let new = explored.paths.len();
            let to = *explored.worlds.entry(Rc::clone(&next)).or_insert(new);
            explored.edges.push(Edge { from, to, class });
            if to == new {
                explored.paths.push(Some((from, action)));
                queue.push_back((next, new));
            }
        }
    }
    explored
}

impl Explored {
    fn story(&self, mut from: usize, last: Option<Move>) -> String {
        let mut moves: Vec<_> = last.into_iter().collect();
        while let Some((before, action)) = self.paths[from] {
            moves.push(action);
            from = before;
        }
        moves.into_iter().rev().map(|action| format!("{action:?}\n")).collect()
    }

    fn assert_kept(&self, promise: &Promise) {
        let mut is_open = vec![false; self.paths.len()];
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); self.paths.len()];
        for edge in self.edges.iter().filter(|edge| promise.by.contains(&edge.class)) {
            before[edge.to].push(edge.from);
        }
        let mut queue: Vec<usize> =
            self.worlds.iter().filter(|(world, _)| (promise.is_kept)(world)).map(|(_, &number)| number).collect();
        queue.iter().for_each(|&number| is_open[number] = true);
        while let Some(number) = queue.pop() {
            for &from in &before[number] {
                if !std::mem::replace(&mut is_open[from], true) {
                    queue.push(from);
                }
            }
        }
        // States are numbered in the order in which they were found: the first one has the shortest story.
        let stuck = self.worlds.iter().filter(|&(world, &number)| (promise.is_due)(world) && !is_open[number]);
        if let Some(first) = stuck.map(|(_, &number)| number).min() {
            panic!("broken: {}: no way there is left after\n{}", promise.sentence, self.story(first, None));
        }
    }
}

fn usual() -> Setup {
    let left = Left {
        restarts: 1,
        requests: 1,
        forwards: 0,
        daemons: 1,
        pauses_of_main: 0,
        kills_of_keeper: 1,
        kills_of_supervisor: 1,
        stops_of_keeper: 0,
        lost_helpers: 0,
    };
    Setup { policy: Policy::Keep, sight: Sight::All, room: 2, debugger: false, left }
}

#[track_caller]
fn explored(name: &str, setup: &Setup, known: usize) -> Explored {
    let explored = explore(setup);
    PROMISES.iter().for_each(|promise| explored.assert_kept(promise));
    let states = explored.worlds.len();
    println!("{name}: {states} states, {} moves", explored.edges.len());
    assert_eq!(states, known, "{name}: other states than before; if that is meant, tell so in backend-unix/README.md");
    explored
}

#[test]
fn usual_run() {
    let explored = explored("usual", &usual(), 350_001);
    assert!(explored.worlds.keys().any(|world| got_away(world)), "two kills are a way out, and said to be");
}

/// What only tells how things are is dropped where there is no room; the rest waits.
#[test]
fn a_full_line() {
    let left = Left { restarts: 0, daemons: 0, forwards: 1, pauses_of_main: 2, ..usual().left };
    explored("full line", &Setup { room: 1, left, ..usual() }, 45_063);
}

/// The keeper may have to wait until it can say that an order came too late.
#[test]
fn a_full_line_with_leftovers() {
    let left = Left { restarts: 0, pauses_of_main: 1, kills_of_keeper: 0, ..usual().left };
    explored("full line, leftovers", &Setup { room: 1, left, ..usual() }, 88_711);
}

/// By SIGSTOP, or by a debugger.
#[test]
fn a_keeper_that_is_held() {
    let left = Left { restarts: 0, kills_of_keeper: 0, stops_of_keeper: 1, ..usual().left };
    explored("held keeper", &Setup { debugger: true, left, ..usual() }, 312_316);
}

/// The supervisor reaches leftovers by its keeper alone.
#[test]
fn processes_that_the_supervisor_does_not_see() {
    let left = Left { restarts: 0, ..usual().left };
    explored("hidden processes", &Setup { sight: Sight::None, left, ..usual() }, 91_154);
}

/// What a hook or a probe leaves behind is killed by its keeper.
#[test]
fn a_keeper_that_kills_what_is_left() {
    let left = Left { restarts: 0, ..usual().left };
    explored("helper", &Setup { policy: Policy::Kill, left, ..usual() }, 60_580);
}

#[test]
fn a_keeper_that_is_lost_in_each_run() {
    let left = Left { requests: 0, kills_of_keeper: 2, kills_of_supervisor: 0, ..usual().left };
    explored("lost twice", &Setup { left, ..usual() }, 9_339);
}

/// What the supervisor adopts then has nothing to do with the run.
#[test]
fn a_keeper_of_a_hook_that_is_lost() {
    let left = Left { restarts: 0, requests: 0, kills_of_supervisor: 0, lost_helpers: 1, ..usual().left };
    explored("lost helper", &Setup { left, ..usual() }, 6_344);
}
