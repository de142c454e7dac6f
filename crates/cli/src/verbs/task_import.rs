//! `minutehand task import FILE`: a file of any size, as one stream.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use minutehand_api::routes::{TASKS_BULK, fill};
use minutehand_api::{BulkLine, BulkSummary, RefusedLine};
use tokio::sync::mpsc;

use crate::args::{ServerArgs, TaskImportArgs};
use crate::client::Client;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::table::printable;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;
/// Refused lines that are shown unless all are asked for.
const REFUSED_SHOWN: u64 = 10;
/// Longest line of an answer, in bytes; beyond it the answer is not the bulk protocol's.
const ANSWER_LINE_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn run(
    server: &ServerArgs,
    args: &TaskImportArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let client = Client::new(server)?;
    let (input, bytes) = open(&args.file, console)?;
    let progress = progress(bytes, console.stderr_is_terminal && !json);
    let lines_sent = Arc::new(AtomicU64::new(0));
    let input = LinesFrom {
        input,
        blanked: args.from_line - 1,
    };
    let chunks = chunks(Box::new(input), progress.clone(), Arc::clone(&lines_sent));
    let path = fill(TASKS_BULK, &[&server.namespace]);
    let result = client.stream(&path, chunks).await;
    let mut report = Report {
        json,
        shown_max: if args.all_errors {
            u64::MAX
        } else {
            REFUSED_SHOWN
        },
        ..Report::default()
    };
    let result = match result {
        Ok(response) => report.read(&client, response, console).await,
        Err(failure) => Err(failure),
    };
    progress.finish_and_clear();
    result.map_err(|failure| {
        in_the_middle(failure, &args.file, lines_sent.load(Ordering::Relaxed))
    })?;
    report.finish(console)
}

/// An input whose first lines are read as empty ones: they are not sent again, and the server's
/// numbers of the others are those of the file.
struct LinesFrom {
    input: Box<dyn Read + Send>,
    /// Lines that are still to be emptied.
    blanked: u64,
}

impl Read for LinesFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.input.read(buffer)?;
            if count == 0 || self.blanked == 0 {
                return Ok(count);
            }
            // Only the ends of these lines are kept, in front of what follows them.
            let (mut kept, mut rest) = (0, 0);
            while self.blanked > 0 && rest < count {
                let end = buffer[rest..count].iter().position(|byte| *byte == b'\n');
                rest = end.map_or(count, |end| rest + end + 1);
                if end.is_some() {
                    buffer[kept] = b'\n';
                    kept += 1;
                    self.blanked -= 1;
                }
            }
            buffer.copy_within(rest..count, kept);
            if kept + count - rest > 0 {
                return Ok(kept + count - rest);
            }
        }
    }
}

fn open(
    path: &Path,
    console: &mut Console,
) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(console.take_stdin()), None));
    }
    let failed = |error: io::Error| {
        Failure::new(
            Exit::Failed,
            format!("could not read {}: {error}", path.display()),
        )
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(Failure::new(
            Exit::Failed,
            format!("could not read {}: it is a folder", path.display()),
        ));
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

fn progress(bytes: Option<u64>, is_shown: bool) -> ProgressBar {
    if !is_shown {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    let template = match bytes {
        Some(_) => "{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{spinner} {bytes}, {bytes_per_sec}",
    };
    // The templates are ours; a bad one would be shown without style.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Reads in a thread of its own and hands chunks on; reading waits when the network does.
fn chunks(
    mut input: Box<dyn Read + Send>,
    progress: ProgressBar,
    lines: Arc<AtomicU64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    // A thread of our own: one of the runtime's would keep the program from ending while it waits
    // for input.
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let chunk = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => Ok(Bytes::copy_from_slice(&buffer[..count])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            if let Ok(chunk) = &chunk {
                let ends = chunk.iter().filter(|byte| **byte == b'\n').count();
                lines.fetch_add(ends as u64, Ordering::Relaxed);
                progress.inc(chunk.len() as u64);
            }
            let is_last = chunk.is_err();
            // Nobody listens any more when the server has answered early.
            if sender.blocking_send(chunk).is_err() || is_last {
                return;
            }
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    })
}

fn in_the_middle(mut failure: Failure, file: &Path, lines: u64) -> Failure {
    let number = |name: &str| failure.problem.as_ref()?.get(name)?.as_u64();
    if let Some(line) = number("resume_from_line") {
        // Whatever the server calls it: the input was not at fault.
        failure.exit = Exit::Unreachable;
        failure.hint = Some(format!(
            "{} tasks were created; go on with: minutehand task import {} --from-line {line}",
            number("accepted").unwrap_or_default(),
            file.display()
        ));
    } else if failure.exit == Exit::Unreachable && lines > 0 {
        failure.hint = Some(format!(
            "up to {lines} lines had been sent; import the file again: a task with the same id and due time is not made twice"
        ));
    }
    failure
}

/// What the server says about a stream of tasks.
#[derive(Default)]
struct Report {
    json: bool,
    shown_max: u64,
    refused: u64,
    summary: Option<BulkSummary>,
}

impl Report {
    /// Reads the answer: refused lines as they come, and the summary.
    async fn read(
        &mut self,
        client: &Client,
        response: reqwest::Response,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let mut body = response.bytes_stream();
        let mut line = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| client.unanswered(&error))?;
            for part in chunk.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    self.line(&line, console)?;
                    line.clear();
                } else if line.len() > ANSWER_LINE_BYTES_MAX {
                    return Err(Failure::new(
                        Exit::Failed,
                        "the server's answer has an endless line",
                    ));
                }
            }
        }
        self.line(&line, console)
    }

    fn line(&mut self, line: &[u8], console: &mut Console) -> Result<(), Failure> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let line: BulkLine = serde_json::from_slice(line).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the server's answer cannot be read: {error}"),
            )
        })?;
        if self.json {
            console.json(&line)?;
        }
        match line {
            BulkLine::Summary(summary) => self.summary = Some(summary),
            BulkLine::Refused(refused) => self.refused(&refused, console)?,
        }
        Ok(())
    }

    fn refused(&mut self, refused: &RefusedLine, console: &mut Console) -> Result<(), Failure> {
        self.refused += 1;
        if self.json || self.refused > self.shown_max {
            return Ok(());
        }
        console.note(&format!(
            "line {}: {}",
            refused.line,
            printable(&refused.problem.detail)
        ))
    }

    fn finish(self, console: &mut Console) -> Result<(), Failure> {
        let Some(summary) = self.summary else {
            return Err(Failure::new(Exit::Failed, "the server's answer ended without a summary")
                .with_hint("import the file again: a task with the same id and due time is not made twice"));
        };
        let BulkSummary { accepted, refused } = summary;
        if !self.json {
            let shown = self.refused.min(self.shown_max);
            if refused > shown {
                console.note(&format!(
                    "and {} more; --all-errors shows them",
                    refused - shown
                ))?;
            }
            console.line(&format!(
                "created {accepted} tasks, refused {refused} lines"
            ))?;
        }
        if refused > 0 {
            Err(Failure::silent(Exit::Refused))
        } else {
            Ok(())
        }
    }
}
