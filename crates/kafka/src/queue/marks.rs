//! What a group has settled in a partition, as the metadata of its offset commit says it.
//!
//! The committed offset is the lowest one that is not settled. What is settled above it travels in
//! the commit's metadata, `2.<generation>.<doubtful below>.<settled in all>.<runs>`: lengths of
//! runs that are not settled and that are, in turn, from the committed offset on, each in digits of
//! five bits. Where that is too long it is `3.<generation>.<doubtful below>.<settled in all>.<map>`:
//! one bit for each offset, set where it is not settled, six in a digit, the first the lowest, and a
//! last digit that says how many bits of the one before it are of no offset.
//! Offsets without a record count as settled. The generation is raised by whoever is
//! given the partition, before it hands anything out. What is not settled below the doubtful offset
//! may have been claimed all the same, before the brokers forgot the place.

/// Longest text of the runs, and of the map; brokers take 4,096 characters of metadata.
pub(crate) const MARKS_LENGTH_MAX: usize = 3_500;
/// Offsets that a digit of the map tells of.
const BITS: u64 = 6;
/// Offsets that are not settled below a settled one: more than fit are not believed.
const UNSETTLED_MAX: u64 = BITS * MARKS_LENGTH_MAX as u64;
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Says that another digit follows.
const MORE: u64 = 32;

/// The place of a group in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Everything below is settled.
    pub(crate) base: u64,
    /// Nothing at or above is settled.
    pub(crate) high: u64,
    /// What is not settled between, rising.
    pub(crate) unsettled: Vec<u64>,
    /// Deliveries settled in all.
    pub(crate) settled: u64,
    /// Which holder of the partition wrote this.
    pub(crate) generation: u32,
    /// What is not settled below may have been claimed.
    pub(crate) doubtful_below: u64,
}

impl Marks {
    /// The place of a group that has settled everything below an offset, and nothing else.
    pub(crate) fn at(base: u64) -> Marks {
        Marks {
            base,
            high: base,
            ..Marks::default()
        }
    }

    pub(crate) fn is_settled(&self, offset: u64) -> bool {
        offset < self.base || (offset < self.high && self.unsettled.binary_search(&offset).is_err())
    }

    /// Passes what lies below the start of the log; answers how much of it was not settled.
    pub(crate) fn pass(&mut self, low: u64) -> u64 {
        if low <= self.base {
            return 0;
        }
        let below = self.unsettled.partition_point(|offset| *offset < low);
        self.unsettled.drain(..below);
        let lost = below as u64 + low.saturating_sub(self.high);
        self.high = self.high.max(low);
        self.base = self.unsettled.first().copied().unwrap_or(self.high);
        debug_assert!(
            low <= self.base,
            "nothing is owed below the start of the log"
        );
        lost
    }

    /// What is not settled lies between, in order.
    fn is_consistent(&self) -> bool {
        let is_between = |offset: &u64| (self.base..self.high).contains(offset);
        self.base <= self.high
            && self.unsettled.is_sorted()
            && self.unsettled.iter().all(is_between)
    }

    /// The metadata of the commit of `base`.
    pub(crate) fn encode(&self) -> String {
        debug_assert!(self.is_consistent(), "{self:?}");
        let runs = self.runs();
        let (version, marks) = match runs.len() <= MARKS_LENGTH_MAX {
            true => (2, runs),
            false => (3, self.map()),
        };
        let Marks {
            generation,
            doubtful_below,
            settled,
            ..
        } = self;
        format!("{version}.{generation}.{doubtful_below}.{settled}.{marks}")
    }

    fn runs(&self) -> String {
        let (mut text, mut at) = (String::new(), self.base);
        let mut unsettled = self.unsettled.iter().copied().peekable();
        while at < self.high {
            let from = at;
            while unsettled.next_if_eq(&at).is_some() {
                at += 1;
            }
            put(&mut text, at - from);
            let until = unsettled
                .peek()
                .map_or(self.high, |next| (*next).min(self.high));
            put(&mut text, until - at);
            at = until;
        }
        text
    }

