//! Which store each port lies in, as the settings have it.

use minutehand_cassandra::{CassandraConfig, CassandraStore};
use minutehand_cli::Failure;
use minutehand_ports::TimetableStore;

use crate::settings::{Settings, TimetableKind};

/// The store of the timetable; it is not reached yet.
///
/// # Errors
/// When settings of its section do not fit each other.
pub(crate) fn timetable(settings: &Settings) -> Result<Box<dyn TimetableStore>, Failure> {
    let region = settings.cluster.region.clone();
    let dedupe_window_ms = settings.engine.dedupe_window_ms;
    Ok(match settings.timetable.store {
        TimetableKind::Cassandra => {
            let config = CassandraConfig {
                region,
                dedupe_window_ms,
                ..settings.cassandra.clone()
            };
            Box::new(CassandraStore::new(config.checked()?))
        }
    })
}
