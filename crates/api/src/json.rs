//! Reading JSON strictly, and saying what was wrong with it: the field, what was expected, what was
//! given.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use minutehand_model::Priority;
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use crate::invalid::not_a_choice;
use crate::{InvalidField, Text};

/// Deepest nesting of a payload's JSON.
const DEPTH_MAX: usize = 128;
/// Characters of a value that are shown again.
const GIVEN_CHARACTERS_MAX: usize = 100;

/// JSON that cannot be read as what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Malformed {
    /// What is wrong, in words.
    pub detail: String,
    /// The field as it was written; `body` for the whole.
    pub field: String,
    /// What would be accepted.
    pub limit: String,
    /// What was given, shortened.
    pub given: String,
}

impl Malformed {
    fn new(
        detail: impl Into<String>,
        field: impl Into<String>,
        limit: impl Into<String>,
        given: impl Into<String>,
    ) -> Malformed {
        Malformed {
            detail: detail.into(),
            field: field.into(),
            limit: limit.into(),
            given: given.into(),
        }
    }
}

/// Why JSON was not taken for what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It has another form.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It has the form, but a word in it is none of those that its field takes.
    #[error(transparent)]
    Refused(#[from] InvalidField),
}

impl From<serde_json::Error> for Unread {
    fn from(error: serde_json::Error) -> Unread {
        Malformed::new(error.to_string(), "body", "JSON", "nothing").into()
    }
}

/// The refusal behind a message of serde that speaks of a word which is not among the words of a
/// choice.
pub fn refused_word(field: &str, message: &str) -> Option<InvalidField> {
    let (given, words) = message
        .strip_prefix("unknown variant `")?
        .rsplit_once("`, expected ")?;
    let words: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
    Some(not_a_choice(field, &words, given))
}

/// An object's fields as they were written, none twice.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a>(pub BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'a>, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((Text(name), value)) =
                    map.next_entry::<Text<'de>, &'de RawValue>()?
                {
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl<'a> Fields<'a> {
    /// The value these fields are those of.
    ///
    /// # Errors
    /// An unknown or missing field, and one of the wrong type.
    pub fn into<T: Deserialize<'a>>(self) -> Result<T, Unread> {
        let entries = self.0.iter().map(|(name, value)| (name.as_ref(), *value));
        let fields = MapDeserializer::<_, serde_json::Error>::new(entries);
        serde_path_to_error::deserialize(fields).map_err(|located| {
            let path = located.path().to_string();
            let message = without_position(&located.inner().to_string());
            let top = path.split(['.', '[']).next().unwrap_or_default();
            let given = self.0.get(top).map(|value| value.get().to_owned());
            named(Some(path), message, given)
        })
    }
}

/// Reads a body, which must be an object. The fast way first; what was wrong is found out only when
/// something was.
///
/// # Errors
/// What is no JSON object, an unknown, doubled or missing field, and one of the wrong type.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unread> {
    // What some editors put before a text says nothing (RFC 8259, 8.1).
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Serde would take an array for an object without names.
    if let Some(first) = bytes
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .filter(|first| **first != b'{')
    {
        return Err(no_object(bytes, *first).into());
    }
    serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, &error))
}

/// Reads an object where serde would take an array as well.
///
/// # Errors
/// Anything but an object or null.
pub fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct ObjectVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
        fn visit_unit<E: serde::de::Error>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

/// Reads a list of objects, none of which serde would take an array for.
///
/// # Errors
/// Anything but a list, and anything but objects in it.
pub fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(object)| object).collect())
}

/// One that is not null.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        let read = object::<D, T>(deserializer)?;
        read.map(Object)
            .ok_or_else(|| D::Error::custom("invalid type: null, expected an object"))
    }
}

/// Reads an object of objects, none of which serde would take an array for.
///
/// # Errors
/// Anything but an object or null, anything but objects in it, and a name that is there twice.
pub fn objects_by_name<'de, D, T>(deserializer: D) -> Result<Option<BTreeMap<String, T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct ByName<T>(BTreeMap<String, T>);
    impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByName<T>, D::Error> {
            deserializer.deserialize_map(ByNameVisitor(PhantomData))
        }
    }
    struct ByNameVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ByNameVisitor<T> {
        type Value = ByName<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByName<T>, A::Error> {
            let mut found = BTreeMap::new();
            while let Some((Text(name), Object(value))) =
                map.next_entry::<Text<'de>, Object<T>>()?
            {
                if found.contains_key(&*name) {
                    return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                }
                found.insert(name.into_owned(), value);
            }
            Ok(ByName(found))
        }
    }
    let read = object::<D, ByName<T>>(deserializer)?;
    Ok(read.map(|ByName(found)| found))
}

/// Reads a count, whose limits are told where anything else is given: 1 to `MAX`. Whether it is
/// within them is for others to say.
///
/// # Errors
/// Anything but a whole number that is not negative, or null.
pub fn count<'de, D: Deserializer<'de>, const MAX: u32>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    whole::<D, 1, MAX>(deserializer)
}

/// Reads a priority, whose limits are told where anything else is given.
pub(crate) fn priority<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    whole::<D, 0, { Priority::HIGHEST.level() as u32 }>(deserializer)
}

/// The same of a number from `MIN` on.
///
/// # Errors
/// As for a count.
pub fn whole<'de, D: Deserializer<'de>, const MIN: u32, const MAX: u32>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    struct WholeVisitor<const MIN: u32, const MAX: u32>;
    impl<const MIN: u32, const MAX: u32> Visitor<'_> for WholeVisitor<MIN, MAX> {
        type Value = Option<u64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{MIN} to {MAX}")
        }
        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Option<u64>, E> {
            Ok(Some(number))
        }
        fn visit_unit<E: serde::de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(WholeVisitor::<MIN, MAX>)
}

