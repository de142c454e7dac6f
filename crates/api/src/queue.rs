//! What operators say of queues: pausing, resuming, purging and limiting them.

use std::collections::BTreeMap;

use minutehand_model::limits::{
    FAILURES_MAX, NAMESPACES_OF_QUEUE_MAX, PAUSE_MS_MAX, PAUSE_REASON_BYTES_MAX, PER_KEY_MAX,
    PER_SECOND_MAX, PROBE_EVERY_MS_MAX, PROBE_EVERY_MS_MIN, WEIGHT_MAX,
};
use minutehand_model::{Breaker, Namespace, NamespaceRules, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::duration::within;
use crate::json::object;
use crate::{Duration, DurationSchema, InvalidField, Text, name_refused, parse_time};

/// How a queue is paused. While it is, nothing of it is handed out, and no attempt is burnt.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "duration": "30m", "reason": "the mail provider is down", "drain_per_second": 50 }))]
pub struct QueuePause<'a> {
    /// When it opens by itself, up to a year ahead; left out, it does not.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Text<'a>>,
    /// The same, as a length of time from now on.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub duration: Option<Duration<'a>>,
    /// Why, for whoever wonders; up to 1,024 bytes.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Text<'a>>,
    /// Hand one execution out this often, 1 s to a day; the first that succeeds opens the queue.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub probe_every: Option<Duration<'a>>,
    /// How many executions a second come out, once it is open, of those that waited: 1 to
    /// 1,000,000. All at once when left out.
    #[serde(
        default,
        deserialize_with = "per_second",
        skip_serializing_if = "Option::is_none"
    )]
    pub drain_per_second: Option<u64>,
}

/// How a queue is to be paused, once it has been looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseTerms {
    /// When it opens by itself.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// How often one execution is handed out, in milliseconds.
    pub probe_every_ms: Option<i64>,
    /// How fast what waited comes out.
    pub drain_per_second: Option<u32>,
}

impl QueuePause<'_> {
    /// What is asked for.
    ///
    /// # Errors
    /// A value beyond its limits, and two ends.
    pub fn parse(&self, now: Timestamp) -> Result<PauseTerms, InvalidField> {
        let until = match (&self.until, &self.duration) {
            (None, None) => None,
            (Some(until), None) => Some(parse_time("until", until.as_str())?),
            (None, Some(duration)) => {
                Some(now.plus_millis(within("duration", duration, 1, PAUSE_MS_MAX)?))
            }
            (Some(_), Some(duration)) => {
                duration.as_ms("duration")?;
                let reason = "is given beside until";
                return Err(InvalidField::new(
                    "duration",
                    reason,
                    "one of them",
                    duration,
                ));
            }
        };
        if let Some(until) =
            until.filter(|until| *until <= now || until.millis_since(now) > PAUSE_MS_MAX)
        {
            let limit = format!("after {} and within a year", crate::time_text(now));
            let given = crate::time_text(until);
            return Err(InvalidField::new("until", "is out of range", limit, given));
        }
        let reason = self.reason.as_ref().map_or("", Text::as_str);
        if reason.len() > PAUSE_REASON_BYTES_MAX {
            let limit = format!("at most {PAUSE_REASON_BYTES_MAX} bytes");
            let given = format!("{} bytes", reason.len());
            return Err(InvalidField::new("reason", "is too long", limit, given));
        }
        let probe = |every| within("probe_every", every, PROBE_EVERY_MS_MIN, PROBE_EVERY_MS_MAX);
        Ok(PauseTerms {
            until,
            reason: reason.to_owned(),
            probe_every_ms: self.probe_every.as_ref().map(probe).transpose()?,
            drain_per_second: rate("drain_per_second", self.drain_per_second)?,
        })
    }
}

/// How a queue is resumed.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "drain_per_second": 50 }))]
pub struct QueueResumption {
    /// How many executions a second come out of those that waited, in place of what was said when
    /// it was paused.
    #[serde(
        default,
        deserialize_with = "per_second",
        skip_serializing_if = "Option::is_none"
    )]
    pub drain_per_second: Option<u64>,
}

impl QueueResumption {
    /// What is asked for.
    ///
    /// # Errors
    /// A rate beyond its limits.
    pub fn parse(&self) -> Result<Option<u32>, InvalidField> {
        rate("drain_per_second", self.drain_per_second)
    }
}

