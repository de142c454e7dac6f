//! Callers that send what no client sends, over a real listener: what they are told, and that a
//! neighbour is served while they hold on to all they have got. Cases are generated, so that the
//! neighbours of each fault are tried as well.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use minutehand_http::ServeLimits;
use minutehand_model::limits::{BODY_BYTES_MAX, PAGE_BYTES_MAX, PAYLOAD_BYTES_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{Api, SCHEDULES, TASKS, api};

/// Connections that the server of a test has room for.
const ROOM: usize = 8;

/// The API behind a listener, until it is told to stop.
struct Listening {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    api: Api,
}

async fn listening(limits: ServeLimits) -> Listening {
    let api = api().await;
    let listener = minutehand_http::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        stopped.await.ok();
    };
    let serving = tokio::spawn(minutehand_http::serve(
        listener,
        None,
        api.router.clone(),
        limits,
        stopped,
    ));
    Listening {
        addr,
        stop,
        serving,
        api,
    }
}

fn small() -> ServeLimits {
    ServeLimits {
        connections_max: ROOM,
        ..ServeLimits::default()
    }
}

/// Limits that end what is not a whole request soon.
fn impatient() -> ServeLimits {
    let soon = Duration::from_millis(50);
    ServeLimits {
        head: soon,
        stalled: soon,
        idle: soon,
        ..small()
    }
}

impl Listening {
    /// Sends bytes and holds the connection.
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        // Whoever has been refused already takes no more.
        let _ = stream.write_all(bytes).await;
        stream
    }

    /// The status of the answer to bytes that nothing follows; `None` when the connection ends
    /// without one.
    async fn status(&self, bytes: &[u8]) -> Option<u16> {
        status(&mut self.send(bytes).await).await
    }

    /// A request of somebody else is answered.
    async fn serves_a_neighbour(&self) {
        let create = post(
            "Content-Type: application/json\r\n",
            br#"{"queue":"q","delay":"1h"}"#,
        );
        assert_eq!(self.status(&create).await, Some(201));
    }

    /// Stops whatever is open.
    async fn stop(self) -> Api {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
        assert!(TcpStream::connect(self.addr).await.is_err());
        self.api
    }
}

/// The status line of the next answer.
async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut said = Vec::new();
    while said.len() < 12 {
        let mut part = [0; 64];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => said.extend_from_slice(&part[..count]),
        }
    }
    std::str::from_utf8(&said[9..12]).ok()?.parse().ok()
}

fn head(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    [
        head(
            "POST",
            TASKS,
            &format!("{headers}Content-Length: {}\r\n", body.len()),
        ),
        body.to_vec(),
    ]
    .concat()
}

fn chunked(target: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let headers = format!("Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n");
    [head("POST", target, &headers), body.to_vec()].concat()
}

