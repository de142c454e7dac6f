//! Counting for the ledger: what F has decided about every minute, and the rows of minutes that are
//! over.
//!
//! Counts are part of the checkpoint, so they are committed with what they count. A minute is
//! closed by the tick that moves F's floor past it and a little further. Its row is then kept
//! outside, together with what the timetable itself says of the minute; until that is acknowledged
//! the checkpoint carries it, and a successor keeps it again.

use minutehand_model::ledger::{ROWS_KEPT_MS, execution_fingerprint, fact_fingerprint};
use minutehand_model::time::{HOUR_MS, MINUTE_MS};
use minutehand_model::{LogOffset, Minutes, Phase, Place, Publication, Tally, Timestamp};

use crate::effect::Effect;
use crate::fact::{StoredFact, flag};
use crate::input::RequestId;
use crate::partition::Partition;
use crate::retry::Single;
use crate::rules::Rules;
use crate::schedule::Outbox;
use crate::supplements;

/// How long a minute stays open when it is over, in milliseconds: what comes a little late is
/// counted where it belongs.
const OPEN_MS: i64 = 2_000;
/// Most minutes that are counted at once when a tick ends: four hours. Beyond it the oldest are
/// given up.
const OPEN_MAX: usize = 240;
/// Most minutes that wait for their row; then none is closed until some are kept.
const CLOSED_MAX: usize = 64;
/// A frontier that lies further back than this is not counted from: counting begins at the present.
const BEHIND_MS_MAX: i64 = HOUR_MS;

/// The minutes that are being counted, and the rows on their way out.
#[derive(Debug)]
pub(crate) struct MinuteBook {
    is_on: bool,
    /// A checkpoint has been taken up, and no tick was built since.
    has_gone_on: bool,
    minutes: Minutes,
    /// The tally that was counted in last.
    at: usize,
    /// From here on minutes are counted once more that a clock which was ahead had closed.
    again_from: Option<Timestamp>,
    /// R as it was committed last: what a minute that begins now finds in the timetable.
    stored_below: LogOffset,
    given_up: u64,
    keeping: Single,
    /// The last minute of the rows under way, and the tick by which supplements among them had
    /// been closed.
    kept_through: Timestamp,
    kept_by: u64,
}

impl MinuteBook {
    /// Nothing is counted yet, or ever.
    pub(crate) fn new(is_on: bool) -> MinuteBook {
        MinuteBook {
            is_on,
            has_gone_on: false,
            minutes: Minutes::START,
            at: 0,
            again_from: None,
            stored_below: LogOffset::START,
            given_up: 0,
            keeping: Single::default(),
            kept_through: Timestamp::MIN,
            kept_by: 0,
        }
    }

    /// Goes on from a checkpoint.
    pub(crate) fn go_on(&mut self, minutes: &Minutes) {
        if self.is_on {
            self.minutes.clone_from(minutes);
            self.has_gone_on = true;
        }
    }

    /// What the next checkpoint carries.
    pub(crate) fn minutes(&self) -> &Minutes {
        &self.minutes
    }

