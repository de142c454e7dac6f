//! The task store, by hand and under random orders.

use minutehand_model::Place;

use super::*;

const WINDOW_MS: i64 = 1_000;

fn store() -> TaskStore {
    TaskStore::new(WINDOW_MS)
}

fn fact(id: u128, due_ms: i64, offset: u64, flags: u16) -> StoredFact {
    let place = Place {
        due: Timestamp::from_millis(due_ms),
        offset: LogOffset::at(offset),
    };
    StoredFact::new(TaskKey(id), place, Timestamp::from_millis(0), flags)
}

fn insert(store: &mut TaskStore, fact: StoredFact) -> Result<TaskIndex, TaskIndex> {
    store.insert(fact, Some(Bytes::from_static(b"task")), Shelf::Near)
}

fn pass(store: &mut TaskStore, index: TaskIndex) {
    store.get_mut(index).flags |= flag::PASSED;
    store.drop_body(index);
    store.rest(index);
}

fn forget(store: &mut TaskStore, now_ms: i64, before_ms: i64) -> Vec<u64> {
    let mut settled = Vec::new();
    store.forget(
        Timestamp::from_millis(now_ms),
        Timestamp::from_millis(before_ms),
        Vec::new(),
        |offset| {
            settled.push(offset.position());
        },
    );
    settled
}

/// Generations are read off the log alone, in whatever order the facts arrive.
#[test]
fn generations_do_not_depend_on_the_order_of_arrival() {
    let story = [(10, 0), (15, flag::VOID), (20, 0), (30, 0)];
    let live = [20];
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
    for order in orders {
        let mut store = store();
        let mut indices = Vec::new();
        for number in order {
            let (offset, flags) = story[number];
            indices
                .push(insert(&mut store, fact(1, 100, offset, flags)).expect("each fact is new"));
            insert(&mut store, fact(1, 101, offset, 0)).expect("another due time is another task");
        }
        let mut found: Vec<u64> = indices
            .iter()
            .filter(|index| store.opens_live_generation(**index))
            .map(|index| store.get(*index).offset.position())
            .collect();
        found.sort_unstable();
        assert_eq!(found, live, "{order:?}");
    }
}

#[test]
fn a_task_replaced_by_itself_runs_once() {
    let mut store = store();
    let first = insert(&mut store, fact(1, 100, 5, 0)).unwrap();
    insert(&mut store, fact(1, 100, 9, flag::VOID)).unwrap();
    let second = insert(&mut store, fact(1, 100, 9, 0)).unwrap();
    assert!(!store.opens_live_generation(first));
    assert!(store.opens_live_generation(second));
}

#[test]
fn facts_are_found_and_removed_wherever_in_the_chain_they_stand() {
    for removed in 0..3 {
        let mut store = store();
        let facts = [fact(1, 100, 1, 0), fact(1, 200, 2, 0), fact(1, 300, 3, 0)];
        let mut all: Vec<TaskIndex> = facts
            .iter()
            .map(|fact| insert(&mut store, *fact).unwrap())
            .collect();
        assert_eq!(insert(&mut store, fact(1, 200, 2, 0)).unwrap_err(), all[1]);
        store.remove(all.remove(removed));
        all.reverse();
        assert_eq!(
            store
                .chain(TaskKey(1))
                .map(|(index, _)| index)
                .collect::<Vec<_>>(),
            all
        );
        insert(&mut store, fact(2, 100, 4, 0)).unwrap();
        assert_eq!(store.chain(TaskKey(2)).count(), 1);
    }
}

/// A clock that ran ahead let F pass it; when it is set back the look-ahead comes to its time
/// again, and to what still waits for its block.
#[test]
fn what_f_has_passed_never_comes_near_again() {
    let mut store = store();
    let waits = insert(&mut store, fact(1, 100, 1, flag::WRITING)).unwrap();
    assert!(store.come_near(waits), "nothing has passed it yet");
    assert!(!store.come_near(waits), "it is there already");
    store.pass(waits);
    assert!(!store.come_near(waits), "it would be forgotten in there");
}

/// A clock that ran ahead lets everything be forgotten at once; a creation that waits for its
/// tick is still there, and with it what the log said after it.
#[test]
fn a_void_is_known_as_long_as_the_creation_before_it() {
    let mut store = store();
    forget(&mut store, 2_000, 900_000);
    let late = |store: &mut TaskStore, offset, flags| {
        let index = insert(store, fact(1, 100, offset, flags | flag::PASSED)).unwrap();
        if flags & flag::VOID != 0 {
            store.drop_body(index);
        }
        store.rest(index);
        index
    };
    let first = late(&mut store, 1, 0);
    late(&mut store, 2, flag::VOID);
    assert!(forget(&mut store, 2_500, 900_000).is_empty());
    let second = late(&mut store, 3, 0);
    assert!(
        store.opens_live_generation(second),
        "the void before it is known"
    );
    for index in [first, second] {
        pass(&mut store, index);
    }
    forget(&mut store, 5_000, 900_000);
    assert_eq!(store.chain(TaskKey(1)).count(), 0, "nothing lingers");
}

