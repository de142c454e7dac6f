//! Schedules as callers write them, and changes to them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minutehand_calendar::{ANCHOR_DEFAULT, Zone, split_zone};
use minutehand_model::{
    ActionTemplate, DstRule, Guarantee, MisfirePolicy, MisfireRule, OverlapPolicy, Precision,
    Priority, RecurrenceSpec, ScheduleDefinition,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::definition::refused_cron;
use crate::json::{Fields, Unread};
use crate::task::{DurationSchema, parse_key, parse_priority, parse_queue};
use crate::{
    Duration, Headers, InvalidField, Payload, Retry, Text, body_of, duration_text, parse_time,
    time_text,
};

/// The zone of what names none.
const ZONE_DEFAULT: &str = "UTC";

/// Makes [`NewSchedule`] and [`Definition`] from one list of fields: each as it is asked for and as
/// it is told.
macro_rules! schedule_fields {
    ($(
        $(#[$doc:meta])+
        $name:ident
            asked $(#[$asked_attribute:meta])* ($($asked:tt)+)
            told $(#[$told_attribute:meta])* ($($told:tt)+);
    )+) => {
        /// A schedule. Give `cron` or `every`, and a `queue`.
        #[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(example = json!({
            "id": "nightly", "cron": "0 3 * * *", "time_zone": "Europe/Berlin", "queue": "jobs", "overlap": "skip",
        }))]
        pub struct NewSchedule<'a> {
            /// The id; left out, one is made.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub id: Option<String>,
            $(
                $(#[$doc])+
                #[serde(default, skip_serializing_if = "Option::is_none")]
                $(#[$asked_attribute])*
                pub $name: $($asked)+,
            )+
            /// Whether it is paused.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub paused: Option<bool>,
            /// Why, for the list of revisions; at most 1,024 bytes.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub note: Option<String>,
        }

        /// A definition as its caller could have written it, with what it leaves to defaults.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
        pub struct Definition {
            $(
                $(#[$doc])+
                $(#[$told_attribute])*
                pub $name: $($told)+,
            )+
        }
    };
}

schedule_fields! {
    /// Five to seven cron fields, or a nickname such as `@daily`; a zone may stand in front
    /// (`TZ=Asia/Tokyo 0 9 * * *`).
    cron
        asked (Option<String>)
        told #[serde(skip_serializing_if = "Option::is_none")] (Option<String>);
    /// The IANA time zone of `cron` and `exclude`; the one in front of `cron`, else `UTC` by
    /// default.
    time_zone
        asked #[serde(alias = "tz")] (Option<String>)
        told #[serde(skip_serializing_if = "Option::is_none")] (Option<String>);
    /// The daylight-saving rule of `cron`; `vixie` by default.
    dst
        asked (Option<DstRule>)
        told #[serde(skip_serializing_if = "Option::is_none")] (Option<DstRule>);
    /// A fixed interval of whole seconds: a number of seconds, `5m`, `PT5M`.
    every
        asked #[serde(borrow)] #[schema(value_type = Option<DurationSchema>)] (Option<Duration<'a>>)
        told #[serde(skip_serializing_if = "Option::is_none")] (Option<String>);
    /// One of the times of `every`; 1970-01-01T00:00:00Z by default.
    anchor_at
        asked #[schema(format = DateTime)] (Option<String>)
        told #[serde(skip_serializing_if = "Option::is_none")] #[schema(format = DateTime)] (Option<String>);
    /// Dates, stretches of dates (`2027-12-24..2027-12-26`) and cron expressions that are left out.
    exclude
        asked (Option<Vec<String>>)
        told (Vec<String>);
    /// Nothing runs before this time.
    start_at
        asked #[schema(format = DateTime)] (Option<String>)
        told #[serde(skip_serializing_if = "Option::is_none")] #[schema(format = DateTime)] (Option<String>);
    /// Nothing runs after this time.
    end_at
        asked #[schema(format = DateTime)] (Option<String>)
        told #[serde(skip_serializing_if = "Option::is_none")] #[schema(format = DateTime)] (Option<String>);
    /// Occurrences that are started in all.
    max_runs
        asked #[schema(value_type = Option<u64>)] (Option<i64>)
        told #[serde(skip_serializing_if = "Option::is_none")] (Option<u64>);
    /// Each occurrence is delayed by a fixed pseudo-random part of this, at most a day.
    jitter_ms
        asked (Option<i64>)
        told (i64);
    /// What happens to occurrences that were missed.
    misfire
        asked #[serde(deserialize_with = "crate::json::object")] (Option<Misfire>)
        told (Misfire);
    /// What happens while the previous run goes on; `allow-all` by default.
    overlap
        asked (Option<OverlapPolicy>)
        told (OverlapPolicy);
    /// Pauses the schedule when a run has failed for the last time.
    pause_on_failure
        asked (Option<bool>)
        told (bool);
    /// How long a run may stay unheard of, counted from when its newest attempt was due: then it is
    /// killed and given up, so that it keeps no other from running. By default the attempt's own
    /// limit (`minutehand-timeout-ms`) and an hour, at least two hours.
    run_timeout_ms
        asked (Option<i64>)
        told #[serde(skip_serializing_if = "Option::is_none")] (Option<i64>);
    /// What its runs share with the tasks that they keep an order with. The schedule lives in the
    /// partition of its key; whoever asks for it by its id gives the key too. It cannot be changed.
    key
        asked (Option<String>)
        told #[serde(default, skip_serializing_if = "Option::is_none")] (Option<String>);
    /// The stream its executions go to.
    queue
        asked (Option<String>)
        told (String);
    /// Any JSON, as for tasks. It is told as the text that is delivered, where that is UTF-8.
    payload
        asked #[serde(borrow)] #[schema(value_type = Option<serde_json::Value>)] (Option<&'a RawValue>)
        told #[serde(skip_serializing_if = "Option::is_none")] (Option<String>);
    /// Bytes, instead of `payload`.
    payload_base64
        asked #[serde(borrow)] #[schema(value_type = Option<String>, format = Byte)] (Option<Text<'a>>)
        told #[serde(skip_serializing_if = "Option::is_none")] #[schema(format = Byte)] (Option<String>);
    /// At most 64 names and values for the worker.
    headers
        asked #[serde(borrow)] #[schema(value_type = Option<BTreeMap<String, String>>)] (Option<Headers<'a>>)
        told (BTreeMap<String, String>);
    /// What happens when a run fails.
    retry
        asked #[serde(deserialize_with = "crate::json::object")] (Option<Retry>)
        told (Retry);
    /// How often the effect of a run may happen; `at-least-once` by default.
    guarantee
        asked (Option<Guarantee>)
        told (Guarantee);
    /// How close to its time a run is published; `normal` by default.
    precision
        asked (Option<Precision>)
        told (Precision);
    /// How urgent a run is among what waits in its queue: 0 to 9, 9 the most; 4 by default.
    priority
        asked #[serde(deserialize_with = "crate::json::priority")] #[schema(minimum = 0, maximum = 9)] (Option<u64>)
        told #[serde(default = "usual_priority")] #[schema(minimum = 0, maximum = 9, required = true)] (u64);
}

/// What a server of an earlier release does not tell.
fn usual_priority() -> u64 {
    u64::from(Priority::default().level())
}

/// What happens to occurrences whose time has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Misfire {
    /// Which of them run; `all` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<MisfireRule>,
    /// Oldest lateness at which `all` and `latest` still run one; a year by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<i64>,
    /// Lateness up to which an occurrence counts as on time; a minute by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<i64>,
}

impl NewSchedule<'_> {
    /// The definition meant; whether it keeps to the limits is not said yet.
    ///
    /// # Errors
    /// The first field that is refused.
    pub fn definition(&self) -> Result<ScheduleDefinition, InvalidField> {
        let time = |field: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| parse_time(field, text))
                .transpose()
        };
        let missing = || InvalidField::new("queue", "is missing", "required", "nothing");
        let action = ActionTemplate {
            order_key: self.key.as_deref().map(parse_key).transpose()?,
            queue: parse_queue(self.queue.as_deref().ok_or_else(missing)?)?,
            payload: body_of(self.payload, self.payload_base64.as_ref().map(Text::as_str))?,
            headers: self
                .headers
                .clone()
                .map(Headers::into_owned)
                .unwrap_or_default(),
            retry: Retry::policy_of(self.retry.as_ref())?,
            guarantee: self.guarantee.unwrap_or_default(),
            precision: self.precision.unwrap_or_default(),
            priority: parse_priority(self.priority)?,
            verbatim: None,
        };
        Ok(ScheduleDefinition {
            recurrence: self.recurrence()?,
            exclude: self.exclude.clone().unwrap_or_default(),
            start: time("start_at", &self.start_at)?,
            end: time("end_at", &self.end_at)?,
            runs_max: self.max_runs.map(runs_max).transpose()?,
            jitter_ms: self.jitter_ms.unwrap_or_default(),
            misfire: self.misfire.clone().unwrap_or_default().policy(),
            overlap: self.overlap.unwrap_or_default(),
            pause_on_failure: self.pause_on_failure.unwrap_or_default(),
            run_timeout_ms: self.run_timeout_ms,
            action,
        })
    }

    fn recurrence(&self) -> Result<RecurrenceSpec, InvalidField> {
        match (&self.cron, &self.every) {
            (Some(cron), None) => {
                if let Some(anchor) = &self.anchor_at {
                    return Err(InvalidField::new(
                        "anchor_at",
                        "is given beside cron",
                        "a setting of every",
                        anchor,
                    ));
                }
                let (expression, zone) = cron_and_zone(cron, self.time_zone.as_deref())?;
                Ok(RecurrenceSpec::Cron {
                    expression,
                    zone,
                    dst: self.dst.unwrap_or_default(),
                })
            }
            (None, Some(every)) => {
                if let Some(dst) = &self.dst {
                    return Err(InvalidField::new(
                        "dst",
                        "is given beside every",
                        "a setting of cron",
                        dst,
                    ));
                }
                let anchor = self
                    .anchor_at
                    .as_deref()
                    .map(|text| parse_time("anchor_at", text))
                    .transpose()?;
                let anchor = anchor.unwrap_or(ANCHOR_DEFAULT);
                let zone = self.time_zone.as_deref().unwrap_or(ZONE_DEFAULT).to_owned();
                Ok(RecurrenceSpec::Interval {
                    every_ms: every.as_ms("every")?,
                    anchor,
                    zone,
                })
            }
            (None, None) => Err(InvalidField::new(
                "cron",
                "is missing",
                "one of cron and every",
                "neither",
            )),
            (Some(_), Some(_)) => Err(InvalidField::new(
                "every",
                "is given beside cron",
                "one of cron and every",
                "both",
            )),
        }
    }
}

