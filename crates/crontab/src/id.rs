//! Schedule ids that outlive edits of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use minutehand_model::ScheduleId;
use xxhash_rust::xxh3::xxh3_64;

/// Longest part of an id that comes from a file's name, in bytes.
const LABEL_BYTES_MAX: usize = 96;

/// What ids begin with unless told otherwise.
pub const PREFIX_DEFAULT: &str = "crontab";
/// Longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 40;

/// What the ids of a file's schedules begin with: `<prefix>/<file>/`. `file` is a label as
/// [`file_labels`] makes it.
#[must_use]
pub fn id_prefix(prefix: &str, file: &str) -> String {
    format!("{}/{}/", shortened(prefix, PREFIX_BYTES_MAX), label(file))
}

/// Makes ids that are not taken yet: `<prefix>/<file>/<n>-<hash>`.
///
/// The hash (eight hexadecimal digits of XXH3) is over what the line runs. Lines that run the same
/// are told apart by `n`, counted from 1.
pub(crate) struct NewIds {
    prefix: String,
    taken: BTreeSet<ScheduleId>,
    /// The number that was given last, by hash.
    counts: BTreeMap<u32, u32>,
}

impl NewIds {
    pub(crate) fn new(prefix: &str, file: &str, taken: impl Iterator<Item = ScheduleId>) -> NewIds {
        NewIds {
            prefix: id_prefix(prefix, file),
            taken: taken.collect(),
            counts: BTreeMap::new(),
        }
    }

    /// The next free id of a line that runs this.
    pub(crate) fn id_of(&mut self, content: &str) -> ScheduleId {
        // Half of the hash is enough to tell the lines of one file apart; a collision costs a
        // number, not a line.
        let hash = (xxh3_64(content.as_bytes()) >> 32) as u32;
        let count = self.counts.entry(hash).or_default();
        loop {
            *count += 1;
            let id = ScheduleId::parse(&format!("{}{count}-{hash:08x}", self.prefix))
                .expect("a label has only characters that an id may have, and is short");
            if !self.taken.contains(&id) {
                return id;
            }
        }
    }
}

/// The labels by which files are named in ids: the last part of the path, or the whole path where
/// two of the files would have the same.
#[must_use]
pub fn file_labels(paths: &[&str]) -> Vec<String> {
    let short: Vec<String> = paths.iter().map(|path| label(last_part(path))).collect();
    short
        .iter()
        .zip(paths)
        .map(|(name, path)| {
            let is_unique = short.iter().filter(|other| *other == name).count() == 1;
            if is_unique {
                name.clone()
            } else {
                label(path.trim_start_matches('/'))
            }
        })
        .collect()
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path)
}

fn label(text: &str) -> String {
    shortened(text, LABEL_BYTES_MAX)
}

/// The text in the characters of an id: others become `_`; what is too long ends in a hash of the
/// whole.
fn shortened(text: &str, bytes_max: usize) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-:@+=~/".contains(c);
    let mut label: String = text
        .chars()
        .map(|c| if is_allowed(c) { c } else { '_' })
        .collect();
    if label.is_empty() {
        label.push('_');
    }
    if label.len() > bytes_max {
        label.truncate(bytes_max - 9);
        let _ = write!(label, "-{:08x}", (xxh3_64(text.as_bytes()) >> 32) as u32);
    }
    label
}
