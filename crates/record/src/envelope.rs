//! The frame around a protobuf message: a version byte in front; and checks that many messages
//! share.

use bytes::{BufMut, Bytes, BytesMut};
use minutehand_model::limits::{
    HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX, PAYLOAD_BYTES_MAX,
    RECORD_KEY_BYTES_MAX, TASK_HEAD_BYTES_MAX,
};
use minutehand_model::{LogOffset, PartitionId, RecordKey, TaskKey, Timestamp, Verbatim};
use prost::Message;

use crate::VERSION;
use crate::error::{DecodeError, Fault};
use crate::wire::Reader;

/// A version byte and the message.
pub(crate) fn seal<M: Message>(message: &M) -> Bytes {
    let mut buffer = BytesMut::with_capacity(1 + message.encoded_len());
    buffer.put_u8(VERSION);
    message.encode_raw(&mut buffer);
    buffer.freeze()
}

/// The message behind a version byte that this build knows.
pub(crate) fn unseal<M: Message + Default>(
    what: &'static str,
    bytes: &Bytes,
) -> Result<M, DecodeError> {
    check_version(bytes.first().copied()).map_err(|fault| fault.of(what))?;
    M::decode(bytes.slice(1..)).map_err(|error| Fault::from(error).of(what))
}

/// Refuses no version and every version that this build does not know.
pub(crate) fn check_version(version: Option<u8>) -> Result<(), Fault> {
    match version {
        Some(VERSION) => Ok(()),
        Some(other) => Err(format!("unknown version {other} (this build knows {VERSION})").into()),
        None => Err("it is empty".into()),
    }
}

/// Reads what a packed record begins with: its magic letters, its version, and the checksum of all
/// that follows.
pub(crate) fn check_packed(
    reader: &mut Reader<'_>,
    bytes: &[u8],
    magic: [u8; 3],
) -> Result<(), Fault> {
    if reader.array::<3>()? != magic {
        let magic = String::from_utf8_lossy(&magic).into_owned();
        return Err(format!("it does not begin with {magic}").into());
    }
    check_version(Some(reader.byte()?))?;
    let crc = u32::from_le_bytes(reader.array()?);
    if crc != crc32c::crc32c(&bytes[8..]) {
        return Err("the checksum does not match; it is damaged".into());
    }
    Ok(())
}

/// 0000-01-01T00:00:00Z in milliseconds.
const YEAR_ZERO_MS: i64 = -62_167_219_200_000;

/// A time that a task can be due at: the years 0 to 9999.
pub(crate) fn civil_time(field: &str, ms: i64) -> Result<Timestamp, Fault> {
    if (YEAR_ZERO_MS..=Timestamp::END_OF_YEAR_9999.as_millis()).contains(&ms) {
        Ok(Timestamp::from_millis(ms))
    } else {
        Err(format!("{field} is {ms} ms; it must lie between the years 0 and 9999").into())
    }
}

/// An offset of a partition's logs.
pub(crate) fn log_offset(field: &str, bits: u64) -> Result<LogOffset, Fault> {
    LogOffset::from_bits(bits).ok_or_else(|| {
        format!(
            "{field} is {bits}; it must be at most {}",
            LogOffset::MAX.bits()
        )
        .into()
    })
}

/// A partition.
pub(crate) fn partition_id(bits: u32) -> Result<PartitionId, Fault> {
    PartitionId::from_bits(bits)
        .ok_or_else(|| format!("partition is {bits}; it must be at most {}", i32::MAX).into())
}

/// A key of exactly sixteen bytes, big-endian.
pub(crate) fn key(bytes: &[u8]) -> Result<TaskKey, Fault> {
    let array: [u8; 16] = bytes
        .try_into()
        .map_err(|_| format!("key is {} bytes long; it must be 16", bytes.len()))?;
    Ok(TaskKey(u128::from_be_bytes(array)))
}

/// The bytes of a key.
pub(crate) fn key_bytes(key: TaskKey) -> Bytes {
    Bytes::copy_from_slice(&key.0.to_be_bytes())
}

/// Refuses a payload above the limit.
pub(crate) fn check_payload(payload: &[u8]) -> Result<(), Fault> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(format!(
            "payload is {} bytes long; at most {PAYLOAD_BYTES_MAX} are allowed",
            payload.len()
        )
        .into());
    }
    Ok(())
}

/// Refuses a task that is too large beside its payload: all of it travels with its execution,
/// twice.
pub(crate) fn check_head(bytes: usize) -> Result<(), Fault> {
    if bytes > TASK_HEAD_BYTES_MAX {
        return Err(format!(
            "without its payload it is {bytes} bytes long; at most {TASK_HEAD_BYTES_MAX} are allowed for headers, key and all else"
        )
        .into());
    }
    Ok(())
}

/// The key of an execution's record.
pub(crate) fn record_key(key: Option<Bytes>, is_null: bool) -> Result<RecordKey, Fault> {
    match key {
        Some(key) if key.len() > RECORD_KEY_BYTES_MAX => Err(format!(
            "record_key is {} bytes long; at most {RECORD_KEY_BYTES_MAX} are allowed",
            key.len()
        )
        .into()),
        Some(key) => Ok(RecordKey::Bytes(key)),
        None if is_null => Ok(RecordKey::Null),
        None => Ok(RecordKey::TaskId),
    }
}

/// Refuses headers above the limits.
pub(crate) fn check_headers(
    headers: &[(String, String)],
    verbatim: Option<&Verbatim>,
) -> Result<(), Fault> {
    if headers.len() > HEADERS_MAX {
        return Err(format!(
            "it has {} headers; at most {HEADERS_MAX} are allowed",
            headers.len()
        )
        .into());
    }
    for (name, value) in minutehand_model::verbatim::header_bytes(headers, verbatim) {
        let value = value.unwrap_or_default();
        if name.len() > HEADER_NAME_BYTES_MAX || value.len() > HEADER_VALUE_BYTES_MAX {
            return Err(format!(
                "a header has a name of {} and a value of {} bytes; at most {HEADER_NAME_BYTES_MAX} and \
                 {HEADER_VALUE_BYTES_MAX} are allowed",
                name.len(),
                value.len()
            )
            .into());
        }
    }
    Ok(())
}
