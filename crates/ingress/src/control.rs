//! What a record asks for by `minutehand-…` headers, or an event by its attributes.

use std::borrow::Cow;

use minutehand_api::{InvalidField, NewChainedTask, Retry, choice};
use minutehand_model::{Chain, Choice, RetryPolicy};

use crate::Refusal;

/// What headers of the scheduler begin with.
pub(crate) const PREFIX: &str = "minutehand-";
/// What may be asked for: `minutehand-` goes before it in a header, and `minutehand` without the
/// dashes in the name of an event's attribute.
pub(crate) const WORDS: [&str; 23] = [
    "queue",
    "due-at",
    "delay",
    "cron",
    "tz",
    "dst",
    "schedule-id",
    "revision",
    "namespace",
    "id",
    "key",
    "guarantee",
    "precision",
    "priority",
    "on-success",
    "on-failure",
    "retry-policy",
    "retry-delay-ms",
    "retry-base-ms",
    "retry-cap-ms",
    "retry-doublings",
    "retry-max-attempts",
    "retry-max-age-ms",
];

/// Whether a header says that its record is to be delivered as it is.
pub(crate) fn asks_for_delivery(name: &str) -> bool {
    let word = strip(name);
    word.is_some_and(|word| {
        ["queue", "due-at", "delay", "cron"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(word))
    })
}

/// What follows `minutehand-`, in whatever case it is written.
pub(crate) fn strip(name: &str) -> Option<&str> {
    name.get(..PREFIX.len())
        .filter(|start| start.eq_ignore_ascii_case(PREFIX))
        .map(|_| &name[PREFIX.len()..])
}

/// The word that a header of this name is, of those that may be asked for.
pub(crate) fn word_of_header(rest: &str) -> Option<&'static str> {
    WORDS
        .iter()
        .copied()
        .find(|word| word.eq_ignore_ascii_case(rest))
}

/// The same for what follows `minutehand` in the name of an attribute.
pub(crate) fn word_of_attribute(rest: &str) -> Option<&'static str> {
    WORDS
        .iter()
        .copied()
        .find(|word| word.bytes().filter(|byte| *byte != b'-').eq(rest.bytes()))
}

/// One thing that was asked for.
#[derive(Clone, Debug)]
struct Control<'a> {
    word: &'static str,
    /// The header or attribute as it was written.
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

/// Everything that was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Controls<'a>(Vec<Control<'a>>);

impl<'a> Controls<'a> {
    /// Takes note of one thing; none may be given twice.
    pub(crate) fn add(
        &mut self,
        word: &'static str,
        name: Cow<'a, str>,
        value: Option<&'a [u8]>,
    ) -> Result<(), Refusal> {
        let Some(value) = value else {
            return Err(Refusal::of(&name, "is null", "text", "null"));
        };
        match std::str::from_utf8(value) {
            Ok(value) => self.add_text(word, name, Cow::Borrowed(value)),
            Err(error) => {
                let given = format!(
                    "{} bytes, the one at {} is wrong",
                    value.len(),
                    error.valid_up_to() + 1
                );
                Err(Refusal::of(&name, "is not valid UTF-8", "text", given))
            }
        }
    }

    /// The same with a text.
    pub(crate) fn add_text(
        &mut self,
        word: &'static str,
        name: Cow<'a, str>,
        value: Cow<'a, str>,
    ) -> Result<(), Refusal> {
        if let Some(before) = self.0.iter().find(|control| control.word == word) {
            let given = format!("{:?} and {value:?}", before.value);
            return Err(Refusal::of(&name, "is given twice", "at most once", given));
        }
        self.0.push(Control { word, name, value });
        Ok(())
    }

    /// Takes what an event's attributes asked for in addition.
    pub(crate) fn extend(&mut self, others: Controls<'a>) -> Result<(), Refusal> {
        others
            .0
            .into_iter()
            .try_for_each(|Control { word, name, value }| self.add_text(word, name, value))
    }

    /// What was asked for by a word.
    pub(crate) fn get(&self, word: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|control| control.word == word)
            .map(|control| control.value.as_ref())
    }

    /// What must have been asked for.
    pub(crate) fn required(&self, word: &str) -> Result<&str, Refusal> {
        let missing = || {
            let name = self.name(word);
            Refusal::of(
                &name,
                "is missing",
                "required of a record that is to be delivered",
                "nothing",
            )
        };
        self.get(word).ok_or_else(missing)
    }

    /// The name under which something was asked for, or could have been.
    pub(crate) fn name(&self, word: &str) -> String {
        match self.0.iter().find(|control| control.word == word) {
            Some(control) => control.name.as_ref().to_owned(),
            None => format!("{PREFIX}{word}"),
        }
    }

    /// The refusal of a field of the API under the name it has here.
    pub(crate) fn refused(&self, invalid: InvalidField) -> Refusal {
        let word = match invalid.field.as_str() {
            "time_zone" => "tz".to_owned(),
            field => field.replace(['.', '_'], "-"),
        };
        if WORDS.contains(&word.as_str()) {
            return InvalidField {
                field: self.name(&word),
                ..invalid
            }
            .into();
        }
        invalid.into()
    }

    /// A word out of a few, where one is given.
    pub(crate) fn choice<T: Choice>(&self, word: &str) -> Result<Option<T>, Refusal> {
        let chosen = self.get(word).map(|given| choice(word, given)).transpose();
        chosen.map_err(|invalid| self.refused(invalid))
    }

    /// A whole number.
    pub(crate) fn number<T: std::str::FromStr>(&self, word: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(word) else {
            return Ok(None);
        };
        let refused = |_| Refusal::of(&self.name(word), "is not a whole number", "digits", text);
        text.parse().map(Some).map_err(refused)
    }

    /// What follows the end of the task.
    pub(crate) fn chain(&self) -> Result<Chain, Refusal> {
        let next = |word| {
            let read = self.get(word).map(NewChainedTask::parse).transpose();
            read.map(|next| next.map(Box::new))
                .map_err(|unread| Refusal::from(unread).within(&self.name(word)))
        };
        Ok(Chain {
            on_success: next("on-success")?,
            on_failure: next("on-failure")?,
        })
    }

    /// The retry policy.
    pub(crate) fn retry(&self) -> Result<RetryPolicy, Refusal> {
        let dto = Retry {
            policy: self.choice("retry-policy")?,
            delay_ms: self.number("retry-delay-ms")?,
            base_ms: self.number("retry-base-ms")?,
            cap_ms: self.number("retry-cap-ms")?,
            doublings: self.number("retry-doublings")?,
            max_attempts: self.number("retry-max-attempts")?,
            max_age_ms: self.number("retry-max-age-ms")?,
        };
        dto.policy().map_err(|invalid| self.refused(invalid))
    }

    /// Refuses what belongs to another way of saying when.
    pub(crate) fn refuse(&self, words: &[&str], limit: &str) -> Result<(), Refusal> {
        match words.iter().find(|word| self.get(word).is_some()) {
            Some(word) => {
                let given = self.get(word).unwrap_or_default();
                Err(Refusal::of(
                    &self.name(word),
                    "does not belong here",
                    limit,
                    given,
                ))
            }
            None => Ok(()),
        }
    }
}
