//! Payloads: half of each repeats, as payloads do; the other half is new every time and does not compress.

use bytes::Bytes;

/// Bytes that halves are cut from: far more than a compressor looks back.
const POOL_BYTES: usize = 4 << 20;

/// A source of payloads of one size.
pub(super) struct Payloads {
    pool: Vec<u8>,
    bytes: usize,
    state: u64,
}

impl Payloads {
    pub(super) fn new(bytes: usize) -> Payloads {
        let mut payloads = Payloads { pool: Vec::with_capacity(POOL_BYTES + bytes), bytes, state: 7 };
        while payloads.pool.len() < POOL_BYTES + bytes {
            let next = payloads.random();
            payloads.pool.extend_from_slice(&next.to_le_bytes()[2..]);
        }
        payloads
    }

    /// The next one.
    pub(super) fn payload(&mut self) -> Bytes {
        let at = self.random() as usize % POOL_BYTES;
        let fresh = self.bytes / 2;
        let mut payload = vec![b'x'; self.bytes];
        payload[..fresh].copy_from_slice(&self.pool[at..at + fresh]);
        Bytes::from(payload)
    }

    fn random(&mut self) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 8
    }
}
