//! Lease ids: opaque to callers, and not to be guessed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What every id begins with.
const PREFIX: &str = "l-";
/// Holder, number and secret.
const BYTES: usize = 8 + 8 + 16;

/// Which process holds leases: a number that it has drawn when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseHolder(pub u64);

/// What a lease is found by in the process that holds it. The number tells where it is, the secret
/// that the caller was given it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseKey {
    pub(crate) number: u64,
    pub(crate) secret: u128,
}

/// The secret is not shown.
impl fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseKey({}, hidden)", self.number)
    }
}

/// The id of a lease. Who knows the whole of it may answer the lease, so it is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseId {
    /// The process that holds it.
    pub holder: LeaseHolder,
    pub(crate) key: LeaseKey,
}

impl LeaseId {
    /// The id that a caller has written; `None` when it is none, of whatever length.
    pub fn parse(text: &str) -> Option<LeaseId> {
        let mut bytes = [0; BYTES];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text.strip_prefix(PREFIX)?, &mut bytes)
            .ok()?;
        if length != BYTES {
            return None;
        }
        let (holder, rest) = bytes.split_first_chunk::<8>()?;
        let (number, secret) = rest.split_first_chunk::<8>()?;
        let secret = u128::from_be_bytes(*secret.first_chunk()?);
        let key = LeaseKey {
            number: u64::from_be_bytes(*number),
            secret,
        };
        Some(LeaseId {
            holder: LeaseHolder(u64::from_be_bytes(*holder)),
            key,
        })
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.holder.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.key.number.to_be_bytes());
        bytes[16..].copy_from_slice(&self.key.secret.to_be_bytes());
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        let key = LeaseKey {
            number: 7,
            secret: u128::MAX - 5,
        };
        let id = LeaseId {
            holder: LeaseHolder(3),
            key,
        };
        let text = id.to_string();
        assert_eq!(LeaseId::parse(&text), Some(id));
        assert!(!format!("{id:?}").contains("fffffff"));
        let long = "l-".to_owned() + &"A".repeat(100_000);
        for other in [
            "",
            "l-",
            "x",
            &text[2..],
            &text[..text.len() - 1],
            &format!("{text}A"),
            &long,
            "l-ä",
        ] {
            assert_eq!(LeaseId::parse(other), None, "{other}");
        }
    }
}
