//! The supervisor or the keeper is killed: nothing of the command outlives it, and nothing else is touched.

use crate::other_user::{as_other, can_become_other, other_can_run, place_for_other};
use crate::support::{
    Place, Supervised, can, children, copy_program, is_alive, name_of, parent_of, python, signal, skipped, state,
    wait_for_file, wait_until,
};
use std::process::Command;

/// A command that hides what it starts. Each of its processes, `count` in all, writes its pid into the file `pids`.
struct Tree {
    name: &'static str,
    script: String,
    count: usize,
}

/// The main process of most of them: it stays, and looks at nothing.
const STAY: &str = "echo $$ >> pids; echo > ready; while :; do sleep 0.05; done";

/// Programs that lie in the folder of each test: a daemon that stays, and ways to start it.
const PROGRAMS: [(&str, &str); 6] = [
    ("daemon", "#!/bin/sh\ncd \"${0%/*}\"; echo $$ >> pids; echo > up; exec sleep 1000\n"),
    ("deaf", "#!/bin/sh\ntrap '' TERM HUP INT; exec ./daemon\n"),
    ("stopped", "#!/bin/sh\necho $$ >> pids; echo > up; kill -STOP $$; exec sleep 1000\n"),
    (
        "sibling.py",
        "import ctypes, os, platform\n\
         clone = 56 if platform.machine() == 'x86_64' else 220\n\
         CLONE_PARENT, SIGCHLD = 0x8000, 17\n\
         if ctypes.CDLL(None).syscall(clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0:\n    os.execv('./daemon', ['./daemon'])\n",
    ),
    (
        "dead_leader.py",
        "import ctypes, os, platform, threading, time\n\
         threading.Thread(target=lambda: time.sleep(1000)).start()\n\
         open('pids', 'a').write(f'{os.getpid()}\\n')\nopen('up', 'w')\n\
         ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)\n",
    ),
    (
        "subreaper.py",
        "import ctypes, subprocess, time\n\
         PR_SET_CHILD_SUBREAPER = 36\n\
         ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)\n\
         subprocess.run(['sh', '-c', '(setsid ./daemon &)'])\ntime.sleep(1000)\n",
    ),
];

/// A daemon that is started in this way, beside a main process.
fn daemon(name: &'static str, start: &str) -> Tree {
    Tree { name, script: format!("{start}\nwhile ! [ -e up ]; do sleep 0.01; done; {STAY}"), count: 2 }
}

fn trees() -> Vec<Tree> {
    let (python, supervisor) = (python(), env!("CARGO_BIN_EXE_supervisor"));
    let group = format!("for i in 1 2 3; do sleep 1000 & echo $! >> pids; done; {STAY}");
    let many =
        format!("i=0; while [ $i -lt 300 ]; do (setsid sleep 1000 & echo $! >> pids); i=$((i + 1)); done; {STAY}");
    vec![
        Tree { name: "the command alone", script: STAY.to_owned(), count: 1 },
        Tree { name: "its group", script: group, count: 4 },
        daemon("a session of its own", "(setsid ./daemon &)"),
        daemon("without its environment", "(setsid env -i PATH=$PATH ./daemon &)"),
        daemon("with other limits", "(setsid env -i PATH=$PATH prlimit --rttime=unlimited ./daemon &)"),
        daemon("deaf to signals", "(setsid ./deaf &)"),
        daemon("stopped", "(setsid ./stopped &)"),
        daemon("another user", "(setsid setpriv --reuid=65534 --clear-groups ./daemon &)"),
        daemon("a child for its parent", &format!("{python} sibling.py")),
        daemon("a dead leader with a living thread", &format!("(setsid {python} dead_leader.py &)")),
        daemon("below a subreaper of its own", &format!("(setsid {python} subreaper.py &)")),
        daemon(
            "below a supervisor of its own",
            &format!("{supervisor} --no-heartbeat sh -c '(setsid ./daemon &); exec sleep 1000' 2> below.log &"),
        ),
        Tree { name: "three hundred processes", script: many, count: 301 },
    ]
}

