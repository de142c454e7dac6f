//! A block of the timetable: a header that can be read alone, and the entries, compressed.
//!
//! `"MHB"`, version byte, CRC-32C of all that follows (4 bytes, little-endian), header (fixed
//! widths, little-endian), LZ4 block. Uncompressed, an entry is: a byte (1 runs, 2 void), the
//! differences of due time, offset and append time from the entry before (zigzag varints; the first
//! from the header's first due time, first offset and 0), then a varint length and the task, or the
//! sixteen bytes of the key.

use bytes::{BufMut, Bytes, BytesMut};
use minutehand_model::{Block, Fact, LogOffset, PartitionId, TaskKey, Timestamp, TimetableEntry};

use crate::VERSION;
use crate::envelope::{check_packed, civil_time, log_offset};
use crate::error::{DecodeError, Fault};
use crate::names::QueueNames;
use crate::task::record_from;
use crate::wire::{Reader, put_signed, put_sized};

const WHAT: &str = "block";
const MAGIC: [u8; 3] = *b"MHB";
/// LZ4 cannot expand a byte to more than this many.
const EXPANSION_MAX: usize = 255;
const RUNS: u8 = 1;
const VOID: u8 = 2;

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// How many entries it has; at least one.
    pub entries: u32,
    /// How many of them create a task.
    pub creates: u32,
    /// The start of the minute all entries are due in.
    pub bucket: Timestamp,
    /// The lowest due time.
    pub first_due: Timestamp,
    /// The highest due time.
    pub last_due: Timestamp,
    /// The lowest log offset.
    pub first_offset: LogOffset,
    /// The highest log offset.
    pub last_offset: LogOffset,
}

/// The bytes of a block.
pub fn encode(block: &Block) -> Bytes {
    let body = body(block);
    let compressed = lz4_flex::block::compress(&body);
    let mut buffer = BytesMut::with_capacity(8 + 52 + compressed.len());
    buffer.put_slice(&MAGIC);
    buffer.put_u8(VERSION);
    buffer.put_u32_le(0);
    let creates = block
        .entries
        .iter()
        .filter(|entry| matches!(entry.fact, Fact::Runs(_)))
        .count();
    buffer.put_u32_le(block.entries.len() as u32);
    buffer.put_u32_le(creates as u32);
    buffer.put_i64_le(block.bucket.as_millis());
    buffer.put_i64_le(block.first_due().as_millis());
    buffer.put_i64_le(
        block
            .entries
            .last()
            .map_or(block.bucket, |entry| entry.due)
            .as_millis(),
    );
    buffer.put_u64_le(block.first_offset.bits());
    buffer.put_u64_le(block.last_offset.bits());
    buffer.put_u32_le(body.len() as u32);
    buffer.put_slice(&compressed);
    let crc = crc32c::crc32c(&buffer[8..]);
    buffer[4..8].copy_from_slice(&crc.to_le_bytes());
    buffer.freeze()
}

const fn kind(fact: &Fact) -> u8 {
    match fact {
        Fact::Runs(_) => RUNS,
        Fact::Void => VOID,
    }
}

fn body(block: &Block) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(block.entries.len() * 128);
    let mut last = (
        block.first_due().as_millis(),
        block.first_offset.bits(),
        0_i64,
    );
    for entry in &block.entries {
        let this = (
            entry.due.as_millis(),
            entry.offset.bits(),
            entry.appended_at.as_millis(),
        );
        buffer.put_u8(kind(&entry.fact));
        put_signed(&mut buffer, this.0.wrapping_sub(last.0));
        put_signed(&mut buffer, this.1.wrapping_sub(last.1) as i64);
        put_signed(&mut buffer, this.2.wrapping_sub(last.2));
        match &entry.fact {
            Fact::Runs(task) => put_sized(&mut buffer, &task.encoded),
            Fact::Void => buffer.put_slice(&entry.key.0.to_be_bytes()),
        }
        last = this;
    }
    buffer
}

/// The header alone; the checksum of the whole is verified, nothing is decompressed.
pub fn header(bytes: &[u8]) -> Result<BlockHeader, DecodeError> {
    opened(bytes)
        .map(|(header, _, _)| header)
        .map_err(|fault| fault.of(WHAT))
}

