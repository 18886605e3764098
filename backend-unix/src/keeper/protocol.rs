//! What keeper and supervisor say to each other, and how a keeper decides: a state machine without system calls.
//!
//! The line between them is a SOCK_SEQPACKET socket: messages keep their order and their bounds, and it ends with either
//! of them. The keeper's exit with 0 is its last message: nothing of the run is left.

use crate::signals::Signal;
use supervisor_core::ExitStatus;

/// What a keeper tells the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Report {
    /// There is a main process, which is about to execute the command. It tells so itself, before it can do anything else.
    Forked { pid: i32 },
    /// The command is executed. This is its main process.
    Started { pid: i32 },
    /// It could not be forked or executed, by this error number. The keeper ends.
    Failed { os_error: i32 },
    /// A child was stopped by a signal.
    Stopped { pid: i32, signal: i32 },
    /// A stopped child goes on.
    Continued { pid: i32 },
    /// The main process ended.
    Ended { status: ExitStatus, leftovers: Leftovers },
    /// An order for the group of the main process came when that had ended: nobody got this signal.
    TooLate { signal: i32 },
}

/// Whether the keeper still has children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Leftovers {
    None,
    Some,
}

/// What a supervisor orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    pub recipient: Recipient,
    pub signal: Signal,
}

/// Which processes get a signal. Only the keeper, which reaps them, knows that their numbers are still their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Recipient {
    /// The main process, while it lives.
    Main,
    /// Its process group, while it lives, and the main process itself, should it have moved to another.
    Group,
    /// Every child of the keeper.
    Children,
}

impl Report {
    pub const LENGTH: usize = 12;

    pub fn to_bytes(self) -> [u8; Report::LENGTH] {
        let words = match self {
            Report::Started { pid } => [1, pid, 0],
            Report::Failed { os_error } => [2, os_error, 0],
            Report::Stopped { pid, signal } => [3, pid, signal],
            Report::Continued { pid } => [4, pid, 0],
            Report::Ended { status: ExitStatus::Code(code), leftovers } => [5, leftovers as i32, code.into()],
            Report::Ended { status: ExitStatus::Signal(signal), leftovers } => [6, leftovers as i32, signal.into()],
            Report::Forked { pid } => [7, pid, 0],
            Report::TooLate { signal } => [8, signal, 0],
        };
        let mut bytes = [0; Report::LENGTH];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&i32::to_ne_bytes(word));
        }
        bytes
    }

    pub fn from_bytes(bytes: [u8; Report::LENGTH]) -> Option<Report> {
        let (words, _) = bytes.as_chunks::<4>();
        let leftovers = |word| if word == Leftovers::None as i32 { Leftovers::None } else { Leftovers::Some };
        Some(match [0, 1, 2].map(|at| i32::from_ne_bytes(words[at])) {
            [1, pid, _] => Report::Started { pid },
            [2, os_error, _] => Report::Failed { os_error },
            [3, pid, signal] => Report::Stopped { pid, signal },
            [4, pid, _] => Report::Continued { pid },
            [5, left, code] => Report::Ended { status: ExitStatus::Code(code as u8), leftovers: leftovers(left) },
            [7, pid, _] => Report::Forked { pid },
            [6, left, number] => Report::Ended { status: ExitStatus::Signal(number as u8), leftovers: leftovers(left) },
            [8, signal, _] => Report::TooLate { signal },
            _ => return None,
        })
    }
}

impl Order {
    pub const LENGTH: usize = 2;

    pub fn to_bytes(self) -> [u8; Order::LENGTH] {
        [self.recipient as u8, self.signal.number() as u8]
    }

    pub fn from_bytes([recipient, signal]: [u8; Order::LENGTH]) -> Option<Order> {
        let recipients = [Recipient::Main, Recipient::Group, Recipient::Children];
        let recipient = recipients.into_iter().find(|known| *known as u8 == recipient)?;
        Some(Order { recipient, signal: Signal::from_number(signal.into())? })
    }
}

/// What becomes of processes that a main process leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Policy {
    /// The supervisor decides: they are of a command.
    Keep,
    /// They are killed: they are of a hook or a probe.
    Kill,
}

/// How a keeper decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeeperMachine {
    policy: Policy,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// The child is on its way to execve(2).
    Starting { main: i32 },
    /// The command runs.
    Running { main: i32 },
    /// The main process ended, or was never executed; others may live.
    Leftovers,
    /// All are killed until there are none.
    Clearing,
    /// There are none.
    Done,
}

/// What becomes known to a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// The child executes, or was killed on the way.
    Executed,
    /// The child could not execute.
    ExecFailed { os_error: i32 },
    /// The main process ended and was reaped.
    MainEnded { status: ExitStatus, leftovers: Leftovers },
    /// The last child ended and was reaped, and it was not the main process.
    LastEnded,
    /// An order came.
    Ordered { recipient: Recipient, signal: i32 },
    /// There is no supervisor at the other end of the line any more, or no parent of the keeper.
    LineEnded,
}

