mod stories;

use super::life::{Beginning, Course};
use super::*;

/// A command that hung four times, refused to leave each time, and was given up.
const LIFE: &str = include_str!("../../tests/replay/life.jsonl");

/// Of a supervisor that was killed.
const KILLED: &str = include_str!("../../tests/replay/killed.jsonl");

fn without(words: &str) -> String {
    LIFE.lines().filter(|line| !line.contains(words)).map(|line| format!("{line}\n")).collect()
}

fn words(text: &str) -> Vec<String> {
    replay(text).unwrap().decisions.into_iter().map(|decision| decision.words).collect()
}

#[test]
fn a_log_is_played_again_and_explained() {
    let replay = replay(LIFE).unwrap();
    assert_eq!((replay.facts, replay.facts_not_played, replay.unfinished), (37, 0, 0));
    let words = words(LIFE);
    let says = |part: &str| assert!(words.iter().any(|words| words.contains(part)), "{part}: {words:#?}");
    says("run 1 started as pid 13417: this is the first start");
    says("run 1 hung: it was silent for 0.4 s since 19:29:01.389; --timeout allows 0.4 s");
    says("the supervisor kills run 2: it did not leave within the grace period of 0.3 s");
    says("ignores SIGTERM");
    says("restart 2 of 3 comes in 0.2 s: run 2 hung");
    says("run 3 started as pid 14852: restart 2 of 3, after a wait of 0.2 s");
    says("the supervisor ends with exit code 124: run 4 hung; --max-restarts allows no further restart");
}

#[test]
fn an_ordinary_log_tells_the_same_story() {
    let ordinary = without("\"level\":\"debug\"");
    assert_eq!(replay(&ordinary).unwrap().facts, 0);
    assert_eq!(words(&ordinary), words(LIFE));
    let log = Log::read(&ordinary).unwrap();
    assert!(heading::closing(&log.lives[0]).contains("with -v"));
}

#[test]
fn what_was_changed_is_found() {
    let changed = [
        LIFE.replace("\"delay\":0.2", "\"delay\":0.3"),
        LIFE.replace("\"exit_code\":124", "\"exit_code\":0"),
        LIFE.replace("\"event\":\"hung\"", "\"event\":\"stopping\""),
        without("\"event\":\"killing\""),
        without("\"event\":\"done\""),
        without("\"unchanged\""),
    ];
    for log in changed {
        assert_ne!(log, LIFE);
        let message = replay(&log).err().expect("a difference");
        assert!(message.starts_with("2026-11-25T19:29:0"), "{message}");
    }
}

#[test]
fn damaged_lines_are_counted_where_the_log_differs() {
    let changed = LIFE.replace("\"delay\":0.2", "\"delay\":0.3");
    assert!(!replay(&changed).err().unwrap().contains("damaged"));
    let message = replay(&format!("{changed}{{\"version\":1,\n{{\"version\":1,\"time\"\n")).err().unwrap();
    assert!(message.contains("(2 damaged lines could not be read)"), "{message}");
    let only_damaged = replay("{\"version\":1,\n").err().unwrap();
    assert!(only_damaged.contains("the file is damaged"), "{only_damaged}");
}

#[test]
fn other_lines_and_prefixes_change_nothing() {
    let mixed = LIFE.replace('\n', "\nTraceback: {\n<6>") + "{\"version\":1,\"time\":\"2026-";
    assert_eq!(words(&mixed), words(LIFE));
}

#[test]
fn several_supervisors_are_told_one_after_another() {
    let other = LIFE.replace("\"supervisor\":13401", "\"supervisor\":7");
    let interleaved: String = LIFE.lines().zip(other.lines()).map(|(one, two)| format!("{one}\n{two}\n")).collect();
    assert_eq!(Log::read(&interleaved).unwrap().lives.len(), 2);
    assert_eq!(words(&interleaved), [words(LIFE), words(LIFE)].concat());
    // A pid is used again.
    assert_eq!(Log::read(&format!("{LIFE}{LIFE}")).unwrap().lives.len(), 2);
}

#[test]
fn lost_lines_end_the_replay_and_not_the_story() {
    let lost = r#"{"version":1,"time":"2026-11-25T19:29:02.500Z","supervisor":13401,"level":"warn","event":"log_lines_lost","lines":4}"#;
    let (before, after) = LIFE.split_at(LIFE.match_indices('\n').nth(25).unwrap().0 + 1);
    let after: String = after.lines().skip(4).map(|line| format!("{line}\n")).collect();
    let replay = replay(&format!("{before}{lost}\n{after}")).unwrap();
    assert!(replay.facts > 5 && replay.facts_not_played > 5);
    let last = replay.decisions.last().unwrap();
    assert!(last.words.contains("exit code 124"), "{}", last.words);
}

#[test]
fn a_log_without_its_beginning_is_told_from_its_events() {
    let log = Log::read(&without("\"supervising\"")).unwrap();
    assert!(matches!(log.lives[0].beginning, Beginning::Missing));
    assert_eq!((log.facts(), log.lives[0].inputs, log.lives[0].runs.len()), (0, 37, 4));
}

#[test]
fn a_log_of_a_killed_supervisor_has_no_end() {
    let log = Log::read(KILLED).unwrap();
    let life = &log.lives[0];
    assert_eq!((life.ending, log.difference()), (Finish::Missing, None));
    assert_eq!((life.runs.len(), life.restarts(), life.hangs()), (9, 8, 3));
    assert!(heading::closing(life).contains("The log stops before the end"));
}

#[test]
fn a_life_is_accounted_for() {
    let log = Log::read(LIFE).unwrap();
    let life = &log.lives[0];
    assert_eq!((life.restarts(), life.hangs(), life.kills), (3, 4, 4));
    assert!(life.runs.iter().all(|run| run.autopsy.is_some()));
    assert!(life.runs.iter().all(|run| matches!(run.course, Course::Hung { silence: Some(_), .. })));
    assert_eq!(life.account.outages.len(), 4);
    assert_eq!(life.account.longest_outage().unwrap().why, "run 3 hung");
}

#[test]
fn what_is_no_log_is_refused_with_a_remedy() {
    for text in ["", "\n", "[package]\nname = \"x\"\n", "supervisor: run 1: started sh as pid 7\n"] {
        let message = replay(text).err().expect("no log");
        assert!(message.contains("--log-format json"), "{message}");
    }
}

#[test]
fn what_a_log_says_never_plays_with_the_terminal() {
    let hostile = LIFE.replace("\"pid\":13417,\"first\"", "\"pid\":\"\u{9b}31m\u{202e}\",\"first\"");
    assert_ne!(hostile, LIFE);
    let message = replay(&hostile).err().expect("a difference");
    assert!(message.contains("\\u{9b}31m\\u{202e}") && !message.contains(char::is_control), "{message:?}");
}

#[test]
fn any_number_of_lost_lines_is_borne() {
    let lost = r#"{"version":1,"time":"2026-11-25T19:29:02Z","supervisor":7,"event":"log_lines_lost","lines":18446744073709551615}"#;
    assert_eq!(Log::read(&format!("{lost}\n{lost}\n")).unwrap().lives[0].lines_lost, u64::MAX);
}
