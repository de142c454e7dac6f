//! Blocks written by the bare driver, for ceilings: nothing is packed, filed or made known, and
//! nobody reads them.

use minutehand_model::{PartitionId, Timestamp};
use minutehand_ports::PortError;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use crate::config::CassandraConfig;
use crate::connect;
use crate::error::failed;
use crate::keys::Slice;
use crate::timetable::number;
use crate::write::cql;

/// The region of these rows; no scheduler has it.
const REGION: &str = "raw";

/// A session that writes rows of the timetable.
pub struct RawBlocks {
    session: Session,
    insert: PreparedStatement,
}

impl RawBlocks {
    /// Connects to a keyspace that has the tables.
    ///
    /// # Errors
    /// When the cluster cannot be reached, or has no such tables.
    pub async fn connect(config: &CassandraConfig) -> Result<RawBlocks, PortError> {
        let session = connect::session(config).await?;
        let insert = format!(
            "INSERT INTO {}.timetable (region, partition, bucket, slice, first_due, block, content) \
             VALUES ('{REGION}', ?, ?, ?, ?, ?, ?)",
            config.keyspace
        );
        let prepared = session.prepare(insert).await;
        let mut insert =
            prepared.map_err(|error| failed("prepare the statement of raw blocks", error))?;
        insert.set_is_idempotent(true);
        Ok(RawBlocks { session, insert })
    }

    /// Writes one row, named by a number.
    ///
    /// # Errors
    /// When the cluster does not take it.
    pub async fn write(
        &self,
        partition: PartitionId,
        first_due: Timestamp,
        name: u64,
        content: &[u8],
    ) -> Result<(), PortError> {
        let slice = Slice::of(first_due);
        let name = name.to_be_bytes();
        let values = (
            number(partition),
            cql(slice.bucket),
            slice.number,
            cql(first_due),
            name.as_slice(),
            content,
        );
        let answer = self.session.execute_unpaged(&self.insert, values).await;
        answer
            .map(drop)
            .map_err(|error| failed("write a raw block", error))
    }
}
