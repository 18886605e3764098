//! A system that denies what is taken for granted: descriptors, memory, processes, standard streams, folders.

use crate::support::{
    End, NOTE_BEAT, NOTE_BEAT_IN_PYTHON, Place, Supervised, boot, children, copy_program, is_alive, now, signal,
    wait_for_file, wait_until, without_silence,
};
use std::process::Command;

/// The supervisor, executed by a shell after it has prepared something: `"$0" "$@"` is its command line.
fn after(place: &Place, preparation: &str, options: &[&str], script: &str) -> Supervised {
    let mut command = Command::new("env");
    let line = format!("{preparation} exec \"$0\" \"$@\"");
    command.args(["--default-signal", "sh", "-c", &line, env!("CARGO_BIN_EXE_supervisor")]).args(options);
    command.args(["sh", "-c", script]).current_dir(place.path("")).env_remove("RUST_LOG");
    Supervised::start(command)
}

fn no_panic(end: &End) {
    assert!(!end.log.contains("panicked"), "{}", end.log);
}

#[test]
fn few_descriptors_are_a_failed_run_at_worst() {
    for limit in 4..14 {
        let place = Place::new();
        let end =
            after(&place, &format!("ulimit -n {limit};"), &["--max-restarts", "1", "--backoff-factor", "0"], "exit 7");
        let end = end.end();
        no_panic(&end);
        // It works, or says what it lacks.
        let told = end.log.contains("No file descriptors") || end.log.contains("Too many open files");
        assert!(end.code == Some(7) || told, "{limit}: {:?} {}", end.code, end.log);
    }
}

/// A limit that leaves no room for another descriptor, for good: nothing is left behind, and nothing holds up the end.
#[test]
fn want_of_descriptors_keeps_it_from_nothing_but_starts() {
    for end_of_run in ["USR1", "TERM"] {
        let place = Place::new();
        let daemon = "(setsid sh -c 'trap \"exit 0\" TERM; echo $$ > up; while :; do sleep 0.05; done' &)";
        let script = format!("trap 'exit 3' USR1; {daemon}; while :; do sleep 0.05; done");
        let options = ["--no-heartbeat", "--grace-period", "1000", "--max-restarts", "1", "--backoff-factor", "0"];
        let mut supervised = place.start(&options, &script);
        let daemon: i32 = wait_for_file(&place.path("up")).parse().unwrap();
        let main = supervised.command_pid();
        limit_descriptors(supervised.pid(), "3:");
        match end_of_run {
            "USR1" => signal(main, "USR1"),
            _ => supervised.signal("TERM"),
        }
        supervised.wait_for_line("sent SIGTERM to leftovers");
        let end = supervised.end();
        assert_eq!(end.count("cannot see"), 0, "{}", end.log);
        end.assert_code(if end_of_run == "USR1" { 126 } else { 0 });
        assert!(!is_alive(daemon));
    }
}

/// Where the hard limit leaves no room either, what is left cannot be seen. That passes, and then nothing is waited for
/// any longer.
#[test]
fn want_of_descriptors_at_the_end_of_a_run_holds_it_up_no_longer_than_it_lasts() {
    if !can_raise_hard_limits() {
        return crate::support::skipped("a hard limit cannot be raised again here");
    }
    let place = Place::new();
    let daemon = "(setsid sh -c 'trap \"exit 0\" TERM; echo $$ > up; while :; do sleep 0.05; done' &)";
    let script = format!("trap 'exit 3' USR1; {daemon}; while :; do sleep 0.05; done");
    let options = ["--no-heartbeat", "--grace-period", "1000", "--max-restarts", "1", "--backoff-factor", "0"];
    let mut supervised = place.start(&options, &script);
    wait_for_file(&place.path("up"));
    limit_descriptors(supervised.pid(), "3:3");
    let main = supervised.command_pid();
    signal(main, "USR1");
    supervised.wait_for_line("cannot see just now what the command has left behind");
    limit_descriptors(supervised.pid(), "1024:1024");
    supervised.wait_for_line("sent SIGTERM to leftovers");
    supervised.wait_for_line("restart 1 of 1");
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("cannot see just now"), 1, "{}", end.log);
}

