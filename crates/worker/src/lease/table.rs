//! What is out on lease. No clock, no I/O, no randomness of its own.
//!
//! A lease ends once: by an answer, because its time is over, or because its delivery was handed
//! out anew. What has ended is given to whoever asks for it first, and its number and secret mean
//! nothing from then on. The bytes of what has ended count until [`LeaseTable::close`], so that
//! what waits to become durable is bounded as well.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use minutehand_model::{GroupName, QueueName, TaskKey, Timestamp};
use minutehand_ports::DeliveryId;

use super::id::LeaseKey;

/// Executions whose leases have ended without an answer and that are remembered for it.
const EXPIRIES_MAX: usize = 10_000;

/// A worker group on a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneName {
    pub(crate) queue: QueueName,
    pub(crate) group: GroupName,
}

/// How much may be out on lease, and how many calls may wait for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseLimits {
    /// Leases, those whose end is being made durable included.
    pub leases_max: usize,
    /// Bytes of their tasks; one lease is given however large it is.
    pub bytes_max: usize,
    /// Calls that wait.
    pub waiters_max: usize,
}

/// How much is out on lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseStanding {
    /// Leases, those whose end is being made durable included.
    pub leases: usize,
    /// Bytes of their tasks.
    pub bytes: usize,
    /// Calls that wait.
    pub waiters: usize,
}

/// A delivery that is to be leased.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) lane: Arc<LaneName>,
    pub(crate) delivery: DeliveryId,
    pub(crate) task: TaskKey,
    pub(crate) bytes: usize,
    /// Nobody who was not told of it knows it.
    pub(crate) secret: u128,
    pub(crate) expires_at: Timestamp,
}

struct Held<T> {
    grant: Grant,
    content: T,
}

/// A lease that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over<T> {
    pub(crate) lane: Arc<LaneName>,
    /// To be given to [`LeaseTable::close`].
    pub(crate) bytes: usize,
    /// How often leases of this delivery have ended without an answer, this time included; 0 when
    /// there was one.
    pub(crate) expiries: u32,
    pub(crate) content: T,
}

/// What is out on lease.
pub(crate) struct LeaseTable<T> {
    limits: LeaseLimits,
    leases: HashMap<u64, Held<T>>,
    deliveries: HashMap<(Arc<LaneName>, DeliveryId), u64>,
    tasks: BTreeSet<(TaskKey, u64)>,
    deadlines: BTreeSet<(Timestamp, u64)>,
    /// Of deliveries that will be handed out again.
    expiries: BTreeMap<(Arc<LaneName>, DeliveryId), u32>,
    next: u64,
    standing: LeaseStanding,
}

impl<T> LeaseTable<T> {
    pub(crate) fn new(limits: LeaseLimits) -> LeaseTable<T> {
        LeaseTable {
            limits,
            leases: HashMap::new(),
            deliveries: HashMap::new(),
            tasks: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            expiries: BTreeMap::new(),
            next: 1,
            standing: LeaseStanding::default(),
        }
    }

    pub(crate) fn limits(&self) -> LeaseLimits {
        self.limits
    }

    pub(crate) fn standing(&self) -> LeaseStanding {
        self.standing
    }

    /// How many more leases there may be when one takes so many bytes.
    pub(crate) fn room(&self, bytes_each: usize) -> usize {
        let LeaseStanding { leases, bytes, .. } = self.standing;
        let bytes_left = self.limits.bytes_max.saturating_sub(bytes);
        let by_bytes = (bytes_left / bytes_each.max(1)).max(usize::from(leases == 0));
        self.limits.leases_max.saturating_sub(leases).min(by_bytes)
    }

    /// A call waits from now on; `false` when there are too many.
    pub(crate) fn begin_wait(&mut self) -> bool {
        let may_wait = self.standing.waiters < self.limits.waiters_max;
        self.standing.waiters += usize::from(may_wait);
        may_wait
    }

    /// A call that had begun to wait waits no more.
    pub(crate) fn end_wait(&mut self) {
        assert!(self.standing.waiters > 0, "who ends to wait had begun to");
        self.standing.waiters -= 1;
    }

    /// Leases a delivery. A lease that it was out on before has ended by that, whether there is
    /// room for the next or not, and is the second answer; nothing is to be done about it. Without
    /// room the content comes back.
    pub(crate) fn grant(&mut self, grant: Grant, content: T) -> Result<(LeaseKey, Option<T>), T> {
        let replaced = self
            .deliveries
            .get(&(Arc::clone(&grant.lane), grant.delivery))
            .copied();
        let replaced = replaced
            .and_then(|number| self.remove(number, 0))
            .map(|over| {
                self.close(over.bytes);
                over.content
            });
        if self.room(grant.bytes) == 0 {
            return Err(content);
        }
        let (number, secret) = (self.next, grant.secret);
        self.next += 1;
        self.standing.leases += 1;
        self.standing.bytes += grant.bytes;
        self.deliveries
            .insert((Arc::clone(&grant.lane), grant.delivery), number);
        self.tasks.insert((grant.task, number));
        self.deadlines.insert((grant.expires_at, number));
        let before = self.leases.insert(number, Held { grant, content });
        assert!(before.is_none(), "no two leases have one number");
        self.assert_invariants();
        Ok((LeaseKey { number, secret }, replaced))
    }

