//! A success in brief, and rows of them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use minutehand_model::{
    EndedTask, ExecutionId, NameError, Namespace, OrderKey, Outcome, OutcomeKind, QueueName,
    TaskId, TaskKey, Timestamp,
};

/// What every entry has, apart from its number and the names of its task.
const FIXED_BYTES: usize = 16 + 16 + 8 + 8 + 8 + 4;
/// A row as it is written.
const VERSION: u8 = 2;
/// A row of earlier builds: the fixed part of each entry, and no more.
const VERSION_WITHOUT_NAMES: u8 = 1;
/// Stands for the names that an entry does not have.
const NO_NAMES: u32 = u32::MAX;

/// A success whose executor had nothing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Success {
    pub(super) task: TaskKey,
    pub(super) execution: ExecutionId,
    pub(super) due: Timestamp,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) attempt: u32,
    /// What the task was called; `None` where a worker told its fingerprint only.
    pub(super) names: Option<Arc<EndedTask>>,
}

impl Success {
    /// From an outcome, which is given back when there is more to keep of it.
    pub(crate) fn of(task: TaskKey, outcome: Outcome) -> Result<Success, Outcome> {
        if outcome.kind != OutcomeKind::Succeeded || !outcome.detail.is_empty() {
            return Err(outcome);
        }
        let Outcome {
            execution,
            attempt,
            kind: _,
            detail: _,
            due,
            started_at,
            ended_at,
            task: names,
        } = outcome;
        Ok(Success {
            task,
            execution,
            due,
            started_at,
            ended_at,
            attempt,
            names: names.map(Arc::from),
        })
    }

    /// The whole of it.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome {
            execution: self.execution,
            attempt: self.attempt,
            kind: OutcomeKind::Succeeded,
            detail: String::new(),
            due: self.due,
            started_at: self.started_at,
            ended_at: self.ended_at,
            task: self.names.as_deref().cloned().map(Box::new),
        }
    }

    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u128(self.task.0);
        buffer.put_u128(self.execution.0);
        buffer.put_i64(self.due.as_millis());
        buffer.put_i64(self.started_at.as_millis());
        buffer.put_i64(self.ended_at.as_millis());
        buffer.put_u32(self.attempt);
    }

    fn take(bytes: &mut &[u8]) -> Result<Success, TryGetError> {
        Ok(Success {
            task: TaskKey(bytes.try_get_u128()?),
            execution: ExecutionId(bytes.try_get_u128()?),
            due: Timestamp::from_millis(bytes.try_get_i64()?),
            started_at: Timestamp::from_millis(bytes.try_get_i64()?),
            ended_at: Timestamp::from_millis(bytes.try_get_i64()?),
            attempt: bytes.try_get_u32()?,
            names: None,
        })
    }
}

/// A row: version, CRC-32C of the rest, the namespaces with their queues, and the entries, each
/// with its number above `first`.
pub(super) fn encode<'a>(
    first: u64,
    entries: impl ExactSizeIterator<Item = (u64, &'a Success)> + Clone,
) -> Bytes {
    let mut buffer = BytesMut::with_capacity(64 + entries.len() * (FIXED_BYTES + 40));
    buffer.put_u8(VERSION);
    buffer.put_u32(0);
    let mut homes = Homes::default();
    let numbers: Vec<u32> = entries
        .clone()
        .map(|(_, entry)| homes.number(entry.names.as_deref()))
        .collect();
    homes.put(&mut buffer);
    for ((number, entry), home) in entries.zip(numbers) {
        debug_assert!(
            (first..=first + u64::from(u32::MAX)).contains(&number),
            "{number} is not of the row from {first} on"
        );
        buffer.put_u32((number - first) as u32);
        entry.put(&mut buffer);
        buffer.put_u32(home);
        if let Some(names) = &entry.names {
            put_text(&mut buffer, names.id.as_str());
            let order_key = names.order_key.as_ref();
            put_text(&mut buffer, order_key.map_or("", OrderKey::as_str));
        }
    }
    let crc = crc32c::crc32c(&buffer[5..]);
    buffer[1..5].copy_from_slice(&crc.to_be_bytes());
    buffer.freeze()
}

/// The entries of a row whose numbers count from `first`.
pub(super) fn decode(first: u64, row: &[u8]) -> Result<Vec<(u64, Success)>, String> {
    let (Some((&version, rest)), true) = (row.split_first(), row.len() >= 5) else {
        return Err("it is not a row of successes".to_owned());
    };
    let (mut crc, entries) = rest.split_at(4);
    if crc.get_u32() != crc32c::crc32c(entries) {
        return Err("its checksum does not match".to_owned());
    }
    let decoded = match version {
        VERSION => decode_named(first, entries),
        VERSION_WITHOUT_NAMES => (first..)
            .zip(entries.chunks(FIXED_BYTES))
            .map(|(number, mut entry)| Ok((number, Success::take(&mut entry)?)))
            .collect(),
        other => return Err(format!("its version is {other}; {VERSION} is known")),
    };
    decoded.map_err(|fault| fault.0)
}

/// Why a row cannot be understood.
struct Fault(String);

impl From<TryGetError> for Fault {
    fn from(error: TryGetError) -> Fault {
        Fault(format!("it ends too early: {error}"))
    }
}

impl From<std::str::Utf8Error> for Fault {
    fn from(error: std::str::Utf8Error) -> Fault {
        Fault(format!("a name is no text: {error}"))
    }
}

impl From<NameError> for Fault {
    fn from(error: NameError) -> Fault {
        Fault(format!("a name is not valid: {error}"))
    }
}

