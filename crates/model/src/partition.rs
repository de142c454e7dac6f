//! Where a partition stands: its owner's epoch, places in time, the frontier and the checkpoint.

use std::fmt;

use crate::ledger::Minutes;
use crate::offset::LogOffset;
use crate::time::Timestamp;

/// An owner's fencing number: a later owner's is higher.
///
/// A coordinator that serves one region of several, or may be rebuilt from a backup, folds two
/// numbers into it: see [`Epoch::of_region`]. One that does neither counts in region 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The bits of [`Epoch::sequence`], the lower ones.
    const SEQUENCE_BITS: u32 = 48;
    /// The highest region epoch: the sign bit stays clear, so that stores with signed integers keep
    /// the order.
    pub const REGION_EPOCH_MAX: u16 = i16::MAX as u16;

    /// The epoch of what a region's coordinator counted as `sequence`, under the region's own
    /// epoch. The region's decides first: raise it when the region's partitions are adopted
    /// elsewhere, or its coordinator was restored from a backup and counts from a lower number
    /// again.
    ///
    /// `None` when the region epoch is above [`Epoch::REGION_EPOCH_MAX`] or the sequence needs more
    /// than 48 bits.
    pub const fn of_region(region_epoch: u16, sequence: u64) -> Option<Epoch> {
        if region_epoch > Epoch::REGION_EPOCH_MAX || sequence >> Epoch::SEQUENCE_BITS != 0 {
            return None;
        }
        Some(Epoch(
            (region_epoch as u64) << Epoch::SEQUENCE_BITS | sequence,
        ))
    }

    /// The region's epoch that is folded into it.
    pub const fn region_epoch(self) -> u64 {
        self.0 >> Epoch::SEQUENCE_BITS
    }

    /// What the coordinator had counted.
    pub const fn sequence(self) -> u64 {
        self.0 & ((1 << Epoch::SEQUENCE_BITS) - 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An occurrence's place in a partition's order of time: due time first, then log offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it is due.
    pub due: Timestamp,
    /// The offset of the record that created it (or its schedule).
    pub offset: LogOffset,
}

impl Place {
    /// Before every occurrence.
    pub const START: Place = Place {
        due: Timestamp::MIN,
        offset: LogOffset::START,
    };

    /// The last place of a due time: behind it lies everything due at or before `due`.
    pub const fn end_of(due: Timestamp) -> Place {
        Place {
            due,
            offset: LogOffset::MAX,
        }
    }

    /// What directly precedes it in the order of time; `None` at the start.
    pub const fn preceding(self) -> Option<Place> {
        match self.offset.preceding() {
            Some(offset) => Some(Place {
                due: self.due,
                offset,
            }),
            None if self.due.as_millis() == Timestamp::MIN.as_millis() => None,
            None => Some(Place::end_of(self.due.plus_millis(-1))),
        }
    }
}

/// A stretch of time that F has passed but that lies ahead again, because a clock went back (or a
/// predecessor's ran ahead): what is created from now on with a due time in it is owed, what was
/// created before is not.
///
/// Covers the places after `after`, up to and including `through`, of records at or after
/// `from_offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Everything at or before this place has been published.
    pub after: Place,
    /// The last place of the gap.
    pub through: Place,
    /// A, when the gap was opened.
    pub from_offset: LogOffset,
}

impl Gap {
    /// Whether an occurrence at the place is still owed.
    pub fn owes(&self, place: Place) -> bool {
        self.after < place && place <= self.through && place.offset >= self.from_offset
    }
}

/// A stretch of time that F has left behind to be caught up with, so that what is on time need not
/// wait: the tasks in it are still owed, whenever they were created. What schedules owe has a cursor
/// of its own ([`Frontier::owed_after`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Every task at or before this place has been published.
    pub after: Place,
    /// The last place of the stretch; the head may still have to come there.
    pub through: Place,
}

impl Stretch {
    /// Whether a task at the place is still owed.
    pub fn owes(&self, place: Place) -> bool {
        self.after < place && place <= self.through
    }
}

/// The cursor F: everything at or before `head` has been published, but for what lies in a gap or
/// in the backlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier {
    /// The newest place that has been passed.
    pub head: Place,
    /// Disjoint stretches below `head` that are still being drained, oldest first.
    pub gaps: Vec<Gap>,
    /// Disjoint stretches whose tasks are caught up with at a rate of their own, oldest first.
    pub backlog: Vec<Stretch>,
    /// Set while schedules owe occurrences that the head has left behind. One that says nothing of
    /// how far it has come in its own state ([`crate::ScheduleState::decided_through`]) has decided
    /// everything at or before this place, in a gap at or before where that has come to, and nothing
    /// beyond. One that says it may owe less or more: a revision that was read late owes what lies
    /// before this place.
    pub owed_after: Option<Place>,
}