    /// The content of a lease that goes on.
    pub(crate) fn content(&self, queue: &QueueName, key: LeaseKey) -> Option<&T> {
        self.held(queue, key).map(|held| &held.content)
    }

    /// Ends a lease with an answer; `None` when there is none of that key on that queue, or none
    /// any more.
    pub(crate) fn end(&mut self, queue: &QueueName, key: LeaseKey) -> Option<Over<T>> {
        self.held(queue, key)?;
        let over = self.remove(key.number, 0)?;
        Some(over)
    }

    /// Lets a lease last until another time; whether there is one.
    pub(crate) fn extend(
        &mut self,
        queue: &QueueName,
        key: LeaseKey,
        expires_at: Timestamp,
    ) -> bool {
        if self.held(queue, key).is_none() {
            return false;
        }
        let Some(held) = self.leases.get_mut(&key.number) else {
            return false;
        };
        self.deadlines.remove(&(held.grant.expires_at, key.number));
        self.deadlines.insert((expires_at, key.number));
        held.grant.expires_at = expires_at;
        true
    }

    /// Ends up to so many leases whose time is over, the oldest first.
    pub(crate) fn expire(&mut self, now: Timestamp, count_max: usize) -> Vec<Over<T>> {
        let mut over = Vec::new();
        while over.len() < count_max
            && let Some((deadline, number)) = self.deadlines.first().copied()
            && deadline <= now
        {
            let expiries = self.count_expiry(number);
            over.extend(self.remove(number, expiries));
        }
        over
    }

    /// Ends the leases of a task that a lane has and `is_meant` says yes to.
    pub(crate) fn end_task(
        &mut self,
        lane: &LaneName,
        task: TaskKey,
        is_meant: impl Fn(&T) -> bool,
    ) -> Vec<Over<T>> {
        let numbers: Vec<u64> = self
            .of_task(lane, task)
            .filter(|(_, content)| is_meant(content))
            .map(|(number, _)| number)
            .collect();
        numbers
            .into_iter()
            .filter_map(|number| self.remove(number, 0))
            .collect()
    }

    /// The leases of a task that a lane has.
    pub(crate) fn of_task<'a>(
        &'a self,
        lane: &'a LaneName,
        task: TaskKey,
    ) -> impl Iterator<Item = (u64, &'a T)> {
        let numbers = self.tasks.range((task, 0)..=(task, u64::MAX));
        let held = numbers.filter_map(|(_, number)| Some((*number, self.leases.get(number)?)));
        held.filter(move |(_, held)| *held.grant.lane == *lane)
            .map(|(number, held)| (number, &held.content))
    }

    /// Ends all leases.
    pub(crate) fn end_all(&mut self) -> Vec<Over<T>> {
        let numbers: Vec<u64> = self.deadlines.iter().map(|(_, number)| *number).collect();
        numbers
            .into_iter()
            .filter_map(|number| self.remove(number, 0))
            .collect()
    }

    /// When the first lease ends, unless it is answered or extended.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// What has ended is dealt with: its bytes are free.
    pub(crate) fn close(&mut self, bytes: usize) {
        assert!(
            self.standing.leases > self.leases.len() && self.standing.bytes >= bytes,
            "what has ended is dealt with once"
        );
        self.standing.leases -= 1;
        self.standing.bytes -= bytes;
    }

    /// What holds after every change.
    fn assert_invariants(&self) {
        let count = self.leases.len();
        assert_eq!(self.deliveries.len(), count, "a delivery is out once");
        assert_eq!(self.tasks.len(), count, "every lease is found by its task");
        assert_eq!(self.deadlines.len(), count, "every lease ends");
        assert!(
            (count..=self.limits.leases_max).contains(&self.standing.leases),
            "{count} are out, {} are counted",
            self.standing.leases
        );
    }

    fn held(&self, queue: &QueueName, key: LeaseKey) -> Option<&Held<T>> {
        let held = self.leases.get(&key.number)?;
        // A secret of 128 bits cannot be found by the time that a comparison takes: no part of it
        // is told by the index.
        (held.grant.secret == key.secret && held.grant.lane.queue == *queue).then_some(held)
    }

    fn count_expiry(&mut self, number: u64) -> u32 {
        let Some(held) = self.leases.get(&number) else {
            return 0;
        };
        let place = (Arc::clone(&held.grant.lane), held.grant.delivery);
        if self.expiries.len() >= EXPIRIES_MAX && !self.expiries.contains_key(&place) {
            self.expiries.pop_first();
        }
        let count = self.expiries.entry(place).or_default();
        *count = count.saturating_add(1);
        *count
    }

    fn remove(&mut self, number: u64, expiries: u32) -> Option<Over<T>> {
        let Held { grant, content } = self.leases.remove(&number)?;
        let Grant {
            lane,
            delivery,
            task,
            bytes,
            expires_at,
            ..
        } = grant;
        let place = (lane, delivery);
        self.deliveries.remove(&place);
        if expiries == 0 {
            self.expiries.remove(&place);
        }
        self.tasks.remove(&(task, number));
        self.deadlines.remove(&(expires_at, number));
        self.assert_invariants();
        Some(Over {
            lane: place.0,
            bytes,
            expiries,
            content,
        })
    }
}
