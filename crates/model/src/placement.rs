//! Which node should own which partition: evenly, and moving as little as can be when nodes come
//! and go.
//!
//! A placement is made from the one before it. From the set of members alone it cannot be: whatever
//! such a function does, over enough node names there are two sets, one node apart, between which
//! more than `ceil(P / N)` partitions move. (By Ramsey's theorem some infinite set of names is
//! treated by rank alone; of three equal shares the middle one would then have to lie in both
//! halves that two nodes have.) So there is one placement at a time, kept where all nodes read it,
//! and each is a pure function of the members and its predecessor.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

/// For every partition the member that should own it, given who should have until now; `None`
/// without members.
///
/// `present` has one element a partition; owners that are no members any more, and partitions never
/// placed, are given out by rendezvous hashing among the members that have room. Every member gets
/// `floor(P / N)` or `ceil(P / N)`. When `present` was made by this function for one member more,
/// or one less, at most `ceil(P / N)` partitions move (N: the larger number of members): those of
/// the member that left, or those that the new one gets.
pub fn place(members: &BTreeSet<String>, present: &[Option<String>]) -> Vec<Option<String>> {
    let mut rooms = rooms(members, present);
    let mut placed = vec![None; present.len()];
    for (partition, owner) in by_attachment(present) {
        if let Some(room) = rooms.get_mut(owner).filter(|room| **room > 0) {
            *room -= 1;
            placed[partition] = Some(owner.to_owned());
        }
    }
    for (partition, owner) in placed
        .iter_mut()
        .enumerate()
        .filter(|(_, owner)| owner.is_none())
    {
        let open = rooms.iter_mut().filter(|(_, room)| **room > 0);
        if let Some((member, room)) = open.max_by_key(|(member, _)| weight(member, partition)) {
            *room -= 1;
            *owner = Some((*member).to_owned());
        }
    }
    placed
}

/// How many partitions each member gets. Those that have most already get the ones that do not
/// divide evenly.
fn rooms<'a>(
    members: &'a BTreeSet<String>,
    present: &[Option<String>],
) -> BTreeMap<&'a str, usize> {
    let mut loads: BTreeMap<&str, usize> =
        members.iter().map(|member| (member.as_str(), 0)).collect();
    for owner in present.iter().flatten() {
        if let Some(load) = loads.get_mut(owner.as_str()) {
            *load += 1;
        }
    }
    let mut heaviest_first: Vec<(&str, usize)> = loads.into_iter().collect();
    heaviest_first
        .sort_by_key(|(member, load)| (std::cmp::Reverse(*load), xxh3_64(member.as_bytes())));
    let count = members.len().max(1);
    let (share, rest) = (present.len() / count, present.len() % count);
    let room = |rank| share + usize::from(rank < rest);
    heaviest_first
        .into_iter()
        .enumerate()
        .map(|(rank, (member, _))| (member, room(rank)))
        .collect()
}

/// The partitions that have an owner, those it weighs most with first: what it has too much of
/// comes last.
fn by_attachment(present: &[Option<String>]) -> Vec<(usize, &str)> {
    let owned =
        |(partition, owner): (usize, &'_ Option<String>)| owner.is_some().then_some(partition);
    let mut partitions: Vec<usize> = present.iter().enumerate().filter_map(owned).collect();
    let owner = |partition: usize| present[partition].as_deref().unwrap_or_default();
    partitions.sort_by_key(|partition| std::cmp::Reverse(weight(owner(*partition), *partition)));
    partitions
        .into_iter()
        .map(|partition| (partition, owner(partition)))
        .collect()
}

/// The rendezvous weight of a member for a partition.
fn weight(member: &str, partition: usize) -> u64 {
    xxh3_64(
        [
            member.as_bytes(),
            b"\0",
            (partition as u64).to_be_bytes().as_slice(),
        ]
        .concat()
        .as_slice(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Node names that differ from run to run of the loop, the same in every run of the test.
    fn names(seed: u64, count: usize) -> BTreeSet<String> {
        (0..count as u64)
            .map(|index| format!("node-{:x}", xxh3_64(&(seed * 64 + index).to_be_bytes())))
            .collect()
    }

    fn moved(before: &[Option<String>], after: &[Option<String>]) -> usize {
        before
            .iter()
            .zip(after)
            .filter(|(old, new)| old != new)
            .count()
    }

    fn assert_even(placed: &[Option<String>], members: &BTreeSet<String>) {
        let mut loads: BTreeMap<&str, usize> =
            members.iter().map(|member| (member.as_str(), 0)).collect();
        for owner in placed {
            *loads
                .get_mut(owner.as_deref().expect("there are members"))
                .expect("a member") += 1;
        }
        for load in loads.into_values() {
            assert!(
                load >= placed.len() / members.len()
                    && load <= placed.len().div_ceil(members.len())
            );
        }
    }

    #[test]
    fn every_member_gets_its_share_and_a_change_moves_one_share() {
        for partitions in 1..=64 {
            for count in 1..=8 {
                for seed in 0..8 {
                    let all = names(seed, count);
                    let first = place(&all, &vec![None; partitions]);
                    assert_even(&first, &all);
                    for leaver in &all {
                        let share = partitions.div_ceil(count);
                        let rest: BTreeSet<String> =
                            all.iter().filter(|one| *one != leaver).cloned().collect();
                        let without = place(&rest, &first);
                        assert!(moved(&first, &without) <= share);
                        if rest.is_empty() {
                            assert!(without.iter().all(Option::is_none));
                            continue;
                        }
                        assert_even(&without, &rest);
                        let back = place(&all, &without);
                        assert_even(&back, &all);
                        assert!(moved(&without, &back) <= share);
                    }
                }
            }
        }
    }

    #[test]
    fn the_bounds_hold_over_long_histories_of_joining_and_leaving() {
        for partitions in 1..=64 {
            let pool: Vec<String> = names(partitions as u64, 8).into_iter().collect();
            let mut members = BTreeSet::from([pool[0].clone()]);
            let mut placed = place(&members, &vec![None; partitions]);
            for step in 0..400_u64 {
                let before = members.len();
                let chosen =
                    &pool[(xxh3_64(&(step << 8 | partitions as u64).to_be_bytes()) % 8) as usize];
                if !members.remove(chosen) {
                    members.insert(chosen.clone());
                } else if members.is_empty() {
                    members.insert(chosen.clone());
                    continue;
                }
                let next = place(&members, &placed);
                assert_even(&next, &members);
                assert!(moved(&placed, &next) <= partitions.div_ceil(before.max(members.len())));
                placed = next;
            }
        }
    }

    #[test]
    fn what_is_placed_stays() {
        for count in 1..=8 {
            let members = names(7, count);
            let placed = place(&members, &[const { None }; 61]);
            assert_eq!(place(&members, &placed), placed);
        }
    }

    #[test]
    fn only_the_leavers_move_when_several_leave_at_once() {
        let all = names(3, 6);
        let before = place(&all, &[const { None }; 64]);
        let rest: BTreeSet<String> = all.iter().take(2).cloned().collect();
        let after = place(&rest, &before);
        assert_even(&after, &rest);
        for (old, new) in before.iter().zip(&after) {
            assert!(old == new || !rest.contains(old.as_ref().expect("placed")));
        }
    }

    #[test]
    fn the_first_placement_is_the_same_over_releases() {
        let members = ["a", "b", "c"].map(str::to_owned).into();
        let placed: Vec<String> = place(&members, &[const { None }; 9])
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(placed.concat(), "aaacbccbb");
    }
}
