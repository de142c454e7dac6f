//! Rows of a table in order, whatever of it can be read. A block of the table that is damaged is a
//! stretch of keys that cannot be read, for ever; it is told of and passed over.

use std::ops::Bound;

use fjall::{Keyspace, UserKey, UserValue};

/// A key may be this much longer than the bounds of the scan that meets it: a task, a time and two
/// offsets.
const KEY_BYTES_BEYOND: usize = 40;

/// What a scan meets.
pub(crate) enum Met {
    Row(UserKey, UserValue),
    Lost(Lost),
}

/// A stretch of keys of which nothing can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The first key that may lie in it,
    pub(crate) from: Vec<u8>,
    /// and the first that does not.
    pub(crate) until: Vec<u8>,
    pub(crate) reason: String,
}

/// Whether an error will be the same whenever it is tried again.
pub(crate) fn is_lasting(error: &fjall::Error) -> bool {
    use fjall::LsmError;
    use std::io::ErrorKind;
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => {
            matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::InvalidData
            )
        }
        fjall::Error::Storage(_) | fjall::Error::Decompress(_) => true,
        fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::Unrecoverable => true,
        _ => false,
    }
}

/// Such an error in words.
pub(crate) fn describe(error: &fjall::Error) -> String {
    format!("a block of its table is damaged on disk ({error:?})")
}

/// A scan from one key up to another.
pub(crate) struct Scan<'a> {
    space: &'a Keyspace,
    rows: Option<fjall::Iter>,
    from: Vec<u8>,
    last: Option<UserKey>,
    until: Vec<u8>,
}

/// The rows from one key on, below another.
pub(crate) fn rows(
    space: &Keyspace,
    from: impl Into<Vec<u8>>,
    until: impl Into<Vec<u8>>,
) -> Scan<'_> {
    Scan {
        space,
        rows: None,
        from: from.into(),
        last: None,
        until: until.into(),
    }
}

/// The rows whose keys begin with a prefix.
pub(crate) fn prefixed(space: &Keyspace, prefix: impl Into<Vec<u8>>) -> Scan<'_> {
    let from = prefix.into();
    let mut until = from.clone();
    while let Some(last) = until.pop() {
        if last < u8::MAX {
            until.push(last + 1);
            break;
        }
    }
    rows(space, from, until)
}

impl<'a> Scan<'a> {
    /// Rows only; stretches that are lost are told to `lost`.
    pub(crate) fn readable(
        self,
        mut lost: impl FnMut(Lost) + 'a,
    ) -> impl Iterator<Item = fjall::Result<(UserKey, UserValue)>> + 'a {
        self.filter_map(move |met| match met {
            Ok(Met::Row(key, value)) => Some(Ok((key, value))),
            Ok(Met::Lost(stretch)) => {
                lost(stretch);
                None
            }
            Err(error) => Some(Err(error)),
        })
    }

    /// Finds where reading can go on behind an error.
    fn pass_over(&mut self, error: &fjall::Error) -> fjall::Result<Lost> {
        let from = match &self.last {
            Some(last) => [last, &[0][..]].concat(),
            None => self.from.clone(),
        };
        let until = first_readable(self.space, &from, &self.until)?;
        (self.rows, self.last) = (None, None);
        self.from.clone_from(&until);
        Ok(Lost {
            from,
            until,
            reason: describe(error),
        })
    }
}

impl Iterator for Scan<'_> {
    type Item = fjall::Result<Met>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.from >= self.until {
            return None;
        }
        let (space, from, until) = (self.space, &self.from, &self.until);
        let rows = self.rows.get_or_insert_with(|| range(space, from, until));
        match rows.next()?.into_inner() {
            Ok((key, value)) => {
                self.last = Some(key.clone());
                Some(Ok(Met::Row(key, value)))
            }
            Err(error) if is_lasting(&error) => Some(self.pass_over(&error).map(Met::Lost)),
            Err(error) => Some(Err(error)),
        }
    }
}

fn range(space: &Keyspace, from: &[u8], until: &[u8]) -> fjall::Iter {
    space.range::<&[u8], _>((Bound::Included(from), Bound::Excluded(until)))
}

