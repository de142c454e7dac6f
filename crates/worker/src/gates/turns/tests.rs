//! Turns in detail, and in any order against a count of what is at work.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tenant::{PUT_OFF_MAX, PUT_OFF_MIN};
use super::*;

fn namespace(number: usize) -> Namespace {
    Namespace::parse(&format!("n{number:04}")).unwrap()
}

/// An execution of a namespace, of a key where one is given.
fn entry(of: usize, key: Option<u32>) -> Entry {
    let namespace = namespace(of);
    Entry {
        key: key.map(|key| Key::of(namespace.as_str(), &key.to_string())),
        namespace,
        priority: Priority::default(),
        published_at: Timestamp::from_millis(1_000),
        bytes: 100,
    }
}

fn urgent(of: usize, level: u64, published_ms: i64) -> Entry {
    Entry {
        priority: Priority::of_level(level).unwrap(),
        published_at: Timestamp::from_millis(published_ms),
        ..entry(of, None)
    }
}

fn terms(per_key_max: Option<u32>, of_some: &[(usize, NamespaceRules)]) -> Terms {
    let of_some = of_some
        .iter()
        .map(|(number, rules)| (namespace(*number), rules.clone()));
    Terms {
        per_key_max,
        of_some: Arc::new(of_some.collect()),
        ..Terms::default()
    }
}

fn rules(weight: u32, per_second_max: Option<u32>) -> NamespaceRules {
    NamespaceRules {
        weight,
        per_second_max,
    }
}

/// All that may be started now.
fn take_all<T>(turns: &mut Turns<T>, now: Instant) -> Vec<T> {
    std::iter::from_fn(|| turns.take(now))
        .map(|(content, _)| content)
        .collect()
}

#[test]
fn a_namespace_with_much_more_delays_no_other() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    for number in 0..2_000 {
        turns.arrive(entry(0, None), (0, number), now).unwrap();
    }
    for number in 0..1_000 {
        let of = 1 + number;
        turns.arrive(entry(of, None), (of, 0), now).unwrap();
    }
    let taken = take_all(&mut turns, now);
    assert_eq!(taken.len(), 3_000);
    let last_of_others = taken.iter().rposition(|(of, _)| *of != 0).unwrap();
    assert!(
        last_of_others < 1_001,
        "each has its turn in the first round: {last_of_others}"
    );
    let own: Vec<usize> = taken
        .iter()
        .filter(|(of, _)| *of == 0)
        .map(|(_, number)| *number)
        .collect();
    assert!(own.is_sorted(), "each in the order in which it came");
}

#[test]
fn namespaces_share_by_their_weights() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    assert!(
        turns
            .set_terms(terms(None, &[(1, rules(3, None)), (2, rules(6, None))]))
            .is_empty()
    );
    for _ in 0..1_000 {
        for of in 0..3 {
            turns.arrive(entry(of, None), of, now).unwrap();
        }
    }
    let mut counts = [0; 3];
    for _ in 0..1_000 {
        counts[turns.take(now).unwrap().0] += 1;
    }
    assert_eq!(counts, [100, 300, 600]);
}

#[test]
fn what_is_urgent_goes_first_and_nothing_starves() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    for level in [4, 0, 9, 5, 9] {
        turns.arrive(urgent(0, level, 1_000), level, now).unwrap();
    }
    assert_eq!(take_all(&mut turns, now), [9, 9, 5, 4, 0]);

    // The least urgent waits nine levels' worth and no longer, whatever comes behind it.
    turns.arrive(urgent(0, 0, 0), 0, now).unwrap();
    let mut served = Vec::new();
    for second in 0..200 {
        for _ in 0..2 {
            let urgent = urgent(0, 9, second * 1_000);
            turns.arrive(urgent, 9, now).unwrap();
        }
        served.push(turns.take(now).unwrap().0);
    }
    let at = served.iter().position(|level| *level == 0).unwrap();
    assert!((80..=190).contains(&at), "served after {at} others");
}

#[test]
fn a_rate_of_a_namespace_is_kept_and_delays_no_other() {
    let (mut turns, mut now) = (Turns::new(), Instant::now());
    let half = Terms {
        share: 0.5,
        ..terms(None, &[(0, rules(1, Some(40)))])
    };
    assert!(turns.set_terms(half).is_empty());
    let (end, mut counts) = (now + Duration::from_secs(10), [0, 0]);
    while now < end {
        for of in [0, 0, 1] {
            let _ = turns.arrive(entry(of, None), of, now);
        }
        take_all(&mut turns, now)
            .into_iter()
            .for_each(|of: usize| counts[of] += 1);
        now += Duration::from_millis(10);
    }
    assert!(
        (190..=210).contains(&counts[0]),
        "half of 40 a second for ten seconds: {}",
        counts[0]
    );
    assert_eq!(counts[1], 1_000, "the other is not limited");
}

