//! A look at the files before the database opens them. It is forgiving in the wrong places: a table
//! whose first file is missing begins anew, a journal is cut where it is not understood, and what a
//! missing list no longer names is removed. So what must be there is looked for first, by names
//! that were written down, and damage is told with the file.

mod journal;
mod tree;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::OpenError;
use crate::damage::Corruption;
use crate::private;

/// The folder of the database in a data folder.
pub(crate) const DATABASE: &str = "database";
/// What was there when the store was last looked at; a text in the data folder.
const INVENTORY: &str = "inventory";
/// What was cut out of journals, and databases that were repaired; a folder in the data folder.
pub(crate) const CUT_OUT: &str = "set-aside";

/// What the database writes into its file `version`.
const VERSION: &[u8] = b"FJL\x03";

/// Folders of tables, and the number of the newest journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    tables: BTreeSet<u64>,
    newest_journal: u64,
}

impl Inventory {
    /// What is there now.
    pub(crate) fn taken(data_dir: &Path) -> io::Result<Inventory> {
        let database = data_dir.join(DATABASE);
        let tables = numbers(&database.join("keyspaces"), "")?;
        let newest_journal = numbers(&database, ".jnl")?.last().copied().unwrap_or(0);
        Ok(Inventory {
            tables,
            newest_journal,
        })
    }

    /// What was written down; `None` in a new folder.
    fn read(data_dir: &Path) -> io::Result<Option<Inventory>> {
        let bytes = match std::fs::read(data_dir.join(INVENTORY)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        // A line that is damaged, in whichever way, names nothing that must be there.
        let text = String::from_utf8_lossy(&bytes);
        let mut inventory = Inventory::default();
        for line in text.lines() {
            match line
                .split_once(' ')
                .map(|(word, number)| (word, number.parse::<u64>()))
            {
                Some(("table", Ok(number))) => drop(inventory.tables.insert(number)),
                Some(("newest-journal", Ok(number))) => inventory.newest_journal = number,
                _ => {}
            }
        }
        Ok(Some(inventory))
    }

    /// Writes it down, whole or not at all.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let tables = self.tables.iter().map(|number| format!("table {number}\n"));
        let text: String = tables
            .chain([format!("newest-journal {}\n", self.newest_journal)])
            .collect();
        let (new, name) = (
            data_dir.join(format!("{INVENTORY}.new")),
            data_dir.join(INVENTORY),
        );
        let mut file = private::open_file(&new)?;
        file.set_len(0)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(new, name)
    }
}

/// Numbers that are names in a folder, with an ending.
fn numbers(folder: &Path, ending: &str) -> io::Result<BTreeSet<u64>> {
    let names = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    Ok(names
        .iter()
        .filter_map(|name| name.to_str()?.strip_suffix(ending)?.parse().ok())
        .collect())
}

/// Looks at the files of a data folder; answers with what was cut out of journals.
///
/// # Errors
/// When something is missing, or damaged in a way that cannot be passed over.
pub(crate) fn look(data_dir: &Path) -> Result<Vec<Corruption>, OpenError> {
    let failed = |source: io::Error| OpenError::Folder {
        folder: data_dir.to_owned(),
        source,
    };
    let Some(inventory) = Inventory::read(data_dir).map_err(failed)? else {
        return Ok(Vec::new());
    };
    let database = data_dir.join(DATABASE);
    for file in [database.join("version"), database.join("keyspaces")] {
        if !file.try_exists().map_err(failed)? {
            return Err(missing(file));
        }
    }
    let version = database.join("version");
    if std::fs::read(&version).map_err(failed)? != VERSION {
        let reason =
            "it does not name the version of the database that this release has".to_owned();
        return Err(OpenError::DamagedFile {
            file: version,
            reason,
        });
    }
    // It holds nothing; the database only wants it to be there.
    private::open_file(&database.join("lock")).map_err(failed)?;
    for table in &inventory.tables {
        check_table(&database, *table)?;
    }
    let journals = numbers(&database, ".jnl").map_err(failed)?;
    let newest = journals.last().copied();
    if newest.is_none_or(|newest| newest < inventory.newest_journal) {
        return Err(missing(
            database.join(format!("{}.jnl", inventory.newest_journal)),
        ));
    }
    let first = journals.first().copied().unwrap_or(0);
    if let Some(gap) = (first..newest.unwrap_or(first)).find(|number| !journals.contains(number)) {
        return Err(missing(database.join(format!("{gap}.jnl"))));
    }
    let mut cut = Vec::new();
    for number in journals {
        cut.extend(
            check_journal(data_dir, &database.join(format!("{number}.jnl"))).map_err(failed)?,
        );
    }
    Ok(cut)
}

fn check_table(database: &Path, table: u64) -> Result<(), OpenError> {
    let files = tree::check(&database.join("keyspaces").join(table.to_string()));
    files
        .map(drop)
        .map_err(|fault| match fault.file.try_exists() {
            Ok(false) => missing(fault.file),
            _ => OpenError::DamagedFile {
                file: fault.file,
                reason: fault.reason,
            },
        })
}

fn missing(file: PathBuf) -> OpenError {
    OpenError::MissingFile { file }
}

/// The file that keeps the database from being opened, found by comparing all of them with their
/// checksums.
pub(crate) fn culprit(data_dir: &Path) -> Option<OpenError> {
    let database = data_dir.join(DATABASE);
    for table in numbers(&database.join("keyspaces"), "").ok()? {
        let folder = database.join("keyspaces").join(table.to_string());
        let files = match tree::check(&folder) {
            Ok(files) => files,
            Err(fault) => {
                return Some(OpenError::DamagedFile {
                    file: fault.file,
                    reason: fault.reason,
                });
            }
        };
        if let Some(fault) = files
            .iter()
            .find_map(|(file, sum)| tree::compare(file, *sum).err())
        {
            return Some(OpenError::DamagedFile {
                file: fault.file,
                reason: fault.reason,
            });
        }
    }
    None
}

/// Cuts batches that are not whole out of a journal, and keeps them beside the database.
fn check_journal(data_dir: &Path, path: &Path) -> io::Result<Vec<Corruption>> {
    let mut file = std::fs::File::open(path)?;
    if journal::first_doubt(&mut file)?.is_none() {
        return Ok(Vec::new());
    }
    let mut bytes = std::fs::read(path)?;
    let mut cut = Vec::new();
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    while let journal::State::Damaged { at, until } = journal::look(&bytes) {
        let end = bytes[..until]
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(at, |last| last + 1)
            .max(at);
        let kept = format!("{name}-{}", cut.len());
        private::create_folder(&data_dir.join(CUT_OUT))?;
        let mut kept_file = private::open_file(&data_dir.join(CUT_OUT).join(&kept))?;
        kept_file.set_len(0)?;
        kept_file.write_all(&bytes[at..end])?;
        kept_file.sync_all()?;
        cut.push(Corruption {
            position: format!("journal {}, {} bytes at {at}", path.display(), end - at),
            reason: format!("they are no whole commit; they are kept in {CUT_OUT}/{kept}"),
        });
        bytes.drain(at..until);
    }
    if !cut.is_empty() {
        let new = path.with_extension("new");
        let mut writer = private::open_file(&new)?;
        writer.set_len(0)?;
        writer.write_all(&bytes)?;
        writer.sync_all()?;
        std::fs::rename(new, path)?;
    }
    Ok(cut)
}
