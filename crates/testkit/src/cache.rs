//! The folder outside the repository where servers are kept once they were fetched, and where
//! running ones have their data; and what makes it safe for many processes at once.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable that names another cache folder.
pub const CACHE_VARIABLE: &str = "MINUTEHAND_CACHE";

/// The cache of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The folder that `MINUTEHAND_CACHE` names, else `minutehand` in `XDG_CACHE_HOME`, else in
    /// `~/.cache`, else in the folder for temporary files.
    pub fn of_user() -> Cache {
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let xdg = || absolute("XDG_CACHE_HOME").map(|cache| cache.join("minutehand"));
        let home = || absolute("HOME").map(|home| home.join(".cache/minutehand"));
        let root = absolute(CACHE_VARIABLE).or_else(xdg).or_else(home);
        Cache::at(root.unwrap_or_else(|| std::env::temp_dir().join("minutehand-cache")))
    }

    /// A cache in a given folder.
    pub fn at(root: impl Into<PathBuf>) -> Cache {
        Cache { root: root.into() }
    }

    /// Its folder; it need not exist yet.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was fetched, one folder a server and version.
    pub(crate) fn servers(&self) -> PathBuf {
        self.root.join("servers")
    }

    /// What belongs to the servers that `cargo xtask up` left running.
    pub(crate) fn up(&self) -> PathBuf {
        self.root.join("up")
    }

    /// One lock file for every port that a process has claimed.
    pub(crate) fn ports(&self) -> PathBuf {
        self.root.join("ports")
    }

    /// The folder `servers/<name>`, made by a function when there is none. Whoever comes meanwhile
    /// waits; a folder that was made half is never seen.
    ///
    /// # Errors
    /// Those of the file system, as the function's error, and the function's own.
    pub(crate) fn complete_or_absent<E: From<io::Error>>(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let folder = self.servers().join(name);
        if folder.is_dir() {
            return Ok(folder);
        }
        fs::create_dir_all(self.servers())?;
        let _lock = lock(&self.servers().join(format!("{name}.lock")))?;
        if folder.is_dir() {
            return Ok(folder);
        }
        let half = tempfile::Builder::new()
            .prefix(".half-")
            .tempdir_in(self.servers())?;
        make(half.path())?;
        fs::rename(half.keep(), &folder)?;
        Ok(folder)
    }
}

/// A folder for the data of one server or cluster, removed when it is dropped. What killed
/// processes left behind is removed by the next one that needs a folder.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    // Held as long as the folder is in use: by it others know.
    _lock: File,
}

impl RunFolder {
    pub(crate) fn create(cache: &Cache, name: &str) -> io::Result<RunFolder> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let runs = cache.root.join("runs");
        fs::create_dir_all(&runs)?;
        let _one_at_a_time = lock(&cache.root.join("runs.lock"))?;
        sweep(&runs)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = runs.join(format!("{name}-{}-{count}", std::process::id()));
        let held = lock(&lock_beside(&path))?;
        // A number of a process may come again.
        remove_folder(&path)?;
        fs::create_dir(&path)?;
        Ok(RunFolder { path, _lock: held })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is swept later.
        drop(remove_folder(&self.path));
        drop(fs::remove_file(lock_beside(&self.path)));
    }
}

fn lock_beside(folder: &Path) -> PathBuf {
    folder.with_added_extension("lock")
}

fn sweep(runs: &Path) -> io::Result<()> {
    for entry in fs::read_dir(runs)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Some(_held) = try_lock(&path)? else {
            continue;
        };
        remove_folder(&path.with_extension(""))?;
        fs::remove_file(&path)?;
    }
    Ok(())
}

/// Removes a folder with all that is in it, also when there is none.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Takes the lock that a file stands for, waiting for it; dropping the file gives it back.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    file.lock()?;
    Ok(file)
}

/// The same without waiting: `None` when another holds it.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_half_way_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let failed = cache.complete_or_absent("thing-1", |half| {
            fs::write(half.join("part"), "x")?;
            Err(io::Error::other("no network"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no network");
        assert!(!cache.servers().join("thing-1").exists());
        let made = cache
            .complete_or_absent("thing-1", |half| fs::write(half.join("part"), "x"))
            .unwrap();
        assert!(made.join("part").is_file());
        let again = cache.complete_or_absent("thing-1", |_| Err(io::Error::other("made twice")));
        assert_eq!(again.unwrap(), made);
    }

    #[test]
    fn many_at_once_make_it_once() {
        let root = tempfile::tempdir().unwrap();
        let count = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let make = |half: &Path| {
                        count.fetch_add(1, Ordering::Relaxed);
                        fs::write(half.join("part"), "x")
                    };
                    Cache::at(root.path())
                        .complete_or_absent("thing-1", make)
                        .unwrap();
                });
            }
        });
        assert_eq!(count.into_inner(), 1);
    }

    #[test]
    fn a_run_folder_goes_with_its_owner_or_is_swept() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let orphan = root.path().join("runs/kafka-1-0");
        fs::create_dir_all(orphan.join("data")).unwrap();
        fs::write(lock_beside(&orphan), "").unwrap();
        let first = RunFolder::create(&cache, "etcd").unwrap();
        assert!(!orphan.exists());
        let second = RunFolder::create(&cache, "etcd").unwrap();
        assert!(first.path().is_dir() && second.path().is_dir());
        let gone = first.path().to_owned();
        drop(first);
        assert!(!gone.exists() && second.path().is_dir());
    }
}
