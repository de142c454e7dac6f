//! Dead letters.

use bytes::Bytes;

use crate::name::QueueName;
use crate::partition_id::PartitionId;
use crate::task::TaskKey;
use crate::time::Timestamp;

/// A task that failed for the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue it was published to.
    pub queue: QueueName,
    /// The partition its task lives in.
    pub partition: PartitionId,
    /// The fingerprint of namespace and id.
    pub key: TaskKey,
    /// When it was given up.
    pub at: Timestamp,
    /// The attempts it had.
    pub attempts: u32,
    /// Why.
    pub reason: String,
    /// The task in the encoding of the `record` crate.
    pub encoded: Bytes,
}
