//! The threads of a worker group. The first is a member of the consumer group and fetches ahead; the
//! second commits what has ended, so that fetching does not wait for the brokers' answers.
//!
//! Each waits for a bell: the first for one that the driver rings when something has arrived, and
//! the others when there is room again; the second for one that is rung when something is left to
//! settle. The first goes on polling while handlers run, however long, so that they do not cost the
//! membership: when what was fetched is not taken, the partitions are paused.
//!
//! Partitions come and go on the first thread. While they go, and while the places of new ones are
//! read, it has the settler to itself: no commit is under way whose partition is not what it was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use minutehand_ports::{ErrorClass, PortError};
use minutehand_record::QueueNames;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Message, TopicPartitionList};

use super::delivery::{Shares, delivery};
use super::expired::{self, Gone};
use super::group::{Group, Slot};
use super::marks::Marks;
use super::place;
use super::settle::Settler;
use super::window::Window;
use crate::error::{class_of, code_of, port_error};
use crate::listener::tell;
use crate::silence::{self, Guard, Patience};
use crate::tail;

/// How long the bell is waited for: a bell that was lost costs no more.
const WAIT: Duration = Duration::from_millis(20);
/// How long what is left to settle is waited for; its bell is never lost.
const SETTLE_WAIT: Duration = Duration::from_secs(1);
/// Records taken before those who wait hear of them.
const BATCH_MAX: usize = 1_024;
/// Batches taken before it is looked for everything else, while there is a backlog.
const BATCHES_IN_A_ROW_MAX: usize = 8;
/// How long the thread waits for room before it pauses the partitions, which throws away what was
/// fetched ahead.
const FULL_MAX: Duration = Duration::from_secs(1);
/// How often it is looked for runs whose members have left the group without a word.
const LOOK_FOR_LOST: Duration = Duration::from_secs(10);
/// How often a topic is looked for that is not there yet.
const MISSING: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// What the driver calls back, on the thread that polls.
struct Membership {
    group: Arc<Group>,
    settler: Mutex<Settler>,
    is_paused: AtomicBool,
}

type Member = BaseConsumer<Membership>;

impl Membership {
    fn settle(&self, consumer: Option<&Member>) {
        self.settler().run(&self.group, consumer);
    }

    fn settler(&self) -> MutexGuard<'_, Settler> {
        self.settler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Membership {
    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, consumer: &Member, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                // The new ones are not paused: they are when it comes to it.
                self.is_paused.store(false, Ordering::Relaxed);
                let mut state = self.group.state();
                for partition in partitions(list) {
                    state.slots.insert(partition, Slot::Unread(Vec::new()));
                }
            }
            Rebalance::Revoke(list) => {
                // What has ended is settled while the partitions are ours. Those that were lost
                // already belong to somebody else, who runs again what was not settled.
                if !consumer.assignment_lost() {
                    self.settle(Some(consumer));
                    self.settler().release(&self.group, &partitions(list));
                }
                let mut state = self.group.state();
                for partition in partitions(list) {
                    state.slots.remove(&partition);
                }
            }
            Rebalance::Error(error) => {
                tracing::warn!(queue = %self.group.queue, group = %self.group.name, %error, "could not rebalance");
            }
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<u32> {
    list.elements()
        .iter()
        .map(|element| element.partition().max(0) as u32)
        .collect()
}

/// Says that the thread has ended, however it does.
struct Ending {
    group: Arc<Group>,
    failure: Option<PortError>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.group.end(self.failure.take());
    }
}

/// Starts the thread of a group.
pub(crate) fn start(group: Arc<Group>) -> Result<(), PortError> {
    let mut ending = Ending {
        group,
        failure: None,
    };
    let action = format!("start the consumer of the queue {}", ending.group.queue);
    let thread = std::thread::Builder::new().name(format!("queue-{}", ending.group.queue));
    let started = thread.spawn(move || {
        let group = Arc::clone(&ending.group);
        ending.failure = serve(&group).err();
        drop(ending);
    });
    match started {
        Ok(_) => Ok(()),
        Err(error) => Err(no_thread(action, error)),
    }
}

fn no_thread(action: String, error: std::io::Error) -> PortError {
    let reason = "the system gives no more threads";
    PortError::new(ErrorClass::Retry, action, reason).caused_by(error)
}

fn action_of(group: &Group) -> String {
    format!("consume the queue {} as group {}", group.queue, group.name)
}

