//! The token that a gateway shows to schedulers.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};

use crate::client_error::ClientError;

/// The cluster's shared token, or none where everything listens on loopback. Clones are one: what
/// [`Self::replace`] puts into one of them is shown by all.
#[derive(Clone, Default)]
pub struct PeerToken(Arc<RwLock<Option<HeaderValue>>>);

impl PeerToken {
    /// No token.
    pub fn none() -> PeerToken {
        PeerToken::default()
    }

    /// A token.
    ///
    /// # Errors
    /// When a header cannot carry it.
    pub fn new(token: &str) -> Result<PeerToken, ClientError> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::Token)?;
        value.set_sensitive(true);
        Ok(PeerToken(Arc::new(RwLock::new(Some(value)))))
    }

    /// From now on the other one is shown.
    pub fn replace(&self, other: &PeerToken) {
        let other = other.current();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = other;
    }

    fn current(&self) -> Option<HeaderValue> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Shows it with a request.
    pub(crate) fn show(&self, request: RequestBuilder) -> RequestBuilder {
        match self.current() {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }
}

impl fmt::Debug for PeerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.current().is_some() {
            "PeerToken(hidden)"
        } else {
            "PeerToken(none)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_replaced_is_shown_by_all_clones() {
        let token = PeerToken::new("first-token-of-the-cluster").unwrap();
        let clone = token.clone();
        token.replace(&PeerToken::new("second-token-of-the-cluster").unwrap());
        assert_eq!(
            clone.current().unwrap(),
            "Bearer second-token-of-the-cluster"
        );
        assert_eq!(format!("{clone:?}"), "PeerToken(hidden)");
        assert!(PeerToken::new("two\nlines").is_err());
    }
}
