//! Stories of logs that are written here, line by line: a second lies between two lines.

use super::super::account::State;
use super::super::life::{Course, Finish, Life};
use super::super::moment::Moment;
use super::super::{Log, heading, page, program};

/// A log with these events.
fn log(events: &[&str]) -> String {
    let line = |(second, event): (usize, &&str)| {
        let (minutes, seconds) = (second / 60, second % 60);
        let time = format!("2026-11-25T10:{minutes:02}:{seconds:02}.000Z");
        format!("{{\"version\":1,\"time\":\"{time}\",\"supervisor\":5,\"level\":\"info\",\"event\":{event}}}\n")
    };
    events.iter().enumerate().map(line).collect()
}

fn read(events: &[&str]) -> Log {
    Log::read(&log(events)).unwrap_or_else(|message| panic!("{message}"))
}

fn words(events: &[&str]) -> Vec<String> {
    read(events).lives.remove(0).decisions.into_iter().map(|decision| decision.words).collect()
}

fn seconds(life: &Life, state: State) -> u64 {
    life.account.total(state).as_secs()
}

const NOT_STARTED: &str = r#""start_failed","run":1,"reason":"passing","os_error":26"#;
const BACKING_OFF: &str = r#""backing_off","restart":1,"max_restarts":-1,"delay":1.0"#;
const STARTED: &str = r#""started","run":2,"pid":7"#;
const EXITED: &str = r#""exited","run":2,"pid":7,"code":3,"ending":"spontaneous","after":1.0"#;
const FINISHED: &str = r#""done","outcome":"finished","exit_code":0"#;
const HUNG: &str = r#""hung","run":2,"pid":7,"silence":1.0,"grace_period":5.0"#;

