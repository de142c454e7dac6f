//! Which part of the timetable is in memory: all up to `loaded`, but for stretches that F's front
//! has left behind. They are read in as the backlog is caught up with.
//!
//! What is due in a part that is not in memory goes to the timetable, whenever it comes. So memory
//! holds what is on time and the oldest of what is late, however much was missed.

use std::collections::VecDeque;

use minutehand_model::time::MINUTE_MS;
use minutehand_model::{Frontier, Timestamp};

use crate::input::RequestId;
use crate::retry::Single;

/// Most parts that are left unread; then the last two are taken for one, and what lies between them
/// is read again.
const PARTS_MAX: usize = 64;
/// An answer with fewer entries than this says that little lies here: the next read looks twice as
/// far.
const FEW_ENTRIES: usize = 256;

/// A part of the timetable that is not in memory. What is due in it is owed by the backlog, or has
/// been published.
#[derive(Clone, Copy, Debug)]
struct Unread {
    /// What is due before is in memory.
    from: Timestamp,
    /// What is due before goes to memory: ahead of `from` while a read is under way.
    horizon: Timestamp,
    /// From here on it is in memory again.
    until: Timestamp,
    /// How far the next read looks, in milliseconds.
    span_ms: i64,
}

impl Unread {
    fn between(from: Timestamp, until: Timestamp) -> Unread {
        Unread {
            from,
            horizon: from,
            until,
            span_ms: MINUTE_MS,
        }
    }

    fn holds(&self, due: Timestamp) -> bool {
        self.from <= due && due < self.until
    }
}

/// Which read of the timetable an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// What comes next.
    Ahead,
    /// The first part that was left unread.
    Behind,
}

/// What is in memory, what goes there, and what is being read.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// Every entry due before this is in memory.
    loaded: Timestamp,
    /// What is due before this goes to memory; ahead of `loaded` while a read is under way.
    horizon: Timestamp,
    /// But for these parts, oldest first. They do not touch each other.
    unread: VecDeque<Unread>,
    ahead: Single,
    behind: Single,
    /// Tasks whose dedupe window ended at or before this are forgotten.
    remembered_from: Timestamp,
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage {
            loaded: Timestamp::MIN,
            horizon: Timestamp::MIN,
            unread: VecDeque::new(),
            ahead: Single::default(),
            behind: Single::default(),
            remembered_from: Timestamp::MIN,
        }
    }
}

impl Coverage {
    /// Tasks whose dedupe window ended at or before this are forgotten.
    pub(crate) fn remembered_from(&self) -> Timestamp {
        self.remembered_from
    }

    /// What was to be remembered up to a time is forgotten. What is forgotten stays so.
    pub(crate) fn forget_up_to(&mut self, time: Timestamp) {
        self.remembered_from = self.remembered_from.max(time);
    }

    /// Reading begins here.
    pub(crate) fn begin_at(&mut self, due: Timestamp) {
        (self.loaded, self.horizon) = (due, due);
    }

    /// Every entry due before this is in memory, but for what is left unread.
    pub(crate) fn loaded(&self) -> Timestamp {
        self.loaded
    }

