//! The scenarios: one for each of the test client's, and one for each way in which a run can end.

use crate::stage::{Ending, Stage};
use crate::timeline::Moment;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

struct Scenario {
    name: &'static str,
    /// What one sees.
    story: &'static str,
    play: fn(&mut Stage) -> io::Result<()>,
}

const SCENARIOS: [Scenario; 20] = [
    Scenario { name: "client", story: "a client that beats for ever is left alone, until it is stopped", play: client },
    Scenario { name: "normal", story: "a well-behaved command finishes, and so does the supervisor", play: normal },
    Scenario {
        name: "crash_periodic",
        story: "a command that crashes now and then is restarted",
        play: crash_periodic,
    },
    Scenario { name: "hang", story: "a command stops beating: it is noticed, stopped and restarted", play: hang },
    Scenario {
        name: "sigterm_test",
        story: "the supervisor is stopped, and its command leaves politely",
        play: sigterm_test,
    },
    Scenario { name: "long_request", story: "a long silence within the timeout is no hang", play: long_request },
    Scenario { name: "too_long_request", story: "a silence longer than the timeout is one", play: too_long_request },
    Scenario { name: "finished", story: "exit code 0 is the end", play: finished },
    Scenario { name: "failed", story: "another exit code is followed by restarts that back off", play: failed },
    Scenario { name: "killed", story: "so is a command that is killed by a signal", play: killed },
    Scenario { name: "stubborn_hang", story: "a hung command that ignores SIGTERM is killed", play: stubborn_hang },
    Scenario {
        name: "stopped_hang",
        story: "a command that is merely stopped is named so, and gets SIGCONT",
        play: stopped_hang,
    },
    Scenario { name: "not_found", story: "a command that is not there is not tried again", play: not_found },
    Scenario { name: "not_executable", story: "nor is one that cannot be executed", play: not_executable },
    Scenario { name: "busy", story: "a start that fails for a passing cause is tried again", play: busy },
    Scenario { name: "vanished", story: "so is a start that fails later on", play: vanished },
    Scenario { name: "stubborn_stop", story: "a command that does not want to stop is killed", play: stubborn_stop },
    Scenario { name: "stop_in_backoff", story: "a stop between two runs ends the wait", play: stop_in_backoff },
    Scenario { name: "daemon", story: "what a command left behind is gone before the next start", play: daemon },
    Scenario { name: "sigkill", story: "a killed supervisor takes its command along", play: sigkill },
];

/// What may be asked for.
pub fn names() -> Vec<&'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name).chain(["all"]).collect()
}

