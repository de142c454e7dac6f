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

/// How a file is named in the ids of its schedules. It has no `/`, so that what the ids of one file
/// begin with is never what those of another begin with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileLabel(String);

impl FileLabel {
    /// A file that is known by its name alone, whichever folder it lies in: files that are imported
    /// come from elsewhere.
    #[must_use]
    pub fn of_name(path: &str) -> FileLabel {
        FileLabel(shortened(last_part(path), LABEL_BYTES_MAX))
    }

    /// A file that is known by its path, as it was given: no other path has this label, whichever
    /// others are given beside it. `/` is written `:`, and what an id may not have as its bytes
    /// (`=20`).
    #[must_use]
    pub fn of_path(path: &str) -> FileLabel {
        let path = plain(path);
        let mut label = String::new();
        for byte in path.bytes() {
            match byte {
                b'/' => label.push(':'),
                b'.' | b'_' | b'-' | b'@' | b'+' | b'~' => label.push(char::from(byte)),
                byte if byte.is_ascii_alphanumeric() => label.push(char::from(byte)),
                byte => {
                    let _ = write!(label, "={byte:02X}");
                }
            }
        }
        if label.len() > LABEL_BYTES_MAX {
            // `==` is in no label that was not cut.
            label.truncate(LABEL_BYTES_MAX - 18);
            let _ = write!(label, "=={:016x}", xxh3_64(path.as_bytes()));
        }
        FileLabel(label)
    }
}

/// What the ids of a file's schedules begin with: `<prefix>/<file>/`.
#[must_use]
pub fn id_prefix(prefix: &str, file: &FileLabel) -> String {
    format!("{}/{}/", shortened(prefix, PREFIX_BYTES_MAX), file.0)
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
    pub(crate) fn new(
        prefix: &str,
        file: &FileLabel,
        taken: impl Iterator<Item = ScheduleId>,
    ) -> NewIds {
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

/// The path without what says nothing: `.` and doubled `/`.
fn plain(path: &str) -> String {
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.collect::<Vec<_>>().join("/"))
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path)
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
