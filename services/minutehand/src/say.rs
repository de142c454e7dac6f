//! Words on standard output and standard error, which may be full or closed: a server goes on.

use std::io::{self, Write};

/// Says something on standard error; nobody can be told when that fails.
pub(crate) fn error(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Greets on standard output. Whoever reads the log learns when nobody can read the greeting.
pub(crate) fn greeting(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    if let Err(error) = written {
        tracing::warn!(%error, "could not write the greeting to standard output; it runs all the same");
    }
}
