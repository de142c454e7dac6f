//! What one tick publishes to one queue.
//!
//! `"MHP"`, version byte, CRC-32C of all that follows (4 bytes, little-endian), header (fixed
//! widths, little-endian), then the publications and the stop requests. A publication is: key (16
//! bytes), offset (varint), due time (zigzag varint, from the tick's time), guarantee (byte),
//! varint length, task. Nothing is compressed, so that a delivery is a slice of what was read.

use bytes::{BufMut, Bytes, BytesMut};
use minutehand_model::{
    Epoch, Guarantee, LogOffset, PartitionId, Publication, StopRequest, TaskKey, Timestamp,
};

use crate::VERSION;
use crate::envelope::{check_packed, civil_time, log_offset, partition_id};
use crate::error::{DecodeError, Fault};
use crate::policy::{guarantee, guarantee_number};
use crate::wire::{Reader, put_signed, put_sized, put_varint};

const WHAT: &str = "publication batch";
const MAGIC: [u8; 3] = *b"MHP";
/// The smallest publication: key, offset, due time, guarantee and an empty task.
const PUBLICATION_BYTES_MIN: usize = 16 + 4;
/// The smallest stop request: key, due time and a byte.
const STOP_BYTES_MIN: usize = 16 + 2;

/// What all publications of a batch have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The partition that published.
    pub partition: PartitionId,
    /// Its owner.
    pub epoch: Epoch,
    /// The number of the tick.
    pub tick: u64,
    /// When the tick was built.
    pub published_at: Timestamp,
    /// The sequence number of the first publication; the others follow.
    pub first_sequence: u64,
}

/// One publication of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// The log offset of the command behind it.
    pub offset: LogOffset,
    /// The fingerprint of namespace and id.
    pub key: TaskKey,
    /// When it was due.
    pub due: Timestamp,
    /// What is promised about its effect.
    pub guarantee: Guarantee,
    /// The encoded task, as it was given.
    pub encoded: Bytes,
}

/// A request to stop a run of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchStop {
    /// Which task.
    pub key: TaskKey,
    /// Its due time.
    pub due: Timestamp,
    /// Kill it, instead of asking.
    pub kill: bool,
}

/// What one tick publishes to one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What all have in common.
    pub header: BatchHeader,
    /// The publications, in order.
    pub items: Vec<BatchItem>,
    /// Runs to stop.
    pub stops: Vec<BatchStop>,
}

/// The bytes of a batch: publications and stop requests of one queue.
pub fn encode_batch(
    header: &BatchHeader,
    publications: &[&Publication],
    stops: &[&StopRequest],
) -> Bytes {
    let tasks_bytes: usize = publications
        .iter()
        .map(|publication| publication.task.encoded.len() + 40)
        .sum();
    let mut buffer = BytesMut::with_capacity(52 + tasks_bytes + 32 * stops.len());
    buffer.put_slice(&MAGIC);
    buffer.put_u8(VERSION);
    buffer.put_u32_le(0);
    buffer.put_u32_le(header.partition.bits());
    buffer.put_u64_le(header.epoch.0);
    buffer.put_u64_le(header.tick);
    buffer.put_i64_le(header.published_at.as_millis());
    buffer.put_u64_le(header.first_sequence);
    buffer.put_u32_le(publications.len() as u32);
    buffer.put_u32_le(stops.len() as u32);
    let published_at_ms = header.published_at.as_millis();
    for publication in publications {
        let task = &publication.task;
        buffer.put_slice(&task.key.0.to_be_bytes());
        put_varint(&mut buffer, publication.offset.bits());
        put_signed(
            &mut buffer,
            task.due.as_millis().wrapping_sub(published_at_ms),
        );
        buffer.put_u8(guarantee_number(task.guarantee) as u8);
        put_sized(&mut buffer, &task.encoded);
    }
    for stop in stops {
        buffer.put_slice(&stop.key.0.to_be_bytes());
        put_signed(
            &mut buffer,
            stop.due.as_millis().wrapping_sub(published_at_ms),
        );
        buffer.put_u8(u8::from(stop.kill));
    }
    let crc = crc32c::crc32c(&buffer[8..]);
    buffer[4..8].copy_from_slice(&crc.to_le_bytes());
    buffer.freeze()
}

/// The batch; its tasks are slices of `bytes`.
pub fn decode_batch(bytes: &Bytes) -> Result<Batch, DecodeError> {
    batch(bytes).map_err(|fault| fault.of(WHAT))
}

fn batch(bytes: &Bytes) -> Result<Batch, Fault> {
    let mut reader = Reader::new(bytes);
    check_packed(&mut reader, bytes, MAGIC)?;
    let header = BatchHeader {
        partition: partition_id(u32::from_le_bytes(reader.array()?))?,
        epoch: Epoch(u64::from_le_bytes(reader.array()?)),
        tick: u64::from_le_bytes(reader.array()?),
        published_at: Timestamp::from_millis(i64::from_le_bytes(reader.array()?)),
        first_sequence: u64::from_le_bytes(reader.array()?),
    };
    let publications = u32::from_le_bytes(reader.array()?) as usize;
    let stop_count = u32::from_le_bytes(reader.array()?) as usize;
    if publications
        .saturating_mul(PUBLICATION_BYTES_MIN)
        .saturating_add(stop_count.saturating_mul(STOP_BYTES_MIN))
        > reader.remaining()
    {
        return Err(format!(
            "it claims {publications} publications and {stop_count} stop requests"
        )
        .into());
    }
    let items: Vec<BatchItem> = (0..publications)
        .map(|_| item(&mut reader, bytes, header.published_at))
        .collect::<Result<_, _>>()?;
    let stops = (0..stop_count)
        .map(|_| stop(&mut reader, header.published_at))
        .collect::<Result<_, _>>()?;
    reader.finish()?;
    if header
        .first_sequence
        .checked_add(items.len() as u64)
        .is_none()
    {
        return Err("its sequence numbers run over".into());
    }
    Ok(Batch {
        header,
        items,
        stops,
    })
}

fn due(reader: &mut Reader<'_>, published_at: Timestamp) -> Result<Timestamp, Fault> {
    civil_time(
        "due",
        published_at.as_millis().wrapping_add(reader.signed()?),
    )
}

fn item(
    reader: &mut Reader<'_>,
    bytes: &Bytes,
    published_at: Timestamp,
) -> Result<BatchItem, Fault> {
    let key = TaskKey(u128::from_be_bytes(reader.array()?));
    let offset = log_offset("offset", reader.varint()?)?;
    let due = due(reader, published_at)?;
    let guarantee = guarantee(u32::from(reader.byte()?))?;
    Ok(BatchItem {
        offset,
        key,
        due,
        guarantee,
        encoded: bytes.slice_ref(reader.sized()?),
    })
}

fn stop(reader: &mut Reader<'_>, published_at: Timestamp) -> Result<BatchStop, Fault> {
    let key = TaskKey(u128::from_be_bytes(reader.array()?));
    let due = due(reader, published_at)?;
    let kill = match reader.byte()? {
        0 => false,
        1 => true,
        other => return Err(format!("a stop request has the unknown kind {other}").into()),
    };
    Ok(BatchStop { key, due, kill })
}
