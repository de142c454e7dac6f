//! The pool: executions are run by children that live on, one at a time in each.
//!
//! A child is a program of any language. It says `{"ready": 1}` first; then it is given executions,
//! each a line of JSON on its standard input, and answers each with a line of JSON on its standard
//! output:
//!
//! ```json
//! {"execution_id": "x-…", "message_id": "m-…", "task_id": "report", "attempt": 1, "payload": "…", …}
//! {"execution_id": "x-…", "result": "sent"}
//! {"execution_id": "x-…", "error": "the printer is out of paper", "retry": true, "delay_ms": 5000}
//! ```
//!
//! What it writes to its standard error during a run is told with the run when that fails for want
//! of an answer. A child that dies, answers with something else, or too much, is replaced, and its
//! run has failed. One whose run is to stop is asked to end (SIGTERM), then killed. Children and all
//! that they leave in their process group die with the worker, as commands do.
//!
//! A child that cannot be started costs no attempt: runs wait for one as long as their own time
//! lasts, and starting is tried again after a pause that doubles up to ten seconds.

mod child;
mod config;
mod protocol;
mod shop;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use minutehand_backoff::Pauses;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

use self::child::{Exchanged, Fault, Member};
use self::shop::Shop;
use crate::handler::{Handler, Verdict};
use crate::process::confinement::{Confined, CpuLimit};
use crate::process::guard::Guard;
use crate::run::{Run, StopCause};

pub use self::config::{PoolConfig, PoolConfigError};
pub use self::protocol::POOL_PROTOCOL;
pub use self::shop::{NoPoolObserver, PoolEnd, PoolObserver};

/// Pauses after children that could not be started.
const PAUSES: Pauses = Pauses::between(Duration::from_millis(100), Duration::from_secs(10));

/// Runs executions in children that live on.
pub struct PoolExecutor {
    shop: Shop,
    config: PoolConfig,
    seats: Semaphore,
    /// Those that wait for something to do; the last one was used last.
    idle: Mutex<Vec<Member>>,
    starts: Mutex<Starts>,
}

/// How starting goes.
#[derive(Default)]
struct Starts {
    failed_in_a_row: u32,
    /// Not before then.
    next_at: Option<Instant>,
    /// Why the last one failed.
    reason: String,
}

impl Starts {
    fn failed(&mut self, reason: String, now: Instant) {
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        self.next_at = Some(now + PAUSES.after(self.failed_in_a_row));
        self.reason = reason;
    }
}

impl PoolExecutor {
    /// A pool; its children are started when there is something to do. `None` when it is told of no
    /// queue and no command.
    ///
    /// # Errors
    /// When it is told of one without the other, or of a user that children cannot run as.
    pub fn new(
        config: PoolConfig,
        observer: Arc<dyn PoolObserver>,
    ) -> Result<Option<PoolExecutor>, PoolConfigError> {
        match (config.queues.first(), config.command.first()) {
            (None, None) => return Ok(None),
            (Some(queue), None) => {
                let queue = queue.clone();
                return Err(PoolConfigError::NoCommand { queue });
            }
            (None, Some(program)) => {
                let program = program.clone();
                return Err(PoolConfigError::NoQueue { program });
            }
            (Some(_), Some(_)) => {}
        }
        let cpu = match cfg!(target_os = "linux") {
            true => CpuLimit::OfRun,
            false => CpuLimit::OfProcess,
        };
        let shop = Shop {
            command: config.command.clone(),
            folder: config.folder.clone(),
            start_timeout: Duration::from_millis(config.start_timeout_ms),
            confined: Confined::of("pool", &config.confinement, cpu)?,
            guard: Guard::default(),
            observer,
        };
        Ok(Some(PoolExecutor {
            shop,
            seats: Semaphore::new(config.children_max),
            idle: Mutex::default(),
            starts: Mutex::default(),
            config,
        }))
    }

    fn kill_after(&self) -> Duration {
        Duration::from_millis(self.config.kill_after_ms)
    }

    /// A child that is ready, for somebody who has a seat.
    async fn member(&self) -> Member {
        loop {
            while let Some(mut member) = self.take_idle() {
                if member.is_sound() {
                    return member;
                }
                let words = member.end(PoolEnd::Died).await;
                let reason = words.joined_to("it ended, or spoke without being asked".to_owned());
                warn!(
                    program = self.shop.program(),
                    reason, "a child of the pool was replaced"
                );
            }
            let next_at = self.starts().next_at;
            if let Some(next_at) = next_at.filter(|at| *at > Instant::now()) {
                tokio::time::sleep_until(next_at).await;
                // Somebody may have given one back meanwhile.
                continue;
            }
            match Member::start(&self.shop).await {
                Ok(member) => {
                    *self.starts() = Starts::default();
                    return member;
                }
                Err(reason) => {
                    warn!(
                        program = self.shop.program(),
                        reason, "a child of the pool did not start"
                    );
                    self.starts().failed(reason, Instant::now());
                }
            }
        }
    }