/// How fast a queue hands out, to whom, and how many of a key. What is left out is not limited any
/// more.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "per_second": 200, "concurrency_per_key": 1, "namespaces": { "shop": { "weight": 5 } } }))]
pub struct QueueLimit<'a> {
    /// Executions a second that each worker group is handed, shared out over its members: 1 to
    /// 1,000,000. Without a limit when left out.
    #[serde(
        default,
        deserialize_with = "per_second",
        skip_serializing_if = "Option::is_none"
    )]
    pub per_second: Option<u64>,
    /// Executions of one key that are at work at once in a worker group: 1 to 1,000. With 1 they run
    /// in their order. Without a limit when left out.
    #[serde(
        default,
        deserialize_with = "crate::json::count::<_, { PER_KEY_MAX }>",
        skip_serializing_if = "Option::is_none"
    )]
    pub concurrency_per_key: Option<u64>,
    /// Executions a second of each namespace, of which `namespaces` says nothing else: 1 to
    /// 1,000,000. Without a limit when left out.
    #[serde(
        default,
        deserialize_with = "per_second",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespace_per_second: Option<u64>,
    /// What single namespaces get, at most 100 of them.
    #[serde(
        default,
        deserialize_with = "crate::json::objects_by_name",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespaces: Option<BTreeMap<String, NamespaceLimit>>,
    /// When the queue is paused by itself. It is not when left out.
    #[serde(
        borrow,
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<QueueBreaker<'static>>)]
    pub breaker: Option<QueueBreaker<'a>>,
}

/// When a queue is paused by itself, and how it opens again.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "failures": 50, "probe_every": "30s", "drain_per_second": 100 }))]
pub struct QueueBreaker<'a> {
    /// So many attempts in a row have failed at one process: 1 to 10,000.
    #[serde(deserialize_with = "failures")]
    pub failures: u64,
    /// Hand one execution out this often then, 1 s to a day; the first that succeeds opens the
    /// queue. Every 30 s when left out.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub probe_every: Option<Duration<'a>>,
    /// How many executions a second come out, once it is open, of those that waited: 1 to
    /// 1,000,000. All at once when left out.
    #[serde(
        default,
        deserialize_with = "per_second",
        skip_serializing_if = "Option::is_none"
    )]
    pub drain_per_second: Option<u64>,
}

/// A rate, whose limits are told where anything else is given.
fn per_second<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    crate::json::count::<D, { PER_SECOND_MAX }>(deserializer)
}

fn failures<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let given = crate::json::count::<D, { FAILURES_MAX }>(deserializer)?;
    given.ok_or_else(|| {
        let limit = format!("invalid type: null, expected 1 to {FAILURES_MAX}");
        serde::de::Error::custom(limit)
    })
}

/// How often a queue that was paused by itself is probed, in milliseconds, unless it is said.
const BREAKER_PROBE_MS: i64 = 30_000;

impl QueueBreaker<'_> {
    fn parse(&self) -> Result<Breaker, InvalidField> {
        let failures = between("breaker.failures", self.failures, FAILURES_MAX)?;
        let probe = self.probe_every.as_ref().map(|every| {
            let field = "breaker.probe_every";
            within(field, every, PROBE_EVERY_MS_MIN, PROBE_EVERY_MS_MAX)
        });
        Ok(Breaker {
            failures_max: failures,
            probe_every_ms: probe.transpose()?.unwrap_or(BREAKER_PROBE_MS),
            drain_per_second: rate("breaker.drain_per_second", self.drain_per_second)?,
        })
    }
}

/// What those of a namespace get of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "weight": 5, "per_second": 50 }))]
pub struct NamespaceLimit {
    /// How many are handed out in its turn, while others wait as well: 1 to 100, 1 by default.
    #[serde(
        default,
        deserialize_with = "crate::json::count::<_, { WEIGHT_MAX }>",
        skip_serializing_if = "Option::is_none"
    )]
    pub weight: Option<u64>,
    /// Executions a second that a worker group is handed of it: 1 to 1,000,000. Without a limit
    /// when left out.
    #[serde(
        default,
        deserialize_with = "per_second",
        skip_serializing_if = "Option::is_none"
    )]
    pub per_second: Option<u64>,
}

/// How a queue is to be limited, once it has been looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitTerms {
    /// Executions a second.
    pub per_second_max: Option<u32>,
    /// Executions of one key at once.
    pub per_key_max: Option<u32>,
    /// What every namespace gets.
    pub of_each_namespace: NamespaceRules,
    /// What some get.
    pub of_namespaces: BTreeMap<Namespace, NamespaceRules>,
    /// When it is paused by itself.
    pub breaker: Option<Breaker>,
}

