//! A row of the log: the records of one append, packed, with the time the log gave them.
//!
//! Version byte, CRC-32C of the head, append time, count of records, CRC-32C of the body (all
//! little-endian); then the body: the length of every record (4 bytes each), and the records. Two
//! checksums, so that the body can be summed by who appends, before the committer knows the time.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use minutehand_model::{LogOffset, Timestamp};
use minutehand_ports::LogRecord;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 4 + 8 + 4 + 4;

/// Records that only lack their time.
pub(crate) struct Packed {
    buffer: BytesMut,
    count: u32,
}

impl Packed {
    /// Packs records into one row.
    pub(crate) fn new(records: &[Bytes]) -> Packed {
        let bytes: usize = records.iter().map(|record| 4 + record.len()).sum();
        let mut buffer = BytesMut::with_capacity(HEAD_BYTES + bytes);
        buffer.put_bytes(0, HEAD_BYTES);
        records
            .iter()
            .for_each(|record| buffer.put_u32_le(record.len() as u32));
        records.iter().for_each(|record| buffer.put_slice(record));
        let crc = crc32c::crc32c(&buffer[HEAD_BYTES..]);
        buffer[17..21].copy_from_slice(&crc.to_le_bytes());
        Packed {
            buffer,
            count: records.len() as u32,
        }
    }

    /// How many records it holds.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// About its size.
    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The row.
    pub(crate) fn seal(mut self, appended_at: Timestamp) -> Bytes {
        self.buffer[0] = VERSION;
        self.buffer[5..13].copy_from_slice(&appended_at.as_millis().to_le_bytes());
        self.buffer[13..17].copy_from_slice(&self.count.to_le_bytes());
        let crc = crc32c::crc32c(&self.buffer[5..HEAD_BYTES]);
        self.buffer[1..5].copy_from_slice(&crc.to_le_bytes());
        self.buffer.freeze()
    }
}

/// What a row says in its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) appended_at: Timestamp,
    pub(crate) count: u32,
    body_crc: u32,
}

/// The head of a row, verified.
pub(crate) fn head(row: &[u8]) -> Result<Head, String> {
    let Some(mut head) = row.get(..HEAD_BYTES) else {
        return Err(format!("the row has only {} bytes", row.len()));
    };
    match head.get_u8() {
        VERSION => {}
        other => {
            return Err(format!(
                "unknown version {other} (this build knows {VERSION})"
            ));
        }
    }
    if head.get_u32_le() != crc32c::crc32c(&row[5..HEAD_BYTES]) {
        return Err("the checksum of its head does not match".to_owned());
    }
    Ok(Head {
        appended_at: Timestamp::from_millis(head.get_i64_le()),
        count: head.get_u32_le(),
        body_crc: head.get_u32_le(),
    })
}

/// The records of a row that begins at an offset; slices of it.
pub(crate) fn unpack(first: LogOffset, row: &Bytes) -> Result<Vec<LogRecord>, String> {
    let head = head(row)?;
    let body = row.slice(HEAD_BYTES..);
    if head.body_crc != crc32c::crc32c(&body) {
        return Err("the checksum of its records does not match".to_owned());
    }
    records(first, head, &body).ok_or_else(|| "its records do not fit it".to_owned())
}

fn records(first: LogOffset, head: Head, body: &Bytes) -> Option<Vec<LogRecord>> {
    let count = head.count as usize;
    let (mut lengths, mut at) = (body.get(..count.checked_mul(4)?)?, count * 4);
    let mut records = Vec::with_capacity(count);
    for offset in first.following(count) {
        let end = at.checked_add(lengths.get_u32_le() as usize)?;
        if end > body.len() {
            return None;
        }
        records.push(LogRecord::new(
            offset,
            head.appended_at,
            body.slice(at..end),
        ));
        at = end;
    }
    (at == body.len()).then_some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_bit_and_every_truncation_is_noticed() {
        let records = [
            Bytes::from_static(b"first"),
            Bytes::new(),
            Bytes::from_static(b"third"),
        ];
        let row = Packed::new(&records).seal(Timestamp::from_millis(-5));
        let read = unpack(LogOffset::at(40), &row).unwrap();
        assert_eq!(
            read.iter()
                .map(|record| record.payload.clone())
                .collect::<Vec<_>>(),
            records
        );
        assert_eq!(read[2].offset, LogOffset::at(42));
        assert_eq!(read[2].appended_at, Timestamp::from_millis(-5));
        for bit in 0..row.len() * 8 {
            let mut damaged = row.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                unpack(LogOffset::at(40), &damaged.into()).is_err(),
                "bit {bit}"
            );
        }
        for length in 0..row.len() {
            assert!(
                unpack(LogOffset::at(40), &row.slice(..length)).is_err(),
                "cut to {length}"
            );
        }
    }
}