/// How following a queue has come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    /// The group is closed, or nobody needs it any more.
    Over,
    /// The consumer delivers nothing any more, without an error.
    Stuck,
}

/// Serves until the group is closed, or nobody needs it any more, or it cannot go on.
fn serve(group: &Arc<Group>) -> Result<(), PortError> {
    let mut settler = Settler::new(group);
    if !await_topic(group, &mut settler)? {
        return Ok(());
    }
    let failed = |error| port_error(action_of(group), error);
    loop {
        let consumer = join(group, settler).map_err(failed)?;
        if follow(group, &consumer, Patience::OF_MANY)? == Followed::Over {
            return Ok(());
        }
        // Dropped here, the consumer leaves its group, and settles before what was left. To others
        // that is a rebalance like any other.
        drop(consumer);
        group.state().slots.clear();
        settler = Settler::new(group);
    }
}

/// Becomes a member of the consumer group.
fn join(group: &Arc<Group>, settler: Settler) -> KafkaResult<Member> {
    let membership = Membership {
        group: Arc::clone(group),
        settler: Mutex::new(settler),
        is_paused: AtomicBool::new(false),
    };
    let mut config = group.client.config().member(&group.consumer_group);
    // By this name the others see whether this member is still there.
    config.set("client.id", &group.claimer);
    let mut consumer: Member = config.create_with_context(membership)?;
    let ringing = Arc::clone(group);
    consumer.set_nonempty_callback(move || ringing.bell.ring());
    consumer.subscribe(&[&group.topic])?;
    Ok(consumer)
}

fn is_over(group: &Group) -> bool {
    group.state().is_closing || group.is_unused()
}

/// Waits until the topic is there; `false` when it is over before that.
fn await_topic(group: &Group, settler: &mut Settler) -> Result<bool, PortError> {
    let mut looks = 0_u32;
    loop {
        if is_over(group) {
            return Ok(false);
        }
        settler.run(group, None::<&Member>);
        match group.client.list() {
            Ok(topics) => {
                if let Some(partitions) = topics.get(&group.topic) {
                    let own = group.client.config().partitions;
                    group.state().shares = Some(Shares {
                        own,
                        topic: *partitions,
                    });
                    return Ok(true);
                }
            }
            Err(error) if error.class == ErrorClass::Retry => group.complain(error),
            Err(error) => return Err(error),
        }
        group.work.wait(MISSING[usize::from(looks > 50)]);
        looks += 1;
    }
}

/// Fetches, and commits beside it, until it is over or the consumer delivers nothing any more.
fn follow(group: &Group, consumer: &Member, patience: Patience) -> Result<Followed, PortError> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over {
            is_over: &is_over,
            group,
        };
        let thread = std::thread::Builder::new().name(format!("settle-{}", group.queue));
        let committing = thread
            .spawn_scoped(scope, || settle_until(&is_over, group, consumer))
            .map_err(|error| no_thread(action_of(group), error))?;
        let followed = fetch_until(|| committing.is_finished(), group, consumer, patience);
        followed.map_err(|error| port_error(action_of(group), error))
    })
}

/// Says that the second thread is to end, however the first one does.
struct Over<'a> {
    is_over: &'a AtomicBool,
    group: &'a Group,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.group.work.ring();
    }
}

fn settle_until(is_over: &AtomicBool, group: &Group, consumer: &Member) {
    while !is_over.load(Ordering::Acquire) {
        consumer.context().settle(Some(consumer));
        group.work.wait(SETTLE_WAIT);
    }
}

/// Where the thread that commits has died, nothing more is taken either.
fn fetch_until(
    is_alone: impl Fn() -> bool,
    group: &Group,
    consumer: &Member,
    patience: Patience,
) -> KafkaResult<Followed> {
    let (mut polled_at, mut names) = (Instant::now(), QueueNames::default());
    let mut guard = Guard::new(&group.client, &group.topic, patience);
    let mut looked_at = None;
    while !is_over(group) && !is_alone() {
        let has_more = restore(group, consumer)?;
        if has_more || looked_at.is_some_and(|at: Instant| at.elapsed() > LOOK_FOR_LOST) {
            looked_at = Some(Instant::now());
            let looked = consumer.context().settler().look_for_lost(group, consumer);
            if let Err(error) = looked {
                tracing::debug!(queue = %group.queue, %error, "could not look for runs that are lost");
            }
        }
        if let Some(stuck) = guard.look(|| group.state().positions()) {
            silence::tell(&group.topic, stuck);
            return Ok(Followed::Stuck);
        }
        let is_full = group.state().is_full();
        if is_full {
            guard.hold();
        }
        if is_full && !is_paused(consumer) {
            let left = FULL_MAX.saturating_sub(polled_at.elapsed());
            if !left.is_zero() {
                group.bell.wait(left);
                continue;
            }
            consumer.pause(&consumer.assignment()?)?;
            consumer.context().is_paused.store(true, Ordering::Relaxed);
        } else if !is_full && is_paused(consumer) {
            consumer.resume(&consumer.assignment()?)?;
            consumer.context().is_paused.store(false, Ordering::Relaxed);
        }
        polled_at = Instant::now();
        if !fetch_some(group, consumer, &mut names)? {
            group.bell.wait(WAIT);
        }
    }
    Ok(Followed::Over)
}

