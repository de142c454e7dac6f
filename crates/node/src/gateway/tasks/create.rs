//! Creating tasks: group by partition, append, answer when durable.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::join_all;
use minutehand_api::ValidTask;
use minutehand_engine::KnownState;
use minutehand_model::{Command, Fact, LogOffset, PartitionId, Place, Task, Timestamp};

use super::TaskName;
use crate::gateway::wait::not_ready;
use crate::gateway::{
    CreateError, Created, FindTasks, Gateway, InvalidField, TaskHandle, Unavailable,
};

/// A task ready to be appended: its place in the caller's list, its due time and its record.
struct Prepared {
    index: usize,
    due: Timestamp,
    record: Bytes,
}

impl Gateway {
    /// Creates tasks and answers for each of them, in order, when it is durable. A refused task
    /// does not hold up the others. Whether a task existed before is not looked up: creating it
    /// again changes nothing.
    pub async fn create(&self, tasks: Vec<ValidTask>) -> Vec<Result<Created, CreateError>> {
        let now = self.now();
        let partitions = self.owners.partitions();
        let mut answers: Vec<Option<Result<Created, CreateError>>> =
            Vec::with_capacity(tasks.len());
        answers.resize_with(tasks.len(), || None);
        let mut groups: BTreeMap<PartitionId, Vec<Prepared>> = BTreeMap::new();
        for (index, task) in tasks.iter().enumerate() {
            if let Err(refused) = self.admit_queues(task, now) {
                self.metrics.refused("create", 1);
                answers[index] = Some(Err(refused.into()));
                continue;
            }
            let partition = task.home(partitions);
            let record = encode_creation(task);
            groups.entry(partition).or_default().push(Prepared {
                index,
                due: task.due,
                record,
            });
        }
        drop(tasks);
        let appends = groups
            .into_iter()
            .map(|(partition, group)| self.append_group(partition, group));
        for (index, answer) in join_all(appends).await.into_iter().flatten() {
            answers[index] = Some(answer);
        }
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(unanswered))
            .collect()
    }

    /// Lets in the names of the queues that a task, and what follows it, go to.
    fn admit_queues(&self, task: &Task, now: Timestamp) -> Result<(), InvalidField> {
        let admit = |queue| self.queue_names.admit(&task.namespace, queue, now);
        admit(&task.queue)?;
        let following = task.chain.every();
        following
            .into_iter()
            .try_for_each(|next| admit(&next.queue))
    }

    /// Counts creations that were refused before there was a task.
    pub fn count_refused(&self, creations: u64) {
        self.metrics.refused("create", creations);
    }

    async fn append_group(
        &self,
        partition: PartitionId,
        group: Vec<Prepared>,
    ) -> Vec<(usize, Result<Created, CreateError>)> {
        let (places, records): (Vec<(usize, Timestamp)>, Vec<Bytes>) = group
            .into_iter()
            .map(|task| ((task.index, task.due), task.record))
            .unzip();
        let count = records.len() as u64;
        match self.append(partition, records).await {
            Ok(appended) => {
                self.metrics.accepted("create", count);
                appended
                    .offsets
                    .into_iter()
                    .zip(places)
                    .map(|(offset, (index, due))| {
                        (index, Ok(created(partition, due, offset, false)))
                    })
                    .collect()
            }
            Err(error) => {
                let unavailable = Unavailable::from(error);
                places
                    .into_iter()
                    .map(|(index, _)| (index, Err(unavailable.clone().into())))
                    .collect()
            }
        }
    }

    /// Creates one task whose id and due time the caller chose; if it is there already, answers so
    /// and writes nothing.
    ///
    /// Two calls at the same moment may both be told that they created it; it is one task all the
    /// same.
    ///
    /// # Errors
    /// A refused value, or a partition or log that does not answer.
    pub async fn create_named(&self, task: ValidTask) -> Result<Created, CreateError> {
        let name = TaskName {
            namespace: task.namespace.clone(),
            id: task.id.clone(),
            order_key: task.order_key.clone(),
        };
        if let Some(existing) = self.existing(&name, task.due).await? {
            return Ok(existing);
        }
        self.create_new(task).await
    }

    /// Creates one task whose id is new, or of which nobody asks whether it existed before: it is
    /// not looked up.
    ///
    /// # Errors
    /// A refused value, or a log that does not answer.
    pub async fn create_new(&self, task: ValidTask) -> Result<Created, CreateError> {
        self.create(vec![task])
            .await
            .pop()
            .unwrap_or_else(unanswered)
    }

    /// The task of that name and due time, unless it was cancelled.
    async fn existing(
        &self,
        name: &TaskName,
        due: Timestamp,
    ) -> Result<Option<Created>, Unavailable> {
        let (partition, key) = (name.partition(self.owners.partitions()), name.key());
        let status = self.caught_up(partition).await?;
        let in_memory = self
            .owners
            .ask(partition, FindTasks { keys: vec![key] })
            .await;
        let in_memory = in_memory
            .ok_or_else(|| not_ready(partition, None))?
            .into_iter()
            .flatten();
        let known = in_memory
            .filter(|task| task.due == due)
            .max_by_key(|task| task.offset);
        if let Some(task) = known {
            let lives = task.state != KnownState::Cancelled;
            return Ok(lives.then(|| created(partition, due, task.offset, true)));
        }
        let stored = self.stores.timetable.find_due(partition, key, due).await?;
        let newest = stored.into_iter().max_by_key(|entry| entry.offset);
        // What has run is known in memory as long as it is to be remembered.
        let is_forgotten = |due, offset| status.frontier.has_passed(Place { due, offset });
        Ok(newest
            .filter(|entry| matches!(entry.fact, Fact::Runs(_)))
            .filter(|entry| !is_forgotten(entry.due, entry.offset))
            .map(|entry| created(partition, due, entry.offset, true)))
    }
}

fn created(partition: PartitionId, due: Timestamp, offset: LogOffset, existed: bool) -> Created {
    Created {
        handle: TaskHandle {
            partition,
            due,
            offset,
        },
        existed,
    }
}

/// The log record that creates a task.
pub(in crate::gateway) fn encode_creation(task: &Task) -> Bytes {
    minutehand_record::command::encode(&Command::Create(minutehand_record::task::record(task)))
}

/// No partition has answered.
fn unanswered() -> Result<Created, CreateError> {
    Err(CreateError::Unavailable(not_ready(
        PartitionId::own(0),
        None,
    )))
}
