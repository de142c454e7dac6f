//! Ownership through etcd: one lease a process, membership, partition keys, and who owns what.