impl QueueLimit<'_> {
    /// What is asked for.
    ///
    /// # Errors
    /// A value beyond its limits, or too many namespaces.
    pub fn parse(&self) -> Result<LimitTerms, InvalidField> {
        let namespaces = self.namespaces.iter().flatten();
        if namespaces.clone().count() > NAMESPACES_OF_QUEUE_MAX {
            let limit = format!("at most {NAMESPACES_OF_QUEUE_MAX}");
            let (given, reason) = (namespaces.count(), "are too many");
            return Err(InvalidField::new("namespaces", reason, limit, given));
        }
        let of_namespaces = namespaces.map(|(name, limit)| {
            let namespace =
                Namespace::parse(name).map_err(|error| name_refused("namespaces", name, &error))?;
            Ok((namespace, limit.parse(&format!("namespaces.{name}"))?))
        });
        let per_key = |given| between("concurrency_per_key", given, PER_KEY_MAX);
        Ok(LimitTerms {
            per_second_max: rate("per_second", self.per_second)?,
            per_key_max: self.concurrency_per_key.map(per_key).transpose()?,
            of_each_namespace: NamespaceRules {
                per_second_max: rate("namespace_per_second", self.namespace_per_second)?,
                ..NamespaceRules::default()
            },
            of_namespaces: of_namespaces.collect::<Result<_, InvalidField>>()?,
            breaker: self.breaker.as_ref().map(QueueBreaker::parse).transpose()?,
        })
    }
}

impl NamespaceLimit {
    fn parse(&self, field: &str) -> Result<NamespaceRules, InvalidField> {
        let weight = |given| between(&format!("{field}.weight"), given, WEIGHT_MAX);
        let weight = self.weight.map(weight).transpose()?;
        Ok(NamespaceRules {
            weight: weight.unwrap_or(NamespaceRules::default().weight),
            per_second_max: rate(&format!("{field}.per_second"), self.per_second)?,
        })
    }
}

fn rate(field: &str, given: Option<u64>) -> Result<Option<u32>, InvalidField> {
    given
        .map(|given| between(field, given, PER_SECOND_MAX))
        .transpose()
}

