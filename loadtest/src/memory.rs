//! What names leave behind: a `dev` process is given thousands of queues of one task each, then
//! thousands of schedules that are created and deleted; its memory is compared with what it took at
//! its start.

use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use crate::Figure;
use crate::dev::{Dev, call};
use crate::end_to_end::Failure;

const QUEUES: usize = 6_000;
const SCHEDULES: usize = 12_000;
/// What starts takes this long to have been touched.
const SETTLES: Duration = Duration::from_secs(10);

/// Measures with a child of this program; `waits` is how long names have been out of use when
/// memory is compared.
///
/// # Errors
/// When the child cannot be started or asked.
pub fn run(program: &Path, folder: &Path, waits: Duration) -> Result<Vec<Figure>, Failure> {
    let dev = Dev::start(program, folder, &[])?;
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