#[test]
fn each_event_has_its_sentence() {
    let table = [
        (NOT_STARTED, "the supervisor could not start run 1: Text file busy (os error 26)"),
        (BACKING_OFF, "restart 1 comes in 1 s: the supervisor could not start run 1: Text file busy (os error 26)"),
        (STARTED, "run 2 started as pid 7: restart 1, after a wait of 1 s"),
        (r#""ready","run":2,"pid":7"#, "run 2 is ready: the command said so"),
        (r#""leaving","run":2,"pid":7"#, "run 2 begins to leave: the command said so"),
        (r#""timeout_set","run":2,"pid":7,"timeout":9.0"#, "run 2 may be silent for 9 s: the command asked for it"),
        (r#""extended","run":2,"pid":7,"by":2.0"#, "run 2 has 2 s more to start or to leave: the command asked for it"),
        (r#""streak_ended","run":2,"pid":7"#, "restarts are counted from 0 again: the command asked for it in run 2"),
        (
            r#""delayed","run":2,"pid":7,"late":1.0,"extension":2.0,"cause":"supervisor""#,
            "run 2 has 2 s more: the look at its heartbeat came 1 s late, because the supervisor itself could not run",
        ),
        (
            r#""delayed","run":2,"pid":7,"late":1.0,"extension":2.0,"cause":"look""#,
            "run 2 has 2 s more: the look at its heartbeat came 1 s late, because the file system took long to answer",
        ),
        (r#""log_lines_lost","lines":3"#, "3 lines of the log were lost before this one"),
        (r#""trouble","with":"hook","message":"a hook\nfailed""#, "a hook\\nfailed"),
        (
            r#""hung","run":2,"pid":7,"silence":2.0,"grace_period":5.0"#,
            "run 2 hung: it was silent for 2 s since 10:00:10.000; the command itself allowed 9 s; the supervisor gives it 5 s to leave",
        ),
        (
            r#""hang_grace_over","run":2,"pid":7,"grace_period":5.0"#,
            "the supervisor asks run 2 to leave: it is still there after the hang signal and its grace period",
        ),
        (
            r#""killing","run":2,"cause":"grace_period_over""#,
            "the supervisor kills run 2: it did not leave within the grace period of 5 s",
        ),
        (
            r#""surviving","run":2,"since":4.0"#,
            "the supervisor waits: something of run 2 is still there 4 s after SIGKILL",
        ),
        (
            r#""exited","run":2,"pid":7,"signal":9,"ending":"killed""#,
            "run 2 was killed by SIGKILL: the supervisor killed it, because run 2 hung",
        ),
        (r#""backing_off","restart":2,"max_restarts":3,"delay":1.0"#, "restart 2 of 3 comes in 1 s: run 2 hung"),
        (r#""started","run":3,"pid":8"#, "run 3 started as pid 8: restart 2 of 3, after a wait of 1 s"),
        (
            r#""hung","run":3,"pid":8,"grace_period":5.0"#,
            "run 3 hung: the command itself said that it hangs; the supervisor gives it 5 s to leave",
        ),
        (
            r#""restarting","run":3,"grace_period":6.0"#,
            "the supervisor asks run 3 to leave within 6 s: the supervisor was asked to restart the command",
        ),
        (
            r#""exited","run":3,"pid":8,"code":0,"ending":"asked""#,
            "run 3 exited with code 0: the supervisor had asked it to leave, because the supervisor was asked to restart the command",
        ),
        (r#""stopping","run":3"#, "run 3 has ended or is leaving already, and the supervisor was asked to stop"),
        (
            r#""killing","run":3,"cause":"interrupt""#,
            "the supervisor kills run 3: a SIGINT during the stop asked for it",
        ),
        (
            r#""done","outcome":"killed","exit_code":137"#,
            "the supervisor ends with exit code 137: the supervisor was asked to stop, and had to kill the command",
        ),
    ];
    let told = words(&table.map(|(event, _)| event));
    assert_eq!(told, table.map(|(_, words)| words));
    let silent = [r#""trouble","with":"hook","message":"""#, r#""tick""#, r#""heartbeat","run":1,"ago":0.5"#, STARTED];
    assert_eq!(words(&silent), ["run 2 started as pid 7"]);
}

#[test]
fn each_end_has_its_reason() {
    let table = [
        (FINISHED, "exit code 0: the command has done its work"),
        (
            r#""done","outcome":"stopped","exit_code":0"#,
            "exit code 0: the supervisor was asked to stop, and the command left",
        ),
        (
            r#""done","outcome":"gave_up","reason":"never_restarts","exit_code":3"#,
            "exit code 3: run 2 exited with code 3; --restart never forbids another start",
        ),
        (
            r#""done","outcome":"gave_up","reason":"cannot_start","exit_code":126"#,
            "exit code 126: run 2 exited with code 3; another try would fail too",
        ),
    ];
    for (event, end) in table {
        let words = words(&[STARTED, EXITED, event]);
        assert_eq!(words.last().unwrap(), &format!("the supervisor ends with {end}"));
    }
}

#[test]
fn each_run_has_its_course_and_its_sentences() {
    let events = [NOT_STARTED, BACKING_OFF, STARTED, EXITED, r#""started","run":3,"pid":8"#];
    let life = read(&events).lives.remove(0);
    let courses: Vec<_> = life.runs.iter().map(|run| (run.number, run.decisions.clone())).collect();
    assert_eq!(courses, [(1, 0..2), (2, 2..4), (3, 4..5)]);
    let busy = "Text file busy (os error 26)".to_owned();
    assert_eq!(life.runs[0].course, Course::NotStarted { words: busy });
    assert!(matches!(&life.runs[1].course, Course::Exited { words, .. } if words == "exited with code 3"));
    assert_eq!((&life.runs[2].course, life.restarts(), life.hangs()), (&Course::Open, 2, 0));
    let outages: Vec<_> = life.account.outages.iter().map(|outage| outage.why.as_str()).collect();
    assert_eq!(
        outages,
        ["the supervisor could not start run 1: Text file busy (os error 26)", "run 2 exited with code 3"]
    );
    assert_eq!((seconds(&life, State::BackingOff), seconds(&life, State::Available)), (1, 1));
}

#[test]
fn the_time_in_which_lines_were_lost_is_told() {
    let lost = r#""log_lines_lost","lines":3"#;
    let life = read(&[STARTED, lost, lost]).lives.remove(0);
    assert_eq!(life.lines_lost, 6);
    let closing = heading::closing(&life);
    assert!(
        closing.contains(" 6 lines of the log were lost.") && closing.contains("stops before the end"),
        "{closing}"
    );
    assert!(!heading::closing(&read(&[STARTED, FINISHED]).lives[0]).contains("lost"));
}

#[test]
fn a_stop_and_a_finish_are_no_outages() {
    let stopped = read(&[STARTED, r#""stopping","run":2,"grace_period":5.0"#, EXITED, FINISHED]).lives.remove(0);
    assert_eq!((stopped.account.outages.len(), seconds(&stopped, State::Stopping)), (0, 2));
    assert_eq!(stopped.ending, Finish::Done { exit_code: 0 });
    let finished = read(&[STARTED, EXITED, FINISHED]).lives.remove(0);
    assert_eq!((finished.account.outages.len(), seconds(&finished, State::Ending)), (0, 0));
    let gave_up = r#""done","outcome":"gave_up","reason":"never_restarts","exit_code":3"#;
    let life = read(&[STARTED, EXITED, gave_up]).lives.remove(0);
    assert_eq!((life.account.outages.len(), seconds(&life, State::Ending)), (1, 1));
}

#[test]
fn a_page_tells_all_of_it() {
    let autopsy = r#""autopsy","processes":[{"pid":7,"name":"web","state":"D","waits_in":"io","cpu":1.0,"over":2.0,
        "threads":3,"tracer":9},{"pid":8,"name":"x","state":"?","cpu":0.0,"over":2.0,"threads":1}],
        "rest":{"processes":4,"running":2,"cpu":5.0},"frozen":true"#
        .replace('\n', "");
    let beat = r#""heartbeat","run":2,"ago":0.0"#;
    let events = [
        NOT_STARTED,
        STARTED,
        beat,
        HUNG,
        &autopsy,
        r#""killing","run":2,"cause":"grace_period_over""#,
        BACKING_OFF,
        r#""started","run":3,"pid":8"#,
        r#""hung","run":3,"pid":8,"grace_period":5.0"#,
    ];
    let page = page::page(&read(&events));
    for part in [
        "<title>What happened: a command that the log does not name</title>",
        "<details class=\"life\" open><summary><code>a command that the log does not name</code> <span \
         class=\"quiet\">supervisor 5</span></summary>",
        "<p class=\"quiet\">2026-11-25 10:00:00 to 2026-11-25 10:00:08 UTC</p>",
        "<p class=\"verdict\"><b>25 %</b> available</p>\n<p>The command was available for 2 s of 8 s. There were 3 outages; \
         the longest lasted 5 s: run 2 hung. A command that hangs",
        "<p><strong>The log stops at 2026-11-25 10:00:08 UTC, before the end.</strong></p>",
        "<li><b>3</b> runs</li><li><b>2</b> restarts</li><li><b>2</b> hangs</li><li><b>1</b> end by SIGKILL</li>",
        "<p class=\"quiet\">Each row is 1 s long.</p>",
        "<time>11-25 10:00:00</time><svg viewBox=\"0 0 360 30\" preserveAspectRatio=\"none\">",
        "<path class=\"beat\" d=\"M0.5 25v5\"/>",
        "<path class=\"hang\" d=\"M0.5 0v5\"/>",
        "<li><i class=\"backing-off\"></i>waiting for the next start</li>",
        "<li><i class=\"beat\"></i>heartbeat that the log tells of (below)</li>",
        "<h2>Longest outages</h2>",
        "<tr><td><time>2026-11-25 10:00:02</time></td><td>5 s</td><td>run 2 hung</td></tr>",
        "<details><summary><i class=\"silent\"></i>2026-11-25 10:00:03, run 2: silent for 1 s</summary>",
        "<p>Its cgroup was frozen, so that none of its processes could run.</p>",
        "<tr><td>web <span class=\"quiet\">7</span></td><td>waiting for a disk or the like (D), traced by pid \
         9</td><td><code>io</code></td><td>1 s in 2 s</td><td>3</td></tr>",
        "<tr><td>x <span class=\"quiet\">8</span></td><td>?</td>",
        "<p>4 more processes, 2 of them running, used 5 s of CPU.</p>",
        "2026-11-25 10:00:08, run 3: the command said so itself</summary>\n<p>The log does not say what its processes were \
         doing.</p>",
        "<i class=\"ending\"></i>2026-11-25 10:00:00, run 1: not started: Text file busy (os error 26)</summary>",
        "<i class=\"silent\"></i>2026-11-25 10:00:01, run 2: hung after 2 s</summary>",
        "<li><time>10:00:01.000</time> run 2 started as pid 7",
        "<footer>All times are in UTC.</footer>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(
        !page.contains("earlier</summary>") && !page.contains("in the log alone") && !page.contains("Before the first")
    );
}

#[test]
fn a_page_of_a_life_without_trouble_is_short() {
    let page = page::page(&read(&[
        r#""settings""#,
        r#""signal_forwarded""#,
        r#""trouble","with":"x","message":"early""#,
        STARTED,
        FINISHED,
    ]));
    for part in [
        "<b>100 %</b> available</p>\n<p>The command was available for 1 s of 4 s",
        " There was no outage.",
        "<p>The supervisor ended at 2026-11-25 10:00:04 UTC with exit code 0.</p>",
        "<details><summary>Before the first start</summary>\n<ol>\n<li><time>10:00:02.000</time> early</li>\n</ol>",
        "run 2: runs for 1 s when the log stops",
    ] {
        let part = part
            .replace("<b>100 %</b> available</p>\n<p>The command was available for 1 s of 4 s", "available for 1 s");
        assert!(page.contains(&part), "{part}\n{page}");
    }
    assert!(!page.contains("<h2>Longest outages</h2>") && !page.contains("<h2>Hangs</h2>"));
    let short = page::page(&read(&[r#""stopping","run":1"#]));
    assert!(short.contains("The log is too short to tell the availability."), "{short}");
}

#[test]
fn many_lives_are_folded_and_many_runs_too() {
    let one = log(&[STARTED, EXITED]);
    let lives = |count: usize| {
        let lives: String =
            (0..count).map(|pid| one.replace("\"supervisor\":5", &format!("\"supervisor\":{pid}"))).collect();
        page::page(&Log::read(&lives).unwrap_or_else(|message| panic!("{message}")))
    };
    assert!(lives(3).contains("<details class=\"life\" open>") && !lives(4).contains("<details class=\"life\" open>"));
    let runs = |count: usize| page::page(&read(&[STARTED, EXITED].repeat(count)));
    assert!(!runs(20).contains("earlier</summary>") && runs(21).contains("<summary>1 earlier</summary>"));
    let many = runs(1003);
    assert!(many.contains("<summary>980 earlier</summary>") && many.contains(">3 before these are in the log alone."));
    let talkative = |count: usize| {
        let mut events = vec![STARTED];
        events.resize(count, r#""trouble","with":"x","message":"said""#);
        page::page(&read(&events))
    };
    assert!(!talkative(200).contains("more sentences") && talkative(202).contains("2 more sentences of this run"));
}

#[test]
fn a_moment_shows_what_led_to_it() {
    let events = [STARTED, EXITED, r#""started","run":3,"pid":8"#, r#""ready","run":3,"pid":8"#];
    let log = read(&events);
    let told = |moment: &str| {
        let told = program::words(&log, Some(Moment::parse(moment).unwrap()));
        told.lines()
            .filter(|line| line.starts_with("2026-11-25 10"))
            .map(|line| line[11..19].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(told("10:00:03"), ["10:00:02", "10:00:03"]);
    assert_eq!(told("10:00:02"), ["10:00:00", "10:00:01", "10:00:02"], "with the run before");
    assert_eq!(told("10:00:00"), ["10:00:00"]);
    assert!(
        program::words(&log, Some(Moment::parse("09:59").unwrap()))
            .contains("2026-11-25 09:59:59.999 UTC is before this log begins.\n")
    );
    let whole = program::words(&log, None);
    let first = "a command that the log does not name (supervisor 5), 2026-11-25 10:00:00 to 2026-11-25 10:00:03 UTC\n";
    assert!(whole.starts_with(first), "{whole}");
    assert!(whole.contains("\n2026-11-25 10:00:01.000  run 2 exited with code 3 by itself after 1 s\n"), "{whole}");
}

#[test]
fn a_hang_signal_is_told_apart_from_the_stop_signal() {
    let hung = r#""hung","run":2,"pid":7,"silence":1.0,"hang_grace_period":3.0,"grace_period":5.0"#;
    let over = r#""hang_grace_over","run":2,"pid":7"#;
    let ended = r#""exited","run":2,"pid":7,"signal":6,"ending":"asked""#;
    assert!(words(&[STARTED, hung])[1].ends_with("gives it 3 s for the hang signal, then 5 s to leave"));
    let by_hang_signal = "run 2 was killed by SIGABRT: the supervisor had sent it the hang signal, because run 2 hung";
    assert_eq!(words(&[STARTED, hung, ended])[2], by_hang_signal);
    let by_stop_signal = "run 2 was killed by SIGABRT: the supervisor had asked it to leave, because run 2 hung";
    assert_eq!(words(&[STARTED, hung, over, ended])[3], by_stop_signal);
    assert_eq!(words(&[STARTED, hung, over, ended, STARTED, HUNG, ended])[6], by_stop_signal);
}

#[test]
fn an_autopsy_is_told_as_far_as_it_is_short() {
    let autopsy = |processes: usize| {
        let lines: Vec<_> = (1..=processes).map(|pid| format!("autopsy: pid {pid} (x)")).collect();
        let message = lines.join("\\n");
        words(&[STARTED, HUNG, &format!(r#""autopsy","processes":[],"message":"{message}""#)]).remove(2)
    };
    assert_eq!(autopsy(2), "what it was doing: pid 1 (x); pid 2 (x)");
    assert!(autopsy(5).ends_with("pid 5 (x)"));
    assert!(autopsy(7).ends_with("pid 5 (x); 2 more lines of the autopsy are in the log"));
}
