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
    /// How many are asked for to wait here and have not come yet.
    asked: usize,
    /// How often what waited went back.
    clearings: u64,
}

impl Waits {
    fn looks_ahead(&self, limits: bool, now: Instant) -> bool {
        limits || self.differs_until.is_some_and(|until| now < until)
    }

    /// Takes the terms over; what has to go back by them.
    fn set_terms(&mut self, terms: Terms) -> Vec<DeliveryId> {
        let back = self.turns.set_terms(terms);
        self.clearings += u64::from(!back.is_empty());
        back.into_iter().map(|delivery| delivery.id).collect()
    }

    /// Takes in what was polled; what is not to wait comes out.
    fn arrive(&mut self, polled: Vec<Delivery>, now: Instant, handed: &mut Vec<Handed>) {
        for delivery in polled {
            // What cannot be read is set aside by whoever would have started it.
            let Some(entry) = entry(&delivery) else {
                handed.push(Handed::plain(delivery));
                continue;
            };
            if let Err(PutOff { content, after }) = self.turns.arrive(entry, delivery, now) {
                handed.push(Handed {
                    put_off: Some(after),
                    ..Handed::plain(content)
                });
            }
        }
    }

    /// How many to ask the queue for.
    fn wanted(&mut self, looks_ahead: bool, is_ready: bool, count: usize) -> usize {
        let room = match (looks_ahead, is_ready) {
            (true, _) => self.turns.room(),
            (false, false) => return count,
            (false, true) => return 0,
        };
        let unasked = room.saturating_sub(self.asked);
        // A few more are not worth a look while there is something.
        if is_ready && unasked < TAKEN_AT_ONCE_MIN {
            return 0;
        }
        unasked.min(TAKEN_AT_ONCE_MAX.max(count))
    }
}

/// The room of one group on one queue.
pub(crate) struct Room {
    waits: Mutex<Waits>,
    /// Something may be started by somebody: one of those who wait looks, and tells the next.
    pub(super) freed: Notify,
    /// There is room again that others had asked for: somebody who could not ask looks.
    pub(super) unasked: Notify,
    /// Somebody's poll is over, for which others had to wait.
    pub(super) released: Notify,
    seats: AtomicUsize,
}

/// How the room stands.
pub(super) struct Look {
    /// Something may be started.
    pub(super) is_ready: bool,
    /// What to ask the queue for.
    pub(super) asked: Asked,
    /// It goes back.
    pub(super) back: Vec<DeliveryId>,
    /// When something may be started that may not be now.
    pub(super) ready_at: Option<Instant>,
}

/// So many are asked for. When this is dropped they have come, or do not.
pub(super) struct Asked {
    room: Arc<Room>,
    pub(super) wanted: usize,
    /// How many of them there must be room for.
    counted: usize,
    clearings: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut waits = self.room.waits();
        waits.asked -= self.counted;
        drop(waits);
        if self.counted > 0 {
            self.room.unasked.notify_one();
        }
    }
}

/// What came of a poll.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// To be started or put off now.
    pub(super) handed: Vec<Handed>,
    /// It goes back.
    pub(super) back: Vec<DeliveryId>,
}

/// Somebody waits in a room. When this is dropped, another of those who wait looks after it.
pub(super) struct Waiter<'a>(pub(super) &'a Room);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

impl Room {
    fn new() -> Room {
        Room {
            waits: Mutex::new(Waits {
                turns: Turns::new(),
                differs_until: None,
                asked: 0,
                clearings: 0,
            }),
            freed: Notify::new(),
            unasked: Notify::new(),
            released: Notify::new(),
            seats: AtomicUsize::new(0),
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be done for somebody who wants so many; `limits`: something is said that only a
    /// look ahead can keep.
    pub(super) fn look(
        self: &Arc<Room>,
        (terms, limits): (Terms, bool),
        count: usize,
        now: Instant,
    ) -> Look {
        let mut waits = self.waits();
        let back = waits.set_terms(terms);
        let looks_ahead = waits.looks_ahead(limits, now);
        let is_ready = waits.turns.is_ready(now);
        let wanted = waits.wanted(looks_ahead, is_ready, count);
        let counted = if looks_ahead { wanted } else { 0 };
        waits.asked += counted;
        let asked = Asked {
            room: Arc::clone(self),
            wanted,
            counted,
            clearings: waits.clearings,
        };
        Look {
            is_ready,
            asked,
            back,
            ready_at: waits.turns.ready_at(),
        }
    }

    /// What of a poll, and of what waited before, is to be started or put off now.
    pub(super) fn come(
        self: &Arc<Room>,
        (asked, polled): (Asked, Vec<Delivery>),
        (terms, limits): (Terms, bool),
        count: usize,
        now: Instant,
    ) -> Came {
        let mut waits = self.waits();
        let mut back = waits.set_terms(terms);
        if waits.clearings != asked.clearings {
            // What it comes behind has gone back.
            back.extend(polled.iter().map(|delivery| delivery.id));
            drop(waits);
            return Came {
                back,
                ..Came::default()
            };
        }
        if differ(&polled) {
            waits.differs_until = Some(now + DIFFERS);
        }
        let mut handed = Vec::new();
        if !waits.looks_ahead(limits, now) && waits.turns.is_empty() {
            handed.extend(polled.into_iter().map(Handed::plain));
        } else {
            waits.arrive(polled, now, &mut handed);
            self.take(&mut waits, count, now, &mut handed);
        }
        drop(waits);
        Came { handed, back }
    }

    /// Takes out up to so many whose turn it is.
    fn take(
        self: &Arc<Room>,
        waits: &mut Waits,
        count: usize,
        now: Instant,
        handed: &mut Vec<Handed>,
    ) {
        for _ in 0..count {
            let Some((delivery, key)) = waits.turns.take(now) else {
                return;
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
    }

    /// Another of those who wait looks after what may be started, now or later.
    pub(super) fn pass_on(&self) {
        let mut waits = self.waits();
        if waits.turns.is_ready(Instant::now()) || waits.turns.ready_at().is_some() {
            self.freed.notify_one();
        }
    }

    /// Takes out what waits; it goes back.
    fn clear(&self) -> Vec<DeliveryId> {
        let mut waits = self.waits();
        let cleared = waits.turns.clear();
        waits.clearings += u64::from(!cleared.is_empty());
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

impl Rooms {
    /// Whether somebody takes from a queue for a group.
    pub(super) fn has_seats(&self, name: &(QueueName, String)) -> bool {
        let rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.get(name).is_some_and(|room| room.strong_count() > 0)
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
        self.let_go(self.room.clear());
    }

    /// These go back to the queue.
    pub(super) fn let_go(&self, ids: Vec<DeliveryId>) {
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
