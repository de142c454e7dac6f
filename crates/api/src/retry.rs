//! Retry policies.

use minutehand_model::limits::{RETRY_ATTEMPTS_MAX, RETRY_DELAY_MS_MAX, RETRY_DOUBLINGS_MAX};
use minutehand_model::{Backoff, BackoffKind, RetryPolicy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::InvalidField;

/// Doublings of a policy that does not say how many.
const DOUBLINGS_DEFAULT: i64 = 8;

/// When and how often a failed execution is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The shape of the delays; `exponential` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<BackoffKind>,
    /// The delay of `fixed`, 1 to 2592000000 ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<i64>,
    /// First delay of `exponential` and `doublings-then-linear`, 1 to 2592000000 ms; 1000 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_ms: Option<i64>,
    /// Longest delay of the same, `base_ms` to 2592000000 ms; 300000 by default, or `base_ms` where
    /// that is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap_ms: Option<i64>,
    /// How often `doublings-then-linear` doubles before it grows evenly, 0 to 30; 8 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doublings: Option<i64>,
    /// Attempts in all, the first included, 1 to 1000; 10 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    /// No attempt starts later than this after the first due time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<i64>,
}

impl Retry {
    /// The policy meant; the default one where nothing is said.
    ///
    /// # Errors
    /// Those of [`Retry::policy`].
    pub(crate) fn policy_of(given: Option<&Retry>) -> Result<RetryPolicy, InvalidField> {
        given.map_or(Ok(RetryPolicy::default()), Retry::policy)
    }

    /// The policy meant.
    ///
    /// # Errors
    /// An unknown policy, a setting that the policy does not have, and numbers outside their
    /// limits.
    pub fn policy(&self) -> Result<RetryPolicy, InvalidField> {
        let kind = self.policy.unwrap_or_default();
        let defaults = RetryPolicy::default();
        let backoff = match kind {
            BackoffKind::None => Backoff::None,
            BackoffKind::Immediate => Backoff::Immediate,
            BackoffKind::Fixed => Backoff::Fixed {
                delay_ms: self.fixed_delay_ms()?,
            },
            BackoffKind::Exponential => Backoff::Exponential,
            BackoffKind::DoublingsThenLinear => Backoff::DoublingsThenLinear {
                doublings: self.doublings()?,
            },
        };
        self.refuse_foreign(kind)?;
        let base_ms = ranged(
            "retry.base_ms",
            self.base_ms.unwrap_or(defaults.base_ms),
            1,
            RETRY_DELAY_MS_MAX,
        )?;
        let cap_ms = self.cap_ms.unwrap_or(defaults.cap_ms.max(base_ms));
        let attempts_default = if backoff == Backoff::None {
            1
        } else {
            i64::from(defaults.attempts_max)
        };
        let attempts = self.max_attempts.unwrap_or(attempts_default);
        let attempts = ranged(
            "retry.max_attempts",
            attempts,
            1,
            i64::from(RETRY_ATTEMPTS_MAX),
        )?;
        let attempts_max = u32::try_from(attempts).unwrap_or(RETRY_ATTEMPTS_MAX);
        let policy = RetryPolicy {
            backoff,
            base_ms,
            cap_ms,
            attempts_max,
            age_ms_max: self.max_age_ms,
        };
        policy.validated().map_err(|error| {
            let limit = format!("{} to {}", error.low, error.high);
            InvalidField::new(
                format!("retry.{}", error.field),
                "is out of range",
                limit,
                error.given,
            )
        })
    }

    fn fixed_delay_ms(&self) -> Result<i64, InvalidField> {
        let missing = || {
            InvalidField::new(
                "retry.delay_ms",
                "is missing",
                "required by policy fixed",
                "nothing",
            )
        };
        ranged(
            "retry.delay_ms",
            self.delay_ms.ok_or_else(missing)?,
            1,
            RETRY_DELAY_MS_MAX,
        )
    }

    fn doublings(&self) -> Result<u32, InvalidField> {
        let given = self.doublings.unwrap_or(DOUBLINGS_DEFAULT);
        let doublings = ranged("retry.doublings", given, 0, i64::from(RETRY_DOUBLINGS_MAX))?;
        Ok(u32::try_from(doublings).unwrap_or(RETRY_DOUBLINGS_MAX))
    }

