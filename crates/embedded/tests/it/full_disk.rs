//! No room left: a clear error, and nothing that was acknowledged is lost.
//!
//! The room is taken away by a limit on the size of files, in a process of its own.

use std::path::Path;
use std::process::Command;

use minutehand_embedded::{Config, EmbeddedStore, Health};
use minutehand_model::{LogOffset, PartitionId};
use minutehand_ports::{CommandLog, ErrorClass};

use crate::support::{Random, config, open};

const FOLDER: &str = "MINUTEHAND_TEST_FULL_DISK_FOLDER";
/// A journal begins with 64 MiB; this is a little more, in units of 512 bytes.
const FILE_LIMIT: u64 = (72 << 20) / 512;
const RECORD_BYTES: usize = 1 << 20;

fn record(index: u64) -> bytes::Bytes {
    Random(index).bytes(RECORD_BYTES)
}

/// Runs in the limited process, and is nothing otherwise.
#[tokio::test]
async fn in_the_limited_process() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    // Everything stays in the journal, so that it is what meets the limit.
    let store = EmbeddedStore::open(Config {
        memtable_bytes: 1 << 30,
        ..config(folder)
    })
    .unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match store
            .append(PartitionId::own(0), vec![record(acknowledged)])
            .await
        {
            Ok(appended) => assert_eq!(appended.offsets, [LogOffset::at(acknowledged)]),
            Err(error) => break error,
        }
        acknowledged += 1;
    };
    assert_eq!(error.class, ErrorClass::Fatal);
    let again = store
        .append(PartitionId::own(1), vec!["small".into()])
        .await
        .unwrap_err();
    assert_eq!(again.class, ErrorClass::Fatal, "closed for every partition");
    let Health::ReadOnly { reason } = store.health() else {
        panic!("{:?}", store.health())
    };
    assert_eq!(again.reason, reason);
    assert!(
        error.is_full && again.is_full,
        "a full disk is told from other failures"
    );
    let last = CommandLog::read(
        &*store,
        PartitionId::own(0),
        LogOffset::at(acknowledged - 1),
        usize::MAX,
    )
    .await
    .unwrap();
    assert_eq!(last.records.len(), 1, "reads go on");
    println!("acknowledged={acknowledged}");
    println!("reason={reason}");
}

#[tokio::test]
async fn a_full_disk_is_said_clearly_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f {FILE_LIMIT}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "full_disk::in_the_limited_process",
            "--nocapture",
        ])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let value = |name: &str| {
        let found = text
            .lines()
            .find_map(|line| line.split_once(name).map(|(_, value)| value.to_owned()));
        found.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    let reason = value("reason=");
    let begin = format!(
        "the store in {} is closed for writes: a commit failed: File too large",
        folder.path().display()
    );
    assert!(reason.starts_with(&begin), "{reason}");
    assert!(
        reason.contains("free space") && reason.contains("restart"),
        "{reason}"
    );

    let acknowledged: u64 = value("acknowledged=").parse().unwrap();
    assert!(acknowledged > 50, "{acknowledged}");
    let store = open(folder.path());
    for index in 0..acknowledged {
        let batch = CommandLog::read(&*store, PartitionId::own(0), LogOffset::at(index), 1)
            .await
            .unwrap();
        assert!(batch.records[0].payload == record(index), "record {index}");
    }
    let end = store.bounds(PartitionId::own(0)).await.unwrap().end;
    assert!(
        end == LogOffset::at(acknowledged) || end == LogOffset::at(acknowledged + 1),
        "{end}: only what was in doubt may be there as well"
    );
    store
        .append(PartitionId::own(0), vec!["room again".into()])
        .await
        .unwrap();
}
