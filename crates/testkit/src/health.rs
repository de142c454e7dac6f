//! One HTTP request, as much of it as etcd's `/health` needs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the answer may take: a server that takes longer is not ready.
const LIMIT: Duration = Duration::from_secs(2);

/// Whether `GET /health` says so.
pub(crate) fn is_healthy(address: SocketAddr) -> bool {
    get(address, "/health").is_ok_and(|answer| says_healthy(&answer))
}

/// The whole answer to a request, head and body.
///
/// # Errors
/// Those of the connection; a server that does not answer within two seconds counts as one.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn says_healthy(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200") && answer.contains(r#""health":"true""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_health_is_one() {
        assert!(says_healthy(
            "HTTP/1.1 200 OK\r\n\r\n{\"health\":\"true\",\"reason\":\"\"}"
        ));
        assert!(!says_healthy(
            "HTTP/1.1 200 OK\r\n\r\n{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}"
        ));
        assert!(!says_healthy(
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"health\":\"true\"}"
        ));
    }
}
