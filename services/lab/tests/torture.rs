//! Four tortures of about a minute each, on servers of their own.

use std::sync::{Mutex, PoisonError};

use minutehand_loadtest::torture::{Kind, Options, SchedulerProgram, Target, plan, run};

/// Each has three servers and two schedulers: two at a time would torture the machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Keeps every promise under faults of these kinds, and has had at least so many of them.
fn endure(name: &str, seed: u64, kinds: &[Kind]) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{name}"));
    let scheduler = SchedulerProgram {
        path: env!("CARGO_BIN_EXE_minutehand-lab").into(),
        arguments: vec!["scheduler".to_owned()],
    };
    let outcome = run(Options::short(seed, kinds, folder, scheduler)).expect("the rig works");
    assert!(outcome.is_ok(), "{}", outcome.text());
    assert!(
        outcome.faults.values().sum::<u64>() >= 2,
        "{}",
        outcome.text()
    );
    assert!(
        outcome.ending.audit.executions > 1_000,
        "{}",
        outcome.text()
    );
}

#[test]
fn killed_and_paused_schedulers_lose_and_repeat_nothing() {
    endure("schedulers", 3, Kind::OF_SCHEDULERS);
}

#[test]
fn cut_held_and_slow_connections_lose_and_repeat_nothing() {
    endure("connections", 1, Kind::OF_CONNECTIONS);
}

#[test]
fn servers_that_restart_lose_and_repeat_nothing() {
    endure("servers", 1, Kind::OF_SERVERS);
}

#[test]
fn full_disks_lose_and_repeat_nothing() {
    // Every server's, in so short a run.
    let full: Vec<Target> = plan(2, 35_000, 2, 5_000, Kind::OF_DISKS)
        .into_iter()
        .map(|fault| fault.target)
        .collect();
    assert_eq!(full, [Target::Cassandra, Target::Broker, Target::Etcd]);
    endure("disks", 2, Kind::OF_DISKS);
}
