//! A value that was refused: the field, the limit and what was given.

/// A value that was refused: the field, the limit and what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}; {limit}, given {given}")]
pub struct InvalidField {
    /// The field as the caller wrote it: `retry.base_ms`.
    pub field: String,
    /// What is wrong, in a few words.
    pub reason: String,
    /// What would be accepted.
    pub limit: String,
    /// What was given, shortened.
    pub given: String,
    /// The value is refused for its size.
    pub too_large: bool,
}

impl InvalidField {
    /// A refused value. `given` is cut to a hundred characters; when empty it reads `nothing`.
    pub fn new(
        field: impl Into<String>,
        reason: impl Into<String>,
        limit: impl Into<String>,
        given: impl std::fmt::Display,
    ) -> InvalidField {
        let given = given.to_string();
        let given = if given.is_empty() {
            "nothing".to_owned()
        } else {
            shortened(&given)
        };
        InvalidField {
            field: field.into(),
            reason: reason.into(),
            limit: limit.into(),
            given,
            too_large: false,
        }
    }

    /// The same, refused for its size.
    #[must_use]
    pub fn for_its_size(mut self) -> InvalidField {
        self.too_large = true;
        self
    }
}

/// At most a hundred characters of a text.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 100;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A word that is none of those that a field takes.
pub(crate) fn not_a_choice(field: &str, words: &[&str], given: &str) -> InvalidField {
    InvalidField::new(
        field,
        "is not a choice",
        format!("one of {}", words.join(", ")),
        given,
    )
}
