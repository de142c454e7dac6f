//! The execution sink: one tick, one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{
    Epoch, LogOffset, Namespace, PartitionId, Publication, QueueName, ScheduleId, ScheduleState,
    StopRequest, Tick,
};
use minutehand_ports::{Committed, ErrorClass, ExecutionSink, Opened, PortError, Stop};
use minutehand_record::publication::{Batch, BatchHeader, BatchItem, encode_batch};
use minutehand_record::{checkpoint, command, schedule_state, set_aside};

use crate::coordinator::write_epochs;
use crate::keys;
use crate::queue::Resident;
use crate::row::Packed;
use crate::scan::{self, Lost};
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::state::{NewRows, State};
use crate::store::{Applied, EmbeddedStore};
use crate::writes::Writes;

#[async_trait]
impl ExecutionSink for EmbeddedStore {
    async fn open(&self, partition: PartitionId, epoch: Epoch) -> Result<Opened, PortError> {
        let action = format!("open partition {partition} under epoch {epoch}");
        self.shared().log(partition, &action)?;
        let words = action.clone();
        let log_end = self
            .submit(action.clone(), 64, false, move |state, writes| {
                fence(state, writes, partition, epoch, &words)
            })
            .await?;
        // From here on no lower epoch commits, so what is read now is what the last owner left.
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        let opened = self
            .read(&action, move || {
                read_opened(&spaces, &shared, partition, log_end)
            })
            .await?;
        opened.map_err(|reason| PortError::new(ErrorClass::Fatal, action, reason))
    }

    async fn commit(&self, tick: Tick) -> Result<Committed, PortError> {
        let partition = tick.partition;
        let action = format!(
            "commit tick {} of partition {partition}",
            tick.checkpoint.tick
        );
        self.shared().log(partition, &action)?;
        let prepared = Prepared::new(tick);
        self.submit(
            action.clone(),
            prepared.bytes,
            false,
            move |state, writes| prepared.apply(state, writes, &action),
        )
        .await
    }
}

fn fenced(action: &str, reason: String) -> PortError {
    PortError::new(ErrorClass::Fenced, action, reason)
}

fn fence(
    state: &mut State,
    writes: &mut Writes,
    partition: PartitionId,
    epoch: Epoch,
    action: &str,
) -> Result<Applied<LogOffset>, PortError> {
    let mine = &mut state.partitions[partition.index()];
    if epoch < mine.opened {
        return Err(fenced(
            action,
            format!("it was opened under epoch {}", mine.opened),
        ));
    }
    mine.opened = epoch;
    let log_end = mine.log_end;
    write_epochs(state, writes, partition);
    Ok(Applied::now(log_end))
}

fn read_opened(
    spaces: &Spaces,
    shared: &Shared,
    partition: PartitionId,
    log_end: LogOffset,
) -> fjall::Result<Result<Opened, String>> {
    let checkpoint = match spaces.checkpoints.get(partition.bits().to_be_bytes())? {
        None => None,
        Some(value) => match checkpoint::decode(&value.into()) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => return Ok(Err(error.to_string())),
        },
    };
    let mut schedule_states: Vec<(Namespace, ScheduleId, ScheduleState)> = Vec::new();
    let lost = |lost: Lost| {
        shared.note_lost(
            &format!("states of schedules of partition {partition}"),
            &lost,
        )
    };
    for row in
        scan::prefixed(&spaces.schedule_states, partition.bits().to_be_bytes()).readable(lost)
    {
        let (key, value) = row?;
        let named = keys::schedule_of(&key).ok_or_else(|| "its key is not one".to_owned());
        let state = schedule_state::decode(&value.into()).map_err(|error| error.reason);
        match named.and_then(|(namespace, schedule)| Ok((namespace, schedule, state?))) {
            Ok(entry) => schedule_states.push(entry),
            Err(reason) => {
                let name =
                    String::from_utf8_lossy(key.get(4..).unwrap_or_default()).replace('\0', "/");
                let position = format!("state of the schedule {name} of partition {partition}");
                shared.note_corruption(position, reason);
            }
        }
    }
    schedule_states.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    Ok(Ok(Opened {
        checkpoint,
        schedule_states,
        log_end,
        taken_at: None,
    }))
}

/// What a tick brings to one queue.
struct ToQueue {
    name: QueueName,
    /// The row, when something is published.
    row: Option<Bytes>,
    resident: Resident,
    stops: Vec<Stop>,
}

/// A tick whose rows are encoded.
struct Prepared {
    partition: PartitionId,
    epoch: Epoch,
    tick: u64,
    bytes: usize,
    checkpoint: Bytes,
    queues: Vec<ToQueue>,
    derived: Option<Packed>,
    /// Keys and values; no value where the row goes.
    schedule_states: Vec<(Vec<u8>, Option<Bytes>)>,
    set_aside: Vec<(Vec<u8>, Bytes)>,
}

