//! What names leave behind: a `dev` process is given thousands of queues of one task each, then
//! thousands of schedules that are created and deleted; its memory is compared with what it took at
//! its start.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Figure;
use crate::end_to_end::Failure;

const QUEUES: usize = 6_000;
const SCHEDULES: usize = 12_000;
/// What starts takes this long to have been touched.
const SETTLES: Duration = Duration::from_secs(10);

/// A `dev` that ends with the benchmark.
struct Dev {
    child: Child,
    address: String,
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Dev {
    fn start(program: &Path, folder: &Path) -> Result<Dev, Failure> {
        let mut child = Command::new(program)
            .args(["dev", "--http", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()?;
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
    fn memory_bytes(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("it has no memory")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1_024.0)
    }

    fn connect(&self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Sends a request on a connection that stays open, and reads the answer; an error unless it is a
/// success.
fn call(
    stream: &mut BufReader<TcpStream>,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> Result<(), Failure> {
    let length = body.len();
    write!(
        stream.get_mut(),
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
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
        Some(code) if code.starts_with('2') => Ok(()),
        _ => Err(format!(
            "{method} {path}: {status}: {}",
            String::from_utf8_lossy(&answer)
        )
        .into()),
    }
}

/// Measures with a child of this program; `waits` is how long names have been out of use when
/// memory is compared.
///
/// # Errors
/// When the child cannot be started or asked.
pub fn run(program: &Path, folder: &Path, waits: Duration) -> Result<Vec<Figure>, Failure> {
    let dev = Dev::start(program, folder)?;
    std::thread::sleep(SETTLES);
    let start = dev.memory_bytes()?;
    let mut stream = BufReader::new(dev.connect()?);

    let tasks = (0..QUEUES).map(|number| format!("{{\"queue\":\"bench-{number}\",\"delay\":0}}\n"));
    let tasks: String = tasks.collect();
    call(
        &mut stream,
        "POST",
        "/v1/namespaces/default/tasks:bulk",
        "application/x-ndjson",
        &tasks,
    )?;
    std::thread::sleep(SETTLES);
    let after_queues = dev.memory_bytes()?;

    const PATH: &str = "/v1/namespaces/default/schedules";
    for number in 0..SCHEDULES {
        let body =
            format!("{{\"id\":\"bench-{number}\",\"cron\":\"0 0 1 1 *\",\"queue\":\"bench\"}}");
        call(&mut stream, "POST", PATH, "application/json", &body)?;
        call(
            &mut stream,
            "DELETE",
            &format!("{PATH}/bench-{number}"),
            "application/json",
            "",
        )?;
    }
    let after_schedules = dev.memory_bytes()?;
    drop(stream);
    std::thread::sleep(waits);
    let end = dev.memory_bytes()?;

    let figure =
        |what: &str, bytes: f64| Figure::new("memory", what, bytes / f64::from(1 << 20), "MiB");
    Ok(vec![
        figure("at the start", start),
        figure("above it after the queues", after_queues - start).with("queues", QUEUES),
        figure("above it after the schedules", after_schedules - start)
            .with("schedules", SCHEDULES),
        figure("above it at the end", end - start).with("rest_s", waits.as_secs()),
    ])
}
