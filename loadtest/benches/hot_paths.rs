//! What every task passes: `cargo bench -p minutehand-loadtest`. The test command compiles them; to
//! judge a change, run them before and after it on a machine that does nothing else.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use minutehand_api::NewTask;
use minutehand_calendar::{Calendar, Recurrence, Zone};
use minutehand_engine::{Config, Partition};
use minutehand_loadtest::engine::{created, feed, owner, sample_task};
use minutehand_model::{Command, DstRule, Namespace, TaskId, TaskKey, TaskRecord, Timestamp};
use minutehand_record::{command, task};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const PAYLOAD_BYTES: usize = 300;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    requests(&mut criterion);
    records(&mut criterion);
    calendars(&mut criterion);
    partitions(&mut criterion);
    criterion.final_summary();
}

/// A request of the API, from JSON to a task that is valid.
fn requests(criterion: &mut Criterion) {
    let body = br#"{"id":"order-000000000001","queue":"mail","delay":"1h30m","payload":{"order":1,"lines":[1,2,3]}}"#;
    let namespace = Namespace::parse(Namespace::DEFAULT).expect("a valid name");
    criterion.bench_function("api: a task from JSON", |bencher| {
        bencher.iter(|| {
            let task: NewTask<'_> = serde_json::from_slice(black_box(body)).expect("it is one");
            let id = || TaskId::parse("unused").expect("a valid id");
            task.into_task(&namespace, START, None, id)
        });
    });
}

/// A command's record, written and read.
fn records(criterion: &mut Criterion) {
    let record = task::record(&sample_task(1, START, PAYLOAD_BYTES));
    let create = Command::Create(record.clone());
    let bytes = command::encode(&create);
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode a creation", |bencher| {
        bencher.iter(|| command::encode(black_box(&create)));
    });
    group.bench_function("decode a creation", |bencher| {
        bencher.iter(|| command::decode(black_box(bytes.clone())));
    });
    group.bench_function("decode a whole task", |bencher| {
        bencher.iter(|| task::decode(black_box(&record.encoded)));
    });
    group.finish();
}

/// The next time of a schedule.
fn calendars(criterion: &mut Criterion) {
    let zone = Zone::parse("Europe/Berlin").expect("a zone");
    for expression in ["*/5 * * * *", "0 8 * * 1-5", "0 2 29 2 *"] {
        let recurrence = Recurrence::parse(expression, Some(&zone), DstRule::default(), START);
        let calendar = Calendar::new(recurrence.expect("an expression"));
        criterion.bench_function(&format!("calendar: the next of {expression}"), |bencher| {
            bencher.iter(|| calendar.next_after(black_box(START)));
        });
    }
}

/// A batch of creations: applied, and fired when they are due.
fn partitions(criterion: &mut Criterion) {
    const TASKS: u64 = 1_000;
    let template = task::record(&sample_task(0, START, PAYLOAD_BYTES));
    let ready = || -> (Partition, Vec<_>) {
        let batch = (0..TASKS).map(|number| {
            // Keys are spread like fingerprints.
            let key = TaskKey(u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060));
            let task = TaskRecord {
                key,
                ..template.clone()
            };
            created(number, START, &task)
        });
        (owner(Config::default(), START), batch.collect())
    };
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(TASKS));
    group.bench_function("apply and fire 1,000 tasks", |bencher| {
        let fire = |(mut partition, batch)| {
            let mut published = 0;
            feed(&mut partition, START, batch, &mut published);
            (partition, published)
        };
        bencher.iter_batched(ready, fire, BatchSize::LargeInput);
    });
    group.finish();
}
