//! The calendar queue: near tasks in slots of some milliseconds, filled in any order, drained in
//! order.
//!
//! A slot is a vector that is sorted when it is first drained; so a task costs an append and its
//! share of one sort, instead of a walk through a heap. Slots stand in an ordered map, because
//! after an outage they may be far apart.

use std::collections::BTreeMap;

use minutehand_model::{LogOffset, Place, Precision, Timestamp};

use crate::task_store::TaskIndex;

/// The width of a slot in milliseconds.
const SLOT_MS: i64 = 16;

/// Twelve bytes of a near task; padded to sixteen.
#[derive(Clone, Copy, Debug)]
struct Item {
    offset: LogOffset,
    index: TaskIndex,
    /// Milliseconds after the slot's start.
    delta_ms: u8,
    precision: u8,
}

#[derive(Debug)]
struct Slot {
    /// Sorted when `dirty` is false: the first to be drained stands last.
    items: Vec<Item>,
    dirty: bool,
    /// The earliest delta of each class; `NONE_MS` where the class is absent.
    earliest_ms: [u8; 3],
}

const NONE_MS: u8 = u8::MAX;

impl Default for Slot {
    fn default() -> Slot {
        Slot {
            items: Vec::new(),
            dirty: false,
            earliest_ms: [NONE_MS; 3],
        }
    }
}

impl Slot {
    fn push(&mut self, item: Item) {
        let earliest_ms = &mut self.earliest_ms[usize::from(item.precision)];
        *earliest_ms = (*earliest_ms).min(item.delta_ms);
        self.items.push(item);
        self.dirty = true;
    }

    fn sort(&mut self) {
        if self.dirty {
            self.items
                .sort_unstable_by_key(|item| std::cmp::Reverse((item.delta_ms, item.offset)));
            self.dirty = false;
        }
    }

    fn note_earliest(&mut self) {
        self.earliest_ms = [NONE_MS; 3];
        for item in &self.items {
            let earliest_ms = &mut self.earliest_ms[usize::from(item.precision)];
            *earliest_ms = (*earliest_ms).min(item.delta_ms);
        }
    }
}

/// Near tasks in order of (due time, log offset).
#[derive(Debug, Default)]
pub(crate) struct CalendarQueue {
    slots: BTreeMap<i64, Slot>,
    length: usize,
}

impl CalendarQueue {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn push(&mut self, place: Place, index: TaskIndex, precision: Precision) {
        let due_ms = place.due.as_millis();
        let item = Item {
            offset: place.offset,
            index,
            delta_ms: due_ms.rem_euclid(SLOT_MS) as u8,
            precision: precision as u8,
        };
        self.slots
            .entry(due_ms.div_euclid(SLOT_MS))
            .or_default()
            .push(item);
        self.length += 1;
    }

    /// The first place, without taking it.
    pub(crate) fn peek(&mut self) -> Option<Place> {
        let (number, slot) = self
            .slots
            .first_key_value()
            .map(|(number, slot)| (*number, slot.dirty))?;
        let slot = match slot {
            true => {
                let slot = self.slots.get_mut(&number)?;
                slot.sort();
                slot
            }
            false => self.slots.get_mut(&number)?,
        };
        slot.items.last().map(|item| place_of(number, item))
    }

    /// Whether something lies at or before a place.
    pub(crate) fn reaches(&self, limit: Place) -> bool {
        self.slots.first_key_value().is_some_and(|(number, slot)| {
            // The first to be drained stands last, unless the slot is yet to be sorted.
            slot.items
                .iter()
                .rev()
                .any(|item| place_of(*number, item) <= limit)
        })
    }

    /// Takes the first place, if it is at or before the limit.
    pub(crate) fn pop_through(&mut self, limit: Place) -> Option<(Place, TaskIndex)> {
        let mut first = self.slots.first_entry()?;
        let number = *first.key();
        if number.saturating_mul(SLOT_MS) > limit.due.as_millis() {
            return None;
        }
        let slot = first.get_mut();
        slot.sort();
        let item = *slot.items.last()?;
        let place = place_of(number, &item);
        if place > limit {
            return None;
        }
        slot.items.pop();
        if slot.items.is_empty() {
            first.remove();
        }
        self.length -= 1;
        Some((place, item.index))
    }

