//! Applying the log: what each command changes. Pure in the order of the log; what depends on F as
//! well is decided once, by whoever moves A over the command.

use bytes::Bytes;
use minutehand_model::{
    Command, LogOffset, Persist, Phase, Place, Revision, RevisionEntry, SetAside, TaskKey,
    TaskRecord, Timestamp,
};

use crate::effect::Effect;
use crate::fact::{StoredFact, flag};
use crate::input::InputRecord;
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;
use crate::schedule::{Cursors, Revised};
use crate::task_store::{GLANCES, Shelf, TaskIndex};

/// Where a command stands in the log.
#[derive(Clone, Copy, Debug)]
struct Position {
    offset: LogOffset,
    appended_at: Timestamp,
}

impl<R: Rules> Partition<R> {
    /// Reads on in the log, when what was read before has been applied.
    pub(crate) fn read_log(&mut self) {
        let has_more = self.log.has_more() || self.must_hear_of_the_log();
        if has_more && self.log.may_ask(self.now) {
            let request = self.request();
            let from = self.log.ask(request, self.now);
            let bytes_max = self.log_read_bytes_max();
            self.effects.push(Effect::ReadLog {
                request,
                from,
                bytes_max,
            });
        }
    }

    /// Whether the log is asked although nothing was heard of more: now and then whatever was
    /// heard, for news get lost; and sooner when something could be forgotten if nothing has been
    /// appended lately, for only the log itself can say so.
    fn must_hear_of_the_log(&self) -> bool {
        let front = self.frontier.front().due;
        let could_forget = self
            .tasks
            .forgettable_at()
            .is_some_and(|forget_at| forget_at <= front);
        let interval_ms = self.config.lease_ttl_ms / if could_forget { 3 } else { 1 };
        let is_deaf = self.breaks(PlantedBug::Deaf) && !could_forget;
        !is_deaf && self.now.millis_since(self.log.asked_at()) >= interval_ms
    }

    /// When the log is asked, whatever was heard of it.
    pub(crate) fn log_asks_at(&self) -> Option<Timestamp> {
        self.log.is_idle().then(|| {
            self.log
                .asked_at()
                .plus_millis(self.config.lease_ttl_ms)
                .max(self.now.plus_millis(1))
        })
    }

    /// Takes records that were read.
    pub(crate) fn take_records(
        &mut self,
        records: Vec<InputRecord>,
        next: LogOffset,
        end: LogOffset,
    ) {
        self.log.grew(end);
        let is_end = next >= end || self.breaks(PlantedBug::ShortRead);
        self.log.take_in(records, next, is_end);
    }

    /// Applies what has been read, as long as the next tick has room for what comes late and all is
    /// known that decisions need.
    pub(crate) fn apply_backlog(&mut self) {
        let mut looked_at = 0;
        let is_beyond_horizon = self.is_beyond_horizon();
        self.log.inbox_mut().stall(false);
        while self.has_room_for_late() && self.knows_what_is_moved() {
            if looked_at == 0 {
                looked_at = GLANCES;
                if !self.finds_room_to_apply() {
                    self.log.inbox_mut().stall(true);
                    break;
                }
                self.look_at_backlog();
            }
            looked_at -= 1;
            // What it asks for now waits in the log until the horizon has moved on.
            if is_beyond_horizon && self.log.is_new(self.log.next()) {
                break;
            }
            let Some(record) = self.log.take_next() else {
                break;
            };
            let next = record.offset.next();
            self.apply(record);
            self.log.applied_below(next);
        }
        self.tasks.queue_names.let_spent_go();
        if self.phase() == Phase::Replaying && self.log.has_replayed() {
            self.ownership.enter(Phase::Owning);
        }
    }

    /// Looks up the tasks of the next creations, all at once.
    fn look_at_backlog(&self) {
        let next = self.log.inbox().iter().take(GLANCES as usize);
        self.tasks
            .glance(next.filter_map(|record| match &record.command {
                Ok(Command::Create(task)) => Some(task.key),
                _ => None,
            }));
    }