/// Sessions for other users, as real su(1) and sudo(8) begin them: with limits and an environment of their own.
fn sessions() -> Vec<Tree> {
    let mut trees = Vec::new();
    if can(&["su", "-", "-s", "/bin/sh", "-c", "true"]) {
        trees.push(daemon("a session of su", "su - -s /bin/sh root -c \"$PWD/daemon\" < /dev/null &"));
        trees.push(daemon("a daemon of su", "su - -s /bin/sh root -c \"(setsid $PWD/daemon &)\" < /dev/null"));
    } else {
        skipped("su - is not to be had without a password");
    }
    if can(&["sudo", "-n", "true"]) {
        trees.push(daemon("a session of sudo", "sudo -n \"$PWD/daemon\" < /dev/null &"));
        trees.push(daemon("a daemon of sudo", "sudo -n sh -c '(setsid env -i PATH=$PATH ./daemon &)' < /dev/null"));
    } else {
        skipped("sudo -n is not to be had");
    }
    trees
}

/// A folder with the programs, in which sessions of others may write too.
fn place_of_trees() -> Place {
    let place = Place::new();
    for (name, text) in PROGRAMS {
        place.program(name, text);
    }
    place.allow("", 0o777);
    std::fs::write(place.path("pids"), "").unwrap();
    place.allow("pids", 0o666);
    place
}

/// The supervisor of a tree whose processes are all there.
struct Grown {
    place: Place,
    supervised: Supervised,
    pids: Vec<i32>,
}

fn grow(tree: &Tree, options: &[&str]) -> Grown {
    let place = place_of_trees();
    let supervised = place.start(options, &tree.script);
    let pids = wait_until_grown(tree, &place);
    Grown { place, supervised, pids }
}

fn wait_until_grown(tree: &Tree, place: &Place) -> Vec<i32> {
    let pids = || place.read("pids").lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>();
    wait_until(&format!("{}: all are up", tree.name), || pids().len() == tree.count && place.path("ready").exists());
    assert!(pids().into_iter().all(is_there), "{}", tree.name);
    pids()
}

