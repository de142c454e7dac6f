//! Who bears a token may lose it while a call of theirs waits: what they may do is asked again
//! before they are given anything.

use std::pin::pin;

use axum::http::HeaderValue;
use minutehand_model::Namespace;

use crate::access;
use crate::problem::Problem;
use crate::tokens::Tokens;

/// The bearer of a request's token, and what the request needs of it.
#[derive(Clone)]
pub(crate) struct Bearer {
    pub(crate) tokens: Tokens,
    pub(crate) authorization: Option<HeaderValue>,
    /// The namespace that it is about; `None` for all.
    pub(crate) namespace: Option<Namespace>,
    /// It changes something.
    pub(crate) changes: bool,
}

impl Bearer {
    /// Refuses a bearer who may not do any more what the request is for.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let grant = access::grant_for(&self.tokens, self.authorization.as_ref())?;
        if self.changes {
            access::refuse_read_only(&grant)?;
        }
        match &self.namespace {
            Some(namespace) => access::refuse_beyond(&grant, namespace),
            None => access::refuse_restricted(&grant),
        }
    }

    /// Does something for the bearer, and drops it half way when they may not have it any more.
    pub(crate) async fn while_allowed<T>(
        &self,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let mut replaced = self.tokens.replaced();
        let mut work = pin!(work);
        loop {
            self.check()?;
            tokio::select! {
                biased;
                () = replaced.changed() => {}
                done = &mut work => return done,
            }
        }
    }
}
