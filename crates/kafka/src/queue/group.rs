//! A worker group on a queue as this process takes part in it: the side of those who poll and
//! settle.
//!
//! Two threads (see `consumer`) fetch and commit for all of them. Whoever polls takes from what has
//! been fetched; whoever settles leaves a job and waits. What is left while one commit is under way
//! goes into the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use minutehand_model::{LastWord, QueueName};
use minutehand_ports::{Delivery, DeliveryId, ErrorClass, PortError};
use minutehand_record::task::is_for;
use tokio::sync::{Notify, oneshot, watch};

use super::bell::Bell;
use super::claims::{Claims, Writer};
use super::delivery::Shares;
use super::expired::Expired;
use super::job::Job;
use super::window::Window;
use crate::client::Client;
use crate::transact::{Parcel, unique};

/// Fetched and not handed out: beyond this the thread waits.
const READY_MAX: usize = 16_384;
const READY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A member that nobody polls and that has nothing in hand leaves the group after this, so that
/// others get its partitions.
const UNUSED_MAX: Duration = Duration::from_secs(10);

/// One partition of the topic that was given to this process.
pub(crate) enum Slot {
    /// Its place has not been read yet; what was fetched waits.
    Unread(Vec<(u64, Delivery)>),
    Open(Window),
}

/// What the thread and the others share.
pub(crate) struct State {
    pub(crate) slots: BTreeMap<u32, Slot>,
    /// The partition that is handed out from next.
    turn: u32,
    /// How the topic is divided; `None` while it is not there.
    pub(crate) shares: Option<Shares>,
    /// Behind the highest offset ever seen here, by partition: what lies beyond was never handed
    /// out.
    pub(crate) seen: BTreeMap<u32, u64>,
    pub(crate) jobs: Vec<Job>,
    /// Nobody works on these any more.
    pub(crate) let_go: Vec<DeliveryId>,
    /// In hand, and no business of the group: settled by the thread with what comes next.
    pub(crate) passed: Vec<DeliveryId>,
    /// The last words of runs in hand that were claimed here, by partition and offset.
    pub(crate) words: BTreeMap<(u32, u64), LastWord>,
    /// Below which offsets deliveries may be claimed, by partition.
    pub(crate) reserved: BTreeMap<u32, u64>,
    /// The count of the last token. It begins with the clock, for members whose generation is that
    /// of the same second.
    handed_out: u64,
    pub(crate) failure: Option<PortError>,
    pub(crate) is_closing: bool,
    pub(crate) has_ended: bool,
    used_at: Instant,
}

pub(crate) struct Group {
    pub(crate) client: Arc<Client>,
    pub(crate) queue: QueueName,
    pub(crate) name: String,
    pub(crate) topic: String,
    /// The consumer group.
    pub(crate) consumer_group: String,
    /// What this member is called among those who claim: nobody else ever is.
    pub(crate) claimer: String,
    pub(crate) claims: Arc<Claims>,
    pub(crate) expired: Arc<Expired>,
    state: Mutex<State>,
    /// The thread that fetches waits here.
    pub(crate) bell: Bell,
    /// The thread that commits waits here.
    pub(crate) work: Bell,
    /// Pollers wait here.
    pub(crate) news: Notify,
    pollers: AtomicUsize,
    /// Dropped by the thread when it has ended.
    ended: watch::Sender<bool>,
}

fn micros_since_epoch() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX / 2)
}

/// Counts a poll that waits, however it ends.
struct Polling<'a>(&'a Group);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.pollers.fetch_sub(1, Ordering::Relaxed);
        self.0.state().used_at = Instant::now();
    }
}

impl Group {
    pub(crate) fn new(
        client: Arc<Client>,
        claims: Arc<Claims>,
        expired: Arc<Expired>,
        queue: &QueueName,
        name: &str,
    ) -> Group {
        Group {
            topic: client.names().executions(queue),
            consumer_group: client.names().consumer_group(queue, name),
            claimer: format!("minutehand-worker-{}", unique()),
            claims,
            expired,
            client,
            queue: queue.clone(),
            name: name.to_owned(),
            state: Mutex::new(State {
                slots: BTreeMap::new(),
                turn: 0,
                shares: None,
                seen: BTreeMap::new(),
                jobs: Vec::new(),
                let_go: Vec::new(),
                passed: Vec::new(),
                words: BTreeMap::new(),
                reserved: BTreeMap::new(),
                handed_out: micros_since_epoch(),
                failure: None,
                is_closing: false,
                has_ended: false,
                used_at: Instant::now(),
            }),
            bell: Bell::default(),
            work: Bell::default(),
            news: Notify::new(),
            pollers: AtomicUsize::new(0),
            ended: watch::Sender::new(false),
        }
    }