/// What a keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Output {
    Tell(Report),
    SignalMain {
        main: i32,
        signal: i32,
    },
    SignalGroup {
        main: i32,
        signal: i32,
    },
    SignalChildren {
        signal: i32,
    },
    /// Kill all children, again and again until there are none.
    Clear,
    Exit,
}

/// At most two things follow from one.
pub(crate) type Outputs = [Option<Output>; 2];

impl KeeperMachine {
    /// The machine of a keeper that has forked its main process.
    pub fn new(policy: Policy, main: i32) -> KeeperMachine {
        KeeperMachine { policy, state: State::Starting { main } }
    }

    /// Whether it waits for the execution of its child.
    pub fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting { .. })
    }

    /// Takes what became known, and returns what follows, in order.
    pub fn handle(&mut self, input: Input) -> Outputs {
        let (state, outputs) = self.next(input);
        self.state = state;
        outputs
    }

    fn next(&self, input: Input) -> (State, Outputs) {
        let same = (self.state, [None, None]);
        match (self.state, input) {
            (State::Done, _) => same,
            (State::Clearing, Input::LastEnded | Input::MainEnded { leftovers: Leftovers::None, .. }) => exit(),
            (State::Clearing, _) => same,
            (_, Input::LineEnded) => (State::Clearing, [Some(Output::Clear), None]),
            (State::Starting { main }, Input::Executed) => {
                (State::Running { main }, tell(Report::Started { pid: main }))
            }
            (State::Starting { .. }, Input::ExecFailed { os_error }) => {
                (State::Leftovers, tell(Report::Failed { os_error }))
            }
            (State::Running { .. }, Input::MainEnded { status, leftovers }) => self.main_ended(status, leftovers),
            (State::Leftovers, Input::LastEnded | Input::MainEnded { leftovers: Leftovers::None, .. }) => exit(),
            // What became of the execution is known before the end.
            (State::Starting { .. }, Input::MainEnded { .. } | Input::LastEnded)
            | (State::Running { .. }, Input::LastEnded)
            | (State::Leftovers, Input::MainEnded { leftovers: Leftovers::Some, .. }) => same,
            (State::Starting { main } | State::Running { main }, Input::Ordered { recipient, signal }) => {
                let output = match recipient {
                    Recipient::Main => Output::SignalMain { main, signal },
                    Recipient::Group => Output::SignalGroup { main, signal },
                    Recipient::Children => Output::SignalChildren { signal },
                };
                (self.state, [Some(output), None])
            }
            (State::Leftovers, Input::Ordered { recipient: Recipient::Children, signal }) => {
                (self.state, [Some(Output::SignalChildren { signal }), None])
            }
            // The main process ended while the order was on its way: its number is not its own any more. Others of its
            // group may live.
            (State::Leftovers, Input::Ordered { recipient: Recipient::Main, .. }) => same,
            (State::Leftovers, Input::Ordered { recipient: Recipient::Group, signal }) => {
                (State::Leftovers, tell(Report::TooLate { signal }))
            }
            (State::Running { .. } | State::Leftovers, Input::Executed | Input::ExecFailed { .. }) => same,
        }
    }

    fn main_ended(&self, status: ExitStatus, leftovers: Leftovers) -> (State, Outputs) {
        let told = Some(Output::Tell(Report::Ended { status, leftovers }));
        match (leftovers, self.policy) {
            (Leftovers::None, _) => (State::Done, [told, Some(Output::Exit)]),
            (Leftovers::Some, Policy::Keep) => (State::Leftovers, [told, None]),
            (Leftovers::Some, Policy::Kill) => (State::Clearing, [told, Some(Output::Clear)]),
        }
    }
}

fn tell(report: Report) -> Outputs {
    [Some(Output::Tell(report)), None]
}

fn exit() -> (State, Outputs) {
    (State::Done, [Some(Output::Exit), None])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood() {
        let (pid, signal, left) = (4_194_303, 64, Leftovers::Some);
        let reports = [
            Report::Forked { pid },
            Report::Started { pid },
            Report::Failed { os_error: 11 },
            Report::Stopped { pid, signal },
            Report::Continued { pid },
            Report::Ended { status: ExitStatus::Code(255), leftovers: Leftovers::None },
            Report::Ended { status: ExitStatus::Signal(9), leftovers: left },
            Report::TooLate { signal },
        ];
        for report in reports {
            assert_eq!(Report::from_bytes(report.to_bytes()), Some(report));
        }
        assert_eq!(Report::from_bytes([0; Report::LENGTH]), None);
        for recipient in [Recipient::Main, Recipient::Group, Recipient::Children] {
            let order = Order { recipient, signal: Signal::KILL };
            assert_eq!(Order::from_bytes(order.to_bytes()), Some(order));
        }
        assert_eq!(Order::from_bytes([9, 9]), None);
    }
}
