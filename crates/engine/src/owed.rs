//! What schedules owe: occurrences that come too late are left behind, and decided beside what is on
//! time.
//!
//! A schedule decides its occurrences one after the other, so one that owes any is behind as a whole
//! until it has caught up with the front. The others stay with F. At each of its own times one that is
//! behind decides the oldest that it owes, on F's way: so it falls back no further. What is decided of
//! them beyond that counts as the backlog's, and the oldest and the newest alternate there.
//!
//! What a successor must know of it is little: the place after which F has left something behind,
//! and for every schedule that has decided anything since, how far it has come
//! (`ScheduleState::decided_through`), which leaves in the tick that decided it.

use minutehand_model::{Phase, Place, Timestamp};

use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;
use crate::schedule::Outbox;

/// Occurrences in one tick of which nothing is published: left out by a policy, or made to wait.
/// They take no execution's place, so that what is due is not kept behind them one tick each.
pub(crate) const SILENT_DECISIONS_MAX: usize = 4_096;

/// Schedules that are left behind in one step where each has to note it: their states leave with one
/// tick. The others stay on time meanwhile.
const LEFT_TOGETHER_MAX: usize = 1_024;

/// Turns that are looked up in one step.
const TURNS_LOOKED_UP_MAX: usize = 1_024;

/// Turns that were left behind are made up for when they are not older than this by then, in
/// milliseconds, or than what is left behind at all: F was too slow for them. Before that it stood,
/// and nothing was decided that they could keep pace with.
const MADE_UP_FOR_MS: i64 = 2_000;

/// How far a clock goes back for turns to be looked up again, in milliseconds.
const BACK_MS_MIN: i64 = 1_000;

/// How much of a tick is left for something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) count: usize,
    /// Of these within the rate.
    pub(crate) rated: usize,
    pub(crate) bytes: usize,
}

impl Room {
    const NONE: Room = Room {
        count: 0,
        rated: 0,
        bytes: 0,
    };

    /// What is left; half of the bytes at least, since the last that was taken may have been large.
    fn without(self, taken: Room) -> Room {
        Room {
            count: self.count.saturating_sub(taken.count),
            rated: self.rated.saturating_sub(taken.rated),
            bytes: self.bytes.saturating_sub(taken.bytes).max(self.bytes / 2),
        }
    }
}

impl<R: Rules> Partition<R> {
    /// Leaves the schedules behind that are too late, if any is, and the turns of those that are
    /// behind. Turns that are not known are looked up.
    pub(crate) fn leave_late_schedules(&mut self) {
        let next = self.schedules.peek();
        if next.is_some_and(|place| self.is_late(place.due)) {
            self.leave_schedules_behind();
        }
        let from = self.reachable_present().max(self.frontier.front().due);
        self.schedules.look_up_turns(from, TURNS_LOOKED_UP_MAX);
    }

    fn leave_schedules_behind(&mut self) {
        let mut through = self.late_through();
        match self.frontier.gaps.first() {
            // Only what was created since the clock went back is owed there. Each state leaves with
            // the next tick.
            Some(_) if !self.ticker.is_free(self.now) => return,
            Some(gap) => {
                through = through.min(gap.through);
                self.frontier.leave_owed();
                self.schedules.leave_each_behind(through, LEFT_TOGETHER_MAX);
            }
            None => {
                self.frontier.leave_owed();
                self.schedules.leave_behind(through);
            }
        }
        let made_up_ms = self.config.catch_up_after_ms.max(MADE_UP_FOR_MS);
        let made_up_after = Place::end_of(through.due.plus_millis(-made_up_ms));
        self.schedules.leave_turns(through, made_up_after);
    }

    /// Whether turns have still to be looked up, and can be.
    pub(crate) fn looks_up_turns(&self) -> bool {
        self.tells_what_is_late() && self.schedules.lacks_turns()
    }

    /// The clock went back: schedules that are behind have turns in the time that comes again. Where
    /// that is a moment they do without, so that a clock that is slowed down costs nothing.
    pub(crate) fn turns_went_back(&mut self, back_ms: i64) {
        if back_ms >= BACK_MS_MIN {
            self.schedules.renew_all_turns();
        }
    }

    /// How far what schedules owe may be decided: not beyond the present, or F.
    fn owed_limit(&self) -> Place {
        Place::end_of(self.now).min(self.frontier.front())
    }

    /// Whether a schedule that is behind has something to decide.
    pub(crate) fn owes_any(&self) -> bool {
        let oldest = self.schedules.peek_beside();
        oldest.is_some_and(|place| place <= self.owed_limit())
    }

