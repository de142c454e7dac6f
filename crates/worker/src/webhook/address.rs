//! Which addresses a webhook may reach: those of the public internet, checked where the connection
//! is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::endpoints::{Endpoints, Rule};
use super::lookup::Lookup;
use super::networks::Network;

/// A name that has no address, or one that is out of bounds, whatever its others are. They are not
/// told: whoever may create tasks would learn what a private network looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} has no address, or one that is not public; webhooks reach public addresses only, and those that the settings allow"
)]
pub(super) struct NotPublic {
    name: String,
}

/// Which addresses may be reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// Any address.
    pub(super) is_everywhere: bool,
    /// Not only public ones, but those of these networks too.
    pub(super) networks: Vec<Network>,
}

impl Reach {
    /// Whether an address may be reached, as one of a host with such a rule.
    pub(super) fn allows(&self, address: IpAddr, rule: Option<&Rule>) -> bool {
        let of_host = rule.map_or(&[][..], |rule| &rule.networks);
        let mut networks = self.networks.iter().chain(of_host);
        self.is_everywhere
            || is_public(address)
            || networks.any(|network| network.contains(address))
    }
}

/// Resolves names to addresses that may be reached. The connection is made to exactly what this
/// answers, so a name that answers differently the next time gains nothing. A name one of whose
/// addresses may not be reached is refused as a whole: somebody plays with it.
pub(super) struct BoundedResolver<L> {
    lookup: Arc<L>,
    reach: Reach,
    endpoints: Arc<Endpoints>,
}

impl<L: Lookup> BoundedResolver<L> {
    pub(super) fn new(lookup: L, reach: Reach, endpoints: Arc<Endpoints>) -> BoundedResolver<L> {
        BoundedResolver {
            lookup: Arc::new(lookup),
            reach,
            endpoints,
        }
    }
}

impl<L: Lookup> Resolve for BoundedResolver<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let (looking, reach) = (self.lookup.addresses(name.as_str()), self.reach.clone());
        let rule = self.endpoints.rule(&name.as_str().to_ascii_lowercase());
        Box::pin(async move {
            let found = looking.await?;
            let may_all = found
                .iter()
                .all(|address| reach.allows(*address, rule.as_deref()));
            if found.is_empty() || !may_all {
                return Err(NotPublic {
                    name: name.as_str().to_owned(),
                }
                .into());
            }
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet, by the special-purpose registries of IANA
/// (RFC 6890).
///
/// An IPv6 form that carries an IPv4 address inside (mapped, compatible, translated, 6to4, Teredo,
/// ISATAP) is never public: nobody who means well needs one, and it would reach whatever the
/// gateway at hand makes of it.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]                // this network, private, loopback
            | [100, 64..=127, ..]         // carrier-grade NAT
            | [168, 63, 129, 16]          // the host of a machine in Azure, seen from inside
            | [169, 254, ..]              // link-local, cloud metadata
            | [172, 16..=31, ..]          // private
            | [192, 0, 0 | 2, _]          // protocol assignments, documentation
            | [192, 88, 99, _]            // 6to4 relays
            | [192, 168, ..]              // private
            | [198, 18 | 19, ..]          // benchmarks
            | [198, 51, 100, _]           // documentation
            | [203, 0, 113, _]            // documentation
            | [224..=255, ..] // multicast, reserved, broadcast
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is given out at all: loopback, unspecified, mapped, NAT64 (64:ff9b::/96 and
    // 64:ff9b:1::/48), unique local (fc00::/7), link-local (fe80::/10), site-local and multicast
    // all lie outside of it.
    let segments = address.segments();
    let is_global_unicast = segments[0] & 0xe000 == 0x2000;
    let is_special = matches!(
        segments,
        [0x2001, 0..=0x01ff, ..]          // protocol assignments, Teredo, benchmarks, ORCHID
            | [0x2001, 0x0db8, ..]        // documentation
            | [0x2002, ..]                // 6to4
            | [_, _, _, _, 0 | 0x0200, 0x5efe, ..] // ISATAP
            | [0x3fff, 0..=0x0fff, ..] // documentation
    );
    is_global_unicast && !is_special
}
