//! Keys: how many of each are at work, and what waits for them in its order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use minutehand_model::TaskKey;
use tokio::time::Instant;

use super::tenant::put_off;

/// The fingerprint of a namespace and a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(u128);

impl Key {
    pub(in crate::gates) fn of(namespace: &str, key: &str) -> Key {
        // Of its own kind, so that it is that of no task.
        let TaskKey(bits) = TaskKey::of_keyed(namespace, "", Some(key));
        Key(bits)
    }
}

#[derive(Debug, Default)]
struct Line {
    /// What waits, in the order of the queue.
    waiting: VecDeque<u64>,
    /// Those that stand in the line of their namespace: they have a place and are not at work yet.
    ready: u32,
    at_work: u32,
    /// When the last one ended, while others waited.
    ended_at: Option<Instant>,
    /// About how long it is from one end to the next.
    pace: Duration,
    /// Until when what was put off last has been.
    put_off_until: Option<Instant>,
}

impl Line {
    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.ready == 0 && self.at_work == 0
    }

    fn has_place(&self, max: Option<u32>) -> bool {
        max.is_none_or(|max| self.at_work + self.ready < max)
    }
}

/// The keys of what is at work or waits.
#[derive(Debug, Default)]
pub(super) struct Keys {
    max: Option<u32>,
    lines: BTreeMap<Key, Line>,
    waiting: usize,
}

impl Keys {
    /// How many have no place yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many of one key have none.
    pub(super) fn waiting_of(&self, key: Key) -> usize {
        self.lines.get(&key).map_or(0, |line| line.waiting.len())
    }

    /// Whether one more of a key would have a place at once.
    pub(super) fn has_place(&self, key: Key) -> bool {
        let line = self.lines.get(&key);
        line.is_none_or(|line| line.waiting.is_empty() && line.has_place(self.max))
    }

    /// So many of a key may be at work from now on; those that have a place by that.
    pub(super) fn set_max(&mut self, max: Option<u32>) -> Vec<u64> {
        self.max = max;
        let keys: Vec<Key> = self.lines.keys().copied().collect();
        keys.into_iter().flat_map(|key| self.let_on(key)).collect()
    }

    /// One more of a key waits; those that have a place now.
    pub(super) fn arrive(&mut self, key: Key, number: u64) -> Vec<u64> {
        self.lines.entry(key).or_default().waiting.push_back(number);
        self.waiting += 1;
        self.let_on(key)
    }

    /// One that had a place is at work.
    pub(super) fn begin(&mut self, key: Key) {
        let line = self.lines.get_mut(&key);
        let line = line.expect("what counts for a key has its line");
        assert!(line.ready > 0, "what begins had a place");
        line.ready -= 1;
        line.at_work += 1;
    }

    /// One that was at work is over; those that have a place now.
    pub(super) fn end(&mut self, key: Key, now: Instant) -> Vec<u64> {
        let Some(line) = self.lines.get_mut(&key) else {
            return Vec::new();
        };
        assert!(line.at_work > 0, "what ends was at work");
        line.at_work -= 1;
        if line.waiting.is_empty() {
            line.ended_at = None;
        } else if let Some(before) = line.ended_at.replace(now) {
            line.pace = (3 * line.pace + now.duration_since(before)) / 4;
        }
        self.let_on(key)
    }

    /// For how long one more of a key has to be put off: about until its turn.
    pub(super) fn put_off(&mut self, key: Key, now: Instant) -> Duration {
        let Some(line) = self.lines.get_mut(&key) else {
            return put_off(&mut None, Duration::ZERO, now);
        };
        put_off(&mut line.put_off_until, line.pace, now)
    }

    /// Gives places that are free to those that have waited longest; who they are.
    fn let_on(&mut self, key: Key) -> Vec<u64> {
        let (mut let_on, max) = (Vec::new(), self.max);
        let Some(line) = self.lines.get_mut(&key) else {
            return let_on;
        };
        while line.has_place(max)
            && let Some(number) = line.waiting.pop_front()
        {
            line.ready += 1;
            let_on.push(number);
        }
        self.waiting -= let_on.len();
        if line.is_over() {
            self.lines.remove(&key);
        }
        let_on
    }

    /// Nothing waits any more; what is at work still counts.
    pub(super) fn clear(&mut self) {
        self.waiting = 0;
        self.lines.retain(|_, line| {
            line.waiting.clear();
            line.ready = 0;
            !line.is_over()
        });
    }
}