    /// The budget: A may pass a late command only in the tick that publishes it. One half of a tick
    /// is for F and the backlog, however much comes late.
    pub(crate) fn has_room_for_late(&self) -> bool {
        let count = self.schedules.waiting() + self.outgoing.len();
        let count_max = (self.config.tick_publications_max / 2).max(1);
        let bytes = self.schedules.waiting_bytes() + self.outgoing.tick_bytes();
        count < count_max && bytes < (self.config.tick_bytes_max / 2).max(1)
    }

    fn apply(&mut self, record: InputRecord) {
        let at = Position {
            offset: record.offset,
            appended_at: record.appended_at,
        };
        let anew = self.log.is_new(at.offset);
        match record.command {
            Err(set_aside) if anew => self.outgoing.put_aside(set_aside),
            Err(_) => {}
            Ok(Command::Create(task)) => {
                if anew {
                    self.schedules
                        .task_created(task.key, &task.encoded, self.now);
                }
                self.place_task(at, task);
            }
            Ok(Command::Cancel { key, due }) => {
                if anew && self.may_still_be_stopped(at, key, due) {
                    self.schedules.task_cancelled(key, due, self.now);
                }
                self.place_void(at, key, due);
            }
            Ok(Command::Moved { key, due, task } | Command::Replace { key, due, task }) => {
                self.overtake_hold(key);
                if anew && self.may_still_be_stopped(at, key, due) {
                    self.schedules.task_moved(key, due, task.due, self.now);
                }
                self.place_void(at, key, due);
                self.place_task(at, task);
            }
            Ok(Command::Move { key, due, task }) if anew => {
                self.resolve_move(at.offset, key, due, task);
            }
            Ok(Command::Move { .. }) => {}
            Ok(Command::Revise(revision)) => self.revise(at, anew, *revision),
            Ok(command) if anew || self.breaks(PlantedBug::StateReplayed) => {
                // The log's time may be ahead of the clock, which went back since.
                let asked_at = at.appended_at.min(self.now);
                self.schedules.tell(command, at.offset, asked_at, self.now);
            }
            Ok(_) => {}
        }
    }

    /// Whether a task that is due at a time has not been published yet, as far as a record at this
    /// position can tell.
    fn may_still_be_stopped(&self, at: Position, key: TaskKey, due: Timestamp) -> bool {
        let place = Place {
            due,
            offset: at.offset,
        };
        let is_ahead = !self.frontier.has_passed(place);
        let mut was_passed = false;
        for (_, fact) in self.tasks.chain(key) {
            if fact.due != due || !fact.is(flag::PASSED) || fact.is(flag::VOID) {
                continue;
            }
            // It came late and waits for its tick.
            if fact.is(flag::BODY) {
                return true;
            }
            was_passed = true;
        }
        is_ahead && !was_passed
    }

    /// Whether a task is not to be published, because it is an attempt of a run that was asked to
    /// stop. That ends the run.
    pub(crate) fn withholds(&mut self, index: TaskIndex) -> bool {
        let (key, due) = (self.tasks.get(index).key(), self.tasks.get(index).due);
        let withholds = self.schedules.withholds(key, || self.tasks.body(index));
        if withholds {
            let now = self.reachable_present();
            self.schedules.task_cancelled(key, due, now);
        }
        withholds
    }

    fn revise(&mut self, at: Position, anew: bool, revision: Revision) {
        let entry = RevisionEntry {
            offset: at.offset,
            appended_at: at.appended_at,
            revision,
        };
        if self.revisions.is_stored(at.offset) {
            return self.revise_again(&entry);
        }
        let cursors = Cursors {
            frontier: &self.frontier,
            told: self.ticker.told(),
        };
        match self
            .schedules
            .revise(entry.clone(), cursors, anew, self.now)
        {
            Revised::Applied => {
                self.unsettled.add(at.offset);
                self.revisions.write(entry);
            }
            Revised::Refused(reason) if anew => self.set_aside_revision(&entry, reason),
            Revised::Ignored | Revised::Refused(_) => {}
        }
    }

    pub(crate) fn set_aside_revision(&mut self, entry: &RevisionEntry, reason: String) {
        let revision = &entry.revision;
        let position = format!(
            "log offset {}: revision {} of schedule {}/{}",
            entry.offset, revision.number, revision.namespace, revision.schedule
        );
        let bytes = minutehand_record::revision::encode(entry);
        self.outgoing
            .put_aside(SetAside::new(position, reason, bytes));
    }

