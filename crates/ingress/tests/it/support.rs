//! Records written down briefly, and commands told in words.

use std::fmt::Write;

use bytes::Bytes;
use minutehand_ingress::{Header, Input, Understood, understand};
use minutehand_model::{
    Command, LogOffset, PartitionId, RecordKey, RecurrenceSpec, Task, Timestamp, Verbatim,
};
use minutehand_record::{command, task};
use proptest::prelude::*;

/// 2026-11-25T12:00:00Z.
pub(crate) const NOW_MS: i64 = 1_795_608_000_000;

/// A record of partition 3, offset 17.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Vec<Header<'a>>,
}

pub(crate) fn record<'a>(value: impl Into<Option<&'a str>>) -> Record<'a> {
    let value = value.into().map(str::as_bytes);
    Record {
        timestamp_ms: NOW_MS,
        key: Some(b"k"),
        value,
        headers: Vec::new(),
    }
}

impl<'a> Record<'a> {
    pub(crate) fn with(mut self, name: &'a str, value: &'a str) -> Record<'a> {
        self.headers.push((name, Some(value.as_bytes())));
        self
    }

    pub(crate) fn with_raw(mut self, name: &'a str, value: Option<&'a [u8]>) -> Record<'a> {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn input(&self) -> Input<'_> {
        Input {
            partition: PartitionId::own(3),
            offset: LogOffset::at(17),
            timestamp: Timestamp::from_millis(self.timestamp_ms),
            key: self.key,
            value: self.value,
            headers: &self.headers,
        }
    }

    /// The bytes of the command it asks for, or why there is none.
    pub(crate) fn bytes(&self) -> Result<Bytes, String> {
        match understand(&self.input()) {
            Ok(Understood::AsItIs) => Ok(Bytes::copy_from_slice(self.value.unwrap())),
            Ok(Understood::Command(bytes)) => Ok(bytes),
            Err(refusal) => Err(refusal.reason),
        }
    }

    pub(crate) fn command(&self) -> Result<Command, String> {
        self.bytes()
            .map(|bytes| command::decode(bytes).expect("what was understood can be decoded"))
    }
}

/// What a record becomes, in words: the command, or the reason behind `refused: `.
#[track_caller]
pub(crate) fn check(record: &Record<'_>, expected: &str) {
    let found = match record.command() {
        Ok(command) => told(&command),
        Err(reason) => format!("refused: {reason}"),
    };
    assert_eq!(found, expected, "{record:?}");
}

pub(crate) fn told(command: &Command) -> String {
    match command {
        Command::Create(task) => format!(
            "create {}",
            told_task(&task::decode(&task.encoded).unwrap())
        ),
        Command::Cancel { key, due } => format!("cancel {:032x} {due}", key.0),
        Command::Move { due, task, .. } => {
            format!(
                "move from {due}: {}",
                told_task(&task::decode(&task.encoded).unwrap())
            )
        }
        Command::Replace { due, task, .. } => {
            format!(
                "replace from {due}: {}",
                told_task(&task::decode(&task.encoded).unwrap())
            )
        }
        Command::Revise(revision) => {
            let (name, number) = (
                format!("{}/{}", revision.namespace, revision.schedule),
                revision.number,
            );
            let Some(definition) = &revision.definition else {
                return format!("delete {name} #{number}");
            };
            let recurrence = match &definition.recurrence {
                RecurrenceSpec::Cron {
                    expression,
                    zone,
                    dst,
                } => format!("{expression} {zone} {dst}"),
                RecurrenceSpec::Interval { every_ms, .. } => format!("every {every_ms} ms"),
            };
            let action = &definition.action;
            let rest = told_body(&action.payload, &action.headers, action.verbatim.as_deref());
            let paused = if revision.paused { " paused" } else { "" };
            format!(
                "revise {name} #{number}{paused} [{recurrence}] -> {}{rest}",
                action.queue
            )
        }
        Command::Trigger {
            namespace,
            schedule,
            overlap,
        } => {
            format!("trigger {namespace}/{schedule} {overlap:?}")
        }
        Command::Backfill {
            namespace,
            schedule,
            from,
            to,
        } => {
            format!("backfill {namespace}/{schedule} {from} to {to}")
        }
        other => format!("{other:?}"),
    }
}

fn told_task(task: &Task) -> String {
    let key = task.order_key.as_ref();
    let key = key.map_or_else(String::new, |key| format!(" [{key}]"));
    let mut text = format!(
        "{}/{}{key} -> {} at {}",
        task.namespace, task.id, task.queue, task.due
    );
    if task.retry != Default::default() {
        write!(
            text,
            " retry {:?}x{}",
            task.retry.backoff, task.retry.attempts_max
        )
        .unwrap();
    }
    if (task.guarantee, task.precision) != Default::default() {
        write!(text, " {} {}", task.guarantee, task.precision).unwrap();
    }
    for branch in minutehand_model::Branch::ALL {
        if let Some(next) = task.chain.on(branch) {
            let (field, queue, delay_ms) = (branch.field(), &next.queue, next.delay_ms);
            write!(text, " {field} {queue} after {delay_ms} ms").unwrap();
        }
    }
    text + &told_body(&task.payload, &task.headers, task.verbatim.as_deref())
}

fn told_body(payload: &[u8], headers: &[(String, String)], verbatim: Option<&Verbatim>) -> String {
    let mut text = String::new();
    match verbatim.map(|verbatim| &verbatim.key) {
        None | Some(RecordKey::TaskId) => {}
        Some(RecordKey::Null) => text.push_str(", null key"),
        Some(RecordKey::Bytes(key)) => write!(text, ", key {}", key.escape_ascii()).unwrap(),
    }
    match verbatim.is_some_and(|verbatim| verbatim.value_is_null) {
        true => text.push_str(", null value"),
        false => write!(text, ", value {}", payload.escape_ascii()).unwrap(),
    }
    for (name, value) in minutehand_model::verbatim::header_bytes(headers, verbatim) {
        match value {
            Some(value) => write!(text, ", {name}={}", value.escape_ascii()).unwrap(),
            None => write!(text, ", {name} null").unwrap(),
        }
    }
    text
}

/// An offset of any log.
pub(crate) fn offset() -> impl Strategy<Value = LogOffset> {
    (0..=LogOffset::MAX.bits()).prop_map(|bits| LogOffset::from_bits(bits).unwrap())
}

/// A partition of any region.
pub(crate) fn partition() -> impl Strategy<Value = PartitionId> {
    (0..=i32::MAX as u32).prop_map(|bits| PartitionId::from_bits(bits).unwrap())
}
