//! What is known about tasks in memory: every fact of the log that is near, pending or not yet forgotten.
//!
//! Facts about the same (namespace, id) form a chain. Nothing is overwritten: whether a task runs is read off its
//! chain when its time comes, so the order in which facts arrive (from the log, from the timetable, again
//! after a take-over) does not matter.

use std::ops::{Index, IndexMut};

use bytes::Bytes;
use hashbrown::HashTable;
use minutehand_model::{Guarantee, LogOffset, Place, Precision, TaskKey, Timestamp};

/// The number of a fact in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskIndex(u32);

impl From<u32> for TaskIndex {
    fn from(number: u32) -> TaskIndex {
        TaskIndex(number)
    }
}

impl From<TaskIndex> for u32 {
    fn from(index: TaskIndex) -> u32 {
        index.0
    }
}

/// The end of a chain, and of the free list.
const NONE: u32 = u32::MAX;

/// Bits of [`Fact::flags`].
pub(crate) mod flag {
    /// The fact says that the task does not run.
    pub(crate) const VOID: u8 = 1;
    /// F has passed it: it was published, or decided against.
    pub(crate) const PASSED: u8 = 2;
    /// Another fact has the same key and due time.
    pub(crate) const SHARED: u8 = 4;
    /// Its offset holds R back.
    pub(crate) const UNSETTLED: u8 = 8;
    /// It is in the calendar queue.
    pub(crate) const NEAR: u8 = 16;
    /// It was published (never set on a void).
    pub(crate) const PUBLISHED: u8 = 32;
    /// It is in a write that has not been acknowledged.
    pub(crate) const SENT: u8 = 64;
}

/// One fact: a task runs at a time, or does not. 80 bytes; the encoded task lies outside, in the buffer it was read
/// in: nothing is copied on its way through, and a buffer lives as long as the last of its tasks waits, which is
/// at most the look-ahead.
#[derive(Debug)]
pub(crate) struct StoredFact {
    pub(crate) due: Timestamp,
    pub(crate) offset: LogOffset,
    pub(crate) appended_at: Timestamp,
    key: [u64; 2],
    /// The encoded task; taken when it is published.
    pub(crate) encoded: Option<Bytes>,
    next: u32,
    /// Interned queue name.
    pub(crate) queue: u16,
    /// Guarantee in the low half, precision in the high half.
    policies: u8,
    pub(crate) flags: u8,
}

impl StoredFact {
    pub(crate) fn new(key: TaskKey, place: Place, appended_at: Timestamp, flags: u8) -> StoredFact {
        StoredFact {
            due: place.due,
            offset: place.offset,
            appended_at,
            key: [key.0 as u64, (key.0 >> 64) as u64],
            encoded: None,
            next: NONE,
            queue: 0,
            policies: 0,
            flags,
        }
    }

    pub(crate) fn with_task(
        mut self,
        encoded: Bytes,
        queue: u16,
        guarantee: Guarantee,
        precision: Precision,
    ) -> StoredFact {
        self.encoded = Some(encoded);
        self.queue = queue;
        self.policies = guarantee as u8 | ((precision as u8) << 4);
        self
    }

    pub(crate) fn key(&self) -> TaskKey {
        TaskKey(u128::from(self.key[0]) | (u128::from(self.key[1]) << 64))
    }

    pub(crate) fn place(&self) -> Place {
        Place { due: self.due, offset: self.offset }
    }

    /// The order of facts about one task: a record that replaces a task voids first and creates then, at one offset.
    pub(crate) fn order(&self) -> (LogOffset, bool) {
        (self.offset, !self.is(flag::VOID))
    }

    pub(crate) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn guarantee(&self) -> Guarantee {
        Guarantee::ALL[usize::from(self.policies & 15)]
    }

    pub(crate) fn precision(&self) -> Precision {
        Precision::ALL[usize::from(self.policies >> 4)]
    }

    /// Until when the fact must be remembered so that creating the task again changes nothing.
    pub(crate) fn forget_at(&self, dedupe_window_ms: i64) -> Timestamp {
        self.due.max(self.appended_at).plus_millis(dedupe_window_ms)
    }

