//! The files of one table of the database: which version of it is the current one, and which files
//! that names.

use std::path::{Path, PathBuf};

use bytes::Buf;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) file: PathBuf,
    pub(super) reason: String,
}

fn fault(file: PathBuf, reason: impl ToString) -> Fault {
    Fault {
        file,
        reason: reason.to_string(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(file).map_err(|error| fault(file.to_owned(), error))
}

/// Checks that the current version of a table is whole, and that its files are there. `Some`
/// answers with them.
pub(super) fn check(folder: &Path) -> Result<Vec<(PathBuf, u128)>, Fault> {
    let current = folder.join("current");
    let bytes = read(&current)?;
    if bytes.len() != 8 + 16 + 1 {
        return Err(fault(current, format!("it has {} bytes", bytes.len())));
    }
    let mut rest = &bytes[..];
    let (version, sum) = (rest.get_u64_le(), rest.get_u128_le());
    let manifest = folder.join(format!("v{version}"));
    if xxh3_128(&read(&manifest)?) != sum {
        return Err(fault(manifest, "its checksum does not match"));
    }
    let files = named(&manifest).map_err(|reason| fault(manifest, reason))?;
    let files: Vec<(PathBuf, u128)> = files
        .into_iter()
        .map(|(id, sum)| (folder.join("tables").join(id.to_string()), sum))
        .collect();
    for (file, _) in &files {
        std::fs::metadata(file).map_err(|error| fault(file.clone(), error))?;
    }
    Ok(files)
}

/// The numbers of the files that a version names, with their checksums.
fn named(manifest: &Path) -> Result<Vec<(u64, u128)>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let reader = sfa::Reader::new(manifest).map_err(|error| format!("{error:?}"))?;
    let section = reader.toc().section(b"tables").ok_or("it names no files")?;
    let mut bytes = Vec::new();
    let mut section = section
        .buf_reader(manifest)
        .map_err(|error| words(&error))?;
    std::io::Read::read_to_end(&mut section, &mut bytes).map_err(|error| words(&error))?;
    parse(&bytes).ok_or_else(|| "its list of files is cut short".to_owned())
}

fn parse(bytes: &[u8]) -> Option<Vec<(u64, u128)>> {
    let mut rest = bytes;
    let mut files = Vec::new();
    for _ in 0..rest.try_get_u8().ok()? {
        for _ in 0..rest.try_get_u8().ok()? {
            for _ in 0..rest.try_get_u32_le().ok()? {
                let id = rest.try_get_u64_le().ok()?;
                let _kind_of_sum = rest.try_get_u8().ok()?;
                files.push((id, rest.try_get_u128_le().ok()?));
                let _sequence = rest.try_get_u64_le().ok()?;
            }
        }
    }
    Some(files)
}

/// Compares a whole file with its checksum.
pub(super) fn compare(file: &Path, sum: u128) -> Result<(), Fault> {
    let mut open = std::fs::File::open(file).map_err(|error| fault(file.to_owned(), error))?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = std::io::Read::read(&mut open, &mut buffer)
            .map_err(|error| fault(file.to_owned(), error))?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    if hash.digest128() == sum {
        Ok(())
    } else {
        Err(fault(file.to_owned(), "its checksum does not match"))
    }
}
