//! What goes in comes out.

use bytes::Bytes;
use minutehand_model::{Command, Fact, LogOffset};
use minutehand_record::{QueueNames, block, command, publication, task};
use proptest::prelude::*;

use crate::codecs;
use crate::values::Values;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_survives_the_round_trip(seed in any::<u64>()) {
        for codec in codecs::all() {
            let (text, bytes) = (codec.sample)(&mut Values(seed));
            prop_assert_eq!((codec.decode)(&bytes).unwrap(), text, "{}", codec.name);
        }
    }

    #[test]
    fn the_partial_reads_agree_with_the_whole(seed in any::<u64>()) {
        let mut values = Values(seed);
        let whole = if values.flag() { values.urgent_task() } else { values.keyed_task() };
        let record = task::record(&whole);
        prop_assert_eq!(&task::decode(&record.encoded).unwrap(), &whole);
        prop_assert_eq!(&task::read_record(record.encoded.clone()).unwrap(), &record);
        prop_assert_eq!(
            task::name(&record.encoded).unwrap(),
            task::Name {
                namespace: whole.namespace,
                id: whole.id,
                order_key: whole.order_key,
            }
        );
        let block = values.block();
        let header = block::header(&block::encode(&block)).unwrap();
        let creates = block.entries.iter().filter(|entry| matches!(entry.fact, Fact::Runs(_))).count();
        prop_assert_eq!(header.entries as usize, block.entries.len());
        prop_assert_eq!(header.creates as usize, creates);
        prop_assert_eq!(header.first_due, block.first_due());
        prop_assert_eq!(header.last_due, block.entries.last().unwrap().due);
        prop_assert_eq!(
            (header.bucket, header.first_offset, header.last_offset),
            (block.bucket, block.first_offset, block.last_offset)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_task_is_its_head_and_its_payload(seed in any::<u64>()) {
        let whole = Values(seed).chained_task();
        let encoded = task::encode(&whole);
        let parts = task::Parts::read(&encoded).unwrap();
        prop_assert_eq!(parts.namespace, whole.namespace.as_str());
        prop_assert_eq!(parts.id, whole.id.as_str());
        prop_assert_eq!((parts.due, parts.attempt), (whole.due, whole.attempt));
        prop_assert_eq!(parts.payload, &whole.payload[..]);
        let headers: Vec<_> = parts.headers.iter().map(|header| (header.name, header.value)).collect();
        prop_assert_eq!(headers, whole.header_bytes().collect::<Vec<_>>());
        prop_assert_eq!(task::with_payload(&parts.head(), parts.payload), encoded.clone());
        // Somebody else may write the payload first.
        let split = parts.head().len();
        let turned: Bytes = [&encoded[split..], &encoded[..split]].concat().into();
        let parts = task::Parts::read(&turned).unwrap();
        prop_assert_eq!(task::decode(&task::with_payload(&parts.head(), parts.payload)).unwrap(), whole);
    }
}

/// Whether a part lies in the memory of the whole.
fn is_slice_of(part: &Bytes, whole: &Bytes) -> bool {
    let whole = whole.as_ptr_range();
    whole.contains(&part.as_ptr())
}

#[test]
fn creations_and_publications_are_decoded_without_a_copy() {
    let mut values = Values(1);
    let record = values.record();
    let bytes = command::encode(&Command::Create(record.clone()));
    assert_eq!(&bytes[..2], &[1, 1], "version and kind");
    assert_eq!(
        &bytes[2..],
        &record.encoded[..],
        "the task's own bytes follow"
    );
    let mut names = QueueNames::new();
    let Command::Create(decoded) = command::decode_sharing(bytes.clone(), &mut names).unwrap()
    else {
        panic!("a creation");
    };
    assert!(is_slice_of(&decoded.encoded, &bytes));

    let (header, mut publications, _) = values.batch();
    publications.push(minutehand_model::Publication {
        offset: LogOffset::at(1),
        task: record,
    });
    let bytes = publication::encode_batch(&header, &publications.iter().collect::<Vec<_>>(), &[]);
    let batch = publication::decode_batch(&bytes).unwrap();
    assert!(
        batch
            .items
            .iter()
            .all(|item| is_slice_of(&item.encoded, &bytes))
    );

    let mut task = values.task();
    task.payload = Bytes::from_static(b"opaque");
    let encoded = task::encode(&task);
    assert!(is_slice_of(
        &task::decode(&encoded).unwrap().payload,
        &encoded
    ));
}
