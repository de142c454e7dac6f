//! Crontabs, as they lie on machines.

use minutehand_crontab::{Format, parse};

/// Every line is an entry, an error, or neither; both are told of lines that are there, in order.
pub(crate) fn run(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for format in [Format::User, Format::System] {
        let crontab = parse(bytes, format);
        assert!(
            crontab.entries.len() + crontab.errors.len() <= lines,
            "a line is one entry or one error"
        );
        let places: Vec<usize> = crontab.errors.iter().map(|error| error.line).collect();
        assert!(places.is_sorted(), "errors come in the order of the lines");
        assert!(
            places.iter().all(|line| (1..=lines).contains(line)),
            "errors name lines that are there"
        );
        for error in &crontab.errors {
            assert!(!error.to_string().is_empty(), "an error says what is wrong");
        }
    }
}
