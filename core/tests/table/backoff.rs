//! The delay before a restart.

use super::*;

#[test]
fn delays_double_up_to_the_ceiling() {
    let backoff = Backoff { factor: secs(2), ceiling: Some(secs(30)), jitter: Jitter::NONE };
    let delays: Vec<u64> = (0..6).map(|made| backoff.delay(made, 0).as_secs()).collect();
    assert_eq!(delays, [2, 4, 8, 16, 30, 30]);
    let unlimited = Backoff { ceiling: None, ..backoff };
    assert_eq!(unlimited.delay(10, 0), secs(2048));
    assert_eq!(unlimited.delay(u32::MAX, 0), Duration::MAX);
    let none = Backoff { factor: Duration::ZERO, ..unlimited };
    assert_eq!(none.delay(u32::MAX, 0), Duration::ZERO);
    let tiny = Backoff { factor: Duration::from_nanos(1), ..none };
    assert_eq!(tiny.delay(93, 0), Duration::from_nanos(1) * (1 << 30) * (1 << 30) * (1 << 30) * 8);
    assert_eq!(tiny.delay(94, 0), Duration::MAX);
}

#[test]
fn jitter_stretches_by_its_share_at_most() {
    let jitter = Jitter { parts_per_billion: 250_000_000, seed: 7 };
    let backoff = Backoff { factor: secs(1000), ceiling: None, jitter };
    let delays: Vec<Duration> = (0..1000).map(|draw| backoff.delay(0, draw)).collect();
    assert!(delays.iter().all(|delay| (secs(1000)..=secs(1250)).contains(delay)));
    assert!(delays.iter().any(|delay| *delay < secs(1010)) && delays.iter().any(|delay| *delay > secs(1240)));
    let other = Backoff { jitter: Jitter { seed: 8, ..jitter }, ..backoff.clone() };
    assert_ne!(other.delay(0, 0), backoff.delay(0, 0));
    let longest = Backoff { factor: Duration::MAX, ..backoff };
    assert_eq!(longest.delay(0, 1), Duration::MAX);
}

/// The first outputs of SplitMix64 for the seeds 0 and 1, as published with the algorithm.
#[test]
fn jitter_is_drawn_by_splitmix64() {
    let factor = Duration::from_nanos(1 << 32);
    let extra = |seed, draw| {
        let jitter = Jitter { parts_per_billion: 1_000_000_000, seed };
        Backoff { factor, ceiling: None, jitter }.delay(0, draw) - factor
    };
    assert_eq!(extra(0, 0), Duration::from_nanos(0xe220_a839));
    assert_eq!(extra(1, 0), Duration::from_nanos(0x910a_2dec));
    assert_eq!(extra(5, 4), extra(1, 0));
}
