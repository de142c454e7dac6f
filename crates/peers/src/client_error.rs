//! Why no client of the schedulers can be made.

/// A client that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token cannot be sent.
    #[error("the cluster token has characters that a header cannot carry")]
    Token,
    /// A certificate or a key cannot be used.
    #[error("{what} cannot be used")]
    Pem {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// TLS could not be set up.
    #[error("the client of the schedulers could not be set up")]
    Setup(#[source] reqwest::Error),
}
