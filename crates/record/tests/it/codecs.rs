//! Every record behind one face: a random value to bytes, and bytes back to a value in a comparable
//! form.

use bytes::Bytes;
use minutehand_model::PartitionId;
use minutehand_record::{
    DecodeError, block, checkpoint, command, dead_letter, last_word, ledger, outcome, publication,
    queue_rules, revision, schedule_state, set_aside, task,
};

use crate::values::Values;

/// One kind of record.
pub(crate) struct Codec {
    pub(crate) name: &'static str,
    /// Whether every damage is noticed.
    pub(crate) checksummed: bool,
    /// The index of its version byte.
    pub(crate) version_at: usize,
    /// A random value, as its debug text and its bytes.
    pub(crate) sample: fn(&mut Values) -> (String, Bytes),
    /// The debug text of what the bytes say.
    pub(crate) decode: fn(&Bytes) -> Result<String, DecodeError>,
}

macro_rules! codec {
    ($name:literal, $module:ident, $make:ident, $decode:expr) => {
        Codec {
            name: $name,
            checksummed: false,
            version_at: 0,
            sample: |values| {
                let value = values.$make();
                (format!("{value:?}"), $module::encode(&value))
            },
            decode: |bytes| ($decode)(bytes).map(|value| format!("{value:?}")),
        }
    };
}

fn batch_text(
    header: &publication::BatchHeader,
    items: impl Iterator<Item = String>,
    stops: impl Iterator<Item = String>,
) -> String {
    format!(
        "{header:?} {:?} {:?}",
        items.collect::<Vec<_>>(),
        stops.collect::<Vec<_>>()
    )
}

fn sample_batch(values: &mut Values) -> (String, Bytes) {
    let (header, publications, stops) = values.batch();
    let item = |publication: &minutehand_model::Publication| {
        let task = &publication.task;
        format!(
            "{} {:?} {} {} {:?}",
            publication.offset, task.key, task.due, task.guarantee, task.encoded
        )
    };
    let stop =
        |stop: &minutehand_model::StopRequest| format!("{:?} {} {}", stop.key, stop.due, stop.kill);
    let text = batch_text(
        &header,
        publications.iter().map(item),
        stops.iter().map(stop),
    );
    let publications: Vec<_> = publications.iter().collect();
    let stops: Vec<_> = stops.iter().collect();
    (
        text,
        publication::encode_batch(&header, &publications, &stops),
    )
}

fn decode_batch(bytes: &Bytes) -> Result<String, DecodeError> {
    let batch = publication::decode_batch(bytes)?;
    let item = |item: &publication::BatchItem| {
        format!(
            "{} {:?} {} {} {:?}",
            item.offset, item.key, item.due, item.guarantee, item.encoded
        )
    };
    let stop = |stop: &publication::BatchStop| format!("{:?} {} {}", stop.key, stop.due, stop.kill);
    Ok(batch_text(
        &batch.header,
        batch.items.iter().map(item),
        batch.stops.iter().map(stop),
    ))
}

/// All of them.
pub(crate) fn all() -> Vec<Codec> {
    vec![
        Codec {
            version_at: 1,
            ..codec!("task", task, task, task::decode)
        },
        Codec {
            version_at: 1,
            ..codec!("task_verbatim", task, verbatim_task, task::decode)
        },
        Codec {
            version_at: 1,
            ..codec!("task_chained", task, chained_task, task::decode)
        },
        Codec {
            version_at: 1,
            ..codec!("task_keyed", task, keyed_task, task::decode)
        },
        Codec {
            version_at: 1,
            ..codec!("task_urgent", task, urgent_task, task::decode)
        },
        Codec {
            version_at: 1,
            ..codec!("task_grouped", task, grouped_task, task::decode)
        },
        codec!(
            "revision_ordered",
            revision,
            ordered_revision,
            revision::decode
        ),
        codec!(
            "queue_rules_shared",
            queue_rules,
            shared_queue_rules,
            queue_rules::decode
        ),
        codec!(
            "revision_verbatim",
            revision,
            verbatim_revision,
            revision::decode
        ),
        codec!(
            "command",
            command,
            command,
            |bytes: &Bytes| command::decode(bytes.clone())
        ),
        codec!("checkpoint", checkpoint, checkpoint, checkpoint::decode),
        codec!(
            "schedule_state",
            schedule_state,
            schedule_state,
            schedule_state::decode
        ),
        codec!("revision", revision, revision_entry, revision::decode),
        codec!("outcome", outcome, outcome, outcome::decode),
        codec!("outcome_named", outcome, named_outcome, outcome::decode),
        codec!("dead_letter", dead_letter, dead_letter, dead_letter::decode),
        codec!("set_aside", set_aside, set_aside, set_aside::decode),
        codec!("last_word", last_word, last_word, last_word::decode),
        codec!("queue_rules", queue_rules, queue_rules, queue_rules::decode),
        codec!("ledger_row", ledger, ledger_row, ledger::decode),
        Codec {
            checksummed: true,
            version_at: 3,
            ..codec!("block", block, block, |bytes: &Bytes| block::decode(
                PartitionId::own(7),
                bytes
            ))
        },
        Codec {
            name: "publication_batch",
            checksummed: true,
            version_at: 3,
            sample: sample_batch,
            decode: decode_batch,
        },
    ]
}
