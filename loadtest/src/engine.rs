//! The engine alone: commands in, ticks out, no input or output, one core; and what a waiting task
//! takes in memory.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use minutehand_engine::{Config, Effect, Input, InputRecord, Partition};
use minutehand_model::{
    Command, Epoch, LogOffset, Namespace, PartitionId, QueueName, Task, TaskId, TaskKey,
    TaskRecord, Timestamp, TimetablePage,
};

use crate::Figure;

const START_MS: i64 = 1_800_000_000_000;
/// Commands are handed over in batches of this many: one append of the bulk endpoint.
const BATCH: u64 = 1_000;

/// A task with a payload of so many bytes, as a producer's would be.
pub fn sample_task(number: u64, due: Timestamp, payload_bytes: usize) -> Task {
    let task = Task::new(
        Namespace::parse(Namespace::DEFAULT).expect("a valid name"),
        TaskId::parse(&format!("order-{number:012}")).expect("a valid id"),
        QueueName::parse("bench").expect("a valid name"),
        due,
    );
    Task {
        payload: Bytes::from(vec![b'x'; payload_bytes]),
        ..task
    }
}

/// Carries effects out on stores that hold nothing and answer at once.
fn serve(partition: &mut Partition, now: Timestamp) -> u64 {
    let mut published = 0;
    loop {
        let mut answers = Vec::new();
        while let Some(effect) = partition.poll_effect() {
            answers.extend(match effect {
                Effect::Open { request, .. } => Some(Input::Opened {
                    request,
                    checkpoint: None,
                    schedule_states: Vec::new(),
                    log_end: LogOffset::START,
                    taken_at: None,
                    prepared_from: None,
                }),
                Effect::ReadRevisions { request } => Some(Input::Revisions {
                    request,
                    entries: Vec::new(),
                }),
                Effect::ReadTimetable { request, until, .. } => {
                    let page = TimetablePage {
                        complete_until: until,
                        ..TimetablePage::default()
                    };
                    Some(Input::Page { request, page })
                }
                Effect::Commit { request, tick, .. } => {
                    published += tick.publications.len() as u64;
                    black_box(&tick);
                    Some(Input::Committed {
                        request,
                        derived_end: None,
                        taken_at: None,
                    })
                }
                Effect::WriteBlocks { request, .. }
                | Effect::WriteRevisions { request, .. }
                | Effect::KeepMinutes { request, .. } => Some(Input::Done { request }),
                Effect::FindTask { request, .. } => Some(Input::Found {
                    request,
                    entries: Vec::new(),
                }),
                Effect::ReadLog { request, from, .. } => Some(Input::Records {
                    request,
                    records: Vec::new(),
                    next: from,
                    end: from,
                }),
                Effect::Forget { .. }
                | Effect::ForgetRevisions { .. }
                | Effect::Release { .. }
                | Effect::Stopped { .. } => None,
            });
        }
        if answers.is_empty() {
            return published;
        }
        for answer in answers {
            partition.handle(now, answer);
        }
        partition.advance(now);
    }
}

/// An owner that has taken an empty partition over.
pub fn owner(config: Config, now: Timestamp) -> Partition {
    let mut partition = Partition::new(config, PartitionId::own(0));
    partition.handle(now, Input::Acquired { epoch: Epoch(1) });
    partition.advance(now);
    serve(&mut partition, now);
    partition
}

/// Feeds records as the answer to the read of the log that the engine asks for, and counts what is
/// published by it.
pub fn feed(
    partition: &mut Partition,
    now: Timestamp,
    records: Vec<InputRecord>,
    published: &mut u64,
) {
    let Some(end) = records.last().map(|record| record.offset.next()) else {
        return;
    };
    partition.handle(now, Input::LogGrew { end });
    partition.advance(now);
    let mut request = None;
    let mut others = Vec::new();
    while let Some(effect) = partition.poll_effect() {
        match effect {
            Effect::ReadLog { request: read, .. } => request = Some(read),
            other => others.push(other),
        }
    }
    for effect in others {
        match effect {
            Effect::Commit { request, tick, .. } => {
                *published += tick.publications.len() as u64;
                partition.handle(
                    now,
                    Input::Committed {
                        request,
                        derived_end: None,
                        taken_at: None,
                    },
                );
            }
            Effect::ReadTimetable { request, until, .. } => {
                let page = TimetablePage {
                    complete_until: until,
                    ..TimetablePage::default()
                };
                partition.handle(now, Input::Page { request, page });
            }
            _ => {}
        }
    }
    if let Some(request) = request {
        partition.handle(
            now,
            Input::Records {
                request,
                records,
                next: end,
                end,
            },
        );
    }
    partition.advance(now);
    *published += serve(partition, now);
}

/// The record of a creation, at an offset of the log.
pub fn created(number: u64, now: Timestamp, task: &TaskRecord) -> InputRecord {
    InputRecord {
        offset: LogOffset::at(number),
        appended_at: now,
        command: Ok(Command::Create(task.clone())),
    }
}

