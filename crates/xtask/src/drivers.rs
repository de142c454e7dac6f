//! A driver (the client of a store, a log, a server) is used by one crate of ours: its wrapper.
//!
//! The list is `bans.deny` of `.deny.toml`, which cargo-deny reads too. This check needs no tool
//! and no network.

use toml::{Table, Value};

use crate::{Finding, Package};

/// A package that only its wrappers may use, or nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Its name.
    pub name: String,
    /// The packages that may use it.
    pub wrappers: Vec<String>,
    /// Why.
    pub reason: String,
}

/// Reads the bans in the text of `.deny.toml`.
///
/// # Errors
/// In words, with the key that is missing.
pub fn bans(text: &str) -> Result<Vec<Ban>, String> {
    let table: Table = text
        .parse()
        .map_err(|error| format!(".deny.toml: {error}"))?;
    let entries = table
        .get("bans")
        .and_then(|bans| bans.get("deny")?.as_array());
    entries
        .ok_or(".deny.toml: bans.deny is not an array")?
        .iter()
        .map(ban)
        .collect()
}

fn ban(entry: &Value) -> Result<Ban, String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text("crate").ok_or(".deny.toml: an entry of bans.deny names no `crate`")?;
    let reason =
        text("reason").ok_or_else(|| format!(".deny.toml: the ban of {name} has no `reason`"))?;
    let wrappers = entry
        .get("wrappers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let wrappers = wrappers
        .filter_map(|wrapper| wrapper.as_str().map(str::to_owned))
        .collect();
    Ok(Ban {
        name,
        wrappers,
        reason,
    })
}

/// Uses of banned packages by others than their wrappers; what only tests use is exempt.
pub fn check<'a>(bans: &[Ban], packages: impl Iterator<Item = &'a Package>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        for ban in bans.iter().filter(|ban| ban.name == package.name) {
            for user in package
                .dependents
                .iter()
                .filter(|user| !ban.wrappers.contains(user))
            {
                findings.push(Finding::new(
                    user,
                    format!("must not use {}: {}", ban.name, ban.reason),
                ));
            }
        }
    }
    findings
}