#[cold]
fn no_object(bytes: &[u8], first: u8) -> Malformed {
    let what = match first {
        b'[' => "an array",
        b'"' => "a string",
        _ => "something else",
    };
    let given = shortened(String::from_utf8_lossy(bytes).trim());
    let detail = format!("the body is not a JSON object but {what}");
    Malformed::new(detail, "body", "a JSON object", given)
}

#[cold]
fn explain<'a, T: Deserialize<'a>>(bytes: &'a [u8], error: &serde_json::Error) -> Unread {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let detail = "the body is empty; a JSON object is expected";
        return Malformed::new(detail, "body", "a JSON object", "nothing").into();
    }
    let message = without_position(&error.to_string());
    if error.is_syntax() || error.is_eof() {
        let detail = format!(
            "the body is not JSON: {message} at line {}, column {}",
            error.line(),
            error.column()
        );
        let given = given_at(bytes, error).unwrap_or_else(|| "nothing".to_owned());
        return Malformed::new(detail, "body", "well-formed JSON (RFC 8259)", given).into();
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let (path, given) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => (String::new(), None),
        Err(located) => (located.path().to_string(), value_at(bytes, located.path())),
    };
    named(
        Some(path),
        message,
        given.or_else(|| given_at(bytes, error)),
    )
}

/// The value at a path, as it was written; `None` when there is nothing that can be read.
fn value_at(bytes: &[u8], path: &Path) -> Option<String> {
    let mut value: &RawValue = serde_json::from_slice(bytes).ok()?;
    for step in path {
        value = match step {
            Segment::Map { key } => {
                let Fields(fields) = serde_json::from_str(value.get()).ok()?;
                *fields.get(key.as_str())?
            }
            Segment::Seq { index } => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
                *items.get(*index)?
            }
            Segment::Enum { .. } | Segment::Unknown => return None,
        };
    }
    Some(value.get().to_owned())
}

/// The field a message speaks of, what was expected of it, and what was given.
fn named(path: Option<String>, message: String, given: Option<String>) -> Unread {
    let path = path.filter(|path| !path.is_empty() && path != ".");
    let message = in_plain_words(&message);
    if let Some(refused) = refused_word(path.as_deref().unwrap_or("body"), &message) {
        return refused.into();
    }
    let named = ["unknown field `", "duplicate field `", "missing field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split('`').next())
        .map(|name| joined(path.as_deref(), name));
    let field = named.clone().or(path);
    let given = match &named {
        Some(_) if message.starts_with("missing field") => None,
        Some(name) => Some(name.clone()),
        None => given,
    };
    let limit = expected(&message);
    let shown = field.as_deref().unwrap_or("body");
    let given = given.map_or_else(|| "nothing".to_owned(), |given| shortened(&given));
    Malformed::new(format!("{shown}: {message}"), shown, limit, given).into()
}

/// The path with a name at its end, unless the path ends with it already.
fn joined(path: Option<&str>, name: &str) -> String {
    let name = shortened(name);
    match path {
        None => name,
        Some(path) if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        Some(path) => format!("{path}.{name}"),
    }
}

/// A message of serde without the names of types of this program.
fn in_plain_words(message: &str) -> String {
    let (what, expected) = match message.rsplit_once(", expected ") {
        Some((what, "u8" | "u16" | "u32" | "u64" | "usize")) => {
            (what, "a whole number that is not negative")
        }
        Some((what, "i8" | "i16" | "i32" | "i64" | "isize")) => (what, "a whole number"),
        Some((what, "f32" | "f64")) => (what, "a number"),
        Some((what, "a boolean")) => (what, "true or false"),
        _ => return message.to_owned(),
    };
    format!("{what}, expected {expected}")
}

/// What serde says it expected.
fn expected(message: &str) -> String {
    if let Some((_, rest)) = message.split_once(", expected ") {
        return rest.to_owned();
    }
    if message.starts_with("duplicate field") {
        return "every key at most once".to_owned();
    }
    if message.starts_with("missing field") {
        return "required".to_owned();
    }
    message.to_owned()
}

/// A message without the position that serde_json appends.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message.to_owned(),
    }
}

/// The text before the position of an error.
fn given_at(bytes: &[u8], error: &serde_json::Error) -> Option<String> {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .nth(error.line().checked_sub(1)?)?;
    let end = error.column().min(line.len());
    let start = end.saturating_sub(40);
    Some(String::from_utf8_lossy(&line[start..end]).trim().to_owned())
}

/// At most a hundred characters of a text.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(GIVEN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The bytes of a payload: the text of a JSON string, and any other JSON as it was written.
pub(crate) fn payload_bytes(raw: &RawValue) -> Result<bytes::Bytes, InvalidField> {
    let text = raw.get();
    if text.starts_with('"') {
        let string: Cow<'_, str> = serde_json::from_str::<crate::Text<'_>>(text)
            .map_err(|error| InvalidField::new("payload", error.to_string(), "a JSON value", text))?
            .0;
        return Ok(bytes::Bytes::copy_from_slice(string.as_bytes()));
    }
    let depth = depth(text.as_bytes());
    if depth > DEPTH_MAX {
        let limit = format!("at most {DEPTH_MAX} levels");
        return Err(InvalidField::new(
            "payload",
            "is nested too deeply",
            limit,
            format!("{depth} levels"),
        ));
    }
    Ok(bytes::Bytes::copy_from_slice(text.as_bytes()))
}

/// How deeply well-formed JSON is nested.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
