//! Nobody but the process's own user reads what is stored, whatever the umask is.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Of folders.
const FOLDER_MODE: u32 = 0o700;
/// Of files.
const FILE_MODE: u32 = 0o600;

/// Runs `work` on a thread whose files, and whose child threads' files, are for this user alone.
/// The rest of the process keeps its umask, and so do the commands that it runs.
pub(crate) fn for_this_user_alone<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let private = || {
        mask_this_thread();
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("store-opener".to_owned())
            .spawn_scoped(scope, private)?;
        thread
            .join()
            .map_err(|_| io::Error::other("the thread that opens the store panicked"))
    })
}

#[cfg(target_os = "linux")]
fn mask_this_thread() {
    use rustix::fs::Mode;
    use rustix::thread::UnshareFlags;
    // It is deprecated because of `FILES`, which takes descriptors from other threads; `FS` is
    // umask and folders only.
    #[expect(
        deprecated,
        reason = "the flag `FS` alone is sound, and the replacement is an unsafe function"
    )]
    let is_apart = rustix::thread::unshare(UnshareFlags::FS).is_ok();
    // Where that is forbidden, the modes of the folders around the files keep others out.
    if is_apart {
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
}

#[cfg(not(target_os = "linux"))]
fn mask_this_thread() {}

/// Creates a folder and those above it. One that is there already keeps its mode: it may be
/// somebody else's.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)
}

/// Opens a file for writing, creating it when it is missing.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Takes the rights of others from a folder of ours and from everything in it, as far as that is
/// there.
pub(crate) fn tighten(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    set_mode(folder, FOLDER_MODE)?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            tighten(&entry.path())?;
        } else if kind.is_file() {
            set_mode(&entry.path(), FILE_MODE)?;
        }
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let has = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if has & !mode == 0 {
        Ok(())
    } else {
        std::fs::set_permissions(path, Permissions::from_mode(mode))
    }
}
