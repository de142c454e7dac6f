//! Bulkheads: runs of one queue that go to different targets do not take the places of each other.
//!
//! A target gets another place only while it holds fewer than are free. Targets whose last run did
//! not succeed share three quarters of the places in this way: however many of them there are, the
//! last quarter is for those that answer. A run for which there is no place is parked, and the
//! queue goes on with the next. What has been parked for long is put off: it goes back to the
//! scheduler and comes again later, so that a target that hangs holds up nothing behind it, however
//! much is waiting for it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use crate::attempt::Prepared;
use crate::places::may_take;
use crate::settings::duration_ms;

/// Longest time a run is parked, in milliseconds.
pub(crate) const PARKED_MS_MAX: i64 = 5_000;
/// Runs parked in one queue, and the bytes they take; beyond either, the queue waits.
const PARKED_MAX: usize = 4_096;
const PARKED_BYTES_MAX: usize = 16 << 20;

/// Targets that are known to answer; those that answered longest ago are forgotten first.
const PROVEN_MAX: usize = 1_024;
/// Targets looked at for one place; the others have their turn at the next.
const TURNS_MAX: usize = 256;

/// What a run is for: a host and port, most often.
pub(crate) type Target = Arc<str>;

struct Parked {
    prepared: Prepared,
    target: Target,
    until: Instant,
}

/// A place that a run for a target holds.
pub(crate) struct Held {
    target: Target,
    was_proven: bool,
}

/// The targets of one queue.
pub(crate) struct Bulkheads {
    /// Places that targets may hold that are not proven.
    unproven_max: usize,
    /// Places held, by target.
    held: HashMap<Target, usize>,
    /// Places held by targets that were not proven when they took them.
    held_unproven: usize,
    /// Targets whose last run succeeded, and when each was seen to, counted in ends.
    proven: HashMap<Target, u64>,
    proven_order: BTreeMap<u64, Target>,
    ends: u64,
    /// In the order in which they came.
    parked: BTreeMap<u64, Parked>,
    parked_bytes: usize,
    numbers_used: u64,
    /// The parked of each target.
    waiting: HashMap<Target, VecDeque<u64>>,
    /// Targets with parked runs; whose turn is next stands in front.
    turns: VecDeque<Target>,
}

