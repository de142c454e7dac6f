//! Heads: hosts, origins, media types, names in paths, damaged framing.

use crate::caller::{Case, Random, Target, Wanted, request};

const TASKS: &str = "/v1/namespaces/hostile/tasks";
const BODY: &[u8] = br#"{"queue":"hostile","due_at":"2036-01-01T00:00:00Z"}"#;
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Every host with every origin and every media type: only callers of this machine change anything,
/// and only with JSON.
fn strangers() -> Vec<Case> {
    let hosts = [
        ("localhost", true),
        ("LOCALHOST:1", true),
        ("127.0.0.1", true),
        ("127.9.9.9:7", true),
        ("[::1]:80", true),
        ("evil.example", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.nip.io", false),
        ("10.0.0.1", false),
        ("a@localhost", false),
        ("", false),
        ("[::1", false),
        ("0", false),
    ];
    let origins = [
        (None, true),
        (Some("http://localhost"), true),
        (Some("http://evil.example"), false),
        (Some("null"), false),
        (Some("file://"), false),
        (Some(""), false),
        (Some("http://localhost.evil.example"), false),
    ];
    let kinds = [
        ("application/json", true),
        ("application/json; charset=utf-8", true),
        ("text/plain", false),
        ("application/x-www-form-urlencoded", false),
        ("multipart/form-data; boundary=x", false),
        ("", false),
        ("application/x-ndjson", false),
        ("application/jsonx", false),
    ];
    let mut cases = Vec::new();
    for (host, is_here) in hosts {
        for (origin, is_ours) in origins {
            for (kind, is_json) in kinds {
                let mut heads = vec![("Host", host), ("Content-Type", kind)];
                heads.extend(origin.map(|origin| ("Origin", origin)));
                // An origin of ours names the very host and port, which these do not.
                let wanted = match (
                    is_here && is_json && origin.is_none(),
                    is_here && is_ours && is_json,
                ) {
                    (true, _) => Wanted::Success,
                    (false, true) => Wanted::NoFault,
                    (false, false) => Wanted::Refusal,
                };
                let name = format!("host {host:?}, origin {origin:?}, {kind:?}");
                cases.push(Case {
                    name,
                    bytes: request("POST", TASKS, &heads, BODY),
                    wanted,
                });
            }
        }
    }
    for site in ["cross-site", "same-site"] {
        let heads = [("Host", "localhost"), JSON, ("Sec-Fetch-Site", site)];
        let bytes = request("POST", TASKS, &heads, BODY);
        cases.push(Case {
            name: format!("a page that is {site}"),
            bytes,
            wanted: Wanted::Refusal,
        });
    }
    cases
}

/// Names in every place of a path, with every method.
fn paths() -> Vec<Case> {
    let long = "n".repeat(70_000);
    let names = [
        "a",
        ".",
        "..",
        "%2e%2e",
        "%00",
        "%",
        "%zz",
        "%ff",
        "a%2fb",
        "a%0d%0ab",
        "a:b",
        ":",
        "a@2026-01-01T00:00:00Z",
        "%F0%9F%98%80",
        "-1",
        "18446744073709551616",
        &long[..64],
        &long[..65],
        &long[..201],
        &long[..5_000],
    ];
    let places = [
        "/v1/namespaces/@/tasks",
        "/v1/namespaces/n/tasks/@",
        "/v1/namespaces/n/tasks/@?due=@",
        "/v1/namespaces/n/schedules/@",
        "/v1/namespaces/n/schedules/@:pause",
        "/v1/namespaces/n/schedules/a:@",
        "/v1/namespaces/n/schedules/@/preview?n=@",
        "/v1/namespaces/n/schedules/@/revisions?cursor=@",
        "/v1/namespaces/n/tasks?limit=@",
        "/v1/namespaces/n/tasks?cursor=@",
        "/v1/queues/@",
        "/v1/queues/@/dead-letters?limit=@",
        "/v1/queues/@/dead-letters:replay",
        "/v1/partitions/@/skips",
        "/v1/buckets?from=@",
        "/v1/@",
        "/@",
    ];
    let methods = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "X",
    ];
    let mut cases = Vec::new();
    for place in places {
        for name in names {
            for method in methods {
                let path = place.replace('@', name);
                let bytes = request(method, &path, &[("Host", "localhost"), JSON], b"");
                let name = format!("{method} {path:.90}");
                cases.push(Case {
                    name,
                    bytes,
                    wanted: Wanted::NoFault,
                });
            }
        }
    }
    cases
}

