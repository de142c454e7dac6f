//! What a command may do: whose rights it has, what it sees of the environment, what it may use up.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::user::{Identity, UserError};

/// Where programs are looked for when the worker itself does not know.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";
/// The unit of `ulimit -f`, in bytes.
const FILE_BLOCK_BYTES: u64 = 512;

/// Whose rights commands have, what they see of the environment, and what they may use up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Confinement {
    /// The user that they run as, by name or number; the worker's own unless given. Another one
    /// needs a worker that runs as root.
    pub user: Option<String>,
    /// Variables of their environment: `NAME=value`.
    pub env: Vec<Variable>,
    /// The worker's variables that they see as well.
    pub env_passed: Vec<String>,
    /// Most address space of a process, in bytes; 0 for no limit.
    #[schemars(range(min = 0, max = 1_125_899_906_842_624_u64))]
    pub memory_bytes_max: u64,
    /// Most processor time of a run in one process, in seconds; 0 for no limit.
    #[schemars(range(min = 0, max = 2_592_000))]
    pub cpu_s_max: u64,
    /// Most files that a process may have open; 0 for as many as the worker.
    #[schemars(range(min = 0, max = 1_048_576))]
    pub open_files_max: u64,
    /// Longest file that a process may write, in bytes; 0 for no limit.
    #[schemars(range(min = 0, max = 1_125_899_906_842_624_u64))]
    pub file_bytes_max: u64,
}

/// A variable of a command's environment: `NAME=value`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Variable {
    name: String,
    value: String,
}

/// A variable that was refused. Does not show the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no variable; give NAME=value, with a name that is not empty, and no zero byte"
)]
pub struct VariableError {
    given: String,
}

impl Variable {
    /// A variable; the name must not be empty, and neither part may hold a zero byte.
    ///
    /// # Errors
    /// When one of the two cannot be one.
    pub fn new(name: &str, value: &str) -> Result<Variable, VariableError> {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let given = name.chars().take(60).collect();
            return Err(VariableError { given });
        }
        Ok(Variable {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl TryFrom<String> for Variable {
    type Error = VariableError;

    fn try_from(text: String) -> Result<Variable, VariableError> {
        match text.split_once('=') {
            Some((name, value)) => Variable::new(name, value),
            None => Err(VariableError {
                given: text.chars().take(60).collect(),
            }),
        }
    }
}

impl From<Variable> for String {
    fn from(variable: Variable) -> String {
        format!("{}={}", variable.name, variable.value)
    }
}

impl fmt::Debug for Variable {
    /// The name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=..", self.name)
    }
}

/// A confinement that commands can be started in.
#[derive(Clone, Debug)]
pub(super) struct Confined {
    identity: Identity,
    env: Vec<Variable>,
    env_passed: Vec<String>,
    /// What a shell does before the program takes its place; empty when nothing is limited.
    limits: String,
}

/// Who sees to the limit of processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CpuLimit {
    /// The system, from the start of a process.
    OfProcess,
    /// Whoever gives runs to the process, anew for each.
    OfRun,
}

impl Confined {
    /// The confinement that a section of the settings describes.
    pub(super) fn of(
        section: &'static str,
        config: &Confinement,
        cpu: CpuLimit,
    ) -> Result<Confined, UserError> {
        let cpu_s = match cpu {
            CpuLimit::OfProcess => config.cpu_s_max,
            CpuLimit::OfRun => 0,
        };
        let limits = [
            ('v', config.memory_bytes_max.div_ceil(1_024)),
            ('t', cpu_s),
            ('n', config.open_files_max),
            ('f', config.file_bytes_max.div_ceil(FILE_BLOCK_BYTES)),
        ];
        let given = limits.into_iter().filter(|(_, limit)| *limit > 0);
        let line = |(letter, limit): (char, u64)| format!("ulimit -{letter} {limit} && ");
        Ok(Confined {
            identity: Identity::of(section, config.user.as_deref())?,
            env: config.env.clone(),
            env_passed: config.env_passed.clone(),
            limits: given.map(line).collect(),
        })
    }

    /// Whose rights commands have.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A program with its arguments, in an empty environment but for the worker's `PATH`, those of
    /// its variables that are named here, and what the settings list.
    ///
    /// The limits are set by a shell whose place the program takes: so there is no moment at which
    /// it runs without them.
    pub(super) fn command(&self, program: &str, arguments: &[String], passed: &[&str]) -> Command {
        let mut command = if self.limits.is_empty() {
            Command::new(program)
        } else {
            let mut shell = Command::new("/bin/sh");
            let script = format!("{}exec \"$@\"", self.limits);
            shell.args(["-c", &*script, "minutehand", program]);
            shell
        };
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PATH_DEFAULT);
        let own = self.env_passed.iter().map(String::as_str);
        for name in ["PATH"].iter().chain(passed).copied().chain(own) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let variables = self.env.iter();
        command.envs(variables.map(|variable| (&variable.name, &variable.value)));
        if let Some((user, group)) = self.identity.to_become() {
            command.uid(user).gid(group);
        }
        command.kill_on_drop(true);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_a_name_and_a_value_and_shows_no_value() {
        let variable = Variable::try_from("KEY=a=b".to_owned()).unwrap();
        assert_eq!(variable, Variable::new("KEY", "a=b").unwrap());
        assert_eq!(format!("{variable:?}"), "KEY=..");
        assert_eq!(String::from(variable), "KEY=a=b");
        for text in ["KEY", "=value", "KEY=\0", ""] {
            assert!(Variable::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        assert!(Variable::new("A=B", "").is_err());
    }
}