    /// The queue, and the group's name among its others.
    pub(crate) fn named(&self) -> (&QueueName, &str) {
        (&self.queue, &self.name)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state().has_ended
    }

    /// Waits for deliveries. `None` when the thread has ended and another must be started.
    pub(crate) async fn poll(&self, count_max: usize) -> Option<Result<Vec<Delivery>, PortError>> {
        self.pollers.fetch_add(1, Ordering::Relaxed);
        let _polling = Polling(self);
        loop {
            let news = self.news.notified();
            {
                let mut state = self.state();
                if let Some(failure) = state.failure.take() {
                    return Some(Err(failure));
                }
                if state.has_ended || state.is_closing {
                    return None;
                }
                let deliveries = state.take(&self.name, count_max);
                let has_passed = !state.passed.is_empty();
                drop(state);
                if !deliveries.is_empty() || count_max == 0 {
                    self.bell.ring();
                    return Some(Ok(deliveries));
                }
                if has_passed {
                    self.bell.ring();
                }
            }
            news.await;
        }
    }

    /// Leaves a job and waits for its answer: the deliveries that were not ours any more.
    pub(crate) async fn submit(
        &self,
        action: &str,
        job: impl FnOnce(oneshot::Sender<Result<Vec<DeliveryId>, PortError>>) -> Job,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let (answer, answered) = oneshot::channel();
        let ended = || {
            PortError::new(
                ErrorClass::Retry,
                action,
                "the process is leaving the group",
            )
        };
        {
            let mut state = self.state();
            if state.has_ended {
                return Err(ended());
            }
            state.jobs.push(job(answer));
        }
        self.work.ring();
        answered.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Leaves a last word for a delivery that is about to be claimed; the record of it.
    pub(crate) fn leave(&self, id: DeliveryId, word: LastWord) -> Option<Parcel> {
        let mut state = self.state();
        let (partition, offset) = state.place(id)?;
        let writer = Writer::new(&self.client, &self.consumer_group);
        let parcel = writer.word(partition, offset, &self.claimer, &word);
        state.words.insert((partition, offset), word);
        Some(parcel)
    }

    /// The record that withdraws the last word of a delivery that was claimed here.
    pub(crate) fn withdrawal(&self, id: DeliveryId) -> Option<Parcel> {
        let state = self.state();
        let (partition, offset) = state
            .place(id)
            .filter(|place| state.words.contains_key(place))?;
        Some(Writer::new(&self.client, &self.consumer_group).withdrawal(partition, offset))
    }

    /// The last words of some deliveries are withdrawn.
    pub(crate) fn forget_words(&self, ids: &[DeliveryId]) {
        let mut state = self.state();
        for place in ids
            .iter()
            .filter_map(|id| state.place(*id))
            .collect::<Vec<_>>()
        {
            state.words.remove(&place);
        }
    }

    /// Leaves word that nobody works on some deliveries any more.
    pub(crate) fn let_go(&self, ids: Vec<DeliveryId>) {
        self.state().let_go.extend(ids);
        self.work.ring();
    }

    /// Tells those who poll of trouble; the thread goes on.
    pub(crate) fn complain(&self, trouble: PortError) {
        self.state().failure = Some(trouble);
        self.news.notify_waiters();
    }

    /// Asks the threads to end; they leave the group.
    pub(crate) fn close(&self) {
        self.state().is_closing = true;
        self.bell.ring();
        self.work.ring();
    }

    /// Waits until the thread has ended.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as we do.
        self.ended.subscribe().wait_for(|ended| *ended).await.ok();
    }

    /// The thread's last word.
    pub(crate) fn end(&self, failure: Option<PortError>) {
        let mut state = self.state();
        debug_assert!(!state.has_ended, "a group ends once");
        state.has_ended = true;
        state.failure = failure;
        state.slots.clear();
        state.jobs.clear();
        state.let_go.clear();
        state.passed.clear();
        drop(state);
        self.ended.send_replace(true);
        self.news.notify_waiters();
    }

