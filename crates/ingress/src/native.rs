//! Commands in the encoding of the scheduler itself: looked at, not decoded.

use bytes::{BufMut, BytesMut};
use minutehand_record::VERSION;
use minutehand_record::command::{KINDS, begins_as_command};

use crate::{Refusal, Understood};

/// The kind byte of a creation.
const CREATE: u8 = 1;
/// How a lone task begins: its version, the first field, and the tag of its namespace. A command of
/// version 8 would begin with 8 and a kind too, but then with the version of a task.
const LONE_TASK: [u8; 3] = [0x08, VERSION, 0x12];

const ACCEPTED: &str = "a command as schema/records.proto describes it, or JSON with content-type: application/json, \
     or the headers minutehand-queue and minutehand-due-at, -delay or -cron";

/// Passes a command on, makes one of a lone task, and refuses what begins like neither.
pub(crate) fn understand(value: Option<&[u8]>) -> Result<Understood, Refusal> {
    match value {
        Some(value) if begins_as_command(value) => Ok(Understood::AsItIs),
        Some(value) if value.starts_with(&LONE_TASK) => {
            let mut buffer = BytesMut::with_capacity(2 + value.len());
            buffer.put_u8(VERSION);
            buffer.put_u8(CREATE);
            buffer.put_slice(value);
            Ok(Understood::Command(buffer.freeze()))
        }
        other => Err(refusal(other)),
    }
}

#[cold]
fn refusal(value: Option<&[u8]>) -> Refusal {
    match value {
        None => Refusal::of("value", "is null (a tombstone)", ACCEPTED, "null"),
        Some([]) => Refusal::of("value", "is empty", ACCEPTED, "nothing"),
        Some([b'{' | b'[' | b'"' | b' ' | b'\n' | b'\t', ..]) => {
            let limit = "JSON needs the header content-type: application/json";
            Refusal::of("value", "looks like JSON", limit, "no content-type")
        }
        Some([VERSION, kind, ..]) => {
            let known = format!("{} to {}", KINDS.start(), KINDS.end());
            Refusal::of(
                "value",
                "has an unknown kind of command",
                &known,
                format!("kind {kind}"),
            )
        }
        Some([version, ..]) => {
            let given = format!("{version:#04x}");
            Refusal::of(
                "value",
                "does not begin as a command of a known version",
                ACCEPTED,
                given,
            )
        }
    }
}
