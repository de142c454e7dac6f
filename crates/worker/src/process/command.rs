//! What a task asks to be run, and the command made of it.

use std::collections::BTreeMap;
use std::io::{self, PipeWriter};
use std::process::Stdio;

use bytes::Bytes;
use minutehand_model::Task;
use minutehand_model::chain::PARENT_HEADERS;
use serde::Deserialize;
use tokio::process::Command;

use super::confinement::Confined;
use super::user::Identity;
use crate::run::Run;

/// The task header with a line for `/bin/sh -c`.
pub const COMMAND_HEADER: &str = "minutehand-command";

/// The worker's variables that every command sees.
const ENV_PASSED: [&str; 9] = [
    "PATH", "HOME", "SHELL", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR",
];

/// A command as a task describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    /// The program and its arguments; never empty.
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: Option<String>,
    pub(super) stdin: Bytes,
}

/// The payload's shape when there is no command header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    stdin: String,
}

impl Invocation {
    /// Reads a task; the error is for whoever created it.
    pub(super) fn of(task: &Task, identity: &Identity) -> Result<Invocation, String> {
        identity.check(task)?;
        let header = task
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(COMMAND_HEADER));
        let invocation = match header {
            Some((_, line)) => Invocation {
                argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
                env: BTreeMap::new(),
                cwd: None,
                stdin: task.payload.clone(),
            },
            None => {
                let Described { argv, env, cwd, stdin } =
                    serde_json::from_slice(&task.payload).map_err(|error| {
                        format!(
                            "the task says no command: it has no header {COMMAND_HEADER}, and its payload is not \
                             {{\"argv\": [...], \"env\": {{}}, \"cwd\": \"...\", \"stdin\": \"...\"}}: {error}"
                        )
                    })?;
                Invocation {
                    argv,
                    env,
                    cwd,
                    stdin: Bytes::from(stdin),
                }
            }
        };
        invocation.check()
    }

    fn check(self) -> Result<Invocation, String> {
        if self.program().is_empty() {
            return Err("argv is empty; it must begin with a program".to_owned());
        }
        if self
            .argv
            .iter()
            .chain(self.env.values())
            .chain(&self.cwd)
            .any(|text| text.contains('\0'))
        {
            return Err("argv, env or cwd has a zero byte; none is allowed".to_owned());
        }
        if let Some(name) = self
            .env
            .keys()
            .find(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(format!(
                "env has {name:?}; a name must not be empty and have no '=' or zero byte"
            ));
        }
        Ok(self)
    }

    /// The program that is run.
    pub(super) fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The program, and the folder it is to run in: the system says of neither that it is the one
    /// that is missing.
    pub(super) fn in_words(&self) -> String {
        let program = self.program();
        match &self.cwd {
            Some(cwd) => format!("{program:?} in the folder {cwd:?}"),
            None => format!("{program:?}"),
        }
    }

    /// The command, writing to `output`.
    pub(super) fn command(
        &self,
        run: &Run,
        confined: &Confined,
        output: PipeWriter,
    ) -> io::Result<Command> {
        let mut command = confined.command(self.program(), &self.argv[1..], &ENV_PASSED);
        let (task, execution) = (run.task(), run.execution());
        command
            .envs(&self.env)
            .env("MINUTEHAND_MESSAGE_ID", execution.message.to_string())
            .env("MINUTEHAND_EXECUTION_ID", execution.id.to_string())
            .env("MINUTEHAND_DELIVERY_TOKEN", execution.token.to_string())
            .env("MINUTEHAND_TASK_ID", task.id.as_str())
            .env("MINUTEHAND_ATTEMPT", task.attempt.to_string())
            .env("MINUTEHAND_DUE_AT", task.due.to_string())
            .envs(PARENT_HEADERS.iter().filter_map(|name| {
                let variable = name.to_ascii_uppercase().replace('-', "_");
                Some((variable, run.header(name)?))
            }));
        if let Some(key) = &task.order_key {
            command.env("MINUTEHAND_KEY", key.as_str());
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        let stdin = if self.stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        };
        command
            .stdin(stdin)
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(command)
    }
}
