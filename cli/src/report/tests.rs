//! Every sink gets every record, in order, and what sinks cannot do is told with the next one.

use super::*;
use crate::options::settings_of;
use std::cell::RefCell;
use std::rc::Rc;
use supervisor_core::{Limit, Policy};

/// What a sink was asked to do.
type Story = Rc<RefCell<Vec<String>>>;

/// A sink that notes what it gets, and has trouble while it does so where it is told to.
struct Witness {
    story: Story,
    troubles: Troubles,
    fails_to: Option<&'static str>,
}

impl Witness {
    fn note(&self, words: &str) {
        self.story.borrow_mut().push(words.to_owned());
        if self.fails_to == Some(words) {
            self.troubles.tell("test", String::new(), String::new());
        }
    }
}

impl Sink for Witness {
    fn record(&mut self, record: &Record, _standing: &Standing) {
        self.note(record.content.name());
    }

    fn flush(&mut self, _last_words: &mut LastWords) {
        self.note("flush");
    }
}

/// A reporter with one sink, and what that sink gets.
fn scene(options: &[&str], fails_to: Option<&'static str>) -> (Reporter, Story, Troubles) {
    let (troubles, received) = Troubles::channel();
    let story = Story::default();
    let witness = Witness { story: Rc::clone(&story), troubles: troubles.clone(), fails_to };
    (Reporter::new(&settings_of(options), vec![Box::new(witness)], received), story, troubles)
}

fn told(story: &Story) -> Vec<String> {
    story.take()
}

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

#[test]
fn what_sinks_cannot_do_is_told_with_the_next_record() {
    let (mut reporter, story, troubles) = scene(&[], None);
    troubles.tell("first", String::new(), String::new());
    reporter.begin(&settings_of(&[]));
    assert_eq!(told(&story), ["trouble", "supervising", "settings"]);
    troubles.tell("second", String::new(), String::new());
    reporter.late(UnixNotice::Tick {});
    assert_eq!(told(&story), ["trouble", "tick"]);
    let (mut reporter, story, _) = scene(&[], Some("settings"));
    reporter.begin(&settings_of(&[]));
    assert_eq!(told(&story), ["supervising", "settings", "trouble"]);
}

#[test]
fn what_a_flush_meets_is_flushed_too() {
    let (mut reporter, story, _) = scene(&[], None);
    reporter.flush(&mut LastWords::begin());
    assert_eq!(told(&story), ["flush"]);
    let (mut reporter, story, _) = scene(&[], Some("flush"));
    reporter.flush(&mut LastWords::begin());
    assert_eq!(told(&story), ["flush", "trouble", "flush"]);
}

#[test]
fn a_long_delay_without_a_ceiling_is_told_of() {
    let (supervisor, _) = Supervisor::start(Policy::default());
    let backing_off = |delay| Notice::BackingOff { restart: 1, limit: Limit::Unlimited, delay };
    for (options, delay, is_long) in [
        (&[][..], LONG_DELAY, false),
        (&[], LONG_DELAY + Duration::from_millis(1), true),
        (&["--max-backoff", "1000"], LONG_DELAY * 2, false),
    ] {
        let (mut reporter, story, _) = scene(options, None);
        (&mut reporter).notice(at(0), backing_off(delay), &supervisor);
        assert_eq!(told(&story).contains(&"long_delay".to_owned()), is_long, "{options:?} {delay:?}");
    }
}

#[test]
fn what_is_repeated_is_passed_over_and_summed_up() {
    let (mut reporter, story, _) = scene(&[], None);
    let (supervisor, _) = Supervisor::start(Policy::default());
    let ready = Notice::Ready { run: RunId(1), pid: 7 };
    let goes_on = || UnixNotice::ProcessContinued { pid: 7 };
    (&mut reporter).notice(at(0), ready, &supervisor);
    (&mut reporter).notice(at(1), ready, &supervisor);
    (&mut reporter).backend_notice(at(2), UnixNotice::Tick {}, &supervisor);
    assert_eq!(told(&story), ["ready", "messages_summed", "tick"]);
    (&mut reporter).backend_notice(at(3), goes_on(), &supervisor);
    (&mut reporter).backend_notice(at(4), goes_on(), &supervisor);
    assert_eq!(told(&story), ["process_continued"]);
    (&mut reporter).event(at(5), Event::Timeout);
    assert_eq!(told(&story), ["input"]);
}

#[test]
fn a_record_stands_where_the_machine_does() {
    let (mut reporter, _, _) = scene(&[], None);
    let (mut supervisor, _) = Supervisor::start(Policy::default());
    let _ = supervisor.handle_event(Event::Started { run: RunId(1), pid: 7 }, at(5));
    (&mut reporter).backend_notice(at(6), UnixNotice::Tick {}, &supervisor);
    let standing = Standing { at: at(6), run: RunId(1), phase: supervisor.phase(), restarts: 0 };
    assert_eq!((reporter.standing, supervisor.phase().pid()), (standing, Some(7)));
}

#[test]
fn trouble_is_told_in_one_line() {
    let (troubles, received) = Troubles::channel();
    troubles.tell("RUST_LOG", String::new(), "invalid spec 'a\nb\u{1b}[31m'".to_owned());
    assert_eq!(received.recv().unwrap().words, "invalid spec 'a\\nb\\u{1b}[31m'");
}
