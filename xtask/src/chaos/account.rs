//! What all the chaos came to.

use super::fault::Fault;
use std::collections::BTreeMap;

/// The sums, and what went wrong.
#[derive(Default)]
pub struct Account {
    injected: BTreeMap<String, u64>,
    pub lives: u64,
    pub starts: u64,
    pub ends: u64,
    pub hangs: u64,
    pub keepers_lost: u64,
    pub failed_starts: u64,
    pub facts: usize,
    pub failures: Vec<String>,
}

impl Account {
    pub fn injected(&mut self, fault: &Fault) {
        *self.injected.entry(fault.to_string()).or_default() += 1;
    }

    pub fn summary(&self) -> String {
        let faults: u64 = self.injected.values().sum();
        let kinds: Vec<_> = self.injected.iter().map(|(fault, times)| format!("{fault} {times}")).collect();
        let lost = self.failures.len() as u64;
        let mut lines = vec![
            format!("faults injected     {faults}: {}", kinds.join(", ")),
            format!("supervisors         {}", self.lives),
            format!("starts, ends        {}, {} ({} hangs)", self.starts, self.ends, self.hangs),
            format!("failed starts       {}", self.failed_starts),
            format!("keepers lost        {}", self.keepers_lost),
            format!("decisions replayed  {} facts", self.facts),
            format!("survived, lost      {}, {lost}", faults.saturating_sub(lost)),
        ];
        lines.extend(self.failures.iter().map(|failure| format!("FAILED  {failure}")));
        lines.join("\n")
    }
}
