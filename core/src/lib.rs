//! Decides when a command is started, watched, stopped and restarted.
//!
//! The heart is [`Supervisor`], a state machine: facts ([`Event`]) go in, orders ([`Action`]) and stories ([`Notice`])
//! come out. It has no clock and no IO, so the same decisions can run on real processes, in an async runtime, or on
//! virtual time in a simulator. [`run`] drives it through any [`Backend`]; to drive it by hand, this is the loop:
//!
//! ```
//! use supervisor_core::{Action, Event, ExitStatus, Instant, Outcome, Policy, Supervisor};
//! use std::time::Duration;
//!
//! // A world in which the command runs for one second and exits with 0.
//! let mut now = Instant::ORIGIN;
//! let mut facts = std::collections::VecDeque::new();
//!
//! let (mut supervisor, mut step) = Supervisor::start(Policy::default());
//! let outcome = loop {
//!     for action in step.actions {
//!         match action {
//!             Action::Start { run, .. } => facts.extend([
//!                 (Duration::ZERO, Event::Started { run, pid: 1000 }),
//!                 (Duration::from_secs(1), Event::Exited { run, status: ExitStatus::Code(0) }),
//!                 (Duration::ZERO, Event::Cleared { run }),
//!             ]),
//!             Action::Look { .. } | Action::Signal { .. } => {}
//!         }
//!     }
//!     if let Some(outcome) = supervisor.outcome() {
//!         break outcome;
//!     }
//!     // A real world sleeps until a fact is known or `supervisor.poll_timeout()` has come.
//!     let (after, event) = facts.pop_front().expect("the command ends");
//!     now = now + after;
//!     step = supervisor.handle_event(event, now);
//! };
//! assert_eq!(outcome, Outcome::Finished);
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod driver;
mod escalation;
mod event;
mod heartbeat;
mod notice;
mod outcome;
mod phase;
mod policy;
pub mod sim;
mod step;
mod supervisor;
mod time;

pub use action::{Action, Purpose};
pub use driver::{Backend, Incoming, Report, run};
pub use escalation::Main;
pub use event::{Event, ExitStatus, Message, Observation, RunId, StartFailure, StartFailureKind};
pub use heartbeat::LastBeat;
pub use notice::{DelayCause, Ending, Evidence, KillCause, Notice};
pub use outcome::{End, GiveUp, Outcome};
pub use phase::Phase;
pub use policy::{Backoff, Jitter, Limit, OnHang, Policy, Restart, Watchdog};
pub use step::{List, Step};
pub use supervisor::Supervisor;
pub use time::Instant;
