//! Every statement that this adapter sends to a cluster in service, prepared once.

use minutehand_ports::PortError;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use crate::error::failed;

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)+) => {
        /// The prepared statements.
        pub(crate) struct Statements {
            $($(#[$doc])* pub(crate) $name: PreparedStatement,)+
        }

        impl Statements {
            /// Prepares all of them for a keyspace.
            pub(crate) async fn prepare(session: &Session, keyspace: &str) -> Result<Statements, PortError> {
                Ok(Statements {
                    $($name: prepare(session, keyspace, $text).await?,)+
                })
            }
        }
    };
}

statements! {
    write_block = "INSERT INTO {keyspace}.timetable (region, partition, bucket, slice, first_due, block, last_due, \
                   facts, tasks, bytes, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
    write_day = "INSERT INTO {keyspace}.timetable_days (region, partition, day, index_level) \
                 VALUES (?, ?, ?, ?) USING TTL ?";
    write_bucket = "INSERT INTO {keyspace}.timetable_buckets (region, partition, day, bucket, slice) \
                    VALUES (?, ?, ?, ?, ?) USING TTL ?";
    write_index = "INSERT INTO {keyspace}.task_index (region, partition, day, level, shard, run, pointers) \
                   VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ?";
    delete_index = "DELETE FROM {keyspace}.task_index \
                    WHERE region = ? AND partition = ? AND day = ? AND level = ? AND shard = ?";
    delete_day = "DELETE FROM {keyspace}.timetable_days \
                  WHERE region = ? AND partition = ? AND day = ? AND index_level = ?";
    read_days = "SELECT day, index_level FROM {keyspace}.timetable_days \
                 WHERE region = ? AND partition = ? AND day >= ? AND day <= ?";
    read_buckets = "SELECT bucket, slice FROM {keyspace}.timetable_buckets \
                    WHERE region = ? AND partition = ? AND day = ? AND bucket >= ? AND bucket < ?";
    read_blocks = "SELECT first_due, block, content FROM {keyspace}.timetable \
                   WHERE region = ? AND partition = ? AND bucket = ? AND slice = ? \
                   AND first_due >= ? AND first_due < ?";
    read_block = "SELECT block, content FROM {keyspace}.timetable \
                  WHERE region = ? AND partition = ? AND bucket = ? AND slice = ? \
                  AND first_due = ? AND block >= ? AND block < ?";
    read_loads = "SELECT tasks, bytes FROM {keyspace}.timetable \
                  WHERE region = ? AND partition = ? AND bucket = ? AND slice = ?";
    read_index = "SELECT run, pointers FROM {keyspace}.task_index \
                  WHERE region = ? AND partition = ? AND day = ? AND level = ? AND shard = ?";
    write_revision = "INSERT INTO {keyspace}.schedules (region, partition, log_offset, namespace, schedule, revision, \
                      author, note, appended_at, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    read_revisions = "SELECT log_offset, content FROM {keyspace}.schedules WHERE region = ? AND partition = ?";
    delete_revision = "DELETE FROM {keyspace}.schedules WHERE region = ? AND partition = ? AND log_offset = ?";
    write_ledger = "INSERT INTO {keyspace}.ledger (region, partition, day, minute, closed_by, expected, published, \
                    stored, found, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
    read_ledger = "SELECT content FROM {keyspace}.ledger \
                   WHERE region = ? AND partition = ? AND day = ? AND minute >= ? AND minute < ?";
    write_checkpoint = "INSERT INTO {keyspace}.checkpoints (region, partition, epoch, tick, copied_at, applied, \
                        replay_from, published_until, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
    read_checkpoint = "SELECT copied_at, content FROM {keyspace}.checkpoints \
                       WHERE region = ? AND partition = ? LIMIT 1";
}

async fn prepare(
    session: &Session,
    keyspace: &str,
    text: &str,
) -> Result<PreparedStatement, PortError> {
    let action = format!("prepare the statements for keyspace {keyspace}");
    let text = text.replace("{keyspace}", keyspace);
    let mut statement = session
        .prepare(text)
        .await
        .map_err(|error| failed(&action, error))?;
    statement.set_is_idempotent(true);
    // The columns of an answer are known from here on; sending them with each would only cost.
    statement.set_use_cached_result_metadata(true);
    Ok(statement)
}