    /// How many minutes were given up since this owner began.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    pub(crate) fn keeping(&self) -> &Single {
        &self.keeping
    }

    pub(crate) fn keeping_mut(&mut self) -> &mut Single {
        &mut self.keeping
    }

    /// A tick is being built. Counting begins with the first whole minute ahead of F.
    fn begin_tick(&mut self, front: Timestamp, now: Timestamp, stored_below: LogOffset) {
        self.stored_below = stored_below;
        if !self.is_on {
            return;
        }
        let begins_at = self.minutes.closed_before.map_or_else(
            || {
                let is_recent = front.plus_millis(BEHIND_MS_MAX) >= now;
                let begin = if is_recent { front } else { now };
                begin.floor_to_minute().plus_millis(MINUTE_MS)
            },
            |before| before.max(self.empty_before(now)),
        );
        self.has_gone_on = false;
        self.minutes.closed_before = Some(begins_at);
    }

    /// Nothing was counted in open minutes before this, and rows of them would not be kept. Only who
    /// takes over passes them over: a clock may leap further than that while an owner goes on.
    fn empty_before(&self, now: Timestamp) -> Timestamp {
        if !self.has_gone_on {
            return Timestamp::MIN;
        }
        let kept_from = now.plus_millis(-ROWS_KEPT_MS).floor_to_minute();
        let oldest_open = self.minutes.tallies.get(self.closed_count());
        oldest_open.map_or(kept_from, |tally| tally.minute.min(kept_from))
    }

    /// The tally in which what is due at a time is counted: of its minute, or of the oldest open
    /// one when that is closed. And whether it is that of its minute, with all that was stored of
    /// it.
    #[inline]
    fn tally_of(&mut self, due: Timestamp) -> Option<(&mut Tally, bool)> {
        let closed_before = self.minutes.closed_before.filter(|_| self.is_on)?;
        let own = due.floor_to_minute();
        let again = self.again_from.map(|from| own.max(from));
        if let Some(again) = again.filter(|minute| *minute < closed_before) {
            let tally = supplements::open_of(&mut self.minutes.supplements, again);
            return Some((tally, false));
        }
        let minute = own.max(closed_before);
        let is_at = |tally: &Tally| tally.minute == minute;
        if !self.minutes.tallies.get(self.at).is_some_and(is_at) {
            self.at = self.place_of(minute);
        }
        let tally = self.minutes.tallies.get_mut(self.at)?;
        let is_own = tally.minute == own;
        Some((tally, is_own))
    }

    /// Where the tally of a minute is. None is given up for it: what a tick counts about one thing,
    /// it counts in one minute.
    fn place_of(&mut self, minute: Timestamp) -> usize {
        let tallies = &mut self.minutes.tallies;
        match tallies.binary_search_by_key(&minute, |tally| tally.minute) {
            Ok(at) => at,
            Err(at) => {
                tallies.insert(at, Tally::begin(minute, self.stored_below));
                at
            }
        }
    }

    /// Too many minutes are open: of the oldest, and of the empty ones before them, there will be
    /// no row.
    fn give_up_oldest(&mut self) {
        let closed = self.closed_count();
        let open = self.minutes.tallies.len() - closed;
        let through = closed + open.saturating_sub(OPEN_MAX);
        let last = self.minutes.tallies.drain(closed..through).next_back();
        if let Some(last) = last
            && let Some(before) = &mut self.minutes.closed_before
        {
            self.given_up += (last.end().millis_since(*before) / MINUTE_MS) as u64;
            *before = last.end();
        }
        self.given_up += supplements::give_up(&mut self.minutes.supplements);
        assert!(
            self.minutes.tallies.len() <= closed + OPEN_MAX,
            "a checkpoint has room for every open minute"
        );
    }

    /// F has passed a fact.
    #[inline]
    pub(crate) fn passed(&mut self, fact: &StoredFact, runs: bool, now: Timestamp) {
        let Some((tally, is_own)) = self.tally_of(fact.due) else {
            return;
        };
        let is_void = fact.is(flag::VOID);
        if runs {
            tally.due += 1;
            tally.early += u64::from(fact.due > now);
        } else if !is_void {
            tally.withdrawn += 1;
        }
        if is_own && fact.offset < tally.stored_below {
            tally
                .stored
                .add(fact_fingerprint(fact.key(), fact.due, fact.offset, is_void));
        }
    }

    /// A task came after F had passed its time, and is published.
    pub(crate) fn came_late(&mut self, due: Timestamp) {
        if let Some((tally, _)) = self.tally_of(due) {
            tally.late += 1;
        }
    }

    /// Everything that a tick publishes.
    fn published(&mut self, publications: &[Publication]) {
        if !self.is_on {
            return;
        }
        for Publication { task, .. } in publications {
            if let Some((tally, _)) = self.tally_of(task.due) {
                tally
                    .published
                    .add(execution_fingerprint(task.key, task.due));
            }
        }
    }

    /// What schedules have added to what is published.
    pub(crate) fn recurred(&mut self, publications: &[Publication]) {
        for publication in publications {
            if let Some((tally, _)) = self.tally_of(publication.task.due) {
                tally.recurring += 1;
            }
        }
    }

    /// The nominal times of occurrences that policies have left out.
    fn left_out(&mut self, nominals: &[Timestamp]) {
        for nominal in nominals {
            if let Some((tally, _)) = self.tally_of(*nominal) {
                tally.left_out += 1;
            }
        }
    }

    fn closed_count(&self) -> usize {
        self.minutes.closed().count()
    }

    /// When F must have come to close the next minute; `None` when none can be closed.
    fn closes_at(&self) -> Option<Timestamp> {
        let minute = self.minutes.closed_before.filter(|_| self.is_on)?;
        let has_room = self.closed_count() < CLOSED_MAX;
        has_room.then(|| minute.plus_millis(MINUTE_MS + OPEN_MS))
    }

    /// Closes the minutes that lie behind F's floor. Empty ones take no room from those that are
    /// open.
    fn close(&mut self, floor: Timestamp, tick: u64) {
        while self.closes_at().is_some_and(|at| at <= floor)
            && let Some(minute) = self.minutes.closed_before
        {
            let at = self.place_of(minute);
            let tally = &mut self.minutes.tallies[at];
            tally.closed_by = tick;
            self.minutes.closed_before = Some(tally.end());
        }
        let through = floor.plus_millis(-OPEN_MS);
        supplements::close(&mut self.minutes.supplements, through, tick);
    }

    /// From here on minutes are counted once more, each of them whether or not anything is due.
    fn count_again(&mut self, from: Option<Timestamp>) {
        let closed_before = self.minutes.closed_before.filter(|_| self.is_on);
        let is_closed = |from: &Timestamp| closed_before.is_some_and(|before| *from < before);
        if let Some(from) = from.filter(is_closed) {
            supplements::open_of(&mut self.minutes.supplements, from);
        }
    }

    /// When F must have come to close the next minute that is counted once more.
    fn closes_again_at(&self) -> Option<Timestamp> {
        let end = supplements::first_end(&self.minutes.supplements)?;
        Some(end.plus_millis(OPEN_MS))
    }

    /// Whether a tick has closed a minute.
    fn is_closed_by(&self, tick: u64) -> bool {
        let last = self.minutes.closed().last();
        last.into_iter()
            .chain(&self.minutes.supplements)
            .any(|tally| tally.closed_by == tick)
    }

    /// Minutes before this have their rows, or get none.
    fn done_before(&self) -> Option<Timestamp> {
        let waiting = self.minutes.closed().take(1);
        let waiting = waiting.chain(&self.minutes.supplements);
        let closed_before = self.minutes.closed_before?;
        let first = waiting.map(|tally| tally.minute).min();
        Some(first.map_or(closed_before, |first| first.min(closed_before)))
    }

    /// The closed minutes that a committed tick tells of, and no row is on its way of.
    fn take_closed(&mut self, committed: u64, request: RequestId) -> Vec<Tally> {
        let closed = self.minutes.closed();
        let tallies: Vec<Tally> = closed
            .take_while(|tally| tally.closed_by <= committed)
            .copied()
            .collect();
        if let Some(last) = tallies.last() {
            self.kept_through = last.minute;
        }
        let again = self.minutes.supplements.iter();
        let again = again.filter(|tally| supplements::is_closed(tally, committed));
        self.kept_by = committed;
        self.keeping.start(request);
        tallies.into_iter().chain(again.copied()).collect()
    }

    fn has_closed(&self, committed: u64) -> bool {
        let first = self.minutes.closed().take(1);
        first
            .chain(&self.minutes.supplements)
            .any(|tally| supplements::is_closed(tally, committed))
    }

    /// Whether this says that the rows under way are kept.
    pub(crate) fn kept(&mut self, request: RequestId) -> bool {
        let is_awaited = self.keeping.answers(request);
        if is_awaited {
            let (through, count) = (self.kept_through, self.closed_count());
            let closed = &self.minutes.tallies[..count];
            let kept = closed.partition_point(|tally| tally.minute <= through);
            self.minutes.tallies.drain(..kept);
            let by = self.kept_by;
            let again = &mut self.minutes.supplements;
            again.retain(|tally| !supplements::is_closed(tally, by));
            self.at = 0;
        }
        is_awaited
    }

    /// The timetable of minutes before this is needed for no row any more.
    fn needs_from(&self) -> Timestamp {
        let oldest = self.minutes.tallies.first().map(|tally| tally.minute);
        let closed_before = self.minutes.closed_before.filter(|_| self.is_on);
        oldest
            .into_iter()
            .chain(closed_before)
            .min()
            .unwrap_or(Timestamp::MAX)
    }
}

