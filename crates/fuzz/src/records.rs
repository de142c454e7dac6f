//! Stored records: the first byte chooses which, the rest is the record.

use std::fmt::Debug;

use bytes::Bytes;
use minutehand_record::{
    DecodeError, checkpoint, command, dead_letter, last_word, outcome, revision, schedule_state,
    set_aside, task,
};

/// What can be decoded is the same after it was encoded and decoded again.
pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, record)) = bytes.split_first() else {
        return;
    };
    let record = Bytes::copy_from_slice(record);
    match kind % 9 {
        0 => again(
            &record,
            |bytes| command::decode(bytes.clone()),
            command::encode,
        ),
        1 => again(&record, task::decode, task::encode),
        2 => again(&record, checkpoint::decode, checkpoint::encode),
        3 => again(&record, dead_letter::decode, dead_letter::encode),
        4 => again(&record, outcome::decode, outcome::encode),
        5 => again(&record, revision::decode, revision::encode),
        6 => again(&record, schedule_state::decode, schedule_state::encode),
        7 => again(&record, last_word::decode, last_word::encode),
        _ => again(&record, set_aside::decode, set_aside::encode),
    }
}

fn again<T: PartialEq + Debug>(
    record: &Bytes,
    decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Bytes,
) {
    let Ok(value) = decode(record) else { return };
    let encoded = encode(&value);
    assert_eq!(
        decode(&encoded).as_ref(),
        Ok(&value),
        "it is the same after one more round"
    );
    assert_eq!(encode(&value), encoded, "its bytes are always the same");
}
