//! What others are told of a run beside its payload.

use minutehand_model::Execution;

/// The headers that name a run, in webhooks and in records that it leaves.
pub(crate) fn headers(execution: &Execution) -> Vec<(&'static str, String)> {
    let task = &execution.task;
    let mut headers = vec![
        ("minutehand-namespace", task.namespace.to_string()),
        ("minutehand-task-id", task.id.to_string()),
        ("minutehand-attempt", task.attempt.to_string()),
        ("minutehand-execution-id", execution.id.to_string()),
        ("minutehand-delivery-token", execution.token.to_string()),
        ("minutehand-due-at", task.due.to_string()),
    ];
    let key = task.order_key.as_ref();
    headers.extend(key.map(|key| ("minutehand-key", key.to_string())));
    headers
}
