//! Numbers, times and keys as text, written into a buffer that is used again and again.

use minutehand_model::{LogGeneration, LogOffset, Timestamp};

/// Writes a number in decimal.
pub(super) fn put_number(buffer: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    buffer.extend_from_slice(&digits[at..]);
}

/// Writes an offset as [`LogOffset::parse`] reads it.
pub(super) fn put_offset(buffer: &mut Vec<u8>, offset: LogOffset) {
    if offset.generation() != LogGeneration::FIRST {
        put_number(buffer, u64::from(offset.generation().number()));
        buffer.push(b'/');
    }
    put_number(buffer, offset.position());
}

/// Writes a fingerprint as 32 hexadecimal digits.
pub(super) fn put_hex(buffer: &mut Vec<u8>, number: u128) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0_u8; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    buffer.extend_from_slice(&text);
}

/// Writes a time: RFC 3339, or milliseconds where that has no words for it.
pub(super) fn put_time(buffer: &mut Vec<u8>, at: Timestamp) {
    match at.to_rfc3339() {
        Some(text) => buffer.extend_from_slice(&text),
        None => {
            if at.as_millis() < 0 {
                buffer.push(b'-');
            }
            put_number(buffer, at.as_millis().unsigned_abs());
        }
    }
}

/// Reads what [`put_hex`] writes.
pub(super) fn hex(text: &str) -> Option<u128> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

/// Reads what [`put_time`] writes.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    match text.parse() {
        Ok(ms) => Some(Timestamp::from_millis(ms)),
        Err(_) => minutehand_api::parse_time("time", text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut buffer = Vec::new();
        put(&mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn numbers_and_fingerprints_are_written_as_format_would() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(
                written(|buffer| put_number(buffer, number)),
                format!("{number}")
            );
        }
        for number in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0011_2233_4455_6677] {
            let text = written(|buffer| put_hex(buffer, number));
            assert_eq!(text, format!("{number:032x}"));
            assert_eq!(hex(&text), Some(number));
        }
        assert_eq!(hex("+123456789abcdef0123456789abcdef0"), None);
    }

    #[test]
    fn every_time_is_read_again() {
        for ms in [
            0,
            -1,
            1_795_449_600_123,
            253_402_300_799_999,
            253_402_300_800_000,
            i64::MIN,
            i64::MAX,
        ] {
            let at = Timestamp::from_millis(ms);
            assert_eq!(
                time(&written(|buffer| put_time(buffer, at))),
                Some(at),
                "{ms}"
            );
        }
    }
}
