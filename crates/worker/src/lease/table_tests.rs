//! The table in detail, and against a list that is searched from its beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use minutehand_model::{GroupName, PartitionId, QueueName, TaskKey, Timestamp};
use minutehand_ports::DeliveryId;
use proptest::prelude::*;

use super::id::LeaseKey;
use super::table::{Grant, LaneName, LeaseLimits, LeaseStanding, LeaseTable, Over};

const LIMITS: LeaseLimits = LeaseLimits {
    leases_max: 6,
    bytes_max: 100,
    waiters_max: 2,
};

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

fn lane(group: &str) -> Arc<LaneName> {
    Arc::new(LaneName {
        queue: queue("mail"),
        group: GroupName::parse(group).unwrap(),
    })
}

fn delivery(sequence: u64) -> DeliveryId {
    DeliveryId {
        partition: PartitionId::own(0),
        sequence,
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn grant(sequence: u64, expires_at: i64) -> Grant {
    Grant {
        lane: lane("workers"),
        delivery: delivery(sequence),
        task: TaskKey(u128::from(sequence)),
        bytes: 10,
        secret: u128::from(sequence) + 1_000,
        expires_at: at(expires_at),
    }
}

fn granted(table: &mut LeaseTable<u64>, sequence: u64, expires_at: i64) -> LeaseKey {
    table
        .grant(grant(sequence, expires_at), sequence)
        .expect("there is room")
        .0
}

fn contents(over: &[Over<u64>]) -> Vec<u64> {
    over.iter().map(|over| over.content).collect()
}

#[test]
fn a_lease_is_answered_once_and_by_its_secret_alone() {
    let mut table = LeaseTable::new(LIMITS);
    let key = granted(&mut table, 1, 50);
    let other = granted(&mut table, 2, 50);
    let forged = [
        LeaseKey {
            secret: key.secret ^ 1,
            ..key
        },
        LeaseKey {
            number: other.number,
            ..key
        },
        LeaseKey {
            number: u64::MAX,
            ..key
        },
    ];
    for forged in forged {
        assert!(
            table.end(&queue("mail"), forged).is_none()
                && table.content(&queue("mail"), forged).is_none()
        );
        assert!(!table.extend(&queue("mail"), forged, at(99)));
    }
    assert!(
        table.end(&queue("other"), key).is_none(),
        "a lease is of its queue"
    );
    assert_eq!(
        table.end(&queue("mail"), key).map(|over| over.content),
        Some(1)
    );
    assert!(table.end(&queue("mail"), key).is_none(), "once");
    assert_eq!(
        table.end(&queue("mail"), other).map(|over| over.content),
        Some(2)
    );
}

#[test]
fn what_is_not_answered_in_time_ends_and_is_counted() {
    let mut table = LeaseTable::new(LIMITS);
    let first = granted(&mut table, 1, 50);
    granted(&mut table, 2, 40);
    granted(&mut table, 3, 60);
    assert_eq!(table.next_deadline(), Some(at(40)));
    assert!(contents(&table.expire(at(39), 10)).is_empty());
    assert!(table.extend(&queue("mail"), first, at(70)));
    let over = table.expire(at(60), 10);
    assert_eq!(
        contents(&over),
        [2, 3],
        "the oldest first, and not what was extended"
    );
    assert!(over.iter().all(|over| over.expiries == 1));
    over.iter().for_each(|over| table.close(over.bytes));
    granted(&mut table, 2, 65);
    assert_eq!(table.expire(at(65), 10)[0].expiries, 2);
    let again = granted(&mut table, 2, 80);
    table.end(&queue("mail"), again).unwrap();
    granted(&mut table, 2, 81);
    let over = table.expire(at(90), 1);
    assert_eq!(
        (contents(&over), table.next_deadline()),
        (vec![1], Some(at(81))),
        "no more than asked for"
    );
    assert_eq!(
        table.expire(at(90), 1)[0].expiries,
        1,
        "an answer begins the count anew"
    );
}

#[test]
fn a_delivery_that_is_handed_out_anew_ends_its_lease() {
    let mut table = LeaseTable::new(LIMITS);
    let old = granted(&mut table, 1, 50);
    let (new, replaced) = table.grant(grant(1, 60), 11).unwrap();
    assert_eq!(replaced, Some(1));
    assert!(table.end(&queue("mail"), old).is_none());
    let other_group = Grant {
        lane: lane("others"),
        ..grant(1, 60)
    };
    assert!(
        table.grant(other_group, 12).unwrap().1.is_none(),
        "each group has its own"
    );
    assert_eq!(
        table.end(&queue("mail"), new).map(|over| over.content),
        Some(11)
    );
}

#[test]
fn there_is_only_so_much_room_until_ends_are_durable() {
    let mut table = LeaseTable::new(LIMITS);
    let large = Grant {
        bytes: 1_000,
        ..grant(1, 50)
    };
    let (key, _) = table
        .grant(large, 1)
        .expect("one is leased however large it is");
    assert_eq!(table.room(1), 0);
    assert_eq!(table.grant(grant(2, 50), 2), Err(2));
    let over = table.end(&queue("mail"), key).unwrap();
    assert_eq!(table.room(1), 0, "until its end is durable");
    table.close(over.bytes);
    assert_eq!((table.room(1), table.room(30), table.room(200)), (6, 3, 1));
    for sequence in 0..6 {
        granted(&mut table, sequence, 50);
    }
    assert_eq!(table.grant(grant(9, 50), 9), Err(9));
    assert_eq!(table.end_all().len(), 6);
    assert!(table.begin_wait() && table.begin_wait() && !table.begin_wait());
    table.end_wait();
    assert!(table.begin_wait());
}

#[test]
fn the_leases_of_a_task_are_found_in_their_lane() {
    let mut table = LeaseTable::new(LIMITS);
    for (sequence, task) in [(1, 7), (2, 7), (3, 8)] {
        table
            .grant(
                Grant {
                    task: TaskKey(task),
                    ..grant(sequence, 50)
                },
                sequence,
            )
            .unwrap();
    }
    table
        .grant(
            Grant {
                task: TaskKey(7),
                lane: lane("others"),
                ..grant(4, 50)
            },
            4,
        )
        .unwrap();
    let found: Vec<u64> = table
        .of_task(&lane("workers"), TaskKey(7))
        .map(|(_, content)| *content)
        .collect();
    assert_eq!(found, [1, 2]);
    let over = table.end_task(&lane("workers"), TaskKey(7), |content| *content == 2);
    assert_eq!(contents(&over), [2]);
    assert_eq!(table.end_all().len(), 3);
}

#[derive(Clone, Debug)]
enum Step {
    Grant {
        sequence: u64,
        bytes: usize,
        lasts_ms: i64,
    },
    /// Of one of the keys that were ever given.
    End(prop::sample::Index),
    Extend(prop::sample::Index, i64),
    Pass(i64),
    Expire(usize),
    EndTask(u64),
    CloseOne,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5_u64, 1..60_usize, 1..40_i64)
            .prop_map(|(sequence, bytes, lasts_ms)| Step::Grant { sequence, bytes, lasts_ms }),
        3 => any::<prop::sample::Index>().prop_map(Step::End),
        2 => (any::<prop::sample::Index>(), 1..40_i64).prop_map(|(index, ms)| Step::Extend(index, ms)),
        2 => (1..20_i64).prop_map(Step::Pass),
        2 => (1..4_usize).prop_map(Step::Expire),
        1 => (0..5_u64).prop_map(Step::EndTask),
        3 => Just(Step::CloseOne),
    ]
}

