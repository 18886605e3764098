//! How long a service was available, and why not.

use super::words::{before, between};
use jiff::Timestamp;
use std::cmp::Reverse;
use std::time::Duration;

/// What the command is doing, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Available,
    /// Asked to stop: what follows is no outage.
    Stopping,
    Starting,
    BackingOff,
    /// It is brought to its end, or has ended.
    Ending,
    /// It was silent, and was found to hang later.
    Silent,
}

impl State {
    pub const ALL: [State; 6] =
        [State::Available, State::Stopping, State::Starting, State::BackingOff, State::Ending, State::Silent];

    /// Whether a user of the service would miss it.
    fn is_outage(self) -> bool {
        match self {
            State::Available | State::Stopping => false,
            State::Starting | State::BackingOff | State::Ending | State::Silent => true,
        }
    }
}

/// One state from its beginning to its end.
pub struct Period {
    pub state: State,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// A time in which the service was not available, however many restarts it took.
pub struct Outage {
    pub from: Timestamp,
    pub to: Timestamp,
    /// What began it.
    pub why: String,
}

impl Outage {
    pub fn length(&self) -> Duration {
        between(self.from, self.to)
    }
}

/// All periods of a life, without gaps.
pub struct Account {
    pub periods: Vec<Period>,
    pub outages: Vec<Outage>,
}

impl Account {
    pub fn new(from: Timestamp) -> Account {
        Account { periods: vec![Period { state: State::Starting, from, to: from }], outages: Vec::new() }
    }

    /// Nothing changes until this moment.
    pub fn go_on(&mut self, until: Timestamp) {
        self.last().to = until;
        self.stretch_outage(until);
    }

    /// Another state begins. `why` tells the reason, should an outage begin with it.
    pub fn enter(&mut self, state: State, at: Timestamp, why: &str) {
        self.go_on(at);
        let was_outage = self.last().state.is_outage() && self.periods.len() > 1;
        if state.is_outage() && !was_outage {
            self.outages.push(Outage { from: at, to: at, why: why.to_owned() });
        }
        if self.last().state != state {
            self.periods.push(Period { state, from: at, to: at });
        }
    }

    /// The command turns out to hang, and to have been silent for so long.
    pub fn hang(&mut self, at: Timestamp, silence: Option<f64>, why: &str) {
        if let Some(silence) = silence {
            let last = self.last();
            let since = before(at, silence).max(last.from);
            last.to = since;
            self.enter(State::Silent, since, why);
        }
        self.enter(State::Ending, at, why);
    }

    /// The main process has ended. One that was asked to stop does what was wanted.
    pub fn end_run(&mut self, at: Timestamp, why: &str) {
        if self.last().state != State::Stopping {
            self.enter(State::Ending, at, why);
        }
    }

    /// What came last was meant to be the end. But a delay before a start was an outage, whatever ended it.
    pub fn end_as_wanted(&mut self) {
        let last = self.last();
        match last.state {
            State::Starting | State::Ending => {
                last.state = State::Stopping;
                let from = last.from;
                self.outages.retain(|outage| outage.from < from);
            }
            State::Available | State::Stopping | State::BackingOff | State::Silent => {}
        }
    }

    fn last(&mut self) -> &mut Period {
        let last = self.periods.len() - 1;
        &mut self.periods[last]
    }

    fn stretch_outage(&mut self, until: Timestamp) {
        let is_outage = self.last().state.is_outage();
        if let Some(outage) = self.outages.last_mut().filter(|_| is_outage) {
            outage.to = until;
        }
    }

    /// The time in a state.
    pub fn total(&self, state: State) -> Duration {
        let of_state = self.periods.iter().filter(|period| period.state == state);
        of_state.map(|period| between(period.from, period.to)).sum()
    }

    /// The time in which the service should have been available.
    pub fn wanted(&self) -> Duration {
        State::ALL.into_iter().filter(|state| *state != State::Stopping).map(|state| self.total(state)).sum()
    }

