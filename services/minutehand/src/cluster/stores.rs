//! Which store each port lies in, as the settings have it.

use minutehand_cassandra::CassandraStore;
use minutehand_cli::Failure;
use minutehand_ports::TimetableStore;

use super::configs;
use crate::settings::{Settings, TimetableKind};

/// The store of the timetable; it is not reached yet.
///
/// # Errors
/// When settings of its section do not fit each other.
pub(super) fn timetable(settings: &Settings) -> Result<Box<dyn TimetableStore>, Failure> {
    Ok(match settings.timetable.store {
        TimetableKind::Cassandra => Box::new(CassandraStore::new(configs::cassandra(settings)?)),
    })
}
