//! What holds always, each by its name and a sentence; and what is promised to come.

use super::moves::Class;
use super::world::{Asked, Daemon, Hold, Main, Parent, Stage, Stop, Supervisor, Told, World};
use supervisor_core::{Event, ExitStatus, RunId};

/// The sentence that does not hold.
pub type Broken = &'static str;

pub fn nothing_is_left(world: &World) -> Result<(), Broken> {
    holds(world.is_empty(), "nothing of a run is left once it counts as over")
}

pub fn no_second_copy(world: &World) -> Result<(), Broken> {
    holds(world.is_empty(), "no second copy is started beside a living one")
}

/// The number in the keeper's hand is that of its own process or group, or of none.
pub fn order_reaches_its_own(world: &World, number: i32) -> Result<(), Broken> {
    holds(!world.stranger_has(number), "an order never reaches a number that another process has now")
}

/// What the core knows after an event.
pub fn one_end(told: Told, current: RunId, event: Event) -> Result<Told, Broken> {
    holds(event.run() == Some(current), "what is told is told of the current run")?;
    match (told, event) {
        (Told::Nothing, Event::Started { .. }) => Ok(Told::Started),
        (Told::Started, Event::Exited { .. }) => Ok(Told::Exited),
        (Told::Nothing, Event::StartFailed { .. }) | (Told::Exited, Event::Cleared { .. }) => Ok(Told::Over),
        (Told::Nothing | Told::Started | Told::Exited | Told::Over, _) => {
            Err("each start has exactly one end: StartFailed, or Started, Exited and Cleared")
        }
    }
}

pub fn exit_is_true(world: &World, status: ExitStatus) -> Result<(), Broken> {
    holds(world.main_end == Some(status), "the end that a keeper tells is the one that was")
}

pub fn no_loss_without_a_kill(world: &World) -> Result<(), Broken> {
    holds(world.keeper_was_killed, "no keeper counts as lost unless it was killed")
}

/// What executes and has no parent of ours got away. One that does not execute yet finds its parent gone.
pub fn got_away(world: &World) -> bool {
    let main = matches!(world.main, Main::Lives { parent: Parent::Kernel, stage: Stage::Executes { .. }, .. });
    main || matches!(world.daemon, Daemon::Lives { parent: Parent::Kernel, .. })
}

pub fn both_killed_is_the_only_way_out(world: &World) -> Result<(), Broken> {
    let both_killed = world.supervisor == Supervisor::Killed && world.keeper_was_killed;
    holds(both_killed || !got_away(world), "nothing gets away unless both processes were killed")
}

/// From every state in which it is due a state is reached in which it is kept, by moves of these classes alone: however
/// things go on, the way there stays open, and with fair progress it is taken.
pub struct Promise {
    pub sentence: &'static str,
    pub is_due: fn(&World) -> bool,
    pub is_kept: fn(&World) -> bool,
    pub by: &'static [Class],
}

pub const PROMISES: [Promise; 4] = [
    Promise {
        sentence: "a stop ends",
        is_due: |world| world.asked() == Asked::Stop,
        is_kept: |world| world.supervisor == Supervisor::Left,
        by: &[Class::Progress, Class::Kill],
    },
    Promise {
        sentence: "what the main process leaves behind is asked to leave, too",
        is_due: |world| {
            let is_left = world.told() == Some(Told::Exited) && !world.keeper_was_killed;
            // What a debugger holds is killed, and all that it keeps.
            is_left && world.hold() != Hold::Traced && is_unasked(world)
        },
        is_kept: |world| !is_unasked(world),
        by: &[Class::Progress],
    },
    Promise {
        sentence: "a lost keeper ends the run",
        is_due: |world| world.supervisor_lives() && world.keeper_was_killed,
        is_kept: |world| world.told() == Some(Told::Over),
        by: &[Class::Progress],
    },
    Promise {
        sentence: "all of a killed supervisor's goes, unless its keeper was killed, too",
        is_due: |world| world.supervisor == Supervisor::Killed && !world.keeper_was_killed,
        is_kept: World::is_empty,
        by: &[Class::Progress],
    },
];

fn is_unasked(world: &World) -> bool {
    world.stop == Stop::NotSent && matches!(world.daemon, Daemon::Lives { .. })
}

fn holds(condition: bool, sentence: Broken) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(sentence) }
}
