//! The ceiling where everything is persisted: the raw pipeline, and beside it the same tasks
//! written to Cassandra in blocks of the usual size by the bare driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use minutehand_cassandra::raw::RawBlocks;
use minutehand_model::PartitionId;
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::PortError;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::Failure;
use super::ceiling::{self, Beside};
use super::prepared::{BLOCK_TASKS, encoded_block};
use super::rig::{Endpoints, Ground};
use super::terms::{CEILING_LASTS, PAYLOAD_BYTES, queue};

/// Requests of the bare driver at once, and blocks that wait for one.
const IN_FLIGHT: usize = 32;
const WAITING: usize = 64;
/// When the blocks' first tasks are due, after they were written, in milliseconds.
const AHEAD_MS: u64 = 5_000;
const SPREAD_MS: u64 = 55_000;

/// Tasks a second through log, blocks and transactions, as fast as it goes.
///
/// # Errors
/// When a server fails.
pub async fn ceiling(endpoints: &Endpoints, partitions: u32) -> Result<f64, Failure> {
    let ground = Ground::prepare(endpoints, partitions).await?;
    ground.client.ensure_queue(&queue()).await?;
    let raw = Arc::new(RawBlocks::connect(&ground.cassandra).await?);
    let (sender, receiver) = mpsc::channel(WAITING);
    let writing = tokio::spawn(write(raw, receiver));
    let client = Arc::clone(&ground.client);
    let moving = tokio::task::spawn_blocking(move || {
        ceiling::pipeline(
            &client,
            &queue(),
            PAYLOAD_BYTES,
            CEILING_LASTS,
            &blocks_to(sender),
        )
    });
    let rate = moving
        .await
        .map_err(|error| Failure::new(error.to_string()))??;
    writing
        .await
        .map_err(|error| Failure::new(error.to_string()))??;
    ground.clear().await?;
    Ok(rate)
}

/// For every so many tasks a block; waits when too many are under way.
fn blocks_to(sender: mpsc::Sender<(PartitionId, u64)>) -> Beside {
    let tasks = AtomicU64::new(0);
    Arc::new(move |partition, count| {
        let before = tasks.fetch_add(count as u64, Ordering::Relaxed);
        for number in before / BLOCK_TASKS..(before + count as u64) / BLOCK_TASKS {
            // When nobody takes them any more, the writer says why.
            let _ = sender.blocking_send((partition, number));
        }
    })
}

/// Writes a block for each number, the same content under different names.
async fn write(
    raw: Arc<RawBlocks>,
    mut numbers: mpsc::Receiver<(PartitionId, u64)>,
) -> Result<(), Failure> {
    let content: Bytes = encoded_block();
    let mut under_way = JoinSet::new();
    while let Some((partition, number)) = numbers.recv().await {
        if under_way.len() >= IN_FLIGHT {
            joined(under_way.join_next().await)?;
        }
        let ahead_ms = AHEAD_MS + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % SPREAD_MS;
        let first_due = SystemClock.now().plus_millis(ahead_ms as i64);
        let (raw, content) = (Arc::clone(&raw), content.clone());
        under_way.spawn(async move { raw.write(partition, first_due, number, &content).await });
    }
    while let Some(written) = under_way.join_next().await {
        joined(Some(written))?;
    }
    Ok(())
}

fn joined(written: Option<Result<Result<(), PortError>, JoinError>>) -> Result<(), Failure> {
    match written {
        Some(Ok(answer)) => answer.map_err(Failure::from),
        Some(Err(error)) => Err(Failure::new(error.to_string())),
        None => Ok(()),
    }
}
