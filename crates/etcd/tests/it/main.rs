//! Ownership on a real etcd: the contract of the port, sharing, outages, lost answers, and what is
//! said at the start.

mod acquiring;
mod contract;
mod directory;
mod outage;
mod sharing;
mod starting;
mod support;
