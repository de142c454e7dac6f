//! What is known about tasks in memory: every fact of the log that is near, pending or not yet
//! forgotten.
//!
//! Facts about the same (namespace, id) form a chain. Nothing is overwritten: whether a task runs
//! is read off its chain when its time comes, so the order in which facts arrive (from the log,
//! from the timetable, again after a take-over) does not matter. Facts lie in pages in the order in
//! which they arrive, and are forgotten by the page.

use std::collections::BTreeSet;

use bytes::Bytes;
use minutehand_model::{LogOffset, TaskKey, Timestamp};

use crate::fact::{NONE, StoredFact, flag, halves};
use crate::heads::Heads;
use crate::page::{PAGE_BITS, PAGE_FACTS, Page};
use crate::queue_names::QueueNames;

/// The number of a fact in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskIndex(u32);

impl From<u32> for TaskIndex {
    fn from(number: u32) -> TaskIndex {
        TaskIndex(number)
    }
}

impl From<TaskIndex> for u32 {
    fn from(index: TaskIndex) -> u32 {
        index.0
    }
}

/// Which facts a new one is put among: those of one shelf are needed for about the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shelf {
    /// Until F has passed it and its dedupe window has ended.
    Near,
    /// Until its block is written.
    Far,
    /// As `Near`, but it came from the timetable or will soon be there, and does not hold R back
    /// for long: others of its page need not wait for it.
    Stored,
}

impl Shelf {
    const ALL: [Shelf; 3] = [Shelf::Near, Shelf::Far, Shelf::Stored];
}

/// Facts by number. A page that is no longer needed is empty.
#[derive(Debug, Default)]
struct Facts(Vec<Vec<StoredFact>>);

impl Facts {
    fn get(&self, number: u32) -> Option<&StoredFact> {
        self.0
            .get((number >> PAGE_BITS) as usize)?
            .get(number as usize % PAGE_FACTS)
    }

    fn at(&self, number: u32) -> &StoredFact {
        &self.0[(number >> PAGE_BITS) as usize][number as usize % PAGE_FACTS]
    }

    fn at_mut(&mut self, number: u32) -> &mut StoredFact {
        &mut self.0[(number >> PAGE_BITS) as usize][number as usize % PAGE_FACTS]
    }
}

/// How many keys are worth looking at ahead.
pub(crate) const GLANCES: u32 = 16;

/// The memory of a fact, and of its number among the heads of chains.
const FACT_BYTES: usize = size_of::<StoredFact>() + 8;

/// Buffers counted down at a time.
const SPENT_MAX: usize = 1_024;

/// Facts by number, and chains of them by key.
#[derive(Debug)]
pub(crate) struct TaskStore {
    /// By the numbers that facts have for them.
    pub(crate) queue_names: QueueNames,
    dedupe_window_ms: i64,
    now: Timestamp,
    /// What rests and was to be remembered up to this time is known no more.
    forgotten_before: Timestamp,
    facts: Facts,
    pages: Vec<Page>,
    /// The page of each shelf that takes new facts.
    open: [Option<u32>; Shelf::ALL.len()],
    /// How many facts the last page of each shelf had.
    filled: [usize; Shelf::ALL.len()],
    /// Numbers of pages that are empty.
    free: Vec<u32>,
    /// Pages in which nothing is left to be done, by the time at which they may go.
    complete: BTreeSet<(Timestamp, u32)>,
    /// Facts that F has passed and that wait for their tick. While there are any nothing is
    /// forgotten: what came after one of them must not be gone while it is still there.
    lingering: usize,
    heads: Heads,
    spent: Vec<Bytes>,
    /// Due times at which nothing is forgotten, from and until.
    kept: Vec<(Timestamp, Timestamp)>,
    /// Pages whose time has come, and that hold something due then.
    spared: Vec<u32>,
    /// The memory that facts and their tasks take.
    bytes: usize,
    /// That of pages in which everything rests.
    resting_bytes: usize,
    /// That of facts in the calendar queue, about.
    near_bytes: usize,
}

