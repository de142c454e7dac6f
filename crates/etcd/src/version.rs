//! Releases of etcd that are known to break what ownership stands on.

/// What to tell the operator about this release; `None` when it is fine, or cannot be read.
///
/// Before 3.5.28 and 3.6.9 a paused member may answer stale reads; older ones also renew revoked
/// leases.
pub(crate) fn warning(version: &str) -> Option<String> {
    let mut numbers = version.split(['.', '-', '+']).map(str::parse::<u32>);
    let mut number = || numbers.next().and_then(Result::ok);
    let (major, minor, patch) = (number()?, number()?, number()?);
    let is_sound = match (major, minor) {
        (3, 5) => patch >= 28,
        (3, 6) => patch >= 9,
        _ => (major, minor) > (3, 6),
    };
    (!is_sound).then(|| {
        format!("etcd {version} may answer stale reads and renew revoked leases; use 3.6.9, 3.5.28 or later")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_releases_below_the_floor_are_warned_about() {
        for bad in ["3.4.23", "3.5.27", "3.6.8", "2.3.8"] {
            assert!(warning(bad).expect("too old").contains(bad));
        }
        for good in [
            "3.5.28",
            "3.6.9",
            "3.6.16",
            "3.7.0-rc.1",
            "4.0.0",
            "unknown",
        ] {
            assert_eq!(warning(good), None);
        }
    }
}
