//! The answers to requests with an `Idempotency-Key`, kept for a day in a bounded table.
//!
//! The table lives in memory. After a restart the same key still gives the same task id, so that a request with
//! a fixed `due_at` makes no second task; one with a `delay` may.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use minutehand_model::Timestamp;
use minutehand_model::time::DAY_MS;

/// Most keys remembered; beyond that the oldest is forgotten.
const KEYS_MAX: usize = 100_000;
/// How long a key is remembered.
const KEPT_MS: i64 = DAY_MS;

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// Nothing: the caller goes on and reports how it went.
    New,
    /// The request is under way.
    InProgress,
    /// It was answered, with this body.
    Answered(Bytes),
    /// The key was used for another request.
    OtherRequest,
}

struct Entry {
    request: u128,
    at: Timestamp,
    answer: Option<Bytes>,
}

#[derive(Default)]
struct Table {
    entries: BTreeMap<u128, Entry>,
    /// Keys in the order they came, with their time; a key that was dropped may still stand here.
    order: VecDeque<(Timestamp, u128)>,
}

/// The table of keys.
#[derive(Default)]
pub(crate) struct IdempotencyKeys {
    table: Mutex<Table>,
}

impl IdempotencyKeys {
    /// Looks a key up and, when it is new, marks its request as under way.
    pub(crate) fn begin(&self, key: u128, request: u128, now: Timestamp) -> Remembered {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.forget(now);
        match table.entries.get(&key) {
            Some(entry) if entry.request != request => Remembered::OtherRequest,
            Some(Entry { answer: Some(answer), .. }) => Remembered::Answered(answer.clone()),
            Some(_) => Remembered::InProgress,
            None => {
                table.entries.insert(key, Entry { request, at: now, answer: None });
                table.order.push_back((now, key));
                Remembered::New
            }
        }
    }

    /// Keeps the answer of a request that succeeded; forgets the key of one that did not.
    pub(crate) fn end(&self, key: u128, answer: Option<Bytes>) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Some(answer) => {
                if let Some(entry) = table.entries.get_mut(&key) {
                    entry.answer = Some(answer);
                }
            }
            None => {
                table.entries.remove(&key);
            }
        }
    }
}

impl Table {
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.order.front().copied() {
            if now.millis_since(at) <= KEPT_MS && self.order.len() < KEYS_MAX {
                return;
            }
            self.order.pop_front();
            if self.entries.get(&key).is_some_and(|entry| entry.at == at) {
                self.entries.remove(&key);
            }
        }
    }
}

/// Ends a request's key whatever happens, also when its caller goes away in the middle.
pub(crate) struct KeyInUse<'a> {
    keys: &'a IdempotencyKeys,
    key: Option<u128>,
}

impl<'a> KeyInUse<'a> {
    pub(crate) fn new(keys: &'a IdempotencyKeys, key: u128) -> KeyInUse<'a> {
        KeyInUse { keys, key: Some(key) }
    }

    pub(crate) fn succeeded(mut self, answer: Bytes) {
        if let Some(key) = self.key.take() {
            self.keys.end(key, Some(answer));
        }
    }
}

impl Drop for KeyInUse<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.keys.end(key, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn answers_again_for_a_day_and_refuses_another_request() {
        let keys = IdempotencyKeys::default();
        assert_eq!(keys.begin(1, 10, at(0)), Remembered::New);
        assert_eq!(keys.begin(1, 10, at(1)), Remembered::InProgress);
        KeyInUse::new(&keys, 1).succeeded(Bytes::from_static(b"done"));
        assert_eq!(keys.begin(1, 10, at(DAY_MS)), Remembered::Answered(Bytes::from_static(b"done")));
        assert_eq!(keys.begin(1, 11, at(DAY_MS)), Remembered::OtherRequest);
        assert_eq!(keys.begin(1, 11, at(DAY_MS + 1)), Remembered::New);
    }

    #[test]
    fn a_failed_request_may_be_tried_again() {
        let keys = IdempotencyKeys::default();
        assert_eq!(keys.begin(1, 10, at(0)), Remembered::New);
        drop(KeyInUse::new(&keys, 1));
        assert_eq!(keys.begin(1, 12, at(0)), Remembered::New);
    }

    #[test]
    fn the_table_is_bounded() {
        let keys = IdempotencyKeys::default();
        for key in 0..KEYS_MAX as u128 + 10 {
            keys.begin(key, 0, at(0));
        }
        assert!(keys.table.lock().unwrap().entries.len() <= KEYS_MAX);
        assert_eq!(keys.begin(0, 0, at(0)), Remembered::New);
    }
}
