//! Blocks of the timetable and batches of executions. Their checksum is put right first: damage
//! that it does not see.

use bytes::Bytes;
use minutehand_model::PartitionId;
use minutehand_record::{block, publication};

/// Magic, version and checksum.
const HEAD_BYTES: usize = 8;

/// What can be decoded is the same after it was encoded and decoded again.
pub(crate) fn run(bytes: &[u8]) {
    drop(block::decode(PartitionId::own(0), bytes));
    drop(publication::decode_batch(&Bytes::copy_from_slice(bytes)));
    if bytes.len() < HEAD_BYTES {
        return;
    }
    let mut mended = bytes.to_vec();
    let crc = crc32c::crc32c(&mended[HEAD_BYTES..]);
    mended[4..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
    let partition = PartitionId::own(0);
    if let Ok(found) = block::decode(partition, &mended) {
        let header = block::header(&mended).map(|header| header.entries as usize);
        assert_eq!(
            header,
            Ok(found.entries.len()),
            "the header counts the entries"
        );
        assert_eq!(
            block::decode(partition, &block::encode(&found)).as_ref(),
            Ok(&found),
            "one more round"
        );
    }
    drop(publication::decode_batch(&mended.into()));
}
