//! Endpoints that are gone: they have answered 410, and are called no more for a while.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use minutehand_model::Timestamp;

/// Endpoints that are remembered; the one that is called again first is forgotten first.
const GONE_MAX: usize = 10_000;

/// Who is gone, by a fingerprint of the URL, which may hold a secret.
#[derive(Default)]
pub(super) struct Gone {
    fingerprint: RandomState,
    until: Mutex<HashMap<u64, Timestamp>>,
}

impl Gone {
    /// Until when a URL is not called.
    pub(super) fn until(&self, url: &str, now: Timestamp) -> Option<Timestamp> {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_empty() {
            return None;
        }
        let known = until.get(&self.fingerprint.hash_one(url)).copied();
        known.filter(|until| *until > now)
    }

    /// A URL is not called before then.
    pub(super) fn note(&self, url: &str, then: Timestamp, now: Timestamp) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= GONE_MAX {
            until.retain(|_, until| *until > now);
        }
        if until.len() >= GONE_MAX {
            let first = until.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(url, _)| *url) {
                until.remove(&first);
            }
        }
        until.insert(self.fingerprint.hash_one(url), then);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn an_endpoint_is_gone_for_its_time() {
        let gone = Gone::default();
        gone.note("http://a/?key=1", at(10), at(0));
        assert_eq!(gone.until("http://a/?key=1", at(9)), Some(at(10)));
        assert_eq!(gone.until("http://a/?key=1", at(10)), None);
        assert_eq!(gone.until("http://a/?key=2", at(0)), None);
    }

    #[test]
    fn only_so_many_are_remembered_and_the_first_to_return_goes() {
        let gone = Gone::default();
        for number in 0..GONE_MAX as i64 + 5 {
            gone.note(&format!("http://a/{number}"), at(100 + number), at(0));
        }
        assert_eq!(gone.until.lock().unwrap().len(), GONE_MAX);
        assert_eq!(gone.until("http://a/0", at(0)), None);
        assert!(gone.until("http://a/10004", at(0)).is_some());
    }
}