    /// A percentage; none where it was never wanted.
    pub fn availability(&self) -> Option<f64> {
        let wanted = self.wanted().as_secs_f64();
        (wanted > 0.0).then(|| 100.0 * self.total(State::Available).as_secs_f64() / wanted)
    }

    /// The first of the longest.
    pub fn longest_outage(&self) -> Option<&Outage> {
        self.outages.iter().min_by_key(|outage| Reverse(outage.length()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: i64) -> Timestamp {
        Timestamp::from_second(number).unwrap()
    }

    /// Up from 0 to 60, silent until 80, ended at 85, up again from 90 to 100.
    fn hung_once() -> Account {
        let mut account = Account::new(second(0));
        account.enter(State::Available, second(0), "");
        account.hang(second(80), Some(20.0), "it hung");
        account.enter(State::BackingOff, second(85), "");
        account.enter(State::Available, second(90), "");
        account.go_on(second(100));
        account
    }

    #[test]
    fn a_hang_is_an_outage_from_its_last_heartbeat_to_the_next_start() {
        let account = hung_once();
        let outage = account.longest_outage().unwrap();
        assert_eq!((outage.from, outage.to, outage.why.as_str()), (second(60), second(90), "it hung"));
        assert_eq!((account.outages.len(), account.availability()), (1, Some(70.0)));
    }

    #[test]
    fn being_asked_to_stop_is_no_outage() {
        let mut account = hung_once();
        account.enter(State::Stopping, second(100), "");
        account.go_on(second(200));
        assert_eq!((account.outages.len(), account.availability()), (1, Some(70.0)));
    }

    #[test]
    fn a_command_that_has_done_its_work_is_no_outage() {
        let mut account = Account::new(second(0));
        account.enter(State::Available, second(0), "");
        account.enter(State::Ending, second(10), "it exited");
        account.go_on(second(11));
        account.end_as_wanted();
        assert_eq!((account.outages.len(), account.availability()), (0, Some(100.0)));
    }

    #[test]
    fn a_delay_that_a_stop_ends_is_an_outage() {
        let mut account = Account::new(second(0));
        account.enter(State::Available, second(0), "");
        account.enter(State::Ending, second(10), "it crashed");
        account.enter(State::BackingOff, second(10), "");
        account.go_on(second(20));
        account.end_as_wanted();
        assert_eq!((account.outages.len(), account.availability()), (1, Some(50.0)));
    }

    #[test]
    fn failed_starts_lengthen_one_outage() {
        let mut account = Account::new(second(0));
        account.enter(State::Available, second(0), "");
        for at in [10, 20, 30] {
            account.enter(State::Ending, second(at), "it crashed");
            account.enter(State::BackingOff, second(at + 1), "");
        }
        account.go_on(second(50));
        assert_eq!(account.outages.len(), 1);
        assert_eq!(account.longest_outage().unwrap().length(), Duration::from_secs(40));
    }

    #[test]
    fn a_first_start_that_fails_is_an_outage() {
        let mut account = Account::new(second(0));
        account.enter(State::Ending, second(5), "it cannot start");
        account.go_on(second(9));
        let outage = account.longest_outage().unwrap();
        assert_eq!((account.outages.len(), outage.from, outage.to), (1, second(5), second(9)));
    }

    #[test]
    fn an_end_that_was_asked_for_is_part_of_the_stop() {
        let mut account = hung_once();
        account.end_run(second(101), "it exited");
        assert_eq!((account.outages.len(), account.total(State::Ending)), (2, Duration::from_secs(5)));
        let mut account = hung_once();
        account.enter(State::Stopping, second(100), "");
        account.end_run(second(101), "it exited");
        account.go_on(second(101));
        assert_eq!((account.outages.len(), account.total(State::Stopping)), (1, Duration::from_secs(1)));
    }

    #[test]
    fn outages_before_a_wanted_end_stay() {
        let mut account = hung_once();
        account.enter(State::Ending, second(100), "it exited");
        account.end_as_wanted();
        assert_eq!(account.outages.len(), 1);
    }

    #[test]
    fn what_was_never_wanted_has_no_availability() {
        assert_eq!(Account::new(second(0)).availability(), None);
    }
}
