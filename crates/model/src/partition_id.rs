//! Which partition: the region that it is of, and its number there.

use std::fmt;

use crate::offset::number;

/// A partition: the ordinal of its home region above its number there, as one ordered number.
/// Region 0 is the own one.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u32);

impl PartitionId {
    /// The bits of [`PartitionId::number`], the lower ones.
    const NUMBER_BITS: u32 = 24;
    /// The highest number of a partition.
    pub const NUMBER_MAX: u32 = (1 << PartitionId::NUMBER_BITS) - 1;
    /// The highest ordinal of a region: the sign bit stays clear, so that stores with signed
    /// integers keep the order.
    pub const REGION_MAX: u8 = i8::MAX as u8;

    /// The partition with this number of a region; `None` when either is too high.
    pub const fn of_region(region: u8, number: u32) -> Option<PartitionId> {
        if region > PartitionId::REGION_MAX || number > PartitionId::NUMBER_MAX {
            return None;
        }
        Some(PartitionId(
            (region as u32) << PartitionId::NUMBER_BITS | number,
        ))
    }

    /// The partition with this number of the own region.
    ///
    /// # Panics
    /// When the number needs more than 24 bits: what comes from outside goes through
    /// [`PartitionId::of_region`] or [`PartitionId::from_bits`].
    pub const fn own(number: u32) -> PartitionId {
        assert!(
            number <= PartitionId::NUMBER_MAX,
            "a partition's number has 24 bits"
        );
        PartitionId(number)
    }

    /// The partition that was stored as this number; `None` when it is none.
    pub const fn from_bits(bits: u32) -> Option<PartitionId> {
        if bits > i32::MAX as u32 {
            return None;
        }
        Some(PartitionId(bits))
    }

    /// One number in the order of the partitions, for stores.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The ordinal of the region that it is of; 0 is the own one.
    pub const fn region(self) -> u8 {
        (self.0 >> PartitionId::NUMBER_BITS) as u8
    }

    /// Its number in its region, from 0.
    pub const fn number(self) -> u32 {
        self.0 & PartitionId::NUMBER_MAX
    }

    /// Its place in a list of the own region's partitions; that of another region's partition lies
    /// behind the end of every such list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The partition that [`fmt::Display`] wrote: the number, or `region/number`.
    pub fn parse(text: &str) -> Option<PartitionId> {
        let (region, own) = match text.split_once('/') {
            Some((region, own)) => (Some(number(region)?).filter(|region| *region > 0)?, own),
            None => (0, text),
        };
        PartitionId::of_region(region.try_into().ok()?, number(own)?.try_into().ok()?)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.region() {
            0 => self.number().fmt(f),
            region => write!(f, "{region}/{}", self.number()),
        }
    }
}

impl fmt::Debug for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(region: u8, number: u32) -> PartitionId {
        PartitionId::of_region(region, number).expect("a partition")
    }

    #[test]
    fn partitions_of_one_region_stand_together() {
        let regions = [0, 1, 2, PartitionId::REGION_MAX];
        let numbers = [0, 1, 16, PartitionId::NUMBER_MAX];
        let ordered: Vec<PartitionId> = regions
            .iter()
            .flat_map(|region| numbers.map(|number| of(*region, number)))
            .collect();
        for pair in ordered.windows(2) {
            assert!(
                pair[0] < pair[1] && (pair[0].bits() as i32) < pair[1].bits() as i32,
                "{pair:?}"
            );
        }
        for partition in ordered {
            assert_eq!(PartitionId::from_bits(partition.bits()), Some(partition));
            assert_eq!(PartitionId::parse(&partition.to_string()), Some(partition));
            assert_eq!(
                PartitionId::of_region(partition.region(), partition.number()),
                Some(partition)
            );
        }
        assert_eq!(
            (of(0, 7), of(3, 7).to_string()),
            (PartitionId::own(7), "3/7".to_owned())
        );
    }

    #[test]
    fn what_is_no_partition_is_refused() {
        for text in [
            "",
            "/",
            "1/",
            "/1",
            "+1",
            "01",
            "0/1",
            "128/1",
            "16777216",
            "1/16777216",
            "1/2/3",
        ] {
            assert_eq!(PartitionId::parse(text), None, "{text}");
        }
        assert_eq!(PartitionId::from_bits(1 << 31), None);
        assert_eq!(PartitionId::of_region(128, 0), None);
        assert_eq!(PartitionId::of_region(0, 1 << 24), None);
        assert!(of(1, 0).index() > PartitionId::own(PartitionId::NUMBER_MAX).index());
    }
}
