//! Reading and writing the protobuf wire format, and the few fixed shapes beside it, without
//! copying.

use bytes::{BufMut, BytesMut};

use crate::error::Fault;

/// The value of a protobuf field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire types 1 and 5: none of our fields uses them.
    Fixed,
}

impl<'a> Value<'a> {
    /// The number, or a fault that names the field.
    pub(crate) fn number(self, field: &'static str) -> Result<u64, Fault> {
        match self {
            Value::Varint(number) => Ok(number),
            Value::Bytes(_) | Value::Fixed => {
                Err(format!("{field} has the wrong wire type").into())
            }
        }
    }

    /// The number as 32 bits.
    pub(crate) fn number_u32(self, field: &'static str) -> Result<u32, Fault> {
        let number = self.number(field)?;
        u32::try_from(number)
            .map_err(|_| format!("{field} is {number}; it must fit 32 bits").into())
    }

    /// The zigzag number.
    pub(crate) fn signed(self, field: &'static str) -> Result<i64, Fault> {
        self.number(field).map(from_zigzag)
    }

    /// The bytes, or a fault that names the field.
    pub(crate) fn bytes(self, field: &'static str) -> Result<&'a [u8], Fault> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) | Value::Fixed => {
                Err(format!("{field} has the wrong wire type").into())
            }
        }
    }

    /// The text, or a fault that names the field.
    pub(crate) fn text(self, field: &'static str) -> Result<&'a str, Fault> {
        let bytes = self.bytes(field)?;
        std::str::from_utf8(bytes).map_err(|_| format!("{field} is not valid UTF-8").into())
    }
}

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

const TRUNCATED: &str = "the bytes end too early";

impl<'a> Reader<'a> {
    /// A reader at the start of the bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Refuses bytes behind the end.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(format!("{extra} bytes lie behind its end").into()),
        }
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A varint of at most ten bytes.
    pub(crate) fn varint(&mut self) -> Result<u64, Fault> {
        let mut number = 0_u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            if index == 9 && *byte > 1 {
                return Err("a varint does not fit 64 bits".into());
            }
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(number);
            }
        }
        Err(TRUNCATED.into())
    }

    /// A zigzag varint.
    pub(crate) fn signed(&mut self) -> Result<i64, Fault> {
        self.varint().map(from_zigzag)
    }

    /// A varint length and as many bytes.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| TRUNCATED)?)
    }

    /// The next protobuf field with its number; `None` at the end.
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| "a field number is too large")?;
        if number == 0 {
            return Err("a field has the number 0".into());
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => Value::Bytes(self.sized()?),
            5 => self.take(4).map(|_| Value::Fixed)?,
            other => return Err(format!("field {number} has the unknown wire type {other}").into()),
        };
        Ok(Some((number, value)))
    }
}

/// Signed to unsigned, small magnitudes to small numbers.
pub(crate) const fn to_zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// The inverse of [`to_zigzag`].
pub(crate) const fn from_zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Writes a varint.
pub fn put_varint(buffer: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        buffer.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    buffer.put_u8(number as u8);
}

/// Writes a zigzag varint.
pub(crate) fn put_signed(buffer: &mut BytesMut, number: i64) {
    put_varint(buffer, to_zigzag(number));
}

/// Writes a varint length and the bytes.
pub(crate) fn put_sized(buffer: &mut BytesMut, bytes: &[u8]) {
    put_varint(buffer, bytes.len() as u64);
    buffer.put_slice(bytes);
}

/// Writes a protobuf varint field.
pub(crate) fn put_number_field(buffer: &mut BytesMut, field: u32, number: u64) {
    put_varint(buffer, u64::from(field) << 3);
    put_varint(buffer, number);
}

/// Writes a protobuf bytes, string or message field.
pub(crate) fn put_bytes_field(buffer: &mut BytesMut, field: u32, bytes: &[u8]) {
    put_varint(buffer, u64::from(field) << 3 | 2);
    put_sized(buffer, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_agree_with_prost() {
        let numbers = [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ];
        for number in numbers {
            let mut ours = BytesMut::new();
            put_varint(&mut ours, number);
            let mut theirs = Vec::new();
            prost::encoding::encode_varint(number, &mut theirs);
            assert_eq!(ours, theirs);
            let mut reader = Reader::new(&ours);
            assert_eq!(reader.varint().unwrap(), number);
            reader.finish().unwrap();
        }
    }

    #[test]
    fn overlong_varints_are_refused() {
        let eleven = [0x80_u8; 10]
            .iter()
            .copied()
            .chain([1])
            .collect::<Vec<u8>>();
        assert!(Reader::new(&eleven).varint().is_err());
        let too_large = [0xff_u8; 9].iter().copied().chain([2]).collect::<Vec<u8>>();
        assert!(Reader::new(&too_large).varint().is_err());
    }

    #[test]
    fn zigzag_covers_the_whole_range() {
        for number in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
            assert_eq!(from_zigzag(to_zigzag(number)), number);
        }
        assert_eq!(to_zigzag(-1), 1);
    }
}
