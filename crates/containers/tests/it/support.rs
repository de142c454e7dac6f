//! Runs, and waiting for what a server sees.

use minutehand_model::{
    DeliveryToken, Epoch, Execution, ExecutionId, LogOffset, MessageId, Namespace, PartitionId,
    QueueName, Task, TaskId, Timestamp,
};
use minutehand_worker::Run;

/// Runs have an hour unless they say otherwise.
pub(crate) const RUN_TIMEOUT_MS: i64 = 3_600_000;

pub(crate) fn queue() -> QueueName {
    QueueName::parse("reports").unwrap()
}

/// A run of a task with that payload.
pub(crate) fn run_of(payload: &str) -> Run {
    let due = Timestamp::from_millis(1_790_000_000_000);
    let task = Task {
        payload: payload.to_owned().into(),
        ..Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse("weekly").unwrap(),
            queue(),
            due,
        )
    };
    let execution = Execution {
        id: ExecutionId::of(&task),
        message: MessageId::of(&task),
        task,
        published_at: due,
        partition: PartitionId::own(0),
        epoch: Epoch(1),
        token: DeliveryToken::default(),
        offset: LogOffset::START,
    };
    Run::new(execution, due)
}

/// A run of an image with a command.
pub(crate) fn run_image(image: &str, command: &[&str]) -> Run {
    run_of(&serde_json::json!({"image": image, "command": command}).to_string())
}
