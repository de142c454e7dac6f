//! A child of a pool: started, asked, and ended with everything that it has started.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use super::protocol;
use super::shop::{PoolEnd, PoolObserver, Shop};
use crate::process::output::Tail;
use crate::process::{LAST_OUTPUT_TIME, REASON_OUTPUT_BYTES_MAX, group::ProcessGroup, in_words};
use crate::run::{Run, StopCause};

/// Longest first line, in bytes.
const HELLO_BYTES_MAX: usize = 1_024;

/// A child that waits for something to do, or does it. Killed with its group when dropped.
pub(super) struct Member {
    process: Child,
    group: ProcessGroup,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: Errors,
    runs: u64,
    counted: Counted,
}

/// Why there is no answer.
pub(super) enum Fault {
    /// It has closed its input or its output, most often because it has ended.
    Gone,
    /// Its line is longer than this, in bytes.
    TooLong(usize),
}

/// What came of a run in a child.
pub(super) struct Exchanged {
    /// The line that it answered with.
    pub(super) line: Result<Vec<u8>, Fault>,
    /// Why it was to stop, if it was; `line` is then a fault unless it answered all the same.
    pub(super) stopped: Option<StopCause>,
}

impl Member {
    /// Starts a child and hears its first line.
    ///
    /// # Errors
    /// Why there is no child, in words.
    pub(super) async fn start(shop: &Shop) -> Result<Member, String> {
        let mut member = Member::spawn(shop)
            .map_err(|error| format!("could not run {:?}: {error}", shop.program()))?;
        let first = read_line(&mut member.output, HELLO_BYTES_MAX);
        let heard = match tokio::time::timeout(shop.start_timeout, first).await {
            Ok(Ok(line)) => protocol::hello(&line),
            Ok(Err(fault)) => Err(member.why(&fault).await),
            Err(_) => Err(format!(
                "it was not ready within {} ms",
                shop.start_timeout.as_millis()
            )),
        };
        match heard {
            Ok(()) => Ok(member),
            Err(reason) => Err(member.end(PoolEnd::NotReady).await.joined_to(reason)),
        }
    }

    fn spawn(shop: &Shop) -> io::Result<Member> {
        shop.guard.stand_by();
        let mut group = ProcessGroup::begin(&shop.guard)?;
        let mut command = shop.command();
        command
            .process_group(group.number())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn()?;
        group.has_command();
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        Ok(Member {
            input: process.stdin.take().ok_or_else(missing)?,
            output: BufReader::new(process.stdout.take().ok_or_else(missing)?),
            errors: Errors::of(process.stderr.take().ok_or_else(missing)?),
            process,
            group,
            runs: 0,
            counted: Counted::new(&shop.observer),
        })
    }

    /// Whether it lives and has said nothing since it answered last.
    pub(super) fn is_sound(&mut self) -> bool {
        self.output.fill_buf().now_or_never().is_none()
    }

    /// Gives it a line and takes its answer. A run that is to stop asks its whole group to end, and
    /// waits for so long.
    pub(super) async fn exchange(
        &mut self,
        run: &Run,
        line: &[u8],
        answer_bytes_max: usize,
        kill_after: Duration,
    ) -> Exchanged {
        self.runs += 1;
        self.errors.clear();
        let (input, output, group) = (&mut self.input, &mut self.output, &self.group);
        let talk = async {
            input.write_all(line).await.map_err(|_| Fault::Gone)?;
            read_line(output, answer_bytes_max).await
        };
        tokio::pin!(talk);
        let cause = tokio::select! {
            biased;
            line = &mut talk => return Exchanged { line, stopped: None },
            cause = run.stopped() => cause,
        };
        group.terminate();
        let line = tokio::time::timeout(kill_after, talk).await;
        Exchanged {
            line: line.unwrap_or(Err(Fault::Gone)),
            stopped: Some(cause),
        }
    }

