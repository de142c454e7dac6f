//! Many runs side by side, one on each core; what comes of them is told in the order of a single
//! thread.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Runs of each core between two times at which all wait for the slowest.
const RUNS_PER_CORE: usize = 8;

/// How many runs are worth being begun together.
pub(crate) fn batch() -> usize {
    cores() * RUNS_PER_CORE
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Applies a function to each number below `count`, on all cores; the results are in the order of
/// the numbers.
pub(crate) fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    thread::scope(|scope| {
        for _ in 0..cores().min(count) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let result = work(number);
                    done.lock()
                        .expect("nobody panics while holding it")
                        .push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics while holding it");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_their_numbers() {
        let squares = map(1_000, |number| number * number);
        assert_eq!(
            squares,
            (0..1_000).map(|number| number * number).collect::<Vec<_>>()
        );
        assert!(map(0, |number| number).is_empty());
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_run_that_panics_is_not_passed_over() {
        map(10, |number| assert_ne!(number, 7));
    }
}
