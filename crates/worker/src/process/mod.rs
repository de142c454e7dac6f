//! The process executor: a run is a command in a process group of its own.
//!
//! The command is a shell line in the header [`COMMAND_HEADER`], with the payload as its standard
//! input, or else the payload is a JSON object:
//!
//! ```json
//! {"argv": ["/usr/bin/backup", "--all"], "env": {"LEVEL": "3"}, "cwd": "/srv", "stdin": "yes\n"}
//! ```
//!
//! It sees no environment but `PATH`, `HOME`, `SHELL`, `USER`, `LOGNAME`, `LANG`, `LC_ALL`, `TZ`
//! and `TMPDIR` of the worker (so that its secrets stay its own), what the configuration and the
//! JSON object add, and what the run is:
//!
//! | variable | what |
//! |---|---|
//! | `MINUTEHAND_MESSAGE_ID` | the same over all attempts and replays: by this a repeated effect is recognised |
//! | `MINUTEHAND_EXECUTION_ID` | of this attempt, the same however often it is delivered |
//! | `MINUTEHAND_DELIVERY_TOKEN` | rises with every delivery: a fencing token |
//! | `MINUTEHAND_TASK_ID`, `MINUTEHAND_ATTEMPT`, `MINUTEHAND_DUE_AT` | the task, the attempt from 1, its due time |
//! | `MINUTEHAND_KEY` | the task's key, where it has one |
//! | `MINUTEHAND_PARENT_ID`, `_EXECUTION_ID`, `_OUTCOME`, `_RESULT` | of a chained task: the one before it |
//!
//! A run ends when its command does; what the command left behind in its group is killed then. So
//! is the whole group when the worker dies, even by SIGKILL (`guard`). A service that is to live on
//! is started with `setsid --fork`, which comes back once it has left the group. Commands run as
//! the worker's user, or the one that the settings name, within the limits that they set
//! (`confinement`): whoever may create tasks for such a queue may do what that user may. A task
//! whose header [`USER_HEADER`] names another user is refused.
//!
//! [`PoolExecutor`] (`pool`) runs executions in children that live on, in the same confinement.

mod command;
mod config;
mod confinement;
mod group;
mod guard;
mod output;
mod pool;
mod user;

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use minutehand_model::limits::RESULT_BYTES_MAX;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin};
use tracing::warn;

use self::command::Invocation;
use self::confinement::{Confined, CpuLimit};
use self::group::ProcessGroup;
use self::guard::Guard;
use self::output::Tail;
use crate::handler::{Handler, Verdict};
use crate::run::{Run, StopCause};

pub use self::command::COMMAND_HEADER;
pub use self::config::ProcessConfig;
pub use self::confinement::{Confinement, Variable, VariableError};
pub use self::output::{CapturedOutput, OutputStore};
pub use self::pool::{
    NoPoolObserver, POOL_PROTOCOL, PoolConfig, PoolConfigError, PoolEnd, PoolExecutor, PoolObserver,
};
pub use self::user::{USER_HEADER, UserError};

/// How long output is awaited from processes that have outlived the command's group.
const LAST_OUTPUT_TIME: Duration = Duration::from_secs(1);
/// How much of the output goes into the reason of a failure, in bytes.
const REASON_OUTPUT_BYTES_MAX: usize = 2 * 1024;

/// Runs commands.
#[derive(Clone)]
pub struct ProcessExecutor {
    output_bytes_max: usize,
    kill_after: Duration,
    confined: Arc<Confined>,
    /// Where the output of every run goes.
    output_store: Option<Arc<dyn OutputStore>>,
    guard: Guard,
}

impl ProcessExecutor {
    /// An executor.
    ///
    /// # Errors
    /// When commands cannot run as the user that was named.
    pub fn new(config: &ProcessConfig) -> Result<ProcessExecutor, UserError> {
        let confined = Confined::of("process", &config.confinement, CpuLimit::OfProcess)?;
        Ok(ProcessExecutor {
            output_bytes_max: config.output_bytes_max,
            kill_after: Duration::from_millis(config.kill_after_ms),
            confined: Arc::new(confined),
            output_store: None,
            guard: Guard::default(),
        })
    }

    /// The same, with the output of every run given to a store.
    #[must_use]
    pub fn keeping(mut self, store: Arc<dyn OutputStore>) -> ProcessExecutor {
        self.output_store = Some(store);
        self
    }

