//! What a Kafka record had that the other fields of a task cannot say.

use bytes::Bytes;

/// The key of the record that an execution becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RecordKey {
    /// The task's id.
    #[default]
    TaskId,
    /// No key at all.
    Null,
    /// These bytes; at most [`RECORD_KEY_BYTES_MAX`](crate::limits::RECORD_KEY_BYTES_MAX).
    Bytes(Bytes),
}

/// What a Kafka record had that the other fields of a task cannot say, so that it is delivered as
/// it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verbatim {
    /// The key.
    pub key: RecordKey,
    /// The value was null, and not merely empty.
    pub value_is_null: bool,
    /// The values of headers that are no text, by their place among the headers, rising; `None`:
    /// null. The header of that place has its name and an empty text.
    pub header_values: Vec<(usize, Option<Bytes>)>,
}

impl Verbatim {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.key == RecordKey::TaskId && !self.value_is_null && self.header_values.is_empty()
    }

    /// The same in the form that tasks carry: nothing where it says nothing.
    pub fn boxed(self) -> Option<Box<Verbatim>> {
        if self.is_empty() {
            None
        } else {
            Some(Box::new(self))
        }
    }
}

/// Names and values of headers as bytes, in order; `None`: null.
pub fn header_bytes<'a>(
    headers: &'a [(String, String)],
    verbatim: Option<&'a Verbatim>,
) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
    let mut values = verbatim
        .map_or(&[][..], |verbatim| &verbatim.header_values)
        .iter()
        .peekable();
    headers
        .iter()
        .enumerate()
        .map(
            move |(place, (name, text))| match values.next_if(|(other, _)| *other == place) {
                Some((_, value)) => (name.as_str(), value.as_deref()),
                None => (name.as_str(), Some(text.as_bytes())),
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_text_stand_in_their_places() {
        let header = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let headers = [
            header("a", "1"),
            header("b", ""),
            header("a", ""),
            header("c", "3"),
        ];
        let verbatim = Verbatim {
            header_values: vec![(1, Some(Bytes::from_static(b"\xff"))), (2, None)],
            ..Verbatim::default()
        };
        let found: Vec<_> = header_bytes(&headers, Some(&verbatim)).collect();
        let expected: [(&str, Option<&[u8]>); 4] = [
            ("a", Some(b"1")),
            ("b", Some(b"\xff")),
            ("a", None),
            ("c", Some(b"3")),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            header_bytes(&headers, None)
                .filter(|(_, value)| value.is_some())
                .count(),
            4
        );
    }
}