    fn take_idle(&self) -> Option<Member> {
        self.idle().pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Member>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn starts(&self) -> std::sync::MutexGuard<'_, Starts> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said of a run that found no child.
    fn without_a_child(&self) -> Verdict {
        let starts = self.starts();
        Verdict::failure(match &*starts.reason {
            "" => "no child of the pool was free".to_owned(),
            reason => format!("no child of the pool could be started: {reason}"),
        })
    }

    async fn run_in(&self, mut member: Member, run: &Run) -> Verdict {
        #[cfg(target_os = "linux")]
        if self.config.confinement.cpu_s_max > 0 {
            cpu::grant(&member, self.config.confinement.cpu_s_max);
        }
        let line = protocol::request(run.execution());
        let bytes_max = self.config.answer_bytes_max;
        let Exchanged { line, stopped } = member
            .exchange(run, &line, bytes_max, self.kill_after())
            .await;
        let answer = match &line {
            Ok(line) => protocol::answer(line, run.execution().id)
                .map_err(|reason| (PoolEnd::Garbled, reason)),
            Err(fault @ Fault::TooLong(_)) => Err((PoolEnd::Garbled, member.why(fault).await)),
            Err(fault @ Fault::Gone) if stopped.is_none() => {
                Err((PoolEnd::Died, member.why(fault).await))
            }
            Err(Fault::Gone) => Err((PoolEnd::Stopped, "the child gave no answer".to_owned())),
        };
        match (answer, stopped) {
            (Ok(verdict), None) => {
                self.give_back(member);
                verdict
            }
            (Ok(verdict), Some(_)) => {
                member.end(PoolEnd::Stopped).await;
                verdict
            }
            (Err((why, _)), Some(StopCause::Requested)) => {
                member.end(why).await;
                Verdict::Cancelled
            }
            (Err((why, reason)), _) => {
                let words = member.end(why).await;
                Verdict::failure(words.joined_to(format!("the pool's child: {reason}")))
            }
        }
    }

    fn give_back(&self, member: Member) {
        if member.runs() < self.config.runs_max {
            self.idle().push(member);
        } else {
            tokio::spawn(member.retire(self.kill_after()));
        }
    }
}

#[async_trait]
impl Handler for PoolExecutor {
    async fn run(&self, run: Run) -> Verdict {
        let ready = async {
            let seat = self.seats.acquire().await;
            (seat, self.member().await)
        };
        let (_seat, member) = tokio::select! {
            biased;
            ready = ready => ready,
            _ = run.stopped() => return self.without_a_child(),
        };
        self.run_in(member, &run).await
    }
}

/// The limit of a run's processor time.
#[cfg(target_os = "linux")]
mod cpu {
    use rustix::process::{Resource, Rlimit, prlimit};

    use super::Member;

    /// What the kernel tells times in, whatever its own clock.
    const TICKS_PER_S: u64 = 100;

    /// From now on a child may use so many seconds, and one more at most: the system counts whole
    /// ones.
    pub(super) fn grant(member: &Member, cpu_s: u64) {
        let Some(process) = member.process_id() else {
            return;
        };
        let stat = format!("/proc/{}/stat", process.as_raw_nonzero());
        let used_s = std::fs::read_to_string(stat)
            .ok()
            .and_then(|stat| used_s(&stat))
            .unwrap_or(0);
        let limit = Rlimit {
            current: Some(used_s + cpu_s + 1),
            maximum: None,
        };
        // It has ended: the exchange finds out.
        let _ = prlimit(Some(process), Resource::Cpu, limit);
    }

    /// User and system time in whole seconds, from a line of `/proc/PID/stat`.
    fn used_s(stat: &str) -> Option<u64> {
        // The second field is the name in brackets; the times are the 14th and the 15th.
        let (_, behind) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = behind.split(' ').collect();
        let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some((ticks(11)? + ticks(12)?) / TICKS_PER_S)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_time_that_was_used_is_read_whatever_the_name() {
            let stat = "7 (a) b (c) R 1 7 7 0 -1 4194304 95 0 0 0 250 150 0 0 20 0 1 0 100 1 1";
            assert_eq!(used_s(stat), Some(4));
            assert_eq!(used_s("7"), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_starts_doubles_up_to_its_limit() {
        let (mut starts, now) = (Starts::default(), Instant::now());
        let pauses: Vec<u64> = (0..40)
            .map(|_| {
                starts.failed("why".to_owned(), now);
                let pause = starts.next_at.unwrap() - now;
                u64::try_from(pause.as_millis()).unwrap()
            })
            .collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[39], 10_000);
    }
}