/// A lease as the list knows it.
#[derive(Clone, Copy)]
struct Known {
    key: LeaseKey,
    sequence: u64,
    bytes: usize,
    expires_at: i64,
    is_over: bool,
}

#[derive(Default)]
struct List {
    leases: Vec<Known>,
    unclosed: Vec<usize>,
    now: i64,
}

impl List {
    /// Takes note that a lease has ended; it must have been there.
    fn end(&mut self, content: u64, bytes: usize) {
        let known = &mut self.leases[content as usize];
        assert!(
            !std::mem::replace(&mut known.is_over, true),
            "a lease ends once"
        );
        assert_eq!(known.bytes, bytes);
        self.unclosed.push(bytes);
    }

    fn standing(&self) -> LeaseStanding {
        let live = self.leases.iter().filter(|known| !known.is_over);
        let (leases, bytes) = live.fold((0, 0), |(leases, bytes), known| {
            (leases + 1, bytes + known.bytes)
        });
        LeaseStanding {
            leases: leases + self.unclosed.len(),
            bytes: bytes + self.unclosed.iter().sum::<usize>(),
            waiters: 0,
        }
    }

    fn live(&self, sequence: u64) -> Option<usize> {
        self.leases
            .iter()
            .position(|known| known.sequence == sequence && !known.is_over)
    }
}