    /// How many runs it was given.
    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    /// Its number.
    #[cfg(target_os = "linux")]
    pub(super) fn process_id(&self) -> Option<rustix::process::Pid> {
        let id = i32::try_from(self.process.id()?).ok()?;
        rustix::process::Pid::from_raw(id)
    }

    /// Why it gave no answer, in words.
    pub(super) async fn why(&mut self, fault: &Fault) -> String {
        match fault {
            Fault::TooLong(bytes) => format!("its line is longer than {bytes} bytes"),
            Fault::Gone => {
                match tokio::time::timeout(LAST_OUTPUT_TIME, self.process.wait()).await {
                    Ok(Ok(status)) => in_words(status),
                    Ok(Err(error)) => format!("nobody knows how it ended: {error}"),
                    Err(_) => "it closed its input or output, and went on".to_owned(),
                }
            }
        }
    }

    /// Ends it and its group; answers what it wrote to its standard error in its last run.
    pub(super) async fn end(mut self, why: PoolEnd) -> LastWords {
        self.counted.why = why;
        self.group.kill();
        // So that its end is not waited for by anybody else.
        let _ = tokio::time::timeout(LAST_OUTPUT_TIME, self.process.wait()).await;
        LastWords(self.errors.last_text().await)
    }

    /// Lets it end by itself, at the end of its input; it is killed when it does not.
    pub(super) async fn retire(mut self, kill_after: Duration) {
        self.counted.why = PoolEnd::Retired;
        drop(self.input);
        let _ = tokio::time::timeout(kill_after, self.process.wait()).await;
    }
}

/// The end of what a child wrote to its standard error.
pub(super) struct LastWords(String);

impl LastWords {
    /// A reason, followed by them.
    pub(super) fn joined_to(&self, reason: String) -> String {
        match &*self.0 {
            "" => reason,
            words => format!("{reason}: {words}"),
        }
    }
}

/// Reads a line without its end. What was read is lost when it is dropped.
async fn read_line(
    output: &mut BufReader<ChildStdout>,
    bytes_max: usize,
) -> Result<Vec<u8>, Fault> {
    let mut line = Vec::new();
    loop {
        let chunk = output.fill_buf().await.map_err(|_| Fault::Gone)?;
        if chunk.is_empty() {
            return Err(Fault::Gone);
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let (taken, passed) = end.map_or((chunk.len(), chunk.len()), |end| (end, end + 1));
        line.extend_from_slice(&chunk[..taken]);
        output.consume(passed);
        if line.len() > bytes_max {
            return Err(Fault::TooLong(bytes_max));
        }
        if end.is_some() {
            return Ok(line);
        }
    }
}

/// The standard error of a child: read as it comes, its end kept.
struct Errors {
    tail: Arc<Mutex<Tail>>,
    reading: JoinHandle<()>,
}

impl Errors {
    fn of(mut errors: ChildStderr) -> Errors {
        let tail = Arc::new(Mutex::new(Tail::new(REASON_OUTPUT_BYTES_MAX)));
        let kept = Arc::clone(&tail);
        let reading = tokio::spawn(async move {
            let mut chunk = vec![0; 4 * 1024];
            while let Ok(count @ 1..) = errors.read(&mut chunk).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push(&chunk[..count]);
            }
        });
        Errors { tail, reading }
    }

    fn clear(&self) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.clear();
    }

    /// What is kept, once all that could write has ended, or a moment later.
    async fn last_text(&mut self) -> String {
        let _ = tokio::time::timeout(LAST_OUTPUT_TIME, &mut self.reading).await;
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.last_text(REASON_OUTPUT_BYTES_MAX)
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// A child that is counted until this is dropped.
struct Counted {
    observer: Arc<dyn PoolObserver>,
    why: PoolEnd,
}

impl Counted {
    fn new(observer: &Arc<dyn PoolObserver>) -> Counted {
        observer.started();
        Counted {
            observer: Arc::clone(observer),
            why: PoolEnd::Stopped,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.observer.ended(self.why);
    }
}
