//! Which server a verb talks to, and as whom.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// A bearer token. It is sent and never shown: its `Debug` says only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The secret itself, for the header that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Token, Infallible> {
        Ok(Token(text.trim().to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

/// Which server a verb talks to, and as whom.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// The server's address.
    #[arg(
        long,
        global = true,
        env = "MINUTEHAND_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub server: String,

    /// The namespace of tasks and schedules.
    #[arg(
        long,
        global = true,
        env = "MINUTEHAND_NAMESPACE",
        value_name = "NAME",
        default_value = "default"
    )]
    pub namespace: String,

    /// The bearer token. Prefer the variable: a command line can be read by others.
    #[arg(
        long,
        global = true,
        env = "MINUTEHAND_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub token: Option<Token>,

    /// Certificate authorities (PEM) that the server's certificate must come from, instead of the
    /// system's.
    #[arg(long, global = true, env = "MINUTEHAND_CACERT", value_name = "FILE")]
    pub cacert: Option<PathBuf>,

    /// Give up waiting for an answer after so long; streams may last.
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = crate::args::server::timeout)]
    pub timeout: std::time::Duration,
}

fn timeout(text: &str) -> Result<std::time::Duration, String> {
    let ms = crate::output::duration::parse_ms(text)?;
    match u64::try_from(ms) {
        Ok(ms) if ms >= 1 => Ok(std::time::Duration::from_millis(ms)),
        _ => Err("must be at least 1ms".to_owned()),
    }
}
