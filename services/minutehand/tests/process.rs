//! The life of `dev`: signals, and callers that never end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A process that is stopped when the test ends, however it ends.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Where it listens.
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Running {
    fn start(folder: &Path, words: &[&str]) -> Running {
        Running::start_with(folder, words, &[])
    }

    fn start_with(folder: &Path, words: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_minutehand"))
            .current_dir(folder)
            .args(["dev", "--http", "127.0.0.1:0", "--data-dir", "data"])
            .args(words)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut greeting = String::new();
        output.read_line(&mut greeting).expect("a greeting");
        let address = greeting
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let address = address.expect("an address").to_owned();
        Running {
            child,
            output,
            address,
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("it runs");
    }

    /// The status line of an answer.
    fn ask(&self, token: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request = format!(
            "GET /v1/queues HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("an answer");
        said.lines().next().unwrap_or_default().to_owned()
    }
}

#[test]
fn hangups_read_files_again_and_end_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "old old-0123456789abcdef\n").expect("written");
    let mut running = Running::start(
        folder.path(),
        &["--tokens-file", "tokens", "--log", "minutehand=info"],
    );
    let mut log = BufReader::new(running.child.stderr.take().expect("its log is piped")).lines();
    let mut told = |words: &str| {
        let line = log
            .by_ref()
            .map(|line| line.expect("text"))
            .find(|line| line.contains(words));
        assert!(line.is_some(), "{words:?} was not said");
    };
    assert!(running.ask("old-0123456789abcdef").contains(" 200 "));

    std::fs::write(&tokens, "# none\n").expect("written");
    running.signal(Signal::HUP);
    told("the tokens stay as they were");
    assert!(
        running.ask("old-0123456789abcdef").contains(" 200 "),
        "no token does not mean no guard"
    );
    assert!(running.ask("").contains(" 401 "));

    std::fs::write(&tokens, "new new-0123456789abcdef\n").expect("written");
    running.signal(Signal::HUP);
    told("read the tokens again");
    assert!(running.ask("new-0123456789abcdef").contains(" 200 "));
    assert!(running.ask("old-0123456789abcdef").contains(" 401 "));

    running.signal(Signal::TERM);
    assert!(running.child.wait().expect("it ends").success());
}

#[test]
fn hangups_end_nothing_without_files_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = Running::start(folder.path(), &[]);
    running.signal(Signal::HUP);
    assert!(running.ask("").contains(" 200 "));
    running.signal(Signal::INT);
    assert!(running.child.wait().expect("it ends").success());
}

#[test]
fn callers_that_never_end_do_not_put_off_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = Running::start(folder.path(), &["--set", "worker.drain_ms=100"]);
    let head = "POST /v1/namespaces/default/tasks:bulk HTTP/1.1\r\nHost: localhost\r\n\
        Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"que\r\n";
    let held: Vec<TcpStream> = [
        "GET /livez HTTP/1.1\r\nHo",
        head,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    .map(|beginning| {
        let mut stream = TcpStream::connect(&running.address).expect("it listens");
        stream.write_all(beginning.as_bytes()).expect("sent");
        stream
    })
    .into();
    assert!(
        running.ask("").contains(" 200 "),
        "and a neighbour is served meanwhile"
    );
    running.signal(Signal::TERM);
    assert!(running.child.wait().expect("it ends").success());
    drop(held);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // The request would be waited for a while.
    let mut running = Running::start(
        folder.path(),
        &[
            "--set",
            "worker.drain_ms=600000",
            "--log",
            "minutehand=info",
        ],
    );
    let mut held = TcpStream::connect(&running.address).expect("it listens");
    held.write_all(b"POST /v1/namespaces/default/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        .expect("sent");
    assert!(running.ask("").contains(" 200 "));
    let mut log = BufReader::new(running.child.stderr.take().expect("its log is piped")).lines();
    running.signal(Signal::TERM);
    let asked = log
        .by_ref()
        .map(|line| line.expect("text"))
        .find(|line| line.contains("stopping in order"));
    assert!(asked.is_some());
    running.signal(Signal::TERM);
    let ended = running.child.wait().expect("it ends");
    assert_eq!((ended.code(), ended.signal()), (Some(128 + 15), None));
    let mut rest = String::new();
    running.output.read_to_string(&mut rest).expect("text");
}

#[test]
fn a_tokens_file_without_a_token_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tokens"), "# nobody yet\n").expect("written");
    let refused = Command::new(env!("CARGO_BIN_EXE_minutehand"))
        .current_dir(folder.path())
        .args([
            "dev",
            "--http",
            "127.0.0.1:0",
            "--data-dir",
            "data",
            "--tokens-file",
            "tokens",
        ])
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("there is no token in it"), "{said}");
}

#[test]
fn a_service_manager_hears_of_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let hears = |wanted: &str| {
        let mut said = [0; 256];
        loop {
            let length = socket.recv(&mut said).expect("it is told");
            if said[..length].starts_with(wanted.as_bytes()) {
                return;
            }
        }
    };
    let told = [
        ("NOTIFY_SOCKET", path.to_str().expect("text")),
        ("WATCHDOG_USEC", "100000"),
    ];
    let mut running = Running::start_with(folder.path(), &[], &told);
    hears("READY=1");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    running.signal(Signal::TERM);
    hears("STOPPING=1");
    assert!(running.child.wait().expect("it ends").success());
}
