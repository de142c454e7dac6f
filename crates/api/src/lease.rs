//! Leasing executions, and answering leases.

use minutehand_model::limits::{
    GROUP_BYTES_MAX, LEASE_VISIBILITY_MS_MAX, LEASE_VISIBILITY_MS_MIN, LEASE_WAIT_MS_MAX,
    LEASES_OF_CALL_MAX, RETRY_DELAY_MS_MAX,
};
use minutehand_model::{GroupName, LeaseWord};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::duration::within;
use crate::json::payload_bytes;
use crate::{Duration, DurationSchema, InvalidField, QueueAction, Text};

/// Executions to lease.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "max": 10, "wait": "20s", "visibility": "30s" }))]
pub struct NewLeases<'a> {
    /// The worker group whose share is taken, 1 to 128 bytes; that of the server's workers by
    /// default.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub group: Option<Text<'a>>,
    /// How many at most, 1 to 1,000; there may be fewer, also where more wait.
    pub max: u64,
    /// How long to wait while there is none, up to 50 s; not at all by default.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub wait: Option<Duration<'a>>,
    /// How long a lease lasts unless it is answered or extended: 100 ms to 12 h.
    #[serde(borrow)]
    #[schema(value_type = DurationSchema)]
    pub visibility: Duration<'a>,
}

/// What is asked for, once it has been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The worker group, when one is named.
    pub group: Option<GroupName>,
    /// How many at most.
    pub count_max: usize,
    /// How long to wait for the first, in milliseconds.
    pub wait_ms: i64,
    /// How long a lease lasts, in milliseconds.
    pub visibility_ms: i64,
}

impl NewLeases<'_> {
    /// What is asked for.
    ///
    /// # Errors
    /// A value beyond its limits.
    pub fn parse(&self) -> Result<LeaseTerms, InvalidField> {
        let count_max = usize::try_from(self.max)
            .ok()
            .filter(|max| (1..=LEASES_OF_CALL_MAX).contains(max));
        let refused = || {
            let limit = format!("1 to {LEASES_OF_CALL_MAX}");
            InvalidField::new("max", "is out of range", limit, self.max)
        };
        let count_max = count_max.ok_or_else(refused)?;
        let group = self
            .group
            .as_ref()
            .map(|group| parse_group(group.as_str()))
            .transpose()?;
        let wait_ms = match &self.wait {
            Some(wait) => within("wait", wait, 0, LEASE_WAIT_MS_MAX)?,
            None => 0,
        };
        let (shortest, longest) = (LEASE_VISIBILITY_MS_MIN, LEASE_VISIBILITY_MS_MAX);
        let visibility_ms = within("visibility", &self.visibility, shortest, longest)?;
        Ok(LeaseTerms {
            group,
            count_max,
            wait_ms,
            visibility_ms,
        })
    }
}

/// The name of a worker group.
///
/// # Errors
/// One that is empty, too long, or has control characters.
pub fn parse_group(name: &str) -> Result<GroupName, InvalidField> {
    GroupName::parse(name).map_err(|_| {
        let limit = format!("1 to {GROUP_BYTES_MAX} bytes without control characters");
        InvalidField::new("group", "is not accepted", limit, format!("{name:?}"))
    })
}

/// Answers to leases.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "items": [{ "lease_id": "l-Bq1…", "result": "paid" }] }))]
pub struct LeaseAnswers<'a> {
    /// 1 to 1,000 of them.
    #[serde(borrow, deserialize_with = "crate::json::objects")]
    pub items: Vec<LeaseAnswer<'a>>,
}

/// An answer to a lease. Which fields it has depends on what is said.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseAnswer<'a> {
    /// Which lease.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub lease_id: Text<'a>,
    /// `:ack`: what history keeps of the run and a chained task is given; of more than 64 KiB the
    /// beginning.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<&'a RawValue>,
    /// `:nack`: why it failed; of more than 4 KiB the beginning.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub error: Option<Text<'a>>,
    /// `:nack`: no new attempt before that. `:snooze`: how much later it is to run. Up to thirty
    /// days.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub delay: Option<Duration<'a>>,
    /// `:extend`: how much longer it is needed, from now: 100 ms to 12 h, or 0 to give it back.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub visibility: Option<Duration<'a>>,
}

