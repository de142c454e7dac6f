//! A console that remembers, hooks that answer, and an HTTP server of a hundred lines.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use minutehand_cli::{
    Commands, ConfigShowArgs, Console, DevArgs, Exit, Failure, parse_from, run_on,
};
use minutehand_model::Timestamp;
use minutehand_settings::{Origin, Setting};
use serde_json::{Value, json};

/// 2026-11-24T08:00:00Z, the time of every test.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_795_507_200_000)
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as JSON lines.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    pub(crate) fn ok(self) -> Ran {
        assert_eq!(self.exit, Exit::Ok, "{self:?}");
        self
    }
}

#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command line without standard input.
pub(crate) async fn run(words: &[&str]) -> Ran {
    run_with(words, Box::new(io::empty())).await
}

/// Runs a command line.
pub(crate) async fn run_with(words: &[&str], stdin: Box<dyn BufRead + Send>) -> Ran {
    run_before(words, stdin, false).await
}

/// Runs a command line before a person who answers questions by standard input.
pub(crate) async fn run_asked(words: &[&str], answers: &str) -> Ran {
    run_before(words, input(answers), true).await
}

async fn run_before(words: &[&str], stdin: Box<dyn BufRead + Send>, can_ask: bool) -> Ran {
    let cli =
        parse_from([&["minutehand"], words].concat()).unwrap_or_else(|error| panic!("{error}"));
    let (stdout, stderr) = (Buffer::default(), Buffer::default());
    let mut console = console(&stdout, &stderr, stdin, can_ask);
    let exit = run_on(cli, &Hooks, &mut console).await;
    Ran {
        exit,
        stdout: stdout.text(),
        stderr: stderr.text(),
    }
}

/// A console that remembers what is written to it.
pub(crate) fn console(
    stdout: &Buffer,
    stderr: &Buffer,
    stdin: Box<dyn BufRead + Send>,
    can_ask: bool,
) -> Console {
    Console {
        stdout: Box::new(stdout.clone()),
        stderr: Box::new(stderr.clone()),
        stdin,
        can_ask,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        colour: false,
        clock: now,
    }
}

pub(crate) fn input(text: &str) -> Box<dyn BufRead + Send> {
    Box::new(Cursor::new(text.as_bytes().to_vec()))
}

/// Commands that say what they were asked.
pub(crate) struct Hooks;

#[async_trait]
impl Commands for Hooks {
    async fn dev(&self, args: DevArgs) -> Result<(), Failure> {
        Err(Failure::new(Exit::Failed, format!("dev in {:?}", args.data_dir)).with_hint("a hint"))
    }

    fn lab(&self, words: Vec<OsString>) -> Failure {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        Failure::new(Exit::Failed, format!("lab {}", words.join(" ")))
    }

    fn settings(&self, args: &ConfigShowArgs) -> Result<Vec<Setting>, Failure> {
        let setting = |(name, value): (String, String)| {
            let help = "Everything durable".to_owned();
            Setting {
                name,
                value,
                origin: Origin::Flag,
                help,
            }
        };
        Ok(args.dev.sources().set.into_iter().map(setting).collect())
    }
}

/// A whole answer, of which a test says what matters to it.
fn whole(mut answer: Value, said: Value) -> Value {
    let Value::Object(said) = said else {
        panic!("{said} is not an object")
    };
    answer.as_object_mut().unwrap().extend(said);
    answer
}

/// Where a task stands.
pub(crate) fn handle(id: &str, due_at: &str) -> String {
    json!({ "namespace": "default", "id": id, "partition": 0, "due_at": due_at, "offset": 1 })
        .to_string()
}

/// A task.
pub(crate) fn task(said: Value) -> Value {
    let due_at = "2026-11-24T09:00:00Z";
    let task = json!({ "namespace": "default", "id": "t", "partition": 0, "state": "scheduled", "due_at": due_at });
    whole(task, said)
}

/// A definition.
pub(crate) fn definition(said: Value) -> Value {
    let definition = json!({
        "exclude": [], "jitter_ms": 0, "misfire": {}, "overlap": "allow-all", "pause_on_failure": false,
        "queue": "q", "headers": {}, "retry": {}, "guarantee": "at-least-once", "precision": "normal",
    });
    whole(definition, said)
}

/// A schedule.
pub(crate) fn schedule(said: Value) -> Value {
    let schedule = json!({
        "namespace": "default", "id": "s", "revision": 1, "partition": 0, "state": "active", "paused": false,
        "note": "", "author": "ann", "revised_at": "2026-11-24T07:00:00Z", "next_nominal_at": null,
        "next_at": null,
    });
    whole(schedule, definition(said))
}

/// A queue.
pub(crate) fn queue(name: &str, waiting: u64) -> Value {
    json!({
        "queue": name, "group": "g", "state": "open", "waiting": waiting, "in_progress": 0, "settled": 0, "dead_letters": 0,
    })
}

/// A line of a bulk creation that made no task.
pub(crate) fn refused_line(line: u64, detail: &str) -> String {
    let problem = json!({
        "type": "urn:minutehand:problem:invalid-field", "title": "Value not accepted", "status": 422,
        "detail": detail,
    });
    format!("{}\n", json!({ "line": line, "problem": problem }))
}

/// A request as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `POST /v1/…`, with the query.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// An answer: status, further header lines, body.
pub(crate) type Reply = (u16, &'static str, String);

/// A server on a free port that answers by a function and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read_request(&stream) else {
                    continue;
                };
                let (status, headers, body) = answer(&request);
                seen.lock().unwrap().push(request);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
                    body.len()
                );
                // A client that has gone is the client's affair.
                let _ = stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(body.as_bytes()));
            }
        });
        Server { url, requests }
    }

    /// A server with one answer for everything.
    pub(crate) fn always(status: u16, body: &str) -> Server {
        let body = body.to_owned();
        Server::start(move |_| (status, "", body.clone()))
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request there was.
    pub(crate) fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let find = |name: &str| {
        headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.clone())
    };
    let mut body = Vec::new();
    if let Some(length) = find("content-length") {
        body.resize(length.parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    } else if find("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    let line = first.strip_suffix(" HTTP/1.1").unwrap_or(&first).to_owned();
    Some(Request {
        line,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}
