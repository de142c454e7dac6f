//! Programs of one's own, to be broken as servers are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::server::{Plan, Readiness, Server};
use crate::supervisor::{Launch, Lifetime};

/// A program that is not one of the testkit's servers.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is called in messages.
    pub name: String,
    /// Its executable file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment, besides those of this process.
    pub environment: Vec<(String, String)>,
    /// The folder it is started in.
    pub folder: PathBuf,
    /// The file that everything it prints is appended to.
    pub log: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// A process of a program, not started yet: ready as soon as it runs, and gone when this
    /// process ends.
    pub fn of_program(program: Program) -> Server {
        let Program {
            name,
            path,
            arguments,
            environment,
            folder,
            log,
            address,
        } = program;
        let variables = environment
            .into_iter()
            .map(|(variable, value)| format!("{variable}={value}"));
        let words = variables
            .chain([path.to_string_lossy().into_owned()])
            .chain(arguments);
        let launch = Launch {
            program: "env".into(),
            arguments: words.collect(),
            folder,
            log,
        };
        let (readiness, start_limit) = (Readiness::Launched, Duration::ZERO);
        Server::new(
            Plan {
                name,
                launch,
                address,
                readiness,
                start_limit,
            },
            Lifetime::WithParent,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_its_arguments_and_variables() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::of_program(Program {
            name: "shell".to_owned(),
            path: "sh".into(),
            arguments: vec![
                "-c".to_owned(),
                "echo \"$GREETING $1\"; exec sleep 600".to_owned(),
                "sh".to_owned(),
                "you".to_owned(),
            ],
            environment: vec![("GREETING".to_owned(), "hello  there".to_owned())],
            folder: folder.path().to_owned(),
            log: folder.path().join("log"),
            address: "127.0.0.1:1".parse().unwrap(),
        });
        server.start().unwrap();
        while server.log_tail().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(server.log_tail(), "hello  there you");
        server.kill().unwrap();
        assert!(!server.is_running());
    }
}