/// The first key behind an unreadable one from which on reading works, or `until`. It is looked for
/// in growing steps, so that what can be read between two damaged blocks is not passed over with
/// them.
fn first_readable(space: &Keyspace, from: &[u8], until: &[u8]) -> fjall::Result<Vec<u8>> {
    let width = from.len().max(until.len()) + KEY_BYTES_BEYOND;
    let end = padded(until, width);
    let is_readable = |key: &[u8]| -> fjall::Result<bool> {
        match range(space, key, until)
            .next()
            .map(fjall::Guard::into_inner)
        {
            None | Some(Ok(_)) => Ok(true),
            Some(Err(error)) if is_lasting(&error) => Ok(false),
            Some(Err(error)) => Err(error),
        }
    };
    let start = padded(from, width);
    let mut low = start.clone();
    let mut high = end.clone();
    for bit in 0..width * 8 {
        let candidate = plus_bit(&start, bit).filter(|candidate| *candidate < end);
        let Some(candidate) = candidate else { break };
        if is_readable(&candidate)? {
            high = candidate;
            break;
        }
        low = candidate;
    }
    while let Some(middle) = between(&low, &high) {
        if is_readable(&middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(if high == end { until.to_vec() } else { high })
}

fn padded(key: &[u8], width: usize) -> Vec<u8> {
    let mut padded = key.to_vec();
    padded.resize(width, 0);
    padded
}

/// The key as a number, with `1 << bit` added; `None` when that does not fit.
fn plus_bit(key: &[u8], bit: usize) -> Option<Vec<u8>> {
    let mut sum = key.to_vec();
    let mut index = sum.len().checked_sub(1 + bit / 8)?;
    let mut carry = 1_u16 << (bit % 8);
    loop {
        carry += u16::from(sum[index]);
        sum[index] = carry as u8;
        carry >>= 8;
        if carry == 0 {
            return Some(sum);
        }
        index = index.checked_sub(1)?;
    }
}

/// A key in the middle of two; `None` when there is none.
fn between(low: &[u8], high: &[u8]) -> Option<Vec<u8>> {
    let mut carry = 0_u16;
    let mut sum: Vec<u8> = low.to_vec();
    for (byte, high) in sum.iter_mut().zip(high).rev() {
        carry += u16::from(*byte) + u16::from(*high);
        *byte = carry as u8;
        carry >>= 8;
    }
    for byte in &mut sum {
        let with_carry = (carry << 8) | u16::from(*byte);
        *byte = (with_carry >> 1) as u8;
        carry = with_carry & 1;
    }
    (sum.as_slice() > low && sum.as_slice() < high).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbers() {
        assert_eq!(plus_bit(&[0, 255], 0), Some(vec![1, 0]));
        assert_eq!(plus_bit(&[255, 255], 0), None);
        assert_eq!(plus_bit(&[1, 2], 9), Some(vec![3, 2]));
        assert_eq!(between(&[0, 0], &[1, 0]), Some(vec![0, 128]));
        assert_eq!(between(&[255, 1], &[255, 255]), Some(vec![255, 128]));
        assert_eq!(between(&[4, 4], &[4, 5]), None);
    }

    /// A table of a thousand rows on disk, with bytes flipped in the middle of its only file.
    fn damaged(flips: &[f64]) -> (tempfile::TempDir, Vec<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<Vec<u8>> = (0..1_000_u32)
            .map(|number| number.to_be_bytes().to_vec())
            .collect();
        {
            let database = fjall::Database::builder(folder.path()).open().unwrap();
            let space = database
                .keyspace("rows", fjall::KeyspaceCreateOptions::default)
                .unwrap();
            let mut state = 1_u64;
            let mut byte = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            };
            // Bytes that do not compress.
            keys.iter().for_each(|key| {
                space
                    .insert(key, (0..100).map(|_| byte()).collect::<Vec<u8>>())
                    .unwrap()
            });
            space.rotate_memtable_and_wait().unwrap();
        }
        let tables = folder.path().join("keyspaces/1/tables");
        let file = std::fs::read_dir(tables)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let mut bytes = std::fs::read(&file).unwrap();
        for flip in flips {
            // Blocks of rows come first in the file.
            let at = (bytes.len() as f64 * 0.6 * flip) as usize;
            bytes[at] ^= 1;
        }
        std::fs::write(&file, bytes).unwrap();
        (folder, keys)
    }

    #[test]
    fn a_damaged_block_costs_its_rows_and_no_others() {
        for flips in [
            &[][..],
            &[0.0],
            &[0.5],
            &[0.2, 0.8],
            &[0.1, 0.3, 0.5, 0.7, 0.9],
        ] {
            let (folder, keys) = damaged(flips);
            let database = fjall::Database::builder(folder.path()).open().unwrap();
            let space = database
                .keyspace("rows", fjall::KeyspaceCreateOptions::default)
                .unwrap();
            let (mut met, mut lost) = (Vec::new(), Vec::new());
            for next in rows(&space, [0], [1]) {
                match next.unwrap() {
                    Met::Row(key, _) => met.push(key.to_vec()),
                    Met::Lost(stretch) => lost.push(stretch),
                }
            }
            assert!(
                lost.len() <= flips.len() && lost.is_empty() == flips.is_empty(),
                "{flips:?}: {lost:?}"
            );
            let is_lost = |key: &&Vec<u8>| {
                lost.iter()
                    .any(|stretch| stretch.from <= **key && **key < stretch.until)
            };
            let expected: Vec<Vec<u8>> = keys.iter().filter(|key| !is_lost(key)).cloned().collect();
            assert_eq!(met, expected);
            assert!(
                met.len() > 700,
                "{}: a few blocks of some forty rows",
                met.len()
            );
        }
    }
}