    /// When the next that is behind is due, if F has still to come there: it was left behind just
    /// now, or a clock went back.
    pub(crate) fn owed_ahead(&self) -> Option<Timestamp> {
        let next = self.schedules.peek_beside();
        Some(next.filter(|place| *place > self.owed_limit())?.due)
    }

    /// When the oldest occurrence is due that F has left behind.
    pub(crate) fn owed_oldest(&self) -> Option<Timestamp> {
        let oldest = self.schedules.peek_behind();
        Some(oldest.filter(|place| *place <= self.frontier.front())?.due)
    }

    /// Decides what schedules owe, as far as there is room; answers what is left of it for tasks.
    /// Turns that F was too slow for come first: they are beyond the rate, like those on its way.
    pub(crate) fn take_owed(&mut self, room: Room, outbox: &mut Outbox) -> Room {
        let own = self.room_for_owed(room);
        let (published, bytes) = (outbox.publications.len(), outbox.started_bytes);
        let (mut silent, mut taken) = (0, Room::NONE);
        while self.phase() != Phase::Replaying
            && (taken.count < own.count && taken.bytes < own.bytes)
            && silent < SILENT_DECISIONS_MAX
        {
            let is_turn = self.take_missed_turn(outbox);
            if !is_turn && (taken.rated >= own.rated || !self.take_next_owed(outbox)) {
                break;
            }
            let count = outbox.publications.len() - published;
            silent += usize::from(count == taken.count);
            taken.rated += (count - taken.count) * usize::from(!is_turn);
            (taken.count, taken.bytes) = (count, outbox.started_bytes - bytes);
        }
        self.minutes.recurred(&outbox.publications[published..]);
        self.note_what_is_owed();
        self.due.pace.take(taken.rated, self.now, self.rate());
        room.without(taken)
    }

    fn take_missed_turn(&mut self, outbox: &mut Outbox) -> bool {
        let (limit, present) = (self.owed_limit(), self.reachable_present());
        self.schedules
            .make_up_for_turn(limit, present, &self.frontier, outbox)
    }

    fn take_next_owed(&mut self, outbox: &mut Outbox) -> bool {
        let Some(place) = self.next_owed() else {
            return false;
        };
        assert!(place <= self.owed_limit(), "it is due, and F has come past");
        self.schedules
            .pass_behind(place, self.reachable_present(), &self.frontier, outbox);
        true
    }

    /// The place of what is decided next of all that schedules owe.
    fn next_owed(&mut self) -> Option<Place> {
        let limit = self.owed_limit();
        let oldest = self.schedules.peek_beside().filter(|at| *at <= limit)?;
        self.due.owed_newest_next = !self.due.owed_newest_next;
        match self.due.owed_newest_next {
            true => Some(oldest),
            false => self.schedules.peek_newest_behind(limit),
        }
    }

    /// What schedules owe takes half of the room when there are tasks behind as well; all when there
    /// are none. Of a room that cannot be halved they have the larger half in turn.
    fn room_for_owed(&mut self, room: Room) -> Room {
        let is_shared = self.due.behind.reaches(self.catch_up_limit());
        if !is_shared || !self.owes_any() {
            return room;
        }
        let is_odd = (room.count | room.rated) % 2 == 1;
        self.due.owed_had_turn ^= is_odd;
        let more = usize::from(is_odd && self.due.owed_had_turn);
        Room {
            count: room.count / 2 + more,
            rated: room.rated / 2 + more,
            bytes: room.bytes / 2,
        }
    }

    /// Whoever is behind is known to be before anything is decided: what is, has to be noted. A
    /// revision that was read late owes what F has passed, without any step that left it behind.
    pub(crate) fn note_who_is_behind(&mut self) {
        if self.schedules.peek_behind().is_some() {
            self.frontier.leave_owed();
        }
    }

    /// What the next checkpoint says of what schedules owe: something exactly when one is behind.
    /// Not before all of them are known.
    pub(crate) fn note_what_is_owed(&mut self) {
        if self.phase() == Phase::Replaying {
            return;
        }
        let is_untold = self.config.catch_up_after_ms == 0 && self.breaks(PlantedBug::OwedInOrder);
        let oldest = self.schedules.peek_behind().filter(|_| !is_untold);
        self.frontier.note_owed(oldest);
    }

    /// What holds after every step: what F has left behind a checkpoint would say.
    pub(crate) fn assert_what_is_owed_is_noted(&self) {
        assert!(
            self.phase() != Phase::Owning
                || self.frontier.owed_after.is_some()
                || self.schedules.peek_behind().is_none(),
            "F has left schedules behind, and a checkpoint would not say so: {:?}",
            self.schedules.peek_behind()
        );
    }
}
