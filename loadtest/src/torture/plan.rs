//! Which faults happen when: drawn from the seed, so that a run can be repeated.

use std::collections::BTreeMap;
use std::fmt;

use crate::random::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A scheduler is killed (SIGKILL) and started again.
    KillScheduler,
    /// A scheduler is stopped where it is (SIGSTOP) for longer than its lease lives, and goes on as
    /// a zombie.
    PauseScheduler,
    /// A scheduler is asked to end (SIGTERM), hands over, and is started again.
    StopScheduler,
    /// Connections are closed, and new ones as well.
    Cut,
    /// Connections are closed once.
    Reset,
    /// Connections stay open and nothing passes.
    Blackhole,
    /// Everything takes longer.
    Delay,
    /// A server is killed and started again.
    KillServer,
    /// A server is asked to end and started again.
    StopServer,
    /// The disk of a server is full. It is given room again and started again: by then it has
    /// ended, or refuses.
    FullDisk,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Kind] = &[
        Kind::KillScheduler,
        Kind::PauseScheduler,
        Kind::StopScheduler,
        Kind::Cut,
        Kind::Reset,
        Kind::Blackhole,
        Kind::Delay,
        Kind::KillServer,
        Kind::StopServer,
        Kind::FullDisk,
    ];

    /// Faults of the schedulers themselves.
    pub const OF_SCHEDULERS: &'static [Kind] = &[Kind::KillScheduler, Kind::PauseScheduler];

    /// Faults of the network.
    pub const OF_CONNECTIONS: &'static [Kind] =
        &[Kind::Cut, Kind::Reset, Kind::Blackhole, Kind::Delay];

    /// Faults of the servers.
    pub const OF_SERVERS: &'static [Kind] = &[Kind::KillServer, Kind::StopServer];

    /// Faults of the servers' disks.
    pub const OF_DISKS: &'static [Kind] = &[Kind::FullDisk];

    /// The word for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::KillScheduler => "kill_scheduler",
            Kind::PauseScheduler => "pause_scheduler",
            Kind::StopScheduler => "stop_scheduler",
            Kind::Cut => "cut",
            Kind::Reset => "reset",
            Kind::Blackhole => "blackhole",
            Kind::Delay => "delay",
            Kind::KillServer => "kill_server",
            Kind::StopServer => "stop_server",
            Kind::FullDisk => "full_disk",
        }
    }

    /// How long it lasts, in milliseconds.
    fn lasts_ms(self, target: Target, lease_ttl_ms: i64) -> (i64, i64) {
        match (self, target) {
            (Kind::KillScheduler, _) => (1_000, lease_ttl_ms + 7_000),
            (Kind::StopScheduler, _) => (1_000, 8_000),
            (Kind::PauseScheduler, _) => (lease_ttl_ms + 1_000, lease_ttl_ms + 9_000),
            (Kind::Cut | Kind::Blackhole, _) => (2_000, lease_ttl_ms + 7_000),
            (Kind::Reset, _) => (0, 0),
            (Kind::Delay, _) => (4_000, 12_000),
            (_, Target::Cassandra) => (2_000, 12_000),
            _ => (500, lease_ttl_ms + 3_000),
        }
    }
}

/// What a fault happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A scheduler's process.
    Scheduler(usize),
    /// A scheduler's connections to Kafka.
    ToKafka(usize),
    /// A scheduler's connections to etcd.
    ToEtcd(usize),
    /// All schedulers' connections to Cassandra.
    ToCassandra,
    /// The broker.
    Broker,
    /// The Cassandra node.
    Cassandra,
    /// The etcd member.
    Etcd,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Scheduler(node) => write!(f, "scheduler {node}"),
            Target::ToKafka(node) => write!(f, "scheduler {node} to Kafka"),
            Target::ToEtcd(node) => write!(f, "scheduler {node} to etcd"),
            Target::ToCassandra => f.write_str("schedulers to Cassandra"),
            Target::Broker => f.write_str("Kafka"),
            Target::Cassandra => f.write_str("Cassandra"),
            Target::Etcd => f.write_str("etcd"),
        }
    }
}

/// A fault that is to happen. Times in milliseconds from the beginning of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub kind: Kind,
    /// To whom.
    pub target: Target,
    /// When.
    pub at_ms: i64,
    /// For how long.
    pub lasts_ms: i64,
    /// With [`Kind::Delay`]: by how much.
    pub delay_ms: i64,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at_s, lasts_s) = (self.at_ms as f64 / 1e3, self.lasts_ms as f64 / 1e3);
        write!(
            f,
            "{at_s:7.1} s  {:<15} {:<24} {lasts_s:5.1} s",
            self.kind.as_str(),
            self.target.to_string()
        )?;
        if self.kind == Kind::Delay {
            write!(f, " by {} ms", self.delay_ms)
        } else {
            Ok(())
        }
    }
}

