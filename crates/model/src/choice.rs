//! Closed choices: one list of variants, and everything that is said of them follows from it.
//!
//! [`choice!`](crate::choice!) makes an enum with its words, their meanings, `Display` and
//! `FromStr`. It reads and writes JSON and has a JSON schema; with the feature `wire` it describes
//! itself in OpenAPI. Command lines, metric labels and refusals take the words from the same list.

use std::str::FromStr;

/// A type with a fixed number of values, each named by a word.
///
/// Words are written with hyphens; where a word is read, underscores count as hyphens.
pub trait Choice: Copy + FromStr<Err = UnknownChoice> + 'static {
    /// What is chosen, as a refusal calls it.
    const NAME: &'static str;
    /// Every value, in order.
    const ALL: &'static [Self];
    /// The word of each value, in the same order.
    const WORDS: &'static [&'static str];
    /// What each value means, in a sentence or two, in the same order.
    const MEANINGS: &'static [&'static str];

    /// The value that a word names.
    ///
    /// # Errors
    /// Any word that is not among [`Choice::WORDS`].
    fn of_word(word: &str) -> Result<Self, UnknownChoice> {
        let named = Self::WORDS
            .iter()
            .zip(Self::ALL)
            .find(|(known, _)| is_word(known, word));
        named
            .map(|(_, choice)| *choice)
            .ok_or_else(|| UnknownChoice {
                name: Self::NAME,
                given: word.chars().take(100).collect(),
                choices: Self::WORDS.join(", "),
            })
    }
}

fn is_word(known: &str, given: &str) -> bool {
    let hyphenated = given
        .bytes()
        .map(|byte| if byte == b'_' { b'-' } else { byte });
    known.len() == given.len() && known.bytes().eq(hyphenated)
}

/// A word that names none of the values of a choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {given:?}; choose one of {choices}")]
pub struct UnknownChoice {
    /// What was to be chosen.
    pub name: &'static str,
    /// What was given.
    pub given: String,
    /// The accepted words.
    pub choices: String,
}

/// Makes a closed choice: `choice!(/// What it is. Name, "name", default First { /// What it means.
/// First = "first", … })`.
#[macro_export]
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        $type:ident, $name:literal $(, default $default:ident)? {
            $($(#[doc = $meaning:literal])+ $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[doc = $meaning])+ $variant,)+ }

        $(impl Default for $type {
            fn default() -> $type {
                $type::$default
            }
        })?

        impl $type {
            /// Every value, in order.
            pub const ALL: &'static [$type] = &[$($type::$variant,)+];

            /// The word of each value, in order.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// The word used in the API, in files, in metrics and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word,)+ }
            }
        }

        impl $crate::choice::Choice for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [$type] = $type::ALL;
            const WORDS: &'static [&'static str] = $type::WORDS;
            const MEANINGS: &'static [&'static str] = &[$(concat!($($meaning),+),)+];
        }

        impl std::str::FromStr for $type {
            type Err = $crate::choice::UnknownChoice;
            fn from_str(word: &str) -> Result<$type, $crate::choice::UnknownChoice> {
                $crate::choice::Choice::of_word(word)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl $crate::choice::json::Serialize for $type {
            fn serialize<S: $crate::choice::json::Serializer>(
                &self,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> $crate::choice::json::Deserialize<'de> for $type {
            fn deserialize<D: $crate::choice::json::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$type, D::Error> {
                $crate::choice::json::read(deserializer)
            }
        }

        impl $crate::choice::json::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($type))
            }

            fn json_schema(_: &mut $crate::choice::json::SchemaGenerator) -> $crate::choice::json::Schema {
                $crate::choice::json::schema::<$type>(concat!($($doc),+))
            }
        }

        $crate::choice_on_the_wire!($type, concat!($($doc),+));
    };
}

/// Nothing: without the feature `wire` choices have no OpenAPI.
#[cfg(not(feature = "wire"))]
#[doc(hidden)]
#[macro_export]
macro_rules! choice_on_the_wire {
    ($type:ident, $doc:expr) => {};
}

/// OpenAPI of a choice.
#[cfg(feature = "wire")]
#[doc(hidden)]
#[macro_export]
macro_rules! choice_on_the_wire {
    ($type:ident, $doc:expr) => {
        impl $crate::choice::wire::PartialSchema for $type {
            fn schema() -> $crate::choice::wire::RefOr<$crate::choice::wire::Schema> {
                $crate::choice::wire::schema::<$type>($doc)
            }
        }

        impl $crate::choice::wire::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($type))
            }
        }
    };
}

/// What the macro's JSON and JSON schema stand on.
#[doc(hidden)]
pub mod json {
    use std::fmt;
    use std::marker::PhantomData;

    pub use schemars::{JsonSchema, Schema, SchemaGenerator};
    pub use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Choice;

    /// Reads the word of a choice.
    pub fn read<'de, D: Deserializer<'de>, T: Choice>(deserializer: D) -> Result<T, D::Error> {
        struct Word<T>(PhantomData<T>);
        impl<T: Choice> serde::de::Visitor<'_> for Word<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<T, E> {
                T::of_word(word).map_err(|unknown| E::unknown_variant(&unknown.given, T::WORDS))
            }
        }
        deserializer.deserialize_str(Word(PhantomData))
    }

    /// An `enum` of the words.
    pub fn schema<T: Choice>(doc: &str) -> Schema {
        schemars::json_schema!({ "type": "string", "enum": T::WORDS, "description": doc.trim() })
    }
}

/// What the macro's OpenAPI stands on.
#[cfg(feature = "wire")]
#[doc(hidden)]
pub mod wire {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    pub use utoipa::openapi::{RefOr, Schema};
    pub use utoipa::{PartialSchema, ToSchema};

    use super::Choice;

    /// An `enum` of the words, with the meaning of each in its description.
    pub fn schema<T: Choice>(doc: &str) -> RefOr<Schema> {
        let meanings = T::WORDS
            .iter()
            .zip(T::MEANINGS)
            .map(|(word, meaning)| format!("\n- `{word}`:{meaning}"));
        let description = format!("{}\n{}", doc.trim(), meanings.collect::<String>());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description))
            .enum_values(Some(T::WORDS.iter().copied()))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Guarantee, OverlapPolicy, TaskState};

    #[test]
    fn words_round_trip_and_name_the_choices() {
        for policy in OverlapPolicy::ALL {
            assert_eq!(policy.as_str().parse::<OverlapPolicy>(), Ok(*policy));
        }
        let error = "maybe".parse::<Guarantee>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "guarantee is \"maybe\"; choose one of at-most-once, at-least-once, exactly-once"
        );
    }

    #[test]
    fn underscores_count_as_hyphens() {
        assert_eq!("buffer_one".parse(), Ok(OverlapPolicy::BufferOne));
        assert_eq!("at_most-once".parse(), Ok(Guarantee::AtMostOnce));
        assert!(
            "bufferone".parse::<OverlapPolicy>().is_err()
                && "Skip".parse::<OverlapPolicy>().is_err()
        );
    }

    #[test]
    fn every_word_has_hyphens_and_a_place() {
        for (state, word) in TaskState::ALL.iter().zip(TaskState::WORDS) {
            assert_eq!(state.as_str(), *word);
        }
        assert!(OverlapPolicy::WORDS.iter().all(|word| !word.contains('_')));
    }
}