    /// Moves everything at or before a place to another queue.
    pub(crate) fn move_through(&mut self, limit: Place, other: &mut CalendarQueue) {
        while let Some(first) = self.slots.first_entry() {
            let number = *first.key();
            if number.saturating_mul(SLOT_MS) > limit.due.as_millis() {
                return;
            }
            let Slot { items, .. } = first.remove();
            self.length -= items.len();
            for item in items {
                let queue = if place_of(number, &item) <= limit {
                    &mut *other
                } else {
                    &mut *self
                };
                queue.slots.entry(number).or_default().push(item);
                queue.length += 1;
            }
            if self
                .slots
                .first_key_value()
                .is_some_and(|(first, _)| *first == number)
            {
                return;
            }
        }
    }

    /// What it holds, in no order within a slot.
    pub(crate) fn indices(&self) -> impl Iterator<Item = TaskIndex> {
        self.slots
            .values()
            .flat_map(|slot| slot.items.iter().map(|item| item.index))
    }

    /// Takes what is due at or after a time.
    pub(crate) fn take_from(&mut self, due: Timestamp) -> Vec<TaskIndex> {
        let mut taken = Vec::new();
        for (number, slot) in self.slots.split_off(&due.as_millis().div_euclid(SLOT_MS)) {
            for item in slot.items {
                if place_of(number, &item).due >= due {
                    self.length -= 1;
                    taken.push(item.index);
                } else {
                    self.slots.entry(number).or_default().push(item);
                }
            }
        }
        taken
    }

    /// To be called after a run of `pop_through`: brings the first slot's bounds up to date.
    pub(crate) fn settle_after_pops(&mut self) {
        if let Some(mut first) = self.slots.first_entry() {
            first.get_mut().note_earliest();
        }
    }

    /// When the first task of those due at or before `limit` must be published, given how long each
    /// class may wait for company: it may be later than the limit.
    pub(crate) fn wake_at(&self, delay_ms: [i64; 3], limit: Timestamp) -> Option<Timestamp> {
        let mut best: Option<i64> = None;
        for (number, slot) in &self.slots {
            let start_ms = number * SLOT_MS;
            if start_ms > limit.as_millis() || best.is_some_and(|best| best <= start_ms) {
                break;
            }
            for (class, earliest_ms) in slot.earliest_ms.iter().enumerate() {
                let due_ms = start_ms + i64::from(*earliest_ms);
                if *earliest_ms != NONE_MS && due_ms <= limit.as_millis() {
                    let wake_ms = due_ms + delay_ms[class];
                    best = Some(best.map_or(wake_ms, |best| best.min(wake_ms)));
                }
            }
        }
        best.map(Timestamp::from_millis)
    }

    /// The tasks after a place and before a time, in order.
    pub(crate) fn range(
        &self,
        after: Option<Place>,
        until: Timestamp,
    ) -> impl Iterator<Item = (Place, TaskIndex)> {
        let first_slot = after.map_or(i64::MIN, |place| place.due.as_millis().div_euclid(SLOT_MS));
        self.slots
            .range(first_slot..)
            .flat_map(move |(number, slot)| {
                let mut items: Vec<(Place, TaskIndex)> = slot
                    .items
                    .iter()
                    .map(|item| (place_of(*number, item), item.index))
                    .filter(|(place, _)| {
                        after.is_none_or(|after| *place > after) && place.due < until
                    })
                    .collect();
                items.sort_unstable_by_key(|(place, _)| *place);
                items
            })
    }
}

