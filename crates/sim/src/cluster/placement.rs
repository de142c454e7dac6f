//! Who should own which partition: rendezvous hashing with a cap, so that the load is even and changes move little.

/// For every partition its owner among the members; `None` when there is no member.
///
/// A partition goes to the member it weighs most with; a member that has `ceil(partitions / members)` already is
/// passed over.
pub(crate) fn place(members: &[usize], partitions: usize) -> Vec<Option<usize>> {
    if members.is_empty() {
        return vec![None; partitions];
    }
    let cap = partitions.div_ceil(members.len());
    let mut loads = vec![0_usize; members.len()];
    (0..partitions)
        .map(|partition| {
            let open = (0..members.len()).filter(|index| loads[*index] < cap);
            let best = open.max_by_key(|index| weight(members[*index], partition))?;
            loads[best] += 1;
            Some(members[best])
        })
        .collect()
}

fn weight(member: usize, partition: usize) -> u64 {
    let mut z =
        (member as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (partition as u64 + 1).rotate_left(32);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_fair_share() {
        for members in 1..7_usize {
            let all: Vec<usize> = (0..members).collect();
            let placed = place(&all, 16);
            let cap = 16_usize.div_ceil(members);
            for member in all {
                assert!(placed.iter().filter(|owner| **owner == Some(member)).count() <= cap);
            }
            assert!(placed.iter().all(Option::is_some));
        }
        assert_eq!(place(&[], 2), [None, None]);
    }

    #[test]
    fn a_member_that_leaves_moves_little_more_than_its_own() {
        let before = place(&[0, 1, 2, 3], 64);
        let after = place(&[0, 1, 3], 64);
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new).count();
        assert!(moved <= 24, "{moved} of 64 moved when a quarter had to");
    }
}