/// Plays one scenario, or all; fails if any check does.
pub fn run(name: &str, speed: f64) -> ExitCode {
    let mut failures = Vec::new();
    let chosen: Vec<_> = SCENARIOS.iter().filter(|scenario| name == "all" || name == scenario.name).collect();
    for scenario in &chosen {
        println!("\n━━ {}: {}", scenario.name, scenario.story);
        let found = Stage::new(speed).and_then(|mut stage| {
            (scenario.play)(&mut stage)?;
            Ok(stage.failures())
        });
        let found = found.unwrap_or_else(|error| vec![format!("it could not be played: {error}")]);
        failures.extend(found.into_iter().map(|failure| format!("{}: {failure}", scenario.name)));
    }
    failures.iter().for_each(|failure| println!("FAILED {failure}"));
    println!("\n{} scenarios, {} failed checks", chosen.len(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_start(moment: Moment) -> bool {
    matches!(moment, Moment::Start { .. })
}

fn is_exit(moment: Moment) -> bool {
    matches!(moment, Moment::Exit { .. })
}

/// A loop in the shell that never ends.
const LINGER: &str = "while :; do sleep 0.01; done";

fn client(stage: &mut Stage) -> io::Result<()> {
    let mut show = stage.supervise(&["--timeout", &stage.arg(8.0), &stage.client("client")])?;
    show.wait_for(4, |moment| *moment == Moment::Beat);
    show.signal("TERM");
    let end = show.end()?;
    stage.check_end(&end, 0);
    stage.check("one run, never hung", end.timeline.starts() == 1 && end.timeline.count(Moment::Hung) == 0);
    Ok(())
}

fn normal(stage: &mut Stage) -> io::Result<()> {
    let end = stage.supervise(&["--timeout", &stage.arg(9.0), &stage.client("test_client"), "normal", "12"])?.end()?;
    stage.check_end(&end, 0);
    stage.check("one run, never hung", end.timeline.starts() == 1 && end.timeline.count(Moment::Hung) == 0);
    stage.check("it says goodbye", end.timeline.tells("Exiting normally."));
    Ok(())
}

fn crash_periodic(stage: &mut Stage) -> io::Result<()> {
    let timeout = stage.arg(9.0);
    let options = ["--timeout", &timeout, "--max-restarts", "5", "--backoff-factor", &stage.arg(1.0)];
    let client = stage.client("test_client");
    let end = stage.supervise(&[&options[..], &[&client, "crash_periodic", "12"]].concat())?.end()?;
    stage.check_end(&end, 0);
    let crashes = end.timeline.count(Moment::Exit { clean: false });
    stage.check(&format!("{crashes} crashes, at least 1"), crashes >= 1);
    stage.check("each crash is followed by a restart", end.timeline.starts() == crashes + 1);
    stage.check("no restart is a hang", end.timeline.count(Moment::Hung) == 0);
    Ok(())
}

fn hang(stage: &mut Stage) -> io::Result<()> {
    let timeout = stage.seconds(8.0);
    let backoff = stage.seconds(1.0);
    let options = ["--timeout", &stage.arg(8.0), "--backoff-factor", &stage.arg(1.0), "--max-restarts", "1"];
    let end = stage.supervise(&[&options[..], &[&stage.client("test_client"), "hang"]].concat())?.end()?;
    stage.check_end(&end, 124);
    let timeline = &end.timeline;
    stage.check_time(
        "the hang is noticed after one timeout of silence",
        timeline.between(|m| m == Moment::Beat, |m| m == Moment::Hung),
        timeout,
    );
    stage.check("found hung twice: there was one restart", timeline.count(Moment::Hung) == 2 && timeline.starts() == 2);
    stage.check("it left when it was asked", timeline.tells("Received signal 15") && timeline.count(Moment::Kill) == 0);
    stage.check_time(
        "the restart waits for the backoff",
        timeline.between(|m| m == Moment::BackOff, is_start),
        backoff,
    );
    Ok(())
}

fn sigterm_test(stage: &mut Stage) -> io::Result<()> {
    let mut show = stage.supervise(&["--timeout", &stage.arg(8.0), &stage.client("test_client"), "sigterm_test"])?;
    show.wait_for(2, |moment| *moment == Moment::Beat);
    show.signal("TERM");
    let end = show.end()?;
    stage.check_end(&end, 0);
    stage.check("it got SIGTERM", end.timeline.tells("Received signal 15. Exiting gracefully."));
    stage.check("it was not killed", end.timeline.count(Moment::Kill) == 0);
    Ok(())
}

fn long_request(stage: &mut Stage) -> io::Result<()> {
    let end =
        stage.supervise(&["--timeout", &stage.arg(9.0), &stage.client("test_client"), "long_request", "7"])?.end()?;
    stage.check_end(&end, 0);
    stage.check("never hung", end.timeline.count(Moment::Hung) == 0);
    stage.check("two heartbeats", end.timeline.count(Moment::Beat) == 2);
    Ok(())
}

fn too_long_request(stage: &mut Stage) -> io::Result<()> {
    let options = ["--timeout", &stage.arg(5.0), "--max-restarts", "0"];
    let end =
        stage.supervise(&[&options[..], &[&stage.client("test_client"), "long_request", "100"]].concat())?.end()?;
    stage.check_end(&end, 124);
    let silence = end.timeline.between(|m| m == Moment::Beat, |m| m == Moment::Hung);
    stage.check_time("hung after one timeout of silence", silence, stage.seconds(5.0));
    Ok(())
}

fn finished(stage: &mut Stage) -> io::Result<()> {
    let end = stage.supervise(&["true"])?.end()?;
    stage.check_end(&end, 0);
    stage.check("one run", end.timeline.starts() == 1);
    Ok(())
}

fn failed(stage: &mut Stage) -> io::Result<()> {
    let end = shell(stage, &["--max-restarts", "2"], "exit 3")?;
    stage.check_end(&end, 3);
    stage.check("three runs", end.timeline.starts() == 3);
    let last_delay = end.timeline.between(|m| m == Moment::BackOff, is_start);
    stage.check_time("the second delay is twice the first", last_delay, stage.seconds(2.0));
    Ok(())
}

fn killed(stage: &mut Stage) -> io::Result<()> {
    let end = shell(stage, &["--max-restarts", "1"], "kill -KILL $$")?;
    stage.check_end(&end, 128 + 9);
    stage.check("two runs", end.timeline.starts() == 2);
    Ok(())
}

fn stubborn_hang(stage: &mut Stage) -> io::Result<()> {
    let options = ["--timeout", &stage.arg(3.0), "--grace-period", &stage.arg(2.0), "--max-restarts", "1"];
    let end = shell(stage, &options, &format!("trap '' TERM; {LINGER}"))?;
    stage.check_end(&end, 124);
    let timeline = &end.timeline;
    stage.check_time("hung after one timeout", timeline.between(is_start, |m| m == Moment::Hung), stage.seconds(3.0));
    stage.check_time(
        "killed after the grace period",
        timeline.between(|m| m == Moment::Hung, |m| m == Moment::Kill),
        stage.seconds(2.0),
    );
    stage.check("restarted once", timeline.starts() == 2);
    Ok(())
}

fn stopped_hang(stage: &mut Stage) -> io::Result<()> {
    let options = ["--timeout", &stage.arg(3.0), "--max-restarts", "0"];
    let end = shell(stage, &options, "trap 'echo got TERM >&2; exit 0' TERM; kill -STOP $$; sleep 1000")?;
    stage.check_end(&end, 124);
    stage.check("the log names the stop", end.timeline.count(Moment::Stopped) == 1);
    stage.check("and so does the report of the hang", end.timeline.tells("stopped by SIGSTOP; the supervisor asks"));
    stage.check("it saw SIGTERM", end.timeline.tells("got TERM") && end.timeline.count(Moment::Cont) >= 1);
    Ok(())
}

fn not_found(stage: &mut Stage) -> io::Result<()> {
    let end = stage.supervise(&["no-such-command"])?.end()?;
    stage.check_end(&end, 127);
    stage.check("tried once", end.timeline.count(Moment::CannotStart) == 1 && end.timeline.count(Moment::BackOff) == 0);
    Ok(())
}

fn not_executable(stage: &mut Stage) -> io::Result<()> {
    std::fs::write(stage.path("text"), "not a program")?;
    let end = stage.supervise(&["./text"])?.end()?;
    stage.check_end(&end, 126);
    stage.check("tried once", end.timeline.count(Moment::CannotStart) == 1 && end.timeline.count(Moment::BackOff) == 0);
    Ok(())
}

fn busy(stage: &mut Stage) -> io::Result<()> {
    std::fs::copy("/bin/true", stage.path("busy"))?;
    let writer = std::fs::File::options().append(true).open(stage.path("busy"))?;
    let mut show = stage.supervise(&["--backoff-factor", &stage.arg(1.0), "./busy"])?;
    show.wait_for(1, |moment| *moment == Moment::BackOff);
    drop(writer);
    let end = show.end()?;
    stage.check_end(&end, 0);
    stage.check("started at last", end.timeline.starts() == 1 && end.timeline.count(Moment::CannotStart) >= 1);
    Ok(())
}

fn vanished(stage: &mut Stage) -> io::Result<()> {
    std::fs::write(stage.path("once"), "#!/bin/sh\nrm \"$0\"\nexit 1\n")?;
    std::fs::set_permissions(stage.path("once"), PermissionsExt::from_mode(0o755))?;
    let end = stage.supervise(&["--backoff-factor", &stage.arg(1.0), "--max-restarts", "2", "./once"])?.end()?;
    stage.check_end(&end, 127);
    stage.check("tried twice more", end.timeline.starts() == 1 && end.timeline.count(Moment::CannotStart) == 2);
    Ok(())
}

fn stubborn_stop(stage: &mut Stage) -> io::Result<()> {
    let script = format!("trap '' TERM; echo READY >&2; {LINGER}");
    let mut show = stage.supervise(&["--grace-period", &stage.arg(2.0), "sh", "-c", &script])?;
    show.wait_for(1, |moment| *moment == Moment::Ready);
    show.signal("TERM");
    let end = show.end()?;
    stage.check_end(&end, 137);
    let grace = end.timeline.between(|m| m == Moment::Term, |m| m == Moment::Kill);
    stage.check_time("killed after the grace period", grace, stage.seconds(2.0));
    Ok(())
}

fn stop_in_backoff(stage: &mut Stage) -> io::Result<()> {
    let mut show = stage.supervise(&["--backoff-factor", "100", "false"])?;
    show.wait_for(1, |moment| *moment == Moment::BackOff);
    let asked = Instant::now();
    show.signal("TERM");
    let end = show.end()?;
    stage.check_end(&end, 0);
    stage.check("it left at once", asked.elapsed() < Duration::from_secs(10) && end.timeline.starts() == 1);
    Ok(())
}

fn daemon(stage: &mut Stage) -> io::Result<()> {
    let script = "kill -0 $(cat daemon 2>/dev/null) 2>/dev/null && echo survived >> survivors; rm -f daemon; \
                  (setsid sh -c 'echo $$ > new; mv new daemon; exec sleep 1000' &); \
                  while ! [ -e daemon ]; do sleep 0.01; done; exit 1";
    let end = shell(stage, &["--max-restarts", "2"], script)?;
    stage.check_end(&end, 1);
    stage.check("three runs", end.timeline.starts() == 3);
    stage.check("no daemon saw the next run", stage.read("survivors").is_empty());
    let cleared = end.timeline.between(is_exit, |moment| moment == Moment::Term);
    stage.check_time("the daemon is asked to leave at once", cleared, 0.0);
    Ok(())
}

fn sigkill(stage: &mut Stage) -> io::Result<()> {
    let script = format!("trap '' TERM; echo READY >&2; {LINGER}");
    let mut show = stage.supervise(&["sh", "-c", &script])?;
    show.wait_for(1, |moment| *moment == Moment::Ready);
    show.signal("KILL");
    let end = show.end()?;
    end.timeline.print();
    stage.check("the supervisor was killed", end.code.is_none());
    stage.check_empty_soon(&end);
    Ok(())
}

/// Runs a shell script to its end, with a backoff that goes with the speed.
fn shell(stage: &Stage, options: &[&str], script: &str) -> io::Result<Ending> {
    let backoff = stage.arg(1.0);
    stage.supervise(&[options, &["--backoff-factor", &backoff, "sh", "-c", script]].concat())?.end()
}