fn place_of(slot: i64, item: &Item) -> Place {
    Place {
        due: Timestamp::from_millis(slot * SLOT_MS + i64::from(item.delta_ms)),
        offset: item.offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(due_ms: i64, offset: u64) -> Place {
        Place {
            due: Timestamp::from_millis(due_ms),
            offset: LogOffset::at(offset),
        }
    }

    /// A sorted set is the oracle.
    #[test]
    fn drains_like_a_sorted_set() {
        let mut queue = CalendarQueue::default();
        let mut oracle = std::collections::BTreeSet::new();
        let mut state = 7_u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut limit = place(-500, 0);
        for step in 0..20_000_u64 {
            if random() % 3 > 0 {
                let at = place(limit.due.as_millis() + 1 + (random() % 400) as i64, step);
                queue.push(at, TaskIndex::from(step as u32), Precision::Normal);
                oracle.insert((at, step as u32));
            } else {
                let probe = place(limit.due.as_millis() + (random() % 9) as i64, random());
                assert_eq!(
                    queue.reaches(probe),
                    oracle.first().is_some_and(|(at, _)| *at <= probe)
                );
                assert_eq!(queue.peek(), oracle.first().map(|(at, _)| *at));
                limit = place(limit.due.as_millis() + (random() % 3) as i64, random());
                while let Some((at, index)) = queue.pop_through(limit) {
                    assert_eq!(Some((at, u32::from(index))), oracle.pop_first());
                }
                queue.settle_after_pops();
                assert!(oracle.first().is_none_or(|(at, _)| *at > limit));
                let wake = queue.wake_at([0; 3], Timestamp::MAX);
                assert_eq!(wake, oracle.first().map(|(at, _)| at.due));
            }
            assert_eq!(queue.len(), oracle.len());
        }
    }

    #[test]
    fn a_move_takes_everything_through_a_place_and_nothing_beyond() {
        for limit in [
            place(-1, 9),
            place(40, 5),
            place(41, 0),
            Place::end_of(Timestamp::from_millis(47)),
            place(300, 0),
        ] {
            let (mut queue, mut other) = (CalendarQueue::default(), CalendarQueue::default());
            for number in 0..300_u32 {
                let at = place(i64::from(number % 100), u64::from(number / 10));
                queue.push(at, TaskIndex::from(number), Precision::Normal);
            }
            other.push(place(35, 1_000), TaskIndex::from(1_000), Precision::Low);
            let is_moved = |at: &(Place, TaskIndex)| at.0 <= limit;
            let all: Vec<_> = queue.range(None, Timestamp::MAX).collect();
            queue.move_through(limit, &mut other);
            let left: Vec<_> = all.iter().copied().filter(|at| !is_moved(at)).collect();
            assert_eq!(queue.range(None, Timestamp::MAX).collect::<Vec<_>>(), left);
            assert_eq!((queue.len(), other.len()), (left.len(), 301 - left.len()));
            let mut moved: Vec<_> = all.into_iter().filter(is_moved).collect();
            moved.push((place(35, 1_000), TaskIndex::from(1_000)));
            moved.sort_unstable();
            assert_eq!(other.range(None, Timestamp::MAX).collect::<Vec<_>>(), moved);
        }
    }

    #[test]
    fn what_is_taken_from_a_time_on_is_all_of_it() {
        for from in [-5, 0, 37, 48, 99, 100] {
            let mut queue = CalendarQueue::default();
            for number in 0..300_u32 {
                queue.push(
                    place(i64::from(number % 100), 1),
                    TaskIndex::from(number),
                    Precision::Normal,
                );
            }
            let mut taken = queue.take_from(Timestamp::from_millis(from));
            taken.sort_unstable();
            let due = |number: u32| i64::from(number % 100);
            let wanted: Vec<TaskIndex> = (0..300)
                .filter(|number| due(*number) >= from)
                .map(TaskIndex::from)
                .collect();
            assert_eq!((taken, queue.len()), (wanted.clone(), 300 - wanted.len()));
            assert!(
                queue
                    .range(None, Timestamp::MAX)
                    .all(|(place, _)| place.due.as_millis() < from)
            );
        }
    }

    #[test]
    fn a_class_that_may_wait_lets_the_tick_fill_up() {
        let mut queue = CalendarQueue::default();
        queue.push(place(100, 1), TaskIndex::from(1), Precision::Low);
        let wake = |queue: &CalendarQueue, limit_ms| {
            let wake = queue.wake_at([0, 20, 500], Timestamp::from_millis(limit_ms));
            wake.map(Timestamp::as_millis)
        };
        assert_eq!(
            wake(&queue, 100),
            Some(600),
            "beyond the limit of due times"
        );
        queue.push(place(400, 2), TaskIndex::from(2), Precision::High);
        assert_eq!(wake(&queue, 400), Some(400));
        assert_eq!(wake(&queue, 399), Some(600), "only one may be published");
        assert_eq!(wake(&queue, 99), None);
    }
}