/// Sets soft and hard limit of a process, as prlimit(1) writes them.
fn limit_descriptors(pid: i32, limits: &str) {
    let words = [&format!("--nofile={limits}"), "--pid", &pid.to_string()];
    assert!(Command::new("prlimit").args(words).status().unwrap().success());
}

/// With CAP_SYS_RESOURCE: capabilities(7).
fn can_raise_hard_limits() -> bool {
    let trial = "ulimit -Hn 1000 && ulimit -Hn 1001";
    Command::new("sh").args(["-c", trial]).stderr(std::process::Stdio::null()).status().unwrap().success()
}

#[test]
fn little_memory_never_makes_it_panic() {
    for kilobytes in [4000, 5000, 6000, 8000, 12000] {
        let place = Place::new();
        let options = ["--max-restarts", "1", "--backoff-factor", "0"];
        let end = after(&place, &format!("ulimit -v {kilobytes};"), &options, "exit 7").end();
        no_panic(&end);
        // The kernel ends a program that cannot even be loaded.
        assert!(end.signal.is_none() || end.log.is_empty(), "{kilobytes}: {:?} {}", end.signal, end.log);
    }
}

/// A log that is not allowed to grow ends nothing.
#[test]
fn a_file_size_limit_does_not_end_it() {
    let place = Place::new();
    let options = ["--no-heartbeat", "--max-restarts", "50", "--backoff-factor", "0"];
    let end = after(&place, "ulimit -f 1; exec 2> log;", &options, "exit 7").end();
    assert_eq!((end.code, end.signal), (Some(7), None));
    assert!(place.read("log").len() >= 512);
}

/// Whichever of the standard streams are closed.
#[test]
fn closed_streams_change_nothing() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let place = Place::new();
        let options = ["--max-restarts", "1", "--backoff-factor", "0"];
        let end =
            after(&place, &format!("exec {closed};"), &options, "echo $SUPERVISED_RESTARTS >> runs; exit 7").end();
        assert_eq!((end.code, end.signal), (Some(7), None), "{closed}: {}", end.log);
        assert_eq!(place.read("runs"), "0\n1\n", "{closed}");
    }
}

#[test]
fn a_full_disk_takes_no_log_and_changes_nothing() {
    let place = Place::new();
    let options = ["--max-restarts", "2", "--backoff-factor", "0"];
    let end = after(&place, "exec 2> /dev/full;", &options, "exit 7").end();
    assert_eq!((end.code, end.signal), (Some(7), None));
}

#[test]
fn a_deleted_working_directory_is_refused_or_does_not_matter() {
    let gone = "mkdir gone; cd gone; rmdir ../gone;";
    let place = Place::new();
    let end = after(&place, gone, &[], "exit 0").end();
    end.assert_code(125);
    end.assert_tells(&["--heartbeat-file heartbeat.txt: give an absolute path"]);
    after(&place, gone, &["--no-heartbeat"], "exit 0").end().assert_code(0);
    let beat = place.path("beat").display().to_string();
    after(&place, gone, &["--heartbeat-file", &beat], "exit 0").end().assert_code(0);
    // While it runs, too.
    let place = Place::new();
    let options = ["--max-restarts", "1", "--backoff-factor", "0"];
    let script = "[ $SUPERVISED_RESTARTS = 1 ] && exit 4; rm -r \"$PWD\"; exit 3";
    let end = after(&place, "mkdir here; cd here;", &options, script).end();
    end.assert_code(4);
}