impl LeaseAnswers<'_> {
    /// What is said of each lease, by the id that the caller wrote.
    ///
    /// # Errors
    /// Too few or too many, a field that the action does not take or needs, and a value beyond its
    /// limits: nothing is said then.
    pub fn parse(&self, action: QueueAction) -> Result<Vec<(&str, LeaseWord)>, InvalidField> {
        if !(1..=LEASES_OF_CALL_MAX).contains(&self.items.len()) {
            let limit = format!("1 to {LEASES_OF_CALL_MAX}");
            return Err(InvalidField::new(
                "items",
                "are too few or too many",
                limit,
                self.items.len(),
            ));
        }
        let named = |(index, item): (usize, &LeaseAnswer<'_>)| {
            item.parse(action).map_err(|mut invalid| {
                invalid.field = format!("items[{index}].{}", invalid.field);
                invalid
            })
        };
        let words = self.items.iter().enumerate().map(named);
        let words = words.collect::<Result<Vec<_>, _>>()?;
        let ids = self.items.iter().map(|item| item.lease_id.as_str());
        Ok(ids.zip(words).collect())
    }
}

impl LeaseAnswer<'_> {
    fn parse(&self, action: QueueAction) -> Result<LeaseWord, InvalidField> {
        let given = [
            ("result", self.result.is_some(), action == QueueAction::Ack),
            ("error", self.error.is_some(), action == QueueAction::Nack),
            (
                "delay",
                self.delay.is_some(),
                matches!(action, QueueAction::Nack | QueueAction::Snooze),
            ),
            (
                "visibility",
                self.visibility.is_some(),
                action == QueueAction::Extend,
            ),
        ];
        if let Some((field, ..)) = given
            .into_iter()
            .find(|(_, is_given, is_taken)| *is_given && !is_taken)
        {
            let limit = format!("left out: :{action} does not take it");
            return Err(InvalidField::new(field, "is given", limit, "a value"));
        }
        let delay_ms = self
            .delay
            .as_ref()
            .map(|delay| within("delay", delay, 0, RETRY_DELAY_MS_MAX));
        let needed =
            |field| InvalidField::new(field, "is missing", format!(":{action} needs it"), "");
        Ok(match action {
            QueueAction::Nack => LeaseWord::Nack {
                error: self
                    .error
                    .as_ref()
                    .map_or_else(String::new, |error| error.as_str().to_owned()),
                delay_ms: delay_ms.transpose()?,
            },
            QueueAction::Snooze => LeaseWord::Snooze {
                delay_ms: delay_ms.ok_or_else(|| needed("delay"))??,
            },
            QueueAction::Extend => {
                let visibility = self
                    .visibility
                    .as_ref()
                    .ok_or_else(|| needed("visibility"))?;
                let (shortest, longest) = (LEASE_VISIBILITY_MS_MIN, LEASE_VISIBILITY_MS_MAX);
                match visibility.as_ms("visibility")? {
                    0 => LeaseWord::Extend { visibility_ms: 0 },
                    _ => LeaseWord::Extend {
                        visibility_ms: within("visibility", visibility, shortest, longest)?,
                    },
                }
            }
            _ => LeaseWord::Ack {
                result: self.result_text()?,
            },
        })
    }

    fn result_text(&self) -> Result<String, InvalidField> {
        let Some(result) = self.result else {
            return Ok(String::new());
        };
        let bytes = payload_bytes(result).map_err(|invalid| InvalidField {
            field: "result".to_owned(),
            ..invalid
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(parsed: Result<T, InvalidField>) -> (String, String) {
        let InvalidField { field, given, .. } = parsed.unwrap_err();
        (field, given)
    }

    fn terms(text: &str) -> Result<LeaseTerms, InvalidField> {
        let input: NewLeases<'_> = crate::json::read(text.as_bytes()).expect(text);
        input.parse()
    }

    fn words(action: QueueAction, items: &str) -> Result<Vec<LeaseWord>, InvalidField> {
        let text = format!(r#"{{"items":[{items}]}}"#);
        let input: LeaseAnswers<'_> = crate::json::read(text.as_bytes()).expect(items);
        Ok(input
            .parse(action)?
            .into_iter()
            .map(|(_, word)| word)
            .collect())
    }

    #[test]
    fn what_is_asked_for_is_bounded() {
        let asked = terms(r#"{"group":"mine","max":1000,"wait":"50s","visibility":0.1}"#).unwrap();
        let expected = LeaseTerms {
            group: Some(GroupName::parse("mine").unwrap()),
            count_max: 1_000,
            wait_ms: 50_000,
            visibility_ms: 100,
        };
        assert_eq!(asked, expected);
        assert_eq!(terms(r#"{"max":1,"visibility":"12h"}"#).unwrap().wait_ms, 0);
        for (text, field, given) in [
            (r#"{"max":0,"visibility":1}"#, "max", "0"),
            (r#"{"max":1001,"visibility":1}"#, "max", "1001"),
            (r#"{"max":1,"visibility":"99ms"}"#, "visibility", "99 ms"),
            (r#"{"max":1,"visibility":0.0999}"#, "visibility", "99.9 ms"),
            (
                r#"{"max":1,"visibility":"13h"}"#,
                "visibility",
                "46800000 ms",
            ),
            (r#"{"max":1,"visibility":"soon"}"#, "visibility", "soon"),
            (r#"{"max":1,"visibility":1,"wait":51}"#, "wait", "51000 ms"),
            (r#"{"max":1,"visibility":1,"group":""}"#, "group", "\"\""),
        ] {
            assert_eq!(
                refused(terms(text)),
                (field.to_owned(), given.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn an_answer_is_an_object_and_no_array_of_its_values() {
        for items in [r#"["l-1"]"#, "null", r#""l-1""#, "7"] {
            let text = format!(r#"{{"items":[{items}]}}"#);
            let read = crate::json::read::<LeaseAnswers<'_>>(text.as_bytes());
            let Err(crate::Unread::Malformed(malformed)) = read else {
                panic!("{items} is taken");
            };
            let told = (malformed.field.as_str(), malformed.limit.as_str());
            assert_eq!(told, ("items[0]", "an object"), "{items}");
        }
    }

    #[test]
    fn each_action_takes_its_own_fields_alone() {
        let ack = |result: &str| LeaseWord::Ack {
            result: result.to_owned(),
        };
        let read = words(
            QueueAction::Ack,
            r#"{"lease_id":"a"},{"lease_id":"b","result":"x\ny"},{"lease_id":"c","result":{"n":1}}"#,
        );
        assert_eq!(read.unwrap(), [ack(""), ack("x\ny"), ack(r#"{"n":1}"#)]);
        let nack = LeaseWord::Nack {
            error: "no".to_owned(),
            delay_ms: Some(2_000),
        };
        assert_eq!(
            words(
                QueueAction::Nack,
                r#"{"lease_id":"a","error":"no","delay":2}"#
            )
            .unwrap(),
            [nack]
        );
        let extend = |visibility_ms| LeaseWord::Extend { visibility_ms };
        let read = words(
            QueueAction::Extend,
            r#"{"lease_id":"a","visibility":0},{"lease_id":"a","visibility":"1m"}"#,
        );
        assert_eq!(read.unwrap(), [extend(0), extend(60_000)]);
        let snooze = LeaseWord::Snooze { delay_ms: 5_000 };
        assert_eq!(
            words(QueueAction::Snooze, r#"{"lease_id":"a","delay":"5s"}"#).unwrap(),
            [snooze]
        );
        for (action, items, field) in [
            (
                QueueAction::Ack,
                r#"{"lease_id":"a"},{"lease_id":"b","delay":1}"#,
                "items[1].delay",
            ),
            (
                QueueAction::Nack,
                r#"{"lease_id":"a","result":1}"#,
                "items[0].result",
            ),
            (
                QueueAction::Extend,
                r#"{"lease_id":"a"}"#,
                "items[0].visibility",
            ),
            (
                QueueAction::Extend,
                r#"{"lease_id":"a","visibility":"50ms"}"#,
                "items[0].visibility",
            ),
            (
                QueueAction::Extend,
                r#"{"lease_id":"a","visibility":0.0001}"#,
                "items[0].visibility",
            ),
            (QueueAction::Snooze, r#"{"lease_id":"a"}"#, "items[0].delay"),
            (
                QueueAction::Snooze,
                r#"{"lease_id":"a","delay":"31d"}"#,
                "items[0].delay",
            ),
            (QueueAction::Ack, "", "items"),
        ] {
            assert_eq!(refused(words(action, items)).0, field, "{items}");
        }
    }
}
