//! Chains on the wire: what follows the end of a task, within the message of the task.

use bytes::Bytes;
use minutehand_model::limits::{
    CHAIN_BYTES_MAX, CHAIN_DELAY_MS_MAX, CHAIN_DEPTH_MAX, CHAIN_HEADERS_MAX,
};
use minutehand_model::{Branch, Chain, ChainedTask, QueueName};
use prost::Message;

use crate::envelope::{check_headers, check_payload};
use crate::error::Fault;
use crate::policy::{
    RetryMessage, guarantee, guarantee_number, precision, precision_number, retry, retry_message,
};

/// A task to come.
#[derive(Clone, PartialEq, Eq, Message)]
struct ChainedMessage {
    #[prost(string, tag = "1")]
    queue: String,
    #[prost(sint64, tag = "2")]
    delay_ms: i64,
    #[prost(uint32, tag = "3")]
    guarantee: u32,
    #[prost(uint32, tag = "4")]
    precision: u32,
    #[prost(message, optional, tag = "5")]
    retry: Option<RetryMessage>,
    #[prost(message, repeated, tag = "6")]
    headers: Vec<TextHeaderMessage>,
    #[prost(bytes = "bytes", tag = "7")]
    payload: Bytes,
    #[prost(message, optional, boxed, tag = "8")]
    on_success: Option<Box<ChainedMessage>>,
    #[prost(message, optional, boxed, tag = "9")]
    on_failure: Option<Box<ChainedMessage>>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct TextHeaderMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// The bytes of a task to come.
pub(crate) fn encode(task: &ChainedTask) -> Vec<u8> {
    message(task).encode_to_vec()
}

/// A task to come.
pub(crate) fn decode(branch: Branch, bytes: &[u8]) -> Result<ChainedTask, Fault> {
    let read = || -> Result<ChainedTask, Fault> {
        if bytes.len() > CHAIN_BYTES_MAX {
            return Err(format!(
                "chain is {} bytes long; at most {CHAIN_BYTES_MAX} are allowed",
                bytes.len()
            )
            .into());
        }
        chained(ChainedMessage::decode(bytes)?, CHAIN_DEPTH_MAX)
    };
    read().map_err(|fault| fault.within(branch.field()))
}

fn message(task: &ChainedTask) -> ChainedMessage {
    let below = |branch| task.chain.on(branch).map(|next| Box::new(message(next)));
    let header = |(name, value): &(String, String)| TextHeaderMessage {
        name: name.clone(),
        value: value.clone(),
    };
    ChainedMessage {
        queue: task.queue.as_str().to_owned(),
        delay_ms: task.delay_ms,
        guarantee: guarantee_number(task.guarantee),
        precision: precision_number(task.precision),
        retry: retry_message(&task.retry),
        headers: task.headers.iter().map(header).collect(),
        payload: task.payload.clone(),
        on_success: below(Branch::Success),
        on_failure: below(Branch::Failure),
    }
}

/// The task of a message; `levels` more may be nested, itself included.
fn chained(message: ChainedMessage, levels: usize) -> Result<ChainedTask, Fault> {
    if levels == 0 {
        return Err(format!(
            "it is nested too deeply; at most {CHAIN_DEPTH_MAX} tasks may follow one after the other"
        )
        .into());
    }
    if !(0..=CHAIN_DELAY_MS_MAX).contains(&message.delay_ms) {
        return Err(format!(
            "delay_ms is {}; it must be between 0 and {CHAIN_DELAY_MS_MAX}",
            message.delay_ms
        )
        .into());
    }
    let headers: Vec<(String, String)> = message
        .headers
        .into_iter()
        .map(|header| (header.name, header.value))
        .collect();
    if headers.len() > CHAIN_HEADERS_MAX {
        return Err(format!(
            "it has {} headers; at most {CHAIN_HEADERS_MAX} are allowed of a chained task",
            headers.len()
        )
        .into());
    }
    check_headers(&headers, None)?;
    check_payload(&message.payload)?;
    let below = |branch: Branch, next: Option<Box<ChainedMessage>>| {
        next.map(|next| chained(*next, levels - 1).map(Box::new))
            .transpose()
            .map_err(|fault| fault.within(branch.field()))
    };
    Ok(ChainedTask {
        queue: QueueName::parse(&message.queue)?,
        delay_ms: message.delay_ms,
        payload: message.payload,
        headers,
        retry: retry(message.retry)?,
        guarantee: guarantee(message.guarantee)?,
        precision: precision(message.precision)?,
        chain: Chain {
            on_success: below(Branch::Success, message.on_success)?,
            on_failure: below(Branch::Failure, message.on_failure)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> ChainedTask {
        let mut task = ChainedTask::new(QueueName::parse("next").unwrap());
        for _ in 1..levels {
            let chain = Chain {
                on_success: None,
                on_failure: Some(Box::new(task)),
            };
            task = ChainedTask {
                chain,
                ..ChainedTask::new(QueueName::parse("next").unwrap())
            };
        }
        task
    }

    #[test]
    fn a_chain_is_bounded_in_depth_and_bytes() {
        let deepest = nested(CHAIN_DEPTH_MAX);
        let read = decode(Branch::Success, &encode(&deepest)).unwrap();
        assert_eq!(read, deepest);
        let refused = |task: &ChainedTask| {
            let fault = decode(Branch::Success, &encode(task)).unwrap_err();
            fault.of("task").reason
        };
        let deeper = refused(&nested(CHAIN_DEPTH_MAX + 1));
        assert!(deeper.starts_with("on_success: on_failure: "), "{deeper}");
        assert!(deeper.contains("at most 8 tasks"), "{deeper}");
        // Far deeper than anything that is read by recursion should be.
        refused(&nested(200));
        let large = ChainedTask {
            payload: Bytes::from(vec![0; CHAIN_BYTES_MAX]),
            ..nested(1)
        };
        assert!(refused(&large).contains("at most 65536 are allowed"));
    }

    #[test]
    fn what_a_chain_counts_is_no_less_than_its_bytes() {
        let retry = minutehand_model::RetryPolicy {
            backoff: minutehand_model::Backoff::Fixed { delay_ms: i64::MAX },
            base_ms: i64::MIN,
            cap_ms: i64::MIN,
            attempts_max: u32::MAX,
            age_ms_max: Some(i64::MIN),
        };
        let widest = |chain| ChainedTask {
            delay_ms: i64::MIN,
            headers: vec![("n".repeat(128), "v".repeat(4_096)); 3],
            payload: Bytes::from(vec![7; 1_000]),
            retry,
            guarantee: minutehand_model::Guarantee::ExactlyOnce,
            precision: minutehand_model::Precision::Low,
            chain,
            ..nested(1)
        };
        let leaf = Chain {
            on_success: Some(Box::new(widest(Chain::default()))),
            on_failure: Some(Box::new(widest(Chain::default()))),
        };
        let task = widest(leaf);
        let bytes = encode(&task).len();
        let chain = Chain {
            on_success: Some(Box::new(task)),
            on_failure: None,
        };
        assert!((bytes..bytes + 600).contains(&chain.bytes()));
    }
}
