//! etcd as tests use it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use minutehand_testkit::{ETCD_VERSION, Etcd, EtcdOptions};

fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn data_survives_a_kill_and_a_restart_on_the_same_port() {
    let etcd = Etcd::start(&EtcdOptions::default()).unwrap();
    let address = etcd.server().address();
    let version = request(address, "GET", "/version", "").unwrap();
    assert!(
        version.contains(&format!("\"etcdserver\":\"{ETCD_VERSION}\"")),
        "{version}"
    );
    // Key "a" and value "b" in base 64.
    let put = request(
        address,
        "POST",
        "/v3/kv/put",
        r#"{"key":"YQ==","value":"Yg=="}"#,
    )
    .unwrap();
    assert!(put.starts_with("HTTP/1.1 200"), "{put}");
    let first = etcd.server().pid().unwrap();
    etcd.server().kill().unwrap();
    assert!(!etcd.server().is_running());
    assert!(TcpStream::connect(address).is_err());
    etcd.server().start().unwrap();
    assert_ne!(etcd.server().pid(), Some(first));
    assert_eq!(etcd.server().address(), address);
    let got = request(address, "POST", "/v3/kv/range", r#"{"key":"YQ=="}"#).unwrap();
    assert!(got.contains(r#""value":"Yg==""#), "{got}");
    etcd.server().stop().unwrap();
    assert!(!etcd.server().is_running());
}

#[test]
fn after_a_full_disk_exactly_the_accepted_data_is_there() {
    let etcd = Etcd::start(&EtcdOptions::default()).unwrap();
    let address = etcd.server().address();
    let put = |body| request(address, "POST", "/v3/kv/put", body);
    assert!(
        put(r#"{"key":"YQ==","value":"Yg=="}"#)
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    etcd.server().fill_disk().unwrap();
    // It ends instead of answering.
    let refused = put(r#"{"key":"YQ==","value":"Yw=="}"#).unwrap_or_default();
    assert!(!refused.starts_with("HTTP/1.1 200"), "{refused}");
    etcd.server().free_disk().unwrap();
    let got = request(address, "POST", "/v3/kv/range", r#"{"key":"YQ=="}"#).unwrap();
    assert!(got.contains(r#""value":"Yg==""#), "{got}");
}

#[test]
fn two_at_a_time_do_not_meet() {
    let (one, other) = (
        Etcd::start(&EtcdOptions::default()).unwrap(),
        Etcd::start(&EtcdOptions::default()).unwrap(),
    );
    assert_ne!(one.endpoint(), other.endpoint());
    assert_ne!(one.server().folder(), other.server().folder());
}
