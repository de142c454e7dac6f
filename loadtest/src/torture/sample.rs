//! A small good run, made by hand: for the tests of the audit.

use minutehand_model::{
    Checkpoint, Command, Epoch, Frontier, Guarantee, LogOffset, Namespace, Place, Precision,
    QueueName, RetryPolicy, Task, TaskId, TaskRecord, Timestamp,
};

use super::audit::RunFacts;
use super::recorded::{
    Declared, Heard, Intent, ReadCheckpoint, ReadExecution, ReadRecord, Recorded,
    RecordedPartition, digest, fingerprint,
};

pub(crate) const FACTS: RunFacts = RunFacts {
    healed_at_ms: 0,
    ended_at_ms: 2_000_000,
    recovery_bound_ms: 1_000,
    dedupe_window_ms: 30_000,
    clock_error_ms: 0,
};

/// The time of the offset 0; each offset is a second later.
const BEGIN_MS: i64 = 1_000_000;

fn task(id: &str, due_s: i64) -> TaskRecord {
    let due = Timestamp::from_millis(BEGIN_MS + due_s * 1_000);
    minutehand_record::task::record(&Task {
        payload: bytes::Bytes::from_static(b"payload"),
        retry: RetryPolicy::NEVER,
        guarantee: Guarantee::ExactlyOnce,
        precision: Precision::High,
        ..Task::new(
            Namespace::parse("default").expect("valid"),
            TaskId::parse(id).expect("valid"),
            QueueName::parse("q").expect("valid"),
            due,
        )
    })
}

fn tick(epoch: u64, number: u64, at_s: i64, applied: u64, declared: Declared) -> ReadCheckpoint {
    let at_ms = BEGIN_MS + at_s * 1_000;
    let head = Place::end_of(Timestamp::from_millis(at_ms));
    let checkpoint = Checkpoint {
        epoch: Epoch(epoch),
        tick: number,
        applied: LogOffset::at(applied),
        frontier: Frontier {
            head,
            ..Frontier::START
        },
        ..Checkpoint::START
    };
    ReadCheckpoint {
        checkpoint,
        declared,
        received_at_ms: at_ms + 5,
    }
}

fn run(task: &TaskRecord, offset: u64, by: &ReadCheckpoint) -> ReadExecution {
    ReadExecution {
        epoch: by.checkpoint.epoch.0,
        tick: by.checkpoint.tick,
        published_at_ms: by.received_at_ms - 5,
        key: task.key,
        due: task.due,
        offset: LogOffset::at(offset),
        guarantee: task.guarantee,
        encoded: fingerprint(&task.encoded),
        received_at_ms: by.received_at_ms,
    }
}

/// Two owners, a cancel, a move, a record that says nothing, and a creation whose producer heard
/// nothing.
pub(crate) fn sample() -> Recorded {
    let (a, b, c, moved, unheard) = (
        task("a", 20),
        task("b", 20),
        task("c", 30),
        task("c", 40),
        task("unheard", 40),
    );
    let d = task("d", 40);
    let encode = |command: &Command| minutehand_record::command::encode(command);
    let derived = encode(&Command::Moved {
        key: c.key,
        due: c.due,
        task: moved.clone(),
    });
    let records = [
        encode(&Command::Create(a.clone())),
        encode(&Command::Create(b.clone())),
        encode(&Command::Create(c.clone())),
        encode(&Command::Cancel {
            key: b.key,
            due: b.due,
        }),
        encode(&Command::Move {
            key: c.key,
            due: c.due,
            task: moved.clone(),
        }),
        bytes::Bytes::from_static(b"\xff\xff"),
        encode(&Command::Create(unheard.clone())),
        encode(&Command::Create(d.clone())),
        derived,
    ];
    let log: Vec<ReadRecord> = (0..)
        .zip(&records)
        .map(|(at, value)| ReadRecord::of(LogOffset::at(at), BEGIN_MS + at as i64 * 1_000, value))
        .collect();
    let heard = |offset: u64| {
        if offset == 6 {
            Heard::Nothing
        } else {
            Heard::Acknowledged(LogOffset::at(offset))
        }
    };
    let intents = (0..)
        .zip(&records[..8])
        .map(|(offset, value)| Intent {
            partition: 0,
            digest: digest(value),
            heard: heard(offset),
        })
        .collect();
    let counts = |executions, derived, rejected| Declared {
        executions,
        derived,
        rejected,
    };
    let checkpoints = vec![
        tick(3, 1, 9, 8, counts(0, 1, 1)),
        tick(3, 2, 20, 9, counts(1, 0, 0)),
        tick(4, 3, 40, 9, counts(3, 0, 0)),
    ];
    let executions = vec![
        run(&a, 0, &checkpoints[1]),
        run(&moved, 8, &checkpoints[2]),
        run(&unheard, 6, &checkpoints[2]),
        run(&d, 7, &checkpoints[2]),
    ];
    let rejected = vec!["log offset 5".to_owned()];
    let partition = RecordedPartition {
        log,
        checkpoints,
        executions,
        rejected,
        ..RecordedPartition::default()
    };
    Recorded {
        partitions: vec![partition],
        intents,
    }
}
