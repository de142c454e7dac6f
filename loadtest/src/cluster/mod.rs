//! Benchmarks of the cluster: the scheduler on real servers, beside ceilings measured in the same run.

pub mod ceiling;
pub mod generator;
pub mod reader;
