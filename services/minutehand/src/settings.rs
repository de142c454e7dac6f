//! The settings of `dev`: built-in values, then a profile, a file, the environment and flags, each over the one before.

use std::collections::BTreeMap;

use minutehand_cli::{DevArgs, Exit, Failure, Origin, Setting};
use minutehand_model::Persist;

use crate::nearest::{misspelt, nearest};

use crate::webhooks;

/// One setting: its name with its unit, its built-in value, and what it does.
struct Known {
    name: &'static str,
    default: &'static str,
    kind: Kind,
    help: &'static str,
}

/// What a value must look like.
#[derive(Clone, Copy)]
enum Kind {
    /// A whole number within limits, both inclusive.
    Number(i64, i64),
    Switch,
    Word(&'static [&'static str]),
    /// Any text; empty for none.
    Text,
}

const fn number(name: &'static str, default: &'static str, low: i64, high: i64, help: &'static str) -> Known {
    Known { name, default, kind: Kind::Number(low, high), help }
}

const fn text(name: &'static str, default: &'static str, help: &'static str) -> Known {
    Known { name, default, kind: Kind::Text, help }
}

const DAY_MS: i64 = 86_400_000;
const GIB: i64 = 1 << 30;

/// Every setting, in the order in which `config show` prints them.
const KNOWN: &[Known] = &[
    number("partitions", "2", 1, 1_024, "partitions of a new data folder"),
    number("look_ahead_ms", "30000", 1_000, DAY_MS, "how far ahead of now the timetable is in memory"),
    number("dedupe_window_ms", "30000", 0, DAY_MS, "how long after it ran a task is not created again"),
    number(
        "memory_bytes_max",
        "1073741824",
        16 << 20,
        64 * GIB,
        "memory for tasks, of all partitions together",
    ),
    Known {
        name: "timetable_persist",
        default: Persist::BeyondLookAhead.as_str(),
        kind: Kind::Word(Persist::WORDS),
        help: "which tasks the timetable gets: those beyond the look-ahead, or all",
    },
    number("flush_interval_ms", "1000", 10, 600_000, "how long an entry waits for its timetable block"),
    number("tick_publications_max", "8192", 1, 1 << 20, "most executions in one tick"),
    number("normal_tick_delay_ms", "0", 0, 1_000, "how long precision `normal` may wait for a fuller tick"),
    number("low_tick_delay_ms", "500", 0, 10_000, "how long precision `low` may wait for a fuller tick"),
    number(
        "catch_up_after_ms",
        "2000",
        0,
        DAY_MS,
        "what is later than this yields to what is on time; 0: never",
    ),
    number(
        "catch_up_rate_per_s",
        "0",
        0,
        1 << 30,
        "most late executions a second, of each partition; 0: any",
    ),
    number(
        "checkpoint_interval_ms",
        "1000",
        10,
        60_000,
        "a checkpoint at least this often while commands arrive",
    ),
    number("worker_concurrency", "1024", 1, 1 << 20, "runs in progress at once, of each queue"),
    number(
        "worker_concurrency_total",
        "4096",
        1,
        1 << 20,
        "runs in progress at once, over all queues; fewer where the process may open few files",
    ),
    number("run_timeout_ms", "3600000", 1, 30 * DAY_MS, "longest run, unless the task says otherwise"),
    number("drain_ms", "10000", 0, 600_000, "how long running handlers are waited for when stopping"),
    Known {
        name: "history",
        default: "all",
        kind: Kind::Word(&["none", "failures", "all"]),
        help: "which outcomes of single tasks are kept; those of schedules always are, but with `none`",
    },
    number(
        "history_rows_max",
        "1000000",
        0,
        i64::MAX,
        "outcomes kept, about, and as many successes in brief (for a day); the oldest are forgotten first",
    ),
    Known { name: "task_index", default: "true", kind: Kind::Switch, help: "far tasks can be found by id" },
    Known {
        name: "unclaimed",
        default: "log",
        kind: Kind::Word(&["log", "fail", "keep"]),
        help: "executions no executor fits: `log` them as done, make them dead letters, or `keep` them in their queue",
    },
    Known {
        name: "process_executor",
        default: "false",
        kind: Kind::Switch,
        help: "tasks may run commands (queue `process`, header minutehand-command); always on for --crontab lines",
    },
    text("webhook_url", "", webhooks::help::URL),
    text("webhook_secret_file", "", webhooks::help::SECRET_FILE),
    text("webhook_secret_previous_file", "", webhooks::help::SECRET_PREVIOUS_FILE),
    text("webhook_ports", webhooks::PORTS_DEFAULT, webhooks::help::PORTS),
    text("webhook_allow_cidrs", "", webhooks::help::ALLOW_CIDRS),
    Known {
        name: "webhook_private_networks",
        default: "false",
        kind: Kind::Switch,
        help: webhooks::help::PRIVATE_NETWORKS,
    },
    number("webhook_timeout_ms", webhooks::TIMEOUT_MS_DEFAULT, 1, 30 * DAY_MS, webhooks::help::TIMEOUT_MS),
    number(
        "webhook_timeout_ms_max",
        webhooks::TIMEOUT_MS_MAX_DEFAULT,
        1,
        30 * DAY_MS,
        webhooks::help::TIMEOUT_MS_MAX,
    ),
    number("cache_bytes", "67108864", 1 << 20, 64 * GIB, "memory for blocks read from disk"),
    number(
        "log_tail_bytes",
        "33554432",
        1 << 20,
        16 * GIB,
        "newest log records in memory, of each partition",
    ),
    number("queue_resident_bytes", "67108864", 1 << 20, 16 * GIB, "executions in memory, of each queue"),
];

