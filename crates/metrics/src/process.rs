//! The process itself.

use crate::catalogue::BUILD_INFO;

/// Says which version of the program runs, on which release of the time zone database.
pub fn set_build_info(version: &str, tzdb: &str) {
    BUILD_INFO.gauge(&[version, tzdb]).set(1.0);
}
