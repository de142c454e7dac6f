//! The secret by which the roles of a cluster know each other, now and after every SIGHUP.

use minutehand_cli::Failure;
use minutehand_cluster::PeerToken;
use minutehand_http::Tokens;
use minutehand_settings::Secret;

use super::failure::usage;
use crate::settings::Settings;
use crate::signals::Signals;

/// What callers must show, and what we show. A file may hold several tokens, one a line: all of
/// them are accepted, the first is shown. So a token is replaced without a gap: the new one is
/// added as the last line everywhere, then it becomes the first everywhere, then the old one goes.
#[derive(Clone)]
pub(super) struct ClusterToken {
    pub(super) accepted: Tokens,
    pub(super) shown: PeerToken,
}

/// Reads it from the settings, and its file again at every SIGHUP; what cannot be used then changes
/// nothing.
pub(super) fn current(settings: &Settings, signals: &Signals) -> Result<ClusterToken, Failure> {
    let current = read(settings)?;
    if let Some(file) = settings.cluster.token_file.clone() {
        let (kept, settings) = (current.clone(), settings.clone());
        signals.at_hangup(move || match read(&settings) {
            Ok(token) => {
                kept.accepted.replace(&token.accepted);
                kept.shown.replace(&token.shown);
                tracing::info!(file = %file.display(), "read the cluster's token again");
            }
            Err(failure) => {
                tracing::error!(file = %file.display(), error = failure.message, "the cluster's token stays as it was");
            }
        });
    }
    Ok(current)
}

fn read(settings: &Settings) -> Result<ClusterToken, Failure> {
    let config = &settings.cluster;
    let token = Secret::of(
        "cluster.token",
        config.token.as_ref(),
        config.token_file.as_deref(),
    )?;
    let Some(token) = token else {
        return Ok(ClusterToken {
            accepted: Tokens::none(),
            shown: PeerToken::none(),
        });
    };
    let text = token.reveal();
    let accepted =
        Tokens::shared("cluster.token", text).map_err(|error| usage(error.to_string()))?;
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let shown = PeerToken::new(first).map_err(|error| usage(error.to_string()))?;
    Ok(ClusterToken { accepted, shown })
}