impl TaskStore {
    pub(crate) fn new(dedupe_window_ms: i64) -> TaskStore {
        TaskStore {
            queue_names: QueueNames::default(),
            dedupe_window_ms,
            now: Timestamp::MIN,
            forgotten_before: Timestamp::MIN,
            facts: Facts::default(),
            pages: Vec::new(),
            open: [None; Shelf::ALL.len()],
            filled: [0; Shelf::ALL.len()],
            free: Vec::new(),
            complete: BTreeSet::new(),
            lingering: 0,
            heads: Heads::default(),
            spent: Vec::new(),
            kept: Vec::new(),
            spared: Vec::new(),
            bytes: 0,
            resting_bytes: 0,
            near_bytes: 0,
        }
    }

    /// The memory that facts and their tasks take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The part of it in which everything only waits to be forgotten.
    pub(crate) fn resting_bytes(&self) -> usize {
        self.resting_bytes
    }

    /// What is in the calendar queue, about.
    pub(crate) fn near_bytes(&self) -> usize {
        self.near_bytes
    }

    /// All three, counted anew.
    pub(crate) fn counted_anew(&self) -> (usize, usize, usize) {
        let near = self
            .facts
            .0
            .iter()
            .flatten()
            .filter(|fact| fact.is(flag::NEAR))
            .map(StoredFact::bytes);
        let all = self.facts.0.iter().zip(&self.pages);
        let bytes =
            |(facts, page): (&Vec<StoredFact>, &Page)| facts.len() * FACT_BYTES + page.body_bytes();
        let resting = all.clone().filter(|(_, page)| page.is_complete());
        (all.map(bytes).sum(), resting.map(bytes).sum(), near.sum())
    }

    pub(crate) fn get(&self, index: TaskIndex) -> &StoredFact {
        self.facts.at(index.0)
    }

    pub(crate) fn get_mut(&mut self, index: TaskIndex) -> &mut StoredFact {
        self.facts.at_mut(index.0)
    }

    /// Adds a fact with its encoded task, unless the very same one is there already: then `Err`
    /// names that one.
    pub(crate) fn insert(
        &mut self,
        mut fact: StoredFact,
        encoded: Option<Bytes>,
        shelf: Shelf,
    ) -> Result<TaskIndex, TaskIndex> {
        let (number, page) = self.page_with_room(shelf);
        let facts = &mut self.facts;
        let (key, low) = (fact.key, fact.key[0]);
        let index = page << PAGE_BITS | facts.0[number].len() as u32;
        match self.heads.find_mut(low, |head| facts.at(head).key == key) {
            None => self.heads.insert(low, index, |head| facts.at(head).key[0]),
            Some(head) => {
                let mut at = *head;
                while at != NONE {
                    let other = facts.at_mut(at);
                    if other.due == fact.due {
                        let is_void = fact.flags & flag::VOID;
                        if other.offset == fact.offset && other.flags & flag::VOID == is_void {
                            return Err(TaskIndex(at));
                        }
                        other.flags |= flag::SHARED;
                        fact.flags |= flag::SHARED;
                    }
                    at = other.next;
                }
                fact.next = std::mem::replace(head, index);
            }
        }
        let page = &mut self.pages[number];
        page.busy += 1;
        let before = page.body_bytes();
        if let Some(encoded) = encoded {
            page.keep_body(&mut fact, encoded, &mut self.spent);
        }
        self.bytes += FACT_BYTES + page.body_bytes() - before;
        facts.0[number].push(fact);
        if self.spent.len() >= SPENT_MAX {
            self.spent.clear();
        }
        Ok(TaskIndex(index))
    }

    /// The open page of a shelf, as an index and as the upper bits of its facts' numbers.
    fn page_with_room(&mut self, shelf: Shelf) -> (usize, u32) {
        if let Some(page) = self.open[shelf as usize] {
            if self.facts.0[page as usize].len() < PAGE_FACTS {
                return (page as usize, page);
            }
            self.close(shelf);
        }
        let room = (self.filled[shelf as usize] * 9 / 8).clamp(4, PAGE_FACTS);
        let facts = Vec::with_capacity(room);
        let page = match self.free.pop() {
            Some(page) => {
                self.pages[page as usize] = Page::open(self.now);
                self.facts.0[page as usize] = facts;
                page
            }
            None => {
                self.pages.push(Page::open(self.now));
                self.facts.0.push(facts);
                let page = self.pages.len() - 1;
                u32::try_from(page).expect("fewer than a million pages of facts in memory")
            }
        };
        self.open[shelf as usize] = Some(page);
        (page as usize, page)
    }

