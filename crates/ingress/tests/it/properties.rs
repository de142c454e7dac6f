//! Whatever comes in: no panic, the same answer again, and what is understood can be decoded.

use minutehand_ingress::{Input, Understood, understand};
use minutehand_model::{LogOffset, PartitionId, Timestamp};
use minutehand_record::command;
use proptest::prelude::*;

use crate::support::{offset, partition};

/// Names that mean something, more often than not.
fn name() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "minutehand-queue",
        "minutehand-delay",
        "minutehand-due-at",
        "minutehand-cron",
        "minutehand-tz",
        "minutehand-id",
        "minutehand-schedule-id",
        "minutehand-retry-base-ms",
        "minutehand-namespace",
        "content-type",
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_minutehandqueue",
        "ce_minutehanddelay",
    ]);
    prop_oneof![4 => words.prop_map(str::to_owned), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    let words = prop::sample::select(vec![
        "q",
        "5s",
        "PT1H",
        "2027-01-01T00:00:00Z",
        "1800000000000",
        "* * * * *",
        "0 0 30 2 *",
        "Europe/Berlin",
        "1.0",
        "application/json",
        "application/cloudevents+json",
        "application/x-protobuf",
        r#"{"queue":"q","delay":5}"#,
        r#"{"cancel":{"id":"a","due_at":"2027-01-01T00:00:00Z"}}"#,
        r#"{"specversion":"1.0","id":"1","source":"s","type":"t","minutehandqueue":"q","minutehanddelay":"1s"}"#,
    ]);
    prop_oneof![
        5 => words.prop_map(|word| Some(word.as_bytes().to_vec())),
        2 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Some),
        1 => Just(None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_record_has_one_answer(
        partition in partition(),
        offset in offset(),
        timestamp_ms in prop_oneof![Just(-1), Just(i64::MIN), Just(i64::MAX), Just(1_795_608_000_000), any::<i64>()],
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        value in value(),
        headers in prop::collection::vec((name(), value()), 0..6),
    ) {
        let headers: Vec<(&str, Option<&[u8]>)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let input = Input {
            partition,
            offset,
            timestamp: Timestamp::from_millis(timestamp_ms),
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        };
        let answer = understand(&input);
        prop_assert_eq!(&understand(&input), &answer);
        match answer {
            Ok(Understood::Command(bytes)) if value.as_deref().is_none_or(|value| !value.starts_with(&[8, 1, 18])) => {
                prop_assert!(command::decode(bytes).is_ok());
            }
            Ok(_) => {}
            Err(refusal) => {
                prop_assert!(refusal.reason.len() < 2_000 && refusal.reason.contains([':', ' ']));
                prop_assert_eq!(command::decode(refusal.stand_in()).unwrap_err().reason, refusal.reason);
            }
        }
    }

    #[test]
    fn noise_is_survived(value in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..12) {
        let framed = [&[1, kind][..], &value].concat();
        for value in [&value, &framed] {
            let input = Input {
                partition: PartitionId::own(0),
                offset: LogOffset::START,
                timestamp: Timestamp::from_millis(0),
                key: None,
                value: Some(value),
                headers: &[],
            };
            if let Ok(Understood::AsItIs) = understand(&input) {
                let _ = command::decode(value.clone().into());
            }
        }
    }
}