/// Whether a process, or a thread of it, lives.
fn is_there(pid: i32) -> bool {
    is_alive(pid) || std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

#[track_caller]
fn wait_for_end_of(name: &str, pids: &[i32]) {
    for &pid in pids {
        wait_until(&format!("{name}: {pid} ({}) is gone", name_of(pid)), || !is_there(pid));
    }
}

/// What is killed, in which order.
fn kill_supervisor(grown: &Grown) {
    grown.supervised.signal("KILL");
}

fn stop_keeper_and_kill_supervisor(grown: &Grown) {
    signal(grown.supervised.keeper(), "STOP");
    grown.supervised.signal("KILL");
}

/// On a busy machine the moment begins when the keeper has ended, and ends when the supervisor has had its turn.
fn kill_keeper_and_supervisor(grown: &Grown) {
    let keeper = grown.supervised.keeper();
    signal(keeper, "KILL");
    wait_for_end_of("the keeper", &[keeper]);
    std::thread::sleep(std::time::Duration::from_millis(30));
    wait_until("the supervisor waits", || state(grown.supervised.pid()) == Some('S'));
    grown.supervised.signal("KILL");
}

fn nothing_outlives(trees: &[Tree], kill: fn(&Grown)) {
    for tree in trees {
        let grown = grow(tree, &["--no-heartbeat"]);
        let keeper = grown.supervised.keeper();
        kill(&grown);
        wait_for_end_of(tree.name, &grown.pids);
        wait_for_end_of("the keeper", &[keeper]);
    }
}

#[test]
fn nothing_outlives_the_supervisor() {
    nothing_outlives(&trees(), kill_supervisor);
}

#[test]
fn no_session_outlives_the_supervisor() {
    nothing_outlives(&sessions(), kill_supervisor);
}

#[test]
fn nothing_outlives_a_supervisor_whose_keeper_is_stopped() {
    nothing_outlives(&trees(), stop_keeper_and_kill_supervisor);
    nothing_outlives(&sessions(), stop_keeper_and_kill_supervisor);
}

/// Both within a moment. A tree takes that long to grow, and the supervisor clears it as soon as it adopts it.
#[test]
fn nothing_outlives_keeper_and_supervisor() {
    let trees = trees();
    nothing_outlives(&trees[..4], kill_keeper_and_supervisor);
}

/// A killed keeper is a failed run: its tree goes, and the command is started again.
#[test]
fn nothing_outlives_the_keeper_and_the_command_is_started_again() {
    for tree in trees().iter().chain(&sessions()) {
        let mut grown = grow(tree, &["--no-heartbeat", "--backoff-factor", "0"]);
        std::fs::remove_file(grown.place.path("ready")).unwrap();
        signal(grown.supervised.keeper(), "KILL");
        grown.supervised.wait_for_line("keeper");
        grown.supervised.wait_for_line("was killed by SIGKILL");
        grown.supervised.wait_for_line("run 2: started");
        let old: Vec<_> = grown.pids.iter().filter(|&&pid| is_there(pid)).collect();
        assert!(old.is_empty(), "{}: {old:?} live beside the next run", tree.name);
        grown.supervised.signal("TERM");
        grown.supervised.end().assert_code(0);
    }
}

/// A user without any right beyond his own.
#[test]
fn nothing_outlives_the_supervisor_of_an_ordinary_user() {
    if !can_become_other() {
        return;
    }
    let binary = place_for_other();
    // They need a right, or an interpreter that may lie where only root can go.
    let cannot = ["another user", "below a supervisor of its own"];
    let has_python = other_can_run(python());
    for tree in trees().iter().filter(|tree| !cannot.contains(&tree.name)) {
        if tree.script.contains(".py") && !has_python {
            skipped(&format!("{}: the interpreter is not for everybody", tree.name));
            continue;
        }
        let place = place_of_trees();
        let mut command = as_other([binary.path("supervisor")]);
        command.args(["--no-heartbeat", "sh", "-c", &tree.script]).current_dir(place.path(""));
        let supervised = Supervised::start(command);
        let pids = wait_until_grown(tree, &place);
        supervised.signal("KILL");
        wait_for_end_of(tree.name, &pids);
    }
}

/// In a PID namespace of its own: with its first process all others end.
#[test]
fn a_namespace_does_not_outlive_the_supervisor() {
    if !can(&["unshare", "-Upf", "true"]) {
        return skipped("unshare -Upf is not to be had");
    }
    // It knows its numbers only inside; what it holds open tells from outside.
    let place = Place::new();
    let inside = "exec 9> held; echo > up; (setsid sleep 1000 &); exec sleep 1000";
    let supervised = place.start(&["--no-heartbeat"], &format!("unshare -Upf sh -c '{inside}' & wait"));
    wait_for_file(&place.path("up"));
    let held = place.path("held").canonicalize().unwrap();
    let is_held = || {
        let fds = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| std::fs::read_dir(entry.path().join("fd")).ok());
        fds.flatten().flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == held))
    };
    assert!(is_held());
    supervised.signal("KILL");
    wait_until("the namespace is gone", || !is_held());
}

/// Neither main process nor daemon is there for long enough to be looked at before the supervisor ends.
#[test]
fn what_is_only_just_started_does_not_outlive_the_supervisor() {
    let place = Place::new();
    for round in 0..20 {
        let name = format!("pid{round}");
        let script = format!(
            "(setsid env -i PATH=$PATH sh -c 'echo $$ > {name}.new; mv {name}.new {name}; exec sleep 1000' &); sleep 1000"
        );
        let supervised = place.start(&["--no-heartbeat"], &script);
        let daemon: i32 = wait_for_file(&place.path(&name)).parse().unwrap();
        supervised.signal("KILL");
        wait_until("the daemon is gone", || !is_alive(daemon));
    }
}

/// Processes that fork and exit without an end, each the parent of the next: all that can be seen of them is a name.
#[test]
fn a_fork_chain_does_not_outlive_the_supervisor() {
    for _ in 0..5 {
        let place = Place::new();
        let name = format!("chain{}", std::process::id());
        copy_program("/bin/sh", place.path(&name));
        let program = place.path(&name).display().to_string();
        std::fs::write(place.path("link"), format!("echo > up; setsid {program} ./link & exit 0\n")).unwrap();
        let supervised = place.start(&["--no-heartbeat"], &format!("{program} ./link; sleep 1000"));
        wait_for_file(&place.path("up"));
        let chain = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
            pids.filter(|&pid| name_of(pid) == name).count()
        };
        supervised.signal("KILL");
        let mut quiet = 0;
        wait_until("the chain is gone", || {
            quiet = if chain() == 0 { quiet + 1 } else { 0 };
            quiet > 20
        });
    }
}

