//! CloudEvents 1.0: in binary mode (`ce_…` headers) and in structured mode (a JSON value).
//!
//! What is asked for stands in extension attributes, whose names have lower-case letters and digits
//! only: the header `minutehand-due-at` is the attribute `minutehanddueat`. Events are delivered as
//! they came, as every record is.

use std::borrow::Cow;

use minutehand_api::Text;
use minutehand_api::json::{self, Fields};
use minutehand_model::TaskKey;
use minutehand_model::limits::SCHEDULE_ID_BYTES_MAX;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::control::{Controls, WORDS, word_of_attribute};
use crate::{Header, Refusal};

/// The header that makes a record an event in binary mode.
pub(crate) const SPECVERSION_HEADER: &str = "ce_specversion";
/// What the headers of attributes begin with.
pub(crate) const HEADER_PREFIX: &str = "ce_";
/// What the attributes that the scheduler reads begin with.
pub(crate) const ATTRIBUTE_PREFIX: &str = "minutehand";

/// The version of CloudEvents that is understood and written.
pub(crate) const SPECVERSION: &str = "1.0";
const REQUIRED: &str = "required by CloudEvents 1.0";

/// An event, as far as the scheduler looks at it.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// The id of the task: made of the event's source and id, which are unique together.
    pub(crate) id: String,
    /// What its attributes ask for.
    pub(crate) controls: Controls<'a>,
}

/// Whether a content type is that of an event in structured mode.
pub(crate) fn is_structured(content_type: &str) -> bool {
    const START: &str = "application/cloudevents";
    content_type
        .get(..START.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(START))
}

/// The attribute that a header of a record in binary mode asks for something with.
pub(crate) fn asking_header(name: &str) -> Option<&str> {
    name.strip_prefix(HEADER_PREFIX)?
        .strip_prefix(ATTRIBUTE_PREFIX)
}

/// Reads the headers of a record in binary mode.
pub(crate) fn binary<'a>(headers: &[Header<'a>]) -> Result<Event<'a>, Refusal> {
    let mut attributes = Attributes::default();
    for (name, value) in headers {
        let Some(attribute) = name.strip_prefix(HEADER_PREFIX) else {
            continue;
        };
        let Some(slot) = attributes.slot(attribute) else {
            if let Some(rest) = attribute.strip_prefix(ATTRIBUTE_PREFIX) {
                let word = word_of_attribute(rest).ok_or_else(|| unknown(name))?;
                attributes.controls.add(word, Cow::Borrowed(name), *value)?;
            }
            continue;
        };
        if slot.is_some() {
            return Err(Refusal::of(name, "is given twice", "at most once", "more"));
        }
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        let no_text = || Refusal::of(name, "is not valid UTF-8", "UTF-8", "bytes or null");
        *slot = Some(Cow::Borrowed(text.ok_or_else(no_text)?));
    }
    attributes.into_event(HEADER_PREFIX)
}

/// Reads the value of a record in structured mode.
pub(crate) fn structured(value: Option<&[u8]>) -> Result<Event<'_>, Refusal> {
    let Fields(fields) = json::read(value.unwrap_or_default())?;
    let mut attributes = Attributes::default();
    for (name, value) in fields {
        if let Some(slot) = attributes.slot(&name) {
            *slot = Some(text(&name, value)?);
        } else if let Some(rest) = name.strip_prefix(ATTRIBUTE_PREFIX) {
            let word = word_of_attribute(rest).ok_or_else(|| unknown(&name))?;
            let value = scalar(&name, value)?;
            attributes.controls.add_text(word, name, value)?;
        }
    }
    attributes.into_event("")
}

#[derive(Default)]
struct Attributes<'a> {
    specversion: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    controls: Controls<'a>,
}

impl<'a> Attributes<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match name {
            "specversion" => Some(&mut self.specversion),
            "id" => Some(&mut self.id),
            "source" => Some(&mut self.source),
            "type" => Some(&mut self.kind),
            _ => None,
        }
    }

    fn into_event(self, prefix: &str) -> Result<Event<'a>, Refusal> {
        let required = |name: &str, value: Option<Cow<'a, str>>| match value {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) => Err(Refusal::of(
                &format!("{prefix}{name}"),
                "is empty",
                REQUIRED,
                "nothing",
            )),
            None => Err(Refusal::of(
                &format!("{prefix}{name}"),
                "is missing",
                REQUIRED,
                "nothing",
            )),
        };
        let version = required("specversion", self.specversion)?;
        if version != SPECVERSION {
            let name = format!("{prefix}specversion");
            return Err(Refusal::of(
                &name,
                "is not a version that is understood",
                SPECVERSION,
                version,
            ));
        }
        let (source, id) = (required("source", self.source)?, required("id", self.id)?);
        required("type", self.kind)?;
        Ok(Event {
            id: task_id(&source, &id),
            controls: self.controls,
        })
    }
}

/// `<id>~<source>` where ids may look like that, else `~` and a fingerprint of both.
fn task_id(source: &str, id: &str) -> String {
    let is_plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-:@+=/".contains(&byte))
    };
    if is_plain(source) && is_plain(id) && source.len() + 1 + id.len() <= SCHEDULE_ID_BYTES_MAX {
        return format!("{id}~{source}");
    }
    format!("~{:032x}", TaskKey::of(source, id).0)
}

/// A JSON string.
fn text<'a>(name: &str, value: &'a RawValue) -> Result<Cow<'a, str>, Refusal> {
    let refused = |_| Refusal::of(name, "is not a string", "a string", value.get());
    Text::deserialize(value)
        .map(|Text(text)| text)
        .map_err(refused)
}

/// A JSON string, or a number or a truth value as it is written.
fn scalar<'a>(name: &str, value: &'a RawValue) -> Result<Cow<'a, str>, Refusal> {
    match value.get().as_bytes() {
        [b'{' | b'[', ..] | b"null" => Err(Refusal::of(
            name,
            "is neither text nor number",
            "a string or a number",
            value.get(),
        )),
        [b'"', ..] => text(name, value),
        _ => Ok(Cow::Borrowed(value.get())),
    }
}

fn unknown(name: &str) -> Refusal {
    let known: Vec<String> = WORDS.iter().map(|word| word.replace('-', "")).collect();
    let limit = format!("{ATTRIBUTE_PREFIX} and one of {}", known.join(", "));
    Refusal::of(
        json::shortened(name).as_str(),
        "is not an attribute that the scheduler knows",
        &limit,
        name,
    )
}