    fn close(&mut self, shelf: Shelf) {
        if let Some(page) = self.open[shelf as usize].take() {
            self.filled[shelf as usize] = self.facts.0[page as usize].len();
            self.bytes -= self.pages[page as usize].close();
            self.note_complete(page);
        }
    }

    fn note_complete(&mut self, page: u32) {
        let state = &self.pages[page as usize];
        if state.is_complete() {
            self.resting_bytes += self.facts.0[page as usize].len() * FACT_BYTES;
            self.complete.insert((state.forget_at, page));
        }
    }

    /// The encoded task, if it is still kept.
    pub(crate) fn body(&self, index: TaskIndex) -> Option<Bytes> {
        self.pages[(index.0 >> PAGE_BITS) as usize].body(self.get(index))
    }

    /// A fact goes to the calendar queue, unless it is there or was: what F has passed waits for its
    /// block at most, also when the look-ahead comes to its time again. Whether it goes there.
    pub(crate) fn come_near(&mut self, index: TaskIndex) -> bool {
        let fact = self.get_mut(index);
        let comes = fact.is_far();
        if comes {
            fact.flags |= flag::NEAR;
            self.near_bytes += self.get(index).bytes();
        }
        comes
    }

    /// A fact leaves the calendar queue before its time.
    pub(crate) fn leave_near(&mut self, index: TaskIndex) {
        let fact = self.get_mut(index);
        debug_assert!(fact.is(flag::NEAR), "what leaves was there");
        fact.flags &= !flag::NEAR;
        self.near_bytes -= self.get(index).bytes();
    }

    /// F passes a fact, which is in the calendar queue no more.
    pub(crate) fn pass(&mut self, index: TaskIndex) {
        let fact = self.get_mut(index);
        debug_assert!(
            fact.is(flag::NEAR),
            "what F passes comes from the calendar queue"
        );
        fact.flags = (fact.flags | flag::PASSED) & !flag::NEAR;
        self.near_bytes -= self.get(index).bytes();
    }

    /// The encoded task is not needed any more.
    pub(crate) fn drop_body(&mut self, index: TaskIndex) {
        let fact = self.get_mut(index);
        fact.flags &= !flag::BODY;
        fact.body_bytes = 0;
    }

    /// When F has passed a fact and its task is gone, it only needs to be remembered. To be called
    /// when one of these has come true. It is forgotten at its time even while its number stands in
    /// a write; only its page waits for that.
    pub(crate) fn rest(&mut self, index: TaskIndex) {
        let fact = self.get_mut(index);
        let is_lingering = fact.is(flag::PASSED) && fact.is(flag::BODY);
        if is_lingering && !fact.is(flag::LINGERING) {
            fact.flags |= flag::LINGERING;
            self.lingering += 1;
        } else if !is_lingering && fact.is(flag::PASSED) && !fact.is(flag::RESTING) {
            let has_lingered = fact.is(flag::LINGERING);
            fact.flags = (fact.flags | flag::RESTING) & !flag::LINGERING;
            self.lingering -= usize::from(has_lingered);
            self.let_page_go(index);
        }
    }

    /// The number of a fact does not stand in what is to be written any more.
    pub(crate) fn leave_write(&mut self, index: TaskIndex) {
        self.get_mut(index).flags &= !flag::WRITING;
        self.let_page_go(index);
    }

    /// The same for a fact that has run before it was written; whether it has.
    pub(crate) fn leaves_unwritten(&mut self, index: TaskIndex) -> bool {
        let has_passed = self.get(index).is(flag::PASSED);
        if has_passed {
            self.leave_write(index);
        }
        has_passed
    }

    /// The page need not stay for a fact that rests and whose number nobody has.
    fn let_page_go(&mut self, index: TaskIndex) {
        let fact = self.get(index);
        if fact.is(flag::RESTING) && !fact.is(flag::WRITING) {
            let remembered = Some((fact.due, fact.forget_at(self.dedupe_window_ms)));
            self.one_less_busy(index, remembered);
        }
    }

    fn one_less_busy(&mut self, index: TaskIndex, remembered: Option<(Timestamp, Timestamp)>) {
        let page = index.0 >> PAGE_BITS;
        self.bytes -= self.pages[page as usize].rests_one_more(remembered);
        self.note_complete(page);
    }

