//! Bytes that are not what they should be: an error that says so, never a panic.

use bytes::{BufMut, Bytes, BytesMut};
use minutehand_model::{Command, PartitionId};
use minutehand_record::{block, command, publication, task};

use crate::codecs;
use crate::values::Values;

const SEEDS: u64 = 12;

#[test]
fn checksums_detect_every_truncation_and_nothing_panics() {
    for codec in codecs::all() {
        for seed in 0..SEEDS {
            let (_, bytes) = (codec.sample)(&mut Values(seed));
            for length in 0..bytes.len() {
                let decoded = (codec.decode)(&bytes.slice(..length));
                assert!(
                    decoded.is_err() || !codec.checksummed,
                    "{} {seed} cut to {length}",
                    codec.name
                );
            }
            assert!(
                (codec.decode)(&Bytes::new()).is_err(),
                "{} of no bytes",
                codec.name
            );
        }
    }
}

#[test]
fn checksums_detect_every_flipped_bit_and_nothing_panics() {
    for codec in codecs::all() {
        for seed in 0..SEEDS {
            let (_, bytes) = (codec.sample)(&mut Values(seed));
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let decoded = (codec.decode)(&Bytes::from(damaged));
                assert!(
                    decoded.is_err() || !codec.checksummed,
                    "{} {seed} bit {bit}",
                    codec.name
                );
            }
        }
    }
}

#[test]
fn noise_is_survived() {
    let mut values = Values(7);
    for codec in codecs::all() {
        for _ in 0..2_000 {
            let mut noise = BytesMut::from(&values.bytes(80)[..]);
            if noise.len() > codec.version_at && values.flag() {
                noise[codec.version_at] = 1;
            }
            drop((codec.decode)(&noise.freeze()));
        }
    }
}

#[test]
fn a_later_version_is_refused_by_its_number() {
    for codec in codecs::all() {
        let (_, bytes) = (codec.sample)(&mut Values(3));
        let mut later = bytes.to_vec();
        later[codec.version_at] = 7;
        let error = (codec.decode)(&Bytes::from(later)).unwrap_err().to_string();
        assert!(
            error.ends_with("unknown version 7 (this build knows 1)"),
            "{}: {error}",
            codec.name
        );
    }
}

#[test]
fn bytes_behind_the_end_of_a_checksummed_record_are_refused() {
    for codec in codecs::all().iter().filter(|codec| codec.checksummed) {
        let (_, bytes) = (codec.sample)(&mut Values(3));
        let longer = [&bytes[..], b"x"].concat();
        assert!(
            (codec.decode)(&Bytes::from(longer)).is_err(),
            "{}",
            codec.name
        );
    }
}

/// A creation around the fields of a task.
fn creation(fields: &[(u32, &[u8])]) -> Bytes {
    let mut buffer = BytesMut::from(&[1, 1][..]);
    for (number, bytes) in fields {
        match number {
            1 | 5..=9 => {
                buffer.put_u8((*number as u8) << 3);
                buffer.put_slice(bytes);
            }
            _ => {
                buffer.put_u8((*number as u8) << 3 | 2);
                buffer.put_u8(bytes.len() as u8);
                buffer.put_slice(bytes);
            }
        }
    }
    buffer.freeze()
}

fn refusal(bytes: Bytes) -> String {
    command::decode(bytes).unwrap_err().to_string()
}

#[test]
fn a_refused_creation_says_what_is_wrong_with_it() {
    let good: [(u32, &[u8]); 5] = [
        (1, &[1]),
        (2, b"default"),
        (3, b"t-1"),
        (4, b"mail"),
        (5, &[2]),
    ];
    let with = |change: (u32, &'static [u8])| {
        let mut fields = good.to_vec();
        fields.push(change);
        creation(&fields)
    };
    assert!(matches!(
        command::decode(creation(&good)),
        Ok(Command::Create(_))
    ));
    assert!(matches!(
        command::decode(with((15, b"a field of a later release"))),
        Ok(Command::Create(_))
    ));
    let cases: [((u32, &'static [u8]), &str); 7] = [
        (
            (2, b"a b"),
            "command: task: namespace has ' ' at position 2",
        ),
        ((3, b"\xff\xfe"), "command: task: id is not valid UTF-8"),
        ((4, b""), "command: task: queue is empty"),
        (
            (6, &[9]),
            "command: task: guarantee has the unknown number 9",
        ),
        (
            (7, &[0x80, 1]),
            "command: task: precision has the unknown number 128",
        ),
        (
            (5, &[0xff; 11]),
            "command: task: a varint does not fit 64 bits",
        ),
        (
            (5, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            "command: task: due_ms is -36028797018963968 ms",
        ),
    ];
    for (change, message) in cases {
        let given = refusal(with(change));
        assert!(given.starts_with(message), "{given} instead of {message}");
    }
    assert_eq!(
        refusal(creation(&good[..4])),
        "command: task: due_ms is missing"
    );
    assert_eq!(
        refusal(Bytes::from_static(&[1, 200])),
        "command: unknown kind 200"
    );
    assert_eq!(
        refusal(Bytes::from_static(&[1])),
        "command: the bytes end before its kind"
    );
    assert_eq!(
        refusal(Bytes::from_static(&[1, 1, 0x22, 0x05, b'm'])),
        "command: task: the bytes end too early"
    );
    let number_as_text = [&creation(&good)[..], &[0x2a, 1, b'x']].concat();
    assert_eq!(
        refusal(Bytes::from(number_as_text)),
        "command: task: due_ms has the wrong wire type"
    );
}

#[test]
fn a_payload_above_the_limit_is_refused_with_the_limit() {
    let mut task = Values(5).task();
    task.payload = vec![0; 256 * 1024 + 1].into();
    assert_eq!(
        task::decode(&task::encode(&task)).unwrap_err().to_string(),
        "task: payload is 262145 bytes long; at most 262144 are allowed"
    );
}

#[test]
fn counts_that_cannot_be_true_cost_no_memory() {
    let mut values = Values(9);
    let mut bytes = block::encode(&values.block()).to_vec();
    bytes[56..60].copy_from_slice(&u32::MAX.to_le_bytes());
    let crc = crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    let error = block::decode(PartitionId::own(7), &bytes)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("block: it claims 4294967295 bytes in"),
        "{error}"
    );

    let (header, publications, _) = values.batch();
    let mut bytes =
        publication::encode_batch(&header, &publications.iter().collect::<Vec<_>>(), &[]).to_vec();
    bytes[44..48].copy_from_slice(&u32::MAX.to_le_bytes());
    let crc = crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    let error = publication::decode_batch(&bytes.into())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("publication batch: it claims 4294967295 publications"),
        "{error}"
    );
}

/// CRC-32C bit by bit, as an oracle that shares nothing with the crate in use.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}
