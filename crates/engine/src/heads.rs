//! Where the chain of each task begins: a hash table of fact numbers that touches one cache line
//! for most of what it is asked.
//!
//! Keys are not in the table but in the facts. A bucket is a cache line of twelve numbers with a
//! byte of each one's hash; what does not fit goes to the next bucket, and each bucket counts what
//! has passed it by, so that a removal leaves nothing behind.

/// Numbers in a bucket.
const WIDTH: usize = 12;
/// Tables that the numbers are spread over: one grows at a time, which keeps the pause short.
const TABLES: usize = 64;
/// No number: the tag of a free place.
const FREE: u8 = 0;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    numbers: [u32; WIDTH],
    tags: [u8; WIDTH],
    /// Numbers that belong here or before, and stand behind.
    passed_by: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64, "a bucket is a cache line");

const EMPTY: Bucket = Bucket {
    numbers: [0; WIDTH],
    tags: [FREE; WIDTH],
    passed_by: 0,
};

/// Where a hash leads to.
#[derive(Clone, Copy, Debug)]
struct Aim {
    table: usize,
    spread: u64,
    tag: u8,
}

impl Aim {
    fn of(hash: u64) -> Aim {
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let tag = (mixed >> 8) as u8;
        Aim {
            table: (mixed >> 16) as usize % TABLES,
            spread: mixed >> 32,
            tag: tag.max(1),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Table {
    buckets: Vec<Bucket>,
    length: usize,
}

impl Table {
    fn home(&self, spread: u64) -> usize {
        ((spread * self.buckets.len() as u64) >> 32) as usize
    }

    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() {
            0
        } else {
            bucket + 1
        }
    }

    /// The place of the number that `is_it` knows, as bucket and place in it.
    fn find(&self, aim: Aim, mut is_it: impl FnMut(u32) -> bool) -> Option<(usize, usize)> {
        let mut at = self.home(aim.spread);
        // Where a table is small, every bucket may have been passed by: the search ends where it
        // began.
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            for place in 0..WIDTH {
                if bucket.tags[place] == aim.tag && is_it(bucket.numbers[place]) {
                    return Some((at, place));
                }
            }
            if bucket.passed_by == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    fn insert(&mut self, aim: Aim, number: u32) {
        let mut at = self.home(aim.spread);
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(place) = bucket.tags.iter().position(|tag| *tag == FREE) {
                bucket.tags[place] = aim.tag;
                bucket.numbers[place] = number;
                self.length += 1;
                return;
            }
            bucket.passed_by += 1;
            at = self.after(at);
        }
    }

    fn remove(&mut self, aim: Aim, (bucket, place): (usize, usize)) {
        self.buckets[bucket].tags[place] = FREE;
        self.length -= 1;
        let mut at = self.home(aim.spread);
        while at != bucket {
            self.buckets[at].passed_by -= 1;
            at = self.after(at);
        }
    }

    /// Makes room for one more, at most five sixths full.
    fn make_room(&mut self, hash_of: impl Fn(u32) -> u64) {
        if self.length < self.buckets.len() * (WIDTH * 5 / 6) {
            return;
        }
        let buckets = self.buckets.len() * 3 / 2 + 1;
        let old = std::mem::replace(
            self,
            Table {
                buckets: vec![EMPTY; buckets],
                length: 0,
            },
        );
        for bucket in &old.buckets {
            for place in 0..WIDTH {
                if bucket.tags[place] != FREE {
                    let number = bucket.numbers[place];
                    self.insert(Aim::of(hash_of(number)), number);
                }
            }
        }
    }
}

/// The newest fact of each chain, by the hash of its key.
#[derive(Debug)]
pub(crate) struct Heads(Vec<Table>);

impl Default for Heads {
    fn default() -> Heads {
        Heads(vec![Table::default(); TABLES])
    }
}

impl Heads {
    /// The number that `is_it` knows, among those of this hash.
    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let aim = Aim::of(hash);
        let table = &self.0[aim.table];
        table
            .find(aim, is_it)
            .map(|(bucket, place)| table.buckets[bucket].numbers[place])
    }

    /// The same, to be replaced.
    pub(crate) fn find_mut(
        &mut self,
        hash: u64,
        is_it: impl FnMut(u32) -> bool,
    ) -> Option<&mut u32> {
        let aim = Aim::of(hash);
        let table = &mut self.0[aim.table];
        let (bucket, place) = table.find(aim, is_it)?;
        Some(&mut table.buckets[bucket].numbers[place])
    }

    /// Adds a number that is not there. `hash_of` tells the hash of those that are, should the
    /// table have to grow.
    pub(crate) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        let aim = Aim::of(hash);
        let table = &mut self.0[aim.table];
        table.make_room(hash_of);
        table.insert(aim, number);
    }

    /// Removes the number; whether it was there.
    pub(crate) fn remove(&mut self, hash: u64, number: u32) -> bool {
        let aim = Aim::of(hash);
        let table = &mut self.0[aim.table];
        let found = table.find(aim, |other| other == number);
        if let Some(found) = found {
            table.remove(aim, found);
        }
        found.is_some()
    }

    /// Looks at the bucket of a hash, so that its memory is under way when it is asked for. The
    /// answer means nothing, but must be used.
    pub(crate) fn glance(&self, hash: u64) -> u32 {
        let aim = Aim::of(hash);
        let table = &self.0[aim.table];
        table
            .buckets
            .get(table.home(aim.spread))
            .map_or(0, |bucket| bucket.passed_by)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A map is the oracle; hashes of few bits make buckets run over.
    #[test]
    fn answers_like_a_map_even_when_buckets_run_over() {
        for few in [3_u64, 40, 100_000] {
            let mut heads = Heads::default();
            let mut hashes: Vec<u64> = Vec::new();
            let mut oracle: BTreeMap<u32, u64> = BTreeMap::new();
            let mut state = few;
            let mut random = move |below: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            for _ in 0..20_000 {
                if random(5) < 3 || oracle.is_empty() {
                    let (hash, number) = (random(few) << 40, hashes.len() as u32);
                    hashes.push(hash);
                    heads.insert(hash, number, |number| hashes[number as usize]);
                    oracle.insert(number, hash);
                } else {
                    let number = random(hashes.len() as u64) as u32;
                    let was_there = oracle.remove(&number).is_some();
                    assert_eq!(heads.remove(hashes[number as usize], number), was_there);
                }
            }
            for absent in 0..few {
                assert_eq!(heads.find(absent << 40, |_| false), None);
            }
            for (number, hash) in hashes.iter().enumerate() {
                let number = number as u32;
                let wanted = oracle.contains_key(&number).then_some(number);
                assert_eq!(heads.find(*hash, |other| other == number), wanted);
            }
            for (number, hash) in oracle {
                assert!(heads.remove(hash, number));
            }
            let buckets = heads.0.iter().flat_map(|table| &table.buckets);
            assert!(
                buckets
                    .into_iter()
                    .all(|bucket| bucket.passed_by == 0 && bucket.tags == [FREE; WIDTH])
            );
        }
    }
}