    /// Whether nobody has wanted anything for a while.
    pub(crate) fn is_unused(&self) -> bool {
        let state = self.state();
        self.pollers.load(Ordering::Relaxed) == 0
            && state.jobs.is_empty()
            && state.in_hand() == 0
            // Who leaves the group is taken for dead by those who find its last words.
            && state.words.is_empty()
            && state.used_at.elapsed() > UNUSED_MAX
    }
}

impl State {
    /// Which part of the topic was given to this process, from 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let partitions = self.shares.map_or(0, |shares| shares.topic);
        f64::from(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
            / f64::from(partitions.max(1))
    }

    /// Hands out up to so many deliveries, from one partition after the other. What others go on with
    /// is passed over.
    fn take(&mut self, group: &str, count_max: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let order: Vec<u32> = {
            let (before, after): (Vec<u32>, Vec<u32>) = self
                .slots
                .keys()
                .partition(|partition| **partition < self.turn);
            after.into_iter().chain(before).collect()
        };
        for partition in order {
            let Some(Slot::Open(window)) = self.slots.get_mut(&partition) else {
                continue;
            };
            while deliveries.len() < count_max
                && let Some(delivery) = window.hand_out(self.handed_out + 1)
            {
                self.handed_out += 1;
                if is_for(&delivery.encoded, group) {
                    deliveries.push(delivery);
                } else {
                    self.passed.push(delivery.id);
                }
            }
            if deliveries.len() >= count_max {
                self.turn = partition + 1;
                break;
            }
        }
        debug_assert!(deliveries.len() <= count_max, "no more than asked for");
        debug_assert!(
            deliveries.is_sorted_by_key(|delivery| delivery.token.count),
            "tokens grow"
        );
        deliveries
    }

    /// Behind the last record that was fetched of a partition.
    pub(crate) fn position(&self, partition: u32) -> Option<u64> {
        match self.slots.get(&partition)? {
            Slot::Open(window) => Some(window.position()),
            Slot::Unread(_) => None,
        }
    }

    /// The same of every partition that is handed out from.
    pub(crate) fn positions(&self) -> Vec<(u32, u64)> {
        let partitions = self.slots.keys();
        partitions
            .filter_map(|partition| Some((*partition, self.position(*partition)?)))
            .collect()
    }

    /// Takes a record that was fetched.
    pub(crate) fn add(&mut self, partition: u32, offset: u64, delivery: Delivery) {
        let seen = self.seen.entry(partition).or_default();
        *seen = (*seen).max(offset + 1);
        match self.slots.get_mut(&partition) {
            Some(Slot::Unread(waiting)) => waiting.push((offset, delivery)),
            Some(Slot::Open(window)) => window.add(offset, delivery),
            // It was taken away meanwhile.
            None => {}
        }
    }

    /// What was let go is handed out again; answers the last words of what was claimed.
    pub(crate) fn take_back(&mut self) -> Vec<(u32, u64, LastWord)> {
        let mut words = Vec::new();
        for id in std::mem::take(&mut self.let_go) {
            let Some((partition, offset)) = self.place(id) else {
                continue;
            };
            let word = self.words.remove(&(partition, offset));
            let is_ready_again = match self.slots.get_mut(&partition) {
                Some(Slot::Open(window)) => window.let_go(offset),
                _ => false,
            };
            if !is_ready_again {
                words.extend(word.map(|word| (partition, offset, word)));
            }
        }
        words
    }

    /// Where a delivery lies in the topic.
    pub(crate) fn place(&self, id: DeliveryId) -> Option<(u32, u64)> {
        self.shares.map(|shares| shares.place(id))
    }

    pub(crate) fn is_full(&self) -> bool {
        let (mut count, mut bytes) = (0, 0);
        for slot in self.slots.values() {
            let ready = match slot {
                Slot::Open(window) => window.ready(),
                Slot::Unread(waiting) => (waiting.len(), 0),
            };
            count += ready.0;
            bytes += ready.1;
        }
        count >= READY_MAX || bytes >= READY_BYTES_MAX
    }

    pub(crate) fn in_hand(&self) -> u64 {
        let windows = self.slots.values().map(|slot| match slot {
            Slot::Open(window) => window.in_hand(),
            Slot::Unread(_) => 0,
        });
        windows.sum()
    }
}
