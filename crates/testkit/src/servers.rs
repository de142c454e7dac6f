//! A set of all services.

use std::panic::resume_unwind;
use std::thread;

use crate::endpoints::Endpoints;
use crate::service::{Running, Service};
use crate::site::{Site, StartError};
use crate::size::Size;

/// A running set. Dropping it ends it, unless it was started to stay.
#[derive(Debug)]
pub struct Servers(Vec<(Service, Box<dyn Running>)>);

impl Servers {
    /// Starts a set that dies with this process, and waits until all of it is ready.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(size: Size) -> Result<Servers, StartError> {
        Servers::start_at(size, Site::of_process)
    }

    pub(crate) fn start_at(
        size: Size,
        site: impl Fn(&str) -> Result<Site, StartError>,
    ) -> Result<Servers, StartError> {
        let sites = Service::ALL.map(|service| Ok((service, site(service.name())?)));
        let sites: Result<Vec<_>, StartError> = sites.into_iter().collect();
        let started = at_once(sites?, |(service, site)| {
            Ok((service, service.start_at(site, size)?))
        });
        started.into_iter().collect::<Result<_, _>>().map(Servers)
    }

    /// Where they take requests.
    pub fn endpoints(&self) -> Endpoints {
        let endpoints = self.0.iter();
        endpoints
            .map(|(service, running)| (*service, running.endpoint()))
            .collect()
    }
}

/// Does something with each, all at the same time; what came of each, in their order.
pub(crate) fn at_once<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = items
            .into_iter()
            .map(|item| scope.spawn(move || work(item)))
            .collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}
