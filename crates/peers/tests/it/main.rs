//! Questions, answers and statuses: what goes in comes out, and damage is noticed.

#[path = "../../../record/tests/it/values.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the tests of the record crate, which use all of it"
)]
mod values;

use bytes::{Bytes, BytesMut};
use minutehand_engine::{KnownSchedule, KnownState, KnownTask, Phase};
use minutehand_model::{Epoch, Frontier, PartitionId, Stretch};
use minutehand_node::{
    CountTasks, FindSchedule, FindTasks, ListSchedules, ListTasks, OwnerQuery, OwnerReply,
    OwnerStatus, Query as _,
};
use minutehand_peers::{StatusFrame, decode_query, decode_reply, encode_query, encode_reply};
use proptest::prelude::*;

use values::Values;

const PHASES: [Phase; 7] = [
    Phase::Waiting,
    Phase::Opening,
    Phase::Loading,
    Phase::Replaying,
    Phase::Owning,
    Phase::HandingOver,
    Phase::Stopped,
];

fn queries(values: &mut Values) -> Vec<OwnerQuery> {
    vec![
        FindTasks {
            keys: values.several(5, Values::key),
        }
        .into_any(),
        ListTasks {
            after: values.optional(Values::place),
            until: values.any_time(),
            count_max: values.number() as usize,
        }
        .into_any(),
        CountTasks {
            from: values.any_time(),
            until: values.any_time(),
        }
        .into_any(),
        FindSchedule {
            namespace: values.namespace(),
            id: values.schedule_id(),
        }
        .into_any(),
        ListSchedules {
            namespace: values.namespace(),
            after: values.optional(Values::schedule_id),
            prefix: values.prose(),
            count_max: values.number() as usize,
        }
        .into_any(),
    ]
}

fn known_task(values: &mut Values) -> KnownTask {
    KnownTask {
        key: values.key(),
        due: values.any_time(),
        offset: values.offset(),
        state: values.one_of(&[
            KnownState::Scheduled,
            KnownState::Published,
            KnownState::Cancelled,
        ]),
        queue: values.optional(Values::queue),
        encoded: values.optional(|values| values.bytes(40)),
    }
}

fn known_schedule(values: &mut Values) -> KnownSchedule {
    KnownSchedule {
        head: values.revision_entry(),
        created_offset: values.offset(),
        state: values.schedule_state(),
        next: values.optional(|values| (values.any_time(), values.any_time())),
    }
}

fn replies(values: &mut Values) -> Vec<Option<OwnerReply>> {
    vec![
        None,
        Some(OwnerReply::FindTasks(
            values.several(3, |values| values.several(3, known_task)),
        )),
        Some(OwnerReply::ListTasks(values.several(3, known_task))),
        Some(OwnerReply::CountTasks(
            values
                .several(3, |values| (values.any_time(), values.number()))
                .into_iter()
                .collect(),
        )),
        Some(OwnerReply::FindSchedule(
            values.optional(|values| Box::new(known_schedule(values))),
        )),
        Some(OwnerReply::ListSchedules(values.several(3, known_schedule))),
    ]
}

fn status(values: &mut Values) -> OwnerStatus {
    OwnerStatus {
        phase: values.one_of(&PHASES),
        epoch: Epoch(values.number()),
        applied: values.offset(),
        frontier: Frontier {
            backlog: values.several(3, |values| Stretch {
                after: values.place(),
                through: values.place(),
            }),
            owed_after: values.optional(Values::place),
            ..values.checkpoint().frontier
        },
        replay_from: values.offset(),
        tick: values.number(),
        set_aside: values.number(),
        log_end: values.offset(),
        loaded_until: values.any_time(),
        near_tasks: values.number() as usize,
        near_bytes: values.number() as usize,
        pending_entries: values.number() as usize,
        backlog_tasks: values.number() as usize,
        backlog_schedules: values.number() as usize,
        backlog_oldest: values.one_of(&[false, true]).then(|| values.any_time()),
        backlog_is_partly_unread: values.one_of(&[false, true]),
        memory_bytes: values.number() as usize,
        stop_reason: values.optional(Values::prose),
        closed_before: values.optional(Values::any_time),
        minutes_given_up: values.number(),
    }
}

fn frame(values: &mut Values) -> StatusFrame {
    StatusFrame {
        changed: values.several(4, |values| (values.partition(), status(values))),
        gone: values.several(4, Values::partition),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queries_survive_the_round_trip(seed in any::<u64>()) {
        let mut values = Values(seed);
        for query in queries(&mut values) {
            let partition = values.partition();
            prop_assert_eq!(decode_query(encode_query(partition, &query)).unwrap(), (partition, query));
        }
    }

    #[test]
    fn replies_survive_the_round_trip(seed in any::<u64>()) {
        for reply in replies(&mut Values(seed)) {
            prop_assert_eq!(decode_reply(encode_reply(reply.clone())).unwrap(), reply);
        }
    }

    #[test]
    fn frames_survive_the_round_trip_however_they_arrive(seed in any::<u64>()) {
        let mut values = Values(seed);
        let frames = values.several(4, frame);
        let sent: Vec<u8> = frames.iter().flat_map(|frame| frame.encode()).collect();
        let (mut arrived, mut taken) = (BytesMut::new(), Vec::new());
        for part in sent.chunks(1 + values.below(50) as usize) {
            arrived.extend_from_slice(part);
            while let Some(frame) = StatusFrame::take(&mut arrived).unwrap() {
                taken.push(frame);
            }
        }
        prop_assert_eq!(taken, frames);
        prop_assert!(arrived.is_empty());
    }

    #[test]
    fn damaged_bytes_are_never_a_panic(seed in any::<u64>(), noise in any::<Vec<u8>>()) {
        let mut values = Values(seed);
        let mut all: Vec<Bytes> = replies(&mut values).into_iter().map(encode_reply).collect();
        all.extend(queries(&mut values).iter().map(|query| encode_query(PartitionId::own(1), query)));
        all.push(frame(&mut values).encode());
        all.push(noise.into());
        for bytes in all {
            let mut damaged = bytes.to_vec();
            if !damaged.is_empty() {
                let at = values.below(damaged.len() as u64) as usize;
                damaged[at] ^= 1 << values.below(8);
            }
            for bytes in [Bytes::from(damaged.clone()), bytes.slice(..bytes.len() / 2)] {
                drop((decode_query(bytes.clone()), decode_reply(bytes.clone())));
                drop(StatusFrame::take(&mut BytesMut::from(&bytes[..])));
            }
        }
    }
}

#[test]
fn what_a_later_build_asks_is_refused_in_words() {
    // Field 15, which no question of this build has.
    let unknown = Bytes::from_static(&[0x08, 1, 0x7a, 0]);
    let refused = decode_query(unknown).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "question: it asks nothing that is known here"
    );
    let refused = StatusFrame::take(&mut BytesMut::from(&[0xff; 8][..])).unwrap_err();
    assert!(
        refused.to_string().contains("4294967295 bytes long"),
        "{refused}"
    );
}