    fn refuse_foreign(&self, kind: BackoffKind) -> Result<(), InvalidField> {
        const GROW: &[BackoffKind] = &[BackoffKind::Exponential, BackoffKind::DoublingsThenLinear];
        let settings: [(_, _, &[BackoffKind]); 4] = [
            ("retry.delay_ms", self.delay_ms, &[BackoffKind::Fixed]),
            ("retry.base_ms", self.base_ms, GROW),
            ("retry.cap_ms", self.cap_ms, GROW),
            (
                "retry.doublings",
                self.doublings,
                &[BackoffKind::DoublingsThenLinear],
            ),
        ];
        for (field, value, policies) in settings {
            if let Some(value) = value.filter(|_| !policies.contains(&kind)) {
                let names: Vec<&str> = policies.iter().map(|policy| policy.as_str()).collect();
                let names = names.join(" and ");
                let limit = format!("a setting of policy {names}; the policy is {kind}");
                return Err(InvalidField::new(
                    field,
                    "does not belong to the policy",
                    limit,
                    value,
                ));
            }
        }
        Ok(())
    }
}

fn ranged(field: &str, given: i64, low: i64, high: i64) -> Result<i64, InvalidField> {
    match (low..=high).contains(&given) {
        true => Ok(given),
        false => Err(InvalidField::new(
            field,
            "is out of range",
            format!("{low} to {high}"),
            given,
        )),
    }
}

impl From<RetryPolicy> for Retry {
    fn from(policy: RetryPolicy) -> Retry {
        let (delay_ms, doublings, grows) = match policy.backoff {
            Backoff::None | Backoff::Immediate => (None, None, false),
            Backoff::Fixed { delay_ms } => (Some(delay_ms), None, false),
            Backoff::Exponential => (None, None, true),
            Backoff::DoublingsThenLinear { doublings } => (None, Some(i64::from(doublings)), true),
        };
        Retry {
            policy: Some(policy.backoff.kind()),
            delay_ms,
            base_ms: grows.then_some(policy.base_ms),
            cap_ms: grows.then_some(policy.cap_ms),
            doublings,
            max_attempts: Some(i64::from(policy.attempts_max)),
            max_age_ms: policy.age_ms_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<RetryPolicy, (String, String)> {
        let dto: Retry = serde_json::from_str(json).unwrap();
        dto.policy().map_err(|error| (error.field, error.given))
    }

    #[test]
    fn every_policy_is_read_and_written_again() {
        let cases = [
            r#"{}"#,
            r#"{"policy":"none"}"#,
            r#"{"policy":"immediate","max_attempts":3}"#,
            r#"{"policy":"fixed","delay_ms":250,"max_attempts":5,"max_age_ms":60000}"#,
            r#"{"policy":"exponential","base_ms":10,"cap_ms":20}"#,
            r#"{"base_ms":400000}"#,
            r#"{"policy":"doublings-then-linear"}"#,
            r#"{"policy":"doublings-then-linear","base_ms":10,"cap_ms":300,"doublings":3}"#,
        ];
        for json in cases {
            let policy = read(json).unwrap();
            assert_eq!(Retry::from(policy).policy(), Ok(policy), "{json}");
        }
        assert_eq!(read("{}"), Ok(RetryPolicy::default()));
        assert_eq!(read(r#"{"policy":"none"}"#).unwrap().attempts_max, 1);
    }

    #[test]
    fn refused_settings_are_named() {
        let cases = [
            (r#"{"policy":"fixed"}"#, "retry.delay_ms", "nothing"),
            (r#"{"policy":"fixed","delay_ms":0}"#, "retry.delay_ms", "0"),
            (r#"{"policy":"none","delay_ms":1}"#, "retry.delay_ms", "1"),
            (
                r#"{"policy":"fixed","delay_ms":1,"base_ms":5}"#,
                "retry.base_ms",
                "5",
            ),
            (r#"{"doublings":3}"#, "retry.doublings", "3"),
            (
                r#"{"policy":"doublings-then-linear","doublings":31}"#,
                "retry.doublings",
                "31",
            ),
            (r#"{"base_ms":0}"#, "retry.base_ms", "0"),
            (
                r#"{"base_ms":9223372036854775807}"#,
                "retry.base_ms",
                "9223372036854775807",
            ),
            (r#"{"base_ms":100,"cap_ms":99}"#, "retry.cap_ms", "99"),
            (
                r#"{"max_attempts":2147483648}"#,
                "retry.max_attempts",
                "2147483648",
            ),
            (r#"{"max_attempts":0}"#, "retry.max_attempts", "0"),
            (r#"{"max_attempts":-1}"#, "retry.max_attempts", "-1"),
            (r#"{"max_age_ms":0}"#, "retry.max_age_ms", "0"),
        ];
        for (json, field, given) in cases {
            assert_eq!(
                read(json),
                Err((field.to_owned(), given.to_owned())),
                "{json}"
            );
        }
    }
}