    /// What is due before this goes to memory, but for what is left unread.
    pub(crate) fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// Every entry due before this is in memory, without exception.
    pub(crate) fn loaded_whole(&self) -> Timestamp {
        self.unread
            .front()
            .map_or(self.loaded, |part| part.from.min(self.loaded))
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Whether everything that is due then is in memory.
    pub(crate) fn is_loaded(&self, due: Timestamp) -> bool {
        due < self.loaded && !self.unread.iter().any(|part| part.holds(due))
    }

    /// Whether what is due then goes to memory, and not to the timetable.
    pub(crate) fn is_near(&self, due: Timestamp) -> bool {
        let is_unread = |part: &Unread| part.holds(due) && part.horizon <= due;
        due < self.horizon && !self.unread.iter().any(is_unread)
    }

    /// Leaves a part unread, behind all others.
    pub(crate) fn leave_unread(&mut self, from: Timestamp, until: Timestamp) {
        if from >= until {
            return;
        }
        let mut part = Unread::between(from, until);
        // One that reading ahead has not come to yet becomes part of it.
        while let Some(last) = self.unread.back().copied()
            && (last.until >= from || self.unread.len() >= PARTS_MAX)
        {
            let first = if last.from <= part.from { last } else { part };
            part = Unread {
                until: last.until.max(part.until),
                ..first
            };
            self.unread.pop_back();
        }
        self.unread.push_back(part);
    }

    /// Leaves unread what reading ahead has not come to, up to a time.
    pub(crate) fn leave_rest_unread(&mut self, until: Timestamp) {
        if self.loaded < until {
            // What is being read would be all of it.
            self.ahead = Single::default();
            self.leave_unread(self.loaded, until);
            self.skip_unread();
        }
    }

    /// What is due from a time on is not in memory any more, and does not go there. An answer that
    /// would say otherwise is not waited for.
    pub(crate) fn end_at(&mut self, due: Timestamp) {
        if self.horizon > due {
            self.ahead = Single::default();
            self.loaded = self.loaded.min(due);
            self.horizon = self.loaded;
        }
        for part in &mut self.unread {
            part.until = part.until.min(due);
        }
        self.unread.retain(|part| part.from < part.until);
        if self.unread.is_empty() {
            self.behind = Single::default();
        }
    }

    /// Goes on reading ahead behind the unread part that has been reached, if one has.
    fn skip_unread(&mut self) {
        for part in &self.unread {
            if part.holds(self.loaded) {
                self.loaded = part.until;
            }
        }
        self.horizon = self.horizon.max(self.loaded);
    }

    /// What reading ahead reads next, up to a time or to the next part that is left unread.
    pub(crate) fn next_ahead(&self, until: Timestamp) -> (Timestamp, Timestamp) {
        let unread = self
            .unread
            .iter()
            .map(|part| part.from)
            .find(|from| *from > self.loaded);
        (self.loaded, unread.map_or(until, |from| from.min(until)))
    }

    /// Whether reading ahead may go on.
    pub(crate) fn may_read_ahead(&self, now: Timestamp) -> bool {
        self.ahead.is_free(now)
    }

    /// Whether reading ahead goes on by itself, as far as time is concerned.
    pub(crate) fn awaits_ahead(&self, now: Timestamp) -> bool {
        self.ahead.request.is_some() || self.ahead.not_before.is_some_and(|time| time > now)
    }

    /// What comes next is being read; until the answer, what is due before a time goes to memory.
    pub(crate) fn read_ahead(&mut self, request: RequestId, near_until: Timestamp) {
        self.ahead.start(request);
        self.horizon = self.horizon.max(near_until);
    }

    /// Which read an answer belongs to, if to any that is awaited.
    pub(crate) fn answers(&mut self, request: RequestId) -> Option<Reading> {
        if self.ahead.answers(request) {
            return Some(Reading::Ahead);
        }
        self.behind.answers(request).then_some(Reading::Behind)
    }

    /// A page of what comes next is in memory.
    pub(crate) fn loaded_ahead(&mut self, complete_until: Timestamp) {
        self.loaded = self.loaded.max(complete_until);
        self.skip_unread();
    }

    /// Whether the backlog may be read, as far as its last read is concerned.
    pub(crate) fn may_read_behind(&self, now: Timestamp) -> bool {
        self.behind.is_free(now)
    }

    /// What has been published need not be read: only what the backlog owes.
    pub(crate) fn leave_out_what_is_passed(&mut self, frontier: &Frontier) {
        while let Some(part) = self.unread.front_mut() {
            let owed = frontier
                .backlog
                .iter()
                .find(|stretch| stretch.through.due >= part.from);
            let from = owed.map_or(Timestamp::MAX, |stretch| {
                stretch.after.due.floor_to_minute()
            });
            part.from = part.from.max(from);
            part.horizon = part.horizon.max(part.from);
            if part.from < part.until {
                return;
            }
            self.unread.pop_front();
        }
    }

    /// What of the backlog is to be read next, if reading ahead does not come there first.
    pub(crate) fn next_behind(&self) -> Option<(Timestamp, Timestamp)> {
        let Unread {
            from,
            until,
            span_ms,
            ..
        } = *self.unread.front()?;
        // Blocks are of one minute: reads end with one.
        let whole = from.plus_millis(span_ms).floor_to_minute();
        (until <= self.loaded).then_some((from, whole.min(until)))
    }

    /// The next of the backlog is being read up to a time.
    pub(crate) fn read_behind(&mut self, request: RequestId, until: Timestamp) {
        self.behind.start(request);
        if let Some(part) = self.unread.front_mut() {
            part.horizon = part.horizon.max(until);
        }
    }

    /// A page of the backlog is in memory.
    pub(crate) fn loaded_behind(&mut self, complete_until: Timestamp, entries: usize) {
        let Some(part) = self.unread.front_mut() else {
            return;
        };
        part.from = part.from.max(complete_until);
        // From now on what comes goes to the timetable, and is read with the next page.
        part.horizon = part.from;
        part.span_ms = if entries < FEW_ENTRIES {
            part.span_ms.saturating_mul(2)
        } else {
            MINUTE_MS
        };
        if part.from >= part.until {
            self.unread.pop_front();
        }
    }

    /// What holds after every step.
    pub(crate) fn assert_invariants(&self) {
        assert!(
            self.loaded <= self.horizon,
            "what is in memory goes there: {} > {}",
            self.loaded,
            self.horizon
        );
        assert!(
            self.unread.len() <= PARTS_MAX + 1,
            "the parts that are left unread are few"
        );
        let mut before = Timestamp::MIN;
        for part in &self.unread {
            assert!(
                before <= part.from && part.from <= part.until,
                "unread parts lie apart, and in order"
            );
            assert!(
                part.from <= part.horizon,
                "what is in memory of a part goes there"
            );
            before = part.until;
        }
    }

    /// Both reads.
    pub(crate) fn readings(&self) -> [&Single; 2] {
        [&self.ahead, &self.behind]
    }

    /// The same, to be changed.
    pub(crate) fn readings_mut(&mut self) -> [&mut Single; 2] {
        [&mut self.ahead, &mut self.behind]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at_ms: i64) -> Timestamp {
        Timestamp::from_millis(at_ms)
    }

    fn loaded(until_ms: i64) -> Coverage {
        let mut coverage = Coverage::default();
        coverage.begin_at(ms(0));
        coverage.read_ahead(RequestId(1), ms(until_ms));
        assert_eq!(coverage.answers(RequestId(1)), Some(Reading::Ahead));
        coverage.loaded_ahead(ms(until_ms));
        coverage
    }

    #[test]
    fn what_is_left_unread_is_far_until_it_is_being_read() {
        let mut coverage = loaded(60_000);
        coverage.leave_rest_unread(ms(300_000));
        assert!(coverage.is_near(ms(59_999)) && !coverage.is_near(ms(60_000)));
        assert_eq!(
            (coverage.loaded(), coverage.loaded_whole()),
            (ms(300_000), ms(60_000))
        );
        assert_eq!(coverage.next_behind(), Some((ms(60_000), ms(120_000))));
        coverage.read_behind(RequestId(2), ms(120_000));
        assert!(coverage.is_near(ms(119_999)) && !coverage.is_near(ms(120_000)));
        assert!(!coverage.is_loaded(ms(119_999)));
        assert_eq!(coverage.answers(RequestId(2)), Some(Reading::Behind));
        coverage.loaded_behind(ms(120_000), 0);
        assert!(coverage.is_loaded(ms(119_999)));
        assert_eq!(
            coverage.next_behind(),
            Some((ms(120_000), ms(240_000))),
            "little lies here"
        );
    }

    #[test]
    fn beyond_its_end_all_is_far_whatever_is_still_answered() {
        let mut coverage = loaded(60_000);
        coverage.leave_rest_unread(ms(300_000));
        coverage.read_behind(RequestId(2), ms(120_000));
        coverage.read_ahead(RequestId(3), ms(400_000));
        coverage.end_at(ms(90_000));
        assert_eq!(coverage.answers(RequestId(3)), None);
        assert_eq!(
            (coverage.loaded(), coverage.horizon()),
            (ms(90_000), ms(90_000))
        );
        assert!(coverage.is_near(ms(89_999)), "it is being read");
        assert!(!coverage.is_near(ms(90_000)));
        assert_eq!(coverage.answers(RequestId(2)), Some(Reading::Behind));
        coverage.loaded_behind(ms(120_000), 0);
        assert_eq!(
            (coverage.loaded_whole(), coverage.has_unread()),
            (ms(90_000), false)
        );
        coverage.end_at(ms(30_000));
        assert_eq!(coverage.next_ahead(ms(50_000)), (ms(30_000), ms(50_000)));
    }
}
