//! Where values come from, how what is wrong is said, and that the documents say what the types
//! say.

use std::path::Path;

use minutehand_settings::{Kind, Secret};

use super::*;

const MODES: [Mode; 2] = [Mode::Dev, Mode::Cluster];

fn args(config: Option<&Path>, profile: Option<&str>, set: &[&str]) -> SettingsArgs {
    let split = |word: &&str| {
        word.split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    SettingsArgs {
        config: config.map(Path::to_owned),
        profile: profile.map(str::to_owned),
        set: set.iter().filter_map(split).collect(),
    }
}

fn loaded(
    mode: Mode,
    args: &SettingsArgs,
    environment: &[(&str, &str)],
) -> Result<Loaded<Settings>, Failure> {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_from(mode, args, environment)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

#[test]
fn every_number_has_limits_and_every_secret_a_file() {
    let sources = Sources::of::<Settings>(names::NAMES);
    let names: Vec<&str> = sources
        .known()
        .iter()
        .map(|known| known.name.as_str())
        .collect();
    for known in sources.known() {
        assert!(!known.help.is_empty(), "{}", known.name);
        match &known.kind {
            Kind::Number(low, high) => {
                assert!(
                    (0..*high).contains(low) && !known.default.is_empty(),
                    "{}",
                    known.name
                );
                let is_endless = *high == i64::MAX && known.name != "embedded.history_rows_max";
                assert!(!is_endless, "{} has no upper limit", known.name);
            }
            Kind::Secret => assert!(
                names.contains(&&*format!("{}_file", known.name)),
                "{}",
                known.name
            ),
            _ => {}
        }
    }
}

#[test]
fn built_in_values_fit_their_own_limits() {
    let known = Sources::of::<Settings>(names::NAMES);
    let mut sources = known.clone();
    for known in known.known() {
        sources
            .flag(&known.name, &known.default)
            .expect(&known.name);
    }
    sources.load::<Settings>().expect("accepted");
    for mode in MODES {
        for profile in PROFILES {
            loaded(mode, &args(None, Some(profile), &[]), &[]).expect(profile);
        }
    }
}

#[test]
fn modes_and_profiles_have_values_of_their_own() {
    let settings = |mode, profile| {
        loaded(mode, &args(None, profile, &[]), &[])
            .expect("accepted")
            .settings
    };
    let (dev, cluster) = (settings(Mode::Dev, None), settings(Mode::Cluster, None));
    assert_eq!(
        (dev.cluster.partitions, cluster.cluster.partitions),
        (2, 16)
    );
    assert_eq!(
        (
            dev.engine.flush_interval_ms,
            cluster.engine.flush_interval_ms
        ),
        (1_000, 5_000)
    );
    assert_eq!(
        (dev.worker.unclaimed, cluster.worker.unclaimed),
        (Unclaimed::Log, Unclaimed::Fail)
    );
    for mode in MODES {
        let settings = settings(mode, Some("cost-optimized"));
        assert_eq!(settings.engine.flush_interval_ms, 30_000, "{mode:?}");
    }
}

#[test]
fn a_later_source_wins() {
    let file =
        file("[worker]\nhistory = \"all\"\nconcurrency = 3\n[engine]\nlow_tick_delay_ms = 7\n");
    let words = ["worker.concurrency=9"];
    let args = args(Some(file.path()), Some("cost-optimized"), &words);
    let environment = [
        ("MINUTEHAND_WORKER_CONCURRENCY", "8"),
        ("MINUTEHAND_ENGINE_LOW_TICK_DELAY_MS", "8"),
        ("MINUTEHAND_HTTP", "127.0.0.1:9"),
    ];
    for mode in MODES {
        let loaded = loaded(mode, &args, &environment).expect("accepted");
        let names = [
            "engine.flush_interval_ms",
            "worker.history",
            "engine.low_tick_delay_ms",
            "worker.concurrency",
        ];
        let origins = [
            Origin::Profile,
            Origin::File,
            Origin::Environment,
            Origin::Flag,
        ];
        assert_eq!(names.map(|name| loaded.origin(name)), origins);
        assert_eq!(loaded.origin("cluster.partitions"), Origin::Default);
        let settings = loaded.settings;
        assert_eq!(
            (
                settings.engine.low_tick_delay_ms,
                settings.worker.concurrency
            ),
            (8, 9)
        );
        assert_eq!(settings.gateway.listen.port(), 9);
    }
}

#[test]
fn a_refused_setting_names_itself_the_limit_and_the_value() {
    let cases = [
        (
            "engine.lok_ahead_ms=1",
            "there is no setting \"engine.lok_ahead_ms\"; did you mean engine.look_ahead_ms?",
        ),
        ("engine.colour=red", "there is no setting \"engine.colour\""),
        (
            "engine.look_ahead_ms=5",
            "engine.look_ahead_ms is \"5\"; it must be a whole number from 1000 to 86400000",
        ),
        (
            "look_ahead_ms=5",
            "engine.look_ahead_ms is \"5\"; it must be a whole number from 1000 to 86400000",
        ),
        (
            "worker.history=some",
            "worker.history is \"some\"; it must be one of none, failures, all",
        ),
        (
            "engine.persist=near",
            "engine.persist is \"near\"; it must be one of beyond-look-ahead, all",
        ),
        (
            "embedded.task_index=yes",
            "embedded.task_index is \"yes\"; it must be true or false",
        ),
        (
            "gateway.listen=here",
            "gateway.listen is \"here\"; it must be an address such as 127.0.0.1:8080",
        ),
        (
            "worker.queues=a b",
            "worker.queues is \"a b\": queue has ' ' at position 2; allowed are letters, digits, '.', '_' and '-'",
        ),
        (
            "webhook.allow_cidrs=10.0.0.0/8, 10.2",
            "webhook.allow_cidrs is \"10.0.0.0/8, 10.2\": \"10.2\" is not a network; give one such as 10.2.0.0/16, fd00::/8 or 10.2.0.7",
        ),
        (
            "webhook.ports=80,0",
            "webhook.ports is \"80,0\"; it must be a list with commas, each a whole number from 1 to 65535",
        ),
        (
            "worker.dead_letter_url=ftp://x",
            "worker.dead_letter_url is \"ftp://x\": its scheme is \"ftp\"; it must be http or https",
        ),
        (
            "worker.dead_letter_url=x",
            "worker.dead_letter_url is \"x\": it must be a URL such as https://example.com/hooks (relative URL without a base)",
        ),
        (
            "telemetry.traces_url=foo",
            "telemetry.traces_url is \"foo\": it must be a URL such as https://example.com/hooks (relative URL without a base)",
        ),
        (
            "worker.dead_letter_url=https://x/y",
            "worker.dead_letter_url is \"https://x/y\" and worker.dead_letter_queue is not set; name the queue that is to tell of dead letters",
        ),
    ];
    for (word, message) in cases {
        assert_eq!(
            loaded(Mode::Dev, &args(None, None, &[word]), &[])
                .expect_err(word)
                .message,
            message
        );
    }
    let said = loaded(Mode::Dev, &args(None, Some("fast"), &[]), &[])
        .expect_err("no such profile")
        .message;
    assert_eq!(
        said,
        "profile is \"fast\"; it must be one of balanced, high-performance, cost-optimized"
    );
}

#[test]
fn misspelt_variables_are_rejected_foreign_ones_ignored() {
    let none = args(None, None, &[]);
    let said = loaded(Mode::Dev, &none, &[("MINUTEHAND_WORKER_QUEUS", "a")])
        .expect_err("refused")
        .message;
    assert_eq!(
        said,
        "there is no variable MINUTEHAND_WORKER_QUEUS; did you mean MINUTEHAND_WORKER_QUEUES?"
    );
    let others = [
        ("MINUTEHAND_GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ("MINUTEHAND_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("MINUTEHAND_SERVER", "http://127.0.0.1:1"),
        ("MINUTEHAND_TOKEN", "x"),
    ];
    loaded(Mode::Dev, &none, &others).expect("not ours");
}

#[test]
fn names_of_the_last_release_work_and_are_warned_of() {
    let file = file(
        "timetable_persist = \"all\"\nworker_concurrency = 7\n[scheduler]\nlook_ahead_ms = 40000\n",
    );
    let words = ["drain_ms=5", "worker.webhook_url=https://example.org/"];
    let environment = [
        ("MINUTEHAND_PARTITIONS", "3"),
        ("MINUTEHAND_FLUSH_INTERVAL_MS", "70"),
    ];
    let loaded = loaded(
        Mode::Dev,
        &args(Some(file.path()), None, &words),
        &environment,
    )
    .expect("accepted");
    let Settings {
        cluster,
        engine,
        worker,
        webhook,
        http,
        ..
    } = loaded.settings;
    assert_eq!(
        (
            engine.persist.as_str(),
            engine.look_ahead_ms,
            engine.flush_interval_ms
        ),
        ("all", 40_000, 70)
    );
    assert_eq!(
        (
            cluster.partitions,
            worker.concurrency,
            worker.drain_ms,
            http.drain_ms
        ),
        (3, 7, 5, 5)
    );
    assert_eq!(webhook.url.as_deref(), Some("https://example.org/"));
    assert_eq!(loaded.warnings.len(), 7, "{:?}", loaded.warnings);
    assert!(
        loaded
            .warnings
            .contains(&"drain_ms is now called worker.drain_ms and http.drain_ms".to_owned())
    );
}

#[test]
fn every_former_name_stands_for_a_setting() {
    let sources = Sources::of::<Settings>(names::NAMES);
    let is_known = |name: &str| {
        sources
            .known()
            .iter()
            .any(|known| known.name.starts_with(name.trim_end_matches('*')))
    };
    for (name, now) in names::NAMES.former.iter().chain(names::NAMES.short) {
        assert!(is_known(now), "{name} stands for {now}");
    }
}

#[test]
fn dead_letters_are_told_to_a_queue_and_a_url() {
    let set = [
        "worker.dead_letter_queue=dead",
        "worker.dead_letter_url=https://x/y",
    ];
    for given in [&set[..], &set[..1], &[]] {
        let loaded = loaded(Mode::Dev, &args(None, None, given), &[]).expect("accepted");
        let hook = loaded.settings.worker.dead_letter_hook();
        assert_eq!(hook.is_some(), !given.is_empty());
        let url = hook.and_then(|hook| hook.url);
        assert_eq!(url.map(String::from).is_some(), given.len() == 2);
    }
}

#[test]
fn tls_files_come_together() {
    let files = |set: &[&str]| {
        loaded(Mode::Dev, &args(None, None, set), &[])
            .expect("accepted")
            .settings
            .http
            .tls_files()
    };
    assert!(files(&[]).expect("none").is_none());
    assert!(
        files(&["http.tls_cert_file=a", "http.tls_key_file=b"])
            .expect("both")
            .is_some()
    );
    let said = files(&["http.tls_cert_file=a"]).expect_err("half").message;
    assert_eq!(
        said,
        "http.tls_cert_file is set and http.tls_key_file is not; set both or none"
    );
    let said = files(&["http.tls_client_ca_file=a"])
        .expect_err("no certificate of ours")
        .message;
    assert_eq!(
        said,
        "http.tls_client_ca_file is set and http.tls_cert_file is not; set both or none"
    );
}

#[test]
fn secrets_are_shown_to_nobody_and_may_lie_in_a_file() {
    let words = [
        "cluster.token=canary-token",
        "webhook.secret=canary-webhook",
    ];
    let found = loaded(Mode::Dev, &args(None, None, &words), &[]).expect("accepted");
    assert_eq!(
        found.settings.cluster.token.as_ref().map(Secret::reveal),
        Some("canary-token")
    );
    let shown = format!("{:?} {found:?}", found.shown);
    assert!(
        !shown.contains("canary") && shown.contains("(hidden)"),
        "{shown}"
    );
    let secret = file("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let word = format!("webhook.secret_file={}", secret.path().display());
    let executors = |words: &[&str]| {
        let settings = loaded(Mode::Dev, &args(None, None, words), &[])
            .expect("accepted")
            .settings;
        crate::executors::Executors::new(
            &settings,
            crate::permission::CommandPermission::of_tasks(false),
            None,
            crate::descriptors::Descriptors::raised().expect("a usual limit"),
        )
    };
    assert!(executors(&[&word]).is_ok());
    let said = executors(&[&word, "webhook.secret=x"])
        .err()
        .expect("both")
        .message;
    assert_eq!(
        said,
        "webhook.secret and webhook.secret_file are both set; set one of them"
    );
    let said = executors(&["webhook.secret_previous_file=/no/such"])
        .err()
        .expect("missing")
        .message;
    assert!(
        said.starts_with("could not read webhook.secret_previous_file in /no/such: "),
        "{said}"
    );
    let said = executors(&["webhook.secret=canary"])
        .err()
        .expect("not a secret")
        .message;
    assert_eq!(
        said,
        "webhook.secret: a webhook secret must be whsec_ followed by base64"
    );
}

#[cfg(feature = "cluster")]
mod of_cluster {
    use std::path::PathBuf;

    use minutehand_settings::{json_schema, markdown};

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn the_sample_files_are_accepted() {
        for role in ["scheduler", "gateway", "worker"] {
            let file = root().join(format!("deploy/{role}.toml"));
            let found = loaded(Mode::Cluster, &args(Some(&file), None, &[]), &[])
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                found.settings.kafka.login.username.as_deref(),
                Some("minutehand"),
                "{role}"
            );
            assert_eq!(Mode::of_file(&file), Mode::Cluster);
            assert!(found.warnings.is_empty(), "{:?}", found.warnings);
            // Secrets lie in files of their own.
            assert!(
                !format!("{:?}", found.settings).contains("(hidden)"),
                "{role}"
            );
        }
    }

    #[test]
    fn the_settings_of_the_rig_and_the_chart_are_accepted() {
        for path in [
            "deploy/compose/minutehand.toml",
            "deploy/helm/minutehand/files/minutehand.toml",
        ] {
            let file = root().join(path);
            assert_eq!(Mode::of_file(&file), Mode::Cluster, "{path}");
            let found = loaded(Mode::Cluster, &args(Some(&file), None, &[]), &[])
                .unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(found.warnings.is_empty(), "{path}: {:?}", found.warnings);
            let settings = &found.settings;
            assert!(
                settings.cluster.token_file.is_some(),
                "{path}: others reach these roles"
            );
            assert!(
                settings.gateway.tokens_file.is_some(),
                "{path}: others reach the gateway"
            );
            crate::cluster::configs::cluster(settings).expect(path);
        }
    }

    /// A name that is near no setting is taken for somebody else's in silence; here none may be.
    #[test]
    fn what_the_rig_and_the_chart_set_by_environment_exists() {
        let known = Sources::of::<Settings>(names::NAMES);
        let known: Vec<String> = known
            .known()
            .iter()
            .map(|known| format!("MINUTEHAND_{}", known.name.replace('.', "_").to_uppercase()))
            .collect();
        let templates = root().join("deploy/helm/minutehand/templates");
        let templates = std::fs::read_dir(templates)
            .expect("templates")
            .map(|file| file.expect("a file").path());
        let mut found = 0;
        for path in templates.chain([root().join("deploy/compose.yaml")]) {
            let text = std::fs::read_to_string(&path).expect("text");
            for name in text.split(|c: char| !c.is_ascii_uppercase() && c != '_') {
                if name.starts_with("MINUTEHAND_") {
                    assert!(
                        known.iter().any(|known| known == name),
                        "{}: {name}",
                        path.display()
                    );
                    found += 1;
                }
            }
        }
        assert!(found > 10, "{found}");
    }

    #[test]
    fn what_a_server_needs_comes_together() {
        let refused = |set: &[&str]| {
            let settings = loaded(Mode::Cluster, &args(None, None, set), &[])
                .expect("each by itself is right")
                .settings;
            let checked = crate::cluster::configs::cluster(&settings);
            checked.err().map(|failure| failure.message)
        };
        assert_eq!(refused(&[]), None);
        for (set, message) in [
            (
                vec!["kafka.queue_partitions=3"],
                "kafka.queue_partitions is 3; it must be a divisor or a multiple of cluster.partitions, 16",
            ),
            (
                vec!["kafka.username=u"],
                "kafka.username is set and kafka.password is not; set both or none",
            ),
            (
                vec!["kafka.sasl_mechanism=plain"],
                "kafka.sasl_mechanism is set and kafka.username is not; set both or none",
            ),
            (
                vec!["cassandra.password=p"],
                "cassandra.password is set and cassandra.username is not; set both or none",
            ),
            (
                vec!["etcd.tls=true"],
                "etcd.tls is set and etcd.tls_ca_file is not; set both or none",
            ),
            (
                vec!["etcd.password=p", "etcd.password_file=f"],
                "etcd.password and etcd.password_file are both set; set one of them",
            ),
        ] {
            assert_eq!(refused(&set).as_deref(), Some(message));
        }
    }

    const INTRODUCTION: &str = "\
# Settings

Every setting of `minutehand dev` and of a cluster's roles: one tree of sections, the same names for all. Rendered from the types in the
code, as is `schema/settings.json`, with which editors check a file. What a section says of others than the running role is ignored.

| source, each over the one before | how |
|---|---|
| built in | the defaults below; some are other ones in `dev` or in a cluster |
| profile | `--profile balanced`, `high-performance` or `cost-optimized` |
| file | `--config F`, TOML with the sections below |
| environment | `MINUTEHAND_<SECTION>_<SETTING>`; short: `MINUTEHAND_KAFKA`, `MINUTEHAND_CASSANDRA`, `MINUTEHAND_ETCD` for where the servers are, `MINUTEHAND_HTTP` (`gateway.listen`), `MINUTEHAND_DATA_DIR`, `MINUTEHAND_LOG` |
| flag | `--set section.setting=value`; a list with commas |

`minutehand config show` prints every value and where it comes from. What is not known is refused with the nearest name, what does not fit
with its limits and its place. A secret may lie in a file of its own (`password_file` for `password`), whose last line end does not
count; secrets are never shown. Former names work for one more release, with a warning.";

    /// Compares a document with what it should be; writes it with `UPDATE_DOCS=1`.
    fn compare(path: &str, wanted: &str) {
        let file = root().join(path);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&file, wanted).expect("it can be written");
        }
        assert!(
            std::fs::read_to_string(&file).unwrap_or_default() == wanted,
            "{path} is out of date; run UPDATE_DOCS=1 cargo test -p minutehand --features cluster --bin minutehand settings"
        );
    }

    #[test]
    fn the_reference_and_the_schema_are_up_to_date() {
        let profiles = PROFILES
            .iter()
            .skip(1)
            .map(|name| (*name, profile(name).expect("known")));
        let modes = [
            ("dev", Mode::Dev.fragment()),
            ("cluster", Mode::Cluster.fragment()),
        ];
        let fragments: Vec<(&str, &str)> = modes.into_iter().chain(profiles).collect();
        let document =
            markdown::<Settings>(INTRODUCTION, &fragments, names::NAMES).expect("fragments fit");
        compare("docs/SETTINGS.md", &document);
        compare("schema/settings.json", &json_schema::<Settings>());
    }
}