/// Nor do hooks and probes, and what they have started.
#[test]
fn hooks_and_probes_do_not_outlive_the_supervisor() {
    for option in ["--on-event", "--probe"] {
        let place = Place::new();
        let helper = place.script("helper", &format!("(setsid sh -c 'echo $$ >> pids; exec sleep 1000' &); {STAY}"));
        let supervised = place.start(&[option, helper.to_str().unwrap()], "exec sleep 1000");
        wait_until("both are up", || place.read("pids").lines().count() == 2);
        let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
        supervised.signal("KILL");
        wait_for_end_of(option, &pids);
    }
}

/// Their keepers may be killed, too.
#[test]
fn hooks_and_probes_do_not_outlive_their_keepers() {
    for option in ["--on-event", "--probe"] {
        let place = Place::new();
        let helper = place.script("helper", &format!("(setsid sh -c 'echo $$ >> pids; exec sleep 1000' &); {STAY}"));
        let options = [option, helper.to_str().unwrap(), "--timeout", "1000"];
        let mut supervised = place.start(&options, "echo > main; exec sleep 1000");
        let command = supervised.command_pid();
        wait_until("both are up", || place.read("pids").lines().count() == 2);
        let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
        let parent = parent_of(command);
        let mut keeper = None;
        wait_until("there is a keeper", || {
            keeper =
                children(supervised.pid()).into_iter().find(|&child| child != parent && name_of(child) == "keeper");
            keeper.is_some()
        });
        signal(keeper.unwrap(), "KILL");
        wait_for_end_of(option, &pids);
        assert!(is_alive(command));
        supervised.signal("TERM");
        let end = supervised.end();
        end.assert_code(0);
        assert_eq!(end.count(": started "), 1, "{}", end.log);
    }
}

/// A supervisor below is killed: the command of the one above is none of its business.
#[test]
fn the_command_above_outlives_a_supervisor_below() {
    let place = place_of_trees();
    let below = format!("{} -q --no-heartbeat sleep 1000 & echo $! > below", env!("CARGO_BIN_EXE_supervisor"));
    let script = format!("{below}; (setsid ./daemon &); while ! [ -e up ]; do sleep 0.01; done; {STAY}");
    let mut supervised = place.start(&["--no-heartbeat"], &script);
    wait_for_file(&place.path("ready"));
    let command = supervised.command_pid();
    let below: i32 = wait_for_file(&place.path("below")).parse().unwrap();
    let keeper_and_command = || {
        let keeper = children(below);
        let command = keeper.iter().flat_map(|&keeper| children(keeper)).collect::<Vec<_>>();
        [keeper, command].concat()
    };
    wait_until("the one below has a keeper and a command", || keeper_and_command().len() == 2);
    let of_below = keeper_and_command();
    signal(below, "KILL");
    wait_for_end_of("keeper and command below", &of_below);
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    let states: Vec<_> = [command].iter().chain(&pids).map(|&pid| (pid, name_of(pid), state(pid))).collect();
    supervised.signal("TERM");
    let end = supervised.end();
    let lives = |(_, _, state): &(i32, String, Option<char>)| state.is_some_and(|state| state != 'Z');
    assert!(states.iter().all(lives), "{states:?}: {}", end.log);
    end.assert_code(0);
}