impl Prepared {
    /// Encodes everything, on the caller's time.
    fn new(tick: Tick) -> Prepared {
        let (partition, number) = (tick.partition, tick.checkpoint.tick);
        let queues = to_queues(&tick);
        let derived: Vec<Bytes> = tick.derived.iter().map(command::encode).collect();
        let derived = (!derived.is_empty()).then(|| Packed::new(&derived));
        let states = tick.schedule_states.iter().map(|change| {
            let key = keys::schedule(partition, &change.namespace, &change.schedule);
            (key, change.state.as_ref().map(schedule_state::encode))
        });
        let set_aside = (0..).zip(&tick.set_aside).map(|(index, record)| {
            (
                keys::set_aside(partition, number, index),
                set_aside::encode(record),
            )
        });
        let rows_bytes: usize = queues
            .iter()
            .filter_map(|queue| queue.row.as_ref())
            .map(Bytes::len)
            .sum();
        Prepared {
            partition,
            epoch: tick.checkpoint.epoch,
            tick: number,
            bytes: 256 + rows_bytes + derived.as_ref().map_or(0, Packed::bytes),
            checkpoint: checkpoint::encode(&tick.checkpoint),
            schedule_states: states.collect(),
            set_aside: set_aside.collect(),
            derived,
            queues,
        }
    }

    fn apply(
        self,
        state: &mut State,
        writes: &mut Writes,
        action: &str,
    ) -> Result<Applied<Committed>, PortError> {
        let partition = self.partition;
        let mine = &mut state.partitions[partition.index()];
        if self.epoch != mine.opened {
            let reason = format!(
                "it comes from epoch {}, but epoch {} has opened it",
                self.epoch, mine.opened
            );
            return Err(fenced(action, reason));
        }
        if self.tick != mine.tick + 1 {
            return Err(fenced(
                action,
                format!("the last tick was number {}", mine.tick),
            ));
        }
        mine.tick = self.tick;
        writes.insert(
            &state.spaces.checkpoints,
            partition.bits().to_be_bytes(),
            self.checkpoint,
        );
        for (key, value) in self.schedule_states {
            match value {
                Some(value) => writes.insert(&state.spaces.schedule_states, key, value),
                None => writes.remove(&state.spaces.schedule_states, key),
            }
        }
        for (key, value) in self.set_aside {
            writes.insert(&state.spaces.set_aside, key, value);
        }
        let mut published = Vec::with_capacity(self.queues.len());
        for queue in self.queues {
            let first = write_batch(state, writes, partition, &queue);
            published.push((first, queue));
        }
        let mut rows = NewRows::default();
        let derived_end = self.derived.map(|derived| {
            state.append(writes, partition, derived, &mut rows);
            state.partitions[partition.index()].log_end
        });
        let shared = Arc::clone(&state.shared);
        Ok(Applied::then(Committed::whole(derived_end), move || {
            rows.publish(&shared);
            for (first, queue) in published {
                let is_publication = queue.row.is_some();
                shared.recent_stops.note(&queue.name, &queue.stops);
                let view = shared.queue(&queue.name);
                if view.publish(partition, first, queue.resident, &queue.stops) && is_publication {
                    shared.note_unserved(&queue.name);
                }
            }
        }))
    }
}

/// Writes what is published to a queue; the sequence of the first publication.
fn write_batch(
    state: &mut State,
    writes: &mut Writes,
    partition: PartitionId,
    queue: &ToQueue,
) -> u64 {
    let (partitions, first_sequence) = (state.partitions.len(), state.shared.first_sequence());
    let lanes = state
        .sequences
        .entry(queue.name.clone())
        .or_insert_with(|| vec![first_sequence; partitions]);
    let first = lanes[partition.index()];
    if let Some(row) = &queue.row {
        lanes[partition.index()] += queue.resident.count();
        writes.insert(
            &state.spaces.batches,
            keys::batch(&queue.name, partition, first),
            row.clone(),
        );
        state.changed_lanes.insert((queue.name.clone(), partition));
    }
    first
}

/// A tick's publications and stop requests by queue.
fn to_queues(tick: &Tick) -> Vec<ToQueue> {
    let mut by_queue: BTreeMap<&QueueName, (Vec<&Publication>, Vec<&StopRequest>)> =
        BTreeMap::new();
    for publication in &tick.publications {
        by_queue
            .entry(&publication.task.queue)
            .or_default()
            .0
            .push(publication);
    }
    for stop in &tick.stops {
        by_queue.entry(&stop.queue).or_default().1.push(stop);
    }
    // The sequence is known to the committer only; the row's key carries it.
    let header = BatchHeader {
        partition: tick.partition,
        epoch: tick.checkpoint.epoch,
        tick: tick.checkpoint.tick,
        published_at: tick.published_at,
        first_sequence: 0,
    };
    let queue =
        |(name, (publications, stops)): (&QueueName, (Vec<&Publication>, Vec<&StopRequest>))| {
            let item = |publication: &&Publication| BatchItem {
                offset: publication.offset,
                key: publication.task.key,
                due: publication.task.due,
                guarantee: publication.task.guarantee,
                encoded: publication.task.encoded.clone(),
            };
            let items = publications.iter().map(item).collect();
            ToQueue {
                name: name.clone(),
                row: (!publications.is_empty())
                    .then(|| encode_batch(&header, &publications, &stops)),
                resident: Resident::new(Batch {
                    header,
                    items,
                    stops: Vec::new(),
                }),
                stops: stops
                    .iter()
                    .map(|stop| Stop {
                        key: stop.key,
                        due: stop.due,
                        kill: stop.kill,
                    })
                    .collect(),
            }
        };
    by_queue.into_iter().map(queue).collect()
}