    fn map(&self) -> String {
        let span = self.high - self.base;
        let mut digits = vec![0_u8; span.div_ceil(BITS) as usize];
        for offset in &self.unsettled {
            let place = offset - self.base;
            digits[(place / BITS) as usize] |= 1 << (place % BITS);
        }
        let digits = digits.into_iter().map(|digit| DIGITS[usize::from(digit)]);
        let spare = span.next_multiple_of(BITS) - span;
        let mut text: String = digits.map(char::from).collect();
        text.push(char::from(DIGITS[spare as usize]));
        text
    }

    /// The inverse. `None` when the metadata was not written by [`Marks::encode`]: the base alone
    /// is known then.
    pub(crate) fn decode(base: u64, text: &str) -> Option<Marks> {
        let (version, rest) = text.split_once('.')?;
        let (generation, rest) = rest.split_once('.')?;
        let (doubtful_below, rest) = rest.split_once('.')?;
        let (settled, told) = rest.split_once('.')?;
        let marks = Marks {
            settled: settled.parse().ok()?,
            generation: generation.parse().ok()?,
            doubtful_below: doubtful_below.parse().ok()?,
            ..Marks::at(base)
        };
        let marks = match version {
            "2" => marks.with_runs(told),
            "3" => marks.with_map(told),
            _ => None,
        }?;
        debug_assert!(marks.is_consistent(), "{marks:?}");
        Some(marks)
    }

    fn with_runs(mut self, runs: &str) -> Option<Marks> {
        let mut digits = runs.bytes();
        while digits.len() > 0 {
            let (unsettled, settled) = (take(&mut digits)?, take(&mut digits)?);
            if unsettled + self.unsettled.len() as u64 > UNSETTLED_MAX {
                return None;
            }
            let end = self.high.checked_add(unsettled)?;
            self.unsettled.extend(self.high..end);
            self.high = end.checked_add(settled)?;
        }
        Some(self)
    }

    fn with_map(mut self, map: &str) -> Option<Marks> {
        let digits: Option<Vec<u64>> = map.bytes().map(value).collect();
        let (spare, digits) = digits.as_deref()?.split_last()?;
        let span = (digits.len() as u64 * BITS).checked_sub(*spare)?;
        if *spare >= BITS || span > UNSETTLED_MAX {
            return None;
        }
        self.high = self.base.checked_add(span)?;
        let is_set = |place: &u64| digits[(*place / BITS) as usize] >> (*place % BITS) & 1 == 1;
        let unsettled = (0..span).filter(is_set).map(|place| self.base + place);
        self.unsettled = unsettled.collect();
        Some(self)
    }
}

/// What a digit stands for.
fn value(byte: u8) -> Option<u64> {
    let place = DIGITS.iter().position(|known| *known == byte)?;
    Some(place as u64)
}

fn put(text: &mut String, mut length: u64) {
    loop {
        let (digit, rest) = (length % MORE, length / MORE);
        text.push(char::from(
            DIGITS[(digit + if rest > 0 { MORE } else { 0 }) as usize],
        ));
        if rest == 0 {
            return;
        }
        length = rest;
    }
}

fn take(digits: &mut std::str::Bytes<'_>) -> Option<u64> {
    let (mut length, mut shift) = (0_u64, 0);
    loop {
        let digit = value(digits.next()?)?;
        length |= (digit % MORE).checked_shl(shift)?;
        if digit < MORE {
            return Some(length);
        }
        shift += 5;
        if shift > 55 {
            return None;
        }
    }
}

/// The longest text that so many unsettled offsets within a span may need, however they lie.
pub(crate) fn length_max(unsettled: u64, span: u64) -> u64 {
    runs_length_max(unsettled, span).min(span.div_ceil(BITS) + 1)
}

