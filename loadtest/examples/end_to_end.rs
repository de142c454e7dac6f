//! Runs the end-to-end benchmarks by themselves.
use minutehand_loadtest::{end_to_end, paced};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), end_to_end::Failure> {
    tracing_subscriber::fmt().with_env_filter("warn").init();
    let folder = tempfile::tempdir()?;
    let rate = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let figures = match rate {
        Some(rate) => paced::figures(paced::run(folder.path(), rate, 10, 256).await?),
        None => end_to_end::throughput(folder.path(), 1_000_000, 256).await?,
    };
    for figure in figures {
        println!("{figure}");
    }
    Ok(())
}
