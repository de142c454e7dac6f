//! Cursors of listings: opaque to callers, bound to the question they belong to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minutehand_node::InvalidField;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The text of a cursor for a position in the listing that `question` describes.
pub(crate) fn write<T: Serialize>(question: &[&str], position: &T) -> String {
    let position = serde_json::to_string(position).unwrap_or_default();
    let check = fingerprint(question, &position);
    URL_SAFE_NO_PAD.encode(format!("1{check:016x}{position}"))
}

/// The position of a cursor.
///
/// # Errors
/// When the text is no cursor, or belongs to another question.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(
    question: &[&str],
    text: &str,
) -> Result<T, InvalidField> {
    let refused = || {
        let limit = "a cursor from an answer to the same question";
        InvalidField::new("cursor", "is not valid here", limit, text)
    };
    let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
    let decoded = String::from_utf8(decoded).map_err(|_| refused())?;
    let (head, position) = decoded.split_at_checked(17).ok_or_else(refused)?;
    if head != format!("1{:016x}", fingerprint(question, position)) {
        return Err(refused());
    }
    serde_json::from_str(position).map_err(|_| refused())
}

fn fingerprint(question: &[&str], position: &str) -> u64 {
    let mut text = Vec::new();
    for part in question.iter().chain([&position]) {
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    xxh3_64(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_by_its_own_question_only() {
        let cursor = write(&["tasks", "default", ""], &(17_i64, "a"));
        assert_eq!(
            read::<(i64, String)>(&["tasks", "default", ""], &cursor),
            Ok((17, "a".to_owned()))
        );
        for question in [
            ["tasks", "other", ""],
            ["tasks", "default", "x"],
            ["schedules", "default", ""],
        ] {
            assert!(read::<(i64, String)>(&question, &cursor).is_err());
        }
        for forged in [
            "AAAA",
            "%%%",
            "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA",
            &cursor[1..],
            "💥",
        ] {
            let error = read::<(i64, String)>(&["tasks", "default", ""], forged).unwrap_err();
            assert_eq!(
                (error.field.as_str(), error.given.as_str()),
                ("cursor", forged)
            );
        }
    }
}