impl Default for Frontier {
    fn default() -> Frontier {
        Frontier::START
    }
}

impl Frontier {
    /// Nothing has been published.
    pub const START: Frontier = Frontier {
        head: Place::START,
        gaps: Vec::new(),
        backlog: Vec::new(),
        owed_after: None,
    };

    /// Whether a task at this place has been published (or decided against).
    pub fn has_passed(&self, place: Place) -> bool {
        self.has_come_past(place) && !self.is_behind(place)
    }

    /// Whether the front has come past this place: what is still owed there was left behind.
    pub fn has_come_past(&self, place: Place) -> bool {
        place <= self.head && !self.gaps.iter().any(|gap| gap.owes(place))
    }

    /// Whether an occurrence at this place has been decided, of a schedule that does not say itself
    /// how far it has come.
    pub fn has_decided(&self, place: Place) -> bool {
        self.has_come_past(place) && self.owed_after.is_none_or(|after| place <= after)
    }

    /// The place that F has come to for what was created by the record at an offset: in the gap that
    /// it was created in, if it was in one. Gaps that were opened later lie below the earlier ones:
    /// the first that owes it anything owes all that follows.
    pub fn passed_through(&self, created: LogOffset) -> Place {
        let own_gap = self.gaps.iter().find(|gap| created >= gap.from_offset);
        own_gap.map_or(self.head, |gap| gap.after)
    }

    /// The last place at which an occurrence has been decided, of a schedule that was created by the
    /// record at an offset and does not say itself how far it has come.
    pub fn decided_through(&self, created: LogOffset) -> Place {
        let passed = self.passed_through(created);
        self.owed_after.map_or(passed, |after| after.min(passed))
    }

    /// Whether a task at this place is part of the backlog.
    pub fn is_behind(&self, place: Place) -> bool {
        self.backlog.iter().any(|stretch| stretch.owes(place))
    }

    /// Where the present stands: everything at or before it has been published, but for the
    /// backlog.
    pub fn front(&self) -> Place {
        self.gaps.first().map_or(self.head, |gap| gap.after)
    }

    /// The place at or before which nothing is owed any more, but for what a schedule owes that says
    /// so in its own state.
    pub fn floor(&self) -> Place {
        let tasks = self.floor_of_tasks();
        self.owed_after.map_or(tasks, |after| after.min(tasks))
    }

    /// The place at or before which no task is owed any more.
    pub fn floor_of_tasks(&self) -> Place {
        let front = self.front();
        self.backlog
            .first()
            .map_or(front, |stretch| stretch.after.min(front))
    }

    /// Leaves the tasks up to a place behind, for the backlog; nothing when there are gaps. Changes
    /// nothing about what is owed.
    pub fn leave_behind(&mut self, through: Place) {
        if !self.gaps.is_empty() || through <= self.head {
            return;
        }
        match self.backlog.last_mut() {
            // The front has published nothing since: its tasks all lie behind the last stretch.
            Some(last) if self.head <= last.through => last.through = last.through.max(through),
            _ => self.backlog.push(Stretch {
                after: self.head,
                through,
            }),
        }
    }

    /// Leaves behind what schedules owe beyond the head. Changes nothing about what is owed. Every
    /// decision of a schedule that follows has to be noted in its state.
    pub fn leave_owed(&mut self) {
        self.owed_after.get_or_insert(self.head);
    }

    /// Of what schedules owe the oldest is at this place; `None`: the front has left nothing behind.
    pub fn note_owed(&mut self, oldest: Option<Place>) {
        let front = self.front();
        self.owed_after = self.owed_after.zip(oldest).map(|(after, oldest)| {
            let decided = oldest.preceding().unwrap_or(Place::START);
            after.max(decided.min(front))
        });
    }

    /// Every task of the backlog at or before `reached` has been published, or decided against.
    /// `reached` is at or before the front, or what the front has still to come to would count as
    /// published.
    pub fn catch_up(&mut self, reached: Place) {
        let reached = reached.min(self.front());
        while let Some(stretch) = self.backlog.first_mut() {
            if reached < stretch.through {
                stretch.after = stretch.after.max(reached);
                return;
            }
            self.backlog.remove(0);
        }
    }

    /// Everything owed at or before `reached` has been published, or decided against, but for the
    /// backlog.
    pub fn advance(&mut self, reached: Place) {
        while let Some(gap) = self.gaps.first_mut() {
            if reached < gap.through {
                gap.after = gap.after.max(reached);
                return;
            }
            self.gaps.remove(0);
        }
        self.head = self.head.max(reached);
    }