    /// Forgets a fact that does not rest.
    pub(crate) fn remove(&mut self, index: TaskIndex) {
        debug_assert!(
            !self.get(index).is(flag::RESTING | flag::REMOVED),
            "fact {index:?} goes with its page"
        );
        self.unchain(index.0);
        self.get_mut(index).flags |= flag::REMOVED;
        self.one_less_busy(index, None);
    }

    /// Takes a fact out of its chain.
    fn unchain(&mut self, index: u32) {
        let StoredFact { key, next, .. } = *self.facts.at(index);
        // Mostly it is the only one; then its number says it, and no fact need be looked at.
        if next == NONE && self.heads.remove(key[0], index) {
            return;
        }
        if let Some(head) = self.heads.find_mut(key[0], |head| head == index) {
            *head = next;
            return;
        }
        let facts = &mut self.facts;
        let mut at = self
            .heads
            .find(key[0], |head| facts.at(head).key == key)
            .unwrap_or(NONE);
        while at != NONE {
            let other = facts.at_mut(at);
            if other.next == index {
                other.next = next;
                return;
            }
            at = other.next;
        }
        debug_assert!(false, "fact {index} is in no chain");
    }

    /// When the first page could go.
    pub(crate) fn forgettable_at(&self) -> Option<Timestamp> {
        let open = self
            .open
            .iter()
            .flatten()
            .map(|page| (&self.pages[*page as usize], *page));
        let resting = open
            .filter(|(page, _)| page.busy == 0)
            .map(|(page, _)| page.forget_at);
        resting
            .chain(self.complete.first().map(|(forget_at, _)| *forget_at))
            .min()
    }

    /// Forgets what was to be remembered up to a time: it is known no more from now on, and its
    /// pages go when the last of their facts may. What is due in one of the stretches of time
    /// `kept`, both ends included, is not forgotten. Names the offsets that held R back.
    pub(crate) fn forget(
        &mut self,
        now: Timestamp,
        before: Timestamp,
        kept: Vec<(Timestamp, Timestamp)>,
        mut settled: impl FnMut(LogOffset),
    ) {
        self.now = now;
        self.spent.clear();
        let has_changed = self.kept != kept;
        self.kept = kept;
        if self.lingering > 0 {
            return;
        }
        self.forgotten_before = self.forgotten_before.max(before);
        for shelf in Shelf::ALL {
            if self.open[shelf as usize].is_some_and(|page| self.pages[page as usize].is_ripe(now))
            {
                self.close(shelf);
            }
        }
        while let Some((forget_at, page)) = self.complete.first().copied()
            && forget_at <= self.forgotten_before
        {
            self.complete.pop_first();
            self.drop_or_spare(page, &mut settled);
        }
        if has_changed {
            for page in std::mem::take(&mut self.spared) {
                self.drop_or_spare(page, &mut settled);
            }
        }
    }

    /// What is known no more holds R back no longer, although its page has to stay for others.
    /// Looks at everything; answers how much that is, and names the offsets.
    pub(crate) fn settle_forgotten(&mut self, mut settled: impl FnMut(LogOffset)) -> usize {
        let (mut count, mut gone) = (0, Vec::new());
        for (page, facts) in self.facts.0.iter().enumerate() {
            count += facts.len();
            let is_gone = |fact: &StoredFact| fact.is(flag::UNSETTLED) && self.is_forgotten(fact);
            gone.extend(
                (0..facts.len())
                    .filter(|slot| is_gone(&facts[*slot]))
                    .map(|slot| (page, slot)),
            );
        }
        for (page, slot) in gone {
            let fact = &mut self.facts.0[page][slot];
            fact.flags &= !flag::UNSETTLED;
            settled(fact.offset);
        }
        count
    }

    /// Closes the open pages in which nothing is left to be done: their tasks need no memory any
    /// more.
    pub(crate) fn let_idle_pages_go(&mut self) {
        for shelf in Shelf::ALL {
            if self.open[shelf as usize].is_some_and(|page| self.pages[page as usize].busy == 0) {
                self.close(shelf);
            }
        }
    }

    fn drop_or_spare(&mut self, page: u32, settled: &mut impl FnMut(LogOffset)) {
        match self
            .kept
            .iter()
            .any(|kept| self.pages[page as usize].touches(*kept))
        {
            true => self.spared.push(page),
            false => self.drop_page(page, settled),
        }
    }

