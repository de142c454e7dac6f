//! As much of CQL as it takes to ask a node whom it knows.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);

/// Version 4 of the protocol, in a request.
const VERSION: u8 = 4;
const STARTUP: u8 = 1;
const READY: u8 = 2;
const QUERY: u8 = 7;
const RESULT: u8 = 8;

/// How many other nodes a node knows well enough to tell clients of them.
///
/// # Errors
/// Those of the connection; a refusal of the node counts as one.
pub(crate) fn peer_count(address: SocketAddr) -> io::Result<i64> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut options = 1_u16.to_be_bytes().to_vec();
    for text in ["CQL_VERSION", "3.0.0"] {
        options.extend([0, text.len() as u8]);
        options.extend(text.bytes());
    }
    ask(&mut stream, STARTUP, &options, READY)?;
    let statement = "SELECT count(tokens), count(native_address) FROM system.peers_v2";
    let mut query = vec![0, 0, 0, statement.len() as u8];
    query.extend(statement.bytes());
    // Consistency ONE, no flags.
    query.extend([0, 1, 0]);
    let answer = ask(&mut stream, QUERY, &query, RESULT)?;
    last_two(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no counts in the answer"))
}

fn ask(stream: &mut TcpStream, code: u8, body: &[u8], expected: u8) -> io::Result<Vec<u8>> {
    let mut frame = vec![VERSION, 0, 0, 0, code];
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame)?;
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [_, _, _, _, code, length @ ..] = head;
    let mut answer = Vec::new();
    stream
        .take(u32::from_be_bytes(length).into())
        .read_to_end(&mut answer)?;
    match code {
        code if code == expected => Ok(answer),
        code => Err(io::Error::other(format!(
            "answered {code}: {}",
            String::from_utf8_lossy(&answer)
        ))),
    }
}

/// The lesser of the two numbers at the end of a result: each is eight bytes behind its length.
fn last_two(answer: &[u8]) -> Option<i64> {
    let (rest, last) = answer.split_last_chunk::<8>()?;
    let (rest, _) = rest.split_last_chunk::<4>()?;
    let (_, first) = rest.split_last_chunk::<8>()?;
    Some(i64::from_be_bytes(*first).min(i64::from_be_bytes(*last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_counts_when_everything_about_it_is_known() {
        let result = [
            &[9, 9][..],
            &[0, 0, 0, 8],
            &3_i64.to_be_bytes(),
            &[0, 0, 0, 8],
            &2_i64.to_be_bytes(),
        ];
        assert_eq!(last_two(&result.concat()), Some(2));
        assert_eq!(last_two(&[0; 19]), None);
    }
}
