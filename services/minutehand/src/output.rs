//! What commands print, kept in files: a folder for each namespace, in it one for each schedule or
//! task, the newest runs only.
//!
//! Payloads and outputs may be secret, so nobody but the process's own user may look into them.
//! Names are made of ids that callers choose: no two ids share a folder, and no id leads out of its
//! own. How much is kept is bounded, for each schedule or task and in all; the oldest goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use minutehand_model::{MessageId, Task, Timestamp};
use minutehand_worker::{CapturedOutput, OutputStore};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Files of each schedule or task.
    files_each_max: usize,
    /// Files in all.
    files_max: usize,
    /// Bytes in all.
    bytes_max: u64,
}

const BOUNDS: Bounds = Bounds {
    files_each_max: 50,
    files_max: 10_000,
    bytes_max: 256 << 20,
};

/// Longest name of a folder, in bytes; file systems take 255.
const NAME_BYTES_MAX: usize = 200;

/// A folder of outputs.
#[derive(Clone, Debug)]
pub(crate) struct OutputFolder {
    root: Arc<PathBuf>,
    /// `None` until the first output, which looks at what is there already.
    kept: Arc<Mutex<Option<Kept>>>,
    bounds: Bounds,
}

impl OutputFolder {
    pub(crate) fn new(root: PathBuf) -> OutputFolder {
        OutputFolder {
            root: Arc::new(root),
            kept: Arc::default(),
            bounds: BOUNDS,
        }
    }

    /// Writes an output, and forgets what is too much.
    fn write(&self, folder: &Path, stem: &str, text: &[u8]) -> io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_with(|| Kept::read(&self.root));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let (name, mut file) = new_file(folder, stem)?;
        file.write_all(text)?;
        kept.add(name, folder.to_owned(), text.len() as u64);
        kept.forget_what_is_too_much(self.bounds)
    }
}

/// A file that was not there before: runs that started in the same millisecond are told apart by a
/// number.
fn new_file(folder: &Path, stem: &str) -> io::Result<(String, File)> {
    for number in 0_u32.. {
        let name = if number == 0 {
            format!("{stem}.log")
        } else {
            format!("{stem}.{number}.log")
        };
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(&name))
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (name, file)),
        }
    }
    Err(io::Error::other("every name is taken"))
}

/// What is kept: names begin with the time, so their order is that of the runs.
#[derive(Debug, Default)]
struct Kept {
    /// Sizes, by name and folder.
    files: BTreeMap<(String, PathBuf), u64>,
    of_folder: BTreeMap<PathBuf, BTreeSet<String>>,
    bytes: u64,
}

impl Kept {
    /// Looks at what is there; what cannot be looked at is left alone.
    fn read(root: &Path) -> Kept {
        let mut kept = Kept::default();
        let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
        for namespace in entries(root) {
            for owner in entries(&namespace.path()) {
                for file in entries(&owner.path()) {
                    let (name, size) = (
                        file.file_name(),
                        file.metadata().map_or(0, |metadata| metadata.len()),
                    );
                    kept.add(name.to_string_lossy().into_owned(), owner.path(), size);
                }
            }
        }
        kept
    }

    fn add(&mut self, name: String, folder: PathBuf, size: u64) {
        self.of_folder
            .entry(folder.clone())
            .or_default()
            .insert(name.clone());
        self.bytes += size;
        self.bytes -= self.files.insert((name, folder), size).unwrap_or(0);
    }

    fn forget_what_is_too_much(&mut self, bounds: Bounds) -> io::Result<()> {
        let full: Vec<(String, PathBuf)> = self
            .of_folder
            .iter()
            .filter(|(_, names)| names.len() > bounds.files_each_max)
            .flat_map(|(folder, names)| {
                let excess = names.len() - bounds.files_each_max;
                names
                    .iter()
                    .take(excess)
                    .map(move |name| (name.clone(), folder.clone()))
            })
            .collect();
        full.into_iter().try_for_each(|file| self.forget(file))?;
        while self.files.len() > bounds.files_max || self.bytes > bounds.bytes_max {
            // The newest is kept however large it is.
            let Some((oldest, _)) = self
                .files
                .first_key_value()
                .filter(|_| self.files.len() > 1)
            else {
                break;
            };
            let oldest = oldest.clone();
            self.forget(oldest)?;
        }
        Ok(())
    }

    fn forget(&mut self, file: (String, PathBuf)) -> io::Result<()> {
        let size = self.files.remove(&file).unwrap_or(0);
        self.bytes -= size;
        let (name, folder) = file;
        match std::fs::remove_file(folder.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Some(names) = self.of_folder.get_mut(&folder) {
            names.remove(&name);
            if names.is_empty() {
                self.of_folder.remove(&folder);
                // Fails where something else lies in it, and then it stays.
                let _ = std::fs::remove_dir(&folder);
            }
        }
        Ok(())
    }
}

/// The folder of a task, below the root.
fn folder_of(task: &Task) -> PathBuf {
    let (kind, owner) = match &task.origin {
        Some(origin) => ("schedule", origin.schedule.as_str()),
        None => ("task", task.id.as_str()),
    };
    Path::new(&folder_name(task.namespace.as_str())).join(folder_name(&format!("{kind}-{owner}")))
}

/// A name that is safe as a folder's, another one for every text: everything unusual is written as
/// `%` and its bytes, and what becomes too long ends with a fingerprint.
fn folder_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'.' if index > 0 => name.push('.'),
            b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    if name.len() > NAME_BYTES_MAX {
        let fingerprint = format!("~{:032x}", minutehand_model::TaskKey::of("", text).0);
        name.truncate(NAME_BYTES_MAX - fingerprint.len());
        name.push_str(&fingerprint);
    }
    name
}

