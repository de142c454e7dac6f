//! A thread with a runtime of its own, for what must go on whatever the rest of the process does:
//! while partitions are taken over, the process's other threads have seconds of work before them,
//! and a renewal that waits behind it loses the lease.

use std::io;
use std::thread;

use tokio::runtime;
use tokio::sync::oneshot;

/// A thread that goes on until this is dropped. Whatever runs there then ends.
pub(crate) struct OwnThread {
    _stop: oneshot::Sender<()>,
}

/// Makes something on a thread of its own. What it spawns goes on there.
///
/// # Errors
/// When the thread cannot be started, or ends before it has made anything.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    name: &str,
    make: impl Future<Output = T> + Send + 'static,
) -> io::Result<(T, OwnThread)> {
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = oneshot::channel();
    let runtime = runtime_of_one_thread()?;
    let work = async move {
        let mut stopped = stopped;
        tokio::select! {
            made = make => {
                if tell.send(made).is_ok() {
                    // An error says that the other side is gone, which is what is waited for.
                    let _ = stopped.await;
                }
            }
            _ = &mut stopped => {}
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(work))?;
    let made = told
        .await
        .map_err(|_| io::Error::other(format!("the thread `{name}` panicked")))?;
    Ok((made, OwnThread { _stop: stop }))
}

fn runtime_of_one_thread() -> io::Result<runtime::Runtime> {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::watch;

    #[tokio::test]
    async fn work_goes_on_while_the_callers_thread_is_busy() {
        let (count, counted) = watch::channel(0_u64);
        let spawn = async move {
            tokio::spawn(async move {
                while !count.is_closed() {
                    count.send_modify(|count| *count += 1);
                    tokio::task::yield_now().await;
                }
            });
        };
        let ((), _thread) = on_own_thread("test", spawn).await.unwrap();
        // The only thread of this runtime does nothing but this.
        while *counted.borrow() < 1_000 {
            thread::yield_now();
        }
    }

    #[tokio::test]
    async fn dropping_it_ends_what_runs_there() {
        let (sender, mut ended) = watch::channel(());
        let spawn = async move {
            tokio::spawn(async move {
                let _held = sender;
                std::future::pending::<()>().await;
            });
        };
        let ((), thread) = on_own_thread("test", spawn).await.unwrap();
        drop(thread);
        assert!(ended.changed().await.is_err(), "what it held is gone");
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let made = on_own_thread("test", async { panic!("out of order") }).await;
        let error = made.map(|((), _)| ()).unwrap_err();
        assert_eq!(error.to_string(), "the thread `test` panicked");
    }
}