/// The page of a fact stays while another of its facts is needed; what is known does not depend
/// on it.
#[test]
fn a_fact_lasts_its_window_and_holds_r_until_its_page_goes() {
    let mut store = store();
    let early = insert(&mut store, fact(1, 100, 1, flag::UNSETTLED)).unwrap();
    let late = insert(&mut store, fact(2, 5_000, 2, flag::UNSETTLED)).unwrap();
    pass(&mut store, early);
    assert!(forget(&mut store, 2_000, 1_099).is_empty());
    assert_eq!(store.chain(TaskKey(1)).count(), 1);
    assert!(forget(&mut store, 2_000, 1_100).is_empty());
    assert_eq!(store.chain(TaskKey(1)).count(), 0);
    let again = insert(&mut store, fact(1, 100, 3, 0)).unwrap();
    assert!(store.opens_live_generation(again), "it is a new task");
    pass(&mut store, late);
    assert_eq!(store.forgettable_at(), Some(Timestamp::from_millis(6_000)));
    assert_eq!(forget(&mut store, 6_000, 6_000), [1, 2]);
    let known = store
        .chain(TaskKey(1))
        .map(|(index, _)| index)
        .collect::<Vec<_>>();
    assert_eq!(known, [again]);
    assert_eq!(store.chain(TaskKey(2)).count(), 0);
}

#[test]
fn a_fact_being_written_is_forgotten_and_keeps_its_number() {
    let mut store = store();
    let sent = store
        .insert(fact(1, 100, 1, flag::WRITING), None, Shelf::Far)
        .unwrap();
    let other = insert(&mut store, fact(2, 100, 2, flag::UNSETTLED)).unwrap();
    pass(&mut store, sent);
    pass(&mut store, other);
    assert_eq!(
        forget(&mut store, 2_000, 9_000),
        [2],
        "nothing else waits for the write"
    );
    assert_eq!(store.chain(TaskKey(1)).count(), 0);
    assert_eq!(store.free.len(), 1);
    store.leave_write(sent);
    forget(&mut store, 2_000, 9_000);
    assert_eq!(store.forgettable_at(), None);
    assert_eq!(store.free.len(), 2);
}

/// A map that is searched from end to end is the oracle.
#[test]
fn chains_and_pages_answer_like_a_list() {
    let mut store = store();
    let mut oracle: Vec<(u128, i64, u64, TaskIndex)> = Vec::new();
    let mut state = 11_u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for step in 0..30_000_u64 {
        let now_ms = step as i64 / 10;
        let id = u128::from(random(2_000)) << 60 | u128::from(random(5));
        let due_ms = now_ms + random(500) as i64;
        let shelf = if random(4) == 0 {
            Shelf::Far
        } else {
            Shelf::Near
        };
        let body = Bytes::from(step.to_be_bytes().to_vec());
        let index = store
            .insert(fact(id, due_ms, step, 0), Some(body), shelf)
            .expect("a new offset");
        oracle.push((id, due_ms, step, index));
        if random(5) == 0 {
            let number = random(oracle.len() as u64) as usize;
            if !store.get(oracle[number].3).is(flag::PASSED) {
                store.remove(oracle.swap_remove(number).3);
            }
        }
        if step % 50 == 0 {
            for (_, due_ms, offset, index) in &oracle {
                if *due_ms <= now_ms && !store.get(*index).is(flag::PASSED) {
                    let body = store.body(*index).expect("it is kept");
                    assert_eq!(body, offset.to_be_bytes().as_slice());
                    pass(&mut store, *index);
                }
            }
            forget(&mut store, now_ms, now_ms);
            oracle.retain(|(_, due_ms, ..)| due_ms + WINDOW_MS > now_ms);
            for (id, ..) in oracle.iter().take(20) {
                let mut wanted: Vec<TaskIndex> = oracle
                    .iter()
                    .filter(|known| known.0 == *id)
                    .map(|known| known.3)
                    .collect();
                let mut found: Vec<TaskIndex> =
                    store.chain(TaskKey(*id)).map(|(index, _)| index).collect();
                wanted.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, wanted);
            }
        }
    }
    assert!(
        store.pages.len() < 24,
        "pages are used again: {}",
        store.pages.len()
    );
}
