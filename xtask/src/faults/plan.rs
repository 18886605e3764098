//! Which faults are injected into which lives.

use super::Options;
use super::calls::Call;
use super::life::{LIVES, Life};
use super::tracer::{Fault, Role};
use super::verdict::Reference;
use nix::errno::Errno;
use std::collections::BTreeSet;

/// A life with a fault.
pub struct Trial<'a> {
    pub life: &'static Life,
    pub reference: &'a Reference,
    pub fault: Fault,
}

/// What once broke something, and is always tried first: life, role, call, error.
const ONCE_BROKEN: [(&str, Role, &str, Errno); 10] = [
    ("signals", Role::Supervisor, "rt_sigprocmask", Errno::EINVAL),
    ("leftovers", Role::Keeper, "sendto", Errno::EALREADY),
    ("stranger", Role::Child, "sendto", Errno::ENOTSOCK),
    ("crash", Role::Keeper, "wait4", Errno::ESRCH),
    ("manager", Role::Keeper, "dup2", Errno::EBADF),
    ("notify", Role::Supervisor, "recvfrom", Errno::ENOTCONN),
    ("orphaned", Role::Supervisor, "getdents64", Errno::ENOENT),
    ("killed", Role::Supervisor, "getcwd", Errno::EINVAL),
    ("orphaned", Role::Supervisor, "close", Errno::EDQUOT),
    ("stranger", Role::Keeper, "prctl", Errno::ERANGE),
];

impl Trial<'_> {
    fn has_once_broken(&self) -> bool {
        let Fault { role, call, errno, .. } = self.fault;
        ONCE_BROKEN.contains(&(self.life.name, role, call.name, errno))
    }
}

/// The lives that are asked for.
pub fn lives(options: &Options) -> Vec<&'static Life> {
    LIVES.iter().filter(|life| options.life.as_ref().is_none_or(|name| name == life.name)).collect()
}

/// All trials: after what has once broken, in the order of the seed, so that the first of them are a sample of all.
///
/// # Errors
/// Calls are made that the table does not know.
pub fn trials<'a>(options: &Options, references: &'a [(&'static Life, Reference)]) -> Result<Vec<Trial<'a>>, String> {
    let mut trials = Vec::new();
    let mut unknown = BTreeSet::new();
    for (life, reference) in references {
        for (&(role, number), &count) in &reference.counts {
            let Some(call) = Call::find(number) else {
                unknown.insert(number);
                continue;
            };
            let is_wanted = options.role.is_none_or(|wanted| wanted == role)
                && options.call.is_none_or(|wanted| wanted.number == number);
            if is_wanted {
                trials.extend(faults(options, call, count).into_iter().map(|(occurrence, errno)| {
                    let fault = Fault { role, call, occurrence, errno };
                    Trial { life, reference, fault }
                }));
            }
        }
    }
    if !unknown.is_empty() {
        return Err(format!("xtask/src/faults/calls.rs does not know these system calls: {unknown:?}"));
    }
    fastrand::Rng::with_seed(options.seed).shuffle(&mut trials);
    trials.sort_by_key(|trial: &Trial<'_>| !trial.has_once_broken());
    Ok(trials)
}

fn faults(options: &Options, call: &Call, count: u64) -> Vec<(u64, Errno)> {
    let errnos = call.errnos().filter(|errno| options.errno.is_none_or(|wanted| wanted == *errno));
    let occurrences = match options.occurrence {
        Some(occurrence) => vec![occurrence],
        None => occurrences(count, options.most),
    };
    errnos.flat_map(|errno| occurrences.iter().map(move |occurrence| (*occurrence, errno))).collect()
}

/// Of calls that are made often, so many are chosen, spread over all.
fn occurrences(count: u64, most: u64) -> Vec<u64> {
    if count <= most {
        return (1..=count).collect();
    }
    // The first and the last one are among them.
    let chosen: BTreeSet<u64> = (0..most).map(|place| 1 + place * (count - 1) / (most - 1).max(1)).collect();
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_are_all_or_spread_from_the_first_to_the_last() {
        assert_eq!(occurrences(3, 12), [1, 2, 3]);
        let spread = occurrences(1000, 12);
        assert_eq!((spread.len(), spread[0], spread[11]), (12, 1, 1000));
        assert_eq!(occurrences(5, 1), [1]);
    }
}