#[test]
fn a_rested_namespace_is_waited_for() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    assert!(
        turns
            .set_terms(terms(None, &[(0, rules(1, Some(2)))]))
            .is_empty()
    );
    for number in 0..2 {
        turns.arrive(entry(0, None), number, now).unwrap();
    }
    assert_eq!(take_all(&mut turns, now), [0]);
    assert!(!turns.is_ready(now));
    assert_eq!(turns.ready_at(), Some(now + Duration::from_millis(500)));
    assert!(turns.is_ready(now + Duration::from_millis(500)));
}

/// A key with very much that waits: it is bounded, put off about as long as its turn takes, and
/// whatever comes behind it is started.
#[test]
fn a_key_with_a_million_waiting_stalls_nobody() {
    let (mut turns, start) = (Turns::new(), Instant::now());
    assert!(turns.set_terms(terms(Some(1), &[])).is_empty());
    let mut put_off: Vec<Duration> = Vec::new();
    let mut now = start;
    for number in 0..1_000_000_u64 {
        if let Err(put) = turns.arrive(entry(0, Some(7)), number, now) {
            put_off.push(put.after);
        }
        if number % 100_000 == 0 {
            turns.arrive(entry(0, None), number, now).unwrap();
            let taken = take_all(&mut turns, now);
            assert!(taken.contains(&number), "what is behind the key goes on");
            now += Duration::from_millis(100);
            if number == 0 {
                // Only now others wait: the time between two ends is known after the second.
                continue;
            }
            turns.end(entry(0, Some(7)).key.unwrap(), now);
        }
    }
    assert!(turns.waiting.len() <= WAITING_OF_ONE_MAX + 2);
    assert!(turns.room() >= WAITING_MAX - 2, "the room of others");
    assert!(put_off.len() > 999_000);
    let within = PUT_OFF_MIN..=PUT_OFF_MAX;
    assert!(put_off.iter().all(|after| within.contains(after)));
    let far = put_off.iter().filter(|after| **after > 10 * PUT_OFF_MIN);
    assert!(far.count() > 0, "they do not all come again at once");
}

#[test]
fn a_limited_namespace_with_very_much_fills_no_room() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    let each = Terms {
        of_each: rules(1, Some(1)),
        ..Terms::default()
    };
    assert!(turns.set_terms(each).is_empty());
    let mut put_off = 0;
    for of in 0..100 {
        for _ in 0..300 {
            put_off += usize::from(turns.arrive(entry(of, None), of, now).is_err());
        }
    }
    assert!(put_off > 0);
    assert!(turns.room() > WAITING_MAX / 4, "{} left", turns.room());
    turns.arrive(entry(999, None), 999, now).unwrap();
    assert!(take_all(&mut turns, now).contains(&999));
}

#[test]
fn a_limit_that_is_lifted_lets_everything_on() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    assert!(turns.set_terms(terms(Some(1), &[])).is_empty());
    for number in 0..4 {
        turns.arrive(entry(0, Some(1)), number, now).unwrap();
    }
    let (first, held) = turns.take(now).unwrap();
    assert_eq!((first, turns.take(now)), (0, None));
    assert!(turns.set_terms(terms(Some(2), &[])).is_empty());
    assert_eq!(take_all(&mut turns, now), [1]);
    assert!(turns.set_terms(terms(None, &[])).is_empty());
    assert_eq!(take_all(&mut turns, now), [2, 3]);
    turns.end(held.unwrap(), now);
    assert!(turns.is_empty());
}

/// What waits is told in the order of the queue: it comes again, and is counted.
#[test]
fn a_lower_limit_of_keys_holds_for_what_waits() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    for number in 0..4 {
        let urgent = urgent(0, number % 2, number as i64);
        let key = entry(0, Some(1)).key;
        turns.arrive(Entry { key, ..urgent }, number, now).unwrap();
    }
    assert_eq!(turns.take(now), Some((1, None)), "nothing was said yet");
    assert_eq!(turns.set_terms(terms(Some(3), &[])), [0, 2, 3]);
    for number in [0, 2, 3] {
        turns.arrive(entry(0, Some(1)), number, now).unwrap();
    }
    assert_eq!(turns.set_terms(terms(Some(1), &[])), [0, 2, 3]);
    for number in [0, 2, 3] {
        turns.arrive(entry(0, Some(1)), number, now).unwrap();
    }
    assert_eq!(take_all(&mut turns, now), [0]);
    assert!(turns.set_terms(terms(Some(2), &[])).is_empty());
    assert_eq!(take_all(&mut turns, now), [2]);
}