/// Beginnings of requests that never end.
fn unfinished() -> Vec<Vec<u8>> {
    let bulk = format!("{TASKS}:bulk");
    let whole = post(
        "Content-Type: application/json\r\n",
        br#"{"queue":"q","delay":1}"#,
    );
    let mut beginnings: Vec<Vec<u8>> = (0..whole.len())
        .step_by(7)
        .map(|end| whole[..end].to_vec())
        .collect();
    beginnings.extend([
        whole[..whole.len() - 1].to_vec(),
        head(
            "POST",
            TASKS,
            "Content-Type: application/json\r\nContent-Length: 1000000\r\n",
        ),
        chunked(TASKS, "application/json", b""),
        chunked(TASKS, "application/json", b"5\r\n{\"que"),
        chunked(TASKS, "application/json", b"FFFFFF\r\n{"),
        chunked(&bulk, "application/x-ndjson", b""),
        chunked(&bulk, "application/x-ndjson", b"9\r\n{\"queue\":\r\n"),
        b"PRI * HTTP/2.0\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ]);
    beginnings
}

#[tokio::test]
async fn who_holds_every_connection_delays_nobody() {
    let listening = listening(small()).await;
    let mut held = Vec::new();
    for beginning in unfinished() {
        for _ in 0..ROOM + 2 {
            held.push(listening.send(&beginning).await);
        }
        listening.serves_a_neighbour().await;
    }
    let api = listening.stop().await;
    assert_eq!(
        api.store.records(),
        unfinished().len(),
        "of the others nothing was created"
    );
}

#[tokio::test]
async fn what_never_ends_is_ended() {
    let listening = listening(impatient()).await;
    for beginning in unfinished() {
        let mut stream = listening.send(&beginning).await;
        let mut said = Vec::new();
        // Ends only because the server ends it.
        let _ = stream.read_to_end(&mut said).await;
        let is_success = said.starts_with(b"HTTP/1.1 2");
        assert!(!is_success, "{:?}", String::from_utf8_lossy(&beginning));
    }
    assert_eq!(listening.stop().await.store.records(), 0);
}

#[tokio::test]
async fn a_stop_waits_for_no_unfinished_request() {
    for beginning in unfinished() {
        let drain = Duration::from_millis(20);
        let listening = listening(ServeLimits {
            drain,
            ..ServeLimits::default()
        })
        .await;
        let held = listening.send(&beginning).await;
        listening.stop().await;
        drop(held);
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_stop() {
    let listening = listening(ServeLimits::default()).await;
    let whole = post(
        "Content-Type: application/json\r\n",
        br#"{"queue":"q","delay":"1h"}"#,
    );
    let (first, last) = whole.split_at(whole.len() - 1);
    let mut stream = listening.send(first).await;
    // The head has been read once another request on another connection, sent later, is answered.
    listening.serves_a_neighbour().await;
    listening.stop.send(()).unwrap();
    while TcpStream::connect(listening.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(last).await.unwrap();
    assert_eq!(status(&mut stream).await, Some(201));
    listening.serving.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_nobody_takes_holds_up_nobody() {
    let limits = ServeLimits {
        held_bytes_max: 4 * 1024 * 1024,
        ..small()
    };
    let listening = listening(limits).await;
    let payload = "x".repeat(PAYLOAD_BYTES_MAX);
    for _ in 0..12 {
        let task = format!(r#"{{"queue":"q","delay":"1h","payload":"{payload}"}}"#);
        assert_eq!(
            listening
                .status(&post("Content-Type: application/json\r\n", task.as_bytes()))
                .await,
            Some(201)
        );
    }
    let list = head("GET", TASKS, "");
    let mut held = Vec::new();
    for _ in 0..2 * ROOM {
        held.push(listening.send(&list).await);
        listening.serves_a_neighbour().await;
    }
    listening.stop().await;
}

#[tokio::test]
async fn every_size_around_a_limit_has_its_status() {
    let listening = listening(ServeLimits::default()).await;
    let task = |payload_bytes: usize| {
        format!(
            r#"{{"queue":"q","delay":"1h","payload":"{}"}}"#,
            "x".repeat(payload_bytes)
        )
        .into_bytes()
    };
    let padded = |bytes: usize| {
        let mut body = task(1);
        body.resize(bytes, b' ');
        body
    };
    for (body, wanted) in [
        (task(PAYLOAD_BYTES_MAX - 1), 201),
        (task(PAYLOAD_BYTES_MAX), 201),
        (task(PAYLOAD_BYTES_MAX + 1), 413),
        (padded(BODY_BYTES_MAX - 1), 201),
        (padded(BODY_BYTES_MAX), 201),
        (padded(BODY_BYTES_MAX + 1), 413),
        (padded(2 * BODY_BYTES_MAX), 413),
    ] {
        let kind = "Content-Type: application/json\r\n";
        assert_eq!(
            listening.status(&post(kind, &body)).await,
            Some(wanted),
            "{} bytes",
            body.len()
        );
        for part in [1_000, 65_536, body.len()] {
            let parts = body.chunks(part).flat_map(|part| {
                [
                    format!("{:X}\r\n", part.len()).into_bytes(),
                    part.to_vec(),
                    b"\r\n".to_vec(),
                ]
                .concat()
            });
            let sent = [parts.collect::<Vec<u8>>(), b"0\r\n\r\n".to_vec()].concat();
            let answered = listening
                .status(&chunked(TASKS, "application/json", &sent))
                .await;
            assert_eq!(
                answered,
                Some(wanted),
                "{} bytes in parts of {part}",
                body.len()
            );
        }
    }
    listening.stop().await;
}

#[tokio::test]
async fn a_broken_message_is_told_apart_from_a_large_one() {
    let listening = listening(small()).await;
    let refused: Vec<(Vec<u8>, &[u16])> = vec![
        (
            chunked(TASKS, "application/json", b"Z\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            chunked(TASKS, "application/json", b"2\r\n{}XX0\r\n\r\n"),
            &[400],
        ),
        (
            chunked(TASKS, "application/json", b"FFFFFFFFFFFFFFFFFF\r\n{}"),
            &[400],
        ),
        (
            chunked(TASKS, "application/json", b"-2\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            chunked(
                TASKS,
                "application/json",
                &[b"2;", "x".repeat(20_000).as_bytes(), b"\r\n{}"].concat(),
            ),
            &[400],
        ),
        (
            chunked(
                TASKS,
                "application/json",
                &[b"2\r\n{}\r\n0\r\nX: ", "x".repeat(70_000).as_bytes()].concat(),
            ),
            &[400],
        ),
        (
            post(
                "Content-Type: application/json\r\nContent-Length: 7\r\n",
                b"{}",
            ),
            &[400],
        ),
        (
            post(
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
                b"{}",
            ),
            &[400],
        ),
        (head("POST", TASKS, "Content-Length: -1\r\n"), &[400]),
        (
            head("POST", TASKS, "Content-Length: 99999999999999999999\r\n"),
            &[400],
        ),
        (
            head(
                "POST",
                TASKS,
                "Content-Type: application/json\r\nContent-Length: 9999999999\r\n",
            ),
            &[413],
        ),
        (
            head("POST", TASKS, "Transfer-Encoding: gzip\r\n"),
            &[400, 415, 501],
        ),
        (head("GET", TASKS, &"X-Many: x\r\n".repeat(200)), &[431]),
        (
            head(
                "GET",
                TASKS,
                &format!("X-Large: {}\r\n", "x".repeat(100_000)),
            ),
            &[431],
        ),
        (
            head("GET", &format!("{TASKS}/{}", "x".repeat(100_000)), ""),
            &[414, 431],
        ),
        (
            head("GET", &format!("{TASKS}/{}", "x".repeat(10_000)), ""),
            &[422],
        ),
        (head("G E T", TASKS, ""), &[400]),
        (head("GET", "/v1 /x", ""), &[400]),
        (head("GET", "\u{1}", ""), &[400]),
        (head("GET", TASKS, "Bad Header: x\r\n"), &[400]),
        (head("GET", TASKS, "X: \u{0}\r\n"), &[400]),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[400]),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".to_vec(),
            &[400],
        ),
        (
            b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            &[421],
        ),
        (b"\0\0\0\0\r\n\r\n".to_vec(), &[400]),
    ];
    for (bytes, wanted) in refused {
        let shown: String = String::from_utf8_lossy(&bytes).chars().take(120).collect();
        let answered = listening.status(&bytes).await;
        assert!(
            answered.is_some_and(|status| wanted.contains(&status)),
            "{shown:?}: {answered:?}, wanted {wanted:?}"
        );
        listening.serves_a_neighbour().await;
    }
    let mut cut = listening
        .send(&post(
            "Content-Type: application/json\r\nX: y\r\n",
            b"{\"queue\"",
        ))
        .await;
    cut.shutdown().await.unwrap();
    listening.stop().await;
}

#[tokio::test]
async fn ids_of_every_kind_have_their_status() {
    let listening = listening(small()).await;
    let ids: [(&str, u16); 14] = [
        ("x", 404),
        ("a%2Fb", 404),
        ("a:b", 404),
        ("%2e", 422),
        ("%2E%2e", 422),
        ("..", 422),
        ("%00", 422),
        ("a%0Ab", 422),
        ("%ff", 400),
        ("%C3%A4", 422),
        ("a%20b", 422),
        ("%", 422),
        ("%zz", 422),
        ("%2525", 422),
    ];
    for (id, wanted) in ids {
        for (method, path) in [
            ("GET", TASKS),
            ("DELETE", TASKS),
            ("HEAD", TASKS),
            ("GET", "/v1/namespaces/default/schedules"),
        ] {
            let answered = listening
                .status(&head(method, &format!("{path}/{id}"), ""))
                .await;
            assert_eq!(answered, Some(wanted), "{method} {path}/{id}");
        }
    }
    listening.stop().await;
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes_and_nothing_is_left_out() {
    let listening = listening(ServeLimits::default()).await;
    let api = &listening.api;
    // A control character takes six bytes in an answer.
    let payload = "\\u0001".repeat(PAYLOAD_BYTES_MAX / 2);
    for n in 0..12 {
        let task = format!(
            r#"{{"id":"t{n:02}","queue":"q","delay":"{}h","payload":"{payload}"}}"#,
            n % 2 + 1
        );
        api.post(TASKS, &task).await.expect(201);
        let schedule =
            format!(r#"{{"id":"s{n:02}","queue":"q","every":"1h","payload":"{payload}"}}"#);
        api.post(SCHEDULES, &schedule).await.expect(201);
        let patch = format!(r#"{{"note":"{n}"}}"#);
        api.patch(&format!("{SCHEDULES}/s00"), &patch)
            .await
            .expect(200);
    }
    let revisions = format!("{SCHEDULES}/s00/revisions");
    for (path, list, count) in [
        (TASKS, "tasks", 12),
        (SCHEDULES, "schedules", 12),
        (&revisions, "revisions", 13),
    ] {
        let (mut found, mut pages, mut cursor) = (BTreeSet::new(), 0, String::new());
        loop {
            let answer = api.get(&format!("{path}?limit=1000{cursor}")).await;
            assert!(
                answer.text.len() < 2 * PAGE_BYTES_MAX,
                "{path}: {} bytes",
                answer.text.len()
            );
            let page = answer.expect(200);
            found.extend(
                page[list]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| format!("{}{}", one["id"], one["revision"])),
            );
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found.len(), count, "{path}: {found:?}");
        assert!(pages > 1, "{path}");
    }
    listening.stop().await;
}
