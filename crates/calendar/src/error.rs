//! The parse error: where, how long, and what would have been right.

use std::fmt;

/// Why a text is no cron expression, and where.
///
/// [`Display`](fmt::Display) gives one line; [`render`](CronParseError::render) a picture of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronParseError {
    /// Where the fault begins: 1 is the first character of the text as it was given.
    pub column: usize,
    /// How many characters the fault spans, at least 1.
    pub length: usize,
    /// What is wrong and, where it can be said, what would be right.
    pub message: String,
}

impl CronParseError {
    pub(crate) fn new(column: usize, length: usize, message: impl Into<String>) -> CronParseError {
        CronParseError {
            column,
            length: length.max(1),
            message: message.into(),
        }
    }

    /// The same error in a text that has `columns` more characters in front.
    pub(crate) fn moved_right(mut self, columns: usize) -> CronParseError {
        self.column += columns;
        self
    }

    /// The expression with carets under the fault and the message beside them: two lines, no
    /// newline at the end.
    ///
    /// `expression` is the text that was parsed. Control characters are shown as `?` and a long
    /// text is cut around the fault, so that the carets stand where they should on any terminal.
    #[must_use]
    pub fn render(&self, expression: &str) -> String {
        /// Characters shown before the fault, and the most carets.
        const CONTEXT: usize = 40;
        let skipped = if self.column > 2 * CONTEXT {
            self.column - CONTEXT
        } else {
            0
        };
        let shown: String = expression
            .chars()
            .skip(skipped)
            .take(self.column - skipped + 2 * CONTEXT)
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        let indent = " ".repeat(self.column - skipped - 1);
        let carets = "^".repeat(self.length.clamp(1, CONTEXT));
        format!("{shown}\n{indent}{carets} {}", self.message)
    }
}

impl fmt::Display for CronParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl std::error::Error for CronParseError {}
