//! What a task wants to be run, and whether it may.

use std::collections::BTreeMap;

use minutehand_model::{Execution, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name of an image, in bytes.
const IMAGE_BYTES_MAX: usize = 512;

/// Which images and commands tasks may name. A rule is a whole text, or a beginning followed by `*`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ContainerRules {
    /// Images that may be run: `registry.example/reports:3`, or `registry.example/*`.
    pub images: Vec<String>,
    /// First words of commands that may be run, `*` for any; images run what they are made for
    /// unless given.
    pub commands: Vec<String>,
}

/// A container as a task describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) image: String,
    #[serde(default)]
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
}

impl Wanted {
    /// Reads a task; the error is for whoever created it.
    pub(crate) fn of(task: &Task, rules: &ContainerRules) -> Result<Wanted, String> {
        let wanted: Wanted = serde_json::from_slice(&task.payload).map_err(|error| {
            format!(
                "the payload is not {{\"image\": \"...\", \"command\": [...], \"env\": {{}}}}: {error}"
            )
        })?;
        wanted.check(rules)?;
        Ok(wanted)
    }

    fn check(&self, rules: &ContainerRules) -> Result<(), String> {
        let Wanted {
            image,
            command,
            env,
        } = self;
        let shown: String = image.chars().take(100).collect();
        if !is_image(image) {
            return Err(format!(
                "image is {shown:?}; it must be a name such as registry.example/reports:3, at most {IMAGE_BYTES_MAX} bytes"
            ));
        }
        if !is_listed(&rules.images, image) {
            return Err(format!(
                "image {shown:?} is not among those that the setting images allows here"
            ));
        }
        if let Some(word) = command.first()
            && !is_listed(&rules.commands, word)
        {
            let shown: String = word.chars().take(100).collect();
            return Err(format!(
                "command {shown:?} is not among those that the setting commands allows here"
            ));
        }
        let texts = command.iter().chain(env.values());
        if texts.chain(env.keys()).any(|text| text.contains('\0')) {
            return Err("command or env has a zero byte; none is allowed".to_owned());
        }
        match env
            .keys()
            .find(|name| name.is_empty() || name.contains('='))
        {
            Some(name) => Err(format!(
                "env has {name:?}; a name must not be empty and have no '='"
            )),
            None => Ok(()),
        }
    }

    /// The variables of the container: those of the task, and what the run is.
    pub(crate) fn env_of(&self, execution: &Execution) -> Vec<(String, String)> {
        let task = &execution.task;
        let own = [
            ("MINUTEHAND_MESSAGE_ID", execution.message.to_string()),
            ("MINUTEHAND_EXECUTION_ID", execution.id.to_string()),
            ("MINUTEHAND_TASK_ID", task.id.to_string()),
            ("MINUTEHAND_ATTEMPT", task.attempt.to_string()),
            ("MINUTEHAND_DUE_AT", task.due.to_string()),
        ];
        let key = task.order_key.as_ref();
        let key = key.map(|key| ("MINUTEHAND_KEY", key.to_string()));
        let own = own.into_iter().chain(key);
        let own = own.map(|(name, value)| (name.to_owned(), value));
        self.env.clone().into_iter().chain(own).collect()
    }
}

/// The name of an execution's container: the same whoever runs it.
pub(crate) fn name_of(execution: &Execution) -> String {
    format!("minutehand-{}", execution.id)
}

/// Whether it can be an image's name: nothing in it leads anywhere else in a URL.
fn is_image(name: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let begins_well = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins_well
        && name.len() <= IMAGE_BYTES_MAX
        && name.bytes().all(may_stand)
        && !name
            .split('/')
            .any(|part| part.is_empty() || part.bytes().all(|byte| byte == b'.'))
}

fn is_listed(rules: &[String], given: &str) -> bool {
    rules.iter().any(|rule| match rule.strip_suffix('*') {
        Some(beginning) => given.starts_with(beginning),
        None => rule == given,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> ContainerRules {
        ContainerRules {
            images: vec![
                "registry.example/reports:3".to_owned(),
                "registry.example/open/*".to_owned(),
            ],
            commands: vec!["/bin/report".to_owned()],
        }
    }

    fn wanted(image: &str, command: &[&str]) -> Wanted {
        Wanted {
            image: image.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            env: BTreeMap::new(),
        }
    }

    #[test]
    fn only_listed_images_and_commands_are_run() {
        for (image, command, reason) in [
            ("registry.example/reports:3", &[][..], None),
            (
                "registry.example/reports:3",
                &["/bin/report", "--all"],
                None,
            ),
            ("registry.example/open/x@sha256:00", &[], None),
            ("registry.example/reports:4", &[], Some("images")),
            ("registry.example/reports:33", &[], Some("images")),
            (
                "registry.example/open/../reports:4",
                &[],
                Some("must be a name"),
            ),
            (
                "registry.example/open/x?force=1",
                &[],
                Some("must be a name"),
            ),
            ("registry.example/open/%2e", &[], Some("must be a name")),
            ("", &[], Some("must be a name")),
            ("registry.example/reports:3", &["/bin/sh"], Some("commands")),
            (
                "registry.example/reports:3",
                &["/bin/report\0"],
                Some("commands"),
            ),
            (
                "registry.example/reports:3",
                &["/bin/report", "\0"],
                Some("zero byte"),
            ),
        ] {
            let checked = wanted(image, command).check(&rules());
            match reason {
                None => assert_eq!(checked, Ok(()), "{image} {command:?}"),
                Some(reason) => {
                    assert!(checked.unwrap_err().contains(reason), "{image} {command:?}")
                }
            }
        }
        assert!(wanted("a", &[]).check(&ContainerRules::default()).is_err());
    }
}
