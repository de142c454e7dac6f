//! What producers write to the command topic: the forms of the ingress crate, for the log of the Kafka crate.

use bytes::Bytes;
use minutehand_ingress::{Input, Understood, understand};
use minutehand_kafka::{RawRecord, Translate};

/// Understands every form that the ingress crate knows.
pub(super) struct Producers;

impl Translate for Producers {
    fn translate(&self, record: RawRecord<'_>) -> Result<Bytes, String> {
        let input = Input {
            partition: record.partition,
            offset: record.offset,
            timestamp: record.appended_at,
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        match understand(&input) {
            Ok(Understood::Command(command)) => Ok(command),
            Ok(Understood::AsItIs) => Ok(Bytes::copy_from_slice(record.value.unwrap_or_default())),
            Err(refusal) => Err(refusal.reason),
        }
    }
}