    fn drop_page(&mut self, page: u32, settled: &mut impl FnMut(LogOffset)) {
        let length = self.facts.0[page as usize].len() as u32;
        for slot in 0..length {
            let index = page << PAGE_BITS | slot;
            if slot % GLANCES == 0 {
                self.glance(
                    (slot..length.min(slot + GLANCES))
                        .map(|slot| self.facts.at(page << PAGE_BITS | slot).key()),
                );
            }
            let StoredFact { offset, flags, .. } = *self.facts.at(index);
            assert!(
                flags & (flag::NEAR | flag::WRITING) == 0,
                "fact {index} is forgotten while a queue or a write names it"
            );
            if flags & flag::UNSETTLED != 0 {
                settled(offset);
            }
            if flags & flag::REMOVED == 0 {
                self.unchain(index);
            }
        }
        let bytes = length as usize * FACT_BYTES;
        (self.bytes, self.resting_bytes) = (self.bytes - bytes, self.resting_bytes - bytes);
        self.facts.0[page as usize] = Vec::new();
        self.pages[page as usize] = Page::open(self.now);
        self.free.push(page);
    }

    /// Looks at what is known of some keys, so that their memory is fetched side by side and not
    /// one after the other.
    pub(crate) fn glance(&self, keys: impl Iterator<Item = TaskKey>) {
        std::hint::black_box(
            keys.map(|key| self.heads.glance(halves(key)[0]))
                .fold(0, u32::wrapping_add),
        );
    }

    /// Whether a fact has been remembered for as long as was promised.
    fn is_forgotten(&self, fact: &StoredFact) -> bool {
        let is_kept = || {
            self.kept
                .iter()
                .any(|(from, until)| (*from..=*until).contains(&fact.due))
        };
        fact.is(flag::RESTING)
            && fact.forget_at(self.dedupe_window_ms) <= self.forgotten_before
            && !is_kept()
    }

    /// What is known about a key, newest arrival first.
    pub(crate) fn chain(&self, key: TaskKey) -> impl Iterator<Item = (TaskIndex, &StoredFact)> {
        self.every_fact(key)
            .filter(|(_, fact)| !self.is_forgotten(fact))
    }

    /// The same with what is forgotten and not gone yet.
    fn every_fact(&self, key: TaskKey) -> impl Iterator<Item = (TaskIndex, &StoredFact)> {
        let key = halves(key);
        let head = self
            .heads
            .find(key[0], |head| self.facts.at(head).key == key);
        let mut at = head.unwrap_or(NONE);
        std::iter::from_fn(move || {
            let fact = self.facts.get(at)?;
            let index = TaskIndex(at);
            at = fact.next;
            Some((index, fact))
        })
    }

    /// Whether a creation is to be published: it opens a generation, and nothing known closes it.
    ///
    /// A generation of (key, due time) begins with a creation that follows none, or a void; further
    /// creations before the next void are the same task again.
    pub(crate) fn opens_live_generation(&self, index: TaskIndex) -> bool {
        let fact = self.get(index);
        if fact.is(flag::VOID) {
            return false;
        }
        if !fact.is(flag::SHARED) {
            return true;
        }
        let (key, place) = (fact.key(), fact.place());
        // A void may be due to be forgotten before the creation that it closes has gone out: facts
        // are forgotten in their order, so what follows one that is known is known as well.
        let all = || {
            self.every_fact(key)
                .filter(move |(_, fact)| fact.due == place.due)
        };
        let known_from = all()
            .filter(|(_, fact)| !self.is_forgotten(fact))
            .map(|(_, fact)| fact.order())
            .min();
        let is_known =
            move |other: &StoredFact| known_from.is_some_and(|from| other.order() >= from);
        let same_due = || all().filter(move |(other, fact)| *other != index && is_known(fact));
        let precedes = |other: &StoredFact| other.order() < (place.offset, true);
        let before = same_due()
            .filter(|(_, other)| precedes(other))
            .max_by_key(|(_, other)| other.order());
        let opens = before.is_none_or(|(_, other)| other.is(flag::VOID));
        opens && !same_due().any(|(_, other)| other.is(flag::VOID) && other.offset > place.offset)
    }
}

#[cfg(test)]
#[path = "task_store_tests.rs"]
mod tests;
