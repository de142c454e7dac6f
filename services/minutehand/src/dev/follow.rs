//! Crontabs are looked at while `dev` runs: as with cron, whoever edits one need not start anything
//! anew.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use minutehand_cli::{DevArgs, Failure, PlannedFile};
use minutehand_node::{Clock, Gateway, SystemClock};

use super::crontab::{self, AtStart};
use crate::permission::CommandPermission;

/// How often the files are looked at. One that has changed is read when it is still the same at the
/// next look: an editor may be at it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What shows that a file is another one than before; `None` when it cannot be looked at.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    };
    paths.iter().map(stamp).collect()
}

/// What became of a change of the files.
enum Followed {
    /// Until the next one there is nothing to do.
    Settled,
    /// Something could not be asked or written.
    InPart,
}

/// Crontabs that schedules follow.
pub(super) struct Follower {
    args: DevArgs,
    commands: CommandPermission,
    followed: Vec<Stamp>,
}

impl Follower {
    /// To be made before the files are read for the first time, so that no edit is missed.
    pub(super) fn new(args: &DevArgs, commands: CommandPermission) -> Follower {
        Follower {
            followed: stamps(&args.crontab),
            args: args.clone(),
            commands,
        }
    }

    /// Follows the files for as long as it is polled. What cannot be read leaves all schedules as
    /// they are, and is told once; what could be followed in part alone is followed again.
    pub(super) async fn run(mut self, gateway: &Gateway) {
        if self.args.crontab.is_empty() {
            return std::future::pending().await;
        }
        let mut seen = self.followed.clone();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let paths = self.args.crontab.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || stamps(&paths)).await else {
                continue;
            };
            if now != self.followed
                && now == seen
                && let Followed::Settled = self.follow(gateway).await
            {
                self.followed.clone_from(&now);
            }
            seen = now;
        }
    }

    async fn follow(&self, gateway: &Gateway) -> Followed {
        let args = self.args.clone();
        let read = tokio::task::spawn_blocking(move || crontab::read(&args)).await;
        let files = match read.unwrap_or_else(|error| Err(crontab::unread(&error))) {
            Ok(files) => files,
            Err(failure) => {
                tracing::error!(
                    reason = failure.message,
                    "a crontab has changed and cannot be followed; schedules stay as they are until it changes again"
                );
                return Followed::Settled;
            }
        };
        match self.apply(gateway, files).await {
            Ok(followed) => {
                tracing::info!(
                    schedules = followed.schedules,
                    changed = followed.changed,
                    deleted = followed.deleted,
                    resting = followed.resting,
                    "a crontab has changed, and its schedules follow it"
                );
                Followed::Settled
            }
            Err(failure) => {
                tracing::error!(
                    reason = failure.message,
                    "a crontab has changed and was followed in part alone; it is tried again"
                );
                Followed::InPart
            }
        }
    }

    async fn apply(
        &self,
        gateway: &Gateway,
        mut files: Vec<PlannedFile>,
    ) -> Result<crontab::Followed, Failure> {
        let changes = crontab::follow(gateway, &mut files).await?;
        self.commands.grant_lines(crontab::lines(&files));
        changes
            .apply(gateway, files, AtStart::HasBeen, SystemClock.now())
            .await
    }
}
