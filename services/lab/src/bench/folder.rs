//! The folder of a benchmark.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use minutehand_cli::{Exit, Failure};

use crate::args::BenchArgs;

/// A folder of a place that was named, or one that goes away afterwards.
pub(super) struct Folder {
    path: PathBuf,
    is_ours: bool,
}

impl Folder {
    /// A new one, below the place that the arguments name, if any.
    pub(super) fn of(args: &BenchArgs) -> Result<Folder, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = args.data_dir.as_deref();
        let path = match place {
            Some(place) => place.join(format!("run-{number}")),
            None => std::env::temp_dir()
                .join(format!("minutehand-bench-{}-{number}", std::process::id())),
        };
        std::fs::create_dir_all(&path).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("could not make the folder {}: {error}", path.display()),
            )
        })?;
        Ok(Folder {
            path,
            is_ours: place.is_none(),
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours {
            // What cannot be removed lies in the system's folder for what is temporary.
            std::fs::remove_dir_all(&self.path).ok();
        }
    }
}