impl<R: Rules> Partition<R> {
    /// A tick is being built: what it decides is counted.
    pub(crate) fn begin_counting(&mut self) {
        let (front, committed) = (self.frontier.front().due, self.ticker.committed());
        self.minutes.again_from = self.counts_again_from();
        self.minutes
            .begin_tick(front, self.now, committed.replay_from);
    }

    /// In a gap of F minutes are counted once more, from a little before the present on.
    fn counts_again_from(&self) -> Option<Timestamp> {
        let front = self.frontier.front().due.plus_millis(-OPEN_MS);
        let is_in_gap = !self.frontier.gaps.is_empty();
        is_in_gap.then(|| front.floor_to_minute())
    }

    /// Minutes of the ledger before this have their rows, or get none; `None` before the first.
    pub(crate) fn minutes_done_before(&self) -> Option<Timestamp> {
        let done_before = self.minutes.done_before()?;
        let again_from = self.counts_again_from().unwrap_or(Timestamp::MAX);
        Some(done_before.min(again_from))
    }

    /// A tick is complete, and F stands where it says; minutes that are over are closed. Whether
    /// one was: then the tick must be committed, or another one of its number might be.
    pub(crate) fn end_counting(&mut self, outbox: &Outbox, tick: u64) -> bool {
        self.minutes.published(&outbox.publications);
        self.minutes.left_out(&outbox.left_out);
        // A revision that was read late owes what lies before all that was left behind.
        let owed = self.schedules.peek_behind();
        let owed = owed.map_or(Place::end_of(Timestamp::MAX), |oldest| {
            oldest.preceding().unwrap_or(Place::START)
        });
        self.minutes
            .close(self.frontier.floor().min(owed).due, tick);
        let again_from = self.counts_again_from();
        self.minutes.count_again(again_from);
        self.minutes.give_up_oldest();
        self.minutes.is_closed_by(tick)
    }

