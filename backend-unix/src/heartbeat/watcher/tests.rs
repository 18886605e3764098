//! Looks that are answered at once, late, and not at all.

use super::*;

const RUN: RunId = RunId(1);

fn watcher() -> (tempfile::TempDir, Watcher) {
    let folder = tempfile::tempdir().unwrap();
    let watcher = Watcher::new(folder.path().join("heartbeat.txt")).unwrap();
    changed_long_ago(&folder);
    (folder, watcher)
}

/// Nothing was added to the folder or removed from it for an hour.
fn changed_long_ago(folder: &tempfile::TempDir) {
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::open(folder.path()).unwrap().set_modified(hour_ago).unwrap();
}

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

fn answer(request: Request, observation: Observation) -> Answer {
    Answer { request, look: Look { observation, found: Found::File(Precision::Fine), rights: None } }
}

/// What the looks that were ordered find, whoever makes them.
fn found(watcher: &mut Watcher) -> Vec<Finding> {
    let mut findings = watcher.take(Instant::ORIGIN);
    while watcher.outstanding > 0 {
        findings.extend(watcher.take(Instant::ORIGIN));
        std::thread::yield_now();
    }
    findings
}

#[test]
fn a_look_tells_of_a_change_since_the_start() {
    let (_folder, mut watcher) = watcher();
    watcher.before_start();
    assert!(found(&mut watcher).is_empty());
    watcher.look(RUN);
    let findings = found(&mut watcher);
    assert!(matches!(findings[..], [Finding::Observed { run: RUN, observation: Observation::Unchanged }]));
    assert!(matches!(watcher.missing(0), Some((HeartbeatFound::NoFile, _))));
    std::fs::write(watcher.path(), "").unwrap();
    watcher.look(RUN);
    let findings = found(&mut watcher);
    assert!(matches!(findings[..], [Finding::Observed { observation: Observation::Changed { .. }, .. }]));
    assert!(watcher.missing(0).is_none());
    watcher.before_start();
    found(&mut watcher);
    assert!(matches!(watcher.missing(0), Some((HeartbeatFound::OldFile, _))), "of a run that shows no heartbeat");
}

#[test]
fn a_file_that_is_just_gone_is_waited_for() {
    let (folder, mut watcher) = watcher();
    watcher.before_start();
    found(&mut watcher);
    std::fs::write(watcher.path(), "").unwrap();
    std::fs::remove_file(watcher.path()).unwrap();
    watcher.look(RUN);
    assert!(found(&mut watcher).is_empty());
    let due = watcher.source().due.unwrap();
    watcher.look_again(at(0));
    assert!(found(&mut watcher).is_empty() && watcher.source().due == Some(due), "it is not due yet");
    std::fs::write(watcher.path(), "").unwrap();
    watcher.look_again(due);
    let findings = found(&mut watcher);
    assert!(matches!(findings[..], [Finding::Observed { run: RUN, observation: Observation::Changed { .. } }]));
    assert_eq!(watcher.source().due, None);
    // One that was removed long ago is not waited for.
    std::fs::remove_file(watcher.path()).unwrap();
    changed_long_ago(&folder);
    watcher.look(RUN);
    assert!(matches!(found(&mut watcher)[..], [Finding::Observed { observation: Observation::Unchanged, .. }]));
    assert_eq!(watcher.source().due, None);
}

#[test]
fn a_file_that_stays_away_is_not_waited_for_long() {
    let (folder, mut watcher) = watcher();
    watcher.before_start();
    found(&mut watcher);
    let begun = SystemClock::now();
    let mut looks = 0;
    loop {
        // Something else comes and goes there all the time.
        std::fs::write(folder.path().join("other"), "").unwrap();
        std::fs::remove_file(folder.path().join("other")).unwrap();
        let now = SystemClock::now();
        if looks == 0 {
            watcher.look(RUN)
        } else {
            watcher.look_again(now)
        }
        looks += 1;
        if let [Finding::Observed { observation: Observation::Unchanged, .. }] = found(&mut watcher)[..] {
            break;
        }
        std::thread::yield_now();
    }
    assert!(looks > 1 && SystemClock::now() >= begun + GAP && watcher.source().due.is_none());
    assert!(matches!(watcher.missing(0), Some((HeartbeatFound::NoFile, _))));
    watcher.look(RUN);
    assert!(watcher.take(Instant::ORIGIN).is_empty() || watcher.outstanding > 0, "a new look has its own time");
    watcher.before_start();
    assert!(watcher.source().due.is_none_or(|due| due > SystemClock::now() + GAP));
}

#[test]
fn a_look_that_finds_nothing_new_does_not_make_the_last_heartbeat_forgotten() {
    let (_folder, mut watcher) = watcher();
    watcher.find(answer(Request::During(RUN), Observation::Changed { at: at(7) }), Instant::ORIGIN);
    watcher.find(answer(Request::During(RUN), Observation::Unchanged), Instant::ORIGIN);
    assert_eq!(watcher.run.last_beat, Some(at(7)));
    assert!(watcher.missing(0).is_none());
}