    fn place_void(&mut self, at: Position, key: TaskKey, due: Timestamp) {
        let place = Place {
            due,
            offset: at.offset,
        };
        if self.breaks(PlantedBug::Markers)
            && due < self.coverage.horizon()
            && !self.frontier.has_passed(place)
        {
            // The bug: the void acts on what is there, and is forgotten.
            let waiting = self
                .tasks
                .chain(key)
                .find(|(_, fact)| fact.due == due && !fact.is(flag::PASSED));
            if let Some((index, _)) = waiting {
                self.tasks.get_mut(index).flags |= flag::VOID;
            }
            return;
        }
        self.place(
            StoredFact::new(key, place, at.appended_at, flag::VOID),
            None,
        );
    }

    fn place_task(&mut self, at: Position, task: TaskRecord) {
        let place = Place {
            due: task.due,
            offset: at.offset,
        };
        let Some(queue) = self.tasks.queue_names.number(&task) else {
            return self.put_aside_for_its_queue("the log", at.offset, task);
        };
        let fact = StoredFact::new(task.key, place, at.appended_at, 0).with_task(
            queue,
            task.guarantee,
            task.precision,
        );
        self.tasks.queue_names.spend(task.queue);
        self.place(fact, Some(task.encoded));
    }

    /// There is no number for the task's queue, and the task does not say which it is.
    pub(crate) fn put_aside_for_its_queue(
        &mut self,
        place: &str,
        offset: LogOffset,
        task: TaskRecord,
    ) {
        let position = format!("log offset {offset}, read from {place}");
        let reason = format!(
            "the task of queue {} cannot be read, or names another queue",
            task.queue
        );
        self.outgoing
            .put_aside(SetAside::new(position, reason, task.encoded));
    }

    /// A plain fact of the log: to the calendar when near, to a block when far (or when all are to
    /// be written), out at once when late.
    fn place(&mut self, mut fact: StoredFact, encoded: Option<Bytes>) {
        let place = fact.place();
        if self.frontier.has_passed(place) {
            self.place_behind(fact, encoded);
            return;
        }
        // What the log took after its time is remembered for longer than others that are due then:
        // who looks through the timetable for what is to be remembered would not come so far back.
        // So it stays in the log.
        let is_near = self.coverage.is_near(place.due) || !fact.may_wait_in_the_timetable();
        let is_written =
            !is_near || fact.is_ahead_of_its_time() && self.config.persist == Persist::All;
        let shelf = match (is_near, is_written) {
            (false, _) => Shelf::Far,
            (true, true) => Shelf::Stored,
            (true, false) => Shelf::Near,
        };
        if is_written {
            fact.flags |= flag::WRITING;
        }
        let Some(index) = self.insert_unsettled(fact, encoded, shelf) else {
            return;
        };
        if is_near {
            self.enter_calendar(index);
        }
        if is_written {
            let bytes = self.tasks.get(index).bytes();
            self.writes
                .pending_mut()
                .push(place.due, index, bytes, self.now);
        }
    }

    /// F has passed its time. A command at or after A came late; one before A was published, or
    /// decided against.
    fn place_behind(&mut self, mut fact: StoredFact, encoded: Option<Bytes>) {
        let anew = self.log.is_new(fact.offset) || self.breaks(PlantedBug::Late);
        if !anew && !self.is_to_be_remembered(&fact) {
            return;
        }
        fact.flags |= flag::PASSED;
        let encoded = encoded.filter(|_| anew);
        let Some(index) = self.insert_unsettled(fact, encoded, Shelf::Near) else {
            return;
        };
        if anew && self.tasks.opens_live_generation(index) && !self.withholds(index) {
            self.outgoing
                .push_late(index, self.tasks.get(index).bytes());
        } else {
            self.tasks.drop_body(index);
        }
        self.tasks.rest(index);
    }

    fn insert_unsettled(
        &mut self,
        mut fact: StoredFact,
        encoded: Option<Bytes>,
        shelf: Shelf,
    ) -> Option<TaskIndex> {
        fact.flags |= flag::UNSETTLED;
        let offset = fact.offset;
        let index = self.tasks.insert(fact, encoded, shelf).ok()?;
        self.unsettled.add(offset);
        Some(index)
    }
}
