//! What producers write, understood: the seam to whoever knows their formats.

use bytes::Bytes;
use minutehand_model::{LogOffset, PartitionId, Timestamp};

/// A record of the command topic as it lies there.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Its partition.
    pub partition: PartitionId,
    /// Its position.
    pub offset: LogOffset,
    /// When the log took it.
    pub appended_at: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers in order; never empty.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Turns what producers write into encoded commands. It must be a pure function: a successor reads the log again and
/// must come to the same commands.
pub trait Translate: Send + Sync + 'static {
    /// The encoded command, or in one sentence why there is none. Records without headers are commands already and are
    /// not asked about.
    ///
    /// # Errors
    /// The reason, naming the field, the limit and what was given.
    fn translate(&self, record: RawRecord<'_>) -> Result<Bytes, String>;
}

/// Understands encoded commands only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Translate for Native {
    fn translate(&self, record: RawRecord<'_>) -> Result<Bytes, String> {
        let value = record.value.ok_or("it has no value")?;
        Ok(Bytes::copy_from_slice(value))
    }
}
