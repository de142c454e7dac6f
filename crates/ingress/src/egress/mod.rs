//! What an execution is as a Kafka record, and how a worker reads it.
//!
//! The record has the key that its task came with (else the task's id), its payload as it is, and
//! its headers as they are, behind those of the scheduler. One of these is the encoded task without
//! its payload, so that a worker can write a retry or a dead letter from the record alone.

mod read;
mod text;
mod write;

pub use read::{Incoming, ReadError, Received, StopReceived, read};
pub use write::{Envelope, Outgoing, Writer};

/// Names of the scheduler's own headers.
pub mod names {
    /// The idempotency key of the attempt: `x-` and 32 hexadecimal digits.
    pub const EXECUTION_ID: &str = "minutehand-execution-id";
    /// The name space of the id.
    pub const NAMESPACE: &str = "minutehand-namespace";
    /// The task's id.
    pub const ID: &str = "minutehand-id";
    /// The task's key, where it has one.
    pub const KEY: &str = "minutehand-key";
    /// The worker group that it is of, where it is one's alone: what that group goes on with.
    pub const GROUP: &str = "minutehand-group";
    /// When it was due: RFC 3339 in UTC with milliseconds.
    pub const DUE_AT: &str = "minutehand-due-at";
    /// Which attempt it is, from 1.
    pub const ATTEMPT: &str = "minutehand-attempt";
    /// The partition that published it.
    pub const PARTITION: &str = "minutehand-partition";
    /// The log offset of the command behind it.
    pub const OFFSET: &str = "minutehand-offset";
    /// The owner that published it: a fencing number that only grows.
    pub const EPOCH: &str = "minutehand-epoch";
    /// When its tick was built, as `due-at`.
    pub const PUBLISHED_AT: &str = "minutehand-published-at";
    /// The encoded task without its payload.
    pub const TASK: &str = "minutehand-task";
    /// `ask` or `kill`: this record is no execution, it asks to stop one.
    pub const STOP: &str = "minutehand-stop";
    /// Which task is to stop: 32 hexadecimal digits.
    pub const TASK_KEY: &str = "minutehand-task-key";
    /// `cloudevents` or `plain`: a header of a task that says what its record is to be.
    pub const ENVELOPE: &str = "minutehand-envelope";
}
