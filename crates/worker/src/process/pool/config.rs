//! What a pool is told.

use minutehand_model::QueueName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::process::confinement::Confinement;
use crate::process::user::UserError;

/// Running executions in children that live on: one line of JSON in, one out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PoolConfig {
    /// The queues whose executions the children run.
    pub queues: Vec<QueueName>,
    /// The program that every child is, and its arguments.
    pub command: Vec<String>,
    /// The folder that children work in; the worker's own unless given.
    pub folder: Option<String>,
    /// Most children; each runs one execution at a time.
    #[schemars(range(min = 1, max = 1_024))]
    pub children_max: usize,
    /// Longest time until a child has said that it is ready, in milliseconds.
    #[schemars(range(min = 1, max = 600_000))]
    pub start_timeout_ms: u64,
    /// Longest answer, in bytes.
    #[schemars(range(min = 128, max = 16_777_216))]
    pub answer_bytes_max: usize,
    /// Runs after which a child is let go and replaced.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub runs_max: u64,
    /// Between SIGTERM and SIGKILL for a child whose run should stop, in milliseconds.
    #[schemars(range(min = 0, max = 600_000))]
    pub kill_after_ms: u64,
    /// Rights, environment and limits.
    #[serde(flatten)]
    pub confinement: Confinement,
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            queues: Vec::new(),
            command: Vec::new(),
            folder: None,
            children_max: 4,
            start_timeout_ms: 10_000,
            answer_bytes_max: 64 * 1024,
            runs_max: 100_000,
            kill_after_ms: 5_000,
            confinement: Confinement::default(),
        }
    }
}

/// A pool that was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolConfigError {
    /// There is nothing to start.
    #[error(
        "pool.queues names {queue}, and pool.command is empty; give the program that runs its executions"
    )]
    NoCommand {
        /// A queue that was named.
        queue: QueueName,
    },
    /// There is nothing to do.
    #[error(
        "pool.command is {program:?}, and pool.queues is empty; name the queues that it serves"
    )]
    NoQueue {
        /// The program that was named.
        program: String,
    },
    /// Children cannot run as the user that was named.
    #[error(transparent)]
    User(#[from] UserError),
}
