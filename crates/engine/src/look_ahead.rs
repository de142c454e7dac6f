//! The look-ahead: the part of the timetable that is in memory, and how it is kept ahead of F.

use std::collections::BTreeSet;

use minutehand_model::{Fact, Persist, Phase, Place, Timestamp, TimetableEntry, TimetablePage};

use crate::effect::Effect;
use crate::fact::{StoredFact, flag};
use crate::input::RequestId;
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;
use crate::task_store::{Shelf, TaskIndex};

impl<R: Rules> Partition<R> {
    /// The present, as far as F may come to it: what is due later need not be in memory, however
    /// far a clock is ahead.
    pub(crate) fn reachable_present(&self) -> Timestamp {
        self.now.min(self.reach())
    }

    /// The latest due time that F may come to.
    pub(crate) fn reach(&self) -> Timestamp {
        self.horizon_bound().max(self.frontier.front().due)
    }

    /// Whether more of the timetable is wanted in memory: less than three quarters of the
    /// look-ahead are, and there is room. By a clock that is not to be gone by nobody can tell.
    pub(crate) fn wants_to_read_ahead(&self) -> bool {
        let wanted = self
            .reachable_present()
            .plus_millis(self.config.look_ahead_ms * 3 / 4);
        let is_short = self.coverage.loaded() < wanted;
        is_short && !self.is_memory_full() && self.knows_the_time()
    }

    /// Reads on in the timetable when the look-ahead is short.
    pub(crate) fn read_ahead(&mut self) {
        if !self.wants_to_read_ahead() || !self.coverage.may_read_ahead(self.now) {
            return;
        }
        let wanted = self
            .reachable_present()
            .plus_millis(self.config.look_ahead_ms);
        let (from, until) = self.coverage.next_ahead(wanted);
        let request = self.read_timetable(from, until);
        self.coverage.read_ahead(
            request,
            if self.breaks(PlantedBug::ReadInFlight) {
                from
            } else {
                until
            },
        );
        self.bring_near(from, until);
    }

    /// Reads on in the backlog, when there is room for it.
    pub(crate) fn read_behind(&mut self) {
        if !self.coverage.may_read_behind(self.now) || self.phase() == Phase::Replaying {
            return;
        }
        self.coverage.leave_out_what_is_passed(&self.frontier);
        if !self.has_room_behind() {
            return;
        }
        let Some((from, until)) = self.coverage.next_behind() else {
            return;
        };
        let request = self.read_timetable(from, until);
        self.coverage.read_behind(request, until);
        self.bring_near(from, until);
    }

    fn read_timetable(&mut self, from: Timestamp, until: Timestamp) -> RequestId {
        let (request, bytes_max) = (self.request(), self.page_bytes_max());
        self.effects.push(Effect::ReadTimetable {
            request,
            from,
            until,
            bytes_max,
        });
        request
    }

    /// Takes a page of the backlog.
    pub(crate) fn loaded_behind(&mut self, page: TimetablePage) {
        let (complete_until, count) = (page.complete_until, page.entries.len());
        self.load_entries(page);
        self.coverage.loaded_behind(complete_until, count);
    }

    /// What waits for its block, or for the acknowledgement of its block, may be missing from the
    /// page that is being read: it goes to the calendar from memory.
    fn bring_near(&mut self, from: Timestamp, until: Timestamp) {
        if self.breaks(PlantedBug::Pending) {
            return;
        }
        let mut indices = self.come_near(from, until);
        let tasks = &self.tasks;
        // Blocks are read by their first due time: one that begins before `until` is not read again
        // later, so what it holds beyond must be near as well before its acknowledgement lets it
        // go.
        let sent = self.writes.sent();
        for write in sent {
            // What is near has blocks of its own.
            let facts = || {
                write
                    .facts()
                    .map(|index| (index, tasks.get(index)))
                    .filter(|(_, fact)| fact.is_far())
            };
            let begun: BTreeSet<Timestamp> = facts()
                .filter(|(_, fact)| from <= fact.due && fact.due < until)
                .map(|(_, fact)| fact.due.floor_to_minute())
                .collect();
            let has_begun =
                |fact: &StoredFact| from <= fact.due && begun.contains(&fact.due.floor_to_minute());
            indices.extend(
                facts()
                    .filter(|(_, fact)| has_begun(fact))
                    .map(|(index, _)| index),
            );
        }
        for index in indices {
            self.enter_calendar(index);
        }
    }

    /// What waits for its block and is due in a stretch of time. It is written all the same where
    /// everything is.
    fn come_near(&mut self, from: Timestamp, until: Timestamp) -> Vec<TaskIndex> {
        let tasks = &self.tasks;
        match self.config.persist {
            Persist::BeyondLookAhead => {
                let due_of = |index| tasks.get(index).due;
                let bytes_of = |index| tasks.get(index).bytes();
                let taken = self
                    .writes
                    .pending_mut()
                    .take_between(from, until, due_of, bytes_of, self.now);
                taken
                    .iter()
                    .for_each(|index| self.tasks.leave_write(*index));
                taken
            }
            Persist::All => {
                let comes_near =
                    |fact: &StoredFact| from <= fact.due && fact.due < until && fact.is_far();
                let begun = self.writes.pending().begun_between(from, until);
                begun
                    .filter(|index| comes_near(tasks.get(*index)))
                    .collect()
            }
        }
    }