/// Presets: names and the values they change.
const PROFILES: &[(&str, &[(&str, &str)])] = &[
    ("balanced", &[]),
    (
        "high-performance",
        &[
            ("normal_tick_delay_ms", "0"),
            ("low_tick_delay_ms", "100"),
            ("worker_concurrency", "8192"),
            ("worker_concurrency_total", "16384"),
        ],
    ),
    (
        "cost-optimized",
        &[
            ("normal_tick_delay_ms", "200"),
            ("low_tick_delay_ms", "5000"),
            ("history", "none"),
            ("flush_interval_ms", "10000"),
            ("cache_bytes", "16777216"),
            ("log_tail_bytes", "8388608"),
            ("queue_resident_bytes", "16777216"),
        ],
    ),
];

/// Effective settings, each with where its value comes from. Every value has been checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Settings {
    /// Reads all sources for the arguments of `dev`.
    pub(crate) fn effective(args: &DevArgs) -> Result<Settings, Failure> {
        let values =
            KNOWN.iter().map(|known| (known.name, (known.default.to_owned(), Origin::Default))).collect();
        let mut settings = Settings { values };
        if let Some(profile) = &args.profile {
            let (_, changes) = PROFILES
                .iter()
                .find(|(name, _)| name == profile)
                .ok_or_else(|| usage(format!("profile is {profile:?}, which is not known")))?;
            for (name, value) in *changes {
                settings.set(name, value, Origin::Profile)?;
            }
        }
        if let Some(path) = &args.config {
            settings.read_file(path)?;
        }
        let variables: Vec<String> = KNOWN.iter().map(variable).collect();
        for (known, variable) in KNOWN.iter().zip(&variables) {
            if let Ok(value) = std::env::var(variable) {
                settings.set(known.name, &value, Origin::Environment)?;
            }
        }
        for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
            // Others may have variables that begin like ours: only what looks like an error of typing is refused.
            let is_ours = name.starts_with("MINUTEHAND_") && !variables.contains(&name);
            if let Some(near) = misspelt(&name, variables.iter().map(String::as_str)).filter(|_| is_ours) {
                return Err(usage(format!("there is no variable {name}; did you mean {near}?")));
            }
        }
        if let Some(partitions) = args.partitions {
            settings.set("partitions", &partitions.to_string(), args.origin("partitions"))?;
        }
        for (name, value) in &args.set {
            settings.set(name, value, Origin::Flag)?;
        }
        Ok(settings)
    }

    fn read_file(&mut self, path: &std::path::Path) -> Result<(), Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| usage(format!("could not read the settings in {shown}: {error}")))?;
        let table: toml::Table =
            text.parse().map_err(|error| usage(format!("{shown} is not TOML: {error}")))?;
        for (name, value) in table {
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(switch) => switch.to_string(),
                toml::Value::Table(_) => {
                    return Err(usage(format!(
                        "{shown}: it has sections ([{name}]), so it is for the roles of a cluster"
                    ))
                    .with_hint("start one with `minutehand scheduler`, `gateway` or `worker --config`"));
                }
                other => {
                    let kind = other.type_str();
                    return Err(usage(format!(
                        "{shown}: {name} is a {kind}; it must be a word or a whole number"
                    )));
                }
            };
            self.set(&name, &value, Origin::File)?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str, origin: Origin) -> Result<(), Failure> {
        let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
            let near = nearest(name, KNOWN.iter().map(|known| known.name));
            let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            return Err(usage(format!("there is no setting {name:?}{near}"))
                .with_hint("minutehand config show lists them"));
        };
        let is_right = match known.kind {
            Kind::Number(low, high) => {
                value.parse::<i64>().is_ok_and(|number| (low..=high).contains(&number))
            }
            Kind::Switch => matches!(value, "true" | "false"),
            Kind::Word(words) => words.contains(&value),
            Kind::Text => !value.contains('\0'),
        };
        if !is_right {
            let wanted = match known.kind {
                Kind::Number(low, high) => format!("a whole number from {low} to {high}"),
                Kind::Switch => "true or false".to_owned(),
                Kind::Word(words) => format!("one of {}", words.join(", ")),
                Kind::Text => "text without zero bytes".to_owned(),
            };
            return Err(usage(format!("{name} is {value:?}; it must be {wanted}")));
        }
        self.values.insert(known.name, (value.to_owned(), origin));
        Ok(())
    }

    /// What a file holds that a setting names, without the end of its last line; `None` where it names none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, Failure> {
        let path = self.text(name);
        if path.is_empty() {
            return Ok(None);
        }
        let read =
            std::fs::read_to_string(path).map(|text| Some(text.trim_end_matches(['\r', '\n']).to_owned()));
        read.map_err(|error| usage(format!("could not read {name} in {path}: {error}")))
    }

    /// Where a value comes from.
    pub(crate) fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |(_, origin)| *origin)
    }

    /// A word or the text of a value.
    pub(crate) fn text(&self, name: &str) -> &str {
        &self.values.get(name).expect("every known setting has a value").0
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.text(name).parse().expect("numbers were checked when they were set")
    }

    /// A size or a count.
    pub(crate) fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).expect("sizes were checked when they were set")
    }

    /// A switch.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// Everything that `config show` prints.
    pub(crate) fn shown(&self, args: &DevArgs) -> Vec<Setting> {
        let argument = |name: &str, value: String, help: &str| Setting {
            name: name.to_owned(),
            value,
            origin: args.origin(name),
            help: help.to_owned(),
        };
        let file = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map_or("none".to_owned(), |path| path.display().to_string())
        };
        let mut shown = vec![
            argument(
                "data_dir",
                args.data_dir.display().to_string(),
                "the folder that holds everything durable",
            ),
            argument("http", args.http.to_string(), "the address of API, page and metrics"),
            argument("tokens_file", file(&args.tokens_file), "bearer tokens; needed beyond loopback"),
            argument("tls_cert_file", file(&args.tls_cert_file), "serve HTTPS with this certificate (PEM)"),
            argument("tls_key_file", file(&args.tls_key_file), "the key (PEM) of that certificate"),
            argument(
                "tls_client_ca_file",
                file(&args.tls_client_ca_file),
                "callers must show a certificate of these authorities (PEM)",
            ),
            argument("log", args.log.clone(), "what is logged"),
        ];
        shown.extend(KNOWN.iter().map(|known| Setting {
            name: known.name.to_owned(),
            value: self.text(known.name).to_owned(),
            origin: self.origin(known.name),
            help: known.help.to_owned(),
        }));
        shown
    }
}

