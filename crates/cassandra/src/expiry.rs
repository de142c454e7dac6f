//! How long a row lives: from now until some time after it was due.

use minutehand_model::Timestamp;

/// The longest time to live that Cassandra takes, in seconds: 20 years.
const TTL_SECONDS_MAX: i64 = 630_720_000;
/// The latest second at which a row can expire while files of releases before 5.0 may have to be
/// read: 2038-01-19T03:14:06Z.
const EXPIRES_MAX_BEFORE_5: i64 = i32::MAX as i64 - 1;
/// The same with `storage_compatibility_mode: NONE`: 2106-02-07T06:28:13Z.
const EXPIRES_MAX: i64 = u32::MAX as i64 - 2;
const _: () = assert!(
    EXPIRES_MAX_BEFORE_5 < EXPIRES_MAX && TTL_SECONDS_MAX <= i32::MAX as i64,
    "what fits the older servers fits the newer ones, and the column"
);
/// No expiry: the row stays until an operator removes it.
const FOREVER: i32 = 0;

/// When rows expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    retention_ms: i64,
    /// The latest second since 1970 at which a row can expire on this cluster.
    expires_max: i64,
}

impl Expiry {
    /// `compatibility` is the server's setting `storage_compatibility_mode`; unknown to servers
    /// before 5.0 and to ScyllaDB.
    pub(crate) fn new(retention_ms: i64, compatibility: Option<&str>) -> Expiry {
        let expires_max = match compatibility {
            Some("NONE") => EXPIRES_MAX,
            _ => EXPIRES_MAX_BEFORE_5,
        };
        Expiry {
            retention_ms,
            expires_max,
        }
    }

    /// The seconds to live of a row that is wanted until `wanted_until`, and at least from now on
    /// for the retention. 0, which is for ever, where Cassandra cannot expire a row that late.
    pub(crate) fn ttl_seconds(&self, wanted_until: Timestamp, now: Timestamp) -> i32 {
        let expires = wanted_until.max(now).plus_millis(self.retention_ms);
        let lives_ms = expires.millis_since(now).max(1);
        // Rounded up, without the overflow of adding first.
        let ttl = lives_ms / 1_000 + i64::from(lives_ms % 1_000 > 0);
        debug_assert!(ttl > FOREVER.into(), "what expires lives until then");
        let expires_at = now.as_millis().div_euclid(1_000).saturating_add(ttl);
        match i32::try_from(ttl) {
            // One second of leeway: the server adds the time to live to its own clock.
            Ok(ttl) if i64::from(ttl) <= TTL_SECONDS_MAX && expires_at < self.expires_max => ttl,
            _ => FOREVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: i64 = 31_557_600_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn rows_live_for_the_retention_after_they_were_due() {
        let expiry = Expiry::new(7_000, Some("NONE"));
        let now = at(1_800_000_000_000);
        assert_eq!(expiry.ttl_seconds(now.plus_millis(60_000), now), 67);
        assert_eq!(
            expiry.ttl_seconds(now.plus_millis(60_001), now),
            68,
            "never shorter"
        );
        assert_eq!(
            expiry.ttl_seconds(now.plus_millis(-900_000), now),
            7,
            "what is past is kept from now on"
        );
        assert_eq!(expiry.ttl_seconds(Timestamp::MIN, now), 7);
    }

    #[test]
    fn what_cassandra_cannot_expire_that_late_stays() {
        let now = at(1_800_000_000_000);
        for compatibility in [None, Some("CASSANDRA_4"), Some("UPGRADING")] {
            let expiry = Expiry::new(7_000, compatibility);
            assert!(
                expiry.ttl_seconds(at(2_147_483_000_000), now) > 0,
                "just before 2038-01-19T03:14:07Z"
            );
            assert_eq!(
                expiry.ttl_seconds(at(2_147_483_640_000), now),
                0,
                "after it"
            );
        }
        let expiry = Expiry::new(7_000, Some("NONE"));
        assert!(expiry.ttl_seconds(at(2_147_483_640_000), now) > 0);
        assert!(expiry.ttl_seconds(now.plus_millis(19 * YEAR_MS), now) > 0);
        assert_eq!(
            expiry.ttl_seconds(now.plus_millis(20 * YEAR_MS), now),
            0,
            "beyond 20 years"
        );
        assert_eq!(expiry.ttl_seconds(Timestamp::END_OF_YEAR_9999, now), 0);
        assert_eq!(expiry.ttl_seconds(Timestamp::MAX, now), 0);
        let late = at(4_294_900_000_000);
        assert_eq!(
            expiry.ttl_seconds(late.plus_millis(YEAR_MS), late),
            0,
            "beyond 2106"
        );
    }
}
