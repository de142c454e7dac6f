//! `cargo xtask models`: the protocol's executable models, with all rules kept and with each broken.

use std::process::Command;

use crate::cargo::{require, run_watched};
use crate::root;

/// Runs a short campaign; answers how many of its checks passed.
///
/// # Errors
/// In words, when a history breaks a promise, or a broken rule is no longer noticed: what is printed
/// names the seed.
pub fn check_models() -> Result<u64, String> {
    require(&[("python3", "Debian's package python3")])?;
    let campaign = root().join("crates/sim/model/campaign.py");
    let mut passed = 0;
    run_watched(
        Command::new("python3").arg(campaign).arg("--short"),
        |line| passed = passed_in(line).unwrap_or(passed),
    )?;
    Ok(passed)
}

/// The first number of a line `N passed; N failed`; `None` for any other line.
fn passed_in(line: &str) -> Option<u64> {
    let (passed, failed) = line.trim().split_once(" passed; ")?;
    failed.ends_with(" failed").then(|| passed.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_campaign_says_how_many_passed() {
        assert_eq!(passed_in("57 passed; 0 failed\n"), Some(57));
        assert_eq!(passed_in("57 passed; 2 failed\n"), Some(57));
        assert_eq!(passed_in("regions witness: 25 histories hold\n"), None);
        assert_eq!(passed_in("57 passed; and a word\n"), None);
    }
}
