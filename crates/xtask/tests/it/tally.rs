//! Counting what `cargo test` reports.

use minutehand_xtask::Tally;

#[test]
fn results_are_counted_and_other_lines_are_not() {
    let passed = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s\n";
    assert_eq!(
        Tally::parse(passed),
        Some(Tally {
            passed: 12,
            failed: 0,
            skipped: 1
        })
    );
    let failed = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s";
    assert_eq!(
        Tally::parse(failed),
        Some(Tally {
            passed: 3,
            failed: 2,
            skipped: 0
        })
    );
    for other in [
        "test a::b ... ok",
        "running 3 tests",
        "",
        "test result: ok.",
    ] {
        assert_eq!(Tally::parse(other), None, "{other:?}");
    }
}

#[test]
fn sums_are_one_plain_line() {
    let mut sum = Tally {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    assert_eq!(sum.to_string(), "1 passed, 0 failed");
    sum += Tally {
        passed: 2,
        failed: 3,
        skipped: 4,
    };
    assert_eq!(sum.to_string(), "3 passed, 3 failed, 4 skipped");
}
