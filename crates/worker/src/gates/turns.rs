//! Whose turn it is among what was taken from a queue and waits to be started: without a clock and
//! without I/O.
//!
//! Namespaces take turns, each for as many executions as its weight says. Within a namespace what
//! is more urgent goes first, and a level of priority is worth a time of waiting, so that nothing
//! starves. Of a key only so many are at work at once, and they come in the order of the queue.
//! Nobody fills the room that all share: what a key or a namespace has to wait for by its own limit
//! and is more than its part of the room is put off, and what comes behind goes on.

mod keys;
mod tenant;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use minutehand_model::{Namespace, NamespaceRules, Priority, QueueRules, Timestamp};
use tokio::time::Instant;

pub(crate) use self::keys::Key;
use self::keys::Keys;
use self::tenant::{Tenant, Turn};

/// Executions that wait for their turn, and the bytes they take; beyond either, no more are taken.
pub(super) const WAITING_MAX: usize = 4_096;
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Of one key, and of one namespace that has used up its rate.
const WAITING_OF_ONE_MAX: usize = 256;
/// Of all that wait for their keys. Brokers bound what is handed out of a partition and not settled
/// by some thousand.
const WAITING_FOR_KEYS_MAX: usize = 512;
/// What a level of priority is worth, in milliseconds of waiting.
const LEVEL_MS: i64 = 10_000;
/// Namespaces with nothing that waits whose use of their rates is remembered.
const IDLE_TENANTS_MAX: usize = 1_024;

/// What decides on a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) namespace: Namespace,
    pub(super) priority: Priority,
    pub(super) key: Option<Key>,
    pub(super) published_at: Timestamp,
    pub(super) bytes: usize,
}

/// What holds of a queue, for a member of a group with such a share of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Terms {
    pub(super) per_key_max: Option<u32>,
    pub(super) of_each: NamespaceRules,
    pub(super) of_some: Arc<BTreeMap<Namespace, NamespaceRules>>,
    pub(super) share: f64,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms::of(&QueueRules::default(), 1.0)
    }
}

impl Terms {
    /// What is said of a queue.
    pub(super) fn of(rules: &QueueRules, share: f64) -> Terms {
        Terms {
            per_key_max: rules.per_key_max,
            of_each: rules.of_each_namespace.clone(),
            of_some: Arc::clone(&rules.of_namespaces),
            share,
        }
    }

    fn of_namespace(&self, namespace: &Namespace) -> &NamespaceRules {
        self.of_some.get(namespace).unwrap_or(&self.of_each)
    }

    /// How many a second of a namespace this member may start.
    fn rate(&self, namespace: &Namespace) -> Option<f64> {
        let per_second = self.of_namespace(namespace).per_second_max?;
        Some(f64::from(per_second) * self.share)
    }
}

struct Waiting<T> {
    entry: Entry,
    content: T,
    /// The key that it counts for.
    counts_for: Option<Key>,
}

/// What waits for its turn.
pub(super) struct Turns<T> {
    terms: Terms,
    waiting: BTreeMap<u64, Waiting<T>>,
    bytes: usize,
    numbers_used: u64,
    tenants: BTreeMap<Namespace, Tenant>,
    /// Namespaces that may go on; whose turn is next stands in front.
    turns: VecDeque<Namespace>,
    /// Namespaces that have used up their rates, by when they may go on.
    resting: BTreeSet<(Instant, Namespace)>,
    keys: Keys,
}

/// It has to come again later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PutOff<T> {
    pub(super) content: T,
    pub(super) after: Duration,
}

impl<T> Turns<T> {
    pub(super) fn new() -> Turns<T> {
        Turns {
            terms: Terms::default(),
            waiting: BTreeMap::new(),
            bytes: 0,
            numbers_used: 0,
            tenants: BTreeMap::new(),
            turns: VecDeque::new(),
            resting: BTreeSet::new(),
            keys: Keys::default(),
        }
    }

    /// What holds from now on. What waits and was not counted by it comes out, to be taken in
    /// again in the order of the queue.
    #[must_use]
    pub(super) fn set_terms(&mut self, terms: Terms) -> Vec<T> {
        if self.terms == terms {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.terms, terms);
        // How long namespaces rest follows from their rates.
        while let Some((_, namespace)) = self.resting.pop_first() {
            self.turns.push_back(namespace);
        }
        let after = self.terms.per_key_max;
        let is_less = after.is_some_and(|max| before.per_key_max.is_none_or(|before| max < before));
        let has_keys = || self.waiting.values().any(|one| one.entry.key.is_some());
        if is_less && has_keys() {
            self.keys.set_max(after);
            return self.clear();
        }
        if before.per_key_max != after {
            for number in self.keys.set_max(after) {
                self.line_up(number);
            }
        }
        Vec::new()
    }

    /// How many more may be taken from the queue.
    pub(super) fn room(&self) -> usize {
        if self.bytes >= WAITING_BYTES_MAX {
            return 0;
        }
        // What waits for a key has a room of its own.
        let others = self.waiting.len() - self.keys.waiting();
        WAITING_MAX.saturating_sub(others)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When something may be taken that may not be now; `None` when nobody can tell.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        self.resting.first().map(|(at, _)| *at)
    }

    /// Takes in what came from the queue; what has to be put off comes back.
    pub(super) fn arrive(
        &mut self,
        entry: Entry,
        content: T,
        now: Instant,
    ) -> Result<(), PutOff<T>> {
        if let Some(after) = self.has_no_room_for(&entry, now) {
            return Err(PutOff { content, after });
        }
        let number = self.numbers_used;
        self.numbers_used += 1;
        self.bytes += entry.bytes;
        // What is not limited need not be counted.
        let counts_for = entry.key.filter(|_| self.terms.per_key_max.is_some());
        let waiting = Waiting {
            entry,
            content,
            counts_for,
        };
        self.waiting.insert(number, waiting);
        let ready = match counts_for {
            Some(key) => self.keys.arrive(key, number),
            None => vec![number],
        };
        ready.into_iter().for_each(|number| self.line_up(number));
        self.assert_invariants();
        Ok(())
    }

