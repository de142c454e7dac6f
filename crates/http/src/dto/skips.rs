//! Records that operators have passed over.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which records of a partition's log are to be passed over, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkipInput {
    /// The position of the first one in the partition's log.
    pub(crate) offset: u64,
    /// The position of the last one; the first is the only one unless given.
    pub(crate) through: Option<u64>,
    /// Why; it is kept with the records that are set aside.
    pub(crate) reason: String,
}

/// Records that are passed over from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SkippedDto {
    /// The partition.
    pub(crate) partition: u32,
    /// The position of the first record.
    pub(crate) offset: u64,
    /// The position of the last record.
    pub(crate) through: u64,
    /// Why.
    pub(crate) reason: String,
}
