//! Repair of a store with a table that the database cannot merge with others. Reading passes over
//! what is damaged in it; merging does not, and the database stops writing for good, at every start
//! anew. So when writing has failed in the background without another reason, the next start
//! compares all files with their checksums. If one is damaged, everything that can be read is
//! copied into a new database, which takes the place of the damaged one; that is set aside whole,
//! and what was lost is told.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, OpenError};
use crate::damage::{Corruption, lost_rows};
use crate::private;
use crate::scan::{self, Lost};
use crate::spaces::Spaces;
use crate::survey::{self, CUT_OUT, DATABASE};

/// A file in the data folder: writing has failed, and nothing has told why.
const IN_DOUBT: &str = "in-doubt";
/// The new database while it is made.
const REPAIRED: &str = "database.repaired";
/// Behind every key there is.
const KEYS_END: [u8; 64] = [u8::MAX; 64];

/// Writes down that the next start must look at the whole database.
pub(crate) fn doubt(data_dir: &Path) -> io::Result<()> {
    private::open_file(&data_dir.join(IN_DOUBT))?.sync_all()
}

/// Ends a repair that was interrupted between its two last steps. To be called before the files are
/// looked at.
pub(crate) fn resume(data_dir: &Path) -> io::Result<()> {
    let (database, repaired) = (data_dir.join(DATABASE), data_dir.join(REPAIRED));
    // It is whole once the damaged one has made room for it.
    if !database.try_exists()? && repaired.try_exists()? {
        std::fs::rename(repaired, database)?;
    }
    Ok(())
}

/// Repairs a store that is in doubt, if there is a damaged table in it; answers what was lost.
///
/// # Errors
/// When files cannot be read or written, or the damage is of a kind that cannot be passed over.
pub(crate) fn if_in_doubt(config: &Config) -> Result<Vec<Corruption>, OpenError> {
    let failed = |source| OpenError::Folder {
        folder: config.data_dir.clone(),
        source,
    };
    let mark = config.data_dir.join(IN_DOUBT);
    if !mark.try_exists().map_err(failed)? {
        return Ok(Vec::new());
    }
    let mut lost = Vec::new();
    if let Some(culprit) = survey::culprit(&config.data_dir) {
        tracing::error!(%culprit, "a table is damaged; the store is repaired, which takes as long as reading all of it");
        copy(config, &mut lost)?;
        let kept = swap(&config.data_dir).map_err(failed)?;
        let position = format!("database in {}", config.data_dir.display());
        let reason = format!(
            "{culprit}; what could be read was kept, and the damaged database is in {kept}"
        );
        lost.push(Corruption { position, reason });
    }
    std::fs::remove_file(mark).map_err(failed)?;
    Ok(lost)
}

/// Copies every row that can be read into a new database.
fn copy(config: &Config, lost: &mut Vec<Corruption>) -> Result<(), OpenError> {
    let folder = config.data_dir.clone();
    let failed = |source| OpenError::Folder {
        folder: folder.clone(),
        source,
    };
    let database = |error| OpenError::Database {
        folder: folder.clone(),
        source: Box::new(error),
    };
    let repaired = config.data_dir.join(REPAIRED);
    if repaired.try_exists().map_err(failed)? {
        std::fs::remove_dir_all(&repaired).map_err(failed)?;
    }
    // Without threads of its own it merges nothing.
    let damaged =
        fjall::Database::builder(config.data_dir.join(DATABASE)).worker_threads_unchecked(0);
    let damaged = damaged.open().map_err(database)?;
    let whole = Spaces::open(&repaired, config).map_err(database)?;
    let options = fjall::KeyspaceCreateOptions::default;
    for name in damaged.list_keyspace_names() {
        let from = damaged.keyspace(&name, options).map_err(database)?;
        let to = whole.database.keyspace(&name, options).map_err(database)?;
        let note = |stretch: Lost| lost.push(lost_rows(&format!("table {}", &*name), &stretch));
        let mut rows = scan::rows(&from, [], KEYS_END).readable(note).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let mut copied = to.start_ingestion().map_err(database)?;
        for row in rows {
            let (key, value) = row.map_err(database)?;
            copied.write(key, value).map_err(database)?;
        }
        copied.finish().map_err(database)?;
    }
    whole
        .database
        .persist(fjall::PersistMode::SyncAll)
        .map_err(database)
}

/// Puts the new database in the place of the damaged one; where that is kept.
fn swap(data_dir: &Path) -> io::Result<String> {
    let kept = data_dir.join(CUT_OUT);
    private::create_folder(&kept)?;
    let free = |number: &u32| !kept_at(&kept, *number).exists();
    let number = (0..u32::MAX).find(free).unwrap_or(u32::MAX);
    std::fs::rename(data_dir.join(DATABASE), kept_at(&kept, number))?;
    std::fs::rename(data_dir.join(REPAIRED), data_dir.join(DATABASE))?;
    File::open(data_dir)?.sync_all()?;
    survey::Inventory::taken(data_dir)?.write(data_dir)?;
    Ok(format!("{CUT_OUT}/{DATABASE}-{number}"))
}

fn kept_at(kept: &Path, number: u32) -> PathBuf {
    kept.join(format!("{DATABASE}-{number}"))
}