/// A number from 1 to a limit.
fn between(field: &str, given: u64, max: u32) -> Result<u32, InvalidField> {
    let number = u32::try_from(given)
        .ok()
        .filter(|number| (1..=max).contains(number));
    let limit = format!("1 to {max}");
    number.ok_or_else(|| InvalidField::new(field, "is out of range", limit, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn pause(text: &str) -> Result<PauseTerms, String> {
        let input: QueuePause<'_> = crate::json::read(text.as_bytes()).expect(text);
        input.parse(NOW).map_err(|invalid| invalid.field)
    }

    #[test]
    fn a_pause_is_bounded_in_all_that_is_said_of_it() {
        assert_eq!(pause("{}"), Ok(PauseTerms::default()));
        let all = r#"{"duration":"1h","reason":"x","probe_every":5,"drain_per_second":7}"#;
        let expected = PauseTerms {
            until: Some(NOW.plus_millis(3_600_000)),
            reason: "x".to_owned(),
            probe_every_ms: Some(5_000),
            drain_per_second: Some(7),
        };
        assert_eq!(pause(all), Ok(expected));
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(1_025));
        for (text, field) in [
            (r#"{"until":"2020-01-01T00:00:00Z"}"#, "until"),
            (r#"{"until":"2099-01-01T00:00:00Z"}"#, "until"),
            (r#"{"until":"soon"}"#, "until"),
            (r#"{"duration":0}"#, "duration"),
            (r#"{"duration":"2y"}"#, "duration"),
            (
                r#"{"duration":1,"until":"2023-11-14T22:14:00Z"}"#,
                "duration",
            ),
            (r#"{"probe_every":"999ms"}"#, "probe_every"),
            (r#"{"drain_per_second":0}"#, "drain_per_second"),
            (r#"{"drain_per_second":1000001}"#, "drain_per_second"),
            (&long, "reason"),
        ] {
            assert_eq!(pause(text), Err(field.to_owned()), "{text}");
        }
    }

    #[test]
    fn limits_are_bounded_and_name_what_is_wrong() {
        let limit = |text: &str| {
            let input: QueueLimit<'_> = crate::json::read(text.as_bytes()).expect(text);
            input.parse().map_err(|invalid| invalid.field)
        };
        assert_eq!(limit("{}"), Ok(LimitTerms::default()));
        let all = r#"{"per_second":9,"concurrency_per_key":1,"namespace_per_second":7,
            "namespaces":{"a":{"weight":5},"b":{"per_second":3}},
            "breaker":{"failures":50,"probe_every":"5s"}}"#;
        let rules = |weight, per_second_max| NamespaceRules {
            weight,
            per_second_max,
        };
        let namespace = |name| Namespace::parse(name).unwrap();
        let expected = LimitTerms {
            per_second_max: Some(9),
            per_key_max: Some(1),
            of_each_namespace: rules(1, Some(7)),
            of_namespaces: BTreeMap::from([
                (namespace("a"), rules(5, None)),
                (namespace("b"), rules(1, Some(3))),
            ]),
            breaker: Some(Breaker {
                failures_max: 50,
                probe_every_ms: 5_000,
                drain_per_second: None,
            }),
        };
        assert_eq!(limit(all), Ok(expected));
        let many: Vec<String> = (0..101).map(|n| format!(r#""n{n}":{{}}"#)).collect();
        let many = format!(r#"{{"namespaces":{{{}}}}}"#, many.join(","));
        for (text, field) in [
            (r#"{"per_second":0}"#, "per_second"),
            (r#"{"concurrency_per_key":0}"#, "concurrency_per_key"),
            (r#"{"concurrency_per_key":1001}"#, "concurrency_per_key"),
            (
                r#"{"namespace_per_second":1000001}"#,
                "namespace_per_second",
            ),
            (r#"{"namespaces":{"a b":{}}}"#, "namespaces"),
            (
                r#"{"namespaces":{"a":{"weight":101}}}"#,
                "namespaces.a.weight",
            ),
            (
                r#"{"namespaces":{"a":{"per_second":0}}}"#,
                "namespaces.a.per_second",
            ),
            (r#"{"breaker":{"failures":0}}"#, "breaker.failures"),
            (
                r#"{"breaker":{"failures":9,"probe_every":"1ms"}}"#,
                "breaker.probe_every",
            ),
            (&many, "namespaces"),
        ] {
            assert_eq!(limit(text), Err(field.to_owned()), "{text}");
        }
    }

    /// What has another form is refused by its name and by what it may be, and not taken for it.
    #[test]
    fn limits_of_another_form_are_refused_by_name() {
        let refused = |text: &str| {
            let read = crate::json::read::<QueueLimit<'_>>(text.as_bytes());
            match read.err().unwrap_or_else(|| panic!("{text} is taken")) {
                crate::Unread::Malformed(malformed) => (malformed.field, malformed.limit),
                crate::Unread::Refused(refused) => panic!("{refused}"),
            }
        };
        let rate = "1 to 1000000";
        for (text, field, limit) in [
            (r#"{"breaker":[1,"1s",5]}"#, "breaker", "an object"),
            (r#"{"breaker":[]}"#, "breaker", "an object"),
            (
                r#"{"breaker":{"failures":null}}"#,
                "breaker.failures",
                "1 to 10000",
            ),
            (
                r#"{"breaker":{"failures":"5"}}"#,
                "breaker.failures",
                "1 to 10000",
            ),
            (r#"{"breaker":{}}"#, "breaker.failures", "required"),
            (r#"{"namespaces":[]}"#, "namespaces", "an object"),
            (
                r#"{"namespaces":{"a":[5,10]}}"#,
                "namespaces.a",
                "an object",
            ),
            (r#"{"namespaces":{"a":null}}"#, "namespaces.a", "an object"),
            (
                r#"{"namespaces":{"a":{},"a":{}}}"#,
                "namespaces.a",
                "every key at most once",
            ),
            (
                r#"{"namespaces":{"a":{"weight":-1}}}"#,
                "namespaces.a.weight",
                "1 to 100",
            ),
            (r#"{"per_second":-1}"#, "per_second", rate),
            (r#"{"per_second":"5"}"#, "per_second", rate),
            (r#"{"per_second":1.5}"#, "per_second", rate),
            (
                r#"{"namespace_per_second":[]}"#,
                "namespace_per_second",
                rate,
            ),
            (
                r#"{"concurrency_per_key":true}"#,
                "concurrency_per_key",
                "1 to 1000",
            ),
        ] {
            let expected = (field.to_owned(), limit.to_owned());
            assert_eq!(refused(text), expected, "{text}");
        }
        let nothing = r#"{"breaker":null,"namespaces":null,"per_second":null}"#;
        let read: QueueLimit<'_> = crate::json::read(nothing.as_bytes()).unwrap();
        assert_eq!(read.parse(), Ok(LimitTerms::default()));
    }
}
