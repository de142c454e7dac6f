//! Where a record stands in the command log of a partition, over every log that the partition has
//! had.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of a partition's logs: 0 is the first, a later one begins where another region goes on
/// with the partition.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct LogGeneration(u16);

impl LogGeneration {
    /// The partition's first log.
    pub const FIRST: LogGeneration = LogGeneration(0);
    /// The last one there can be: the sign bit of an offset stays clear, so that stores with signed
    /// integers keep the order.
    pub const MAX: LogGeneration = LogGeneration(i16::MAX as u16);

    /// The generation with this number; `None` above [`LogGeneration::MAX`].
    pub const fn new(number: u16) -> Option<LogGeneration> {
        if number > LogGeneration::MAX.0 {
            return None;
        }
        Some(LogGeneration(number))
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The generation that follows it; `None` after the last.
    pub const fn next(self) -> Option<LogGeneration> {
        LogGeneration::new(self.0 + 1)
    }

    /// Where somebody who wants everything from an offset on begins to read in this log: at its
    /// start when the offset is of an earlier log, because all of this one lies above it. `None`
    /// when the offset is of a later log: nothing that this one holds was asked for, so it is the
    /// wrong log.
    pub fn position_from(self, from: LogOffset) -> Option<u64> {
        match from.generation().cmp(&self) {
            std::cmp::Ordering::Less => Some(0),
            std::cmp::Ordering::Equal => Some(from.position()),
            std::cmp::Ordering::Greater => None,
        }
    }
}

impl TryFrom<u16> for LogGeneration {
    type Error = &'static str;
    fn try_from(number: u16) -> Result<LogGeneration, &'static str> {
        LogGeneration::new(number).ok_or("a log generation is at most 32767")
    }
}

impl From<LogGeneration> for u16 {
    fn from(generation: LogGeneration) -> u16 {
        generation.number()
    }
}

impl fmt::Display for LogGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's place in the logs of a partition: the log's generation above the position in it, as
/// one ordered number.
///
/// Whatever is in a later log lies above everything in an earlier one. Inside one log, offsets
/// follow each other; no step leads from one log into the next.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogOffset(u64);

impl LogOffset {
    /// The bits of [`LogOffset::position`], the lower ones.
    const POSITION_BITS: u32 = 48;
    /// The highest position; no log gets there.
    pub const POSITION_MAX: u64 = (1 << LogOffset::POSITION_BITS) - 1;
    /// Before every record.
    pub const START: LogOffset = LogOffset(0);
    /// Behind every record.
    pub const MAX: LogOffset = LogOffset(
        (LogGeneration::MAX.0 as u64) << LogOffset::POSITION_BITS | LogOffset::POSITION_MAX,
    );

    /// The offset of a position in a log; `None` when the position needs more than 48 bits.
    pub const fn of_log(generation: LogGeneration, position: u64) -> Option<LogOffset> {
        if position > LogOffset::POSITION_MAX {
            return None;
        }
        Some(LogOffset(
            (generation.0 as u64) << LogOffset::POSITION_BITS | position,
        ))
    }

    /// The first offset of a log.
    pub const fn start_of(generation: LogGeneration) -> LogOffset {
        LogOffset((generation.0 as u64) << LogOffset::POSITION_BITS)
    }

    /// A position in a partition's first log, for what is written down: constants, examples, tests.
    ///
    /// # Panics
    /// When the position needs more than 48 bits.
    pub const fn at(position: u64) -> LogOffset {
        assert!(
            position <= LogOffset::POSITION_MAX,
            "a position has 48 bits"
        );
        LogOffset(position)
    }

    /// The offset that was stored as this number; `None` when it is none.
    pub const fn from_bits(bits: u64) -> Option<LogOffset> {
        if bits > LogOffset::MAX.0 {
            return None;
        }
        Some(LogOffset(bits))
    }

    /// One number in the order of the offsets, for stores.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The log that it is of.
    pub const fn generation(self) -> LogGeneration {
        LogGeneration((self.0 >> LogOffset::POSITION_BITS) as u16)
    }

    /// The position in that log.
    pub const fn position(self) -> u64 {
        self.0 & LogOffset::POSITION_MAX
    }

    /// The next offset of the same log.
    pub const fn next(self) -> LogOffset {
        self.plus(1)
    }

    /// The offset so many records on, in the same log.
    pub const fn plus(self, records: u64) -> LogOffset {
        let position = self.position().saturating_add(records);
        let position = if position > LogOffset::POSITION_MAX {
            LogOffset::POSITION_MAX
        } else {
            position
        };
        LogOffset(self.0 & !LogOffset::POSITION_MAX | position)
    }

    /// The offsets of the same log from this one on, for so many records.
    pub fn following(self, records: usize) -> impl Iterator<Item = LogOffset> {
        (0..records as u64).map(move |index| self.plus(index))
    }

    /// What directly precedes it in the order of all offsets, whether or not a record can be there;
    /// `None` at the start.
    pub const fn preceding(self) -> Option<LogOffset> {
        match self.0.checked_sub(1) {
            Some(bits) => Some(LogOffset(bits)),
            None => None,
        }
    }