    /// Bytes it takes in memory, for the bound on the look-ahead.
    pub(crate) fn bytes(&self) -> usize {
        self.encoded.as_ref().map_or(0, |encoded| encoded.len()) + size_of::<StoredFact>() + 32
    }
}

/// Facts by number. They lie in chunks, so that growing copies nothing and leaves no half-empty doubled vector.
#[derive(Debug, Default)]
struct Facts {
    chunks: Vec<Vec<StoredFact>>,
}

/// Facts in a chunk.
const CHUNK: usize = 4_096;

impl Facts {
    fn push(&mut self, fact: StoredFact) -> u32 {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("a chunk with room was just made sure of");
        chunk.push(fact);
        u32::try_from(full + chunk.len() - 1).expect("fewer than four billion facts in memory")
    }

    fn get(&self, number: u32) -> Option<&StoredFact> {
        self.chunks.get(number as usize / CHUNK)?.get(number as usize % CHUNK)
    }
}

impl Index<u32> for Facts {
    type Output = StoredFact;
    fn index(&self, number: u32) -> &StoredFact {
        &self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}

impl IndexMut<u32> for Facts {
    fn index_mut(&mut self, number: u32) -> &mut StoredFact {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}

/// Facts by number, and chains of them by key.
#[derive(Debug)]
pub(crate) struct TaskStore {
    facts: Facts,
    free: u32,
    heads: HashTable<u32>,
}

impl Default for TaskStore {
    fn default() -> TaskStore {
        TaskStore { facts: Facts::default(), free: NONE, heads: HashTable::new() }
    }
}

impl TaskStore {
    pub(crate) fn get(&self, index: TaskIndex) -> &StoredFact {
        &self.facts[index.0]
    }

    pub(crate) fn get_mut(&mut self, index: TaskIndex) -> &mut StoredFact {
        &mut self.facts[index.0]
    }

    /// Adds a fact, unless the very same one is there already: then `Err` names that one.
    pub(crate) fn insert(&mut self, mut fact: StoredFact) -> Result<TaskIndex, TaskIndex> {
        let (key, low) = (fact.key, fact.key[0]);
        let facts = &mut self.facts;
        let head = self.heads.find_mut(low, |head| facts[*head].key == key);
        if let Some(head) = &head {
            let mut at = **head;
            while at != NONE {
                let other = &mut facts[at];
                if other.due == fact.due {
                    let is_void = fact.flags & flag::VOID;
                    if other.offset == fact.offset && other.flags & flag::VOID == is_void {
                        return Err(TaskIndex(at));
                    }
                    other.flags |= flag::SHARED;
                    fact.flags |= flag::SHARED;
                }
                at = other.next;
            }
        }
        fact.next = head.as_ref().map_or(NONE, |head| **head);
        let index = if self.free == NONE {
            facts.push(fact)
        } else {
            let index = self.free;
            self.free = facts[index].next;
            facts[index] = fact;
            index
        };
        match head {
            Some(head) => *head = index,
            None => {
                self.heads.insert_unique(low, index, |head| facts[*head].key[0]);
            }
        }
        Ok(TaskIndex(index))
    }

    /// Forgets a fact.
    pub(crate) fn remove(&mut self, index: TaskIndex) {
        let TaskIndex(index) = index;
        let (key, next) = (self.facts[index].key, self.facts[index].next);
        let facts = &mut self.facts;
        let entry = self.heads.find_entry(key[0], |head| facts[*head].key == key);
        let Ok(mut entry) = entry else {
            debug_assert!(false, "fact {index} is in no chain");
            return;
        };
        if *entry.get() == index {
            if next == NONE {
                entry.remove();
            } else {
                *entry.get_mut() = next;
            }
        } else {
            let mut at = *entry.get();
            while facts[at].next != index {
                at = facts[at].next;
            }
            facts[at].next = next;
        }
        let freed = &mut facts[index];
        freed.encoded = None;
        freed.next = self.free;
        self.free = index;
    }

    /// Every fact about a key, newest arrival first.
    pub(crate) fn chain(&self, key: TaskKey) -> impl Iterator<Item = (TaskIndex, &StoredFact)> {
        let low = key.0 as u64;
        let key = [low, (key.0 >> 64) as u64];
        let mut at = self.heads.find(low, |head| self.facts[*head].key == key).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let fact = self.facts.get(at)?;
            let index = TaskIndex(at);
            at = fact.next;
            Some((index, fact))
        })
    }

