//! Where executions wait for their turn that were taken from a queue for a group, one place for all
//! of a process that take from it: workers, and whoever leases.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use minutehand_model::{Namespace, Priority, QueueName, Timestamp};
use minutehand_ports::{Delivery, DeliveryId, ExecutionQueue};
use minutehand_record::task::{self, Standing};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::turns::{Entry, Key, PutOff, Terms, Turns};

/// Most executions taken from a queue at once to wait for their turn.
const TAKEN_AT_ONCE_MAX: usize = 512;
/// Fewest, while something may be started.
const TAKEN_AT_ONCE_MIN: usize = 64;
/// How long a queue counts as one whose executions differ, once they did.
const DIFFERS: Duration = Duration::from_secs(600);

/// An execution whose turn it is.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) delivery: Delivery,
    /// The key that it holds until its end is durable.
    pub(crate) hold: Option<Arc<Hold>>,
    /// It is not to run now, but after this time.
    pub(crate) put_off: Option<Duration>,
}

impl Handed {
    /// One that nothing is said of.
    pub(crate) fn plain(delivery: Delivery) -> Handed {
        Handed {
            delivery,
            hold: None,
            put_off: None,
        }
    }
}

/// One of the places of a key. It is free again when this is dropped.
pub(crate) struct Hold {
    room: Arc<Room>,
    key: Key,
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hold").field(&self.key).finish()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.room.waits().turns.end(self.key, Instant::now());
        self.room.freed.notify_one();
    }
}

/// What waits, and since when it has to be looked at.
struct Waits {
    turns: Turns<Delivery>,
    /// Until when executions are taken ahead, because they differ.
    differs_until: Option<Instant>,
}

/// The room of one group on one queue.
pub(crate) struct Room {
    waits: Mutex<Waits>,
    /// Something may be started by somebody: one of those who wait looks, and tells the next.
    pub(super) freed: Notify,
    seats: AtomicUsize,
}

/// How the room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Something may be started.
    pub(super) is_ready: bool,
    /// How many to ask the queue for.
    pub(super) wanted: usize,
    /// When something may be started that may not be now.
    pub(super) ready_at: Option<Instant>,
}

impl Room {
    fn new() -> Room {
        Room {
            waits: Mutex::new(Waits {
                turns: Turns::new(),
                differs_until: None,
            }),
            freed: Notify::new(),
            seats: AtomicUsize::new(0),
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be done for somebody who wants so many; `limits`: something is said that only a
    /// look ahead can keep.
    pub(super) fn look(&self, terms: Terms, limits: bool, count: usize, now: Instant) -> Look {
        let mut waits = self.waits();
        waits.turns.set_terms(terms);
        let looks_ahead = limits || waits.differs_until.is_some_and(|until| now < until);
        let is_ready = waits.turns.is_ready(now);
        let wanted = match (looks_ahead, is_ready) {
            (true, is_ready) => match waits.turns.room() {
                // A few more are not worth a look while there is something.
                room if is_ready && room < TAKEN_AT_ONCE_MIN => 0,
                room => room.min(TAKEN_AT_ONCE_MAX.max(count)),
            },
            (false, false) => count,
            (false, true) => 0,
        };
        Look {
            is_ready,
            wanted,
            ready_at: waits.turns.ready_at(),
        }
    }

    /// What of a poll, and of what waited before, is to be started or put off now.
    pub(super) fn come(
        self: &Arc<Room>,
        polled: Vec<Delivery>,
        (count, limits): (usize, bool),
        now: Instant,
    ) -> Vec<Handed> {
        let mut waits = self.waits();
        if differ(&polled) {
            waits.differs_until = Some(now + DIFFERS);
        }
        let looks_ahead = limits || waits.differs_until.is_some_and(|until| now < until);
        if !looks_ahead && waits.turns.is_empty() {
            return polled.into_iter().map(Handed::plain).collect();
        }
        let mut handed = Vec::new();
        for delivery in polled {
            // What cannot be read is set aside by whoever would have started it.
            let Some(entry) = entry(&delivery) else {
                handed.push(Handed::plain(delivery));
                continue;
            };
            if let Err(PutOff { content, after }) = waits.turns.arrive(entry, delivery, now) {
                handed.push(Handed {
                    put_off: Some(after),
                    ..Handed::plain(content)
                });
            }
        }
        for _ in 0..count {
            let Some((delivery, key)) = waits.turns.take(now) else {
                break;
            };
            let hold = key.map(|key| {
                let room = Arc::clone(self);
                Arc::new(Hold { room, key })
            });
            handed.push(Handed {
                hold,
                ..Handed::plain(delivery)
            });
        }
        if waits.turns.is_ready(now) {
            self.freed.notify_one();
        }
        handed
    }

    /// Takes out what waits; it goes back.
    fn clear(&self) -> Vec<DeliveryId> {
        let cleared = self.waits().turns.clear();
        cleared.into_iter().map(|delivery| delivery.id).collect()
    }
}

/// What decides on a delivery's turn; `None` when it cannot be read.
fn entry(delivery: &Delivery) -> Option<Entry> {
    let Standing {
        namespace,
        order_key,
        priority,
    } = task::standing(&delivery.encoded).ok()?;
    Some(Entry {
        key: order_key.map(|key| Key::of(namespace, key)),
        namespace: Namespace::parse(namespace).ok()?,
        priority,
        published_at: delivery.published_at,
        bytes: delivery.encoded.len(),
    })
}

/// Whether it matters in which order these are started.
fn differ(deliveries: &[Delivery]) -> bool {
    let mut standings = deliveries
        .iter()
        .filter_map(|delivery| task::standing(&delivery.encoded).ok());
    let Some(first) = standings.next() else {
        return false;
    };
    first.priority != Priority::default()
        || standings
            .any(|next| next.priority != Priority::default() || next.namespace != first.namespace)
}

/// The rooms of a process.
#[derive(Default)]
pub(super) struct Rooms(Mutex<BTreeMap<(QueueName, String), Weak<Room>>>);

impl Rooms {
    /// The room of a group on a queue.
    pub(super) fn room(&self, queue: &QueueName, group: &str) -> Arc<Room> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (queue.clone(), group.to_owned());
        if let Some(room) = rooms.get(&name).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Room::new());
        rooms.insert(name, Arc::downgrade(&room));
        room
    }
}

/// Somebody who takes from a room. When the last one goes, what waits goes back to the queue.
pub(crate) struct Seat {
    pub(super) room: Arc<Room>,
    port: Arc<dyn ExecutionQueue>,
    queue: QueueName,
    group: String,
}

impl Seat {
    pub(super) fn new(
        room: Arc<Room>,
        port: Arc<dyn ExecutionQueue>,
        queue: &QueueName,
        group: &str,
    ) -> Seat {
        room.seats.fetch_add(1, Ordering::AcqRel);
        Seat {
            room,
            port,
            queue: queue.clone(),
            group: group.to_owned(),
        }
    }

    /// What waits goes back to the queue.
    pub(super) fn give_back(&self) {
        let ids = self.room.clear();
        if !ids.is_empty() {
            self.port.let_go(&self.queue, &self.group, ids);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.room.seats.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.give_back();
        }
    }
}

/// When the room has to be looked at again.
pub(super) async fn ready_at(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What was published when, of what was handed out to run.
pub(super) fn started(handed: &[Handed]) -> impl Iterator<Item = Timestamp> {
    let runs = handed.iter().filter(|handed| handed.put_off.is_none());
    runs.map(|handed| handed.delivery.published_at)
}