    /// How many records lie from this offset up to a later one of the same log; `None` when it is
    /// of another log, because nobody knows where that one ended.
    pub fn records_until(self, later: LogOffset) -> Option<u64> {
        (self.generation() == later.generation()).then(|| later.0.saturating_sub(self.0))
    }

    /// The offset that [`fmt::Display`] wrote: the position, or `generation/position`.
    pub fn parse(text: &str) -> Option<LogOffset> {
        let (generation, position) = match text.split_once('/') {
            Some((generation, position)) => {
                let generation = LogGeneration::new(number(generation)?.try_into().ok()?)?;
                (
                    Some(generation).filter(|generation| *generation != LogGeneration::FIRST)?,
                    position,
                )
            }
            None => (LogGeneration::FIRST, text),
        };
        LogOffset::of_log(generation, number(position)?)
    }
}

/// A number as it is written: digits only, no leading zero.
pub(crate) fn number(text: &str) -> Option<u64> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

const _: () = assert!(
    LogOffset::MAX.0 == i64::MAX as u64,
    "the order is the same in a signed integer"
);

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.generation() {
            LogGeneration::FIRST => self.position().fmt(f),
            generation => write!(f, "{generation}/{}", self.position()),
        }
    }
}

impl fmt::Debug for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogOffset({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(generation: u16, position: u64) -> LogOffset {
        let generation = LogGeneration::new(generation).expect("a generation");
        LogOffset::of_log(generation, position).expect("a position")
    }

    /// One of each kind, in order.
    fn ordered() -> Vec<LogOffset> {
        let positions = [
            0,
            1,
            255,
            LogOffset::POSITION_MAX - 1,
            LogOffset::POSITION_MAX,
        ];
        let generations = [0, 1, 2, 255, LogGeneration::MAX.number()];
        generations
            .iter()
            .flat_map(|generation| positions.map(|position| of(*generation, position)))
            .collect()
    }

    #[test]
    fn a_later_log_lies_above_every_earlier_one() {
        for pair in ordered().windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
            let signed =
                |offset: LogOffset| i64::try_from(offset.bits()).expect("the sign bit is clear");
            assert!(signed(pair[0]) < signed(pair[1]), "{pair:?}");
            assert!(
                pair[0].bits().to_be_bytes() < pair[1].bits().to_be_bytes(),
                "{pair:?}"
            );
        }
        assert_eq!(
            (ordered()[0], *ordered().last().unwrap()),
            (LogOffset::START, LogOffset::MAX)
        );
    }

    #[test]
    fn an_offset_is_found_again_in_its_bits_and_in_its_text() {
        for offset in ordered() {
            assert_eq!(LogOffset::from_bits(offset.bits()), Some(offset));
            assert_eq!(LogOffset::parse(&offset.to_string()), Some(offset));
            assert_eq!(
                LogOffset::of_log(offset.generation(), offset.position()),
                Some(offset)
            );
        }
        assert_eq!(
            (of(0, 17).to_string(), of(3, 17).to_string()),
            ("17".to_owned(), "3/17".to_owned())
        );
    }

    #[test]
    fn what_is_no_offset_is_refused() {
        for text in [
            "",
            "/",
            "1/",
            "/1",
            "+1",
            "-1",
            "01",
            "0/1",
            "1/01",
            "32768/1",
            "281474976710656",
            "1/2/3",
            "x",
        ] {
            assert_eq!(LogOffset::parse(text), None, "{text}");
        }
        assert_eq!(LogOffset::from_bits(1 << 63), None);
        assert_eq!(LogOffset::from_bits(u64::MAX), None);
        assert_eq!(LogOffset::of_log(LogGeneration::FIRST, 1 << 48), None);
        assert_eq!(LogGeneration::new(1 << 15), None);
    }

    #[test]
    fn no_step_leads_from_one_log_into_the_next() {
        let last = of(1, LogOffset::POSITION_MAX);
        assert_eq!((last.next(), last.plus(u64::MAX)), (last, last));
        assert_eq!(of(1, 7).plus(3), of(1, 10));
        assert_eq!(
            of(2, 5).following(3).collect::<Vec<_>>(),
            [of(2, 5), of(2, 6), of(2, 7)]
        );
        assert_eq!(
            (
                of(2, 5).records_until(of(2, 9)),
                of(2, 5).records_until(of(3, 9))
            ),
            (Some(4), None)
        );
        assert_eq!(
            (of(2, 0).preceding(), LogOffset::START.preceding()),
            (Some(last), None)
        );
    }

    #[test]
    fn a_log_is_read_from_its_start_by_who_knows_an_earlier_one() {
        let second = LogGeneration::new(2).unwrap();
        assert_eq!(second.position_from(of(1, 900)), Some(0));
        assert_eq!(second.position_from(of(2, 900)), Some(900));
        assert_eq!(second.position_from(of(3, 0)), None);
    }
}
