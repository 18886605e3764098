//! Signals to real processes below a shell, which stands for the keeper.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A shell, and what it has started.
struct Scene {
    shell: Child,
    output: BufReader<ChildStdout>,
    tree: Tree,
}

impl Scene {
    fn was_sent(&self, pid: i32, signal: Signal) -> bool {
        self.tree.sent.keys().any(|(id, sent)| id.pid == pid && *sent == signal)
    }

    fn new(company: Company, script: &str) -> Scene {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let (mut tree, _) = Tree::new(company);
        tree.begin(shell.id().cast_signed());
        Scene { shell, output, tree }
    }

    /// A pid that the script tells.
    fn told(&mut self) -> i32 {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    /// Waits until a process is in this state, as `/proc` shows it.
    fn wait_for(&self, pid: i32, state: char) {
        while Process::read(pid).is_none_or(|process| process.state != state) {
            std::thread::yield_now();
        }
    }

    fn members(&self) -> Vec<i32> {
        self.tree.seen().iter().map(|process| process.id.pid).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.tree.kill(|_| false));
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Who got which signal, as notices tell it.
fn sent(notices: &[UnixNotice]) -> Vec<(Signal, Vec<i32>)> {
    let told = notices.iter().map(|notice| match notice {
        UnixNotice::SignalSent {
            signal,
            target: Target::Leftovers { processes } | Target::Processes { processes },
        } => (*signal, processes.iter().map(|process| process.pid).collect()),
        other => panic!("{other:?}"),
    });
    told.collect()
}

const TWO: &str = "sleep 1000 & echo $!; sleep 1000 & echo $!; wait; read end";

#[test]
fn what_is_below_the_root_is_of_the_run() {
    let mut scene = Scene::new(Company::Alone, TWO);
    let pids = [scene.told(), scene.told()];
    assert_eq!(scene.members(), pids);
    assert!(pids.iter().all(|pid| scene.tree.contains(*pid)));
    let (own, shell) = (std::process::id().cast_signed(), scene.shell.id().cast_signed());
    assert!(![own, shell, 1, 0, -1, i32::MAX].iter().any(|pid| scene.tree.contains(*pid)));
    // It is a shell until it executes.
    while named(pids[0]).name != "sleep" {
        std::thread::yield_now();
    }
    assert_eq!(named(pids[0]).pid, pids[0]);
    assert_eq!(named(i32::MAX), Named { pid: i32::MAX, name: String::new() });
}

#[test]
fn below_two_keepers_the_children_of_the_first_are_none_of_the_run() {
    let mut scene = Scene::new(Company::Mixed, "(sleep 1000 & echo $!; wait; read end); read end");
    let pid = scene.told();
    // The shell may execute what stands in parentheses itself only where nothing follows it.
    assert_eq!(scene.members(), [pid]);
    assert!(scene.tree.contains(pid), "a grandchild of the root");
}

#[test]
fn a_process_that_is_gone_is_nothing_to_tell() {
    let mut scene = Scene::new(Company::Alone, TWO);
    let pid = scene.told();
    let process = Process::read(pid).unwrap();
    Signal::KILL.send(pid).unwrap();
    while scene.members().contains(&pid) {
        std::thread::yield_now();
    }
    let gone = Process { id: ProcessId { start_time: 1, ..process.id }, ..process };
    let mut notices = Vec::new();
    assert!(!try_signal(&gone, Signal::TERM, &mut notices) && notices.is_empty());
}

#[test]
fn each_gets_a_signal_once() {
    let mut scene =
        Scene::new(Company::Alone, "trap '' TERM; sh -c 'echo $$; while :; do sleep 1000; done' & wait; read end");
    let pid = scene.told();
    let first = scene.tree.signal_rest(Signal::WINCH).unwrap();
    let members = sent(&first.notices);
    assert!(members.len() == 1 && members[0].0 == Signal::WINCH && members[0].1.contains(&pid), "{members:?}");
    assert!(scene.was_sent(pid, Signal::WINCH) && !scene.was_sent(pid, Signal::TERM));
    assert!(!scene.was_sent(i32::MAX, Signal::WINCH) && !first.has_unseen);
    let again = scene.tree.signal_rest(Signal::WINCH).unwrap();
    assert!(!sent(&again.notices).iter().any(|(_, pids)| pids.contains(&pid)));
    let root = scene.tree.root;
    scene.tree.begin(root);
    assert!(!scene.was_sent(pid, Signal::WINCH), "another run");
}

#[test]
fn a_stopped_process_goes_on_after_its_signal() {
    let mut scene = Scene::new(Company::Alone, TWO);
    let (one, other) = (scene.told(), scene.told());
    Signal::STOP.send(one).unwrap();
    scene.wait_for(one, 'T');
    let stopped = scene.tree.sent_to(Signal::QUIT, |process| process.id.pid == one);
    assert_eq!(stopped, [named(one)]);
    assert!(scene.was_sent(one, Signal::QUIT) && !scene.was_sent(other, Signal::QUIT));
    assert!(scene.tree.sent_to(Signal::QUIT, |process| process.id.pid == other).is_empty());
    let delivery = scene.tree.signal_rest(Signal::WINCH).unwrap();
    assert_eq!(sent(&delivery.notices), [(Signal::WINCH, vec![one, other]), (Signal::CONT, vec![one])]);
    scene.wait_for(one, 'S');
}

#[test]
fn a_signal_that_came_too_late_is_sent_after_all() {
    let mut scene = Scene::new(Company::Alone, TWO);
    let (one, other) = (scene.told(), scene.told());
    assert!(scene.tree.sent_to(Signal::WINCH, |process| process.id.pid == one).is_empty());
    scene.tree.sent_to(Signal::QUIT, |process| process.id.pid == one);
    let before = scene.tree.signal_rest(Signal::WINCH).unwrap();
    assert_eq!(sent(&before.notices), [(Signal::WINCH, vec![other])]);
    assert!(scene.tree.not_sent_to(Signal::WINCH) && !scene.tree.not_sent_to(Signal::WINCH));
    assert!(scene.was_sent(one, Signal::QUIT), "another signal");
    assert!(scene.tree.was_sent(Signal::QUIT) && !scene.tree.was_sent(Signal::KILL));
    let after = scene.tree.signal_rest(Signal::WINCH).unwrap();
    assert_eq!(sent(&after.notices), [(Signal::WINCH, vec![one])], "the other has got it by itself");
}

#[test]
fn all_are_killed_and_those_that_are_news_are_told() {
    let mut scene = Scene::new(Company::Alone, TWO);
    let (one, other) = (scene.told(), scene.told());
    let delivery = scene.tree.kill(|process| process.id.pid == one).unwrap();
    assert_eq!(sent(&delivery.notices), [(Signal::KILL, vec![other])]);
    assert!(!delivery.has_unseen);
    while !scene.members().is_empty() {
        std::thread::yield_now();
    }
    assert!(scene.tree.kill(|_| false).unwrap().notices.is_empty());
}

#[test]
fn where_nothing_can_be_seen_the_keeper_is_to_reach_it() {
    let mut tree = Tree { proc: Proc::NotOurs, root: 1, company: Company::Alone, sent: BTreeMap::new() };
    assert!(tree.members().unwrap().is_empty() && tree.proc() == Proc::NotOurs);
    assert!(tree.signal_rest(Signal::TERM).unwrap().has_unseen && tree.kill(|_| false).unwrap().has_unseen);
    let (tree, notice) = Tree::new(Company::Alone);
    assert!(tree.proc() == Proc::Ours && notice.is_none());
}

/// As with hidepid: the kernel lists a child that `/proc` does not show.
#[test]
fn a_hidden_process_is_reached_as_long_as_it_is_a_child() {
    let mut scene = Scene::new(Company::Alone, TWO);
    let (one, other) = (scene.told(), scene.told());
    let parent = scene.shell.id().cast_signed();
    let hidden = [Member::Hidden { pid: one, parent }, Member::Hidden { pid: i32::MAX, parent }];
    assert!(scene.tree.has_hidden(&hidden) && !scene.tree.has_hidden(&[]));
    assert!(scene.tree.has_unreached(&hidden[..1], Signal::WINCH));
    assert_eq!((hidden[0].parent(), seen(hidden.to_vec()).len()), (parent, 0));
    let reached = |scene: &mut Scene| scene.tree.signal_hidden(&hidden, Signal::WINCH);
    assert_eq!(reached(&mut scene), [Named { pid: one, name: String::new() }]);
    assert!(reached(&mut scene).is_empty(), "it got that before");
    assert!(!scene.tree.has_unreached(&hidden[..1], Signal::WINCH) && scene.tree.has_unreached(&hidden, Signal::WINCH));
    let stranger = Member::Hidden { pid: other, parent: std::process::id().cast_signed() };
    assert!(signal_hidden(&stranger, Signal::KILL).is_none());
    assert!(signal_hidden(&Member::Seen(Process::read(other).unwrap()), Signal::KILL).is_none());
    assert!(Process::read(other).is_some_and(|process| process.is_alive()));
}

#[test]
fn an_ancestor_that_ends_meanwhile_cuts_the_climb_short() {
    let (own, root, gone) = (std::process::id().cast_signed(), 5, i32::MAX);
    let parents = |parents: &'static [(i32, i32)]| {
        move |pid| parents.iter().find(|(child, _)| *child == pid).map(|(_, parent)| *parent)
    };
    assert_eq!(climb(9, root, parents(&[(9, 7), (7, 5), (5, 1)])), Climb::ToRoot);
    assert_eq!(climb(9, root, parents(&[(9, 7), (7, 1)])), Climb::Past);
    assert_eq!(climb(0, root, parents(&[])), Climb::Past);
    // It was the parent of 9, and is not there when its own parent is asked for.
    let cut = climb(9, root, parents(&[(9, i32::MAX)]));
    assert_eq!(cut, Climb::Unseen(gone));
    assert!(cut.is_cut_short(9));
    // One that is hidden is there; and nothing can be said of one that has ended itself.
    assert!(!Climb::Unseen(own).is_cut_short(9) && !Climb::Unseen(gone).is_cut_short(gone));
    assert!(!Climb::ToRoot.is_cut_short(9) && !Climb::Past.is_cut_short(9));
}
