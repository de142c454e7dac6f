//! What operators say of queues: pausing, resuming, purging and limiting them.

use minutehand_model::Timestamp;
use minutehand_model::limits::{
    PAUSE_MS_MAX, PAUSE_REASON_BYTES_MAX, PER_SECOND_MAX, PROBE_EVERY_MS_MAX, PROBE_EVERY_MS_MIN,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::duration::within;
use crate::{Duration, DurationSchema, InvalidField, Text, parse_time};

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
                let given = format!("{:?}", duration.as_ms("duration")?);
                let reason = "is given beside until";
                return Err(InvalidField::new("duration", reason, "one of them", given));
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// How fast a queue hands out.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "per_second": 200 }))]
pub struct QueueLimit {
    /// Executions a second that each worker group is handed, shared out over its members: 1 to
    /// 1,000,000. Without a limit when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u64>,
}

impl QueueLimit {
    /// What is asked for.
    ///
    /// # Errors
    /// A rate beyond its limits.
    pub fn parse(&self) -> Result<Option<u32>, InvalidField> {
        rate("per_second", self.per_second)
    }
}

fn rate(field: &str, given: Option<u64>) -> Result<Option<u32>, InvalidField> {
    let Some(given) = given else { return Ok(None) };
    let rate = u32::try_from(given)
        .ok()
        .filter(|rate| (1..=PER_SECOND_MAX).contains(rate));
    let limit = format!("1 to {PER_SECOND_MAX}");
    rate.map(Some)
        .ok_or_else(|| InvalidField::new(field, "is out of range", limit, given))
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
}