fn runs_length_max(unsettled: u64, span: u64) -> u64 {
    // A run of unsettled offsets is short; those of settled ones are longest together when they are
    // alike.
    let gap = span / (unsettled + 1);
    let digits_per_gap = 2 + (u64::from(gap.max(1).ilog2())) / 5;
    unsettled + (unsettled + 1) * digits_per_gap
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(state: &mut u64) -> u64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    #[test]
    fn what_is_settled_is_found_again() {
        let mut state = 7;
        for _ in 0..300 {
            let base = random(&mut state) % 1_000_000;
            let mut unsettled = vec![base];
            for _ in 0..random(&mut state) % 200 {
                let stride = [1, 1, 2, 40, 3_000][random(&mut state) as usize % 5];
                unsettled.push(unsettled[unsettled.len() - 1] + 1 + random(&mut state) % stride);
            }
            let high = unsettled[unsettled.len() - 1] + 1 + random(&mut state) % 50;
            let (settled, generation) = (random(&mut state), random(&mut state) as u32);
            let doubtful_below = random(&mut state);
            let marks = Marks {
                base,
                high,
                unsettled,
                settled,
                generation,
                doubtful_below,
            };
            let text = marks.encode();
            let length_max = runs_length_max(marks.unsettled.len() as u64, marks.high - base);
            assert!(
                text.len() as u64 <= length_max + 36,
                "{} > {length_max}",
                text.len()
            );
            assert_eq!(Marks::decode(base, &text), Some(marks));
        }
    }

    /// However many are in hand, and in whichever order they are settled.
    #[test]
    fn a_map_is_found_again_where_runs_would_be_too_long() {
        let mut state = 9;
        for span in [3_000, 6_001, 12_345, 20_993] {
            let base = random(&mut state) % 1_000_000;
            let high = base + span;
            let is_unsettled =
                |offset: &u64| *offset == base || random(&mut state).is_multiple_of(2);
            let unsettled: Vec<u64> = (base..high - 1).filter(is_unsettled).collect();
            let marks = Marks {
                high,
                unsettled,
                settled: 5,
                generation: 3,
                doubtful_below: 1,
                ..Marks::at(base)
            };
            let text = marks.encode();
            let length = text.len() as u64 - "3.3.1.5.".len() as u64;
            let length_max = length_max(marks.unsettled.len() as u64, span);
            assert!(length <= length_max.max(MARKS_LENGTH_MAX as u64));
            assert!(length_max <= MARKS_LENGTH_MAX as u64, "{span}");
            assert_eq!(text.starts_with("3."), span > 6_001, "{span}: {length}");
            assert_eq!(Marks::decode(base, &text), Some(marks));
        }
    }

    #[test]
    fn a_place_with_nothing_settled_above_is_short() {
        let marks = Marks {
            settled: 12,
            generation: 7,
            ..Marks::at(40)
        };
        assert_eq!(marks.encode(), "2.7.0.12.");
        assert_eq!(Marks::decode(40, "2.7.0.12."), Some(marks));
    }

    #[test]
    fn the_text_is_as_it_was() {
        let unsettled = vec![10, 11, 14, 60];
        let numbers = Marks {
            settled: 90,
            generation: 3,
            doubtful_below: 44,
            ..Marks::default()
        };
        let marks = Marks {
            base: 10,
            high: 100,
            unsettled,
            ..numbers
        };
        assert_eq!(marks.encode(), "2.3.44.90.CCBtBBnB");
    }

    #[test]
    fn what_others_wrote_is_not_believed() {
        for text in [
            "",
            "NO_METADATA",
            "1.1.",
            "2.1.",
            "2.1.1.",
            "2.x.1.1.",
            "2.1.x.1.",
            "2.1.1.x.",
            "2.1.1.1",
            "2.1.1.1.A",
            "2.1.1.1.!!",
            "2.1.1.1.ggggggggggggggA",
            "2.1.1.1.______AA",
            "3.1.1.1.",
            "3.1.1.1.G",
            "3.1.1.1.AG",
            "3.1.1.1.!A",
            "4.1.1.1.A",
        ] {
            assert_eq!(Marks::decode(5, text), None, "{text:?}");
        }
    }

    /// A walk over every offset says the same.
    #[test]
    fn what_lies_below_the_start_of_the_log_is_passed() {
        let before = Marks {
            high: 12,
            unsettled: vec![4, 5, 9],
            settled: 7,
            ..Marks::at(4)
        };
        for low in 0..20 {
            let mut marks = before.clone();
            let lost = marks.pass(low);
            let unsettled = |offset: &u64| *offset >= 4 && !before.is_settled(*offset);
            assert_eq!(lost, (4..low).filter(unsettled).count() as u64, "{low}");
            for offset in low..30 {
                assert_eq!(
                    marks.is_settled(offset),
                    before.is_settled(offset),
                    "{low}: {offset}"
                );
            }
            assert_eq!(
                Marks::decode(marks.base, &marks.encode()),
                Some(marks),
                "{low}"
            );
        }
    }
}
