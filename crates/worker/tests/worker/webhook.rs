//! The webhook executor against a small HTTP server of our own, on the loopback.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minutehand_model::{Task, Timestamp};
use minutehand_settings::Secret;
use minutehand_worker::{
    Handler, Run, StopCause, URL_HEADER, Verdict, WebhookConfig, WebhookExecutor,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Counter, NOW_MS, execution_of, task_named};

/// A request as it came over the wire.
#[derive(Clone, Debug)]
struct Received {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(given, _)| given == name)
            .map(|(_, value)| &**value);
        let first = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        first
    }
}

/// What the server does once it has read a request.
#[derive(Clone)]
enum Answer {
    /// Sends this and closes.
    Bytes(String),
    /// Sends this, then waits until the client has closed.
    ThenWait(String),
    /// Sends this, then a body until the client has closed.
    ThenFlood(String),
    /// Sends this again and again until the client has closed.
    ForEver(&'static str),
    /// Sends this a byte at a time, a pause before each.
    Slowly(&'static str),
}

struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Received>>>,
    /// Connections that the client has closed before the answer was over.
    cut: Counter,
    /// Chunks of 16 KiB that the client took of an endless body, with what the system holds on the
    /// way.
    chunks: Counter,
    cut_told: Arc<tokio::sync::Notify>,
}

impl Server {
    async fn answering(answer: Answer) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook?a=1", listener.local_addr().unwrap());
        let server = Server {
            url,
            requests: Arc::default(),
            cut: Counter::default(),
            chunks: Counter::default(),
            cut_told: Arc::default(),
        };
        let (requests, cut) = (Arc::clone(&server.requests), server.cut.clone());
        let (cut_told, chunks) = (Arc::clone(&server.cut_told), server.chunks.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let received = read_request(&mut stream).await;
                requests.lock().unwrap().push(received);
                if !send(&mut stream, &answer, &chunks).await {
                    cut.add();
                    cut_told.notify_one();
                }
            }
        });
        server
    }

    async fn with_status(status: &str, headers: &str, body: &str) -> Server {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} Whatever\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        );
        Server::answering(Answer::Bytes(text)).await
    }

    fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        assert_ne!(
            stream.read_buf(&mut bytes).await.unwrap(),
            0,
            "the request was cut off"
        );
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        assert_ne!(
            stream.read_buf(&mut body).await.unwrap(),
            0,
            "the body was cut off"
        );
    }
    Received {
        line,
        headers,
        body,
    }
}