/// The block; its tasks share one decompressed piece of memory.
pub fn decode(partition: PartitionId, bytes: &[u8]) -> Result<Block, DecodeError> {
    block(partition, bytes).map_err(|fault| fault.of(WHAT))
}

/// Verifies magic, version and checksum; the header, the length of the body and the compressed
/// body.
fn opened(bytes: &[u8]) -> Result<(BlockHeader, usize, &[u8]), Fault> {
    let mut reader = Reader::new(bytes);
    check_packed(&mut reader, bytes, MAGIC)?;
    let header = BlockHeader {
        entries: u32::from_le_bytes(reader.array()?),
        creates: u32::from_le_bytes(reader.array()?),
        bucket: civil_time("bucket", i64::from_le_bytes(reader.array()?))?,
        first_due: civil_time("first_due", i64::from_le_bytes(reader.array()?))?,
        last_due: civil_time("last_due", i64::from_le_bytes(reader.array()?))?,
        first_offset: log_offset("first_offset", u64::from_le_bytes(reader.array()?))?,
        last_offset: log_offset("last_offset", u64::from_le_bytes(reader.array()?))?,
    };
    let body_bytes = u32::from_le_bytes(reader.array()?) as usize;
    let compressed = reader.take(reader.remaining())?;
    if header.entries == 0 || header.entries as usize > body_bytes {
        return Err(format!("it claims {} entries in {body_bytes} bytes", header.entries).into());
    }
    if body_bytes > compressed.len().saturating_mul(EXPANSION_MAX) {
        return Err(format!(
            "it claims {body_bytes} bytes in {} compressed ones",
            compressed.len()
        )
        .into());
    }
    Ok((header, body_bytes, compressed))
}

fn block(partition: PartitionId, bytes: &[u8]) -> Result<Block, Fault> {
    let (header, body_bytes, compressed) = opened(bytes)?;
    let body = lz4_flex::block::decompress(compressed, body_bytes)
        .map_err(|error| format!("its body cannot be decompressed: {error}"))?;
    if body.len() != body_bytes {
        return Err(format!("its body has {} bytes instead of {body_bytes}", body.len()).into());
    }
    let body = Bytes::from(body);
    let mut reader = Reader::new(&body);
    let mut names = QueueNames::new();
    let mut last = (
        header.first_due.as_millis(),
        header.first_offset.bits(),
        0_i64,
    );
    let mut entries = Vec::with_capacity(header.entries as usize);
    for _ in 0..header.entries {
        let entry = entry(&mut reader, &body, &mut last, &mut names)?;
        if entry.due.floor_to_minute() != header.bucket {
            return Err(format!(
                "an entry due at {} lies in the bucket {}",
                entry.due, header.bucket
            )
            .into());
        }
        entries.push(entry);
    }
    reader.finish()?;
    let BlockHeader {
        bucket,
        first_offset,
        last_offset,
        ..
    } = header;
    Ok(Block {
        partition,
        bucket,
        first_offset,
        last_offset,
        entries,
    })
}

/// The next entry; `last` holds due time, offset and append time of the one before.
fn entry(
    reader: &mut Reader<'_>,
    body: &Bytes,
    last: &mut (i64, u64, i64),
    names: &mut QueueNames,
) -> Result<TimetableEntry, Fault> {
    let kind = reader.byte()?;
    last.0 = last.0.wrapping_add(reader.signed()?);
    last.1 = last.1.wrapping_add(reader.signed()? as u64);
    last.2 = last.2.wrapping_add(reader.signed()?);
    let due = civil_time("due", last.0)?;
    let offset = log_offset("offset", last.1)?;
    let (key, fact) = match kind {
        RUNS => {
            let task = record_from(body.slice_ref(reader.sized()?), names)?;
            if task.due != due {
                return Err(format!("a task due at {} is filed under {due}", task.due).into());
            }
            (task.key, Fact::Runs(task))
        }
        VOID => (TaskKey(u128::from_be_bytes(reader.array()?)), Fact::Void),
        other => return Err(format!("an entry has the unknown kind {other}").into()),
    };
    Ok(TimetableEntry {
        key,
        due,
        offset,
        appended_at: Timestamp::from_millis(last.2),
        fact,
    })
}