fn is_paused(consumer: &Member) -> bool {
    consumer.context().is_paused.load(Ordering::Relaxed)
}

/// Reads the places in partitions that are new here, and hands out from them from then on. Whether
/// there were any.
fn restore(group: &Group, consumer: &Member) -> KafkaResult<bool> {
    let unread: Vec<u32> = {
        let state = group.state();
        let unread = state
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot, Slot::Unread(_)));
        unread.map(|(partition, _)| *partition).collect()
    };
    if unread.is_empty() {
        return Ok(false);
    }
    let _settler = consumer.context().settler();
    let read =
        place::read(&group.client, consumer, &group.topic, &unread).and_then(|mut places| {
            let gone = Gone::pass(&group.client, consumer, &group.topic, &mut places)?;
            Ok((
                places,
                gone,
                group.claims.reserved(&group.consumer_group, &unread)?,
            ))
        });
    let (places, gone, reserved) = match read {
        Ok(read) => read,
        Err(error) if code_of(&error).is_some_and(|code| class_of(code) == ErrorClass::Fatal) => {
            return Err(error);
        }
        Err(error) => {
            group.complain(port_error(action_of(group), error));
            group.bell.wait(WAIT);
            return Ok(false);
        }
    };
    let place = |(partition, marks): (u32, Option<Marks>)| {
        // A place that was forgotten: what was claimed of the partition is not known any more.
        let doubtful_below = reserved.get(&partition).copied().unwrap_or(0);
        let marks = marks.unwrap_or_else(|| Marks {
            doubtful_below,
            ..Marks::at(0)
        });
        (partition, taken_over(marks))
    };
    let places: Vec<(u32, Marks)> = places.into_iter().map(place).collect();
    if let Err(error) = place::write(consumer, &group.topic, &places) {
        // Whoever has the partition by now raises the generation; here it is tried again as long as
        // it is ours.
        tracing::debug!(queue = %group.queue, %error, "a partition was not taken over");
        group.bell.wait(WAIT);
        return Ok(false);
    }
    // The places are behind it now: it is not found again.
    gone.iter()
        .for_each(|gone| gone.tell(&group.expired, group.named()));
    let mut state = group.state();
    state.reserved.extend(reserved);
    for (partition, marks) in places {
        let Some(slot) = state.slots.get_mut(&partition) else {
            continue;
        };
        let mut window = Window::restore(marks);
        if let Slot::Unread(waiting) = slot {
            std::mem::take(waiting)
                .into_iter()
                .for_each(|(offset, delivery)| window.add(offset, delivery));
        }
        *slot = Slot::Open(window);
    }
    drop(state);
    group.news.notify_waiters();
    Ok(true)
}

/// The place as this holder of the partition writes it. Its generation lies above that of every
/// holder before, also of one whose place the brokers have forgotten: it follows the clock, and
/// what is stored wherever that is ahead.
fn taken_over(marks: Marks) -> Marks {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = u32::try_from(since_epoch.as_secs()).unwrap_or(u32::MAX);
    Marks {
        generation: marks.generation.saturating_add(1).max(seconds),
        ..marks
    }
}

/// Takes what has arrived, some batches of it at most; whether there was anything.
fn fetch_some(group: &Group, consumer: &Member, names: &mut QueueNames) -> KafkaResult<bool> {
    for batch in 0..BATCHES_IN_A_ROW_MAX {
        let count = fetch(group, consumer, names)?;
        if count < BATCH_MAX {
            return Ok(batch > 0 || count > 0);
        }
        if group.state().is_full() {
            break;
        }
    }
    Ok(true)
}

