//! What this machine and its broker can do without any scheduling: raw clients that move the same
//! bytes, headers included.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use minutehand_ingress::egress::{Envelope, Writer};
use minutehand_kafka::Client;
use minutehand_kafka::raw::{RawOutgoing, RawProducer, RawReader};
use minutehand_model::{Epoch, LogOffset, PartitionId, Publication, QueueName};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::{ErrorClass, PortError};

use super::generator::{self, Due, Load};
use super::terms;

/// Records that one transaction takes at most, and how long it gathers them.
const TICK_RECORDS_MAX: usize = 20_000;
const TICK: Duration = Duration::from_millis(30);

/// What is done with the tasks of a partition beside moving them: called with how many have come
/// in.
pub type Beside = Arc<dyn Fn(PartitionId, usize) + Send + Sync>;

/// Nothing.
pub fn nothing() -> Beside {
    Arc::new(|_, _| ())
}

/// Commands in, one transaction a tick out, a reader of what is committed: tasks a second, as fast
/// as it goes. The queue's topic must exist.
///
/// # Errors
/// When a client fails.
pub fn pipeline(
    client: &Arc<Client>,
    queue: &QueueName,
    payload_bytes: usize,
    lasts: Duration,
    beside: &Beside,
) -> Result<f64, PortError> {
    let out = client.names().executions(queue);
    let stop = Arc::new(AtomicBool::new(false));
    let movers: Vec<JoinHandle<Result<(), PortError>>> = (0..client.config().partitions)
        .map(|partition| {
            let (client, out, stop) = (Arc::clone(client), out.clone(), Arc::clone(&stop));
            let beside = Arc::clone(beside);
            std::thread::spawn(move || carry(&client, partition, &out, &stop, &beside))
        })
        .collect();
    let seen = Arc::new(AtomicU64::new(0));
    let reading = {
        let (client, out, seen, stop) = (
            Arc::clone(client),
            out,
            Arc::clone(&seen),
            Arc::clone(&stop),
        );
        std::thread::spawn(move || read(&client, &out, &seen, &stop))
    };
    // What goes in is held back only when it would run far ahead of what comes out.
    let load = Load {
        rate: f64::INFINITY,
        due: Due::Ahead(0, 1),
        payload_bytes,
        queue: queue.clone(),
        lasts,
        waiting_max: Some((Arc::clone(&seen), 200_000)),
    };
    let since = Instant::now();
    let sent = generator::run(client, &load)?;
    while seen.load(Ordering::Relaxed) < sent && since.elapsed() < lasts * 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (came_out, took) = (seen.load(Ordering::Relaxed), since.elapsed());
    stop.store(true, Ordering::Relaxed);
    for thread in movers.into_iter().chain([reading]) {
        thread.join().unwrap_or(Ok(()))?;
    }
    if came_out < sent {
        let action = "measure a raw pipeline";
        let why = format!(
            "{came_out} of {sent} records came out in {} s",
            took.as_secs()
        );
        return Err(PortError::new(ErrorClass::Fatal, action, why));
    }
    Ok(came_out as f64 / took.as_secs_f64())
}

/// One partition: what has come in goes out in one transaction.
fn carry(
    client: &Client,
    partition: u32,
    out: &str,
    stop: &AtomicBool,
    beside: &Beside,
) -> Result<(), PortError> {
    let names = client.names();
    let reader = RawReader::open_some(client, &names.commands, |other| other == partition)?;
    let producer = RawProducer::open(
        client,
        Some(&format!("{}-ceiling-{partition}", names.commands)),
    )?;
    let checkpoint = [7_u8; 64];
    let headers = headers(partition)?;
    let headers: Vec<(&str, Option<&[u8]>)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), Some(value.as_slice())))
        .collect();
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        while records.len() < TICK_RECORDS_MAX && since.elapsed() < TICK {
            reader.poll(
                Duration::from_millis(2),
                TICK_RECORDS_MAX - records.len(),
                |message| {
                    records.push((
                        message.key.unwrap_or_default().to_vec(),
                        message.value.unwrap_or_default().to_vec(),
                    ));
                },
            )?;
        }
        if records.is_empty() {
            continue;
        }
        beside(PartitionId::own(partition), records.len());
        producer.begin()?;
        for (key, value) in &records {
            let partition = Some(partition);
            producer.send(
                out,
                RawOutgoing {
                    partition,
                    key: Some(key),
                    value: Some(value),
                    headers: &headers,
                },
            )?;
        }
        let partition = Some(partition);
        producer.send(
            &names.checkpoints,
            RawOutgoing {
                partition,
                key: Some(b"0"),
                value: Some(&checkpoint),
                headers: &[],
            },
        )?;
        producer.commit()?;
    }
    Ok(())
}

/// The headers of an execution: the same ones on every record.
fn headers(partition: u32) -> Result<Vec<(String, Vec<u8>)>, PortError> {
    let now = SystemClock.now();
    let mut task = generator::template(&terms::queue());
    (task.due, task.first_due) = (now, now);
    let publication = Publication {
        offset: LogOffset::at(1_000_000),
        task: minutehand_record::task::record(&task),
    };
    let mut writer = Writer::new(PartitionId::own(partition), Epoch(1 << 40), now);
    let written = writer
        .publication(&publication, Envelope::Plain)
        .map_err(|error| {
            PortError::new(
                ErrorClass::Fatal,
                "write the headers of an execution",
                error.to_string(),
            )
        })?;
    let headers = written.headers.iter();
    let mut all: Vec<(String, Vec<u8>)> = headers
        .map(|(name, value)| ((*name).to_owned(), value.unwrap_or_default().to_vec()))
        .collect();
    all.push((
        "minutehand-tick".to_owned(),
        format!("{partition}.{}.1000", 1_u64 << 40).into_bytes(),
    ));
    Ok(all)
}

fn read(
    client: &Client,
    topic: &str,
    seen: &AtomicU64,
    stop: &AtomicBool,
) -> Result<(), PortError> {
    let reader = RawReader::open(client, topic)?;
    while !stop.load(Ordering::Relaxed) {
        let count = reader.poll(Duration::from_millis(5), 4_096, |_| {})?;
        seen.fetch_add(count as u64, Ordering::Relaxed);
    }
    Ok(())
}
