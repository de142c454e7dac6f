//! Records as released versions wrote them, kept as files: they are read for ever, and written the
//! same until the version number changes.
//!
//! `UPDATE_FIXTURES=1` writes them anew; for a version that was released, that is a mistake.

use std::path::PathBuf;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codecs;
use crate::values::Values;

/// Records in a file of fixtures, each from its own seed.
const RECORDS: u64 = 24;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/v1")
        .join(format!("{name}.bin"))
}

#[test]
fn version_1_is_written_and_read_as_it_always_was() {
    for codec in codecs::all() {
        let samples: Vec<(String, Bytes)> = (0..RECORDS)
            .map(|seed| (codec.sample)(&mut Values(seed)))
            .collect();
        let mut file = BytesMut::new();
        for (_, bytes) in &samples {
            file.put_u32(bytes.len() as u32);
            file.put_slice(bytes);
        }
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(path(codec.name), &file).unwrap();
        }
        let mut stored = Bytes::from(std::fs::read(path(codec.name)).unwrap());
        for (seed, (text, bytes)) in samples.iter().enumerate() {
            let length = u32::from_be_bytes(stored.split_to(4)[..].try_into().unwrap());
            let record = stored.split_to(length as usize);
            assert_eq!(
                &(codec.decode)(&record).unwrap(),
                text,
                "{} {seed} is read differently",
                codec.name
            );
            // Another release of the compressor may choose other bytes for the same content.
            if codec.name != "block" {
                assert_eq!(
                    &record, bytes,
                    "{} {seed} is written differently",
                    codec.name
                );
            }
        }
        assert!(
            stored.is_empty(),
            "{} has more records than were compared",
            codec.name
        );
    }
}