/// Nor do leftovers, where the keeper is killed in their grace period.
#[test]
fn leftovers_do_not_outlive_a_killed_keeper() {
    let place = Place::new();
    let script = "[ $SUPERVISED_RESTARTS = 0 ] || { kill -0 $(cat daemon) && echo two > beside; exit 0; }
        (setsid sh -c 'trap \"\" TERM; echo $$ > daemon.new; mv daemon.new daemon; exec sleep 1000' &)
        while ! [ -e daemon ]; do sleep 0.01; done; exit 3";
    let options = ["--no-heartbeat", "--grace-period", "1000", "--backoff-factor", "0"];
    let mut supervised = place.start(&options, script);
    supervised.wait_for_line("sent SIGTERM to leftovers");
    let daemon: i32 = wait_for_file(&place.path("daemon")).parse().unwrap();
    assert!(is_alive(daemon));
    signal(supervised.keeper(), "KILL");
    let end = supervised.end();
    end.assert_code(0);
    assert!(!is_alive(daemon) && !place.path("beside").exists(), "{}", end.log);
}

/// Children from before `exec supervisor`, and what they leave behind, are none of the command's: whatever is killed.
#[test]
fn strangers_outlive_everything() {
    for killed in ["none", "keeper", "supervisor"] {
        let place = Place::new();
        // A child that stays, and one that leaves an orphan when it is told to.
        let strangers = "sleep 1000 & echo $! >> strangers; sh -c 'while ! [ -e go ]; do sleep 0.01; done; \
                         (sleep 1001 & echo $! >> strangers); echo > left' & ";
        let mut command = Command::new("sh");
        let line = format!("{strangers} exec \"$0\" \"$@\"");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_supervisor"), "--no-heartbeat", "--backoff-factor", "0"]);
        command.args(["sh", "-c", "echo > up; sleep 1000"]).current_dir(place.path(""));
        let mut supervised = Supervised::start(command);
        wait_for_file(&place.path("up"));
        std::fs::write(place.path("go"), "").unwrap();
        wait_for_file(&place.path("left"));
        let strangers = || place.read("strangers").lines().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>();
        wait_until("the orphan is ours", || strangers().iter().all(|&pid| parent_of(pid) == supervised.pid()));
        match killed {
            "none" => {}
            "keeper" => {
                let upper = supervised.keeper();
                let lower = children(upper)[0];
                // One kill by name does not hit both.
                wait_until("they have their names", || [name_of(upper), name_of(lower)] == ["reaper", "keeper"]);
                signal(upper, "KILL");
                supervised.wait_for_line("run 2: started");
            }
            _ => {
                let command = supervised.command_pid();
                supervised.signal("KILL");
                wait_until("the command is gone", || !is_alive(command));
            }
        }
        if killed != "supervisor" {
            supervised.signal("TERM");
            wait_until("the supervisor is gone", || !is_alive(supervised.pid()));
        }
        let strangers = strangers();
        assert_eq!(strangers.len(), 2);
        assert!(strangers.iter().all(|&pid| is_alive(pid)), "{killed}");
        strangers.into_iter().for_each(|pid| signal(pid, "KILL"));
    }
}

