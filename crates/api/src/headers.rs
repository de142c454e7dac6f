//! Headers: an object of strings, its order kept, no name twice.

use std::borrow::Cow;
use std::fmt;

use minutehand_model::limits::HEADERS_MAX;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::Text;

/// Names and values in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Headers<'_> {
    /// The same, no longer borrowed.
    pub fn into_owned(self) -> Vec<(String, String)> {
        self.0
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Headers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Headers<'a>, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose values are strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut headers: Vec<(Cow<'de, str>, Cow<'de, str>)> = Vec::new();
                while let Some((Text(name), Text(value))) =
                    map.next_entry::<Text<'de>, Text<'de>>()?
                {
                    // More than the limit are refused for their number; comparing them all would
                    // take long.
                    if headers.len() <= HEADERS_MAX
                        && headers.iter().any(|(known, _)| *known == name)
                    {
                        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                    headers.push((name, value));
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_map(HeadersVisitor)
    }
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'a> From<&'a [(String, String)]> for Headers<'a> {
    fn from(headers: &'a [(String, String)]) -> Headers<'a> {
        let borrowed = headers
            .iter()
            .map(|(name, value)| (Cow::Borrowed(name.as_str()), Cow::Borrowed(value.as_str())));
        Headers(borrowed.collect())
    }
}
