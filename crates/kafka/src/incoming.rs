//! From a record of the command topic to one of the log: whatever a producer wrote, understood or
//! refused.

use bytes::Bytes;
use minutehand_ingress::{Input, Understood, understand};
use minutehand_model::{LogOffset, PartitionId, Timestamp};
use minutehand_ports::LogRecord;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use crate::headers;

/// The record, with the command in it or the reason why there is none. `at` is the record's own
/// time, from which delays count: it is the same for every reader, wherever that began.
/// `appended_at` is the time as the log of this reader counts it, which never goes back.
pub(crate) fn record(
    message: &BorrowedMessage<'_>,
    partition: PartitionId,
    offset: LogOffset,
    at: Timestamp,
    appended_at: Timestamp,
) -> LogRecord {
    let value = message.payload();
    let understood = headers::of(message)
        .map_err(|refusal| refusal.to_string())
        .and_then(|headers| {
            let key = message.key();
            let input = Input {
                partition,
                offset,
                timestamp: at,
                key,
                value,
                headers: &headers,
            };
            understand(&input).map_err(|refusal| refusal.to_string())
        });
    let as_it_is = || Bytes::copy_from_slice(value.unwrap_or_default());
    let (payload, refusal) = match understood {
        Ok(Understood::AsItIs) => (as_it_is(), None),
        Ok(Understood::Command(command)) => (command, None),
        Err(reason) => (as_it_is(), Some(reason)),
    };
    LogRecord {
        offset,
        appended_at,
        payload,
        refusal,
    }
}
