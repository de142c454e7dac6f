//! Ids for tasks whose caller gave none: time first, then random, so that they sort by creation.

use std::sync::atomic::{AtomicU64, Ordering};

use minutehand_model::{TaskId, Timestamp};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Crockford's alphabet in lower case: digits and letters without i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes ids like `t-01k8…`: 48 bits of milliseconds and 80 random bits, in base 32.
///
/// The random bits are a keyed hash of a counter: no lock, no system call, and no two alike in one
/// process.
pub struct IdSource {
    seed: u64,
    salt: u64,
    count: AtomicU64,
}

impl IdSource {
    /// A source keyed by 128 random bits; two processes must not share them.
    pub fn new(random: u128) -> IdSource {
        IdSource {
            seed: random as u64,
            salt: (random >> 64) as u64,
            count: AtomicU64::new(0),
        }
    }

    /// A source keyed by the system's randomness.
    pub fn from_system() -> IdSource {
        use std::hash::{BuildHasher, RandomState};
        let draw = || u128::from(RandomState::new().hash_one(std::process::id()));
        IdSource::new((draw() << 64) | draw())
    }

    /// The next id.
    pub fn next(&self, now: Timestamp) -> TaskId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut text = [0_u8; 16];
        text[..8].copy_from_slice(&count.to_le_bytes());
        text[8..].copy_from_slice(&self.salt.to_le_bytes());
        let random = xxh3_128_with_seed(&text, self.seed) & ((1 << 80) - 1);
        let millis = u128::from(now.as_millis().max(0).unsigned_abs() & 0xFFFF_FFFF_FFFF);
        parse(b't', (millis << 80) | random)
    }

    /// The id that belongs to an idempotency key: the same key gives the same id, after a restart
    /// too.
    pub fn of_key(key: u128) -> TaskId {
        parse(b'k', key)
    }
}

fn parse(kind: u8, value: u128) -> TaskId {
    let mut text = [0_u8; 28];
    text[0] = kind;
    text[1] = b'-';
    for (index, slot) in text[2..].iter_mut().enumerate() {
        let shift = 5 * (25 - index);
        *slot = ALPHABET[((value >> shift) & 31) as usize];
    }
    let text = std::str::from_utf8(&text).expect("the alphabet is ASCII");
    TaskId::parse(text).expect("the alphabet is allowed in ids")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_differ_and_sort_by_time() {
        let source = IdSource::new(7);
        let ids: BTreeSet<TaskId> = (0..10_000)
            .map(|_| source.next(Timestamp::from_millis(1_000)))
            .collect();
        assert_eq!(ids.len(), 10_000);
        let later = source.next(Timestamp::from_millis(1_001));
        assert!(ids.iter().all(|id| *id < later));
        assert_eq!(later.as_str().len(), 28);
        assert!(later.as_str().starts_with("t-"));
    }

    #[test]
    fn sources_differ_by_their_key() {
        let now = Timestamp::from_millis(5);
        assert_ne!(IdSource::new(1).next(now), IdSource::new(2).next(now));
        assert_ne!(
            IdSource::new(1).next(now),
            IdSource::new(1 << 64 | 1).next(now)
        );
    }
}
