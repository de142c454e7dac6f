//! The answers to requests with an `Idempotency-Key`, kept for a day in a bounded table.
//!
//! The table lives in memory. After a restart the same key still gives the same task id, so that a
//! request with a fixed `due_at` makes no second task; one with a `delay` may. When the table is
//! full, whoever has most keys in it loses the oldest of them: a caller that sends many keys
//! forgets its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use minutehand_model::Timestamp;
use minutehand_model::limits::{IDEMPOTENCY_KEPT_MS, IDEMPOTENCY_KEYS_MAX};

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
    /// The answer, with its place among its caller's; `None` while the request is under way.
    answer: Option<(Bytes, Place)>,
}

/// When a request was answered, and which one of all it was.
type Place = (Timestamp, u64);

#[derive(Default)]
struct Table {
    entries: HashMap<u128, Entry>,
    /// The answered keys of each caller, the oldest first. Callers without any are left out.
    answered: BTreeMap<String, BTreeMap<Place, u128>>,
    answers: u64,
}

/// The table of keys.
#[derive(Default)]
pub(crate) struct IdempotencyKeys {
    table: Mutex<Table>,
}

impl IdempotencyKeys {
    /// Looks a key up and, when it is new, marks its request as under way.
    pub(crate) fn begin(&self, key: u128, request: u128, now: Timestamp) -> Remembered {
        let mut table = self.locked();
        table.forget_old(now);
        match table.entries.get(&key) {
            Some(entry) if entry.request != request => Remembered::OtherRequest,
            Some(Entry {
                answer: Some((answer, _)),
                ..
            }) => Remembered::Answered(answer.clone()),
            Some(_) => Remembered::InProgress,
            None => {
                table.entries.insert(
                    key,
                    Entry {
                        request,
                        answer: None,
                    },
                );
                Remembered::New
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn keep(&mut self, caller: &str, key: u128, answer: Bytes, now: Timestamp) {
        let place = (now, self.answers);
        self.answers += 1;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.answer = Some((answer, place));
            self.answered
                .entry(caller.to_owned())
                .or_default()
                .insert(place, key);
        }
        while self.answered.values().map(BTreeMap::len).sum::<usize>() > IDEMPOTENCY_KEYS_MAX {
            let most = self.answered.iter().max_by_key(|(_, keys)| keys.len());
            let Some(caller) = most.map(|(caller, _)| caller.clone()) else {
                return;
            };
            self.forget_first(&caller);
        }
    }

    fn forget_old(&mut self, now: Timestamp) {
        let is_old = |keys: &BTreeMap<Place, u128>| {
            keys.first_key_value()
                .is_some_and(|((at, _), _)| now.millis_since(*at) > IDEMPOTENCY_KEPT_MS)
        };
        while let Some(caller) = self
            .answered
            .iter()
            .find(|(_, keys)| is_old(keys))
            .map(|(name, _)| name.clone())
        {
            self.forget_first(&caller);
        }
    }

    fn forget_first(&mut self, caller: &str) {
        let Some(keys) = self.answered.get_mut(caller) else {
            return;
        };
        if let Some((_, key)) = keys.pop_first() {
            self.entries.remove(&key);
        }
        if keys.is_empty() {
            self.answered.remove(caller);
        }
    }
}

/// Ends a request's key whatever happens, also when its caller goes away in the middle. A request
/// that failed leaves nothing behind.
pub(crate) struct KeyInUse<'a> {
    keys: &'a IdempotencyKeys,
    caller: &'a str,
    key: Option<u128>,
}

impl<'a> KeyInUse<'a> {
    pub(crate) fn new(keys: &'a IdempotencyKeys, caller: &'a str, key: u128) -> KeyInUse<'a> {
        KeyInUse {
            keys,
            caller,
            key: Some(key),
        }
    }

    pub(crate) fn succeeded(mut self, answer: Bytes, now: Timestamp) {
        if let Some(key) = self.key.take() {
            self.keys.locked().keep(self.caller, key, answer, now);
        }
    }
}

impl Drop for KeyInUse<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.keys.locked().entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn answer(keys: &IdempotencyKeys, caller: &str, key: u128, now: Timestamp) {
        assert_eq!(keys.begin(key, 10, now), Remembered::New);
        KeyInUse::new(keys, caller, key).succeeded(Bytes::from_static(b"done"), now);
    }

    #[test]
    fn answers_again_for_a_day_and_refuses_another_request() {
        let keys = IdempotencyKeys::default();
        assert_eq!(keys.begin(1, 10, at(0)), Remembered::New);
        assert_eq!(keys.begin(1, 10, at(1)), Remembered::InProgress);
        KeyInUse::new(&keys, "a", 1).succeeded(Bytes::from_static(b"done"), at(0));
        let day = at(IDEMPOTENCY_KEPT_MS);
        assert_eq!(
            keys.begin(1, 10, day),
            Remembered::Answered(Bytes::from_static(b"done"))
        );
        assert_eq!(keys.begin(1, 11, day), Remembered::OtherRequest);
        assert_eq!(keys.begin(1, 11, day.plus_millis(1)), Remembered::New);
    }

    #[test]
    fn a_failed_request_may_be_tried_again_and_leaves_nothing() {
        let keys = IdempotencyKeys::default();
        for request in 0..3 {
            assert_eq!(keys.begin(1, request, at(0)), Remembered::New);
            drop(KeyInUse::new(&keys, "a", 1));
        }
        let table = keys.locked();
        assert!(table.entries.is_empty() && table.answered.is_empty());
    }

    #[test]
    fn a_caller_with_many_keys_forgets_its_own() {
        let keys = IdempotencyKeys::default();
        answer(&keys, "victim", 0, at(0));
        for key in 1..=IDEMPOTENCY_KEYS_MAX as u128 + 10 {
            answer(&keys, "flood", key, at(1));
        }
        assert_eq!(keys.locked().entries.len(), IDEMPOTENCY_KEYS_MAX);
        assert_eq!(
            keys.begin(0, 10, at(2)),
            Remembered::Answered(Bytes::from_static(b"done"))
        );
        assert_eq!(
            keys.begin(1, 10, at(2)),
            Remembered::New,
            "the oldest of the flood is forgotten"
        );
    }
}
