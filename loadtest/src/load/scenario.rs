//! What a load is: streams of tasks, how fast they are asked for, and what happens meanwhile.
//! Written in TOML, valid once read.

use std::collections::BTreeMap;

use minutehand_api::Duration;
use minutehand_model::{Guarantee, Namespace, Precision, QueueName};
use serde::Deserialize;

/// Largest payload, in bytes: as much as a task may carry.
const PAYLOAD_BYTES_MAX: usize = minutehand_model::limits::PAYLOAD_BYTES_MAX;
/// Most streams of a scenario.
const STREAMS_MAX: usize = 16;
/// Most phases of a scenario.
const PHASES_MAX: usize = 64;
/// Most schedules of a scenario.
const SCHEDULES_MAX: u64 = 10_000_000;
/// Highest rate, in tasks a second.
const RATE_MAX: f64 = 10_000_000.0;
/// Longest phase: a week.
const PHASE_MS_MAX: i64 = 7 * 86_400_000;

/// Why a scenario is refused.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// There is none of that name.
    #[error("there is no scenario {name:?}; name a file, or one of {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Its file cannot be read.
    #[error("could not read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML of this form.
    #[error("the scenario cannot be read")]
    Malformed(#[from] toml::de::Error),
    /// A value is beyond its limit.
    #[error("{field} is {given}; it must be {limit}")]
    Value {
        /// Which.
        field: String,
        /// What was given.
        given: String,
        /// What may be given.
        limit: String,
    },
}

fn refused(
    field: impl Into<String>,
    given: impl ToString,
    limit: impl Into<String>,
) -> ScenarioError {
    ScenarioError::Value {
        field: field.into(),
        given: given.to_string(),
        limit: limit.into(),
    }
}

/// A load.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// Decides due times, payloads and who is cancelled.
    pub seed: u64,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// How long after its creation a task is cancelled or created again, in milliseconds.
    pub change_after_ms: i64,
    /// The tasks, by kind.
    pub streams: Vec<Stream>,
    /// How fast they are asked for.
    pub phases: Vec<Phase>,
    /// Schedules that are there from the start.
    pub schedules: Option<Schedules>,
    /// What happens to the installation meanwhile, in the order of time; the rig does it.
    pub events: Vec<Event>,
}

/// Tasks of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// What it is called in the report.
    pub name: String,
    /// The name space of its ids.
    pub namespace: Namespace,
    /// Where its executions go.
    pub queue: QueueName,
    /// When its tasks are due.
    pub due: Due,
    /// Of a hundred tasks so many are cancelled.
    pub cancel_percent: u32,
    /// Of a hundred tasks so many are created a second time, as by a caller who saw no answer.
    pub repeat_percent: u32,
    /// How close to its time a task is published.
    pub precision: Precision,
    /// How often its effect may happen.
    pub guarantee: Guarantee,
    /// All of them belong to partition 0.
    pub is_hot: bool,
}

/// When the tasks of a stream are due. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Evenly between so long and so long after they are asked for.
    Between(i64, i64),
    /// At the first full minute that is at least so far ahead.
    MinuteAfter(i64),
    /// In the past already, evenly up to so long.
    Overdue(i64),
}

/// A stretch of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// How long, in milliseconds.
    pub lasts_ms: i64,
    /// Tasks a second at its beginning and at its end.
    pub rate: (f64, f64),
    /// Parts of the rate by stream.
    pub shares: Vec<u32>,
}

/// Schedules of a cron expression each, spread evenly over the minutes of a period.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedules {
    /// How many.
    pub count: u64,
    /// Each runs once in so many minutes: a divisor of 60.
    pub every_minutes: u32,
    /// The name space of their ids.
    pub namespace: Namespace,
    /// Where their executions go.
    pub queue: QueueName,
}

/// What the rig does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in milliseconds after the load began.
    pub at_ms: i64,
    /// What.
    pub deed: Deed,
}

/// What can be done to an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// The first scheduler is killed (kill -9).
    KillOwner,
    /// The first scheduler is started again.
    StartOwner,
    /// All schedulers are stopped in order.
    StopSchedulers,
    /// All schedulers are started.
    StartSchedulers,
}

/// The scenarios that come along, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("steady", include_str!("../../scenarios/steady.toml")),
    ("ramp", include_str!("../../scenarios/ramp.toml")),
    (
        "minute-burst",
        include_str!("../../scenarios/minute-burst.toml"),
    ),
    ("horizon", include_str!("../../scenarios/horizon.toml")),
    (
        "cancel-heavy",
        include_str!("../../scenarios/cancel-heavy.toml"),
    ),
    (
        "cron-heavy",
        include_str!("../../scenarios/cron-heavy.toml"),
    ),
    ("backlog", include_str!("../../scenarios/backlog.toml")),
    (
        "owner-killed",
        include_str!("../../scenarios/owner-killed.toml"),
    ),
    (
        "noisy-neighbour",
        include_str!("../../scenarios/noisy-neighbour.toml"),
    ),
    (
        "hot-partition",
        include_str!("../../scenarios/hot-partition.toml"),
    ),
    ("thin", include_str!("../../scenarios/thin.toml")),
];

