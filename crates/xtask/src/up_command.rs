//! `cargo xtask up` and `down`: real servers to try things with.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use minutehand_testkit::{Size, down, up, with_causes};

/// What `up` was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpOptions {
    /// How many of each.
    pub size: Size,
    /// Where the endpoints are written.
    pub env_file: PathBuf,
}

impl UpOptions {
    /// Reads the words behind `up`: `--cassandra N`, `--datacenters N`, `--brokers N`, `--env-file
    /// F`, also with `=`.
    ///
    /// # Errors
    /// In words, when one is unknown, lacks its value or has one that cannot be.
    pub fn parse(words: &[OsString]) -> Result<UpOptions, String> {
        let (mut brokers, mut nodes, mut datacenters, mut env_file) = (None, None, None, None);
        let mut words = words.iter().cloned();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy().into_owned();
            let (name, attached) = match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(OsString::from(value))),
                None => (text, None),
            };
            let known = matches!(
                name.as_str(),
                "--brokers" | "--cassandra" | "--datacenters" | "--env-file"
            );
            if !known {
                return Err(format!("up has no option {name:?}"));
            }
            let value = attached
                .or_else(|| words.next())
                .ok_or_else(|| format!("{name} lacks its value"))?;
            match name.as_str() {
                "--brokers" => brokers = Some(number(&name, &value)?),
                "--cassandra" => nodes = Some(number(&name, &value)?),
                "--datacenters" => datacenters = Some(number(&name, &value)?),
                _ => env_file = Some(PathBuf::from(value)),
            }
        }
        let datacenters = datacenters.unwrap_or(1);
        // Who asks for two datacenters alone wants a node in each.
        let cassandra_nodes = nodes.unwrap_or(datacenters);
        let size = Size {
            brokers: brokers.unwrap_or(1),
            cassandra_nodes,
            datacenters,
        };
        let size = size.checked().map_err(|error| error.to_string())?;
        let env_file =
            env_file.ok_or("up needs --env-file F, the file that the endpoints are written to")?;
        Ok(UpOptions { size, env_file })
    }
}

fn number(name: &str, value: &OsString) -> Result<u16, String> {
    let value = value.to_string_lossy();
    value
        .parse()
        .map_err(|_| format!("{name} is {value:?}; it must be a number"))
}

/// Starts servers that stay, and writes down where they are; returns when all of them are ready.
pub fn run_up(options: &UpOptions) -> ExitCode {
    let endpoints = match up(options.size) {
        Ok(endpoints) => endpoints,
        Err(error) => return failed(&with_causes(&error)),
    };
    match fs::write(&options.env_file, endpoints.to_string()) {
        Ok(()) => {
            print!("{endpoints}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&format!(
            "the servers are up, but {} could not be written: {error}",
            options.env_file.display()
        )),
    }
}

/// Stops the servers of an earlier `up`.
pub fn run_down() -> ExitCode {
    match down() {
        Ok(stopped) if stopped.is_empty() => {
            println!("no servers were up");
            ExitCode::SUCCESS
        }
        Ok(stopped) => {
            println!("stopped {}", stopped.join(", "));
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("xtask: {message}");
    ExitCode::FAILURE
}