impl Bulkheads {
    /// The bulkheads of a queue with so many places.
    pub(crate) fn new(places: usize) -> Bulkheads {
        Bulkheads {
            unproven_max: places - places / 4,
            held: HashMap::new(),
            held_unproven: 0,
            proven: HashMap::new(),
            proven_order: BTreeMap::new(),
            ends: 0,
            parked: BTreeMap::new(),
            parked_bytes: 0,
            numbers_used: 0,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Whether a run for a target may start while so many places are free.
    pub(crate) fn admits(&self, target: &str, free: usize) -> bool {
        // Those that came before it go first.
        !self.waiting.contains_key(target) && self.has_room(target, free)
    }

    fn has_room(&self, target: &str, free: usize) -> bool {
        let held = self.held.get(target).copied().unwrap_or(0);
        let free = match self.proven.contains_key(target) {
            true => free,
            false => free.min(self.unproven_max.saturating_sub(self.held_unproven)),
        };
        may_take(held, free)
    }

    /// A run for a target takes a place.
    pub(crate) fn take(&mut self, target: Target) -> Held {
        *self.held.entry(Arc::clone(&target)).or_default() += 1;
        let was_proven = self.proven.contains_key(&target);
        self.held_unproven += usize::from(!was_proven);
        Held { target, was_proven }
    }

    /// A run for a target has ended and gives its place back.
    pub(crate) fn give_back(&mut self, place: Held, has_succeeded: bool) {
        let Held { target, was_proven } = place;
        assert!(
            self.held.contains_key(&target) && self.held_unproven >= usize::from(!was_proven),
            "a place is given back once: {target}"
        );
        self.held_unproven -= usize::from(!was_proven);
        if let Some(held) = self.held.get_mut(&target) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&target);
            }
        }
        if let Some(seen) = self.proven.remove(&target) {
            self.proven_order.remove(&seen);
        }
        if has_succeeded {
            self.ends += 1;
            self.proven.insert(Arc::clone(&target), self.ends);
            self.proven_order.insert(self.ends, target);
            if self.proven.len() > PROVEN_MAX
                && let Some((_, oldest)) = self.proven_order.pop_first()
            {
                self.proven.remove(&oldest);
            }
        }
        self.assert_invariants();
    }

    /// Whether no more can be parked.
    pub(crate) fn is_full(&self) -> bool {
        self.parked.len() >= PARKED_MAX || self.parked_bytes >= PARKED_BYTES_MAX
    }

    /// Parks a run until there is a place for its target.
    pub(crate) fn park(&mut self, prepared: Prepared, target: Target, now: Instant) {
        let number = self.numbers_used;
        self.numbers_used += 1;
        self.parked_bytes += prepared.ticket.encoded.len();
        let waiting = self.waiting.entry(Arc::clone(&target)).or_default();
        if waiting.is_empty() {
            self.turns.push_back(Arc::clone(&target));
        }
        waiting.push_back(number);
        let until = now + duration_ms(PARKED_MS_MAX);
        self.parked.insert(
            number,
            Parked {
                prepared,
                target,
                until,
            },
        );
        self.assert_invariants();
    }

    /// A parked run whose target may have a place while so many are free.
    pub(crate) fn next_ready(&mut self, free: usize) -> Option<(Prepared, Target)> {
        if free == 0 {
            return None;
        }
        for _ in 0..self.turns.len().min(TURNS_MAX) {
            let target = self.turns.pop_front()?;
            if !self.has_room(&target, free) {
                self.turns.push_back(target);
                continue;
            }
            let number = self.waiting.get_mut(&target).and_then(VecDeque::pop_front);
            match self.waiting.get(&target) {
                Some(waiting) if !waiting.is_empty() => self.turns.push_back(Arc::clone(&target)),
                _ => drop(self.waiting.remove(&target)),
            }
            if let Some(parked) = number.and_then(|number| self.parked.remove(&number)) {
                self.parked_bytes -= parked.prepared.ticket.encoded.len();
                self.assert_invariants();
                return Some((parked.prepared, target));
            }
        }
        None
    }

    /// When the next run has been parked for long enough.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.parked
            .first_key_value()
            .map(|(_, parked)| parked.until)
    }

    /// A run that has been parked for long enough.
    pub(crate) fn next_overdue(&mut self, now: Instant) -> Option<Prepared> {
        let first = self
            .parked
            .first_entry()
            .filter(|first| first.get().until <= now)?;
        let (number, parked) = first.remove_entry();
        self.parked_bytes -= parked.prepared.ticket.encoded.len();
        let waiting = self.waiting.get_mut(&parked.target)?;
        // It is the oldest of its target as well.
        waiting.retain(|waiting| *waiting != number);
        if waiting.is_empty() {
            self.waiting.remove(&parked.target);
            self.turns.retain(|target| *target != parked.target);
        }
        self.assert_invariants();
        Some(parked.prepared)
    }

    /// What holds after every change.
    fn assert_invariants(&self) {
        assert_eq!(
            self.waiting.len(),
            self.turns.len(),
            "every target with parked runs has its turn, once"
        );
        assert!(
            self.waiting.len() <= self.parked.len(),
            "who waits has something parked"
        );
        assert!(
            !self.parked.is_empty() || self.parked_bytes == 0,
            "nothing that is parked takes {} bytes",
            self.parked_bytes
        );
        assert_eq!(
            self.proven.len(),
            self.proven_order.len(),
            "every proven target was seen once"
        );
        assert!(self.proven.len() <= PROVEN_MAX, "few are remembered");
    }

    /// Takes out everything that is parked.
    pub(crate) fn clear(&mut self) -> Vec<Prepared> {
        self.waiting.clear();
        self.turns.clear();
        self.parked_bytes = 0;
        std::mem::take(&mut self.parked)
            .into_values()
            .map(|parked| parked.prepared)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{
        DeliveryToken, Epoch, Namespace, PartitionId, QueueName, Task, TaskId, TaskKey, Timestamp,
    };
    use minutehand_ports::{Delivery, DeliveryId};

    use super::*;
    use crate::attempt::prepare;

    fn run(number: u64) -> Prepared {
        let due = Timestamp::from_millis(1);
        let task = Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse(&number.to_string()).unwrap(),
            QueueName::parse("hooks").unwrap(),
            due,
        );
        let id = DeliveryId {
            partition: PartitionId::own(0),
            sequence: number,
        };
        let delivery = Delivery {
            id,
            epoch: Epoch(1),
            token: DeliveryToken::default(),
            offset: minutehand_model::LogOffset::START,
            published_at: due,
            key: TaskKey(0),
            due,
            encoded: minutehand_record::task::encode(&task),
            may_have_run: false,
        };
        prepare(&delivery).unwrap()
    }

    fn number(prepared: &Prepared) -> u64 {
        prepared.ticket.delivery.sequence
    }

    fn target(name: &str) -> Target {
        Arc::from(name)
    }

    fn prove(bulkheads: &mut Bulkheads, name: &str) {
        let place = bulkheads.take(target(name));
        bulkheads.give_back(place, true);
    }

    #[test]
    fn a_target_that_hangs_leaves_places_for_the_others() {
        let (mut bulkheads, places) = (Bulkheads::new(100), 100);
        let mut held = Vec::new();
        for name in ["slow", "slower", "slowest"] {
            prove(&mut bulkheads, name);
            while bulkheads.admits(name, places - held.len()) {
                held.push(bulkheads.take(target(name)));
            }
        }
        assert_eq!(held.len(), 50 + 25 + 13);
        assert!(bulkheads.admits("good", places - held.len()));
    }

    #[test]
    fn a_new_target_has_room_beside_one_that_hangs() {
        for places in 2..200 {
            let (mut bulkheads, mut held) = (Bulkheads::new(places), Vec::new());
            while bulkheads.admits("hangs", places - held.len()) {
                held.push(bulkheads.take(target("hangs")));
            }
            assert!(
                !held.is_empty() && bulkheads.admits("new", places - held.len()),
                "{places}"
            );
        }
    }

    #[test]
    fn targets_that_never_answer_are_one_however_many_they_are() {
        let (mut bulkheads, places) = (Bulkheads::new(100), 100);
        prove(&mut bulkheads, "good");
        let names: Vec<String> = (0..5_000).map(|number| format!("h{number}")).collect();
        let mut held = Vec::new();
        for name in &names {
            if bulkheads.admits(name, places - held.len()) {
                held.push(bulkheads.take(target(name)));
            }
        }
        assert_eq!(held.len(), 75);
        while bulkheads.admits("good", places - held.len()) {
            held.push(bulkheads.take(target("good")));
        }
        assert_eq!(held.len(), 75 + 13);
        held.into_iter()
            .for_each(|place| bulkheads.give_back(place, false));
        assert!(
            bulkheads.proven.is_empty()
                && bulkheads.held.is_empty()
                && bulkheads.held_unproven == 0
        );
    }

    #[test]
    fn only_so_many_targets_are_known_to_answer() {
        let mut bulkheads = Bulkheads::new(100);
        (0..3 * PROVEN_MAX).for_each(|number| prove(&mut bulkheads, &format!("h{}", number / 2)));
        assert_eq!(
            (bulkheads.proven.len(), bulkheads.proven_order.len()),
            (PROVEN_MAX, PROVEN_MAX)
        );
    }

    #[test]
    fn parked_runs_keep_their_order_and_targets_take_turns() {
        let (mut bulkheads, now) = (Bulkheads::new(100), Instant::now());
        for (sequence, name) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "b")] {
            bulkheads.park(run(sequence), target(name), now);
        }
        assert!(!bulkheads.admits("a", 9), "those that came before go first");
        assert!(bulkheads.next_ready(0).is_none());
        let order: Vec<u64> = std::iter::from_fn(|| {
            bulkheads
                .next_ready(9)
                .map(|(prepared, _)| number(&prepared))
        })
        .collect();
        assert_eq!(order, [1, 3, 2, 5, 4]);
        assert!(bulkheads.admits("a", 9) && bulkheads.deadline().is_none());
    }

    #[test]
    fn what_waits_for_a_busy_target_is_put_off_in_the_end() {
        let (mut bulkheads, now) = (Bulkheads::new(100), Instant::now());
        let place = bulkheads.take(target("a"));
        (1..=3).for_each(|sequence| bulkheads.park(run(sequence), target("a"), now));
        assert!(bulkheads.next_ready(1).is_none() && bulkheads.next_overdue(now).is_none());
        let later = bulkheads.deadline().unwrap();
        assert_eq!(
            bulkheads
                .next_overdue(later)
                .map(|prepared| number(&prepared)),
            Some(1)
        );
        bulkheads.give_back(place, true);
        assert_eq!(
            bulkheads
                .next_ready(1)
                .map(|(prepared, _)| number(&prepared)),
            Some(2)
        );
        assert_eq!(bulkheads.clear().len(), 1);
        assert!(
            bulkheads.admits("a", 1)
                && !bulkheads.is_full()
                && bulkheads.next_overdue(later).is_none()
        );
    }

    #[test]
    fn parking_is_bounded() {
        let (mut bulkheads, now) = (Bulkheads::new(100), Instant::now());
        let mut parked = 0;
        while !bulkheads.is_full() {
            bulkheads.park(run(parked), target("a"), now);
            parked += 1;
        }
        assert_eq!(parked, PARKED_MAX as u64);
    }
}
