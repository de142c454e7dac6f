//! What commands print, kept in files: one folder per schedule or task, the newest runs only.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use minutehand_worker::{CapturedOutput, OutputStore};

/// Files kept of each schedule or task.
const FILES_MAX: usize = 50;

/// A folder of outputs.
#[derive(Clone, Debug)]
pub(crate) struct OutputFolder {
    root: PathBuf,
}

impl OutputFolder {
    pub(crate) fn new(root: PathBuf) -> OutputFolder {
        OutputFolder { root }
    }
}

/// A name that is safe as a file's: everything unusual becomes `_`.
fn file_name(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    text.chars().map(safe).collect::<String>().trim_start_matches('.').to_owned()
}

#[async_trait]
impl OutputStore for OutputFolder {
    async fn keep(&self, output: CapturedOutput<'_>) -> io::Result<()> {
        let task = &output.execution.task;
        let owner = task.origin.as_ref().map_or_else(|| task.id.as_str(), |origin| origin.schedule.as_str());
        let folder = self.root.join(file_name(owner));
        let name = format!("{}.{}.log", file_name(&output.started_at.to_string()), task.attempt);
        let mut text = format!("# {} due {} started {}\n", task.id, task.due, output.started_at).into_bytes();
        if output.bytes_left_out > 0 {
            text.extend_from_slice(
                format!("# {} bytes before this were left out\n", output.bytes_left_out).as_bytes(),
            );
        }
        text.extend_from_slice(output.bytes);
        text.extend_from_slice(format!("\n# {}\n", output.ended).as_bytes());
        tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(name), text)?;
            forget_oldest(&folder)
        })
        .await
        .map_err(io::Error::other)?
    }
}

/// File names begin with the time, so their order is that of the runs.
fn forget_oldest(folder: &std::path::Path) -> io::Result<()> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    let excess = files.len().saturating_sub(FILES_MAX);
    files.iter().take(excess).try_for_each(std::fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_folder() {
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(file_name("crontab/backup@2026-11-23T10:00:00Z"), "crontab_backup_2026-11-23T10_00_00Z");
    }
}
