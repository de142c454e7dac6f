//! The trace that a request belongs to (W3C trace context), for the task that it creates.

use std::borrow::Cow;

use axum::http::HeaderMap;
use minutehand_api::{Headers, NewTask};
use minutehand_model::limits::HEADERS_MAX;

/// The header that names the trace, and its longest value in bytes: versions to come may add to the
/// 55 of today's.
const PARENT: (&str, usize) = ("traceparent", 128);
/// The header that vendors add to it.
const STATE: (&str, usize) = ("tracestate", 512);

/// Gives a task the trace of its request, unless it names one itself or has no room for it.
pub(crate) fn hand_on<'a>(request: &'a HeaderMap, task: &mut NewTask<'a>) {
    let Some(parent) = value(request, PARENT) else {
        return;
    };
    let headers = task.headers.get_or_insert_with(|| Headers(Vec::new()));
    let names_one = |(name, _): &(Cow<'a, str>, Cow<'a, str>)| name.eq_ignore_ascii_case(PARENT.0);
    if headers.0.iter().any(names_one) || headers.0.len() + 2 > HEADERS_MAX {
        return;
    }
    headers.0.push((PARENT.0.into(), parent.into()));
    if let Some(state) = value(request, STATE) {
        headers.0.push((STATE.0.into(), state.into()));
    }
}

fn value<'a>(request: &'a HeaderMap, (name, bytes_max): (&str, usize)) -> Option<&'a str> {
    let value = request.get(name)?.to_str().ok()?;
    (value.len() <= bytes_max).then_some(value)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn handed_on(request: &[(&'static str, &'static str)], body: &str) -> Vec<(String, String)> {
        let request: HeaderMap = request
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        let mut task: NewTask<'_> = serde_json::from_str(body).unwrap();
        hand_on(&request, &mut task);
        task.headers.map(Headers::into_owned).unwrap_or_default()
    }

    fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let headers = headers.iter();
        headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_task_has_the_trace_of_its_request() {
        let both = [("traceparent", "00-a-b-01"), ("tracestate", "x=1")];
        assert_eq!(handed_on(&both, r#"{"queue":"mail"}"#), owned(&both));
        assert_eq!(handed_on(&both[1..], r#"{"queue":"mail"}"#), []);
    }

    #[test]
    fn a_trace_that_the_task_names_is_kept() {
        let body = r#"{"queue":"mail","headers":{"TraceParent":"00-c-d-01"}}"#;
        let kept = owned(&[("TraceParent", "00-c-d-01")]);
        assert_eq!(handed_on(&[("traceparent", "00-a-b-01")], body), kept);
    }
}