#[test]
fn a_heartbeat_directory_may_go_and_come() {
    // It is gone for a moment only: a look in that moment finds no folder, and sees none of the heartbeats before.
    let script = format!(
        "import os, shutil, time\n\
         for i in range(14):\n\
         \x20 os.mkdir('new'); {NOTE_BEAT_IN_PYTHON}; open('new/beat', 'w').close()\n\
         \x20 os.rename('sub', 'old'); os.rename('new', 'sub'); shutil.rmtree('old'); time.sleep(0.3)"
    );
    let options = ["--timeout", "3", "--heartbeat-file", "sub/beat", "--max-restarts", "0"];
    let (_, end) = without_silence(3.0, |place| {
        std::fs::create_dir(place.path("sub")).unwrap();
        let command = [crate::support::python(), "-c", &script];
        Supervised::start(place.supervisor(options.iter().chain(&command))).end()
    });
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
}

#[test]
fn a_heartbeat_directory_that_becomes_unreadable_is_told() {
    let place = Place::new();
    place.allow("", 0o777);
    copy_program(env!("CARGO_BIN_EXE_supervisor"), place.path("supervisor"));
    let unprivileged = "import os,sys\nif os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n\
                        os.makedirs('sub'); os.execv(sys.argv[1], sys.argv[1:])";
    let mut command = Command::new(crate::support::python());
    command.args([
        "-c",
        unprivileged,
        "./supervisor",
        "--heartbeat-file",
        "sub/beat",
        "--timeout",
        "3",
        "--max-restarts",
        "0",
    ]);
    command.args(["sh", "-c", "echo > sub/beat; chmod 0 sub; sleep 1000"]).current_dir(place.path(""));
    let end = Supervised::start(command).end();
    end.assert_code(124);
    end.assert_tells(&["cannot look at the heartbeat file", "sub/beat", "Permission denied", "hung"]);
    place.allow("sub", 0o777);
}

/// None of these is ever opened, or followed for ever.
#[test]
fn odd_heartbeat_files_are_looked_at() {
    let make = [
        ("mkfifo beat", 124),
        ("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('beat')\"", 124),
        ("ln -s beat beat", 124),
        ("ln -s nowhere beat", 124),
        ("ln -s /dev/null beat", 124),
    ];
    for (make, code) in make {
        let place = Place::new();
        assert!(Command::new("sh").args(["-c", make]).current_dir(place.path("")).status().unwrap().success());
        let before = now();
        let end =
            place.run(&["--timeout", "0.5", "--heartbeat-file", "beat", "--max-restarts", "0"], "exec sleep 1000");
        assert_eq!(end.code, Some(code), "{make}: {}", end.log);
        assert!(now() - before >= 0.5);
    }
}

#[test]
fn another_file_system_will_do() {
    let beat = format!("/dev/shm/supervisor-test-{}", std::process::id());
    let script =
        format!("for i in 1 2 3 4 5 6; do {NOTE_BEAT}; echo > $HEARTBEAT_FILE; sleep 0.3; done; rm $HEARTBEAT_FILE");
    let options = ["--timeout", "1.2", "--heartbeat-file", &beat, "--max-restarts", "0"];
    let (_, end) = without_silence(1.2, |place| place.run(&options, &script));
    assert_eq!((end.code, end.count("hung")), (Some(0), 0), "{}", end.log);
}

/// Stamps of whole or even seconds, as on old or foreign file systems, are only seen to change.
#[test]
fn coarse_stamps_never_kill_a_healthy_command() {
    let script = format!(
        "import os, time\nbeat = os.environ['HEARTBEAT_FILE']\nopen(beat, 'w').close()\n\
        for i in range(20):\n\
        \x20 coarse = int(time.time()) // 2 * 2\n\
        \x20 {NOTE_BEAT_IN_PYTHON}; os.utime(beat, (coarse, coarse)); time.sleep(0.3)"
    );
    let command = ["--timeout", "3", "--max-restarts", "0", crate::support::python(), "-c", &script];
    let (_, end) = without_silence(3.0, |place| Supervised::start(place.supervisor(command)).end());
    assert_eq!((end.code, end.count("hung")), (Some(0), 0), "{}", end.log);
}