/// Whether the whole answer was sent.
async fn send(stream: &mut TcpStream, answer: &Answer, chunks: &Counter) -> bool {
    let head: &str = match answer {
        Answer::Bytes(head) | Answer::ThenWait(head) | Answer::ThenFlood(head) => head,
        Answer::ForEver(_) | Answer::Slowly(_) => "",
    };
    if stream.write_all(head.as_bytes()).await.is_err() {
        return false;
    }
    match answer {
        Answer::Bytes(_) => stream.shutdown().await.is_ok(),
        Answer::ThenWait(_) => {
            let _ = stream.read_to_end(&mut Vec::new()).await;
            false
        }
        Answer::ThenFlood(_) => {
            let chunk = vec![b'x'; 16 * 1024];
            while stream.write_all(&chunk).await.is_ok() {
                chunks.add();
            }
            false
        }
        Answer::ForEver(part) => {
            while stream.write_all(part.as_bytes()).await.is_ok() {
                chunks.add();
            }
            false
        }
        Answer::Slowly(text) => {
            for byte in text.bytes() {
                let mut nothing = [0];
                // The client says nothing more: this ends when it has closed, or with the pause.
                let closed = stream.read(&mut nothing);
                if tokio::time::timeout(Duration::from_millis(50), closed)
                    .await
                    .is_ok()
                {
                    return false;
                }
                if stream.write_all(&[byte]).await.is_err() {
                    return false;
                }
            }
            stream.shutdown().await.is_ok()
        }
    }
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn config() -> WebhookConfig {
    WebhookConfig {
        private_networks: true,
        ..WebhookConfig::default()
    }
}

fn executor(config: WebhookConfig) -> WebhookExecutor {
    WebhookExecutor::new(config)
        .unwrap()
        .clock(|| Timestamp::from_millis(NOW_MS + 1_999))
}

fn task_to(url: &str) -> Task {
    Task {
        headers: vec![(URL_HEADER.to_owned(), url.to_owned())],
        ..task_named("a")
    }
}

async fn verdict_of(config: WebhookConfig, task: Task) -> Verdict {
    executor(config)
        .run(Run::new(execution_of(task), Timestamp::from_millis(NOW_MS)))
        .await
}

#[tokio::test]
async fn a_request_carries_payload_and_headers() {
    let server = Server::with_status("200", "", "thanks").await;
    let mut task = Task {
        attempt: 2,
        ..task_to(&server.url)
    };
    for (name, value) in [
        ("X-Colour", "rot und grün"),
        ("Authorization", "Bearer abc"),
        ("Host", "evil.example"),
        ("Content-Length", "9999"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("webhook-signature", "v1,forged"),
        ("Minutehand-Timeout-Ms", "1000"),
    ] {
        task.headers.push((name.to_owned(), value.to_owned()));
    }
    let execution = execution_of(task.clone());
    let (message, id, token) = (
        execution.message.to_string(),
        execution.id.to_string(),
        execution.token.to_string(),
    );
    assert_eq!(
        verdict_of(config(), task).await,
        Verdict::Success {
            detail: "thanks".to_owned()
        }
    );
    let [request] = &server.requests()[..] else {
        panic!()
    };
    assert_eq!(
        (request.line.as_str(), &request.body[..]),
        ("POST /hook?a=1 HTTP/1.1", &b"hello"[..])
    );
    let host = server.url.split('/').nth(2).unwrap();
    for (name, value) in [
        ("x-colour", Some("rot und grün")),
        ("authorization", Some("Bearer abc")),
        ("host", Some(host)),
        ("content-length", Some("5")),
        ("transfer-encoding", None),
        ("connection", None),
        ("content-type", Some("application/octet-stream")),
        ("webhook-id", Some(&*message)),
        ("minutehand-execution-id", Some(&*id)),
        ("minutehand-delivery-token", Some(&*token)),
        ("webhook-timestamp", Some("1790000001")),
        ("webhook-signature", None),
        ("minutehand-namespace", Some("default")),
        ("minutehand-task-id", Some("a")),
        ("minutehand-attempt", Some("2")),
        (
            "minutehand-due-at",
            Some(&*Timestamp::from_millis(NOW_MS).to_string()),
        ),
        ("minutehand-timeout-ms", None),
        ("minutehand-url", None),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn webhook_id_is_one_over_attempts_and_replays() {
    let server = Server::with_status("200", "", "").await;
    let first = task_to(&server.url);
    let later = |ms: i64| Timestamp::from_millis(NOW_MS + ms);
    let retry = Task {
        attempt: 2,
        due: later(5),
        ..first.clone()
    };
    let replay = Task {
        due: later(9),
        first_due: later(9),
        replay_of: Some(first.first_due),
        ..first.clone()
    };
    let another = Task {
        due: later(7),
        first_due: later(7),
        ..first.clone()
    };
    for task in [first, retry, replay, another] {
        verdict_of(config(), task).await;
    }
    let ids: Vec<String> = server
        .requests()
        .iter()
        .map(|request| request.header("webhook-id").unwrap().to_owned())
        .collect();
    assert_eq!((&ids[1], &ids[2]), (&ids[0], &ids[0]));
    assert_ne!(ids[3], ids[0], "another due time is another message");
}

#[tokio::test]
async fn json_is_called_json_unless_the_task_says_otherwise() {
    for (payload, given, sent) in [
        (r#"{"a": 1}"#, None, "application/json"),
        ("{nonsense", None, "application/octet-stream"),
        (
            r#"{"a": 1}"#,
            Some("application/cloudevents+json"),
            "application/cloudevents+json",
        ),
    ] {
        let server = Server::with_status("204", "", "").await;
        let mut task = Task {
            payload: payload.into(),
            ..task_to(&server.url)
        };
        task.headers
            .extend(given.map(|value| ("Content-Type".to_owned(), value.to_owned())));
        verdict_of(config(), task).await;
        assert_eq!(server.requests()[0].header("content-type"), Some(sent));
    }
}

#[tokio::test]
async fn every_secret_signs_and_others_can_verify() {
    let server = Server::with_status("200", "", "").await;
    let (secret, secret_previous) = (Some(Secret::new(SECRET)), Some(Secret::new(OLD_SECRET)));
    verdict_of(
        WebhookConfig {
            secret,
            secret_previous,
            ..config()
        },
        task_to(&server.url),
    )
    .await;
    let request = server.requests().remove(0);
    let (id, timestamp) = (
        request.header("webhook-id").unwrap(),
        request.header("webhook-timestamp").unwrap(),
    );
    let content = [format!("{id}.{timestamp}.").as_bytes(), &request.body].concat();
    let expected: Vec<String> = [SECRET, OLD_SECRET]
        .map(|secret| STANDARD.decode(&secret["whsec_".len()..]).unwrap())
        .map(|key| {
            format!(
                "v1,{}",
                STANDARD.encode(oracle::hmac_sha256(&key, &content))
            )
        })
        .to_vec();
    assert_eq!(
        request.header("webhook-signature"),
        Some(&*expected.join(" "))
    );
    assert!(!id.contains('.'));
}

#[tokio::test]
async fn the_status_decides() {
    for (status, headers, body, expected) in [
        (
            "200",
            "",
            "",
            Verdict::Success {
                detail: "HTTP 200".into(),
            },
        ),
        (
            "204",
            "",
            "",
            Verdict::Success {
                detail: "HTTP 204".into(),
            },
        ),
        (
            "299",
            "",
            "{\"error\":1}\n",
            Verdict::Success {
                detail: "{\"error\":1}\n".into(),
            },
        ),
        ("304", "", "", Verdict::failure("HTTP 304 Not Modified")),
        (
            "400",
            "",
            "bad\n",
            Verdict::discard("HTTP 400 Bad Request: bad"),
        ),
        ("401", "", "", Verdict::discard("HTTP 401 Unauthorized")),
        (
            "404",
            "retry-after: 5\r\n",
            "",
            Verdict::discard("HTTP 404 Not Found"),
        ),
        ("408", "", "", Verdict::failure("HTTP 408 Request Timeout")),
        ("410", "", "", Verdict::discard("HTTP 410 Gone")),
        ("425", "", "", Verdict::failure("HTTP 425 Too Early")),
        (
            "429",
            "retry-after: 120\r\n",
            "",
            retry_after("HTTP 429 Too Many Requests", 120_000),
        ),
        (
            "429",
            "retry-after: soon\r\n",
            "",
            Verdict::failure("HTTP 429 Too Many Requests"),
        ),
        (
            "499",
            "",
            "",
            Verdict::discard("HTTP 499 no standard status"),
        ),
        (
            "500",
            "",
            "oops",
            Verdict::failure("HTTP 500 Internal Server Error: oops"),
        ),
        (
            "503",
            "retry-after: Mon, 21 Sep 2026 14:13:30 GMT\r\n",
            "",
            retry_after("HTTP 503 Service Unavailable", 8_001),
        ),
        (
            "503",
            "retry-after: Mon, 21 Sep 2020 14:13:30 GMT\r\n",
            "",
            retry_after("HTTP 503 Service Unavailable", 0),
        ),
        (
            "999",
            "",
            "",
            Verdict::failure("HTTP 999 no standard status"),
        ),
    ] {
        let server = Server::with_status(status, headers, body).await;
        assert_eq!(
            verdict_of(config(), task_to(&server.url)).await,
            expected,
            "{status} {headers}"
        );
        assert_eq!(
            server.requests().len(),
            1,
            "{status}: the executor itself never tries again"
        );
    }
}

fn retry_after(reason: &str, ms: i64) -> Verdict {
    Verdict::Failure {
        reason: reason.to_owned(),
        retry_after_ms: Some(ms),
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::with_status("200", "", "").await;
    for (status, location) in [
        ("301", elsewhere.url.as_str()),
        ("302", "file:///etc/passwd"),
        ("303", "/other"),
        ("307", elsewhere.url.as_str()),
        ("308", "//169.254.169.254/"),
    ] {
        let server = Server::with_status(status, &format!("location: {location}\r\n"), "").await;
        let verdict = verdict_of(config(), task_to(&server.url)).await;
        assert!(
            matches!(verdict, Verdict::Failure { .. }),
            "{status}: {verdict:?}"
        );
        assert_eq!(server.requests().len(), 1);
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_the_result() {
    const LIMIT: usize = 64 * 1024;
    for bytes in [LIMIT - 1, LIMIT, LIMIT + 1] {
        let body = "x".repeat(bytes);
        let server = Server::with_status("200", "", &body).await;
        let verdict = verdict_of(config(), task_to(&server.url)).await;
        let detail = if bytes <= LIMIT { &body } else { "HTTP 200" };
        let expected = Verdict::Success {
            detail: detail.to_owned(),
        };
        assert!(verdict == expected, "{bytes} bytes");
    }
}

#[tokio::test]
async fn a_body_is_the_result_as_it_is() {
    for (body, detail) in [("  a\n b \n", "  a\n b \n"), (" \n", "HTTP 200")] {
        let server = Server::with_status("200", "", body).await;
        let verdict = verdict_of(config(), task_to(&server.url)).await;
        let expected = Verdict::Success {
            detail: detail.to_owned(),
        };
        assert_eq!(verdict, expected);
    }
}

#[tokio::test]
async fn a_slow_or_endless_body_is_cut_off() {
    let head = |status: &str| {
        format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 10737418240\r\n\r\nstart")
    };
    let success = Verdict::Success {
        detail: "HTTP 200".to_owned(),
    };
    for answer in [
        Answer::ThenWait(head("200")),
        Answer::ThenFlood(head("200")),
    ] {
        let server = Server::answering(answer).await;
        assert_eq!(verdict_of(config(), task_to(&server.url)).await, success);
        while server.cut.get() == 0 {
            server.cut_told.notified().await;
        }
        // 64 KiB were wanted; the rest is what buffers hold.
        assert!(
            server.chunks.get() < 4_096,
            "{} chunks of 16 KiB went out",
            server.chunks.get()
        );
    }
    let server = Server::answering(Answer::ThenFlood(head("500"))).await;
    let Verdict::Failure { reason, .. } = verdict_of(config(), task_to(&server.url)).await else {
        panic!()
    };
    assert!(
        reason.starts_with("HTTP 500 Internal Server Error: startxxx") && reason.len() < 1_100,
        "{reason}"
    );
}

#[tokio::test]
async fn no_answer_is_a_failure() {
    let server = Server::answering(Answer::ThenWait(String::new())).await;
    let verdict = verdict_of(
        WebhookConfig {
            timeout_ms: 100,
            ..config()
        },
        task_to(&server.url),
    )
    .await;
    assert_eq!(verdict, Verdict::failure("no answer within 100 ms"));

    let server = Server::answering(Answer::Bytes("not HTTP at all\r\n\r\n".to_owned())).await;
    let Verdict::Failure { reason, .. } = verdict_of(config(), task_to(&server.url)).await else {
        panic!()
    };
    assert!(reason.starts_with("no answer: "), "{reason}");

    let closed = TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{closed}/?token=canary");
    let Verdict::Failure { reason, .. } = verdict_of(config(), task_to(&url)).await else {
        panic!()
    };
    assert!(
        reason.starts_with("could not connect: ") && !reason.contains("canary"),
        "{reason}"
    );
}

/// How an answer ends that is not over within 200 ms.
async fn verdict_within_200_ms(answer: Answer) -> (Verdict, Server) {
    let server = Server::answering(answer).await;
    let config = WebhookConfig {
        timeout_ms: 200,
        ..config()
    };
    let verdict = verdict_of(config, task_to(&server.url)).await;
    while server.cut.get() == 0 {
        server.cut_told.notified().await;
    }
    (verdict, server)
}

#[tokio::test]
async fn a_head_that_never_ends_is_no_answer() {
    const LATE: &str = "no answer within 200 ms";
    // A byte at a time; 1xx for ever; a header for ever.
    let (verdict, _) = verdict_within_200_ms(Answer::Slowly(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    assert_eq!(verdict, Verdict::failure(LATE));
    let (verdict, _) =
        verdict_within_200_ms(Answer::ForEver("HTTP/1.1 103 Early Hints\r\n\r\n")).await;
    let Verdict::Failure { reason, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(reason.starts_with("no answer"), "{reason}");
    let endless = "x".repeat(16 * 1024).leak();
    let (verdict, server) = verdict_within_200_ms(Answer::ForEver(endless)).await;
    let Verdict::Failure { reason, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(reason.starts_with("no answer"), "{reason}");
    assert!(
        server.chunks.get() < 4_096,
        "{} chunks",
        server.chunks.get()
    );
}

#[tokio::test]
async fn a_compressed_body_is_not_blown_up() {
    // What it would unfold to is never looked at: so many bytes of it are read, and no more.
    let head =
        "HTTP/1.1 500 Whatever\r\ncontent-encoding: gzip\r\ncontent-length: 1073741824\r\n\r\n";
    let server = Server::answering(Answer::ThenFlood(head.to_owned())).await;
    let Verdict::Failure { reason, .. } = verdict_of(config(), task_to(&server.url)).await else {
        panic!("it succeeded")
    };
    assert!(reason.len() < 1_100 && reason.contains("xxx"), "{reason}");
    assert!(
        server.chunks.get() < 4_096,
        "{} chunks",
        server.chunks.get()
    );
    assert_eq!(server.requests()[0].header("accept-encoding"), None);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_called_no_more_for_a_while() {
    let server = Server::with_status("410", "", "moved away").await;
    let now_ms = Arc::new(std::sync::atomic::AtomicI64::new(NOW_MS));
    let clock = Arc::clone(&now_ms);
    let executor = WebhookExecutor::new(WebhookConfig {
        gone_ms: 60_000,
        ..config()
    })
    .unwrap()
    .clock(move || Timestamp::from_millis(clock.load(std::sync::atomic::Ordering::SeqCst)));
    let run = |url: &str| {
        let execution = execution_of(task_to(url));
        executor.run(Run::new(execution, Timestamp::from_millis(NOW_MS)))
    };
    assert_eq!(
        run(&server.url).await,
        Verdict::discard("HTTP 410 Gone: moved away")
    );
    let Verdict::Discard { reason } = run(&server.url).await else {
        panic!("it was called")
    };
    let until = Timestamp::from_millis(NOW_MS + 60_000);
    assert_eq!(
        reason,
        format!("the endpoint has answered HTTP 410 Gone; it is not called before {until}")
    );
    assert_eq!(server.requests().len(), 1);
    // Another URL of the same host is another endpoint.
    run(&server.url.replace("a=1", "a=2")).await;
    assert_eq!(server.requests().len(), 2);
    now_ms.store(NOW_MS + 60_000, std::sync::atomic::Ordering::SeqCst);
    run(&server.url).await;
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_endpoint_has_secrets_of_its_own() {
    let server = Server::with_status("200", "", "").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("endpoints.toml");
    let entry =
        format!("[[endpoint]]\nhost = \"127.0.0.1\"\nsecrets = [\"{SECRET}\", \"{OLD_SECRET}\"]\n");
    std::fs::write(&file, entry).unwrap();
    let common = "whsec_".to_owned() + &STANDARD.encode([7; 32]);
    let config = WebhookConfig {
        secret: Some(Secret::new(common)),
        endpoints_file: Some(file),
        ..config()
    };
    verdict_of(config.clone(), task_to(&server.url)).await;
    verdict_of(
        config,
        task_to(&server.url.replace("127.0.0.1", "localhost")),
    )
    .await;
    let signatures: Vec<usize> = server
        .requests()
        .iter()
        .map(|request| {
            request
                .header("webhook-signature")
                .unwrap()
                .split(' ')
                .count()
        })
        .collect();
    assert_eq!(signatures, [2, 1]);
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_can() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, key.cert.pem()).unwrap();
    let private =
        rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen: Arc<Mutex<Vec<hyper::Version>>> = Arc::default();
    let versions = Arc::clone(&seen);
    let connections = Counter::default();
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            counted.add();
            let versions = Arc::clone(&versions);
            let service = hyper::service::service_fn(
                move |request: hyper::Request<hyper::body::Incoming>| {
                    versions.lock().unwrap().push(request.version());
                    std::future::ready(Ok::<_, std::convert::Infallible>(hyper::Response::new(
                        String::new(),
                    )))
                },
            );
            let server =
                hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
            tokio::spawn(async move {
                let stream = hyper_util::rt::TokioIo::new(stream);
                server.serve_connection(stream, service).await.ok();
            });
        }
    });
    let config = WebhookConfig {
        ca_file: Some(ca_file),
        ..config()
    };
    let executor = executor(config);
    let url = format!("https://localhost:{port}/hook");
    for _ in 0..3 {
        let run = Run::new(execution_of(task_to(&url)), Timestamp::from_millis(NOW_MS));
        let verdict = executor.run(run).await;
        assert!(matches!(verdict, Verdict::Success { .. }), "{verdict:?}");
    }
    assert_eq!(*seen.lock().unwrap(), [hyper::Version::HTTP_2; 3]);
    assert_eq!(connections.get(), 1);
}

#[tokio::test]
async fn a_header_cannot_smuggle_in_another() {
    let server = Server::with_status("200", "", "").await;
    for (name, value) in [
        ("x-a", "1\r\nx-evil: 2"),
        ("x-a", "1\nx-evil: 2"),
        ("x-a", "1\0"),
        ("x-a\r\nx-evil", "1"),
        ("x a", "1"),
        ("", "1"),
    ] {
        let mut task = task_to(&server.url);
        task.headers.push((name.to_owned(), value.to_owned()));
        let Verdict::Discard { reason } = verdict_of(config(), task).await else {
            panic!("{name:?} {value:?}")
        };
        assert!(
            reason.starts_with(&format!("header {name:?} cannot be sent: ")),
            "{reason}"
        );
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_fixed_url_wins_and_a_bad_one_is_refused_at_once() {
    let server = Server::with_status("200", "", "").await;
    let fixed = WebhookConfig {
        url: Some(server.url.clone()),
        ..config()
    };
    assert!(matches!(
        verdict_of(fixed.clone(), task_named("a")).await,
        Verdict::Success { .. }
    ));
    assert!(matches!(
        verdict_of(fixed, task_to("http://other.invalid/")).await,
        Verdict::Success { .. }
    ));
    assert_eq!(server.requests().len(), 2);
    for url in ["ftp://example.org/", "nonsense", "http://127.0.0.1/"] {
        let config = WebhookConfig {
            url: Some(url.to_owned()),
            ..WebhookConfig::default()
        };
        let error = WebhookExecutor::new(config).err().unwrap().to_string();
        assert!(error.starts_with("webhook.url cannot be used: "), "{error}");
    }
    let Verdict::Discard { reason } = verdict_of(config(), task_named("a")).await else {
        panic!()
    };
    assert_eq!(
        reason,
        "the task says no URL: it has no header minutehand-url"
    );
}

#[tokio::test]
async fn a_stopped_request_is_given_up() {
    let server = Server::answering(Answer::ThenWait(String::new())).await;
    let run = Run::new(
        execution_of(task_to(&server.url)),
        Timestamp::from_millis(NOW_MS),
    );
    let executor = executor(config());
    let stopping = async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        run.ask_to_stop(StopCause::Requested);
    };
    let (verdict, ()) = tokio::join!(executor.run(run.clone()), stopping);
    assert_eq!(verdict, Verdict::Cancelled);
}

/// HMAC-SHA256 after FIPS 180-4 and RFC 2104, written out: what the signatures are held against.
mod oracle {
    fn primes() -> impl Iterator<Item = u64> {
        (2_u64..).filter(|number| {
            (2..*number)
                .take_while(|d| d * d <= *number)
                .all(|d| number % d != 0)
        })
    }

    /// The first 32 bits of the fractional part of a prime's root: the largest x with x^power <=
    /// prime * 2^(32 * power).
    fn root_fraction(prime: u64, power: u32) -> u32 {
        let (mut low, mut high) = (0_u128, 1_u128 << 37);
        while high - low > 1 {
            let middle = (low + high) / 2;
            // The cube of a 37-bit number fits in 111 bits.
            if middle.pow(power) <= u128::from(prime) << (32 * power) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low as u32
    }

    pub(super) fn sha256(message: &[u8]) -> [u8; 32] {
        let k: Vec<u32> = primes()
            .take(64)
            .map(|prime| root_fraction(prime, 3))
            .collect();
        let mut state: Vec<u32> = primes()
            .take(8)
            .map(|prime| root_fraction(prime, 2))
            .collect();
        let mut padded = message.to_vec();
        padded.push(0x80);
        while padded.len() % 64 != 56 {
            padded.push(0);
        }
        padded.extend((message.len() as u64 * 8).to_be_bytes());
        for block in padded.chunks(64) {
            let mut w: Vec<u32> = block
                .chunks(4)
                .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
                .collect();
            for i in 16..64 {
                let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
                let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
                w.push(
                    w[i - 16]
                        .wrapping_add(s0)
                        .wrapping_add(w[i - 7])
                        .wrapping_add(s1),
                );
            }
            let mut v = state.clone();
            for i in 0..64 {
                let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
                let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
                let t1 = v[7]
                    .wrapping_add(s1)
                    .wrapping_add(choice)
                    .wrapping_add(k[i])
                    .wrapping_add(w[i]);
                let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
                let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
                v.rotate_right(1);
                v[4] = v[4].wrapping_add(t1);
                v[0] = t1.wrapping_add(s0).wrapping_add(majority);
            }
            for (word, addend) in state.iter_mut().zip(v) {
                *word = word.wrapping_add(addend);
            }
        }
        let bytes: Vec<u8> = state.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.try_into().unwrap()
    }

    pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
        assert!(key.len() <= 64);
        let pad = |byte: u8| -> Vec<u8> {
            (0..64)
                .map(|i| key.get(i).copied().unwrap_or(0) ^ byte)
                .collect()
        };
        let inner = sha256(&[pad(0x36), message.to_vec()].concat());
        sha256(&[pad(0x5c), inner.to_vec()].concat())
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_oracle_is_right() {
        let digest = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