    /// Whether a creation is to be published: it opens a generation, and nothing known closes it.
    ///
    /// A generation of (key, due time) begins with a creation that follows none, or a void; further creations
    /// before the next void are the same task again.
    pub(crate) fn opens_live_generation(&self, index: TaskIndex) -> bool {
        let fact = self.get(index);
        if fact.is(flag::VOID) {
            return false;
        }
        if !fact.is(flag::SHARED) {
            return true;
        }
        let (key, place) = (fact.key(), fact.place());
        let same_due =
            || self.chain(key).filter(move |(other, fact)| fact.due == place.due && *other != index);
        let precedes = |other: &StoredFact| other.order() < (place.offset, true);
        let before = same_due().filter(|(_, other)| precedes(other)).max_by_key(|(_, other)| other.order());
        let opens = before.is_none_or(|(_, other)| other.is(flag::VOID));
        opens && !same_due().any(|(_, other)| other.is(flag::VOID) && other.offset > place.offset)
    }

    /// Whether the newest fact in memory about (key, due time) is a creation that F has not passed.
    /// `None` when nothing is known in memory.
    pub(crate) fn is_waiting(&self, key: TaskKey, due: Timestamp) -> Option<bool> {
        let newest = self.chain(key).filter(|(_, fact)| fact.due == due).max_by_key(|(_, fact)| fact.order());
        newest.map(|(_, fact)| !fact.is(flag::VOID) && !fact.is(flag::PASSED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(id: u128, due_ms: i64, offset: u64, flags: u8) -> StoredFact {
        let place = Place { due: Timestamp::from_millis(due_ms), offset };
        StoredFact::new(TaskKey(id), place, Timestamp::from_millis(0), flags)
    }

    #[test]
    fn a_fact_takes_80_bytes() {
        assert_eq!(size_of::<StoredFact>(), 80);
    }

    /// Generations are read off the log alone, in whatever order the facts arrive.
    #[test]
    fn generations_do_not_depend_on_the_order_of_arrival() {
        let story = [(10, 0), (15, flag::VOID), (20, 0), (30, 0)];
        let live = [20];
        let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
        for order in orders {
            let mut store = TaskStore::default();
            let mut indices = Vec::new();
            for number in order {
                let (offset, flags) = story[number];
                indices.push(store.insert(fact(1, 100, offset, flags)).expect("each fact is new"));
                store.insert(fact(1, 101, offset, 0)).expect("another due time is another task");
            }
            let mut found: Vec<u64> = indices
                .iter()
                .filter(|index| store.opens_live_generation(**index))
                .map(|index| store.get(*index).offset)
                .collect();
            found.sort_unstable();
            assert_eq!(found, live, "{order:?}");
        }
    }

    #[test]
    fn a_task_replaced_by_itself_runs_once() {
        let mut store = TaskStore::default();
        let first = store.insert(fact(1, 100, 5, 0)).unwrap();
        store.insert(fact(1, 100, 9, flag::VOID)).unwrap();
        let second = store.insert(fact(1, 100, 9, 0)).unwrap();
        assert!(!store.opens_live_generation(first));
        assert!(store.opens_live_generation(second));
    }

    #[test]
    fn facts_are_found_removed_and_their_places_used_again() {
        let mut store = TaskStore::default();
        let a = store.insert(fact(1, 100, 1, 0)).unwrap();
        let b = store.insert(fact(1, 200, 2, 0)).unwrap();
        let c = store.insert(fact(1, 300, 3, 0)).unwrap();
        assert_eq!(store.insert(fact(1, 200, 2, 0)).unwrap_err(), b);
        store.remove(b);
        assert_eq!(store.chain(TaskKey(1)).map(|(index, _)| index).collect::<Vec<_>>(), [c, a]);
        let d = store.insert(fact(2, 100, 4, 0)).unwrap();
        assert_eq!(d, b);
        store.remove(a);
        store.remove(c);
        assert_eq!(store.chain(TaskKey(1)).count(), 0);
        assert_eq!(store.chain(TaskKey(2)).count(), 1);
    }
}
