//! Catching up: what was missed during an outage is left behind, and published beside what is on
//! time.
//!
//! When the oldest task is late by more than `catch_up_after_ms`, all that are late are put into
//! the backlog of the frontier. What of it has not been read from the timetable stays unread until
//! its turn comes. Nothing about what is owed changes by that; but F goes on with what is on time,
//! and the backlog follows with what room the ticks leave it, at least half of each, at most the
//! configured rate. Each of the two goes in order of (due time, offset).
//!
//! What schedules owe is left behind like that as well (`owed.rs`), but has no order among
//! schedules: one decides after the other what it owes itself. The two backlogs share the room and
//! the rate.

use minutehand_model::{Frontier, Phase, Place, Timestamp};

use crate::fact::{StoredFact, flag};
use crate::owed::Room;
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;
use crate::schedule::Outbox;

/// Most stretches of the backlog; then F does not leave more behind.
const STRETCHES_MAX: usize = 16;
/// Where the rate is bounded, the backlog is served in portions of this many milliseconds.
const PORTION_MS: u64 = 50;
/// How often the backlog in memory is looked through for what is not in the timetable, in
/// milliseconds; more seldom when it is so long that looking through it would cost more than a
/// hundredth of the time.
const LOOK_THROUGH_MS: i64 = 2_000;
const LOOKED_THROUGH_PER_MS: i64 = 200;

impl<R: Rules> Partition<R> {
    /// Leaves behind what is too late, if anything is.
    pub(crate) fn leave_behind(&mut self) {
        if self.tells_what_is_late() {
            self.leave_late_schedules();
            self.leave_late_tasks();
        }
    }

    /// Whether anything is late by a clock that somebody has confirmed. One that was set ahead, and
    /// is set back before a lease is confirmed by it, leaves nothing behind.
    pub(crate) fn tells_what_is_late(&self) -> bool {
        let is_owning = self.phase() == Phase::Owning;
        self.config.catch_up_after_ms > 0 && is_owning && self.may_fire()
    }

    fn leave_late_tasks(&mut self) {
        let is_any_late = self.is_late(self.coverage.loaded())
            || self
                .due
                .on_time
                .wake_at([0; 3], Timestamp::MAX)
                .is_some_and(|due| self.is_late(due));
        if !is_any_late || !self.may_leave_behind() {
            return;
        }
        let through = self.leave_behind_now();
        self.due.on_time.move_through(through, &mut self.due.behind);
        self.coverage
            .leave_rest_unread(through.due.floor_to_minute());
    }

    /// What waits in the backlog goes to the timetable, so that R passes it: otherwise a successor
    /// would read the whole log since the oldest of it before anything fires, however long the
    /// backlog takes. It stays in memory as well, and what runs first is not written. What has run
    /// and is known no more lets R go as well, although it shares its memory with what waits.
    pub(crate) fn write_what_is_behind(&mut self) {
        let is_early = self.now < self.due.looked_through_at;
        let is_empty = self.due.behind.len() == 0;
        let may_write = self.phase() == Phase::Owning && self.may_write_blocks();
        if is_early || is_empty || !may_write {
            return;
        }
        let unsettled = &mut self.unsettled;
        let looked_through = self
            .tasks
            .settle_forgotten(|offset| unsettled.remove(offset));
        let pause_ms = LOOK_THROUGH_MS.max(looked_through as i64 / LOOKED_THROUGH_PER_MS);
        self.due.looked_through_at = self.now.plus_millis(pause_ms);
        let unwritten: Vec<_> = self
            .due
            .behind
            .indices()
            .filter(|index| self.may_be_written_behind(self.tasks.get(*index)))
            .collect();
        for index in unwritten {
            self.await_block(index);
        }
    }

    /// Whether a fact of the backlog holds R back and need not: who reads the timetable for what
    /// has run lately finds it there. What the log took long after its time he does not find, so
    /// that stays in the log until its dedupe window has ended.
    fn may_be_written_behind(&self, fact: &StoredFact) -> bool {
        let remembered_from = self.coverage.remembered_from();
        let needs_no_memory = fact.forget_at(self.config.dedupe_window_ms) <= remembered_from;
        let is_found = fact.may_wait_in_the_timetable() || needs_no_memory;
        fact.is(flag::UNSETTLED) && !fact.is(flag::WRITING) && is_found
    }

    pub(crate) fn is_late(&self, due: Timestamp) -> bool {
        // What lies beyond the horizon cannot be left behind: F would pass it.
        self.reachable_present().millis_since(due) > self.config.catch_up_after_ms
    }

    /// Whether tasks may be left behind.
    pub(crate) fn may_leave_behind(&self) -> bool {
        self.config.catch_up_after_ms > 0
            && self.frontier.gaps.is_empty()
            && self.frontier.backlog.len() < STRETCHES_MAX
    }

    /// Leaves the tasks behind that are late, up to the answer.
    pub(crate) fn leave_behind_now(&mut self) -> Place {
        let through = self.late_through();
        self.frontier.leave_behind(through);
        through
    }

    /// Where what is left behind ends. Half of the time that is allowed stays with F: otherwise more
    /// would be left behind at once.
    pub(crate) fn late_through(&self) -> Place {
        let allowed_ms = self.config.catch_up_after_ms / 2;
        Place::end_of(self.reachable_present().plus_millis(-allowed_ms))
    }

