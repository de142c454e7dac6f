//! The servers that the tests of one process share: those that the environment names, else a set of
//! its own.
//!
//! Starting servers takes a quarter of a minute, so tests do not have their own: they keep apart by
//! names that no other test uses (a keyspace, a prefix of topics, a prefix of keys). Tests that
//! break servers start their own.

use std::sync::OnceLock;

use crate::endpoints::{Endpoints, given};
use crate::server::Server;
use crate::servers::at_once;
use crate::service::{Running, Service};
use crate::site::{Site, StartError};
use crate::size::Size;

/// A server that somebody else started and the environment names, or one of our own.
#[derive(Debug)]
struct Found {
    endpoint: String,
    own: Option<Box<dyn Running>>,
}

fn find(service: Service) -> Result<Found, StartError> {
    if let Some(endpoint) = given(service.variable()) {
        let own = None;
        return Ok(Found { endpoint, own });
    }
    let own = service.start_at(Site::of_process(service.name())?, Size::default())?;
    Ok(Found {
        endpoint: own.endpoint(),
        own: Some(own),
    })
}

/// All of them, those that the environment does not name started for as long as this lives.
#[derive(Debug)]
pub struct Available(Vec<(Service, Found)>);

impl Available {
    /// Finds or starts them, at the same time.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn find() -> Result<Available, StartError> {
        let found = at_once(Service::ALL, |service| Ok((service, find(service)?)));
        found.into_iter().collect::<Result<_, _>>().map(Available)
    }

    /// Those that were started, not those that the environment names.
    pub fn own_servers(&self) -> Vec<&Server> {
        let own = self.0.iter().filter_map(|(_, found)| found.own.as_ref());
        own.flat_map(|own| own.servers()).collect()
    }

    /// Where they take requests.
    pub fn endpoints(&self) -> Endpoints {
        let all = self.0.iter();
        all.map(|(service, found)| (*service, found.endpoint.clone()))
            .collect()
    }
}

/// Kafka's bootstrap servers, `host:port,…`.
///
/// # Panics
/// When the environment names none and none can be started; the message says why.
pub fn kafka() -> &'static str {
    endpoint(Service::Kafka)
}

/// Cassandra's contact points, `host:port,…`.
///
/// # Panics
/// As [`kafka`].
pub fn cassandra() -> &'static str {
    endpoint(Service::Cassandra)
}

/// etcd's endpoints, `host:port,…`.
///
/// # Panics
/// As [`kafka`].
pub fn etcd() -> &'static str {
    endpoint(Service::Etcd)
}

/// All of them, those that have to be started at the same time.
///
/// # Panics
/// As [`kafka`].
pub fn endpoints() -> Endpoints {
    let all = at_once(Service::ALL, |service| {
        (service, endpoint(service).to_owned())
    });
    all.into_iter().collect()
}

fn endpoint(service: Service) -> &'static str {
    type Once = OnceLock<Result<Found, StartError>>;
    static FOUND: [Once; Service::ALL.len()] = [const { Once::new() }; Service::ALL.len()];
    match FOUND[service as usize].get_or_init(|| find(service)) {
        Ok(found) => &found.endpoint,
        Err(error) => panic!("{}", with_causes(error)),
    }
}

/// An error and what caused it, in one text.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