fn take(table: &mut LeaseTable<u64>, list: &mut List, step: &Step) {
    let mail = queue("mail");
    match *step {
        Step::Grant {
            sequence,
            bytes,
            lasts_ms,
        } => {
            let content = list.leases.len() as u64;
            let expires_at = list.now + lasts_ms;
            let secret = u128::from(content) << 64 | 5;
            let live = list.live(sequence);
            match table.grant(
                Grant {
                    bytes,
                    secret,
                    ..grant(sequence, expires_at)
                },
                content,
            ) {
                Ok((key, replaced)) => {
                    assert_eq!(replaced.map(|content| content as usize), live);
                    live.into_iter()
                        .for_each(|live| list.leases[live].is_over = true);
                    list.leases.push(Known {
                        key,
                        sequence,
                        bytes,
                        expires_at,
                        is_over: false,
                    });
                }
                Err(back) => {
                    assert_eq!(back, content);
                    if let Some(live) = live {
                        list.leases[live].is_over = true;
                    }
                    let standing = list.standing();
                    let is_full = standing.leases >= LIMITS.leases_max
                        || (standing.leases > 0 && standing.bytes + bytes > LIMITS.bytes_max);
                    assert!(is_full, "{standing:?} and {bytes}");
                }
            }
        }
        Step::End(index) if !list.leases.is_empty() => {
            let index = index.index(list.leases.len());
            let known = list.leases[index];
            match table.end(&mail, known.key) {
                Some(over) => list.end(over.content, over.bytes),
                None => assert!(known.is_over, "it was there"),
            }
        }
        Step::Extend(index, ms) if !list.leases.is_empty() => {
            let index = index.index(list.leases.len());
            let expires_at = list.now + ms;
            let is_extended = table.extend(&mail, list.leases[index].key, at(expires_at));
            assert_eq!(is_extended, !list.leases[index].is_over);
            if is_extended {
                list.leases[index].expires_at = expires_at;
            }
        }
        Step::End(_) | Step::Extend(..) => {}
        Step::Pass(ms) => list.now += ms,
        Step::Expire(count_max) => {
            let mut due: Vec<(i64, usize)> = Vec::new();
            for (index, known) in list.leases.iter().enumerate() {
                if !known.is_over && known.expires_at <= list.now {
                    due.push((known.expires_at, index));
                }
            }
            due.sort_unstable();
            let expected: Vec<usize> = due
                .into_iter()
                .take(count_max)
                .map(|(_, index)| index)
                .collect();
            let over = table.expire(at(list.now), count_max);
            assert_eq!(
                over.iter()
                    .map(|over| over.content as usize)
                    .collect::<Vec<_>>(),
                expected
            );
            over.iter()
                .for_each(|over| list.end(over.content, over.bytes));
        }
        Step::EndTask(sequence) => {
            let live = list.live(sequence);
            let over = table.end_task(&lane("workers"), TaskKey(u128::from(sequence)), |_| true);
            assert_eq!(over.first().map(|over| over.content as usize), live);
            over.iter()
                .for_each(|over| list.end(over.content, over.bytes));
        }
        Step::CloseOne => {
            if let Some(bytes) = list.unclosed.pop() {
                table.close(bytes);
            }
        }
    }
}

proptest! {
    #[test]
    fn in_any_order_each_lease_ends_once_and_is_counted(steps in prop::collection::vec(step(), 1..120)) {
        let (mut table, mut list) = (LeaseTable::new(LIMITS), List::default());
        for step in &steps {
            take(&mut table, &mut list, step);
            assert_eq!(table.standing(), list.standing());
            let deadlines = list.leases.iter().filter(|known| !known.is_over).map(|known| known.expires_at);
            assert_eq!(table.next_deadline(), deadlines.min().map(at));
            let mut live: BTreeMap<u64, usize> = BTreeMap::new();
            for known in list.leases.iter().filter(|known| !known.is_over) {
                *live.entry(known.sequence).or_default() += 1;
            }
            assert!(live.values().all(|count| *count == 1), "a delivery is out once");
        }
        let left = table.end_all();
        left.iter().for_each(|over| list.end(over.content, over.bytes));
        assert!(list.leases.iter().all(|known| known.is_over));
    }
}