impl Scenario {
    /// The scenario of that name, or in that file.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn find(name_or_file: &str) -> Result<Scenario, ScenarioError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_file) {
            return Scenario::parse(text);
        }
        let path = std::path::Path::new(name_or_file);
        if path.extension().is_none() && !path.exists() {
            let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(ScenarioError::Unknown {
                name: name_or_file.to_owned(),
                known: known.join(", "),
            });
        }
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Unreadable {
            path: name_or_file.to_owned(),
            source,
        })?;
        Scenario::parse(&text)
    }

    /// A scenario from its text.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        toml::from_str::<Written>(text)?.check()
    }

    /// The same load, its highest rate another one.
    ///
    /// # Errors
    /// When the rate is out of range.
    pub fn at_rate(mut self, rate: f64) -> Result<Scenario, ScenarioError> {
        checked_rate("--rate", rate)?;
        let highest = self.rate();
        if highest == 0.0 {
            return Err(refused(
                "--rate",
                rate,
                "left out: the scenario asks for no tasks, only for schedules",
            ));
        }
        for phase in &mut self.phases {
            phase.rate.0 *= rate / highest;
            phase.rate.1 *= rate / highest;
        }
        Ok(self)
    }

    /// The same load over another time: its phases and events keep their parts of it.
    ///
    /// # Errors
    /// When the time is out of range.
    pub fn lasting_ms(mut self, lasts_ms: i64) -> Result<Scenario, ScenarioError> {
        let parts = self.phases.len() as i64;
        if !(1_000 * parts..=PHASE_MS_MAX).contains(&lasts_ms) {
            let limit = format!("{} s to {} s", parts, PHASE_MS_MAX / 1_000);
            return Err(refused("--for", format!("{lasts_ms} ms"), limit));
        }
        let factor = lasts_ms as f64 / self.lasts() as f64;
        for phase in &mut self.phases {
            phase.lasts_ms = ((phase.lasts_ms as f64 * factor).round() as i64).max(1);
        }
        for event in &mut self.events {
            event.at_ms = (event.at_ms as f64 * factor).round() as i64;
        }
        Ok(self)
    }

    /// How long tasks are asked for, in milliseconds.
    pub fn lasts(&self) -> i64 {
        self.phases.iter().map(|phase| phase.lasts_ms).sum()
    }

    /// The highest rate, in tasks a second.
    pub fn rate(&self) -> f64 {
        let rates = self.phases.iter().flat_map(|one| [one.rate.0, one.rate.1]);
        rates.fold(0.0, f64::max)
    }

    /// The queues that executions come out of.
    pub fn queues(&self) -> Vec<QueueName> {
        let mut queues: Vec<QueueName> = self.streams.iter().map(|one| one.queue.clone()).collect();
        queues.extend(self.schedules.iter().map(|one| one.queue.clone()));
        queues.sort();
        queues.dedup();
        queues
    }
}

fn checked_rate(field: &str, rate: f64) -> Result<f64, ScenarioError> {
    match rate.is_finite() && (0.0..=RATE_MAX).contains(&rate) {
        true => Ok(rate),
        false => Err(refused(field, rate, format!("0 to {RATE_MAX} a second"))),
    }
}

/// A scenario as it stands in its file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    about: String,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default = "payload_bytes")]
    payload_bytes: usize,
    #[serde(default)]
    change_after: Option<Lasts>,
    #[serde(default, rename = "stream")]
    streams: Vec<WrittenStream>,
    #[serde(rename = "phase")]
    phases: Vec<WrittenPhase>,
    #[serde(default)]
    schedules: Option<WrittenSchedules>,
    #[serde(default, rename = "event")]
    events: Vec<WrittenEvent>,
}

const fn one() -> u64 {
    1
}

