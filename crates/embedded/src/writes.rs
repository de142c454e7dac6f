//! What operations write, and what follows when it is durable.

use bytes::Bytes;
use fjall::OwnedWriteBatch;

/// The writes of one commit.
pub(crate) type Writes = OwnedWriteBatch;

/// What happens when an operation's commit is durable. Dropped instead when it failed.
pub(crate) type Finish = Box<dyn FnOnce() + Send>;

/// Two numbers as one value.
pub(crate) fn pair(first: u64, second: u64) -> Bytes {
    [first.to_be_bytes(), second.to_be_bytes()].concat().into()
}

/// The numbers of [`pair`].
pub(crate) fn pair_of(value: &[u8]) -> Option<(u64, u64)> {
    let (first, rest) = value.split_first_chunk::<8>()?;
    let second: &[u8; 8] = rest.try_into().ok()?;
    Some((u64::from_be_bytes(*first), u64::from_be_bytes(*second)))
}