    async fn run_command(&self, run: &Run, invocation: Invocation) -> io::Result<(Tail, Ended)> {
        let (reader, writer) = io::pipe()?;
        self.guard.stand_by();
        let mut group = ProcessGroup::begin(&self.guard)?;
        // The command holds copies of the pipe's writing end: it is dropped here, so that reading
        // ends with the group.
        let mut child = invocation
            .command(run, &self.confined, writer)?
            .process_group(group.number())
            .spawn()?;
        group.has_command();
        let mut output = Tail::new(self.output_bytes_max);
        let reader = pipe::Receiver::from_owned_fd(reader.into())?;
        let stdin = child.stdin.take();
        let ended = {
            let feeding = feed(stdin, &invocation.stdin);
            let reading = output.read(&reader);
            let ending = self.see_to_the_end(run, &mut child, &group);
            tokio::pin!(feeding, reading, ending);
            let (mut is_fed, mut is_read) = (false, false);
            loop {
                tokio::select! {
                    ended = &mut ending => break ended?,
                    () = &mut feeding, if !is_fed => is_fed = true,
                    () = &mut reading, if !is_read => is_read = true,
                }
            }
        };
        group.end();
        let _ = tokio::time::timeout(LAST_OUTPUT_TIME, output.read(&reader)).await;
        Ok((output, ended))
    }

    /// Waits for the command, and stops its group when the run should stop.
    async fn see_to_the_end(
        &self,
        run: &Run,
        child: &mut Child,
        group: &ProcessGroup,
    ) -> io::Result<Ended> {
        let cause = tokio::select! {
            biased;
            status = child.wait() => return Ok(Ended { status: status?, stopped: None }),
            cause = run.stopped() => cause,
        };
        group.terminate();
        let status = match tokio::time::timeout(self.kill_after, child.wait()).await {
            Ok(status) => status?,
            Err(_) => {
                group.kill();
                child.wait().await?
            }
        };
        Ok(Ended {
            status,
            stopped: Some(cause),
        })
    }

    async fn keep_output(&self, run: &Run, output: &Tail, ended: &str) {
        if let Some(store) = &self.output_store {
            let captured = CapturedOutput {
                execution: run.execution(),
                started_at: run.started_at(),
                bytes: output.bytes(),
                bytes_left_out: output.bytes_left_out(),
                ended,
            };
            if let Err(error) = store.keep(captured).await {
                warn!(execution = %run.execution().id, %error, "the output of a run was not kept");
            }
        }
    }
}

#[async_trait]
impl Handler for ProcessExecutor {
    async fn run(&self, run: Run) -> Verdict {
        let invocation = match Invocation::of(run.task(), self.confined.identity()) {
            Ok(invocation) => invocation,
            Err(reason) => return Verdict::discard(reason),
        };
        let what = invocation.in_words();
        match self.run_command(&run, invocation).await {
            Ok((output, ended)) => {
                let how = ended.in_words();
                self.keep_output(&run, &output, &how).await;
                ended.verdict(&how, &output)
            }
            Err(error) => {
                let reason = format!("could not run {what}: {error}");
                self.keep_output(&run, &Tail::new(0), &reason).await;
                Verdict::failure(reason)
            }
        }
    }
}

/// How a command ended.
struct Ended {
    status: ExitStatus,
    /// Why it was stopped, if it was.
    stopped: Option<StopCause>,
}

impl Ended {
    fn in_words(&self) -> String {
        in_words(self.status)
    }

    fn verdict(&self, how: &str, output: &Tail) -> Verdict {
        if self.status.success() {
            return Verdict::Success {
                detail: output.result(RESULT_BYTES_MAX),
            };
        }
        if self.stopped == Some(StopCause::Requested) {
            return Verdict::Cancelled;
        }
        match output.last_text(REASON_OUTPUT_BYTES_MAX) {
            text if text.is_empty() => Verdict::failure(how),
            text => Verdict::failure(format!("{how}: {text}")),
        }
    }
}

/// How a process ended.
fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Writes the standard input and closes it. A command need not read it.
async fn feed(stdin: Option<ChildStdin>, bytes: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(bytes).await;
        let _ = stdin.shutdown().await;
    }
}
