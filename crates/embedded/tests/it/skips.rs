//! Records that an operator has passed over.

use minutehand_model::{LogOffset, PartitionId};
use minutehand_ports::CommandLog;

use crate::support::open;

const P0: PartitionId = PartitionId::own(0);

async fn refusals(store: &minutehand_embedded::EmbeddedStore) -> Vec<Option<String>> {
    let batch = CommandLog::read(store, P0, LogOffset::START, usize::MAX)
        .await
        .unwrap();
    batch
        .records
        .into_iter()
        .map(|record| record.refusal)
        .collect()
}

#[tokio::test]
async fn what_is_skipped_is_passed_over_at_once_and_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store
        .append(P0, (0..5).map(|index| format!("{index}").into()).collect())
        .await
        .unwrap();
    assert_eq!(refusals(&store).await, vec![None; 5]);
    store
        .skip(P0, LogOffset::at(1)..=LogOffset::at(2), "poison")
        .await
        .unwrap();
    let reason = Some("passed over as an operator asked: poison".to_owned());
    let expected = [None, reason.clone(), reason, None, None];
    assert_eq!(refusals(&store).await, expected);
    drop(store);
    let store = open(folder.path());
    assert_eq!(refusals(&store).await, expected, "after a restart as well");
    for (offset, is_skipped) in [(0, false), (1, true), (2, true), (3, false)] {
        assert_eq!(
            store.is_skipped(P0, LogOffset::at(offset)).await.unwrap(),
            is_skipped,
            "{offset}"
        );
    }
    assert!(
        !store
            .is_skipped(PartitionId::own(1), LogOffset::at(1))
            .await
            .unwrap()
    );
}
