//! Schedule ids that outlive edits of a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use minutehand_model::ScheduleId;
use xxhash_rust::xxh3::xxh3_64;

use crate::entry::Entry;

/// Longest part of an id that comes from a file's name, in bytes.
const LABEL_BYTES_MAX: usize = 96;

/// What ids begin with unless told otherwise.
pub const PREFIX_DEFAULT: &str = "crontab";
/// Longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 40;

/// The ids of a file's entries, in their order: `<prefix>/<file>/<n>-<hash>`.
///
/// The hash (eight hexadecimal digits of XXH3) is over user, command and standard input, so an entry keeps its id
/// when lines are added, removed or moved around it, and when its time is changed: the schedule is then revised, not
/// replaced. Entries that run the same thing are told apart by `n`, counted from 1 in the order of the file.
/// `file` is a label as [`file_labels`] makes it.
#[must_use]
pub fn schedule_ids(prefix: &str, file: &str, entries: &[Entry]) -> Vec<ScheduleId> {
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    let (prefix, label) = (shortened(prefix, PREFIX_BYTES_MAX), label(file));
    entries
        .iter()
        .map(|entry| {
            let hash = fingerprint(entry);
            let count = seen.entry(hash).or_default();
            *count += 1;
            ScheduleId::parse(&format!("{prefix}/{label}/{count}-{hash:08x}"))
                .expect("a label has only characters that an id may have, and is short")
        })
        .collect()
}

fn fingerprint(entry: &Entry) -> u32 {
    let stdin = entry.stdin.as_ref().map_or_else(String::new, |text| format!("%{text}"));
    let text = [entry.user.as_deref().unwrap_or(""), entry.command.as_str(), stdin.as_str()].join("\0");
    // Half of the hash is enough to tell the lines of one file apart; a collision costs a number, not a line.
    (xxh3_64(text.as_bytes()) >> 32) as u32
}

/// The labels by which files are named in ids: the last part of the path, or the whole path where two of the files
/// would have the same.
#[must_use]
pub fn file_labels(paths: &[&str]) -> Vec<String> {
    let short: Vec<String> = paths.iter().map(|path| label(last_part(path))).collect();
    short
        .iter()
        .zip(paths)
        .map(|(name, path)| {
            let is_unique = short.iter().filter(|other| *other == name).count() == 1;
            if is_unique { name.clone() } else { label(path.trim_start_matches('/')) }
        })
        .collect()
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

fn label(text: &str) -> String {
    shortened(text, LABEL_BYTES_MAX)
}

/// The text in the characters of an id: others become `_`; what is too long ends in a hash of the whole.
fn shortened(text: &str, bytes_max: usize) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-:@+=~/".contains(c);
    let mut label: String = text.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    if label.is_empty() {
        label.push('_');
    }
    if label.len() > bytes_max {
        label.truncate(bytes_max - 9);
        let _ = write!(label, "-{:08x}", (xxh3_64(text.as_bytes()) >> 32) as u32);
    }
    label
}
