//! The contract of the ports, as it is, and once more with so little memory that everything is read
//! from disk.

use std::sync::Arc;

use async_trait::async_trait;
use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::Timestamp;
use minutehand_ports::contract::{Harness, Stores};
use minutehand_ports::contract_tests;
use tempfile::TempDir;

use crate::support::TestClock;

/// Embedded stores, each in a temporary folder.
struct Embedded {
    forgetful: bool,
}

/// What belongs to the stores of one test.
struct Kept {
    folder: TempDir,
    clock: TestClock,
}

impl Embedded {
    fn open(&self, kept: Kept) -> Stores {
        let usual = kept.clock.config(kept.folder.path());
        let config = if self.forgetful {
            Config {
                log_tail_bytes: 0,
                queue_resident_bytes: 0,
                ..usual
            }
        } else {
            usual
        };
        let store = EmbeddedStore::open(config).unwrap();
        Stores {
            log: Arc::clone(&store) as _,
            sink: Arc::clone(&store) as _,
            timetable: Arc::clone(&store) as _,
            ledger: Arc::clone(&store) as _,
            coordinator: Arc::clone(&store) as _,
            queue: Arc::clone(&store) as _,
            history: store,
            keep: Box::new(kept),
        }
    }
}

#[async_trait]
impl Harness for Embedded {
    async fn fresh(&self) -> Stores {
        let folder = tempfile::tempdir().unwrap();
        self.open(Kept {
            folder,
            clock: TestClock::at(1_000),
        })
    }

    async fn reopen(&self, stores: Stores) -> Stores {
        let Stores {
            log,
            sink,
            timetable,
            ledger,
            coordinator,
            queue,
            history,
            keep,
        } = stores;
        let kept = keep.downcast::<Kept>().expect("made by this harness");
        drop((log, sink, timetable, ledger, coordinator, queue, history));
        self.open(*kept)
    }

    fn set_clock(&self, stores: &Stores, now: Timestamp) -> bool {
        stores
            .keep
            .downcast_ref::<Kept>()
            .expect("made by this harness")
            .clock
            .set(now);
        true
    }
}

mod usual {
    use super::*;
    contract_tests!(Embedded { forgetful: false });
}

mod forgetful {
    use super::*;
    contract_tests!(Embedded { forgetful: true });
}