/// A share that was not known yet, or a rate that is lifted.
#[test]
fn a_namespace_does_not_rest_by_a_rate_of_before() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    let slow = terms(None, &[(0, rules(1, Some(1)))]);
    assert!(turns.set_terms(slow.clone()).is_empty());
    for number in 0..3 {
        turns.arrive(entry(0, None), number, now).unwrap();
    }
    assert_eq!(take_all(&mut turns, now), [0]);
    assert!(turns.ready_at().is_some());
    let fast = terms(None, &[(0, rules(1, Some(100)))]);
    assert!(turns.set_terms(fast).is_empty());
    let later = now + Duration::from_millis(10);
    assert_eq!(take_all(&mut turns, later), [1]);
    assert!(turns.set_terms(slow).is_empty());
    assert_eq!(take_all(&mut turns, later), [0; 0]);
    assert!(turns.set_terms(terms(None, &[])).is_empty());
    assert_eq!(take_all(&mut turns, later), [2]);
}

#[test]
fn what_is_cleared_leaves_the_keys_of_what_is_at_work() {
    let (mut turns, now) = (Turns::new(), Instant::now());
    assert!(turns.set_terms(terms(Some(1), &[])).is_empty());
    for number in 0..3 {
        turns.arrive(entry(0, Some(1)), number, now).unwrap();
    }
    let (_, held) = turns.take(now).unwrap();
    assert_eq!(turns.clear(), [1, 2]);
    turns.arrive(entry(0, Some(1)), 1, now).unwrap();
    assert_eq!(turns.take(now), None, "the first is at work still");
    turns.end(held.unwrap(), now);
    assert_eq!(take_all(&mut turns, now), [1]);
}

#[derive(Clone, Debug)]
enum Step {
    Arrive {
        of: usize,
        key: Option<u32>,
        level: u64,
    },
    Take,
    End(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, proptest::option::of(0..4_u32), 0..10_u64)
            .prop_map(|(of, key, level)| Step::Arrive { of, key, level }),
        3 => Just(Step::Take),
        2 => any::<usize>().prop_map(Step::End),
        1 => (0..200_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn in_any_order_keys_are_kept_and_nothing_is_lost(
        per_key_max in 1..4_u32,
        rate in proptest::option::of(1..100_u32),
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let (mut turns, mut now) = (Turns::new(), Instant::now());
        assert!(turns.set_terms(terms(Some(per_key_max), &[(0, rules(1, rate))])).is_empty());
        let (mut numbers, mut waiting) = (0_u64, BTreeMap::<u64, Option<Key>>::new());
        let (mut at_work, mut last) = (Vec::<Key>::new(), BTreeMap::<Key, u64>::new());
        let mut take = |turns: &mut Turns<u64>, at_work: &mut Vec<Key>, waiting: &mut BTreeMap<u64, Option<Key>>, now| {
            let Some((number, key)) = turns.take(now) else { return Ok(false) };
            let expected = waiting.remove(&number);
            prop_assert_eq!(expected, Some(key), "taken once, with its key");
            if let Some(key) = key {
                at_work.push(key);
                let count = at_work.iter().filter(|other| **other == key).count();
                prop_assert!(count <= per_key_max as usize, "no more of a key than may");
                if per_key_max == 1 {
                    let before = last.insert(key, number);
                    prop_assert!(before.is_none_or(|before| before < number), "in order");
                }
            }
            Ok(true)
        };
        for step in steps {
            match step {
                Step::Arrive { of, key, level } => {
                    let entry = Entry { key: entry(of, key).key, ..urgent(of, level, numbers as i64) };
                    let key = entry.key;
                    if turns.arrive(entry, numbers, now).is_ok() {
                        waiting.insert(numbers, key);
                    }
                    numbers += 1;
                }
                Step::Take => { take(&mut turns, &mut at_work, &mut waiting, now)?; }
                Step::End(which) if !at_work.is_empty() => {
                    let key = at_work.swap_remove(which % at_work.len());
                    turns.end(key, now);
                }
                Step::End(_) => {}
                Step::Pass(ms) => now += Duration::from_millis(ms),
            }
        }
        while !waiting.is_empty() {
            now += Duration::from_secs(1);
            while take(&mut turns, &mut at_work, &mut waiting, now)? {}
            at_work.drain(..).for_each(|key| turns.end(key, now));
        }
        prop_assert!(turns.is_empty());
    }
}
