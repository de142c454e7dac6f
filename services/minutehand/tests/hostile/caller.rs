//! Whoever sends such requests, and a neighbour who wants to be served beside them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::support::Dev;

/// Longer than the server gives anybody who does not finish a request; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(150);

/// A request and what must come of it.
pub(crate) struct Case {
    /// For the message of a failure.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) wanted: Wanted,
}

/// What must come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It is taken.
    Success,
    /// It is refused, in words.
    Refusal,
    /// Either; or the connection ends, because what came is no request.
    NoFault,
}

/// The status of an answer; `None` when the connection ended without one.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line)
        .ok()?
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}

/// Where the program listens, as `host:port`.
pub(crate) fn address(dev: &Dev) -> &str {
    dev.address.strip_prefix("http://").expect("plain HTTP")
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a time limit");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a time limit");
    stream
}

/// Sends bytes and reads until the other side ends the connection. What says that it is the last
/// request ends by itself; of all else the end is told.
pub(crate) fn exchange(address: &str, bytes: &[u8], ends_by_itself: bool) -> Vec<u8> {
    let mut stream = connect(address);
    // The other side may have refused it, and gone, before all was sent.
    let sent = stream.write_all(bytes);
    if !ends_by_itself && sent.is_ok() {
        stream.shutdown(Shutdown::Write).ok();
    }
    let (mut answer, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return answer,
            Ok(count) => answer.extend(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!(
                    "no answer, and no end: {}",
                    String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
                )
            }
            Err(_) => return answer,
        }
    }
}

/// A complete request on a connection of its own.
pub(crate) fn request(method: &str, path: &str, heads: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n").into_bytes();
    for (name, value) in heads {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    if !body.is_empty() {
        bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// A complete request with a JSON body, as everybody sends it.
pub(crate) fn json(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    request(
        method,
        path,
        &[("Host", "localhost"), ("Content-Type", "application/json")],
        body,
    )
}

/// A program under these requests.
pub(crate) struct Target {
    dev: Dev,
    _folder: tempfile::TempDir,
    served: u64,
}

impl Target {
    pub(crate) fn start() -> Target {
        let folder = tempfile::tempdir().expect("a folder");
        let dev = Dev::start(folder.path(), &["dev", "--log", "error"]);
        Target {
            dev,
            _folder: folder,
            served: 0,
        }
    }

    pub(crate) fn address(&self) -> &str {
        address(&self.dev)
    }

    /// Sends all of them, a neighbour's requests between.
    pub(crate) fn endures(&mut self, cases: impl IntoIterator<Item = Case>) {
        let mut count = 0;
        for Case {
            name,
            bytes,
            wanted,
        } in cases
        {
            let answer = exchange(self.address(), &bytes, wanted != Wanted::NoFault);
            let status = status(&answer);
            let is_wanted = match (wanted, status) {
                (Wanted::Success, Some(status)) => (200..300).contains(&status),
                (Wanted::Refusal, Some(status)) => (400..500).contains(&status),
                (Wanted::NoFault, Some(status)) => status < 500,
                (Wanted::NoFault, None) => true,
                (_, None) => false,
            };
            assert!(
                is_wanted,
                "{name}: {wanted:?}, got {status:?}: {}",
                String::from_utf8_lossy(&answer)
            );
            count += 1;
            if count % 50 == 0 {
                self.serves_others();
            }
        }
        assert!(count > 0, "there are cases");
        self.serves_others();
    }

    /// A neighbour creates a task, and finds it; the process is ready.
    pub(crate) fn serves_others(&mut self) {
        assert!(!self.dev.has_ended(), "the process lives");
        self.served += 1;
        let id = format!("neighbour-{}", self.served);
        let body =
            format!(r#"{{"id":"{id}","queue":"neighbours","due_at":"2036-01-01T00:00:00Z"}}"#);
        let path = "/v1/namespaces/neighbours/tasks";
        let hosts = [("Host", "localhost")];
        for (bytes, wanted) in [
            (json("POST", path, body.as_bytes()), 201),
            (request("GET", &format!("{path}/{id}"), &hosts, b""), 200),
            (request("GET", "/readyz", &hosts, b""), 200),
        ] {
            let answer = exchange(self.address(), &bytes, true);
            assert_eq!(
                status(&answer),
                Some(wanted),
                "{id}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
}

/// Numbers that are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}