    /// When a minute can be closed although nothing else happens: F comes there by itself.
    pub(crate) fn minute_closes_at(&self) -> Option<Timestamp> {
        let is_behind = !self.frontier.backlog.is_empty() || self.frontier.owed_after.is_some();
        let is_held_back = is_behind || self.phase() == Phase::Replaying;
        if is_held_back || !self.config.ledger {
            return None;
        }
        let Some(closed_before) = self.minutes.minutes().closed_before else {
            return Some(self.now);
        };
        let closes_again_at = self.minutes.closes_again_at();
        let again_from = self.counts_again_from();
        if closes_again_at.is_none() && again_from.is_some_and(|from| from < closed_before) {
            return Some(self.now);
        }
        let closes_at = self.minutes.closes_at();
        closes_at
            .into_iter()
            .chain(closes_again_at)
            .min()
            .filter(|at| *at <= self.frontier_bound())
    }

    /// Sends the rows of minutes that are closed for good.
    pub(crate) fn keep_minutes(&mut self) {
        let committed = self.ticker.committed().tick;
        let is_free = self.minutes.keeping().is_free(self.now);
        // A stale owner might look when a successor has let the timetable forget.
        if !is_free || !self.minutes.has_closed(committed) || !self.has_fresh_lease() {
            return;
        }
        let request = self.request();
        let tallies = self.minutes.take_closed(committed, request);
        self.effects.push(Effect::KeepMinutes { request, tallies });
    }

    /// The timetable of minutes before this is needed for no row of the ledger any more: neither by
    /// this owner nor by a successor, who goes by the checkpoint.
    pub(crate) fn ledger_needs_from(&self) -> Timestamp {
        let committed = self.ticker.committed().minutes.tallies.first();
        let committed = committed.map_or(Timestamp::MAX, |tally| tally.minute);
        self.minutes.needs_from().min(committed)
    }
}