/// An expression and its zone, which may stand in front of it. Next to another zone it stays where
/// it is, and is refused when the definition is checked.
fn cron_and_zone(cron: &str, time_zone: Option<&str>) -> Result<(String, String), InvalidField> {
    let (written, expression) = split_zone(cron).map_err(|error| refused_cron(cron, &error))?;
    Ok(match (written, time_zone) {
        (Some(written), None) => (expression.to_owned(), written.name().to_owned()),
        (Some(written), Some(given))
            if Zone::parse(given).is_ok_and(|given| given.same_clock(&written)) =>
        {
            (expression.to_owned(), given.to_owned())
        }
        (_, given) => (cron.to_owned(), given.unwrap_or(ZONE_DEFAULT).to_owned()),
    })
}

fn runs_max(given: i64) -> Result<u64, InvalidField> {
    match u64::try_from(given) {
        Ok(runs) if runs > 0 => Ok(runs),
        _ => Err(InvalidField::new(
            "max_runs",
            "is out of range",
            "at least 1",
            given,
        )),
    }
}

impl Misfire {
    fn policy(&self) -> MisfirePolicy {
        let defaults = MisfirePolicy::default();
        MisfirePolicy {
            rule: self.rule.unwrap_or_default(),
            window_ms: self.window_ms.unwrap_or(defaults.window_ms),
            grace_ms: self.grace_ms.unwrap_or(defaults.grace_ms),
        }
    }
}

