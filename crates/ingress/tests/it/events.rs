//! CloudEvents, in and as they came.

use crate::support::{Record, check, record};

fn binary<'a>() -> Record<'a> {
    record("data")
        .with("ce_specversion", "1.0")
        .with("ce_id", "e-1")
        .with("ce_source", "/orders")
        .with("ce_type", "order.placed")
}

fn structured(text: &str) -> Record<'_> {
    record(text).with(
        "content-type",
        "application/cloudevents+json; charset=UTF-8",
    )
}

const EVENT: &str =
    r#""specversion":"1.0","id":"e-1","source":"https://shop.example/a b","type":"t""#;

#[test]
fn a_binary_event_is_delivered_with_its_own_attributes() {
    check(
        &binary()
            .with("ce_minutehandqueue", "mail")
            .with("ce_minutehanddelay", "PT1M")
            .with("ce_minutehandretrymaxattempts", "2")
            .with("content-type", "text/plain"),
        "create default/e-1~/orders -> mail at 2026-11-25T12:01:00Z retry Exponentialx2, key k, value data, \
         ce_specversion=1.0, ce_id=e-1, ce_source=/orders, ce_type=order.placed, content-type=text/plain",
    );
    // The headers that any record may have will do as well.
    check(
        &binary()
            .with("minutehand-queue", "q")
            .with("minutehand-due-at", "1800000000000")
            .with("minutehand-id", "x"),
        "create default/x -> q at 2027-01-15T08:00:00Z, key k, value data, ce_specversion=1.0, ce_id=e-1, \
         ce_source=/orders, ce_type=order.placed",
    );
    check(
        &binary()
            .with("ce_minutehandqueue", "q")
            .with("ce_minutehandcron", "@daily")
            .with("ce_minutehandtz", "Asia/Tokyo"),
        "revise default/e-1~/orders #1 [@daily Asia/Tokyo vixie] -> q, key k, value data, ce_specversion=1.0, \
         ce_id=e-1, ce_source=/orders, ce_type=order.placed",
    );
}

#[test]
fn a_structured_event_is_delivered_byte_for_byte() {
    let event = format!(
        r#"{{{EVENT},"minutehandqueue":"q","minutehanddelay":5,"data":{{"a":[1,{{}}]}},"other":true}}"#
    );
    let told = structured(&event)
        .command()
        .map(|command| crate::support::told(&command))
        .unwrap();
    // Its source has characters that ids cannot have.
    assert!(told.starts_with("create default/~"), "{told}");
    assert!(
        told.contains(" -> q at 2026-11-25T12:00:05Z, key k, value {\\\"specversion"),
        "{told}"
    );
    assert!(
        told.ends_with("content-type=application/cloudevents+json; charset=UTF-8"),
        "{told}"
    );
}

#[test]
fn the_same_event_is_the_same_task() {
    let event = binary()
        .with("minutehand-queue", "q")
        .with("minutehand-due-at", "1800000000000");
    let mut again = event.clone();
    again.timestamp_ms += 5_000;
    assert_eq!(event.command(), again.command());
    let ids: Vec<String> = [
        ("a", "b"),
        ("a~b", "c"),
        ("a", "b~c"),
        ("ab", ""),
        ("é", "b"),
        ("a", &"x".repeat(300)),
    ]
    .into_iter()
    .filter_map(|(id, source)| {
        let event = record("")
            .with("ce_specversion", "1.0")
            .with("ce_id", id)
            .with("ce_source", source)
            .with("ce_type", "t")
            .with("minutehand-queue", "q")
            .with("minutehand-due-at", "1800000000000");
        event
            .command()
            .ok()
            .map(|command| crate::support::told(&command))
    })
    .collect();
    assert_eq!(ids.len(), 5);
    assert_eq!(
        ids.iter().collect::<std::collections::BTreeSet<_>>().len(),
        5,
        "{ids:#?}"
    );
}

#[test]
fn a_refused_event_says_which_attribute_and_why() {
    let needs = "required by CloudEvents 1.0, given nothing";
    let no_source = record("")
        .with("ce_specversion", "1.0")
        .with("ce_id", "1")
        .with("ce_type", "t");
    check(
        &no_source,
        &format!("refused: ce_source: is missing; {needs}"),
    );
    check(
        &binary().with("ce_id", "again"),
        "refused: ce_id: is given twice; at most once, given more",
    );
    check(
        &record("").with("ce_specversion", "0.3").with("ce_id", "1"),
        "refused: ce_specversion: is not a version that is understood; 1.0, given 0.3",
    );
    check(
        &binary(),
        "refused: minutehand-queue: is missing; required of a record that is to be delivered, given nothing",
    );
    check(
        &binary()
            .with("ce_minutehandqueue", "q")
            .with("ce_minutehanddelay", "soon"),
        "refused: ce_minutehanddelay: is not a duration; a number of seconds, a sum such as 90s, 5m or 1h30m (w, d, h, \
         m, s, ms), or ISO 8601 such as PT5M, given soon",
    );
    let reason = binary()
        .with("ce_minutehandfoo", "q")
        .command()
        .unwrap_err();
    assert!(
        reason.starts_with("ce_minutehandfoo: is not an attribute that the scheduler knows"),
        "{reason}"
    );
    check(
        &binary()
            .with("ce_minutehandqueue", "q")
            .with("minutehand-queue", "r"),
        "refused: ce_minutehandqueue: is given twice; at most once, given \"r\" and \"q\"",
    );
    let cases = [
        ("".to_owned(), "the body is empty"),
        (
            "[]".to_owned(),
            "the body is not a JSON object but an array",
        ),
        (
            format!("{{{EVENT},\"id\":\"2\"}}"),
            "id: duplicate field `id`",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"s"}"#.to_owned(),
            "type: is missing",
        ),
        (
            r#"{"specversion":1.0}"#.to_owned(),
            "specversion: is not a string",
        ),
        (
            format!("{{{EVENT},\"minutehandqueue\":null}}"),
            "minutehandqueue: is neither text nor number",
        ),
        (
            format!("{{{EVENT},\"minutehandqueue\":\"q\",\"minutehanddelay\":\"x\"}}"),
            "minutehanddelay: is not a duration",
        ),
    ];
    for (event, reason) in cases {
        let found = structured(&event).command().unwrap_err();
        assert!(found.starts_with(reason), "{event}\n{found}");
    }
    let batch = record("[]").with("content-type", "application/cloudevents-batch+json");
    assert!(batch.command().is_err());
}
