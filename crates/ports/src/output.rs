//! Records that a run leaves for others to read.

use std::fmt;

use bytes::Bytes;
use minutehand_model::TopicName;
use minutehand_model::limits::{
    HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX, OUTPUT_BYTES_MAX,
    OUTPUT_RECORDS_MAX, RECORD_KEY_BYTES_MAX,
};

/// A record that a run leaves. It becomes durable in one step with the run's settlement, or not at
/// all: whoever reads committed records alone finds it once, however often the run was tried.
#[derive(Clone, PartialEq, Eq)]
pub struct OutputRecord {
    /// Where it goes. The topic must exist, and must be none of the scheduler's own.
    pub topic: TopicName,
    /// Decides the topic's partition, as producers in Java decide it; any when there is none. At
    /// most [`RECORD_KEY_BYTES_MAX`] bytes.
    pub key: Option<Bytes>,
    /// The record's value.
    pub value: Bytes,
    /// Headers, as many and as long as those of a task.
    pub headers: Vec<(String, Bytes)>,
}

/// Payloads may be secret.
impl fmt::Debug for OutputRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputRecord")
            .field("topic", &self.topic)
            .field("value_bytes", &self.value.len())
            .finish_non_exhaustive()
    }
}

/// A record that a run may not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The run has left as many as it may.
    #[error("a run leaves at most {OUTPUT_RECORDS_MAX} records")]
    Count,
    /// All of them together are too large.
    #[error(
        "the records of a run have at most {OUTPUT_BYTES_MAX} bytes together; these have {bytes}"
    )]
    Bytes {
        /// What they would have.
        bytes: usize,
    },
    /// The key is too long.
    #[error("a record's key has at most {RECORD_KEY_BYTES_MAX} bytes; this one has {bytes}")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// The headers are too many, or one is too long.
    #[error(
        "a record has at most {HEADERS_MAX} headers, with names up to {HEADER_NAME_BYTES_MAX} and values up to \
         {HEADER_VALUE_BYTES_MAX} bytes"
    )]
    Headers,
}

/// The records that one run leaves, within their limits, and its result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    records: Vec<OutputRecord>,
    bytes: usize,
}

impl Output {
    /// Adds a record.
    ///
    /// # Errors
    /// The limit that it breaks; then it is not added.
    pub fn push(&mut self, record: OutputRecord) -> Result<(), OutputError> {
        record.check()?;
        if self.records.len() >= OUTPUT_RECORDS_MAX {
            return Err(OutputError::Count);
        }
        let bytes = self.bytes + record.bytes();
        if bytes > OUTPUT_BYTES_MAX {
            return Err(OutputError::Bytes { bytes });
        }
        self.bytes = bytes;
        self.records.push(record);
        Ok(())
    }

    /// With the record of the run's result, for which there is room beside all others.
    pub fn with_result(mut self, record: OutputRecord) -> Output {
        self.bytes += record.bytes();
        self.records.push(record);
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records, in the order in which they were added.
    pub fn records(&self) -> &[OutputRecord] {
        &self.records
    }

    /// What they weigh: keys, values and headers.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl OutputRecord {
    fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Bytes::len) + self.value.len() + headers
    }

    fn check(&self) -> Result<(), OutputError> {
        if let Some(key) = &self.key
            && key.len() > RECORD_KEY_BYTES_MAX
        {
            return Err(OutputError::Key { bytes: key.len() });
        }
        let fits = |(name, value): &(String, Bytes)| {
            name.len() <= HEADER_NAME_BYTES_MAX && value.len() <= HEADER_VALUE_BYTES_MAX
        };
        if self.headers.len() > HEADERS_MAX || !self.headers.iter().all(fits) {
            return Err(OutputError::Headers);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value_bytes: usize) -> OutputRecord {
        OutputRecord {
            topic: TopicName::parse("results").unwrap(),
            key: None,
            value: vec![b'x'; value_bytes].into(),
            headers: Vec::new(),
        }
    }

    #[test]
    fn a_run_leaves_so_many_bytes_and_no_more() {
        let mut output = Output::default();
        output.push(record(OUTPUT_BYTES_MAX)).unwrap();
        let refused = output.push(record(1));
        let bytes = OUTPUT_BYTES_MAX + 1;
        assert_eq!(refused, Err(OutputError::Bytes { bytes }));
        assert_eq!(output.records().len(), 1);
    }

    #[test]
    fn a_run_leaves_so_many_records_and_no_more() {
        let mut output = Output::default();
        for _ in 0..OUTPUT_RECORDS_MAX {
            output.push(record(1)).unwrap();
        }
        assert_eq!(output.push(record(1)), Err(OutputError::Count));
    }

    #[test]
    fn keys_and_headers_have_limits() {
        let mut output = Output::default();
        let bytes = RECORD_KEY_BYTES_MAX + 1;
        let key = OutputRecord {
            key: Some(vec![0; bytes].into()),
            ..record(1)
        };
        assert_eq!(output.push(key), Err(OutputError::Key { bytes }));
        let headers = OutputRecord {
            headers: vec![("a".to_owned(), Bytes::new()); HEADERS_MAX + 1],
            ..record(1)
        };
        assert_eq!(output.push(headers), Err(OutputError::Headers));
        assert!(output.is_empty());
    }

    #[test]
    fn a_value_is_not_told() {
        let told = format!("{:?}", record(3));
        assert!(!told.contains("xxx"), "{told}");
    }
}
