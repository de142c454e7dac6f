//! Which names and which web pages are listened to where nobody has to show a token.
//!
//! Loopback is no proof of who calls: a page that is open in a browser on this machine reaches it
//! as well, under a name of its own that has been pointed here (DNS rebinding) or with a request
//! that needs no leave (cross-site forgery). So without tokens a request must be addressed to this
//! machine, and must not come from another origin.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use minutehand_api::ProblemKind;
use minutehand_api::json::shortened;

use crate::problem::Problem;
use crate::tokens::Tokens;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const REMEDY: &str = "call it by localhost or a loopback address, or configure tokens";

/// Refuses a request to another name, where there are no tokens.
pub(crate) async fn addressed_here(
    State(tokens): State<Tokens>,
    request: Request,
    next: Next,
) -> Response {
    if tokens.is_empty()
        && let Err(problem) = check_name(request.version(), request.uri(), request.headers())
    {
        return problem.into_response();
    }
    next.run(request).await
}

/// Refuses a request that a page of another origin makes, where there are no tokens.
pub(crate) async fn of_our_origin(
    State(tokens): State<Tokens>,
    request: Request,
    next: Next,
) -> Response {
    if tokens.is_empty()
        && let Err(problem) = check_origin(request.uri(), request.headers())
    {
        return problem.into_response();
    }
    next.run(request).await
}

/// The names in a request: in its target, and in its `Host`.
fn names<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> impl Iterator<Item = &'a [u8]> {
    let target = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    target.into_iter().chain(
        headers
            .get_all(header::HOST)
            .iter()
            .map(|host| host.as_bytes()),
    )
}

fn check_name(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let hosts = headers.get_all(header::HOST).iter().count();
    // HTTP/1.0 knows no Host, and no browser speaks it.
    if hosts > 1 || (version == Version::HTTP_11 && hosts == 0 && uri.authority().is_none()) {
        let problem = Problem::malformed("a request names its host once");
        return Err(problem.about("Host", "exactly one", hosts.to_string()));
    }
    match names(uri, headers).find(|name| !is_loopback(name)) {
        None => Ok(()),
        Some(name) => {
            let given = shortened(&String::from_utf8_lossy(name));
            let detail =
                format!("without tokens this address answers to no name but its own; {REMEDY}");
            let problem = Problem::new(ProblemKind::Misdirected, detail);
            Err(problem.about("Host", "localhost or a loopback address", given))
        }
    }
}

/// Whether `host[:port]` is this machine whoever resolves it.
fn is_loopback(name: &[u8]) -> bool {
    let authority = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.parse::<Authority>().ok());
    let Some(authority) = authority.filter(|authority| !authority.as_str().contains('@')) else {
        return false;
    };
    let host = authority.host();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host
            .strip_suffix('.')
            .unwrap_or(host)
            .eq_ignore_ascii_case("localhost"),
    }
}

fn check_origin(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let is_ours = |origin: &[u8]| {
        let scheme_end = origin.windows(3).position(|part| part == b"://");
        let authority = scheme_end.map(|at| &origin[at + 3..]);
        authority
            .is_some_and(|ours| names(uri, headers).any(|name| name.eq_ignore_ascii_case(ours)))
    };
    let foreign = headers
        .get_all(header::ORIGIN)
        .iter()
        .find(|origin| !is_ours(origin.as_bytes()));
    let from_page = headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .find(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let refused = foreign
        .map(|given| ("Origin", given))
        .or(from_page.map(|given| ("Sec-Fetch-Site", given)));
    match refused {
        None => Ok(()),
        Some((field, given)) => {
            let detail = "without tokens no page of another origin is answered; configure tokens";
            let problem = Problem::new(ProblemKind::ForeignOrigin, detail);
            let given = shortened(&String::from_utf8_lossy(given.as_bytes()));
            Err(problem.about(field, "this server's own origin, or none", given))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_mean_this_machine_everywhere_are_ours() {
        let ours = [
            "localhost",
            "LocalHost:8080",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:8080",
        ];
        assert!(ours.iter().all(|name| is_loopback(name.as_bytes())));
        let strange = [
            "",
            ":8080",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.localhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[fe80::1]",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost evil",
            "localhost/x",
            "2130706433",
            "0x7f000001",
            "127.1",
            "\u{ff4c}ocalhost",
        ];
        for name in strange {
            assert!(!is_loopback(name.as_bytes()), "{name:?}");
        }
        assert!(!is_loopback(b"\xff"));
    }
}
