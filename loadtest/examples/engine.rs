//! Runs the engine's benchmark by itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    for figure in
        minutehand_loadtest::engine::memory(200_000, 256).into_iter().filter(|_| std::env::args().count() > 1)
    {
        println!("{figure}");
    }
    for figure in minutehand_loadtest::engine::throughput(4_000_000, 256) {
        println!("{figure}");
    }
}
