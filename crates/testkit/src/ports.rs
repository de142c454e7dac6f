//! Ports on the loopback interface that nothing else takes, not even while the server on them is
//! down.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::cache::{Cache, try_lock};

/// Below what Linux gives to outgoing connections (from 32768 on): one of those could sit on a
/// server's port while the server restarts.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port claimed by this process until dropped; other users of the testkit leave it alone.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

/// Addresses as clients take them.
pub(crate) fn joined(addresses: impl Iterator<Item = SocketAddr>) -> String {
    addresses
        .map(|address| address.to_string())
        .collect::<Vec<_>>()
        .join(",")
}

/// Claims a port that is free on all the given addresses.
pub(crate) fn claim(cache: &Cache, addresses: &[Ipv4Addr]) -> io::Result<Port> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    fs::create_dir_all(cache.ports())?;
    // Processes begin at different places, so that they seldom meet.
    let start = (std::process::id().wrapping_mul(97) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let number =
            FIRST + (u32::from(start) + u32::from(step)).rem_euclid(u32::from(COUNT)) as u16;
        let Some(held) = try_lock(&cache.ports().join(number.to_string()))? else {
            continue;
        };
        if addresses
            .iter()
            .all(|address| TcpListener::bind((*address, number)).is_ok())
        {
            return Ok(Port {
                number,
                _lock: held,
            });
        }
    }
    Err(io::Error::other(format!(
        "no free port between {FIRST} and {}",
        FIRST + COUNT - 1
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let ports: Vec<Port> = (0..50)
            .map(|_| claim(&cache, &[Ipv4Addr::LOCALHOST]).unwrap())
            .collect();
        let numbers: BTreeSet<u16> = ports.iter().map(|port| port.number).collect();
        assert_eq!(numbers.len(), ports.len());
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let second = Ipv4Addr::new(127, 0, 0, 2);
        let port = claim(&cache, &[Ipv4Addr::LOCALHOST, second]).unwrap();
        let listener = TcpListener::bind((second, port.number)).unwrap();
        let number = port.number;
        drop(port);
        for _ in 0..u32::from(COUNT) / 100 {
            assert_ne!(
                claim(&cache, &[Ipv4Addr::LOCALHOST, second])
                    .unwrap()
                    .number,
                number
            );
        }
        drop(listener);
    }
}