/// Before the first fault everything runs for so long.
const WARM_UP_MS: i64 = 6_000;

/// The faults of a run, in order of their beginnings. None goes on beyond `length_ms`, and no two
/// at a time happen to the same target.
pub fn plan(
    seed: u64,
    length_ms: i64,
    nodes: usize,
    lease_ttl_ms: i64,
    kinds: &[Kind],
) -> Vec<Planned> {
    let mut random = Random::fork(seed, 2);
    let mut busy_until: BTreeMap<Target, i64> = BTreeMap::new();
    let (mut planned, mut at_ms) = (Vec::new(), WARM_UP_MS);
    // Every kind comes before one comes again.
    let mut bag: Vec<Kind> = Vec::new();
    while at_ms < length_ms && !kinds.is_empty() {
        if bag.is_empty() {
            bag = kinds.to_vec();
        }
        let kind = bag.swap_remove(random.below(bag.len() as u64) as usize);
        let target = draw_target(&mut random, kind, nodes);
        let (least_ms, most_ms) = kind.lasts_ms(target, lease_ttl_ms);
        let lasts_ms = random.range(least_ms, most_ms);
        let delay_ms = if kind == Kind::Delay {
            random.pick(&[20, 100, 400, 900])
        } else {
            0
        };
        let is_free = busy_until.get(&target).is_none_or(|until| *until < at_ms);
        if is_free && at_ms + lasts_ms <= length_ms {
            busy_until.insert(target, at_ms + lasts_ms + 3_000);
            planned.push(Planned {
                kind,
                target,
                at_ms,
                lasts_ms,
                delay_ms,
            });
        }
        // One in three meets the one before.
        let meets = random.below(3) == 0;
        at_ms += if meets {
            random.range(500, 3_000)
        } else {
            lasts_ms + random.range(1_000, 7_000)
        };
    }
    planned
}

fn draw_target(random: &mut Random, kind: Kind, nodes: usize) -> Target {
    let node = random.below(nodes as u64) as usize;
    match kind {
        Kind::KillScheduler | Kind::PauseScheduler | Kind::StopScheduler => Target::Scheduler(node),
        Kind::Cut | Kind::Reset | Kind::Blackhole | Kind::Delay => random.pick(&[
            Target::ToKafka(node),
            Target::ToEtcd(node),
            Target::ToCassandra,
        ]),
        Kind::KillServer | Kind::StopServer | Kind::FullDisk => {
            random.pick(&[Target::Broker, Target::Cassandra, Target::Etcd])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_faults_and_long_runs_have_all_kinds() {
        let all = plan(11, 1_800_000, 3, 5_000, Kind::ALL);
        assert_eq!(all, plan(11, 1_800_000, 3, 5_000, Kind::ALL));
        assert_ne!(all, plan(12, 1_800_000, 3, 5_000, Kind::ALL));
        assert!(
            Kind::ALL
                .iter()
                .all(|kind| all.iter().any(|one| one.kind == *kind)),
            "{all:?}"
        );
        assert!(
            all.iter()
                .all(|one| one.at_ms >= WARM_UP_MS && one.at_ms + one.lasts_ms <= 1_800_000)
        );
    }

    #[test]
    fn every_server_has_its_disk_full_some_time() {
        let all = plan(11, 1_800_000, 3, 5_000, Kind::ALL);
        for server in [Target::Broker, Target::Cassandra, Target::Etcd] {
            let full = all
                .iter()
                .find(|one| one.kind == Kind::FullDisk && one.target == server);
            assert!(
                full.is_some_and(|full| full.lasts_ms > 0),
                "{server}: {all:?}"
            );
        }
        let servers = plan(11, 1_800_000, 3, 5_000, Kind::OF_DISKS);
        assert!(
            servers.iter().all(|one| one.kind == Kind::FullDisk) && servers.len() > 50,
            "{servers:?}"
        );
    }

    #[test]
    fn no_target_has_two_faults_at_a_time() {
        for seed in 0..50 {
            let all = plan(seed, 600_000, 3, 5_000, Kind::ALL);
            for (index, one) in all.iter().enumerate() {
                let same = all[index + 1..]
                    .iter()
                    .filter(|other| other.target == one.target);
                for other in same {
                    assert!(
                        other.at_ms > one.at_ms + one.lasts_ms,
                        "seed {seed}: {one} and {other}"
                    );
                }
            }
        }
    }
}