/// What a file is called, but for its ending: when the run started, of one length, the attempt and
/// the message.
fn stem_of(started_at: Timestamp, attempt: u32, message: MessageId) -> String {
    let time = started_at
        .to_rfc3339()
        .map(|text| text.map(char::from).into_iter().collect::<String>());
    let time = time.unwrap_or_else(|| started_at.as_millis().to_string());
    let compact: String = time.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{compact}.{attempt}.{message}")
}

#[async_trait]
impl OutputStore for OutputFolder {
    async fn keep(&self, output: CapturedOutput<'_>) -> io::Result<()> {
        let execution = output.execution;
        let task = &execution.task;
        let folder = self.root.join(folder_of(task));
        let stem = stem_of(output.started_at, task.attempt, execution.message);
        let mut text = format!(
            "# {} due {} started {}\n",
            task.id, task.due, output.started_at
        )
        .into_bytes();
        if output.bytes_left_out > 0 {
            text.extend_from_slice(
                format!(
                    "# {} bytes before this were left out\n",
                    output.bytes_left_out
                )
                .as_bytes(),
            );
        }
        text.extend_from_slice(output.bytes);
        text.extend_from_slice(format!("\n# {}\n", output.ended).as_bytes());
        let own = self.clone();
        tokio::task::spawn_blocking(move || own.write(&folder, &stem, &text))
            .await
            .map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn files(root: &Path) -> Vec<String> {
        let kept = Kept::read(root);
        kept.files.keys().map(|(name, _)| name.clone()).collect()
    }

    fn folder_with(root: &Path, bounds: Bounds) -> OutputFolder {
        OutputFolder {
            bounds,
            ..OutputFolder::new(root.to_owned())
        }
    }

    #[test]
    fn no_two_ids_share_a_folder_and_none_leads_out_of_it() {
        let long = "x".repeat(199);
        let texts = [
            ".",
            "..",
            "...",
            "a/b",
            "a_b",
            "a%2Fb",
            "a.b",
            ".a",
            "../../etc/passwd",
            "a~b",
            "A",
            "a",
            &long,
        ];
        let longer: Vec<String> = (0..50).map(|number| format!("{long}:@/{number}")).collect();
        let names: BTreeSet<String> = texts
            .iter()
            .copied()
            .chain(longer.iter().map(String::as_str))
            .map(folder_name)
            .collect();
        assert_eq!(names.len(), texts.len() + longer.len());
        for name in names {
            assert!(
                !name.starts_with('.') && !name.contains('/') && name.len() <= NAME_BYTES_MAX,
                "{name}"
            );
        }
    }

    #[test]
    fn names_of_files_rise_with_time() {
        let stem = |ms| stem_of(Timestamp::from_millis(ms), 1, MessageId(7));
        assert!([0, 1, 999, 1_000, 1_790_000_000_000].map(stem).is_sorted());
        assert_eq!(
            stem(1),
            "19700101T000000.001Z.1.m-00000000000000000000000000000007"
        );
    }

    #[test]
    fn runs_of_one_millisecond_are_kept_apart_and_private() {
        let root = tempfile::tempdir().expect("a folder");
        let own = OutputFolder::new(root.path().join("output"));
        let folder = own.root.join("default").join("task-a");
        for text in ["one", "two", "three"] {
            own.write(&folder, "1.1.m-0", text.as_bytes())
                .expect("written");
        }
        assert_eq!(
            files(&own.root),
            ["1.1.m-0.1.log", "1.1.m-0.2.log", "1.1.m-0.log"]
        );
        let mode = |path: &Path| {
            std::fs::metadata(path)
                .expect("it is there")
                .permissions()
                .mode()
                & 0o077
        };
        for path in [&folder, &folder.join("1.1.m-0.log"), own.root.as_path()] {
            assert_eq!(mode(path), 0, "{}", path.display());
        }
    }

    #[test]
    fn what_is_kept_is_bounded_for_each_and_in_all() {
        let root = tempfile::tempdir().expect("a folder");
        let bounds = Bounds {
            files_each_max: 3,
            files_max: 5,
            bytes_max: 100,
        };
        let own = folder_with(root.path(), bounds);
        let write = |own: &OutputFolder, owner: &str, stem: &str, bytes: usize| {
            own.write(
                &root.path().join("ns").join(owner),
                stem,
                &vec![b'x'; bytes],
            )
            .expect("written");
        };
        (1..=4).for_each(|number| write(&own, "a", &number.to_string(), 1));
        assert_eq!(files(root.path()), ["2.log", "3.log", "4.log"]);
        (5..=8).for_each(|number| write(&own, &format!("single-{number}"), &number.to_string(), 1));
        assert_eq!(
            files(root.path()),
            ["4.log", "5.log", "6.log", "7.log", "8.log"]
        );
        // A new process counts what is there, and lets an empty folder go.
        let own = folder_with(root.path(), bounds);
        write(&own, "b", "9", 98);
        assert_eq!(files(root.path()), ["7.log", "8.log", "9.log"]);
        assert!(!root.path().join("ns/a").exists());
        write(&own, "b", "99", 500);
        assert_eq!(
            files(root.path()),
            ["99.log"],
            "the newest is kept however large it is"
        );
    }
}
