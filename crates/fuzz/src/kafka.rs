//! Records of Kafka, as any producer writes them.

use minutehand_ingress::egress;
use minutehand_ingress::{Header, Input, Understood, understand};
use minutehand_model::{LogOffset, PartitionId, Timestamp};
use minutehand_record::{QueueNames, command};

/// A line between the headers and the value.
const END_OF_HEADERS: &[u8] = b"\n\n";
/// Most headers that are tried: more are refused by the broker's size limit.
const HEADERS_MAX: usize = 80;

/// A command in JSON.
pub(crate) fn json(bytes: &[u8]) {
    let content_type: Header<'_> = ("content-type", Some(b"application/json"));
    understood(Some(bytes), &[content_type]);
}

/// `name:value` lines as headers, an empty line, and the value: a command in any form, and an
/// execution as workers read it.
pub(crate) fn headers(bytes: &[u8]) {
    let (head, value) = match bytes
        .windows(END_OF_HEADERS.len())
        .position(|two| two == END_OF_HEADERS)
    {
        Some(at) => (&bytes[..at], Some(&bytes[at + END_OF_HEADERS.len()..])),
        None => (bytes, None),
    };
    let lines = head.split(|byte| *byte == b'\n').take(HEADERS_MAX);
    let headers: Vec<Header<'_>> = lines.filter_map(header).collect();
    understood(value, &headers);
    // Whatever an execution's reader answers, it answers.
    drop(egress::read(
        value,
        headers.iter().copied(),
        &mut QueueNames::new(),
    ));
}

fn header(line: &[u8]) -> Option<Header<'_>> {
    let colon = line.iter().position(|byte| *byte == b':');
    let name = std::str::from_utf8(&line[..colon.unwrap_or(line.len())]).ok()?;
    Some((name, colon.map(|colon| &line[colon + 1..])))
}

/// What is understood is a command that its reader can decode, and comes out the same when it is
/// read again.
fn understood(value: Option<&[u8]>, headers: &[Header<'_>]) {
    let input = Input {
        partition: PartitionId::own(3),
        offset: LogOffset::at(7),
        timestamp: Timestamp::from_millis(1_700_000_000_000),
        key: None,
        value,
        headers,
    };
    let outcome = understand(&input);
    assert_eq!(
        outcome,
        understand(&input),
        "a record is understood alike whenever it is read"
    );
    match outcome {
        Ok(Understood::Command(bytes)) => {
            let decoded = command::decode(bytes);
            assert!(
                decoded.is_ok(),
                "what was understood can be decoded: {decoded:?}"
            );
        }
        Ok(Understood::AsItIs) => {}
        Err(refusal) => assert!(!refusal.to_string().is_empty(), "a refusal says why"),
    }
}
