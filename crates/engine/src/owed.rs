//! What schedules owe: occurrences that come too late are left behind, and decided beside what is on
//! time.
//!
//! A schedule decides its occurrences one after the other, so one that owes any is behind as a whole
//! until it has caught up with the front. The others stay with F. Of those behind the oldest and the
//! newest take turns; what is decided of them counts as the backlog's (`owed_pace.rs`: the rate bounds
//! what makes their delay less, not what keeps pace).
//!
//! What a successor must know of it is little: the place after which F has left something behind,
//! and for every schedule that has decided anything since, how far it has come
//! (`ScheduleState::decided_through`), which leaves in the tick that decided it.

use minutehand_model::{Phase, Place, Timestamp};

use crate::owed_pace::{OwedPace, Turn};
use crate::partition::Partition;
use crate::rules::Rules;
use crate::schedule::Outbox;

/// Occurrences in one tick of which nothing is published: left out by a policy, or made to wait.
/// They take no execution's place, so that what is due is not kept behind them one tick each.
pub(crate) const SILENT_DECISIONS_MAX: usize = 4_096;

/// Schedules that are left behind in one step where each has to note it: their states leave with one
/// tick. The others stay on time meanwhile.
const LEFT_TOGETHER_MAX: usize = 1_024;

/// How much of a tick is left for something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) count: usize,
    /// How many of them the rate of catching up allows.
    pub(crate) allowed: usize,
    pub(crate) bytes: usize,
}

impl Room {
    const NONE: Room = Room {
        count: 0,
        allowed: 0,
        bytes: 0,
    };

    /// What is left; half of the bytes at least, since the last that was taken may have been large.
    fn without(self, taken: Room) -> Room {
        Room {
            count: self.count.saturating_sub(taken.count),
            allowed: self.allowed.saturating_sub(taken.allowed),
            bytes: self.bytes.saturating_sub(taken.bytes).max(self.bytes / 2),
        }
    }
}

impl<R: Rules> Partition<R> {
    /// Leaves the schedules behind that are too late, if any is.
    pub(crate) fn leave_late_schedules(&mut self) {
        let is_any_late = self
            .schedules
            .peek()
            .is_some_and(|place| self.is_late(place.due));
        let through = self.late_through();
        match self.frontier.gaps.first() {
            _ if !is_any_late => {}
            // Only what was created since the clock went back is owed there.
            Some(gap) => self
                .schedules
                .leave_each_behind(through.min(gap.through), LEFT_TOGETHER_MAX),
            None => {
                self.frontier.leave_owed();
                self.schedules.leave_behind(through);
            }
        }
    }

    /// How far what schedules owe may be decided: not beyond the present, or F.
    fn owed_limit(&self) -> Place {
        Place::end_of(self.now).min(self.frontier.front())
    }

    /// Whether a schedule that is behind has something to decide.
    pub(crate) fn owes_any(&self) -> bool {
        let oldest = self.schedules.peek_behind();
        oldest.is_some_and(|place| place <= self.owed_limit())
    }

    /// When the next that is behind is due, if F has still to come there: it was left behind just
    /// now, or a clock went back.
    pub(crate) fn owed_ahead(&self) -> Option<Timestamp> {
        let next = self.schedules.peek_behind();
        Some(next.filter(|place| *place > self.owed_limit())?.due)
    }

    /// When the oldest occurrence is due that F has left behind.
    pub(crate) fn owed_oldest(&self) -> Option<Timestamp> {
        let oldest = self.schedules.peek_behind();
        Some(oldest.filter(|place| *place <= self.frontier.front())?.due)
    }

    /// Decides what schedules owe, as far as there is room; answers what is left of it for tasks.
    pub(crate) fn take_owed(&mut self, room: Room, outbox: &mut Outbox) -> Room {
        let own = self.room_for_owed(room);
        let (published, bytes) = (outbox.publications.len(), outbox.started_bytes);
        let (mut silent, mut taken) = (0, Room::NONE);
        while self.phase() != Phase::Replaying
            && (taken.count < own.count && taken.bytes < own.bytes)
            && silent < SILENT_DECISIONS_MAX
            && let Some((place, is_charged)) = self.next_owed(taken.allowed < own.allowed)
        {
            self.decide_owed(place, is_charged, outbox);
            let count = outbox.publications.len() - published;
            let started = count - taken.count;
            silent += usize::from(started == 0);
            taken.allowed += if is_charged { started } else { 0 };
            (taken.count, taken.bytes) = (count, outbox.started_bytes - bytes);
        }
        self.minutes.recurred(&outbox.publications[published..]);
        self.note_what_is_owed();
        if taken.allowed > 0 {
            self.due.caught_up_at = self.now;
        }
        room.without(taken)
    }

    /// The place of what is decided next of all that schedules owe, and whether the rate has to
    /// allow it; `None` when nothing may be.
    fn next_owed(&mut self, is_allowed: bool) -> Option<(Place, bool)> {
        let limit = self.owed_limit();
        let oldest = self.schedules.peek_behind().filter(|at| *at <= limit)?;
        let pace = match self.due.owed_pace {
            Some(pace) => pace.seen(oldest, self.now),
            None => OwedPace::begin(oldest, self.now),
        };
        self.due.owed_pace = Some(pace);
        if pace.falls_back(self.now) {
            return Some((oldest, false));
        }
        if !is_allowed {
            return None;
        }
        self.due.owed_turn = self.due.owed_turn.next();
        let place = match self.due.owed_turn {
            Turn::Oldest => oldest,
            Turn::Newest => self.schedules.peek_newest_behind(limit).unwrap_or(oldest),
        };
        Some((place, true))
    }

    fn decide_owed(&mut self, place: Place, is_charged: bool, outbox: &mut Outbox) {
        assert!(place <= self.owed_limit(), "it is due, and F has come past");
        let behind = self.schedules.behind();
        self.schedules
            .pass_behind(place, self.reachable_present(), &self.frontier, outbox);
        let has_gained = is_charged || self.schedules.behind() < behind;
        let pace = self.due.owed_pace.zip(self.schedules.peek_behind());
        self.due.owed_pace = pace.map(|(pace, oldest)| match has_gained {
            true => pace.gained(oldest),
            false => pace.kept(oldest),
        });
    }

    /// What schedules owe takes half of the room when there are tasks behind as well; all when there
    /// are none. Of a room that cannot be halved they have the larger half in turn.
    fn room_for_owed(&mut self, room: Room) -> Room {
        let is_shared = self.due.behind.reaches(self.catch_up_limit());
        if !is_shared || room.count == 0 || !self.owes_any() {
            return room;
        }
        let has_turn = !self.due.owed_had_turn;
        self.due.owed_had_turn = has_turn;
        Room {
            count: room.count.saturating_add(usize::from(has_turn)) / 2,
            allowed: room.allowed.saturating_add(usize::from(has_turn)) / 2,
            bytes: room.bytes / 2,
        }
    }

    /// What the next checkpoint says of what schedules owe: something exactly when one is behind.
    /// Not before all of them are known.
    pub(crate) fn note_what_is_owed(&mut self) {
        if self.phase() != Phase::Replaying {
            let oldest = self.schedules.peek_behind();
            match oldest {
                // A revision that was read late owes what F has passed.
                Some(_) => self.frontier.leave_owed(),
                None => self.due.owed_pace = None,
            }
            self.frontier.note_owed(oldest);
        }
    }
}
