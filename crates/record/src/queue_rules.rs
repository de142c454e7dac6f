//! What operators have said of a queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use minutehand_model::{
    Breaker, Gate, Namespace, NamespaceRules, Opening, Purge, QueueRules, Timestamp,
};
use prost::Message;

use crate::envelope::{seal, unseal};
use crate::error::{DecodeError, Fault};

const WHAT: &str = "queue's rules";

#[derive(Clone, PartialEq, Eq, Message)]
struct RulesMessage {
    #[prost(message, optional, tag = "1")]
    gate: Option<GateMessage>,
    #[prost(message, optional, tag = "2")]
    purge: Option<MomentMessage>,
    #[prost(uint32, optional, tag = "3")]
    per_second_max: Option<u32>,
    #[prost(uint32, optional, tag = "4")]
    per_key_max: Option<u32>,
    #[prost(message, optional, tag = "5")]
    of_each_namespace: Option<NamespaceMessage>,
    #[prost(message, repeated, tag = "6")]
    of_namespaces: Vec<NamespaceMessage>,
    #[prost(message, optional, tag = "7")]
    breaker: Option<BreakerMessage>,
}

/// When a queue is paused by itself.
#[derive(Clone, PartialEq, Eq, Message)]
struct BreakerMessage {
    #[prost(uint32, tag = "1")]
    failures_max: u32,
    #[prost(sint64, tag = "2")]
    probe_every_ms: i64,
    #[prost(uint32, optional, tag = "3")]
    drain_per_second: Option<u32>,
}

/// What those of a namespace get.
#[derive(Clone, PartialEq, Eq, Message)]
struct NamespaceMessage {
    /// Empty where each is meant.
    #[prost(string, tag = "1")]
    namespace: String,
    /// 1 where it is absent.
    #[prost(uint32, tag = "2")]
    weight: u32,
    #[prost(uint32, optional, tag = "3")]
    per_second_max: Option<u32>,
}

impl NamespaceMessage {
    fn of(namespace: &str, rules: &NamespaceRules) -> NamespaceMessage {
        NamespaceMessage {
            namespace: namespace.to_owned(),
            weight: rules.weight,
            per_second_max: rules.per_second_max,
        }
    }

    fn rules(&self) -> NamespaceRules {
        NamespaceRules {
            weight: self.weight.max(1),
            per_second_max: self.per_second_max,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Message)]
struct GateMessage {
    #[prost(message, optional, tag = "1")]
    closed: Option<MomentMessage>,
    #[prost(string, tag = "2")]
    reason: String,
    #[prost(sint64, optional, tag = "3")]
    until_ms: Option<i64>,
    #[prost(sint64, optional, tag = "4")]
    probe_every_ms: Option<i64>,
    #[prost(uint32, optional, tag = "5")]
    drain_per_second: Option<u32>,
    #[prost(message, optional, tag = "6")]
    opened: Option<MomentMessage>,
}

/// When, and by whom.
#[derive(Clone, PartialEq, Eq, Message)]
struct MomentMessage {
    #[prost(sint64, tag = "1")]
    at_ms: i64,
    #[prost(string, tag = "2")]
    by: String,
}

fn moment(at: Timestamp, by: &str) -> MomentMessage {
    MomentMessage {
        at_ms: at.as_millis(),
        by: by.to_owned(),
    }
}

fn gate_message(gate: &Gate) -> GateMessage {
    GateMessage {
        closed: Some(moment(gate.closed_at, &gate.closed_by)),
        reason: gate.reason.clone(),
        until_ms: gate.until.map(Timestamp::as_millis),
        probe_every_ms: gate.probe_every_ms,
        drain_per_second: gate.drain_per_second,
        opened: gate.opened.as_ref().map(|one| moment(one.at, &one.by)),
    }
}

/// The bytes of a queue's rules.
pub fn encode(rules: &QueueRules) -> Bytes {
    let purge = rules.purge.as_ref();
    seal(&RulesMessage {
        gate: rules.gate.as_ref().map(gate_message),
        purge: purge.map(|purge| moment(purge.through, &purge.by)),
        per_second_max: rules.per_second_max,
        per_key_max: rules.per_key_max,
        of_each_namespace: (rules.of_each_namespace != NamespaceRules::default())
            .then(|| NamespaceMessage::of("", &rules.of_each_namespace)),
        of_namespaces: rules
            .of_namespaces
            .iter()
            .map(|(namespace, rules)| NamespaceMessage::of(namespace.as_str(), rules))
            .collect(),
        breaker: rules.breaker.as_ref().map(|breaker| BreakerMessage {
            failures_max: breaker.failures_max,
            probe_every_ms: breaker.probe_every_ms,
            drain_per_second: breaker.drain_per_second,
        }),
    })
}

/// A queue's rules.
pub fn decode(bytes: &Bytes) -> Result<QueueRules, DecodeError> {
    let message: RulesMessage = unseal(WHAT, bytes)?;
    let gate = message.gate.map(|gate| {
        let closed = gate.closed.unwrap_or_default();
        Gate {
            closed_at: Timestamp::from_millis(closed.at_ms),
            closed_by: closed.by,
            reason: gate.reason,
            until: gate.until_ms.map(Timestamp::from_millis),
            probe_every_ms: gate.probe_every_ms,
            drain_per_second: gate.drain_per_second,
            opened: gate.opened.map(|opened| Opening {
                at: Timestamp::from_millis(opened.at_ms),
                by: opened.by,
            }),
        }
    });
    Ok(QueueRules {
        gate,
        purge: message.purge.map(|purge| Purge {
            through: Timestamp::from_millis(purge.at_ms),
            by: purge.by,
        }),
        per_second_max: message.per_second_max,
        per_key_max: message.per_key_max,
        of_each_namespace: message
            .of_each_namespace
            .map(|each| each.rules())
            .unwrap_or_default(),
        of_namespaces: of_namespaces(&message.of_namespaces).map_err(|fault| fault.of(WHAT))?,
        breaker: message.breaker.map(|breaker| Breaker {
            failures_max: breaker.failures_max,
            probe_every_ms: breaker.probe_every_ms,
            drain_per_second: breaker.drain_per_second,
        }),
    })
}

fn of_namespaces(
    messages: &[NamespaceMessage],
) -> Result<Arc<BTreeMap<Namespace, NamespaceRules>>, Fault> {
    let rules = |message: &NamespaceMessage| {
        let namespace = Namespace::parse(&message.namespace)?;
        Ok((namespace, message.rules()))
    };
    let all: Result<BTreeMap<_, _>, Fault> = messages.iter().map(rules).collect();
    all.map(Arc::new)
}
