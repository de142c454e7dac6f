//! kill -9 under load: nothing acknowledged is lost, nothing is published twice.

use std::path::Path;

#[test]
fn kill_9_under_load_loses_nothing_and_publishes_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_minutehand-lab"));
    let (audit, _) =
        minutehand_loadtest::crash::run(program, folder.path(), 5).expect("the children run");
    assert!(audit.acknowledged > 0, "the children created tasks");
    assert_eq!((audit.lost, audit.published_twice), (0, 0), "{audit:?}");
}
