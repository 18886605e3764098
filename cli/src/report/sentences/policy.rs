//! What all options come to, in words.

use super::Sentences;
use crate::report::display::{Counted, Seconds};
use supervisor_core::{Backoff, Limit, OnHang, Restart, Watchdog};

impl Sentences {
    /// The policy in one line.
    pub(super) fn settings(&self) -> String {
        let parts = [self.watchdog(), self.leaving(), self.restarts(), delays(&self.policy.backoff), self.streak()];
        format!("policy: {}", parts.join("; "))
    }

    fn watchdog(&self) -> String {
        let Watchdog::On { timeout, initial_delay } = self.policy.watchdog else {
            return "the supervisor detects no hang".to_owned();
        };
        let from = if initial_delay.is_zero() {
            String::new()
        } else {
            format!(", not counted in the first {} of a run", Seconds(initial_delay))
        };
        let file = self.heartbeat_file.as_ref().map(|file| format!(" of {file}")).unwrap_or_default();
        let probe = if self.has_probe { " and of the probe" } else { "" };
        format!("the command counts as hung after {} of silence{file}{probe}{from}", Seconds(timeout))
    }

    fn leaving(&self) -> String {
        let (signal, grace) = (self.stop_signal, Seconds(self.policy.grace_period));
        let first = match self.policy.on_hang {
            OnHang::Stop => String::new(),
            OnHang::Signal { grace_period } => {
                let (signal, first) = (self.hang_signal, Seconds(grace_period));
                format!("the supervisor sends {signal} to a hung command, and waits {first}; ")
            }
        };
        format!("{first}the supervisor asks the command to leave by {signal}, and kills it {grace} later")
    }

    fn restarts(&self) -> String {
        let when = match self.policy.restart {
            Restart::Never => return "the supervisor never restarts it".to_owned(),
            Restart::OnFailure => "when it fails",
            Restart::Always => "whenever it ends",
        };
        match self.policy.max_restarts {
            Limit::Unlimited => format!("the supervisor restarts it {when}, without limit"),
            Limit::Times(most) => {
                format!(
                    "the supervisor restarts it {when}, {} in a row at most",
                    Counted(most as usize, "time", "times")
                )
            }
        }
    }

    fn streak(&self) -> String {
        format!("a healthy run of {} starts the count anew", Seconds(self.policy.reset_after))
    }
}

fn delays(backoff: &Backoff) -> String {
    let ceiling = backoff.ceiling.map(|most| format!(", at most {}", Seconds(most))).unwrap_or_default();
    let jitter = match backoff.jitter.parts_per_billion {
        0 => String::new(),
        parts => format!(", stretched by up to {} %", f64::from(parts) / 10_000_000.0),
    };
    format!("the first delay is {}, and doubles each time{ceiling}{jitter}", Seconds(backoff.factor))
}
