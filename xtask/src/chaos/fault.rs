//! What may go wrong.

use std::fmt;
use std::time::Duration;

/// What is done to a supervisor and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    One(Blow),
    /// Two within one moment.
    Two {
        first: Blow,
        pause: Duration,
        second: Blow,
    },
    /// SIGTERM to the supervisor.
    Stop,
    /// SIGINT to the supervisor.
    Interrupt,
    FloodOfSignals,
    /// The supervisor may open no more files.
    DenyDescriptors,
    /// So many more processes may be forked: with none the supervisor fails, with one the keeper.
    DenyProcesses {
        more: u64,
    },
    RemoveHeartbeat,
    HeartbeatFolder,
}

/// One signal that cannot be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blow {
    pub deed: Deed,
    pub target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Kill,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Supervisor,
    /// That of the command, of a hook or of a probe.
    Keeper,
    Command,
}

/// The longest pause of two faults within one moment, in milliseconds.
const MOMENT: u64 = 30;

impl Fault {
    pub fn draw(dice: &mut fastrand::Rng) -> Fault {
        match dice.u8(0..14) {
            0..4 => Fault::One(Blow::draw(dice)),
            4..7 => {
                let pause = Duration::from_millis(dice.u64(0..=MOMENT));
                Fault::Two { first: Blow::draw(dice), pause, second: Blow::draw(dice) }
            }
            7 => Fault::Stop,
            8 => Fault::Interrupt,
            9 => Fault::FloodOfSignals,
            10 => Fault::DenyDescriptors,
            11 => Fault::DenyProcesses { more: dice.u64(0..3) },
            12 => Fault::RemoveHeartbeat,
            _ => Fault::HeartbeatFolder,
        }
    }

    /// The signals that it consists of, in order.
    pub fn blows(&self) -> Vec<Blow> {
        match *self {
            Fault::One(blow) => vec![blow],
            Fault::Two { first, second, .. } => vec![first, second],
            Fault::Stop
            | Fault::Interrupt
            | Fault::FloodOfSignals
            | Fault::DenyDescriptors
            | Fault::DenyProcesses { .. }
            | Fault::RemoveHeartbeat
            | Fault::HeartbeatFolder => Vec::new(),
        }
    }
}

impl Blow {
    fn draw(dice: &mut fastrand::Rng) -> Blow {
        let deed = if dice.bool() { Deed::Kill } else { Deed::Stop };
        let target = [Target::Supervisor, Target::Keeper, Target::Command][dice.usize(..3)];
        Blow { deed, target }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deed = match self.deed {
            Deed::Kill => "kill",
            Deed::Stop => "stop",
        };
        let target = match self.target {
            Target::Supervisor => "supervisor",
            Target::Keeper => "keeper",
            Target::Command => "command",
        };
        write!(f, "{deed} {target}")
    }
}

/// The kind of it, for the account.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::One(blow) => blow.fmt(f),
            Fault::Two { first, second, .. } => write!(f, "{first} + {second}"),
            Fault::Stop => f.write_str("SIGTERM"),
            Fault::Interrupt => f.write_str("SIGINT"),
            Fault::FloodOfSignals => f.write_str("flood of signals"),
            Fault::DenyDescriptors => f.write_str("no descriptors"),
            Fault::DenyProcesses { more } => write!(f, "{more} more processes"),
            Fault::RemoveHeartbeat => f.write_str("heartbeat removed"),
            Fault::HeartbeatFolder => f.write_str("heartbeat a folder"),
        }
    }
}
