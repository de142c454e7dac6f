//! The questions a gateway puts to the owners of partitions, wherever they run.

use std::collections::BTreeMap;

use async_trait::async_trait;
use minutehand_engine::{KnownSchedule, KnownTask};
use minutehand_model::{Namespace, PartitionId, Place, ScheduleId, TaskKey, Timestamp};
use tokio::sync::watch;

use crate::owner::{OwnerStatus, Owners};

/// Owners that can be asked. `None` as an answer: there is no owner here, or it has stopped.
#[async_trait]
pub trait Ask: Send + Sync + 'static {
    /// The number of partitions.
    fn partitions(&self) -> u32;

    /// The partitions assigned here, and how far each of them is.
    fn statuses(&self) -> Vec<(PartitionId, OwnerStatus)>;

    /// A partition's status, kept up to date.
    fn status(&self, partition: PartitionId) -> Option<watch::Receiver<OwnerStatus>>;

    /// What is in memory of each task, in the order asked.
    async fn find(&self, partition: PartitionId, keys: Vec<TaskKey>)
    -> Option<Vec<Vec<KnownTask>>>;

    /// Tasks in memory that are to run, in order of their places.
    async fn list(
        &self,
        partition: PartitionId,
        after: Option<Place>,
        until: Timestamp,
        count_max: usize,
    ) -> Option<Vec<KnownTask>>;

    /// Tasks in memory by the minute they are due, not counting those that stand in the timetable.
    async fn loads(
        &self,
        partition: PartitionId,
        from: Timestamp,
        until: Timestamp,
    ) -> Option<BTreeMap<Timestamp, u64>>;

    /// One schedule; the outer `None`: no answer.
    async fn schedule(
        &self,
        partition: PartitionId,
        namespace: Namespace,
        id: ScheduleId,
    ) -> Option<Option<KnownSchedule>>;

    /// Schedules of a namespace in order of their ids.
    async fn schedules(
        &self,
        partition: PartitionId,
        namespace: Namespace,
        after: Option<ScheduleId>,
        prefix: String,
        count_max: usize,
    ) -> Option<Vec<KnownSchedule>>;
}

#[async_trait]
impl Ask for Owners {
    fn partitions(&self) -> u32 {
        Owners::partitions(self)
    }

    fn statuses(&self) -> Vec<(PartitionId, OwnerStatus)> {
        self.all()
    }

    fn status(&self, partition: PartitionId) -> Option<watch::Receiver<OwnerStatus>> {
        self.owner(partition).map(|owner| owner.status())
    }

    async fn find(
        &self,
        partition: PartitionId,
        keys: Vec<TaskKey>,
    ) -> Option<Vec<Vec<KnownTask>>> {
        let owner = self.owner(partition)?;
        owner
            .ask(move |engine| keys.into_iter().map(|key| engine.find(key)).collect())
            .await
    }

    async fn list(
        &self,
        partition: PartitionId,
        after: Option<Place>,
        until: Timestamp,
        count_max: usize,
    ) -> Option<Vec<KnownTask>> {
        let owner = self.owner(partition)?;
        owner
            .ask(move |engine| engine.list(after, until, count_max))
            .await
    }

    async fn loads(
        &self,
        partition: PartitionId,
        from: Timestamp,
        until: Timestamp,
    ) -> Option<BTreeMap<Timestamp, u64>> {
        let owner = self.owner(partition)?;
        owner.ask(move |engine| engine.loads(from, until)).await
    }

    async fn schedule(
        &self,
        partition: PartitionId,
        namespace: Namespace,
        id: ScheduleId,
    ) -> Option<Option<KnownSchedule>> {
        let owner = self.owner(partition)?;
        owner
            .ask(move |engine| engine.schedule(&namespace, &id))
            .await
    }

    async fn schedules(
        &self,
        partition: PartitionId,
        namespace: Namespace,
        after: Option<ScheduleId>,
        prefix: String,
        count_max: usize,
    ) -> Option<Vec<KnownSchedule>> {
        let owner = self.owner(partition)?;
        owner
            .ask(move |engine| engine.schedules(&namespace, after.as_ref(), &prefix, count_max))
            .await
    }
}
