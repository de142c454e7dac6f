//! Containers through the API of a Docker engine (version 1.41 and later).

mod config;
mod engine;
mod logs;

use std::sync::Arc;

use async_trait::async_trait;
use minutehand_backoff::Backoff;
use minutehand_worker::{Handler, Run, StopCause, Verdict};
use tokio::sync::OnceCell;
use tracing::{info, warn};

use self::engine::{Created, Ended, Engine};
use crate::http::CallError;
use crate::leftover::{Leftover, PAUSES, Remover};
use crate::wanted::{Wanted, name_of};
use crate::words::{end_of, with_log};

pub use self::config::{DockerConfig, DockerConfigError, PullPolicy};

/// Runs executions in containers of a Docker engine.
pub struct DockerExecutor {
    engine: Arc<Engine>,
    config: DockerConfig,
    /// What earlier processes left behind was looked for.
    swept: OnceCell<()>,
}

impl DockerExecutor {
    /// An executor; `None` when it is told of no queue. A run without a time of its own has
    /// `run_timeout_ms`.
    ///
    /// # Errors
    /// When the engine's address is none, or no image may be run.
    pub fn new(
        config: DockerConfig,
        run_timeout_ms: i64,
    ) -> Result<Option<DockerExecutor>, DockerConfigError> {
        let Some(queue) = config.queues.first() else {
            return Ok(None);
        };
        if config.rules.images.is_empty() {
            let queue = queue.clone();
            return Err(DockerConfigError::NoImages { queue });
        }
        Ok(Some(DockerExecutor {
            engine: Arc::new(Engine::new(&config, run_timeout_ms)?),
            config,
            swept: OnceCell::new(),
        }))
    }

    async fn attempt(&self, run: &Run, wanted: &Wanted) -> Result<Verdict, CallError> {
        self.swept.get_or_init(|| self.sweep()).await;
        let name = name_of(run.execution());
        tokio::select! {
            biased;
            fetched = self.engine.fetch(&wanted.image) => fetched?,
            _ = run.stopped() => return Ok(Verdict::Cancelled),
        }
        let mut leftover = Leftover::of(&self.engine, &name);
        let ended = async {
            self.start(run, wanted, &name).await?;
            self.until_ended(&name).await;
            Ok::<_, CallError>(())
        };
        let cause = tokio::select! {
            biased;
            ended = ended => match ended {
                Ok(()) => None,
                Err(error) if error.status() == Some(409) => {
                    // The name is somebody else's.
                    leftover.leave();
                    return Err(error);
                }
                Err(error) => {
                    leftover.remove().await;
                    return Err(error);
                }
            },
            cause = run.stopped() => Some(cause),
        };
        match cause {
            // Whoever is handed the execution next waits for it.
            Some(StopCause::ShuttingDown) => {
                leftover.leave();
                return Ok(Verdict::Cancelled);
            }
            // What fails here is seen to by the removal.
            Some(_) => drop(self.engine.stop(&name).await),
            None => {}
        }
        let ended = self.engine.ended(&name).await;
        let log = self.engine.log(&name).await.unwrap_or_default();
        leftover.remove().await;
        Ok(verdict(&ended?, cause, &log))
    }

    /// Sees to it that the container runs: it is made, or was by a worker that is no more.
    async fn start(&self, run: &Run, wanted: &Wanted, name: &str) -> Result<(), CallError> {
        match self.engine.create(name, run, wanted).await? {
            Created::New => {}
            Created::Already => info!(name, "a container of an earlier delivery is waited for"),
        }
        self.engine.start(name).await
    }

    /// Waits until the container has ended, whatever becomes of the connection.
    async fn until_ended(&self, name: &str) {
        let mut backoff = Backoff::new(PAUSES);
        loop {
            match self.engine.wait(name).await {
                Ok(()) => return,
                // Somebody has removed it.
                Err(error) if error.status() == Some(404) => return,
                Err(error) => warn!(name, %error, "the engine did not say how a container goes"),
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    /// Removes what was left by processes that were killed, once its time is over.
    async fn sweep(&self) {
        match self.engine.overdue().await {
            Ok(names) => {
                for name in names {
                    warn!(name, "a container that was left behind is removed");
                    Leftover::of(&self.engine, &name).remove().await;
                }
            }
            Err(error) => warn!(%error, "containers that were left behind cannot be looked for"),
        }
    }
}

#[async_trait]
impl Handler for DockerExecutor {
    async fn run(&self, run: Run) -> Verdict {
        match Wanted::of(run.task(), &self.config.rules) {
            Ok(wanted) => {
                let attempt = self.attempt(&run, &wanted).await;
                attempt.unwrap_or_else(|error| {
                    Verdict::failure(format!("the container engine: {error}"))
                })
            }
            Err(reason) => Verdict::discard(reason),
        }
    }
}

#[async_trait]
impl Remover for Engine {
    const WHAT: &'static str = "a container";

    async fn remove(&self, name: &str) -> Result<(), CallError> {
        Engine::remove(self, name).await
    }
}

fn verdict(ended: &Ended, cause: Option<StopCause>, log: &str) -> Verdict {
    let how = match ended {
        Ended::Exited { code: 0, .. } => {
            return Verdict::Success {
                detail: end_of(log).to_owned(),
            };
        }
        _ if cause == Some(StopCause::Requested) => return Verdict::Cancelled,
        Ended::Exited {
            is_out_of_memory: true,
            code,
        } => format!("out of memory, exit code {code}"),
        Ended::Exited { code, .. } => format!("exit code {code}"),
        Ended::Unknown => "the container is gone; nobody knows how it ended".to_owned(),
    };
    Verdict::failure(with_log(how, log))
}