/// The environment variable of a setting.
fn variable(known: &Known) -> String {
    format!("MINUTEHAND_{}", known.name.to_ascii_uppercase())
}

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> DevArgs {
        let words = ["minutehand", "dev"].iter().chain(words);
        match minutehand_cli::parse_from(words).expect("the words parse").verb {
            minutehand_cli::Verb::Dev(args) => *args,
            _ => unreachable!("dev was asked for"),
        }
    }

    #[test]
    fn built_in_values_are_right_by_their_own_rules() {
        let settings = Settings::effective(&args(&[])).expect("defaults are accepted");
        assert_eq!(settings.number("partitions"), 2);
        for known in KNOWN {
            settings.clone().set(known.name, known.default, Origin::Flag).expect(known.name);
        }
    }

    #[test]
    fn a_later_source_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, "history = \"all\"\nlow_tick_delay_ms = 7\n").expect("written");
        let file = file.to_str().expect("a path in UTF-8");
        let words = ["--profile", "cost-optimized", "--config", file, "--set", "low_tick_delay_ms=9"];
        let settings = Settings::effective(&args(&words)).expect("accepted");
        let found = ["flush_interval_ms", "history", "low_tick_delay_ms"]
            .map(|name| (settings.text(name).to_owned(), settings.origin(name)));
        let expected = [
            ("10000".to_owned(), Origin::Profile),
            ("all".to_owned(), Origin::File),
            ("9".to_owned(), Origin::Flag),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_refused_setting_names_itself_the_limit_and_the_value() {
        let cases = [
            ("lok_ahead_ms=1", "there is no setting \"lok_ahead_ms\"; did you mean look_ahead_ms?"),
            ("nothing_like_it=1", "there is no setting \"nothing_like_it\""),
            ("look_ahead_ms=5", "look_ahead_ms is \"5\"; it must be a whole number from 1000 to 86400000"),
            ("history=some", "history is \"some\"; it must be one of none, failures, all"),
            (
                "timetable_persist=near",
                "timetable_persist is \"near\"; it must be one of beyond-look-ahead, all",
            ),
            ("task_index=yes", "task_index is \"yes\"; it must be true or false"),
        ];
        for (word, message) in cases {
            let failure = Settings::effective(&args(&["--set", word])).expect_err(word);
            assert_eq!(failure.message, message);
        }
    }
}