    /// Puts a fact into the calendar queue, unless it is there.
    pub(crate) fn enter_calendar(&mut self, index: TaskIndex) {
        if self.tasks.come_near(index) {
            self.queue(index);
        }
    }

    /// Puts a near fact into the queue that it belongs to.
    pub(crate) fn queue(&mut self, index: TaskIndex) {
        let fact = self.tasks.get(index);
        let (place, precision) = (fact.place(), fact.precision());
        match self.frontier.is_behind(place) {
            true => self.due.behind.push(place, index, precision),
            false => self.due.on_time.push(place, index, precision),
        }
    }

    pub(crate) fn loaded_page(&mut self, page: TimetablePage) {
        let complete_until = page.complete_until;
        self.load_entries(page);
        self.coverage.loaded_ahead(complete_until);
        if self.breaks(PlantedBug::Pending) {
            self.pending_is_lost();
        }
    }

    pub(crate) fn load_entries(&mut self, page: TimetablePage) {
        for entry in page.entries {
            if entry.offset < self.log.applied() || self.breaks(PlantedBug::BeforeA) {
                self.load_entry(entry);
            }
        }
        for set_aside in page.set_aside {
            self.outgoing.put_aside(set_aside);
        }
    }

    /// With the rule `pending` broken, what was near only in memory is not merged at all.
    fn pending_is_lost(&mut self) {
        let tasks = &self.tasks;
        let loaded = self.coverage.loaded();
        let due_of = |index| tasks.get(index).due;
        let lost =
            self.writes
                .pending_mut()
                .take_between(Timestamp::MIN, loaded, due_of, |_| 0, self.now);
        for index in lost {
            self.tasks.leave_write(index);
            if self.tasks.get(index).is_far() {
                self.settle(index);
                self.tasks.remove(index);
            }
        }
    }

    fn load_entry(&mut self, entry: TimetableEntry) {
        let place = Place {
            due: entry.due,
            offset: entry.offset,
        };
        let has_passed = self.frontier.has_passed(place);
        let (mut fact, encoded) = match entry.fact {
            Fact::Void => (
                StoredFact::new(entry.key, place, entry.appended_at, flag::VOID),
                None,
            ),
            Fact::Runs(task) => {
                let Some(queue) = self.tasks.queue_names.number(&task) else {
                    return self.put_aside_for_its_queue("the timetable", entry.offset, task);
                };
                let fact = StoredFact::new(entry.key, place, entry.appended_at, 0).with_task(
                    queue,
                    task.guarantee,
                    task.precision,
                );
                (fact, Some(task.encoded))
            }
        };
        if !has_passed {
            if let Ok(index) = self.tasks.insert(fact, encoded, Shelf::Stored) {
                self.enter_calendar(index);
            }
        } else if self.is_to_be_remembered(&fact) {
            fact.flags |= flag::PASSED;
            if let Ok(index) = self.tasks.insert(fact, None, Shelf::Stored) {
                self.tasks.rest(index);
            }
        }
    }

    /// Forgets what has run when its dedupe window has ended; R may pass it then.
    pub(crate) fn forget(&mut self) {
        self.coverage.forget_up_to(self.memory_may_begin_at());
        let remembered_from = self.coverage.remembered_from();
        let behind = self.dues_behind();
        let unsettled = &mut self.unsettled;
        self.tasks
            .forget(self.now, remembered_from, behind, |offset| {
                unsettled.remove(offset)
            });
        if self.log.inbox().is_stalled() {
            self.tasks.let_idle_pages_go();
        }
    }

    /// The dedupe window is promised in the log's time: a repetition that was appended inside it is
    /// recognised however late it is applied. So memory follows the newest record, or the time at
    /// which the log was asked and had no more; the clocks of log and owner may differ by less than
    /// the lease's time to live.
    fn memory_may_begin_at(&self) -> Timestamp {
        let front = self.frontier.front().due;
        let had_no_more_at = self.log.had_no_more_at();
        let heard_at = had_no_more_at.map_or(Timestamp::MIN, |at| {
            at.plus_millis(-self.config.lease_ttl_ms)
        });
        front.min(self.log.time().max(heard_at))
    }

    /// Whether a fact that F has passed is to be remembered: within its dedupe window, and while
    /// the backlog may hold others of its time.
    pub(crate) fn is_to_be_remembered(&self, fact: &StoredFact) -> bool {
        let mut behind = self.dues_behind().into_iter();
        let is_behind = behind.any(|(from, until)| (from..=until).contains(&fact.due));
        is_behind || fact.forget_at(self.config.dedupe_window_ms) > self.coverage.remembered_from()
    }

    /// The fact no longer holds R back.
    pub(crate) fn settle(&mut self, index: TaskIndex) {
        let fact = self.tasks.get_mut(index);
        if fact.is(flag::UNSETTLED) {
            fact.flags &= !flag::UNSETTLED;
            self.unsettled.remove(fact.offset);
        }
    }
}