/// Takes what has arrived; answers how many records.
fn fetch(group: &Group, consumer: &Member, names: &mut QueueNames) -> KafkaResult<usize> {
    let mut records = Vec::new();
    // An event that was served looks like nothing; behind it there may be more.
    let mut nothing = 0;
    let shares = group.state().shares.unwrap_or(Shares { own: 1, topic: 1 });
    while records.len() < BATCH_MAX && nothing < 2 {
        match consumer.poll(Duration::ZERO) {
            Some(Ok(message)) => {
                let place = (
                    message.partition().max(0) as u32,
                    message.offset().max(0) as u64,
                );
                records.push((place, delivery(&message, shares, names)));
            }
            Some(Err(error)) => judge(group, error)?,
            None => nothing += 1,
        }
    }
    if records.is_empty() {
        return Ok(0);
    }
    let count = records.len();
    let mut gaps = Vec::new();
    let mut state = group.state();
    // Whatever trouble there was is over.
    state.failure = None;
    for ((partition, offset), delivery) in records {
        gaps.extend(
            state
                .position(partition)
                .map(|position| (partition, position, offset)),
        );
        state.add(partition, offset, delivery);
    }
    drop(state);
    for gap in gaps {
        expired::look(&group.client, &group.expired, group.named(), gap);
    }
    group.news.notify_waiters();
    Ok(count)
}

/// What the library says while it goes on, or why it cannot.
fn judge(group: &Group, error: KafkaError) -> KafkaResult<()> {
    let code = code_of(&error);
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Err(error);
    }
    if code == Some(RDKafkaErrorCode::AllBrokersDown) {
        group.complain(port_error(action_of(group), error));
        return Ok(());
    }
    if tail::is_passing(&error) || code.is_none_or(|code| class_of(code) == ErrorClass::Retry) {
        tracing::debug!(queue = %group.queue, %error, "the consumer goes on");
        return Ok(());
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::claims::Claims;
    use crate::raw::RawProducer;
    use crate::tests::{mail, queue_topic, send};

    const PATIENCE: Patience = Patience {
        silent: Duration::ZERO,
        silent_max: Duration::ZERO,
        owed: Duration::from_secs(1),
    };

    /// Polls as the thread does, until a partition is handed out from.
    fn await_partition(group: &Group, consumer: &Member) {
        let mut names = QueueNames::default();
        while group.state().positions().is_empty() {
            restore(group, consumer).unwrap();
            fetch(group, consumer, &mut names).unwrap();
        }
    }

    fn position(group: &Group) -> u64 {
        group.state().position(0).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_member_that_falls_silent_is_replaced() {
        let (client, topic) = queue_topic("silence-member").await;
        let claims = Arc::new(Claims::new(Arc::clone(&client)));
        let group = Arc::new(Group::new(client, claims, Arc::default(), &mail(), "ours"));
        let told = tokio::task::spawn_blocking(move || {
            let producer = RawProducer::open(&group.client, Some("silence-member")).unwrap();
            let mut settler = Settler::new(&group);
            assert!(await_topic(&group, &mut settler).unwrap());
            let consumer = join(&group, settler).unwrap();
            await_partition(&group, &consumer);
            consumer.pause(&consumer.assignment().unwrap()).unwrap();
            send(&producer, &topic, 1);
            assert_eq!(
                follow(&group, &consumer, PATIENCE).unwrap(),
                Followed::Stuck
            );
            assert_eq!(position(&group), 0, "nothing came");
            drop(consumer);
            let consumer = join(&group, Settler::new(&group)).unwrap();
            let mut names = QueueNames::default();
            await_partition(&group, &consumer);
            while position(&group) == 0 {
                fetch(&group, &consumer, &mut names).unwrap();
            }
            // Behind the record lies the end of its transaction, which is no reason to begin anew:
            // the group is closed by somebody else, and that is how it ends.
            let closing = Arc::clone(&group);
            let closes = std::thread::spawn(move || {
                let mut guard = Guard::new(&closing.client, &closing.topic, PATIENCE);
                while guard.empty_from(0, position(&closing)) != Some(2) {
                    assert_eq!(guard.look(|| closing.state().positions()), None);
                    closing.bell.wait(WAIT);
                }
                closing.close();
            });
            let followed = follow(&group, &consumer, PATIENCE).unwrap();
            closes.join().unwrap();
            followed
        });
        assert_eq!(told.await.unwrap(), Followed::Over);
    }
}