/// The keeper leaves with the run.
#[test]
fn no_keeper_stays_behind() {
    let place = Place::new();
    let supervised = place.start(&["--no-heartbeat"], "echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let keepers = children(supervised.pid());
    assert_eq!(keepers, [supervised.keeper()]);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert!(!is_alive(keepers[0]));
}

/// Who reads what the supervisor or its command writes does not wait for a keeper.
#[test]
fn a_keeper_has_no_descriptor_but_its_own_three() {
    let place = Place::new();
    let supervised = place.start(&["--no-heartbeat"], "exec sleep 1000");
    let keeper = supervised.keeper();
    let open = || std::fs::read_dir(format!("/proc/{keeper}/fd")).unwrap().count();
    wait_until("it has closed all others", || open() == 3);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// A service manager may send its signal to every process of a service.
#[test]
fn a_keeper_takes_no_signal_that_can_be_blocked() {
    let place = Place::new();
    let mut supervised = place.start(&["--no-heartbeat"], "echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let (command, keeper) = (supervised.command_pid(), supervised.keeper());
    for number in (1..=64).filter(|number| ![9, 19].contains(number)) {
        signal(keeper, &number.to_string());
    }
    supervised.signal("USR1");
    wait_until("the command is ended by what is passed on", || !is_alive(command));
    supervised.wait_for_line("was killed by SIGUSR1");
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("its keeper"), 0, "{}", end.log);
}

/// Whatever stops a keeper, the supervisor does its work and leaves when it should.
#[test]
fn a_keeper_that_is_stopped_goes_on() {
    let place = Place::new();
    let mut supervised =
        place.start(&["--no-heartbeat"], "trap 'exit 7' USR1; echo > ready; while :; do sleep 0.05; done");
    wait_for_file(&place.path("ready"));
    let (command, keeper) = (supervised.command_pid(), supervised.keeper());
    for _ in 0..3 {
        signal(keeper, "STOP");
        wait_until("the keeper goes on", || crate::support::state(keeper) != Some('T'));
    }
    supervised.signal("USR1");
    supervised.wait_for_line("exited with code 7");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert!(!is_alive(keeper) && !is_alive(command));
}

/// So do those of hooks and probes.
#[test]
fn a_keeper_of_a_hook_or_a_probe_that_is_stopped_goes_on() {
    for option in ["--on-event", "--probe"] {
        let place = Place::new();
        let helper = place.script("helper", "echo $$ > pid; exec sleep 1000");
        let options = [option, helper.to_str().unwrap(), "--timeout", "1000", "--grace-period", "3"];
        let supervised = place.start(&options, "exec sleep 1000");
        let keeper = parent_of(wait_for_file(&place.path("pid")).parse().unwrap());
        for _ in 0..3 {
            signal(keeper, "STOP");
            wait_until("the keeper goes on", || crate::support::state(keeper) != Some('T'));
        }
        supervised.signal("TERM");
        supervised.end().assert_code(0);
    }
}

/// As the first process it has two keepers. The lower one goes on when it is stopped; should it be killed, the upper one
/// ends what it kept before the next start.
#[test]
fn nothing_outlives_the_lower_keeper_of_a_first_process() {
    if !can(&["unshare", "--pid", "--fork", "true"]) {
        return skipped("no PID namespace can be had here");
    }
    let place = Place::new();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", env!("CARGO_BIN_EXE_supervisor")]);
    command.args(["--no-heartbeat", "--backoff-factor", "0", "--grace-period", "60", "sh", "-c"]);
    command.current_dir(place.path(""));
    // A daemon that lives on has the lock, so that the next one never comes up.
    command.arg("(setsid sh -c 'exec 9> lock; flock 9; echo up >> ups; exec sleep 1000' &); exec sleep 1000");
    let mut supervised = Supervised::start(command);
    wait_for_file(&place.path("ups"));
    let first = children(supervised.pid())[0];
    let lower = children(children(first)[0])[0];
    for _ in 0..3 {
        signal(lower, "STOP");
        wait_until("the keeper goes on", || crate::support::state(lower) != Some('T'));
    }
    signal(lower, "KILL");
    supervised.wait_for_line("run 2: started");
    wait_until("the next daemon is up", || place.read("ups") == "up\nup\n");
    signal(first, "TERM");
    supervised.end().assert_code(0);
}

/// What ps(1) shows, and what pkill(1) and pidof(8) therefore hit.
#[test]
fn names_and_titles_keep_keeper_and_supervisor_apart() {
    let place = Place::new();
    let mut supervised = place.start(&["--no-heartbeat"], "echo > a-word-of-the-command-line; exec sleep 1000");
    wait_for_file(&place.path("a-word-of-the-command-line"));
    let (command, keeper) = (supervised.command_pid(), supervised.keeper());
    let title = |pid: i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ")
    };
    wait_until("the keeper has its title", || title(keeper) == format!("keeper of {command}"));
    assert!(title(supervised.pid()).contains("supervisor --no-heartbeat sh -c echo"));
    let hits = |words: &[&str]| {
        let found = Command::new(words[0]).args(&words[1..]).output().unwrap();
        let pids = String::from_utf8(found.stdout).unwrap();
        pids.split_whitespace().any(|pid| pid == keeper.to_string())
    };
    for words in [
        &["pgrep", "supervisor"][..],
        &["pgrep", "-f", "supervisor"],
        &["pgrep", "-f", "a-word-of-the-command-line"],
        &["pidof", "supervisor"],
    ] {
        assert!(!hits(words), "{words:?} hits the keeper");
    }
    assert!(hits(&["pgrep", "keeper"]));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}
