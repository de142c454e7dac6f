//! The fuzzer's entrance. `MINUTEHAND_FUZZ_TARGET` names the target; the arguments are libFuzzer's.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use minutehand_fuzz::{Target, target};

/// The environment variable that names the target.
const VARIABLE: &str = "MINUTEHAND_FUZZ_TARGET";

fn chosen() -> Target {
    let name = std::env::var(VARIABLE).unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("{VARIABLE} is {name:?}, which is not a target"))
}

fuzz_target!(|bytes: &[u8]| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    (TARGET.get_or_init(chosen).run)(bytes);
});
