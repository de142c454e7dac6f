//! Who bears a token may lose it while a call of theirs waits: what they may do is asked again
//! before they are given anything.

use std::pin::pin;

use axum::http::HeaderValue;
use minutehand_api::ProblemKind;
use minutehand_model::Namespace;

use crate::problem::Problem;
use crate::tokens::{Grant, Tokens};

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
        let grant = grant_for(&self.tokens, self.authorization.as_ref())?;
        if self.changes {
            refuse_read_only(&grant)?;
        }
        match &self.namespace {
            Some(namespace) => refuse_beyond(&grant, namespace),
            None => refuse_restricted(&grant),
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

/// What the bearer of a token may do, by the header `Authorization`.
pub(crate) fn grant_for(tokens: &Tokens, given: Option<&HeaderValue>) -> Result<Grant, Problem> {
    if tokens.is_empty() {
        return Ok(Grant::unrestricted("anonymous"));
    }
    let refused = |detail: &str| Problem::new(ProblemKind::Unauthorized, detail);
    let given = given.ok_or_else(|| refused("send the header Authorization: Bearer TOKEN"))?;
    let token = given.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let token = token.ok_or_else(|| refused("the Authorization header is not Bearer TOKEN"))?;
    tokens
        .grant(token)
        .ok_or_else(|| refused("the token is not known"))
}

/// Refuses a change to who may only ask.
pub(crate) fn refuse_read_only(grant: &Grant) -> Result<(), Problem> {
    if grant.read_only {
        let detail = format!("the token of {} is read-only", grant.name);
        return Err(Problem::forbidden(detail));
    }
    Ok(())
}

/// Refuses what is about a namespace to who may not use it.
pub(crate) fn refuse_beyond(grant: &Grant, namespace: &Namespace) -> Result<(), Problem> {
    if !grant.allows(namespace) {
        return Err(Problem::forbidden(format!(
            "the token of {} does not cover namespace {namespace}",
            grant.name
        )));
    }
    Ok(())
}

/// Refuses what is about all namespaces to who may use some alone.
pub(crate) fn refuse_restricted(grant: &Grant) -> Result<(), Problem> {
    if grant.namespaces.is_some() {
        let detail = format!(
            "the token of {} is restricted to namespaces; this is about all of them",
            grant.name
        );
        return Err(Problem::forbidden(detail));
    }
    Ok(())
}