fn decode_named(first: u64, mut bytes: &[u8]) -> Result<Vec<(u64, Success)>, Fault> {
    let homes = take_homes(&mut bytes)?;
    let mut entries = Vec::with_capacity(bytes.len() / FIXED_BYTES);
    while !bytes.is_empty() {
        let number = first + u64::from(bytes.try_get_u32()?);
        let mut success = Success::take(&mut bytes)?;
        let home = bytes.try_get_u32()?;
        if home != NO_NAMES {
            let home = homes.get(home as usize);
            let (namespace, queue) = home.ok_or_else(|| Fault("a name is missing".to_owned()))?;
            let id = TaskId::parse(take_text(&mut bytes)?)?;
            let order_key = match take_text(&mut bytes)? {
                "" => None,
                text => Some(OrderKey::parse(text)?),
            };
            success.names = Some(Arc::new(EndedTask {
                namespace: namespace.clone(),
                id,
                order_key,
                queue: queue.clone(),
            }));
        }
        entries.push((number, success));
    }
    Ok(entries)
}

/// The namespaces of a row's tasks with their queues, each written once.
#[derive(Default)]
struct Homes<'a> {
    all: Vec<(&'a Namespace, &'a QueueName)>,
    numbers: HashMap<(&'a str, &'a str), u32>,
    /// That of the entry before: mostly it is the same.
    last: Option<u32>,
}

impl<'a> Homes<'a> {
    fn number(&mut self, names: Option<&'a EndedTask>) -> u32 {
        let Some(EndedTask {
            namespace, queue, ..
        }) = names
        else {
            return NO_NAMES;
        };
        let is_same = |number: &u32| self.all[*number as usize] == (namespace, queue);
        if let Some(number) = self.last.filter(is_same) {
            return number;
        }
        let all = &mut self.all;
        let of_both = (namespace.as_str(), queue.as_str());
        let number = *self.numbers.entry(of_both).or_insert_with(|| {
            all.push((namespace, queue));
            (all.len() - 1) as u32
        });
        self.last = Some(number);
        number
    }

    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u32(self.all.len() as u32);
        for (namespace, queue) in &self.all {
            put_text(buffer, namespace.as_str());
            put_text(buffer, queue.as_str());
        }
    }
}

fn take_homes(bytes: &mut &[u8]) -> Result<Vec<(Namespace, QueueName)>, Fault> {
    let count = bytes.try_get_u32()?;
    (0..count)
        .map(|_| {
            let namespace = Namespace::parse(take_text(bytes)?)?;
            Ok((namespace, QueueName::parse(take_text(bytes)?)?))
        })
        .collect()
}

/// A text of at most 64 KiB, after its length: all names are far shorter.
fn put_text(buffer: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= usize::from(u16::MAX), "names are short");
    buffer.put_u16(text.len() as u16);
    buffer.put_slice(text.as_bytes());
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, Fault> {
    let length = usize::from(bytes.try_get_u16()?);
    let (text, rest) = bytes
        .split_at_checked(length)
        .ok_or_else(|| Fault("a name ends too early".to_owned()))?;
    *bytes = rest;
    Ok(std::str::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success(number: u64) -> Success {
        let at = Timestamp::from_millis(number as i64);
        let names = EndedTask {
            namespace: Namespace::parse("default").unwrap(),
            id: TaskId::parse(&format!("t{number}")).unwrap(),
            order_key: number
                .is_multiple_of(2)
                .then(|| OrderKey::parse("eu").unwrap()),
            queue: QueueName::parse(&format!("mail-{}", number % 3)).unwrap(),
        };
        Success {
            task: TaskKey(u128::from(number % 7)),
            execution: ExecutionId(u128::from(number)),
            due: at,
            started_at: at.plus_millis(1),
            ended_at: at.plus_millis(2),
            attempt: 3,
            names: (number != 4).then(|| Arc::new(names)),
        }
    }

    fn row(entries: &[(u64, Success)]) -> Bytes {
        encode(7, entries.iter().map(|(number, entry)| (*number, entry)))
    }

    #[test]
    fn a_row_comes_back_and_every_damaged_bit_is_noticed() {
        let entries: Vec<_> = (7..14)
            .map(|number| (number, success(number - 7)))
            .collect();
        let row = row(&entries);
        assert_eq!(decode(7, &row), Ok(entries));
        for bit in 0..row.len() * 8 {
            let mut damaged = row.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(7, &damaged).is_err(), "bit {bit}");
        }
        assert!((0..row.len()).all(|length| decode(7, &row[..length]).is_err()));
    }

    #[test]
    fn a_row_of_before_is_read_without_names() {
        let mut entries = BytesMut::new();
        (0..3).for_each(|number| success(number).put(&mut entries));
        let mut row = BytesMut::new();
        row.put_u8(VERSION_WITHOUT_NAMES);
        row.put_u32(crc32c::crc32c(&entries));
        row.put_slice(&entries);
        let nameless = |number| Success {
            names: None,
            ..success(number)
        };
        let wanted = (0..3).map(|number| (number, nameless(number))).collect();
        assert_eq!(decode(0, &row), Ok(wanted));
    }

    #[test]
    fn only_successes_without_a_word_are_brief() {
        let outcome = success(9).outcome();
        assert_eq!(
            Success::of(success(9).task, outcome.clone()),
            Ok(success(9))
        );
        let worded = Outcome {
            detail: "HTTP 204".to_owned(),
            ..outcome.clone()
        };
        assert_eq!(Success::of(TaskKey(1), worded.clone()), Err(worded));
        let failed = Outcome {
            kind: OutcomeKind::Dead,
            ..outcome
        };
        assert_eq!(Success::of(TaskKey(1), failed.clone()), Err(failed));
    }
}
