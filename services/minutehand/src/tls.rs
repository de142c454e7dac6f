//! Serving with TLS where the settings say so, and reading certificates and tokens again on SIGHUP.

use std::path::{Path, PathBuf};

use minutehand_cli::{Exit, Failure};
use minutehand_http::{Router, ServeLimits, Tls, TlsFiles, Tokens};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::signals::Signals;

/// Serves until `stop` completes, by HTTPS when there are files for it.
///
/// # Errors
/// Files that cannot be read or used.
pub(crate) fn serve<S: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    files: Option<TlsFiles>,
    router: Router,
    limits: ServeLimits,
    signals: &Signals,
    stop: S,
) -> Result<impl Future<Output = ()> + Send + use<S>, Failure> {
    let tls = files.map(|files| current(files, signals)).transpose()?;
    Ok(minutehand_http::serve(listener, tls, router, limits, stop))
}

/// What the files hold, now and after every SIGHUP; what cannot be used changes nothing.
fn current(files: TlsFiles, signals: &Signals) -> Result<watch::Receiver<Tls>, Failure> {
    let tls = Tls::read(&files).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    tell_expiry(&tls);
    let (tell, current) = watch::channel(tls);
    signals.at_hangup(move || match Tls::read(&files) {
        Ok(tls) => {
            tell_expiry(&tls);
            tell.send_replace(tls);
            tracing::info!(cert = %files.cert.display(), "read the certificate again");
        }
        Err(error) => tracing::error!(%error, "the certificate stays as it was"),
    });
    Ok(current)
}

/// Tells the metrics when the certificate runs out.
fn tell_expiry(tls: &Tls) {
    if let Some(seconds) = tls.expires_s() {
        minutehand_metrics::set_certificate_expiry(seconds as f64);
    }
}

/// The bearer tokens in a file, now and after every SIGHUP; none without a file. What cannot be
/// used changes nothing.
pub(crate) fn tokens(path: Option<PathBuf>, signals: &Signals) -> Result<Tokens, Failure> {
    let Some(path) = path else {
        return Ok(Tokens::none());
    };
    let tokens = read_tokens(&path).map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("could not read the tokens in {}: {error}", path.display()),
        )
    })?;
    let current = tokens.clone();
    signals.at_hangup(move || match read_tokens(&path) {
        Ok(tokens) => {
            current.replace(&tokens);
            tracing::info!(file = %path.display(), "read the tokens again");
        }
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "the tokens stay as they were")
        }
    });
    Ok(tokens)
}

fn read_tokens(path: &Path) -> Result<Tokens, Box<dyn std::error::Error>> {
    Ok(Tokens::parse(&std::fs::read_to_string(path)?)?)
}
