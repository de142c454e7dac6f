//! Listing what has ended, as far as the history keeps it with its names: the newest first.

use minutehand_ports::{EndedPage, EndedPlace, EndedQuery};

use super::TaskName;
use crate::gateway::{Gateway, TaskView, Unavailable};

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct EndedTasks {
    /// Ends of attempts, each with its place: what has been tried again is there for each attempt.
    pub tasks: Vec<(EndedPlace, TaskView)>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<EndedPlace>,
}

impl Gateway {
    /// Lists ends of attempts. A page may be short, or empty, and have more behind it.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn list_ended(&self, query: &EndedQuery) -> Result<EndedTasks, Unavailable> {
        let turn = self.scans.acquire().await;
        let EndedPage { ended, next } = self.stores.history.ended(query).await?;
        drop(turn);
        let partitions = self.owners.partitions();
        let mut tasks = Vec::with_capacity(ended.len());
        for (place, outcome) in ended {
            // What is listed has its names.
            let Some(task) = outcome.task.clone() else {
                continue;
            };
            let name = TaskName {
                namespace: task.namespace,
                id: task.id,
                order_key: task.order_key,
            };
            let home = name.possible_partitions(partitions).pop();
            tasks.push((
                place,
                TaskView {
                    namespace: name.namespace,
                    id: name.id,
                    order_key: name.order_key,
                    partition: home.unwrap_or_default(),
                    due: outcome.due,
                    offset: None,
                    state: outcome.kind.into(),
                    queue: Some(task.queue),
                    attempt: Some(outcome.attempt),
                    task: None,
                    outcomes: vec![outcome],
                },
            ));
        }
        Ok(EndedTasks { tasks, next })
    }
}
