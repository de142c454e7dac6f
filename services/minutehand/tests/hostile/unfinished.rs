//! Requests that are begun and not ended, and answers that nobody reads.

use std::io::Write;
use std::net::TcpStream;

use crate::caller::{Target, connect, request};

/// Connections of each kind that are held open.
const HELD: usize = 40;

/// Beginnings of requests, none of them whole.
fn beginnings() -> Vec<Vec<u8>> {
    let post = |path: &str, kind: &str, rest: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{rest}")
            .into_bytes()
    };
    let tasks = "/v1/namespaces/hostile/tasks";
    let (json, lines) = ("application/json", "application/x-ndjson");
    let half = "x".repeat(100_000);
    vec![
        Vec::new(),
        b"G".to_vec(),
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n".to_vec(),
        post(tasks, json, "Content-Length: 2000000\r\n\r\n"),
        post(
            tasks,
            json,
            &format!("Content-Length: 2000000\r\n\r\n{half}"),
        ),
        post(tasks, json, "Transfer-Encoding: chunked\r\n\r\n5\r\n{"),
        post(
            &format!("{tasks}:bulk"),
            lines,
            "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"q\r\n",
        ),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    ]
}

#[test]
fn unfinished_requests_keep_nobody_else_waiting() {
    let mut target = Target::start();
    let mut held: Vec<TcpStream> = Vec::new();
    for beginning in beginnings() {
        for _ in 0..HELD {
            let mut stream = connect(target.address());
            stream.write_all(&beginning).expect("it listens");
            held.push(stream);
        }
        target.serves_others();
    }
    drop(held);
    target.serves_others();
}

/// Whoever asks for much and reads nothing of it.
#[test]
fn answers_that_nobody_reads_keep_nobody_else_waiting() {
    let mut target = Target::start();
    let ask = request("GET", "/openapi.json", &[("Host", "localhost")], b"");
    let ask = String::from_utf8(ask)
        .expect("text")
        .replace("Connection: close\r\n", "");
    let mut held = Vec::new();
    for _ in 0..HELD {
        let mut stream = connect(target.address());
        // More answers than the system holds for a reader that does not come.
        stream
            .write_all(ask.repeat(200).as_bytes())
            .expect("it listens");
        held.push(stream);
    }
    target.serves_others();
    drop(held);
    target.serves_others();
}
