//! The part of a listing that is being gathered: the first so many tasks from a position on,
//! whatever order they come in, in bounded memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use minutehand_model::{LogOffset, PartitionId, TaskKey, Timestamp};

/// Where a task stands in a listing: its due time and name.
pub(super) type Position = (Timestamp, String);

/// A task that may be listed.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) partition: PartitionId,
    pub(super) key: TaskKey,
    pub(super) offset: LogOffset,
    pub(super) encoded: Bytes,
}

/// Gathers candidates from `start` on. Of one (key, due time) the highest offset counts.
pub(super) struct Window {
    start: Position,
    count_max: usize,
    bytes_max: usize,
    /// What the candidates hold.
    bytes: usize,
    candidates: BTreeMap<Position, Candidate>,
    /// Offsets up to which the task of that due time is void.
    voids: BTreeMap<(Timestamp, TaskKey), LogOffset>,
    /// From here on the window is incomplete.
    horizon: Option<Position>,
}

impl Window {
    /// At most so many tasks, of about so many bytes.
    pub(super) fn new(start: Position, count_max: usize, bytes_max: usize) -> Window {
        let (candidates, voids) = (BTreeMap::new(), BTreeMap::new());
        Window {
            start,
            count_max,
            bytes_max,
            bytes: 0,
            candidates,
            voids,
            horizon: None,
        }
    }

    /// The due time the window begins with.
    pub(super) fn start_due(&self) -> Timestamp {
        self.start.0
    }

    /// Whether a task due then could still come into the window.
    pub(super) fn wants(&self, due: Timestamp) -> bool {
        due >= self.start.0 && self.horizon.as_ref().is_none_or(|horizon| due <= horizon.0)
    }

    /// Takes a task that runs.
    pub(super) fn offer(&mut self, due: Timestamp, name: &str, candidate: Candidate) {
        let position = (due, name.to_owned());
        if position < self.start
            || self
                .horizon
                .as_ref()
                .is_some_and(|horizon| position >= *horizon)
        {
            return;
        }
        match self.candidates.get(&position) {
            Some(known) if known.offset >= candidate.offset => return,
            known => self.bytes -= known.map_or(0, |known| known.encoded.len()),
        }
        self.bytes += candidate.encoded.len();
        self.candidates.insert(position, candidate);
        while self.is_over_full()
            && let Some((dropped, candidate)) = self.candidates.pop_last()
        {
            self.bytes -= candidate.encoded.len();
            self.end_at(dropped);
        }
    }

    /// One task alone is never too large.
    fn is_over_full(&self) -> bool {
        let count = self.candidates.len();
        count > self.count_max + 1 || (count > 1 && self.bytes > self.bytes_max)
    }

    /// Takes note that a task does not run.
    pub(super) fn void(&mut self, due: Timestamp, key: TaskKey, offset: LogOffset) {
        if self.wants(due) {
            let newest = self.voids.entry((due, key)).or_insert(offset);
            *newest = offset.max(*newest);
        }
    }

    /// Nothing from this position on is known for sure.
    pub(super) fn end_at(&mut self, position: Position) {
        if self
            .horizon
            .as_ref()
            .is_some_and(|horizon| *horizon <= position)
        {
            return;
        }
        let dropped = self.candidates.split_off(&position);
        self.bytes -= dropped
            .values()
            .map(|candidate| candidate.encoded.len())
            .sum::<usize>();
        self.voids
            .split_off(&(position.0.plus_millis(1), TaskKey(0)));
        self.horizon = Some(position);
    }

    /// The tasks that run, in order, at most `count_max`, and where the next page begins.
    pub(super) fn finish(self) -> (Vec<(Position, Candidate)>, Option<Position>) {
        let Window {
            candidates,
            voids,
            horizon,
            count_max,
            ..
        } = self;
        let is_void = |due: Timestamp, candidate: &Candidate| {
            voids
                .get(&(due, candidate.key))
                .is_some_and(|offset| *offset > candidate.offset)
        };
        let mut live: Vec<(Position, Candidate)> = candidates
            .into_iter()
            .filter(|((due, _), candidate)| !is_void(*due, candidate))
            .collect();
        let next = match live.get(count_max) {
            Some((position, _)) => Some(position.clone()),
            None => horizon,
        };
        live.truncate(count_max);
        (live, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(key: u128, offset: LogOffset) -> Candidate {
        Candidate {
            partition: PartitionId::own(0),
            key: TaskKey(key),
            offset,
            encoded: Bytes::new(),
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn ids(page: &[(Position, Candidate)]) -> Vec<&str> {
        page.iter().map(|((_, id), _)| id.as_str()).collect()
    }

    #[test]
    fn keeps_the_first_ones_whatever_order_they_come_in() {
        let mut window = Window::new((at(10), "b".to_owned()), 2, usize::MAX);
        for (due, id, key) in [
            (30, "z", 1),
            (10, "a", 2),
            (20, "x", 3),
            (10, "c", 4),
            (25, "y", 5),
            (10, "b", 6),
        ] {
            window.offer(at(due), id, candidate(key, LogOffset::at(1)));
        }
        let (page, next) = window.finish();
        assert_eq!(ids(&page), ["b", "c"]);
        assert_eq!(next, Some((at(20), "x".to_owned())));
    }

    #[test]
    fn a_void_hides_what_is_older_and_never_what_is_newer() {
        let mut window = Window::new((at(0), String::new()), 10, usize::MAX);
        window.void(at(5), TaskKey(1), LogOffset::at(7));
        window.offer(at(5), "gone", candidate(1, LogOffset::at(6)));
        window.offer(at(5), "back", candidate(2, LogOffset::at(9)));
        window.void(at(5), TaskKey(2), LogOffset::at(8));
        let (page, next) = window.finish();
        assert_eq!(ids(&page), ["back"]);
        assert_eq!(next, None);
    }

    #[test]
    fn a_dropped_candidate_is_found_again_when_voids_empty_the_page() {
        let mut window = Window::new((at(0), String::new()), 1, usize::MAX);
        window.offer(at(1), "a", candidate(1, LogOffset::at(1)));
        window.offer(at(2), "b", candidate(2, LogOffset::at(1)));
        window.offer(at(3), "c", candidate(3, LogOffset::at(1)));
        window.void(at(1), TaskKey(1), LogOffset::at(5));
        window.void(at(2), TaskKey(2), LogOffset::at(5));
        let (page, next) = window.finish();
        assert!(page.is_empty());
        assert_eq!(
            next,
            Some((at(3), "c".to_owned())),
            "the next page begins at what was dropped"
        );
    }

    #[test]
    fn a_page_ends_with_its_bytes_and_one_task_is_always_on_it() {
        let large = |key, bytes: usize| Candidate {
            encoded: vec![0; bytes].into(),
            ..candidate(key, LogOffset::at(1))
        };
        let mut window = Window::new((at(0), String::new()), 10, 100);
        for (due, id, key, bytes) in [(3, "c", 3, 60), (1, "a", 1, 1_000), (2, "b", 2, 60)] {
            window.offer(at(due), id, large(key, bytes));
        }
        let (page, next) = window.finish();
        assert_eq!(ids(&page), ["a"]);
        assert_eq!(next, Some((at(2), "b".to_owned())));
        let mut window = Window::new((at(2), "b".to_owned()), 10, 120);
        for (due, id, key) in [(3, "c", 3), (2, "b", 2)] {
            window.offer(at(due), id, large(key, 60));
        }
        assert_eq!(ids(&window.finish().0), ["b", "c"]);
    }
}
