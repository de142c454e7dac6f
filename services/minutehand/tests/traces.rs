//! Traces of runs, as a collector receives them.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use support::Dev;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PRODUCER: &str = "b7ad6b7169203331";
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector: the address of its traces, and the spans that come.
fn collector() -> (String, Receiver<Span>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    let (sender, spans) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || while take(&connection, &sender).is_some() {});
        }
    });
    (format!("http://{address}/v1/traces"), spans)
}

/// Takes one request; `None` when the connection is over.
fn take(connection: &TcpStream, spans: &Sender<Span>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().to_ascii_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request = ExportTraceServiceRequest::decode(&*body).expect("a request of OTLP");
    let of_all = request.resource_spans.into_iter();
    let scopes = of_all.flat_map(|resource| resource.scope_spans);
    for span in scopes.flat_map(|scope| scope.spans) {
        spans.send(span).ok();
    }
    let mut connection = connection;
    connection
        .write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )
        .ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    let found = span.attributes.iter().find(|one| one.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

#[test]
fn a_run_belongs_to_the_trace_of_its_producer() {
    let (url, spans) = collector();
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(
        folder.path(),
        &["dev", "--set", &format!("telemetry.traces_url={url}")],
    );
    let create = |id: &str, flags: &str| {
        let parent = format!("traceparent=00-{TRACE}-{PRODUCER}-{flags}");
        let words = [
            "task", "create", "--queue", "mail", "--in", "0s", "--id", id, "-H", &parent,
        ];
        dev.client(folder.path(), &words);
    };
    // Not sampled: nobody wants to see it.
    create("unseen", "00");
    create("seen", "01");
    let span = spans.recv_timeout(PATIENCE).expect("a span");
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), PRODUCER);
    assert_eq!(hex(&span.links[0].span_id), PRODUCER);
    assert_eq!(span.name, "run mail");
    assert_eq!(attribute(&span, "minutehand.task_id"), Some("seen"));
    assert_eq!(attribute(&span, "minutehand.outcome"), Some("succeeded"));
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
}