    /// The present lies before the front: what is created from `from_offset` on is owed again from
    /// there.
    pub fn open_gap(&mut self, after: Place, from_offset: LogOffset) {
        let through = self.front();
        if after < through {
            self.gaps.insert(
                0,
                Gap {
                    after,
                    through,
                    from_offset,
                },
            );
        }
    }
}

/// What a new owner needs to go on: the cursors A, F and R, under the epoch that wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The owner that wrote it.
    pub epoch: Epoch,
    /// Counts the ticks of the partition without a hole, over all owners.
    pub tick: u64,
    /// A: every command below this offset has been applied.
    pub applied: LogOffset,
    /// F: what has been published.
    pub frontier: Frontier,
    /// R: a new owner reads the log from here; at most `applied`.
    pub replay_from: LogOffset,
    /// Tasks whose dedupe window ended at or before this may have been forgotten; those with a
    /// later end are remembered.
    pub remembered_from: Timestamp,
    /// What has been counted for the ledger of what this checkpoint says was published.
    pub minutes: Minutes,
}

impl Checkpoint {
    /// The state of a partition that has never been owned.
    pub const START: Checkpoint = Checkpoint {
        epoch: Epoch(0),
        tick: 0,
        applied: LogOffset::START,
        frontier: Frontier::START,
        replay_from: LogOffset::START,
        remembered_from: Timestamp::MIN,
        minutes: Minutes::START,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::LogGeneration;

    fn place(due: i64, offset: u64) -> Place {
        Place {
            due: Timestamp::from_millis(due),
            offset: LogOffset::at(offset),
        }
    }

    fn end_of(due: i64) -> Place {
        Place::end_of(Timestamp::from_millis(due))
    }

    #[test]
    fn the_regions_epoch_decides_before_the_sequence() {
        let epoch = |region, sequence| Epoch::of_region(region, sequence).expect("in range");
        assert_eq!(epoch(0, 7), Epoch(7));
        assert!(epoch(2, 1) > epoch(1, (1 << 48) - 1));
        assert!(epoch(1, 2) > epoch(1, 1));
        let highest = epoch(Epoch::REGION_EPOCH_MAX, (1 << 48) - 1);
        assert_eq!(
            (highest.region_epoch(), highest.sequence()),
            (32_767, (1 << 48) - 1)
        );
        assert!(i64::try_from(highest.0).is_ok());
        assert_eq!(Epoch::of_region(0, 1 << 48), None);
        assert_eq!(Epoch::of_region(Epoch::REGION_EPOCH_MAX + 1, 0), None);
    }

    #[test]
    fn a_gap_owes_what_was_created_after_it_was_opened() {
        let mut frontier = Frontier {
            head: place(100, 5),
            ..Frontier::START
        };
        frontier.open_gap(place(10, 3), LogOffset::at(4));
        frontier.open_gap(place(20, 3), LogOffset::at(9));
        frontier.advance(place(5, 0));
        assert_eq!(
            frontier.gaps.len(),
            1,
            "only a time before the floor opens another"
        );
        frontier.gaps[0].through = end_of(50);
        let cases = [
            (place(10, 3), true),
            (place(10, 4), false),
            (place(30, 3), true),
            (place(50, 9), false),
            (place(51, 0), true),
            (place(100, 5), true),
            (place(100, 6), false),
        ];
        for (at, passed) in cases {
            assert_eq!(frontier.has_passed(at), passed, "{at:?}");
        }
        assert_eq!(frontier.floor(), place(10, 3));
        frontier.advance(place(30, 0));
        assert_eq!(frontier.floor(), place(30, 0));
        frontier.advance(place(60, 0));
        assert_eq!((frontier.floor(), frontier.gaps.len()), (place(100, 5), 0));
        frontier.advance(place(101, 0));
        assert_eq!(frontier.head, place(101, 0));
    }

    #[test]
    fn what_is_decided_ends_at_one_place_for_each_offset() {
        let mut frontier = Frontier {
            head: place(100, 5),
            ..Frontier::START
        };
        frontier.open_gap(place(50, 3), LogOffset::at(4));
        frontier.open_gap(place(20, 3), LogOffset::at(9));
        frontier.advance(place(25, 0));
        for owed_after in [None, Some(place(40, 2)), Some(place(22, 0))] {
            frontier.owed_after = owed_after;
            for offset in [1, 3, 4, 5, 6, 9, 12] {
                let through = frontier.decided_through(LogOffset::at(offset));
                for at in (0..110).map(|due| place(due, offset)) {
                    assert_eq!(at <= through, frontier.has_decided(at), "{at:?}");
                }
            }
        }
    }

    /// Which places are passed, looked at one by one.
    fn passed(frontier: &Frontier) -> Vec<i64> {
        (0..200)
            .filter(|due| frontier.has_passed(place(*due, 1)))
            .collect()
    }

    #[test]
    fn what_is_left_behind_is_owed_until_it_is_caught_up_with() {
        let mut frontier = Frontier {
            head: end_of(10),
            ..Frontier::START
        };
        let before = passed(&frontier);
        frontier.leave_behind(end_of(60));
        frontier.leave_behind(end_of(80));
        assert_eq!(
            frontier.backlog.len(),
            1,
            "the head has not moved in between"
        );
        assert_eq!(
            passed(&frontier),
            before,
            "nothing is owed anew or forgiven"
        );
        frontier.catch_up(place(50, 0));
        assert_eq!(
            passed(&frontier),
            before,
            "the backlog does not overtake the front"
        );
        frontier.advance(end_of(100));
        assert_eq!(
            passed(&frontier),
            (0..=10).chain(81..=100).collect::<Vec<_>>()
        );
        assert!(
            frontier.has_decided(place(50, 1)),
            "of schedules nothing is left behind by that"
        );
        assert_eq!(
            (frontier.floor().due, frontier.front().due),
            (place(10, 0).due, place(100, 0).due)
        );
        frontier.leave_behind(end_of(120));
        frontier.advance(end_of(130));
        frontier.catch_up(place(40, 0));
        assert_eq!(
            passed(&frontier),
            (0..40).chain(81..=100).chain(121..=130).collect::<Vec<_>>()
        );
        frontier.catch_up(end_of(110));
        assert_eq!(
            passed(&frontier),
            (0..=110).chain(121..=130).collect::<Vec<_>>()
        );
        frontier.catch_up(end_of(130));
        assert_eq!(
            (passed(&frontier), frontier.backlog.len()),
            ((0..=130).collect(), 0)
        );
    }

    #[test]
    fn what_schedules_owe_is_owed_until_none_of_them_is_behind() {
        let mut frontier = Frontier {
            head: end_of(10),
            ..Frontier::START
        };
        frontier.leave_owed();
        frontier.advance(end_of(100));
        let decided = |frontier: &Frontier| {
            let all = (0..200).filter(|due| frontier.has_decided(place(*due, 1)));
            all.max()
        };
        assert_eq!(decided(&frontier), Some(10));
        assert!(frontier.has_passed(place(100, 1)), "of tasks nothing is");
        frontier.leave_owed();
        frontier.note_owed(Some(place(40, 3)));
        assert_eq!(
            (frontier.owed_after, frontier.floor()),
            (Some(place(40, 2)), place(40, 2))
        );
        frontier.note_owed(Some(place(20, 3)));
        assert_eq!(
            frontier.owed_after,
            Some(place(40, 2)),
            "it never goes back"
        );
        frontier.note_owed(Some(place(150, 3)));
        assert_eq!(frontier.owed_after, Some(end_of(100)));
        frontier.note_owed(None);
        assert_eq!((frontier.owed_after, decided(&frontier)), (None, Some(100)));
        frontier.note_owed(Some(place(40, 3)));
        assert_eq!(frontier.owed_after, None, "what F has not left is not owed");
    }

    #[test]
    fn a_clock_that_goes_back_holds_the_backlog_at_the_present() {
        let mut frontier = Frontier {
            head: end_of(10),
            ..Frontier::START
        };
        frontier.leave_behind(end_of(80));
        frontier.advance(end_of(100));
        frontier.open_gap(end_of(50), LogOffset::START);
        frontier.catch_up(end_of(80));
        assert_eq!(frontier.floor(), end_of(50));
        assert_eq!(passed(&frontier), (0..=50).collect::<Vec<_>>());
        frontier.advance(end_of(101));
        frontier.catch_up(end_of(80));
        assert_eq!(passed(&frontier), (0..=101).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_lies_between_a_place_and_what_precedes_it() {
        let of_log = |generation, position| {
            LogOffset::of_log(LogGeneration::new(generation).unwrap(), position).unwrap()
        };
        let place_of = |due, generation, position| Place {
            due: Timestamp::from_millis(due),
            offset: of_log(generation, position),
        };
        assert_eq!(place_of(5, 1, 9).preceding(), Some(place_of(5, 1, 8)));
        assert_eq!(
            place_of(5, 1, 0).preceding(),
            Some(place_of(5, 0, LogOffset::POSITION_MAX))
        );
        assert_eq!(place(5, 0).preceding(), Some(end_of(4)));
        assert_eq!(Place::START.preceding(), None);
    }
}