    /// For how long something has to be put off, as its key or its namespace has its part of the
    /// room already.
    fn has_no_room_for(&mut self, entry: &Entry, now: Instant) -> Option<Duration> {
        let limited = entry.key.filter(|_| self.terms.per_key_max.is_some());
        let others = self.waiting.len() - self.keys.waiting();
        let is_crowded = self.bytes >= WAITING_BYTES_MAX / 2 || others >= WAITING_MAX / 2;
        if let Some(key) = limited {
            let (of_key, of_all) = (self.keys.waiting_of(key), self.keys.waiting());
            let has_to_wait = !self.keys.has_place(key);
            let is_full = of_key >= WAITING_OF_ONE_MAX || of_all >= WAITING_FOR_KEYS_MAX;
            if has_to_wait && (is_full || is_crowded) {
                return Some(self.keys.put_off(key, now));
            }
        }
        let rate = self.terms.rate(&entry.namespace)?;
        let tenant = self.tenants.get_mut(&entry.namespace)?;
        let is_full = tenant.waiting() >= WAITING_OF_ONE_MAX;
        let has_to_wait = tenant.waiting() > 0;
        let pace = Duration::from_secs_f64(1.0 / rate);
        (is_full || (is_crowded && has_to_wait)).then(|| tenant.put_off(pace, now))
    }

    /// Lets something take its place in the line of its namespace.
    fn line_up(&mut self, number: u64) {
        let Some(Waiting { entry, .. }) = self.waiting.get(&number) else {
            return;
        };
        let urgency_ms = i64::from(Priority::HIGHEST.level() - entry.priority.level()) * LEVEL_MS;
        let rank = entry.published_at.plus_millis(urgency_ms);
        let namespace = entry.namespace.clone();
        let tenant = self.tenants.entry(namespace.clone()).or_default();
        tenant.line_up(rank, number);
        if tenant.turn == Turn::None {
            tenant.turn = Turn::Over;
            self.turns.push_back(namespace);
        }
    }

    /// What may be started now, with the key that it holds until [`Turns::end`].
    pub(super) fn take(&mut self, now: Instant) -> Option<(T, Option<Key>)> {
        self.wake(now);
        while let Some(namespace) = self.turns.pop_front() {
            let rate = self.terms.rate(&namespace);
            let weight = self.terms.of_namespace(&namespace).weight;
            let tenant = self.tenants.get_mut(&namespace)?;
            if let Err(until) = tenant.spend(rate, now) {
                self.resting.insert((until, namespace));
                continue;
            }
            let number = tenant.next(weight);
            match tenant.turn {
                Turn::GoesOn => self.turns.push_front(namespace),
                Turn::Over => self.turns.push_back(namespace),
                Turn::None => {}
            }
            let taken = self.waiting.remove(&number?)?;
            self.bytes -= taken.entry.bytes;
            if let Some(key) = taken.counts_for {
                self.keys.begin(key);
            }
            self.forget_idle(now);
            self.assert_invariants();
            return Some((taken.content, taken.counts_for));
        }
        None
    }

    /// Lets namespaces go on whose rates allow it again.
    fn wake(&mut self, now: Instant) {
        while self.resting.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, namespace)) = self.resting.pop_first()
        {
            self.turns.push_back(namespace);
        }
    }

    /// What was taken with a key is over.
    pub(super) fn end(&mut self, key: Key, now: Instant) {
        for number in self.keys.end(key, now) {
            self.line_up(number);
        }
        self.assert_invariants();
    }

    /// Whether something may be started now.
    pub(super) fn is_ready(&mut self, now: Instant) -> bool {
        self.wake(now);
        !self.turns.is_empty()
    }

    /// Takes out everything that waits. What is at work still holds its keys, and what namespaces
    /// have used of their rates is remembered.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.keys.clear();
        self.turns.clear();
        self.resting.clear();
        self.tenants.values_mut().for_each(Tenant::clear);
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
            .into_values()
            .map(|waiting| waiting.content)
            .collect()
    }

    /// A namespace with nothing that waits is remembered for what it has used of its rate.
    fn forget_idle(&mut self, now: Instant) {
        if self.tenants.len() <= IDLE_TENANTS_MAX + self.turns.len() + self.resting.len() {
            return;
        }
        let terms = &self.terms;
        self.tenants.retain(|namespace, tenant| {
            tenant.turn != Turn::None || !tenant.is_rested(terms.rate(namespace), now)
        });
        // Those of ever more names with the lowest rates are forgotten before they are rested.
        while self.tenants.len() > 2 * IDLE_TENANTS_MAX + self.turns.len() + self.resting.len() {
            let is_idle = |(_, tenant): &(&Namespace, &Tenant)| tenant.turn == Turn::None;
            let Some((idle, _)) = self.tenants.iter().find(is_idle) else {
                return;
            };
            let idle = idle.clone();
            self.tenants.remove(&idle);
        }
    }

    /// What holds after every change.
    fn assert_invariants(&self) {
        assert!(
            self.keys.waiting() <= self.waiting.len(),
            "what waits for a key waits"
        );
        assert!(
            !self.waiting.is_empty() || self.bytes == 0,
            "nothing that waits takes {} bytes",
            self.bytes
        );
        assert!(
            self.turns.len() + self.resting.len() <= self.tenants.len(),
            "every namespace has its turn once"
        );
    }
}