/// The supervisor, in a folder on a real file system whose stamps have whole seconds, which goes with it. None where none
/// can be mounted.
fn on_whole_seconds(place: &Place, options: &[&str], command: &[&str]) -> Option<Supervised> {
    let mount =
        "truncate -s 1M image && mkfs.ext2 -q -F -I 128 image && mkdir -p seconds && mount -o loop image seconds";
    let line = format!("{{ {mount}; }} > told 2>&1 && exec \"$0\" \"$@\"");
    let mut supervisor = Command::new("env");
    supervisor.args(["unshare", "--mount", "env", "--default-signal", "sh", "-c", &line]);
    supervisor.arg(env!("CARGO_BIN_EXE_supervisor")).stdin(std::process::Stdio::null());
    supervisor.args(["--heartbeat-file", "seconds/beat", "--max-restarts", "0"]).args(options).args(command);
    supervisor.current_dir(place.path("")).env_remove("RUST_LOG");
    let mut supervised = Supervised::start(supervisor);
    if supervised.line_or_end("supervisor").is_none() {
        crate::support::skipped(&format!("no file system can be mounted here: {}", place.read("told")));
        return None;
    }
    Some(supervised)
}

/// Several heartbeats in one second look like one.
#[test]
fn a_healthy_command_beats_several_times_in_a_second_where_stamps_have_whole_seconds() {
    let script = format!("for i in $(seq 50); do {NOTE_BEAT}; echo > seconds/beat; sleep 0.05; done");
    if on_whole_seconds(&Place::new(), &["--no-heartbeat"], &["true"]).is_none() {
        return;
    }
    // Short enough for several looks in one second.
    let start = |place: &Place| on_whole_seconds(place, &["--timeout", "0.35"], &["sh", "-c", &script]);
    // A device for it may not be free just now.
    let run = |place: &Place| (0..20).find_map(|_| start(place)).expect("another one can be mounted").end();
    let (_, end) = without_silence(0.35, run);
    assert_eq!((end.code, end.count("hung")), (Some(0), 0), "{}", end.log);
    assert_eq!(end.count("whole seconds"), 1, "{}", end.log);
}

/// One that was beating may have done so until the end of the second that the last stamp names.
#[test]
fn a_hang_is_noticed_where_stamps_have_whole_seconds() {
    let place = Place::new();
    let command = ["sh", "-c", &format!("{NOTE_BEAT}; echo > seconds/beat; exec sleep 1000")];
    let Some(supervised) = on_whole_seconds(&place, &["--timeout", "1.5"], &command) else { return };
    let end = supervised.end();
    end.assert_code(124);
    let silence = end.time_of(": hung: ") - boot() - place.numbers("beats")[0];
    assert!((1.48..60.0).contains(&silence), "{silence}: {}", end.log);
}

