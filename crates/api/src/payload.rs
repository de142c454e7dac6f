//! Payloads: JSON in a `payload` field, or bytes in `payload_base64`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::InvalidField;
use crate::json::payload_bytes;

/// The bytes that a body's two fields stand for; empty when neither is given.
///
/// # Errors
/// When both are given, when the text is no Base64, and when the JSON is nested too deeply.
pub fn body_of(payload: Option<&RawValue>, base64: Option<&str>) -> Result<Bytes, InvalidField> {
    match (payload, base64) {
        (None, None) => Ok(Bytes::new()),
        (Some(payload), None) => payload_bytes(payload),
        (None, Some(base64)) => STANDARD.decode(base64).map(Bytes::from).map_err(|error| {
            let limit = "Base64 with the standard alphabet and padding (RFC 4648, section 4)";
            InvalidField::new("payload_base64", error.to_string(), limit, base64)
        }),
        (Some(_), Some(_)) => {
            let limit = "one of payload and payload_base64";
            Err(InvalidField::new(
                "payload_base64",
                "is given beside payload",
                limit,
                "both",
            ))
        }
    }
}

/// A payload on its way out: as text when it is UTF-8, else as Base64; neither when there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payload {
    /// The payload as text. JSON that was sent as a payload comes back as the text it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The payload in Base64, when it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Byte)]
    pub payload_base64: Option<String>,
}

impl From<&Bytes> for Payload {
    fn from(payload: &Bytes) -> Payload {
        match std::str::from_utf8(payload) {
            Ok(text) => Payload {
                payload: Some(text.to_owned()),
                payload_base64: None,
            },
            Err(_) => Payload {
                payload: None,
                payload_base64: Some(STANDARD.encode(payload)),
            },
        }
    }
}
