//! Where a webhook goes and what it says.

use std::net::IpAddr;
use std::sync::Arc;

use minutehand_model::chain::PARENT_HEADERS;
use minutehand_model::{Execution, Timestamp};
use reqwest::Url;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::address::Reach;
use super::endpoints::{Endpoints, Rule};
use super::sign::{Secret, signatures};
use crate::naming;

/// The task header with the URL to post to.
pub const URL_HEADER: &str = "minutehand-url";

/// Headers that belong to the connection and not to the message (RFC 9110, 7.6.1), or that the
/// client itself sets.
const NOT_FORWARDED: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A URL that may be posted to. Its host, when it is a name, is checked where it is resolved.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    rule: Option<Arc<Rule>>,
}

impl Target {
    /// Parses a URL (in the way of browsers, so that `0x7f.1` and `2130706433` are seen to be
    /// 127.0.0.1) and checks it; the error is for whoever gave it, and does not repeat what may be
    /// a secret in it.
    pub(super) fn parse(
        text: &str,
        reach: &Reach,
        ports: &[u16],
        endpoints: &Endpoints,
    ) -> Result<Target, String> {
        let url =
            Url::parse(text).map_err(|error| format!("{URL_HEADER} is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            let scheme = url.scheme();
            return Err(format!(
                "{URL_HEADER} has the scheme {scheme:?}; it must be http or https"
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "{URL_HEADER} has a user name or password; send an authorization header instead"
            ));
        }
        let host = url.host_str().unwrap_or_default();
        let rule = endpoints.rule(host);
        let address = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .ok();
        if reach.is_everywhere {
            return Ok(Target { url, rule });
        }
        let is_out = |address: &IpAddr| !reach.allows(*address, rule.as_deref());
        if let Some(address) = address.filter(is_out) {
            return Err(format!(
                "{URL_HEADER} names the address {address}; webhooks reach public addresses only"
            ));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        let of_host = rule.as_ref().and_then(|rule| rule.ports.as_deref());
        let ports = of_host.unwrap_or(ports);
        if !ports.contains(&port) {
            return Err(format!(
                "{URL_HEADER} names port {port}; allowed are {ports:?}"
            ));
        }
        Ok(Target { url, rule })
    }

    /// What requests to it are signed with, the newest first; those of all others unless it has its
    /// own.
    pub(super) fn secrets<'a>(&'a self, of_all: &'a [Secret]) -> &'a [Secret] {
        let own = self.rule.as_ref().and_then(|rule| rule.secrets.as_deref());
        own.unwrap_or(of_all)
    }
}

/// The headers of the request; the error names the task's header that cannot be sent.
pub(super) fn headers_for(
    execution: &Execution,
    secrets: &[Secret],
    now: Timestamp,
) -> Result<HeaderMap, String> {
    let task = &execution.task;
    let mut headers = HeaderMap::with_capacity(task.headers.len() + 12);
    for (name, value) in task.header_bytes() {
        // A header without a value is a thing of Kafka.
        let Some(value) = value else { continue };
        let Ok(parsed_name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(format!(
                "header {name:?} cannot be sent: its name is not allowed in HTTP"
            ));
        };
        if !is_forwarded(parsed_name.as_str()) {
            continue;
        }
        // Refuses line ends and other control characters, so that no header can smuggle in another.
        let value = HeaderValue::from_bytes(value).map_err(|_| {
            format!("header {name:?} cannot be sent: its value has a character not allowed in HTTP")
        })?;
        headers.append(parsed_name, value);
    }
    if task.payload.is_empty() {
        // Some receivers refuse a POST that does not say how long it is.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(content_type(&task.payload)),
        );
    }
    let (id, timestamp_s) = (
        execution.message.to_string(),
        now.as_millis().div_euclid(1_000),
    );
    let mut own = vec![
        ("webhook-id", id.clone()),
        ("webhook-timestamp", timestamp_s.to_string()),
    ];
    own.extend(naming::headers(execution));
    if !secrets.is_empty() {
        own.push((
            "webhook-signature",
            signatures(secrets, &id, timestamp_s, &task.payload),
        ));
    }
    for (name, value) in own {
        let value = HeaderValue::try_from(value).map_err(|_| {
            format!("{name} cannot be sent: its value has a character not allowed in HTTP")
        })?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

/// Whether a task's header (its name in lower case) is passed on.
fn is_forwarded(name: &str) -> bool {
    !NOT_FORWARDED.contains(&name)
        && (!name.starts_with("minutehand-") || PARENT_HEADERS.contains(&name))
        && !name.starts_with("webhook-")
}

/// What a payload is, when its task does not say.
fn content_type(payload: &[u8]) -> &'static str {
    match serde_json::from_slice::<serde::de::IgnoredAny>(payload) {
        Ok(_) => "application/json",
        Err(_) => "application/octet-stream",
    }
}
