//! Every input that was ever of interest, through its target: an ordinary test, without a fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use minutehand_fuzz::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

#[test]
fn every_input_of_the_corpus_passes_its_target() {
    for target in TARGETS {
        let folder = corpus().join(target.name);
        let files =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            let path = file.expect("an entry of the folder").path();
            let bytes = fs::read(&path).expect("an input");
            let outcome = std::panic::catch_unwind(|| (target.run)(&bytes));
            assert!(
                outcome.is_ok(),
                "{} fails target {}",
                path.display(),
                target.name
            );
            count += 1;
        }
        assert!(count > 0, "{} has inputs to begin with", target.name);
    }
}

#[test]
fn every_folder_of_the_corpus_is_a_targets() {
    for folder in fs::read_dir(corpus()).expect("the corpus") {
        let name = folder.expect("an entry").file_name();
        assert!(
            TARGETS.iter().any(|target| name == target.name),
            "{name:?} is not a target"
        );
    }
}