const fn payload_bytes() -> usize {
    256
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStream {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    queue: Option<String>,
    due: WrittenDue,
    #[serde(default)]
    cancel_percent: u32,
    #[serde(default)]
    repeat_percent: u32,
    #[serde(default)]
    precision: Precision,
    #[serde(default)]
    guarantee: Guarantee,
    #[serde(default)]
    hot: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WrittenDue {
    Between(Lasts, Lasts),
    MinuteAfter(Lasts),
    Overdue(Lasts),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPhase {
    r#for: Lasts,
    rate: f64,
    #[serde(default)]
    rate_at_end: Option<f64>,
    #[serde(default)]
    shares: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSchedules {
    count: u64,
    every_minutes: u32,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    queue: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEvent {
    at: Lasts,
    r#do: Deed,
}

/// A duration: seconds, or words of the API's grammar.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lasts {
    Seconds(f64),
    Text(String),
}

/// The name of namespace and queue where a scenario gives none.
const NAME_DEFAULT: &str = "load";

fn ms(field: &str, lasts: &Lasts) -> Result<i64, ScenarioError> {
    let parsed = match lasts {
        Lasts::Seconds(seconds) => Duration::Seconds(*seconds),
        Lasts::Text(text) => Duration::Text(text.as_str().into()),
    }
    .as_ms(field);
    parsed.map_err(|invalid| refused(invalid.field, invalid.given, invalid.limit))
}

fn namespace(field: &str, name: Option<&str>) -> Result<Namespace, ScenarioError> {
    let name = name.unwrap_or(NAME_DEFAULT);
    Namespace::parse(name).map_err(|error| refused(field, format!("{name:?}"), error.to_string()))
}

fn queue(field: &str, name: Option<&str>) -> Result<QueueName, ScenarioError> {
    let name = name.unwrap_or(NAME_DEFAULT);
    QueueName::parse(name).map_err(|error| refused(field, format!("{name:?}"), error.to_string()))
}

impl Written {
    fn check(self) -> Result<Scenario, ScenarioError> {
        if self.payload_bytes > PAYLOAD_BYTES_MAX {
            let limit = format!("at most {PAYLOAD_BYTES_MAX}");
            return Err(refused("payload_bytes", self.payload_bytes, limit));
        }
        if self.streams.len() > STREAMS_MAX {
            let limit = format!("at most {STREAMS_MAX} of them");
            return Err(refused("stream", self.streams.len(), limit));
        }
        if !(1..=PHASES_MAX).contains(&self.phases.len()) {
            let limit = format!("1 to {PHASES_MAX} of them");
            return Err(refused("phase", self.phases.len(), limit));
        }
        let names: Vec<String> = self.streams.iter().map(|one| one.name.clone()).collect();
        let streams = self.streams.into_iter().map(WrittenStream::check);
        let streams = streams.collect::<Result<Vec<_>, _>>()?;
        let phases = self.phases.into_iter().map(|phase| phase.check(&names));
        let phases = phases.collect::<Result<Vec<_>, _>>()?;
        let events = self.events.into_iter().map(WrittenEvent::check);
        let mut events = events.collect::<Result<Vec<_>, _>>()?;
        events.sort_by_key(|event| event.at_ms);
        let change_after_ms = match &self.change_after {
            Some(after) => ms("change_after", after)?,
            None => 500,
        };
        Ok(Scenario {
            name: self.name,
            about: self.about,
            seed: self.seed,
            payload_bytes: self.payload_bytes,
            change_after_ms,
            streams,
            phases,
            schedules: self.schedules.map(WrittenSchedules::check).transpose()?,
            events,
        })
    }
}

impl WrittenStream {
    fn check(self) -> Result<Stream, ScenarioError> {
        let field = |name: &str| format!("stream {}: {name}", self.name);
        if self.cancel_percent + self.repeat_percent > 100 {
            let given = self.cancel_percent + self.repeat_percent;
            let which = field("cancel_percent and repeat_percent together");
            return Err(refused(which, given, "at most 100"));
        }
        let due = match &self.due {
            WrittenDue::Between(from, to) => {
                let (from, to) = (
                    ms(&field("due.between"), from)?,
                    ms(&field("due.between"), to)?,
                );
                if to < from {
                    let given = format!("{to} ms after {from} ms");
                    return Err(refused(
                        field("due.between"),
                        given,
                        "the earlier one first",
                    ));
                }
                Due::Between(from, to)
            }
            WrittenDue::MinuteAfter(ahead) => {
                Due::MinuteAfter(ms(&field("due.minute_after"), ahead)?)
            }
            WrittenDue::Overdue(past) => Due::Overdue(ms(&field("due.overdue"), past)?),
        };
        Ok(Stream {
            namespace: namespace(&field("namespace"), self.namespace.as_deref())?,
            queue: queue(&field("queue"), self.queue.as_deref())?,
            due,
            cancel_percent: self.cancel_percent,
            repeat_percent: self.repeat_percent,
            precision: self.precision,
            guarantee: self.guarantee,
            is_hot: self.hot,
            name: self.name,
        })
    }
}

impl WrittenPhase {
    fn check(self, streams: &[String]) -> Result<Phase, ScenarioError> {
        let lasts_ms = ms("phase.for", &self.r#for)?;
        if !(1..=PHASE_MS_MAX).contains(&lasts_ms) {
            let limit = format!("1 ms to {PHASE_MS_MAX} ms");
            return Err(refused("phase.for", format!("{lasts_ms} ms"), limit));
        }
        let from = checked_rate("phase.rate", self.rate)?;
        let to = checked_rate("phase.rate_at_end", self.rate_at_end.unwrap_or(from))?;
        let unknown = |name: &&String| !streams.contains(*name);
        if let Some(name) = self.shares.keys().find(unknown) {
            let limit = format!("one of the streams: {}", streams.join(", "));
            return Err(refused("phase.shares", format!("{name:?}"), limit));
        }
        if let Some((name, share)) = self.shares.iter().find(|(_, share)| **share > 1_000) {
            return Err(refused(
                format!("phase.shares.{name}"),
                share,
                "at most 1000",
            ));
        }
        let is_even = self.shares.is_empty();
        let share = |name: &String| match is_even {
            true => 1,
            false => self.shares.get(name).copied().unwrap_or(0),
        };
        let shares: Vec<u32> = streams.iter().map(share).collect();
        if shares.iter().sum::<u32>() == 0 && (from > 0.0 || to > 0.0) {
            return Err(refused(
                "phase.rate",
                from.max(to),
                "0 where no stream has a share",
            ));
        }
        Ok(Phase {
            lasts_ms,
            rate: (from, to),
            shares,
        })
    }
}

impl WrittenSchedules {
    fn check(self) -> Result<Schedules, ScenarioError> {
        if !(1..=SCHEDULES_MAX).contains(&self.count) {
            let limit = format!("1 to {SCHEDULES_MAX}");
            return Err(refused("schedules.count", self.count, limit));
        }
        if !(1..=60).contains(&self.every_minutes) || !60_u32.is_multiple_of(self.every_minutes) {
            let limit = "a divisor of 60";
            return Err(refused(
                "schedules.every_minutes",
                self.every_minutes,
                limit,
            ));
        }
        Ok(Schedules {
            count: self.count,
            every_minutes: self.every_minutes,
            namespace: namespace("schedules.namespace", self.namespace.as_deref())?,
            queue: queue("schedules.queue", self.queue.as_deref())?,
        })
    }
}

impl WrittenEvent {
    fn check(self) -> Result<Event, ScenarioError> {
        Ok(Event {
            at_ms: ms("event.at", &self.at)?,
            deed: self.r#do,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_that_comes_along_can_be_read() {
        for (name, text) in BUILT_IN {
            let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(&scenario.name, name);
            assert!(scenario.lasts() >= 10_000, "{name}");
        }
    }

    #[test]
    fn rate_and_length_keep_the_shape_of_a_load() {
        let ramp = Scenario::find("ramp").expect("a scenario");
        let (rate, lasts) = (ramp.rate(), ramp.lasts());
        let double = ramp.clone().at_rate(2.0 * rate).expect("a rate");
        let longer = double.lasting_ms(3 * lasts).expect("a length");
        assert_eq!(longer.rate(), 2.0 * rate);
        assert_eq!(longer.lasts(), 3 * lasts);
        for (before, after) in ramp.phases.iter().zip(&longer.phases) {
            assert_eq!(after.rate.0, 2.0 * before.rate.0);
            assert_eq!(after.lasts_ms, 3 * before.lasts_ms);
        }
    }

    #[test]
    fn what_is_refused_names_field_limit_and_value() {
        let stream = |more: &str| {
            format!(
                "name = \"a\"\nabout = \"b\"\n[[stream]]\nname = \"s\"\n{more}\n[[phase]]\nfor = \"10s\"\nrate = 5\n"
            )
        };
        for (text, says) in [
            (
                stream("due = { between = [\"9s\", \"1s\"] }"),
                "stream s: due.between is 1000 ms after 9000 ms; it must be the earlier one first",
            ),
            (
                stream("due = { overdue = \"soon\" }"),
                "stream s: due.overdue is soon; it must be a number of seconds",
            ),
            (
                stream("due = { overdue = 1 }\ncancel_percent = 60\nrepeat_percent = 60"),
                "together is 120; it must be at most 100",
            ),
            (
                stream("due = { overdue = 1 }\nqueue = \"a b\""),
                "stream s: queue is \"a b\"",
            ),
            (
                stream("due = { overdue = 1 }").replace("rate = 5", "rate = -1"),
                "phase.rate is -1; it must be 0 to 10000000 a second",
            ),
            (
                stream("due = { overdue = 1 }") + "shares = { t = 1 }\n",
                "phase.shares is \"t\"; it must be one of the streams: s",
            ),
        ] {
            let error = Scenario::parse(&text).expect_err(says).to_string();
            assert!(error.contains(says), "{error}\nlacks\n{says}");
        }
        let error = Scenario::find("stady")
            .expect_err("no scenario")
            .to_string();
        assert!(error.contains("or one of steady, ramp"), "{error}");
    }
}
