//! Workers that are killed at every step: what each guarantee promises holds.

use std::path::Path;

use minutehand_loadtest::crash_points::{self, CrashPoint};

#[test]
fn a_worker_killed_at_any_step_keeps_every_promise() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_minutehand-lab"));
    let audits = crash_points::run(program, folder.path(), 2).expect("the children run");
    assert_eq!(audits.len(), CrashPoint::ALL.len());
    for (point, audit) in audits {
        assert!(audit.killed > 0, "{}: nobody was killed", point.as_str());
        assert_eq!(audit.broken(), 0, "{}: {audit:?}", point.as_str());
    }
}
