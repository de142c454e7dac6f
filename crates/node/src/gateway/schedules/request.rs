//! Runs by request: now, or for a range of times.

use minutehand_api::ValidDefinition;
use minutehand_model::limits::BACKFILL_OCCURRENCES_MAX;
use minutehand_model::{Command, LogOffset, OverlapPolicy, PartitionId, Timestamp};

use super::ScheduleName;
use crate::gateway::{BackfillError, Gateway, InvalidField, LookupError};

/// A request for runs, or about runs, that is durable and applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRequested {
    /// The schedule's partition.
    pub partition: PartitionId,
    /// The log offset of the request.
    pub offset: LogOffset,
    /// Runs asked for; those beyond the schedule's limits (overlap, most runs) are left out when
    /// their turn comes. Or runs that nobody waits for any more.
    pub runs: usize,
}

impl Gateway {
    /// Runs a schedule once, now; also when it is paused.
    ///
    /// # Errors
    /// When there is no such schedule, or no answer.
    pub async fn trigger(
        &self,
        name: &ScheduleName,
        overlap: Option<OverlapPolicy>,
    ) -> Result<RunRequested, BackfillError> {
        let partition = self.schedule_head(name).await?.partition;
        let (namespace, schedule) = (name.namespace.clone(), name.id.clone());
        let command = Command::Trigger {
            namespace,
            schedule,
            overlap,
        };
        let offset = self.append_and_wait(partition, vec![command]).await?;
        Ok(RunRequested {
            partition,
            offset,
            runs: 1,
        })
    }

    /// Runs the occurrences of a range, both ends included, as if they were due now.
    ///
    /// # Errors
    /// A range that runs backwards, holds no occurrence or more than 10,000; an unknown schedule;
    /// no answer.
    pub async fn backfill(
        &self,
        name: &ScheduleName,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<RunRequested, BackfillError> {
        if from > to {
            return Err(InvalidField::new(
                "from",
                "lies after to",
                format!("at or before {to}"),
                from,
            )
            .into());
        }
        let schedule = self.schedule_head(name).await?;
        let definition = schedule
            .head
            .revision
            .definition
            .ok_or_else(|| name.not_found())?;
        let count = move || {
            let definition = ValidDefinition::new(definition)?;
            definition.count_times(from, to, BACKFILL_OCCURRENCES_MAX + 1)
        };
        let runs = self.search(count).await?;
        if runs == 0 {
            let limit = "a range with at least one occurrence";
            return Err(InvalidField::new(
                "from",
                "gives an empty range",
                limit,
                format!("{from} to {to}"),
            )
            .into());
        }
        if runs > BACKFILL_OCCURRENCES_MAX {
            let limit = format!("at most {BACKFILL_OCCURRENCES_MAX} occurrences");
            let given = format!("{from} to {to}, with more than {BACKFILL_OCCURRENCES_MAX}");
            return Err(InvalidField::new("to", "gives too many occurrences", limit, given).into());
        }
        let (namespace, id) = (name.namespace.clone(), name.id.clone());
        let command = Command::Backfill {
            namespace,
            schedule: id,
            from,
            to,
        };
        Ok(self.request_runs(schedule.partition, command, runs).await?)
    }

    /// Lets what is left of a backfill not run. What of it runs already goes on.
    ///
    /// # Errors
    /// When the schedule has no such backfill, or no answer.
    pub async fn stop_backfill(
        &self,
        name: &ScheduleName,
        backfill: LogOffset,
    ) -> Result<(), LookupError> {
        let schedule = self.schedule_head(name).await?;
        if !schedule
            .state
            .backfills
            .iter()
            .any(|known| known.offset == backfill)
        {
            return Err(LookupError::NotFound {
                what: "backfill",
                name: backfill.to_string(),
            });
        }
        let (namespace, id) = (name.namespace.clone(), name.id.clone());
        let command = Command::StopBackfill {
            namespace,
            schedule: id,
            backfill,
        };
        self.append_and_wait(schedule.partition, vec![command])
            .await?;
        Ok(())
    }

    /// Lets nobody wait any longer for the runs of a schedule that are in progress: an operator's
    /// way out when nothing is heard of them. They are not stopped.
    ///
    /// # Errors
    /// When there is no such schedule, or no answer.
    pub async fn forget_runs(&self, name: &ScheduleName) -> Result<RunRequested, LookupError> {
        let schedule = self.schedule_head(name).await?;
        let runs = schedule.state.running.len();
        let (namespace, id) = (name.namespace.clone(), name.id.clone());
        let command = Command::ForgetRuns {
            namespace,
            schedule: id,
        };
        self.request_runs(schedule.partition, command, runs).await
    }

    /// Appends a command that concerns so many runs.
    async fn request_runs(
        &self,
        partition: PartitionId,
        command: Command,
        runs: usize,
    ) -> Result<RunRequested, LookupError> {
        let offset = self.append_and_wait(partition, vec![command]).await?;
        Ok(RunRequested {
            partition,
            offset,
            runs,
        })
    }
}