/// Restarts leave nothing behind: no descriptor, no memory, no zombie.
#[test]
fn two_thousand_restarts_leave_nothing() {
    let place = Place::new();
    let script = "[ $SUPERVISED_RESTARTS -ge 2000 ] || { [ $SUPERVISED_RESTARTS != 100 ] || { echo > early; \
                  while [ -e early ]; do sleep 0.01; done; }; exit 1; }; echo > late; exec sleep 1000";
    let mut command = place.supervisor(["-q", "--no-heartbeat", "--backoff-factor", "0", "sh", "-c", script]);
    command.env("RUST_LOG", "off");
    let supervised = Supervised::start(command);
    let pid = supervised.pid();
    let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    // Those that watch a process, and others.
    let descriptors = || {
        let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let links = links.filter_map(|link| std::fs::read_link(link.path()).ok());
        let (watching, others): (Vec<_>, Vec<_>) = links.partition(|link| link.to_string_lossy().contains("pidfd"));
        (watching.len(), others.len())
    };
    let memory = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    wait_for_file(&place.path("early"));
    let early = (descriptors(), count("task"), memory());
    std::fs::remove_file(place.path("early")).unwrap();
    wait_for_file(&place.path("late"));
    wait_until("no more threads are there", || count("task") == early.1);
    // Early, the pipe of a start may have been there still, and the command may not have been watched yet.
    wait_until("no more descriptors are there", || {
        let (watching, others) = descriptors();
        watching <= 1 && others <= early.0.1
    });
    assert!(memory() <= early.2 + 64, "{} kB, and {} kB before", memory(), early.2);
    assert_eq!(children(supervised.pid()), [supervised.keeper()], "the keeper alone");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// Nothing wakes it while nothing happens.
#[test]
fn a_quiet_command_costs_no_time_of_the_processor() {
    let place = Place::new();
    let supervised = place.start(&["--timeout", "1000"], "echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    // In clock ticks of 10 ms, in user mode and in the kernel: proc_pid_stat(5).
    let used_by = |pid: i32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    // How often they went to sleep, all threads: proc_pid_status(5).
    let sleeps_of = |pid: i32| -> u64 {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let statuses = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok());
        let count = |status: String| {
            status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
        };
        statuses.filter_map(count).sum::<u64>()
    };
    wait_until("it has nothing to do any more", || {
        let used = || used_by(supervised.pid()) + used_by(supervised.keeper());
        let slept = || sleeps_of(supervised.pid()) + sleeps_of(supervised.keeper());
        let (before, woken, begun) = (used(), slept(), now());
        wait_until("a second is over", || now() - begun > 1.0);
        used() - before <= 1 && slept() == woken
    });
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_hundred_supervisors_work_side_by_side() {
    let place = Place::new();
    let start = |number: usize| {
        let beat = format!("beat{number}");
        place.start(&["--timeout", "20", "--heartbeat-file", &beat], "echo $$ >> pids; exec sleep 1000")
    };
    let all: Vec<_> = (0..100).map(start).collect();
    wait_until("all run", || place.read("pids").lines().count() == 100);
    let (killed, stopped): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
    killed.iter().for_each(|(_, supervised)| supervised.signal("KILL"));
    for (_, supervised) in stopped {
        supervised.signal("TERM");
        supervised.end().assert_code(0);
    }
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    wait_until("all are gone", || pids.iter().all(|&pid| !is_alive(pid)));
}

/// Where nobody can see who is left, nobody believes that nothing is.
#[test]
fn a_daemon_is_not_forgotten_for_want_of_descriptors() {
    if !can_raise_hard_limits() {
        return crate::support::skipped("a hard limit cannot be raised again here");
    }
    let place = Place::new();
    let script = "echo $$ > main; [ $SUPERVISED_RESTARTS = 0 ] || { kill -0 $(cat daemon) && echo two > beside; exit 0; }; \
                  (setsid sh -c 'trap \"\" TERM; echo $$ > daemon.new; mv daemon.new daemon; exec sleep 1000' &); exec sleep 1000";
    let options = ["--no-heartbeat", "--grace-period", "0.3", "--backoff-factor", "0"];
    let mut supervised = place.start(&options, script);
    let daemon: i32 = wait_for_file(&place.path("daemon")).parse().unwrap();
    limit_descriptors(supervised.pid(), "3:3");
    crate::support::signal(wait_for_file(&place.path("main")).parse().unwrap(), "KILL");
    supervised.wait_for_line("cannot see just now");
    assert!(is_alive(daemon));
    limit_descriptors(supervised.pid(), "1024:1024");
    let end = supervised.end();
    end.assert_code(0);
    assert!(!is_alive(daemon) && !place.path("beside").exists(), "{}", end.log);
}
