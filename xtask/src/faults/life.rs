//! Short lives of a supervisor, which together pass through every part of it.

use super::tracer::End;
use nix::sys::signal::Signal;

/// One of them. Its command tells by `runs` when it starts, and by `beside` that another of it lives.
pub struct Life {
    pub name: &'static str,
    /// In the shell that becomes the supervisor.
    pub before: &'static str,
    pub keeper: Fate,
    pub options: &'static str,
    pub command: Command,
    /// How it ends without a fault.
    pub end: End,
    /// How it may end with a fault, beside [`WITH_A_FAULT`].
    pub other_ends: &'static [End],
}

/// What becomes of the only process between the supervisor and its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Ends,
    /// Its command kills it. Should the supervisor end in that moment, nobody is left to end the command.
    Killed,
}

/// What is supervised.
pub enum Command {
    /// A script of the shell, to which `$run` is the number of its run and `$SUPERVISOR` the pid of the supervisor.
    Script(&'static str),
    /// A program that is not there.
    Absent,
}

/// Each fault may come to this: the supervisor cannot work, the command cannot be started or found, the last run was
/// killed with its keeper, or after a request to stop.
pub const WITH_A_FAULT: [End; 4] = [End::Code(125), End::Code(126), End::Code(127), End::Code(137)];

/// Before the command of each life. The lock is kept by each process that the command starts.
pub const PREPARATION: &str = "exec 9>>lock; flock -n 9 || echo beside >>beside; echo run >>runs; run=0; \
    while read -r _; do run=$((run + 1)); done <runs; ";

/// Who runs a hook or a probe leaves a process behind each time.
pub const HOOK: &str = "#!/bin/sh\ncat >/dev/null\nsleep 1000 &\n";
pub const PROBE: &str = "#!/bin/sh\necho looks\nsleep 1000 &\n";

const PLAIN: Life = Life {
    name: "",
    before: "",
    keeper: Fate::Ends,
    options: "--no-heartbeat",
    command: Command::Script("exit 0"),
    end: End::Code(0),
    other_ends: &[],
};

pub const LIVES: [Life; 15] = [
    Life { name: "finish", ..PLAIN },
    Life {
        name: "crash",
        options: "--no-heartbeat --max-restarts 1 --backoff-factor 0.02",
        command: Command::Script("exit 7"),
        end: End::Code(7),
        ..PLAIN
    },
    Life {
        name: "absent",
        options: "--no-heartbeat --max-restarts 3 --backoff-factor 0.02",
        command: Command::Absent,
        end: End::Code(127),
        ..PLAIN
    },
    Life {
        name: "files",
        options: "--timeout 10 --status-file status --metrics-file metrics.prom --pid-file pid",
        command: Command::Script("echo >\"$HEARTBEAT_FILE\"; sleep 0.1; echo >>\"$HEARTBEAT_FILE\"; exit 0"),
        ..PLAIN
    },
    // It ignores what would end it, so that it is killed; the second run has the supervisor stopped.
    Life {
        name: "hang",
        options: "--timeout 0.5 --hang-signal USR1 --hang-grace-period 0.1 --grace-period 0.4 --backoff-factor 0.02 \
                  --max-restarts 3",
        command: Command::Script(
            "echo >\"$HEARTBEAT_FILE\"; if [ $run = 1 ]; then trap '' USR1 TERM; exec sleep 1000; fi; \
                  trap 'exit 0' TERM; kill -TERM $SUPERVISOR; sleep 1000",
        ),
        other_ends: &[End::Code(124)],
        ..PLAIN
    },
    Life {
        name: "stubborn",
        options: "--no-heartbeat --grace-period 0.2",
        command: Command::Script("setsid sleep 1000 & trap '' TERM; kill -TERM $SUPERVISOR; while :; do sleep 1; done"),
        end: End::Code(137),
        // Its keeper is lost, and the command with it, before the supervisor kills.
        other_ends: &[End::Code(0)],
        ..PLAIN
    },
    Life {
        name: "leftovers",
        options: "--no-heartbeat --grace-period 0.2 --max-restarts 1 --backoff-factor 0.02",
        command: Command::Script("setsid sleep 1000 & (trap '' TERM; exec setsid sleep 1000) & sleep 0.05; exit 3"),
        end: End::Code(3),
        ..PLAIN
    },
    Life {
        name: "notify",
        options: "--notify --timeout 5 --grace-period 0.2 --max-restarts 3 --backoff-factor 0.02",
        command: Command::Script(
            "exec python3 -c 'import os, socket, sys, time
address = os.environ[\"NOTIFY_SOCKET\"]
address = \"\\0\" + address[1:] if address[0] == \"@\" else address
def say(text): socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text.encode(), address)
say(\"READY=1\\nSTATUS=up\")
say(\"WATCHDOG=1\")
if sys.argv[1] == \"1\":
    say(\"WATCHDOG=trigger\")
    time.sleep(1000)' $run",
        ),
        other_ends: &[End::Code(124)],
        ..PLAIN
    },
    Life {
        name: "probe",
        options: "--probe ../probe --probe-interval 0.05 --timeout 5 --grace-period 0.2",
        command: Command::Script("sleep 0.25; exit 0"),
        ..PLAIN
    },
    Life { name: "hook", options: "--no-heartbeat --grace-period 1 --on-event ../hook", ..PLAIN },
    Life {
        name: "signals",
        options: "--no-heartbeat --grace-period 0.2 --restart-signal USR2 --stop-on USR1",
        command: Command::Script(
            "trap '' HUP; if [ $run = 1 ]; then kill -HUP $SUPERVISOR; kill -USR2 $SUPERVISOR; \
                  else kill -USR1 $SUPERVISOR; fi; exec sleep 1000",
        ),
        ..PLAIN
    },
    Life {
        name: "manager",
        before: "export NOTIFY_SOCKET=$PWD/manager WATCHDOG_USEC=200000;",
        options: "--no-heartbeat",
        command: Command::Script("sleep 0.2; exit 0"),
        ..PLAIN
    },
    // The supervisor adopts what its keeper kept.
    Life {
        name: "orphaned",
        keeper: Fate::Killed,
        options: "--no-heartbeat --grace-period 0.2 --backoff-factor 0.02 --max-restarts 3",
        command: Command::Script("if [ $run = 1 ]; then setsid sleep 1000 & kill -KILL $PPID; sleep 1000; fi; exit 0"),
        ..PLAIN
    },
    // The same where the supervisor has a child from before: a second keeper adopts.
    Life {
        name: "stranger",
        before: "env -u FAULTS sleep 3 &",
        options: "--no-heartbeat --grace-period 0.2 --backoff-factor 0.02 --max-restarts 3",
        command: Command::Script("setsid sleep 1000 & if [ $run = 1 ]; then kill -KILL $PPID; sleep 1000; fi; exit 0"),
        ..PLAIN
    },
    // The keeper ends what is left of a supervisor that is killed.
    Life {
        name: "killed",
        options: "--timeout 10 --notify --status-file status --pid-file pid --grace-period 0.2",
        command: Command::Script("setsid sleep 1000 & kill -KILL $SUPERVISOR; sleep 1000"),
        end: End::Signal(Signal::SIGKILL),
        ..PLAIN
    },
];
