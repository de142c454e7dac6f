//! Payloads of text: half of each repeats, as payloads do; the other half is another stretch of
//! chance every time and compresses little.

use super::plan::Ask;

/// Letters that stretches are cut from: far more than a compressor looks back.
const POOL_BYTES: usize = 1 << 20;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A source of payloads of one size.
pub(crate) struct Payloads {
    pool: Vec<u8>,
    bytes: usize,
}

impl Payloads {
    pub(crate) fn new(seed: u64, bytes: usize) -> Payloads {
        let mut state = seed | 1;
        let mut letter = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            LETTERS[(state >> 58) as usize]
        };
        let pool = std::iter::repeat_with(&mut letter)
            .take(POOL_BYTES + bytes)
            .collect();
        Payloads { pool, bytes }
    }

    /// Appends the payload of a task: letters, digits, `-` and `_` only.
    pub(crate) fn write(&self, ask: &Ask, into: &mut Vec<u8>) {
        let at = (ask.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as usize % POOL_BYTES;
        let fresh = self.bytes / 2;
        into.extend_from_slice(&self.pool[at..at + fresh]);
        into.resize(into.len() + self.bytes - fresh, b'x');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Plan;
    use crate::load::Scenario;
    use minutehand_model::Timestamp;

    #[test]
    fn payloads_have_their_size_and_stay_text() {
        let scenario = Scenario::find("steady").expect("a scenario");
        let plan = Plan::new(scenario, Timestamp::from_millis(0), "r".to_owned(), 1);
        let plan = plan.expect("small");
        for bytes in [0, 1, 255, 4_096] {
            let payloads = Payloads::new(7, bytes);
            let (mut one, mut other) = (Vec::new(), Vec::new());
            payloads.write(&plan.ask(1), &mut one);
            payloads.write(&plan.ask(2), &mut other);
            assert_eq!((one.len(), other.len()), (bytes, bytes));
            assert!(one.iter().all(u8::is_ascii_graphic));
            assert!(bytes < 100 || one != other);
        }
    }
}
