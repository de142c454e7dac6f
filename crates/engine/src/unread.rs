//! What of the timetable is left unread: stretches that F's front has left behind, read in as the backlog is caught up with.
//!
//! What is due in an unread part goes to the timetable, whenever it comes, and not to memory. So memory holds what is on time
//! and the oldest of what is late, however much was missed.

use minutehand_model::time::MINUTE_MS;
use minutehand_model::{Place, Timestamp, TimetablePage};

use crate::effect::Effect;
use crate::partition::Partition;
use crate::phase::Phase;

/// Most parts that are left unread; then the last two are taken for one, and what lies between them is read again.
const PARTS_MAX: usize = 64;
/// An answer with fewer entries than this says that little lies here: the next read looks twice as far.
const FEW_ENTRIES: usize = 256;

/// A part of the timetable that is not in memory. What is due in it is owed by the backlog, or has been published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread {
    /// What is due before is in memory.
    pub(crate) from: Timestamp,
    /// What is due before goes to memory: ahead of `from` while a read is under way.
    horizon: Timestamp,
    /// From here on it is in memory again.
    until: Timestamp,
    /// How far the next read looks, in milliseconds.
    span_ms: i64,
}

impl Unread {
    fn holds(&self, due: Timestamp) -> bool {
        self.from <= due && due < self.until
    }
}

impl Partition {
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
        let mut part = Unread { from, horizon: from, until, span_ms: MINUTE_MS };
        // One that reading ahead has not come to yet becomes part of it.
        while let Some(last) = self.unread.back().copied()
            && (last.until >= from || self.unread.len() >= PARTS_MAX)
        {
            let first = if last.from <= part.from { last } else { part };
            part = Unread { until: last.until.max(part.until), ..first };
            self.unread.pop_back();
        }
        self.unread.push_back(part);
    }

    /// Goes on reading ahead behind the unread part that has been reached, if one has.
    pub(crate) fn skip_unread(&mut self) {
        for part in &self.unread {
            if part.holds(self.loaded) {
                self.loaded = part.until;
            }
        }
        self.horizon = self.horizon.max(self.loaded);
    }

    /// Where the next unread part begins, behind what has been read ahead.
    pub(crate) fn next_unread(&self) -> Timestamp {
        let ahead = self.unread.iter().map(|part| part.from).find(|from| *from > self.loaded);
        ahead.unwrap_or(Timestamp::MAX)
    }

    /// Reads on in the backlog, when there is room for it.
    pub(crate) fn read_behind(&mut self) {
        if !self.reading_behind.is_free(self.now) || self.phase == Phase::Replaying {
            return;
        }
        self.leave_out_what_is_passed();
        if !self.has_room_behind() {
            return;
        }
        let Some(part) = self.unread.front_mut() else { return };
        if part.until > self.loaded {
            // Reading ahead comes there first.
            return;
        }
        // Blocks are of one minute: reads end with one.
        let whole = part.from.plus_millis(part.span_ms).floor_to_minute();
        let (from, until) = (part.from, whole.min(part.until));
        part.horizon = part.horizon.max(until);
        let (request, bytes_max) = (self.request(), self.page_bytes_max());
        self.reading_behind.start(request);
        self.effects.push_back(Effect::ReadTimetable { request, from, until, bytes_max });
        self.bring_near(from, until);
    }

    /// What has been published need not be read: only what the backlog owes.
    fn leave_out_what_is_passed(&mut self) {
        while let Some(part) = self.unread.front_mut() {
            let owed = self.frontier.backlog.iter().find(|stretch| stretch.through.due >= part.from);
            let from = owed.map_or(Timestamp::MAX, |stretch| stretch.after.due.floor_to_minute());
            part.from = part.from.max(from);
            part.horizon = part.horizon.max(part.from);
            if part.from < part.until {
                return;
            }
            self.unread.pop_front();
        }
    }

    /// Takes a page of the backlog.
    pub(crate) fn loaded_behind(&mut self, page: TimetablePage) {
        let (complete_until, count) = (page.complete_until, page.entries.len());
        self.load_entries(page);
        let Some(part) = self.unread.front_mut() else { return };
        part.from = part.from.max(complete_until);
        // From now on what comes goes to the timetable, and is read with the next page.
        part.horizon = part.from;
        part.span_ms = if count < FEW_ENTRIES { part.span_ms.saturating_mul(2) } else { MINUTE_MS };
        if part.from >= part.until {
            self.unread.pop_front();
        }
    }

    /// How far the backlog may go: not beyond what is in memory.
    pub(crate) fn read_behind_until(&self) -> Place {
        let unread = self.unread.front().map_or(self.loaded, |part| part.from.min(self.loaded));
        Place::end_of(unread.plus_millis(-1))
    }
}
