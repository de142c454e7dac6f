//! A `dev` process, and requests to it as cheap as can be: what is measured is the other side.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::end_to_end::{Failure, cpu_seconds_of};

/// A `dev` that ends with the benchmark.
pub(crate) struct Dev {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Dev {
    /// Starts one on a folder, with further arguments, and waits until it is ready.
    pub(crate) fn start(program: &Path, folder: &Path, more: &[&str]) -> Result<Dev, Failure> {
        let mut child = Command::new(program)
            .args(["dev", "--http", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", program.display()))?;
        let output = child.stdout.take().ok_or("its output is not piped")?;
        let mut dev = Dev {
            child,
            address: String::new(),
        };
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some((_, rest)) = line.split_once("http://")
                && let Some(address) = rest.strip_suffix("/v1")
            {
                dev.address = address.to_owned();
            }
            if line.starts_with("try:") {
                return Ok(dev);
            }
        }
        Err("it ended before it was ready".into())
    }

    /// Its resident memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("it has no memory")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1_024.0)
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> Result<TcpStream, Failure> {
        connect(&self.address)
    }

    /// User and system time that it has used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds_of(&self.child.id().to_string())
    }
}

/// A connection to an address, for small requests.
pub(crate) fn connect(address: &str) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request on a connection that stays open, and answers the body; an error unless it is a
/// success.
pub(crate) fn call(
    stream: &mut BufReader<TcpStream>,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> Result<String, Failure> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.get_mut().write_all(request.as_bytes())?;
    let (mut line, mut status, mut length) = (String::new(), String::new(), 0);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let head = line.trim_end();
        if status.is_empty() {
            status = head.to_owned();
        } else if let Some((name, value)) = head.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
        if head.is_empty() {
            break;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    match status.split(' ').nth(1) {
        Some(code) if code.starts_with('2') => Ok(String::from_utf8(answer)?),
        _ => Err(format!(
            "{method} {path}: {status}: {}",
            String::from_utf8_lossy(&answer)
        )
        .into()),
    }
}
