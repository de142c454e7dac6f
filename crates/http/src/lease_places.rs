//! Which gateway holds a lease: its address stands in the lease's id, sealed, so that no caller can
//! name one.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minutehand_peers::LeasePeers;
use minutehand_worker::LeaseId;
use ring::hmac::{HMAC_SHA256, Key, sign, verify};

use crate::tokens::Tokens;

/// Bytes of a seal.
const SEAL_BYTES: usize = 32;
/// Longest address of a gateway, in bytes.
const ADDRESS_BYTES_MAX: usize = 300;

/// Where leases are held that several gateways may be asked about.
pub struct LeasePlaces {
    /// The cluster's tokens: who bears one is a gateway, and they seal addresses.
    pub tokens: Tokens,
    /// Where other gateways reach this one: `http://10.0.0.7:8080`.
    pub address: String,
    /// The way to them.
    pub peers: LeasePeers,
}

/// A lease that a caller has named.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedLease {
    pub(crate) id: LeaseId,
    /// Who holds it, when a gateway has said so.
    pub(crate) address: Option<String>,
}

/// The id of a lease as callers see it.
pub(crate) fn written(id: LeaseId, places: Option<&LeasePlaces>) -> String {
    let id = id.to_string();
    let Some(places) = places else { return id };
    let seal = sign(
        &seal_key(&places.tokens.lease_keys()[0]),
        &sealed(&id, &places.address),
    );
    let place = [places.address.as_bytes(), seal.as_ref()].concat();
    format!("{id}.{}", URL_SAFE_NO_PAD.encode(place))
}

/// The lease that a caller means; `None` when it is none. An address that no gateway has sealed is
/// none.
pub(crate) fn read(text: &str, places: Option<&LeasePlaces>) -> Option<NamedLease> {
    let (id_text, place) = text
        .split_once('.')
        .map_or((text, None), |(id, place)| (id, Some(place)));
    let id = LeaseId::parse(id_text)?;
    let opened = |place: &str, places: &LeasePlaces| {
        let length_max = (ADDRESS_BYTES_MAX + SEAL_BYTES) * 4 / 3 + 4;
        let place = URL_SAFE_NO_PAD
            .decode(Some(place).filter(|place| place.len() <= length_max)?)
            .ok()?;
        let (address, given) = place.split_at_checked(place.len().checked_sub(SEAL_BYTES)?)?;
        let address = std::str::from_utf8(address).ok()?;
        let text = sealed(id_text, address);
        let is_sealed = places
            .tokens
            .lease_keys()
            .iter()
            .any(|key| verify(&seal_key(key), &text, given).is_ok());
        // Without a token anybody can seal; then all gateways are on this machine.
        let is_reachable = !places.tokens.is_empty() || is_loopback(address);
        (is_sealed && is_reachable).then(|| address.to_owned())
    };
    let address = place
        .zip(places)
        .and_then(|(place, places)| opened(place, places));
    Some(NamedLease { id, address })
}

fn seal_key(key: &[u8]) -> Key {
    Key::new(HMAC_SHA256, key)
}

/// What a seal is of.
fn sealed(id: &str, address: &str) -> Vec<u8> {
    [
        b"minutehand lease\0".as_slice(),
        id.as_bytes(),
        b"\0",
        address.as_bytes(),
    ]
    .concat()
}

fn is_loopback(address: &str) -> bool {
    let host = address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"));
    host.and_then(|host| host.parse::<SocketAddr>().ok())
        .is_some_and(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use minutehand_peers::RemoteConfig;

    use super::*;

    const ID: &str = "l-AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAM";

    fn places(token: &str, address: &str) -> LeasePlaces {
        let tokens = if token.is_empty() {
            Tokens::none()
        } else {
            Tokens::shared("cluster", token).unwrap()
        };
        let peers = LeasePeers::new(&RemoteConfig::new(1)).unwrap();
        LeasePlaces {
            tokens,
            address: address.to_owned(),
            peers,
        }
    }

    fn address_of(text: &str, places: &LeasePlaces) -> Option<String> {
        read(text, Some(places)).expect("a lease").address
    }

    #[test]
    fn a_gateway_finds_who_holds_a_lease_and_nobody_can_say_so() {
        let id = LeaseId::parse(ID).unwrap();
        let here = "http://10.0.0.7:8080";
        let first = places("first-token-of-the-cluster", here);
        let text = written(id, Some(&first));
        let both = places(
            "second-token-of-the-cluster\nfirst-token-of-the-cluster",
            "http://10.0.0.8:8080",
        );
        assert_eq!(
            read(&text, Some(&both)),
            Some(NamedLease {
                id,
                address: Some(here.to_owned())
            })
        );
        let stranger = places("another-token-of-the-cluster", here);
        assert_eq!(address_of(&text, &stranger), None);
        let other_id = text.replacen("AAE", "AAF", 1);
        assert_eq!(
            address_of(&other_id, &first),
            None,
            "the seal is of one lease"
        );
        let forged = format!(
            "{ID}.{}",
            URL_SAFE_NO_PAD.encode([b"http://10.0.0.9:80".as_slice(), &[7; 16]].concat())
        );
        assert_eq!(address_of(&forged, &first), None);
        for short in [".", ".AAAA", ".%%", &format!(".{}", "A".repeat(100_000))] {
            assert_eq!(address_of(&format!("{ID}{short}"), &first), None);
        }
        assert_eq!(written(id, None), ID);
        assert_eq!(
            read(ID, Some(&first)),
            Some(NamedLease { id, address: None })
        );
        assert_eq!(read("l-made-up", Some(&first)), None);
    }

    #[test]
    fn without_tokens_only_this_machine_is_called() {
        let id = LeaseId::parse(ID).unwrap();
        for (address, is_called) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://10.0.0.7:8080", false),
            ("http://127.0.0.1.evil:80", false),
        ] {
            let places = places("", address);
            assert_eq!(
                address_of(&written(id, Some(&places)), &places).is_some(),
                is_called,
                "{address}"
            );
        }
    }
}
