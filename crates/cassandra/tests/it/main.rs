//! The adapter against a real Cassandra: one that the environment names, or one that the testkit
//! starts.

mod contract;
mod damage;
mod finding;
mod outage;
mod rows;
mod schema;
mod secured;
mod support;
mod unreachable;
