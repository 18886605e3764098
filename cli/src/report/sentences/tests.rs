mod words;

use super::*;
use crate::options::settings_of;
use crate::report::samples;

fn of_notice(options: &[&str], notice: Notice, run: &KnownRun) -> String {
    Sentences::new(&settings_of(options)).machine(notice, run).1
}

#[test]
fn every_event_has_one_sentence_that_shows_no_debug_text() {
    let sentences = Sentences::new(&settings_of(&["--heartbeat-file", "/tmp/no-such-heartbeat"]));
    for content in samples() {
        let (_, words) = sentences.of(&content, &KnownRun::default(), &Standing::FIRST);
        let is_silent = ["supervising", "input", "tick"].contains(&content.name());
        assert_eq!(words.is_empty(), is_silent, "{}: {words:?}", content.name());
        assert!(!["{", "}", "Some(", "None", "::", " ,", "  "].iter().any(|sign| words.contains(sign)), "{words}");
    }
}

#[test]
fn the_start_names_the_heartbeat_file_and_when_it_is_due() {
    let started = Notice::Started { run: RunId(1), pid: 7 };
    let run = KnownRun::default();
    let words = of_notice(&["--heartbeat-file", "beat", "--initial-check-delay", "5"], started, &run);
    let path = std::path::absolute("beat").unwrap();
    let expected =
        format!("run 1: started sleep as pid 7; the first heartbeat is due within 25 s in {}", path.display());
    assert_eq!(words, expected);
    assert_eq!(of_notice(&["--no-heartbeat"], started, &run), "run 1: started sleep as pid 7");
}

#[test]
fn a_hang_after_heartbeats_names_their_usual_interval() {
    let mut run = KnownRun::default();
    let silence = Duration::from_secs(20);
    let hung = Notice::Hung {
        run: RunId(1),
        pid: 7,
        evidence: Evidence::Silence { silence },
        on_hang: OnHang::Stop,
        grace_period: Duration::from_secs(5),
    };
    let plain =
        "run 1: hung: pid 7 was silent for 20 s; the supervisor asks it to leave by SIGTERM, and sends SIGKILL in 5 s";
    assert_eq!(of_notice(&[], hung, &run), plain);
    for seconds in [15, 31, 45] {
        let beat = Notice::Heartbeat { run: RunId(1), pid: 7, first: seconds == 15, ago: Duration::ZERO };
        run.take(&beat, supervisor_core::Instant::from_origin(Duration::from_secs(seconds)));
        let once = "silent for 20 s (its last heartbeat came 15 s after the start; if it beats less often than every 20 s, \
                    raise --timeout);";
        assert!(seconds > 15 || of_notice(&[], hung, &run).contains(once));
    }
    let words = of_notice(&[], hung, &run);
    assert!(words.contains("(the heartbeats seen before were at most about 15 s apart; --timeout is 20 s)"), "{words}");
}

#[test]
fn a_code_is_told_once() {
    let done = |end| Notice::Done(Outcome::GaveUp { end, reason: supervisor_core::GiveUp::NeverRestarts });
    let words = |end| of_notice(&[], done(end), &KnownRun::default());
    let code = words(End::Exited(ExitStatus::Code(3)));
    assert_eq!(
        code,
        "giving up: --restart never allows no restart; the last run exited with code 3, and so does the supervisor"
    );
    assert_eq!(
        words(End::Hung),
        "giving up: --restart never allows no restart; the last run hung; the supervisor ends with exit code 124"
    );
}

#[test]
fn the_policy_is_told_in_plain_words() {
    let plain = Sentences::new(&settings_of(&["--heartbeat-file", "/x"])).settings();
    assert_eq!(
        plain,
        "policy: the command counts as hung after 20 s of silence of /x; the supervisor asks the command to leave by \
         SIGTERM, and kills it 5 s later; the supervisor restarts it when it fails, without limit; the first delay is 1 s, and \
         doubles each time; a healthy run of 60 s starts the count anew"
    );
    let options = ["--no-heartbeat", "--restart", "never", "--max-backoff", "30", "--backoff-jitter", "0.25"];
    let words = Sentences::new(&settings_of(&options)).settings();
    assert!(
        words.contains("the supervisor detects no hang; ") && words.contains("at most 30 s, stretched by up to 25 %"),
        "{words}"
    );
}

#[test]
fn a_missing_heartbeat_has_a_remedy_and_with_a_probe_another() {
    let found = supervisor_backend_unix::HeartbeatFound::NoFile;
    let notice = supervisor_backend_unix::UnixNotice::HeartbeatMissing { file: "/x".into(), found, hindrance: None };
    let words = |options: &[&str]| {
        Sentences::new(&settings_of(options)).backend(&notice, &KnownRun::default(), &Standing::FIRST).1
    };
    let plain = words(&[]);
    for remedy in ["no heartbeat file /x", "HEARTBEAT_FILE", "--heartbeat-file", "--no-heartbeat"] {
        assert!(plain.contains(remedy), "{plain}");
    }
    let probed = words(&["--probe", "true"]);
    assert!(probed.contains("no probe succeeded, and there is no heartbeat file /x; find out why"), "{probed}");
}