/// Heads that no client of ours sends.
fn damaged() -> Vec<Case> {
    let many: String = (0..5_000)
        .map(|number| format!("X-{number}: v\r\n"))
        .collect();
    let one = "v".repeat(1 << 20);
    let line =
        format!("POST {TASKS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    let after_line = [
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 99999999999999999999999\r\n\r\n{}",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip\r\n\r\n{}",
        "Transfer-Encoding: chunked, chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nTrailer: a\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "Expect: nonsense\r\n\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        " folded: yes\r\n\r\n",
        "No colon\r\n\r\n",
        "A\0B: c\r\n\r\n",
        "A: \0\r\n\r\n",
        "A: \x7f\r\n\r\n",
        "Host: localhost\r\n\r\n",
        "Content-Type: text/plain\r\n\r\n",
        "Authorization: Bearer \r\n\r\n",
        "Range: bytes=0-\r\n\r\n",
        "Content-Length: 9999\r\n\r\n{",
    ];
    let mut raw: Vec<(String, Vec<u8>)> = after_line
        .iter()
        .map(|rest| {
            (
                format!("head {rest:?}"),
                format!("{line}{rest}").into_bytes(),
            )
        })
        .collect();
    raw.extend([
        (
            "many heads".to_owned(),
            format!("{line}{many}\r\n").into_bytes(),
        ),
        (
            "a long head".to_owned(),
            format!("{line}X: {one}\r\n\r\n").into_bytes(),
        ),
        (
            "a long path".to_owned(),
            format!("GET /{one} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes(),
        ),
        (
            "a hello of TLS".to_owned(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "HTTP/2 at once".to_owned(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\xff\x04\xff\0\0\0\0".to_vec(),
        ),
        ("HTTP/0.9".to_owned(), b"GET /\r\n".to_vec()),
        (
            "HTTP/1.0".to_owned(),
            b"GET /livez HTTP/1.0\r\n\r\n".to_vec(),
        ),
        (
            "HTTP/9.9".to_owned(),
            b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        (
            "a whole address".to_owned(),
            b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        (
            "an asterisk".to_owned(),
            b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        (
            "line feeds alone".to_owned(),
            b"GET /livez HTTP/1.1\nHost: localhost\n\n".to_vec(),
        ),
        ("nothing".to_owned(), Vec::new()),
        ("zeroes".to_owned(), vec![0; 100_000]),
    ]);
    let chunks = BODY
        .iter()
        .map(|byte| format!("1\r\n{}\r\n", char::from(*byte)))
        .collect::<String>();
    let chunked =
        format!("{line}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let mut cases = vec![Case {
        name: "chunks of one byte".to_owned(),
        bytes: chunked.into_bytes(),
        wanted: Wanted::Success,
    }];
    let mut random = Random::new(11);
    let good = request("POST", TASKS, &[("Host", "localhost"), JSON], BODY);
    for number in 0..300 {
        let (mut bytes, at) = (good.clone(), random.below(good.len()));
        bytes[at] = random.below(256) as u8;
        raw.push((
            format!("byte {at} of a request changed, number {number}"),
            bytes,
        ));
    }
    cases.extend(raw.into_iter().map(|(name, bytes)| Case {
        name,
        bytes,
        wanted: Wanted::NoFault,
    }));
    cases
}

#[test]
fn strangers_change_nothing_whatever_they_send() {
    Target::start().endures(strangers());
}

#[test]
fn names_and_methods_of_any_kind_harm_nobody() {
    Target::start().endures(paths());
}

#[test]
fn damaged_heads_harm_nobody() {
    Target::start().endures(damaged());
}
