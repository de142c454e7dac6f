//! The load: commands at an even rate, whatever becomes of those before (open loop).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use minutehand_kafka::Client;
use minutehand_kafka::raw::{RawOutgoing, RawProducer};
use minutehand_model::{Command, Guarantee, Namespace, QueueName, Task, TaskId, Timestamp};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::PortError;

use super::payload::Payloads;
use crate::random::Random;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Load {
    /// Tasks a second.
    pub rate: f64,
    /// When tasks are due.
    pub due: Due,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// The queue of all tasks.
    pub queue: QueueName,
    /// How long to go on.
    pub lasts: Duration,
    /// A count of what has come out, and how many tasks may be on their way: closes the loop.
    pub waiting_max: Option<(Arc<AtomicU64>, u64)>,
}

/// When the tasks of a load are due; evenly spread.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// So many milliseconds after they are created: the least and the most.
    Ahead(i64, i64),
    /// Between two times.
    Between(Timestamp, Timestamp),
}

impl Due {
    fn pick(self, now: Timestamp, random: &mut Random) -> Timestamp {
        let (from, until) = match self {
            Due::Ahead(least, most) => (now.plus_millis(least), now.plus_millis(most)),
            Due::Between(from, until) => (from, until),
        };
        let spread = until.millis_since(from).max(1) as u64;
        from.plus_millis(random.below(spread) as i64)
    }
}

impl Load {
    /// How many tasks should have been sent by now.
    fn owed(&self, elapsed: Duration, sent: u64) -> u64 {
        // One step at most, so that the clock is looked at now and then.
        let by_rate =
            (elapsed.as_secs_f64() * self.rate).min((sent + STEP_TASKS_MAX) as f64) as u64;
        let by_room = self
            .waiting_max
            .as_ref()
            .map(|(out, room)| out.load(Ordering::Relaxed) + room);
        by_rate.min(by_room.unwrap_or(u64::MAX))
    }
}

/// Tasks that are sent between two looks at the clock.
const STEP_TASKS_MAX: u64 = 2_000;

/// The load hands over what is due in steps of this length.
const STEP: Duration = Duration::from_millis(5);

/// Sends the load on the calling thread; answers how many tasks were sent.
///
/// # Errors
/// When the producer fails.
pub fn run(client: &Client, load: &Load) -> Result<u64, PortError> {
    run_until(client, load, |_| false)
}

/// The same until it is over, as told by how many tasks were sent.
///
/// # Errors
/// When the producer fails.
pub fn run_until(
    client: &Client,
    load: &Load,
    is_over: impl Fn(u64) -> bool,
) -> Result<u64, PortError> {
    let producer = RawProducer::open(client, None)?;
    let (topic, partitions) = (&client.names().commands, client.config().partitions);
    let mut random = Random::fork(7, 1);
    let (mut task, mut payloads) = (template(&load.queue), Payloads::new(load.payload_bytes));
    let (since, mut sent) = (Instant::now(), 0_u64);
    let run_id = SystemClock.now().as_millis();
    while since.elapsed() < load.lasts && !is_over(sent) {
        let owed = load.owed(since.elapsed(), sent);
        let is_behind = owed == sent + STEP_TASKS_MAX;
        let now = SystemClock.now();
        while sent < owed {
            task.due = load.due.pick(now, &mut random);
            task.first_due = task.due;
            task.payload = payloads.payload();
            let id = format!("{run_id}-{sent}");
            task.id = TaskId::parse(&id).unwrap_or_else(|_| task.id.clone());
            let value = minutehand_record::command::encode(&Command::Create(
                minutehand_record::task::record(&task),
            ));
            let partition = Some((sent % u64::from(partitions)) as u32);
            producer.send(
                topic,
                RawOutgoing {
                    partition,
                    key: Some(id.as_bytes()),
                    value: Some(&value),
                    headers: &[],
                },
            )?;
            sent += 1;
        }
        producer.poll();
        if !is_behind {
            std::thread::sleep(STEP);
        }
    }
    producer.flush()?;
    Ok(sent)
}

/// A task of a load, but for its id, its time and its payload.
pub(super) fn template(queue: &QueueName) -> Task {
    let namespace = Namespace::parse("default").expect("a good name");
    let id = TaskId::parse("template").expect("a good name");
    Task {
        guarantee: Guarantee::ExactlyOnce,
        ..Task::new(namespace, id, queue.clone(), Timestamp::MIN)
    }
}