#[test]
fn a_heartbeat_that_comes_too_late_is_told_once_with_the_time_since_the_last_one() {
    let (_folder, mut watcher) = watcher();
    let late = |watcher: &mut Watcher, millis| {
        let findings = watcher.find(answer(Request::After(RUN), Observation::Changed { at: at(millis) }), at(10));
        findings
            .into_iter()
            .map(|finding| match finding {
                Finding::Late { interval } => interval,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    watcher.await_late(RUN, at(0));
    assert_eq!(late(&mut watcher, 50), [Duration::from_millis(40)], "since the start");
    assert!(late(&mut watcher, 60).is_empty());
    watcher.await_late(RUN, at(0));
    assert!(watcher.source().due.is_none(), "it was told");
    watcher.find(answer(Request::During(RUN), Observation::Changed { at: at(30) }), at(10));
    watcher.late = Late::NotAwaited;
    assert!(watcher.find(answer(Request::After(RUN), Observation::Unchanged), at(10)).is_empty());
    assert_eq!(late(&mut watcher, 50), [Duration::from_millis(20)], "at the end of the run, too");
}

#[test]
fn late_heartbeats_are_looked_for_again_and_again_until_the_end() {
    let (_folder, mut watcher) = watcher();
    watcher.before_start();
    found(&mut watcher);
    watcher.look_after();
    watcher.look_again(at(1000));
    assert!(watcher.ready.is_empty() && watcher.outstanding == 0, "none is awaited");
    watcher.await_late(RUN, at(0));
    assert_eq!(watcher.source().due, Some(at(0) + LATE_INTERVAL));
    std::fs::write(watcher.path(), "").unwrap();
    watcher.look_again(at(99));
    assert!(found(&mut watcher).is_empty());
    watcher.look_again(at(100));
    assert!(matches!(found(&mut watcher)[..], [Finding::Late { .. }]));
    watcher.before_start();
    watcher.await_late(RUN, at(0));
    watcher.look_again(at(150));
    assert_eq!(watcher.source().due, Some(at(250)));
    std::fs::write(watcher.path(), "more").unwrap();
    watcher.look_after();
    assert!(watcher.source().due.is_none_or(|due| due > at(250)), "none is awaited any more");
    assert!(matches!(found(&mut watcher)[..], [Finding::Late { .. }]));
}

#[test]
fn coarse_stamps_are_told_of_once() {
    let (_folder, mut watcher) = watcher();
    assert!(watcher.find_of_file(Found::File(Precision::Fine)).is_empty());
    assert!(matches!(watcher.find_of_file(Found::File(Precision::Seconds))[..], [Finding::CoarseStamps]));
    assert!(watcher.find_of_file(Found::File(Precision::Seconds)).is_empty());
}

#[test]
fn what_cannot_be_looked_at_is_told_of_each_time_it_begins() {
    let (_folder, mut watcher) = watcher();
    let denied = || HeartbeatFound::Unreadable { error: io::Error::from_raw_os_error(13) };
    let errors = |findings: Vec<Finding>| -> Vec<_> {
        findings
            .iter()
            .map(|finding| match finding {
                Finding::Unreadable { error } => error.raw_os_error(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let steps = [
        (Found::Nothing(HeartbeatFound::NoFile), vec![]),
        (Found::Nothing(denied()), vec![Some(13)]),
        (Found::Nothing(denied()), vec![]),
        (Found::File(Precision::Fine), vec![]),
        (Found::Nothing(HeartbeatFound::NoFolder), vec![Some(2)]),
        (Found::Nothing(HeartbeatFound::OldFile), vec![]),
        (Found::Nothing(denied()), vec![Some(13)]),
    ];
    for (found, told) in steps {
        let step = format!("{found:?}");
        assert_eq!(errors(watcher.find_of_file(found)), told, "{step}");
    }
    assert!(matches!(watcher.missing(0), Some((HeartbeatFound::Unreadable { .. }, _))));
    assert!(matches!(watcher.missing(0), Some((HeartbeatFound::OldFile, _))), "each is told once");
}

/// As on a file system that does not answer: the thread has the eye no more than anybody else.
#[test]
fn a_look_that_is_not_answered_holds_up_nothing_and_is_told_of() {
    let (_folder, mut watcher) = watcher();
    // A link is never looked at here.
    std::os::unix::fs::symlink("elsewhere", watcher.path()).unwrap();
    let eye = Arc::clone(&watcher.eye);
    let held = eye.lock().unwrap();
    watcher.before_start();
    assert_eq!(watcher.outstanding, 1);
    watcher.look(RUN);
    assert_eq!(watcher.outstanding, 2);
    assert!(watcher.take(Instant::ORIGIN).is_empty() && watcher.source().descriptor.is_some());
    let due = watcher.source().due.unwrap();
    assert_eq!(watcher.overdue(due), Some(Duration::from_secs(1)));
    assert_eq!((watcher.overdue(due), watcher.source().due), (None, None));
    watcher.look(RUN);
    assert_eq!(watcher.outstanding, 2, "a newer request says all");
    watcher.before_start();
    drop(held);
    assert!(found(&mut watcher).is_empty(), "before a start no other look matters any more");
    assert!(watcher.source().descriptor.is_none() && watcher.source().due.is_none());
}
