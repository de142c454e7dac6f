//! Reading a journal of the database as the database does, but to the end: it takes the first bytes
//! that it does not understand for the torn end of the last write, and cuts off what follows. What
//! follows may be whole.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use xxhash_rust::xxh3::Xxh3;

/// What a complete batch ends with.
const TRAILER: [u8; 4] = *b"FJL\x03";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const BUFFER_BYTES: usize = 64 << 10;

/// How the bytes of a journal are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Every batch is whole; behind the last there is nothing, or a write that never ended.
    Whole,
    /// The bytes from `at` to `until` are no whole batch, though all of it was written.
    Damaged {
        /// Where they begin.
        at: usize,
        /// Where the next whole batch begins, or the file ends.
        until: usize,
    },
}

/// The end of the whole batches at the start of a journal, when anything is written behind them.
pub(super) fn first_doubt(file: &mut File) -> io::Result<Option<u64>> {
    let (mut end, mut last) = (0, None);
    {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, &mut *file);
        while let Some((bytes, number)) =
            batch(&mut reader).filter(|(_, number)| last < Some(*number))
        {
            (end, last) = (end + bytes as u64, Some(number));
        }
    }
    file.seek(SeekFrom::Start(end))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(None),
            count if buffer[..count].iter().any(|byte| *byte != 0) => return Ok(Some(end)),
            _ => {}
        }
    }
}

/// Looks at the batches of a journal.
pub(super) fn look(bytes: &[u8]) -> State {
    let (mut at, mut whole) = (0, Vec::<(usize, u64)>::new());
    while let Some((count, number)) = batch(&mut &bytes[at..]) {
        if let Some((last_at, last)) = whole.last()
            && number <= *last
        {
            // Their numbers are in no sum. They rise; of two that do not, the one is wrong that
            // does not fit the third.
            let before = whole.len().checked_sub(2).map(|index| whole[index].1);
            return match before < Some(number) {
                true => State::Damaged {
                    at: *last_at,
                    until: at,
                },
                false => State::Damaged {
                    at,
                    until: at + count,
                },
            };
        }
        whole.push((at, number));
        at += count;
    }
    match next_batch(bytes, at + 1) {
        Some(until) => State::Damaged { at, until },
        None if is_ended(&bytes[at..]) => State::Damaged {
            at,
            until: bytes.len(),
        },
        None => State::Whole,
    }
}

/// Whether the end of a batch was written, be it damaged: a write that never ended has none.
fn is_ended(bytes: &[u8]) -> bool {
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let alike = |window: &[u8]| {
        window
            .iter()
            .zip(TRAILER)
            .filter(|(one, other)| **one == *other)
            .count()
    };
    let last = &bytes[end.saturating_sub(TRAILER.len() + 2)..(end + 2).min(bytes.len())];
    bytes.windows(TRAILER.len()).any(|window| window == TRAILER)
        || last
            .windows(TRAILER.len())
            .any(|window| alike(window) + 1 >= TRAILER.len())
}

/// The start of the first whole batch at or behind a position.
fn next_batch(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        // A batch begins behind the end of another one.
        at += bytes
            .get(at..)?
            .windows(TRAILER.len())
            .position(|window| window == TRAILER)?
            + TRAILER.len();
        if batch(&mut &bytes[at..]).is_some() {
            return Some(at);
        }
    }
}

/// The length of the batch that begins here, and its number.
fn batch(reader: &mut impl Read) -> Option<(usize, u64)> {
    let mut rest = Summed {
        reader,
        sum: None,
        count: 0,
    };
    if rest.take()? != [START] {
        return None;
    }
    let items = u32::from_le_bytes(rest.take()?);
    let number = u64::from_le_bytes(rest.take()?);
    rest.sum = Some(Xxh3::new());
    for _ in 0..items {
        match rest.take()? {
            [ITEM] => {
                let _kind_compression_and_table: [u8; 10] = rest.take()?;
                let key_bytes = u16::from_le_bytes(rest.take()?);
                let _value_bytes_in_memory: [u8; 4] = rest.take()?;
                let value_bytes = u32::from_le_bytes(rest.take()?);
                rest.skip(usize::from(key_bytes) + value_bytes as usize)?;
            }
            [CLEAR] => rest.skip(8)?,
            _ => return None,
        }
    }
    let sum = rest.sum.take()?.digest();
    let is_whole =
        rest.take()? == [END] && u64::from_le_bytes(rest.take()?) == sum && rest.take()? == TRAILER;
    is_whole.then_some((rest.count, number))
}

/// Reads, counts, and sums up.
struct Summed<'a, R> {
    reader: &'a mut R,
    sum: Option<Xxh3>,
    count: usize,
}

impl<R: Read> Summed<'_, R> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Some(bytes)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        let mut buffer = [0; 4_096];
        let mut left = count;
        while left > 0 {
            let next = left.min(buffer.len());
            self.fill(&mut buffer[..next])?;
            left -= next;
        }
        Some(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        self.reader.read_exact(bytes).ok()?;
        self.count += bytes.len();
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal as the database writes it, with room behind it.
    fn journal() -> (Vec<u8>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let database = fjall::Database::builder(folder.path()).open().unwrap();
        let space = database
            .keyspace("rows", fjall::KeyspaceCreateOptions::default)
            .unwrap();
        for number in 0..6_u8 {
            let mut writes = database.batch();
            (0..=number).for_each(|index| writes.insert(&space, [number, index], vec![number; 40]));
            // Large values are compressed.
            writes.insert(&space, [number, 99], vec![number; 9_000]);
            writes.remove(&space, [number, 98]);
            writes
                .durability(Some(fjall::PersistMode::SyncAll))
                .commit()
                .unwrap();
        }
        let mut bytes = std::fs::read(folder.path().join("0.jnl")).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes.truncate(end + 100);
        (bytes, end)
    }

    #[test]
    fn what_the_database_wrote_is_whole() {
        let (bytes, end) = journal();
        assert_eq!(look(&bytes), State::Whole);
        assert_eq!(look(&bytes[..end]), State::Whole);
        let (first, _) = batch(&mut &bytes[..]).unwrap();
        assert!(first < end / 2);
    }

    #[test]
    fn every_changed_byte_is_noticed_and_what_follows_is_found() {
        let (bytes, end) = journal();
        let last = (0..end)
            .rev()
            .find(|start| batch(&mut &bytes[*start..]).is_some())
            .unwrap();
        // Nothing follows by which a number that is too high could be told, and it does no harm.
        let number_of_the_last = last + 5..last + 13;
        for position in (0..end).filter(|position| !number_of_the_last.contains(position)) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x10;
            let State::Damaged { at, until } = look(&damaged) else {
                panic!("byte {position} of {end} is taken as it is");
            };
            // A number that has become too high is noticed at the next one.
            assert!(
                at <= position + 13 && position < until,
                "{at} {position} {until}"
            );
            assert!(until == bytes.len() || batch(&mut &bytes[until..]).is_some());
        }
    }

    #[test]
    fn a_write_that_never_ended_is_no_damage() {
        let (bytes, end) = journal();
        for length in 1..end {
            let almost_ended = (0..TRAILER.len()).any(|behind| batch_ends(&bytes, length + behind));
            if !almost_ended {
                assert_eq!(look(&bytes[..length]), State::Whole, "cut to {length}");
            }
        }
    }

    fn batch_ends(bytes: &[u8], at: usize) -> bool {
        bytes[..at.min(bytes.len())].ends_with(&TRAILER)
    }
}
