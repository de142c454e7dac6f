//! The simulated cluster: nodes that drive engines, stores, the network between them, and time.

mod answer;
mod carry;
mod clients;
mod coordinator;
mod event;
mod flawed;
mod land;
mod membership;
mod nemesis;
mod network;
mod node;
mod prepared;
mod speaker;
mod world;

pub(crate) use world::World;
