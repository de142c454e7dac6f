//! What the simulator is trusted for: healthy clusters keep every promise, so do clusters under
//! faults, the same seed is the same run, and every planted bug is found.

use minutehand_model::Persist;
use minutehand_sim::{FaultModel, Options, Planted, hunt_all, planted_bugs, run, run_each};

fn assert_fine(seeds: std::ops::Range<u64>, options: &Options) {
    for report in run_each(seeds, options) {
        let seed = report.seed;
        assert!(
            report.is_ok(),
            "seed {seed}: {:?}\nfaults: {}",
            report.violations,
            report.fault_model
        );
        assert!(report.published > 0, "seed {seed} published nothing");
    }
}

#[test]
fn a_healthy_cluster_keeps_every_promise() {
    assert_fine(
        0..40,
        &Options {
            fault_model: Some(FaultModel::healthy()),
            ..Options::default()
        },
    );
}

#[test]
fn a_cluster_under_faults_keeps_every_promise() {
    assert_fine(0..300, &Options::default());
}

#[test]
fn so_does_a_node_alone_and_a_larger_cluster() {
    assert_fine(
        1_000..1_040,
        &Options {
            nodes: 1,
            partitions: 2,
            ..Options::default()
        },
    );
    let large = Options {
        nodes: 5,
        partitions: 16,
        tasks_per_second: 60,
        ..Options::default()
    };
    assert_fine(2_000..2_020, &large);
}

#[test]
fn so_does_one_that_persists_everything() {
    assert_fine(
        3_000..3_100,
        &Options {
            persist: Some(Persist::All),
            ..Options::default()
        },
    );
}

fn with_ledger() -> Options {
    Options {
        ledger: true,
        virtual_seconds: 180,
        tasks_per_second: 6,
        ..Options::default()
    }
}

#[test]
fn under_faults_the_ledger_agrees_with_what_happened() {
    assert_fine(4_000..4_060, &with_ledger());
}

/// A loss, a repetition and an early run, each in a cluster under faults.
#[test]
fn the_ledger_finds_losses_repetitions_and_early_runs() {
    for word in [
        "page-overclaims",
        "torn-tick",
        "published-twice",
        "fence",
        "early",
    ] {
        let options = Options {
            planted: Some(word.parse().expect("a planted bug")),
            ..with_ledger()
        };
        let is_found = run_each(0..60, &options)
            .any(|report| report.violations.iter().any(|one| one.checker == "ledger"));
        assert!(is_found, "{word}");
    }
}

#[test]
fn every_fault_strikes_in_some_run() {
    let reports: Vec<_> = run_each(0..60, &Options::default()).collect();
    for (index, (name, _)) in reports[0].faults.counts().iter().enumerate() {
        assert!(
            reports
                .iter()
                .any(|report| report.faults.counts()[index].1 > 0),
            "{name} never happened"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    for seed in [0, 7, 25, 61] {
        let options = Options {
            trace: true,
            virtual_seconds: 40,
            ..Options::default()
        };
        let (first, second) = (run(seed, &options), run(seed, &options));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.trace_hash, second.trace_hash);
        assert_eq!(
            (first.events, first.published),
            (second.events, second.published)
        );
        let untraced = run(
            seed,
            &Options {
                trace: false,
                ..options.clone()
            },
        );
        assert_eq!(
            untraced.trace_hash, first.trace_hash,
            "the trace itself changes nothing"
        );
        let other = run(seed + 1, &options);
        assert_ne!(other.trace_hash, first.trace_hash);
    }
}

/// Each within 200 seeds; a seed counts only if the same run without the bug is a good one.
#[test]
fn every_planted_bug_is_found() {
    let planted = planted_bugs();
    let found = hunt_all(&planted, 200);
    let missed: Vec<Planted> = planted
        .into_iter()
        .zip(found)
        .filter(|(_, found)| found.is_none())
        .map(|(bug, _)| bug)
        .collect();
    assert!(missed.is_empty(), "not found within 200 seeds: {missed:?}");
}