impl From<&ScheduleDefinition> for Definition {
    fn from(definition: &ScheduleDefinition) -> Definition {
        let (mut cron, mut dst_rule, mut every, mut anchor_at) = (None, None, None, None);
        match &definition.recurrence {
            RecurrenceSpec::Cron {
                expression, dst, ..
            } => (cron, dst_rule) = (Some(expression.clone()), Some(*dst)),
            RecurrenceSpec::Interval {
                every_ms, anchor, ..
            } => (every, anchor_at) = (Some(duration_text(*every_ms)), Some(time_text(*anchor))),
        }
        let zone = definition.recurrence.zone();
        let action = &definition.action;
        let Payload {
            payload,
            payload_base64,
        } = Payload::from(&action.payload);
        Definition {
            cron,
            time_zone: Some(zone.to_owned()),
            dst: dst_rule,
            every,
            anchor_at,
            exclude: definition.exclude.clone(),
            start_at: definition.start.map(time_text),
            end_at: definition.end.map(time_text),
            max_runs: definition.runs_max,
            jitter_ms: definition.jitter_ms,
            misfire: Misfire {
                rule: Some(definition.misfire.rule),
                window_ms: Some(definition.misfire.window_ms),
                grace_ms: Some(definition.misfire.grace_ms),
            },
            overlap: definition.overlap,
            pause_on_failure: definition.pause_on_failure,
            run_timeout_ms: definition.run_timeout_ms,
            key: action.order_key.as_ref().map(ToString::to_string),
            queue: action.queue.to_string(),
            payload,
            payload_base64,
            headers: action.headers.iter().cloned().collect(),
            retry: action.retry.into(),
            guarantee: action.guarantee,
            precision: action.precision,
            priority: u64::from(action.priority.level()),
        }
    }
}

