//! Payloads: half of each repeats, as payloads do; the other half is new every time and does not
//! compress.

use bytes::Bytes;

use crate::random::Random;

/// Bytes that halves are cut from: far more than a compressor looks back.
const POOL_BYTES: usize = 4 << 20;

/// A source of payloads of one size.
pub(super) struct Payloads {
    pool: Vec<u8>,
    bytes: usize,
    random: Random,
}

impl Payloads {
    pub(super) fn new(bytes: usize) -> Payloads {
        let mut random = Random::fork(7, 0);
        let pool = std::iter::repeat_with(|| random.next().to_le_bytes()).flatten();
        let pool = pool.take(POOL_BYTES + bytes).collect();
        Payloads {
            pool,
            bytes,
            random,
        }
    }

    /// The next one.
    pub(super) fn payload(&mut self) -> Bytes {
        let at = self.random.below(POOL_BYTES as u64) as usize;
        let fresh = self.bytes / 2;
        let mut payload = vec![b'x'; self.bytes];
        payload[..fresh].copy_from_slice(&self.pool[at..at + fresh]);
        Bytes::from(payload)
    }
}
