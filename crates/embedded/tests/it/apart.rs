//! What others do in this process and on this machine: the store's reads do not wait for it, its
//! files are not for it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::channel;

use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::{LogOffset, PartitionId};
use minutehand_ports::CommandLog;

use crate::support::{config, open};

#[test]
fn reads_do_not_wait_for_work_that_blocks() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (release, released) = channel::<()>();
    runtime.block_on(async {
        let from_disk = Config {
            log_tail_bytes: 0,
            ..config(folder.path())
        };
        let store = EmbeddedStore::open(from_disk).unwrap();
        store
            .append(PartitionId::own(0), vec!["kept".into()])
            .await
            .unwrap();
        let stranger = tokio::task::spawn_blocking(move || released.recv());
        let batch = CommandLog::read(&*store, PartitionId::own(0), LogOffset::START, usize::MAX)
            .await
            .unwrap();
        assert_eq!(batch.records.len(), 1);
        store.close_apart().await;
        release.send(()).unwrap();
        stranger.await.unwrap().unwrap();
    });
}

/// Every file and folder below, with its mode.
fn modes(folder: &Path, found: &mut Vec<(String, u32)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::metadata(&path).unwrap();
        found.push((
            path.display().to_string(),
            metadata.permissions().mode() & 0o777,
        ));
        if metadata.is_dir() {
            modes(&path, found);
        }
    }
}

fn assert_private(folder: &Path) {
    let mut found = vec![(
        "the folder".to_owned(),
        std::fs::metadata(folder).unwrap().permissions().mode() & 0o777,
    )];
    modes(folder, &mut found);
    let open: Vec<_> = found.iter().filter(|(_, mode)| mode & 0o077 != 0).collect();
    assert_eq!(open, Vec::<&(String, u32)>::new());
    assert!(found.len() > 20, "{found:?}");
}

#[tokio::test]
async fn what_is_stored_is_for_this_user_alone() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("new/data");
    let store = open(&folder);
    for _ in 0..10 {
        store
            .append(PartitionId::own(0), vec!["x".repeat(1 << 20).into()])
            .await
            .unwrap();
    }
    drop(store);
    assert_private(&folder);
}

#[test]
fn rights_that_an_earlier_release_gave_are_taken_back() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("data");
    drop(open(&folder));
    let database = folder.join("database");
    let set = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    set(&database, 0o755);
    set(&database.join("0.jnl"), 0o644);
    drop(open(&folder));
    assert_private(&folder);
}