/// Tasks that arrive in one step of virtual time; with [`STEP_MS`] it makes 100,000 tasks a second.
const TASKS_PER_STEP: u64 = 1_000;
const STEP_MS: i64 = 10;

/// The steady state of a busy partition: 100,000 tasks arrive in each second of virtual time, each
/// due one to five seconds later, and everything that is due fires. Measured is the real time that
/// the engine takes for it.
pub fn throughput(tasks: u64, payload_bytes: usize) -> Vec<Figure> {
    let mut now = Timestamp::from_millis(START_MS);
    let mut partition = owner(Config::default(), now);
    let template = minutehand_record::task::record(&sample_task(0, now, payload_bytes));
    let mut began = Instant::now();
    let mut published = 0;
    // First until as much is forgotten as is created: tables have their size then.
    let warm_up =
        (Config::default().dedupe_window_ms + 6_000) as u64 / STEP_MS as u64 * TASKS_PER_STEP;
    for first in (0..warm_up + tasks).step_by(TASKS_PER_STEP as usize) {
        if first == warm_up {
            began = Instant::now();
        }
        now = now.plus_millis(STEP_MS);
        let batch = (first..first + TASKS_PER_STEP)
            .map(|number| {
                // Commands arrive in another order than they are due, and their keys are spread
                // like fingerprints.
                let due = now.plus_millis(1_000 + (number.wrapping_mul(7_919) % 4_000) as i64);
                let key = TaskKey(
                    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
                );
                created(
                    number,
                    now,
                    &TaskRecord {
                        key,
                        due,
                        ..template.clone()
                    },
                )
            })
            .collect();
        partition.handle(now, Input::LeaseConfirmed { at: now });
        feed(&mut partition, now, batch, &mut published);
    }
    let seconds = began.elapsed().as_secs_f64();
    for _ in 0..600 {
        now = now.plus_millis(STEP_MS);
        partition.handle(now, Input::LeaseConfirmed { at: now });
        partition.advance(now);
        published += serve(&mut partition, now);
    }
    assert_eq!(published, warm_up + tasks, "every task is published once");
    vec![
        Figure::new(
            "engine",
            "apply + fire, no I/O, one core",
            tasks as f64 / seconds,
            "tasks/s",
        )
        .with("tasks", tasks)
        .with("payload_bytes", payload_bytes),
    ]
}

/// Holds `tasks` near tasks and divides what the process grew by, beyond the payloads.
pub fn memory(tasks: u64, payload_bytes: usize) -> Vec<Figure> {
    let now = Timestamp::from_millis(START_MS);
    let config = Config {
        memory_bytes_max: usize::MAX,
        ..Config::default()
    };
    let mut partition = owner(config, now);
    let mut published = 0;
    // The first tasks bring tables and allocator to life.
    let warm_up = tasks / 20;
    let mut before = 0;
    for first in (0..tasks + warm_up).step_by(BATCH as usize) {
        if first >= warm_up && before == 0 {
            before = resident_bytes();
        }
        let batch = batch(first..first + BATCH, now, payload_bytes);
        feed(&mut partition, now, batch, &mut published);
    }
    let held = partition.status().near_tasks as f64 - warm_up as f64;
    let grown = resident_bytes().saturating_sub(before) as f64;
    let bytes = grown / held - payload_bytes as f64;
    let what = "waiting near task, beyond its payload";
    let figure = Figure::new("memory", what, bytes, "B").with("tasks", tasks);
    vec![figure.with("payload_bytes", payload_bytes)]
}

/// Records as a read of the log hands them over: slices of one buffer.
fn batch(numbers: std::ops::Range<u64>, now: Timestamp, payload_bytes: usize) -> Vec<InputRecord> {
    let mut buffer = Vec::new();
    let encoded: Vec<(u64, usize)> = numbers
        .map(|number| {
            let due_ms = START_MS + 5_000 + (number.wrapping_mul(7_919) % 20_000) as i64;
            let task = sample_task(number, Timestamp::from_millis(due_ms), payload_bytes);
            let record = minutehand_record::task::record(&task);
            buffer.extend_from_slice(&minutehand_record::command::encode(&Command::Create(
                record,
            )));
            (number, buffer.len())
        })
        .collect();
    let buffer = Bytes::from(buffer.into_boxed_slice());
    let starts = std::iter::once(0).chain(encoded.iter().map(|(_, end)| *end));
    let slices = starts
        .zip(&encoded)
        .map(|(start, (number, end))| (*number, buffer.slice(start..*end)));
    let decode = |(number, slice)| {
        let command = minutehand_record::command::decode(slice).expect("it was encoded here");
        InputRecord {
            offset: LogOffset::at(number),
            appended_at: now,
            command: Ok(command),
        }
    };
    slices.map(decode).collect()
}

/// The process's resident memory in bytes; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|text| text.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}
