//! The embedded store: the contract of all ports, and what is its own.

mod apart;
mod contract;
mod crash;
mod damage;
mod finding;
mod flips;
mod full_disk;
mod ledger;
mod opening;
mod queues;
mod repair;
mod retention;
mod skips;
mod successes;
mod support;