/// The JSON of a definition with the fields of a patch put in their places; `null` takes a field
/// away, so that its default counts again. `cron` and `every` replace each other, under the same
/// zone, and so do the two forms of a payload.
///
/// # Errors
/// When the patch is no object of fields that a schedule has.
pub fn merged(definition: &ScheduleDefinition, patch: &[u8]) -> Result<Vec<u8>, Unread> {
    // Names and types first, so that an error speaks of the patch and not of the merged text.
    crate::json::read::<NewSchedule<'_>>(patch)?;
    let Fields(mut patch) = crate::json::read(patch)?;
    if let Some(zone) = patch.remove("tz") {
        patch.insert(Cow::Borrowed("time_zone"), zone);
    }
    let base = serde_json::to_string(&Definition::from(definition))?;
    let Fields(mut fields) = crate::json::read(base.as_bytes())?;
    let replaces: [(&str, &[&str]); 4] = [
        ("cron", &["every", "anchor_at"]),
        ("every", &["cron", "dst"]),
        ("payload", &["payload_base64"]),
        ("payload_base64", &["payload"]),
    ];
    for (field, replaced) in replaces {
        if patch.get(field).is_some_and(|value| value.get() != "null") {
            for name in replaced {
                fields.remove(*name);
            }
        }
    }
    for (name, value) in patch {
        match value.get() {
            "null" => fields.remove(&name),
            _ => fields.insert(name, value),
        };
    }
    Ok(serde_json::to_vec(&fields)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"cron":"0 9 * * 1-5","time_zone":"Europe/Berlin","dst":"skip","exclude":["2027-12-25"],
        "start_at":"2027-01-01T00:00:00Z","end_at":"2028-01-01T00:00:00.500Z","max_runs":7,"jitter_ms":1500,
        "misfire":{"rule":"latest","window_ms":5,"grace_ms":6},"overlap":"buffer_one","pause_on_failure":true,"run_timeout_ms":60000,
        "key":"team/7","queue":"mail","payload":{"b":1,"a":1.50},"headers":{"x":"1"},"retry":{"policy":"fixed","delay_ms":9},
        "guarantee":"exactly-once","precision":"high","priority":7}"#;

    fn definition(json: &str) -> ScheduleDefinition {
        crate::json::read::<NewSchedule<'_>>(json.as_bytes())
            .unwrap()
            .definition()
            .unwrap()
    }

    fn patched(base: &str, patch: &str) -> ScheduleDefinition {
        let merged = merged(&definition(base), patch.as_bytes()).unwrap();
        definition(std::str::from_utf8(&merged).unwrap())
    }

    #[test]
    fn a_definition_is_written_as_it_could_have_been_read() {
        for json in [
            FULL,
            r#"{"every":"90m","queue":"q","payload_base64":"/wA="}"#,
            r#"{"cron":"@daily","queue":"q"}"#,
        ] {
            assert_eq!(patched(json, "{}"), definition(json), "{json}");
        }
        assert_eq!(
            definition(FULL).action.payload.as_ref(),
            br#"{"b":1,"a":1.50}"#
        );
    }

    #[test]
    fn a_patch_replaces_whole_fields_and_null_takes_the_default() {
        let changed = patched(
            FULL,
            r#"{"end_at":null,"jitter_ms":null,"misfire":{"rule":"none"},"queue":"other"}"#,
        );
        let expected = ScheduleDefinition {
            end: None,
            jitter_ms: 0,
            misfire: MisfirePolicy {
                rule: MisfireRule::None,
                ..MisfirePolicy::default()
            },
            action: ActionTemplate {
                queue: parse_queue("other").unwrap(),
                ..definition(FULL).action
            },
            ..definition(FULL)
        };
        assert_eq!(changed, expected);
    }

    #[test]
    fn cron_and_every_replace_each_other() {
        let every = patched(FULL, r#"{"every":60}"#).recurrence;
        let zone = "Europe/Berlin".to_owned();
        assert_eq!(
            every,
            RecurrenceSpec::Interval {
                every_ms: 60_000,
                anchor: ANCHOR_DEFAULT,
                zone
            }
        );
        let cron = patched(
            r#"{"every":60,"queue":"q"}"#,
            r#"{"cron":"@hourly","tz":"Asia/Tokyo"}"#,
        )
        .recurrence;
        let (expression, zone, dst) = (
            "@hourly".to_owned(),
            "Asia/Tokyo".to_owned(),
            DstRule::Vixie,
        );
        assert_eq!(
            cron,
            RecurrenceSpec::Cron {
                expression,
                zone,
                dst
            }
        );
    }

    #[test]
    fn a_zone_may_stand_in_front_of_the_expression() {
        let read = |json: &str| definition(&format!(r#"{{"queue":"q",{json}}}"#)).recurrence;
        let cron = |expression: &str, zone: &str| RecurrenceSpec::Cron {
            expression: expression.to_owned(),
            zone: zone.to_owned(),
            dst: DstRule::Vixie,
        };
        assert_eq!(
            read(r#""cron":"TZ=Asia/Tokyo 0 9 * * *""#),
            cron("0 9 * * *", "Asia/Tokyo")
        );
        assert_eq!(
            read(r#""cron":" CRON_TZ=Asia/Tokyo  @daily""#),
            cron("@daily", "Asia/Tokyo")
        );
        let alias = r#""cron":"TZ=Europe/Kyiv 0 9 * * *","tz":"Europe/Kiev""#;
        assert_eq!(read(alias), cron("0 9 * * *", "Europe/Kiev"));
        let other = read(r#""cron":"TZ=Asia/Tokyo 0 9 * * *","time_zone":"Europe/Berlin""#);
        assert_eq!(
            other,
            cron("TZ=Asia/Tokyo 0 9 * * *", "Europe/Berlin"),
            "refused when it is checked"
        );
    }

    #[test]
    fn unknown_and_double_fields_of_a_patch_are_named() {
        for (patch, field) in [
            (r#"{"crom":"* * * * *"}"#, "crom"),
            (r#"{"cron":"* * * * *","cron":"@daily"}"#, "cron"),
            (r#"{"jitter_ms":"5"}"#, "jitter_ms"),
            (r#"{"misfire":{"rul":"none"}}"#, "misfire.rul"),
            ("[]", "body"),
            ("", "body"),
        ] {
            let Err(Unread::Malformed(problem)) = merged(&definition(FULL), patch.as_bytes())
            else {
                panic!("{patch}")
            };
            assert_eq!(problem.field, field, "{patch}: {problem:?}");
        }
    }
}