    /// The due times, from and until, at which the backlog may still owe something. What is due
    /// then is not forgotten, or a repetition that still waits would run.
    pub(crate) fn dues_behind(&self) -> Vec<(Timestamp, Timestamp)> {
        if self.breaks(PlantedBug::BacklogForgets) {
            return Vec::new();
        }
        self.frontier
            .backlog
            .iter()
            .map(|stretch| (stretch.after.due, stretch.through.due))
            .collect()
    }

    /// How many executions of the next tick are kept for the backlogs, beside those that it has
    /// already.
    pub(crate) fn catch_up_share(&self, taken: usize) -> usize {
        if self.catch_up_at().is_none_or(|time| time > self.now) {
            return 0;
        }
        let half = self.config.tick_publications_max.saturating_sub(taken) / 2;
        // A tick of one execution takes turns.
        let share = if half == 0 {
            (self.ticker.committed().tick % 2) as usize
        } else {
            half
        };
        let turns = self.schedules.missed_turns();
        share.min(self.allowance().saturating_add(turns))
    }

    /// How many executions the rate allows the backlogs by now.
    fn allowance(&self) -> usize {
        match self.rate() {
            0 => usize::MAX,
            rate => self.due.pace.allowance(self.now, rate),
        }
    }

    /// Most executions a second that are caught up with; 0: no bound.
    pub(crate) fn rate(&self) -> u64 {
        self.config.catch_up_rate_per_s
    }

    /// How far the backlog may go: not beyond the present, what is being moved, or F.
    pub(crate) fn catch_up_limit(&self) -> Place {
        let held = self
            .holds
            .dues()
            .next()
            .filter(|_| !self.breaks(PlantedBug::BacklogUnheld));
        let held = held.map_or(Timestamp::MAX, |due| due.plus_millis(-1));
        Place::end_of(self.now.min(held))
            .min(self.frontier.front())
            .min(Place::end_of(self.coverage.loaded_whole().plus_millis(-1)))
    }

    /// When the backlogs may publish what they have within their limits; `None` when that is nothing.
    pub(crate) fn catch_up_at(&self) -> Option<Timestamp> {
        if !self.due.behind.reaches(self.catch_up_limit()) && !self.owes_any() {
            return None;
        }
        let rate = self.rate();
        if rate == 0 || self.schedules.missed_turns() > 0 {
            return Some(Timestamp::MIN);
        }
        // A portion is no larger than a tick, or the rate would not be reached.
        let tick_ms = self.config.tick_publications_max as u64 * 1_000 / rate;
        let portion_ms = tick_ms.min(PORTION_MS).max(1_000_u64.div_ceil(rate));
        Some(self.due.pace.taken_at().plus_millis(portion_ms as i64))
    }

    /// What a tick has left for the backlogs: their share at least, which they have in turn where a
    /// tick is so small that what came late fills it. F may have used up its bytes; half of them are
    /// the backlogs' all the same.
    pub(crate) fn room_behind(&self, share: usize, bytes_taken: usize, outbox: &Outbox) -> Room {
        let bytes_max = self.config.tick_bytes_max;
        let most = self.config.tick_publications_max;
        Room {
            count: most.saturating_sub(outbox.publications.len()).max(share),
            rated: self.allowance(),
            bytes: bytes_max - bytes_taken.min(bytes_max / 2),
        }
    }

    /// Takes from the backlog of tasks what there is room for.
    pub(crate) fn take_backlog(&mut self, room: Room, outbox: &mut Outbox) {
        let count_max = room.count.min(room.rated);
        let (mut count, mut bytes) = (0, 0);
        while self.phase() != Phase::Replaying
            && let Some(stretch) = self.frontier.backlog.first().copied()
        {
            let limit = stretch.through.min(self.catch_up_limit());
            let mut passing = Vec::new();
            let (mut reached, mut last) = (limit, stretch.after);
            loop {
                if count >= count_max || bytes >= room.bytes {
                    if self.due.behind.peek().is_some_and(|place| place <= limit) {
                        reached = last;
                    }
                    break;
                }
                let Some((place, index)) = self.due.behind.pop_through(limit) else {
                    break;
                };
                last = place;
                count += 1;
                bytes += self.tasks.get(index).bytes();
                passing.push(index);
            }
            self.pass_all(&mut passing, outbox);
            self.frontier.catch_up(reached);
            if reached < stretch.through {
                break;
            }
        }
        self.due.behind.settle_after_pops();
        self.due.pace.take(count, self.now, self.rate());
    }

    /// Stretches in which nothing lies any more are over.
    pub(crate) fn pass_empty_backlog(&mut self) {
        self.note_what_is_owed();
        while self.phase() != Phase::Replaying
            && let Some(stretch) = self.frontier.backlog.first().copied()
            && stretch.through <= self.catch_up_limit()
            && self
                .due
                .behind
                .peek()
                .is_none_or(|place| place > stretch.through)
        {
            self.frontier.catch_up(stretch.through);
        }
    }

    /// F as the next checkpoint says it.
    pub(crate) fn frontier_to_keep(&self) -> Frontier {
        let mut frontier = self.frontier.clone();
        if self.breaks(PlantedBug::BacklogUnsaved) {
            frontier.backlog.clear();
        }
        if self.breaks(PlantedBug::OwedUnsaved) {
            frontier.owed_after = None;
        }
        frontier
    }
}
