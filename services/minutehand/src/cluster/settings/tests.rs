//! Where values come from, and how what is wrong is said.

use super::known::Kind;
use super::*;

fn args(config: Option<&Path>, profile: Option<&str>, set: &[&str]) -> ClusterArgs {
    let split = |word: &&str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    ClusterArgs {
        config: config.map(Path::to_owned),
        profile: profile.map(str::to_owned),
        set: set.iter().filter_map(split).collect(),
    }
}

fn settings(args: &ClusterArgs, environment: &[(&str, &str)]) -> Result<ClusterSettings, Failure> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ClusterSettings::from_sources(args, environment)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

fn origin(settings: &ClusterSettings, name: &str) -> Origin {
    settings.shown().into_iter().find(|setting| setting.name == name).expect("it is known").origin
}

#[test]
fn built_in_values_and_profiles_are_right_by_their_own_rules() {
    let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
    for known in KNOWN {
        known.check(known.default).expect(known.name);
        assert_eq!(names.iter().filter(|name| **name == known.name).count(), 1, "{}", known.name);
        assert_eq!(known.name.split('.').count(), 2, "{}", known.name);
        if known.is_secret() {
            assert!(names.contains(&&*format!("{}_file", known.name)), "{}", known.name);
        }
        if let Kind::Number(low, high) = known.kind {
            assert!(low <= high, "{}", known.name);
        }
    }
    for (profile, _) in PROFILES {
        settings(&args(None, Some(profile), &[]), &[]).expect(profile);
    }
}

#[test]
fn a_later_source_wins() {
    let file = file(
        "[kafka]\nbrokers = [\"a:1\", \"b:2\"]\nappend_linger_ms = 7\n\n[cassandra]\ntask_index = true\n\n\
         [worker]\nconcurrency = 3\n",
    );
    let args = args(Some(file.path()), Some("cost-optimized"), &["worker.concurrency=9"]);
    let environment = [
        ("MINUTEHAND_KAFKA_APPEND_LINGER_MS", "8"),
        ("MINUTEHAND_WORKER_CONCURRENCY", "8"),
        ("MINUTEHAND_ETCD", "e:1"),
    ];
    let settings = settings(&args, &environment).expect("accepted");
    let found = |name: &str| (settings.text(name).to_owned(), origin(&settings, name));
    assert_eq!(found("worker.history"), ("none".to_owned(), Origin::Profile));
    assert_eq!(found("cassandra.task_index"), ("true".to_owned(), Origin::File));
    assert_eq!(found("kafka.append_linger_ms"), ("8".to_owned(), Origin::Environment));
    assert_eq!(found("worker.concurrency"), ("9".to_owned(), Origin::Flag));
    assert_eq!(found("cluster.region"), ("local".to_owned(), Origin::Default));
    assert_eq!(settings.list("kafka.brokers"), ["a:1", "b:2"]);
    assert_eq!(settings.list("etcd.endpoints"), ["e:1"]);
}

#[test]
fn a_refused_setting_names_itself_the_limit_and_the_value() {
    let cases = [
        ("kafka.brokres=a", "there is no setting \"kafka.brokres\"; did you mean kafka.brokers?"),
        ("kafka.colour=red", "there is no setting \"kafka.colour\""),
        ("cluster.partitions=0", "cluster.partitions is \"0\"; it must be a whole number from 1 to 1024"),
        ("timetable.persist=near", "timetable.persist is \"near\"; it must be one of beyond-look-ahead, all"),
        ("kafka.tls=yes", "kafka.tls is \"yes\"; it must be true or false"),
        ("gateway.listen=here", "gateway.listen is \"here\"; it must be an address such as 127.0.0.1:8080"),
    ];
    for (word, message) in cases {
        assert_eq!(settings(&args(None, None, &[word]), &[]).expect_err(word).message, message);
    }
}

#[test]
fn unknown_keys_of_a_file_are_refused_with_the_nearest_name() {
    let cases = [
        ("[kafak]\nbrokers = \"a\"", "there is no section [kafak]; did you mean [kafka]?"),
        ("[kafka]\nbroker = \"a\"", "there is no setting \"kafka.broker\"; did you mean kafka.brokers?"),
        ("brokers = \"a\"", "brokers stands outside a section; the sections are cluster, kafka, cassandra"),
        ("[kafka]\nbrokers = 1.5", "kafka.brokers is a float"),
        ("[kafka]\nretention_ms = \"long\"", "kafka.retention_ms is \"long\"; it must be a whole number"),
    ];
    for (text, words) in cases {
        let file = file(text);
        let said = settings(&args(Some(file.path()), None, &[]), &[]).expect_err(text).message;
        assert!(said.starts_with(&format!("{}: ", file.path().display())) && said.contains(words), "{said}");
    }
}

#[test]
fn misspelt_variables_are_rejected_foreign_ones_ignored() {
    let none = args(None, None, &[]);
    let said = settings(&none, &[("MINUTEHAND_KAFKA_BROKRES", "a")]).expect_err("refused").message;
    assert_eq!(said, "there is no variable MINUTEHAND_KAFKA_BROKRES; did you mean MINUTEHAND_KAFKA_BROKERS?");
    let others = [
        ("MINUTEHAND_GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ("MINUTEHAND_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("MINUTEHAND_DATA_DIR", "x"),
        ("MINUTEHAND_SERVER", "http://127.0.0.1:1"),
    ];
    settings(&none, &others).expect("not ours");
}

#[test]
fn secrets_are_shown_to_nobody_and_may_lie_in_a_file() {
    let secret = file("canary-from-file\n");
    let path = secret.path().display();
    let words = ["kafka.password=canary-kafka".to_owned(), format!("cassandra.password_file={path}")];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = settings(&args(None, None, &words), &[]).expect("accepted");
    assert_eq!(found.secret("kafka.password").expect("set").as_deref(), Some("canary-kafka"));
    assert_eq!(found.secret("cassandra.password").expect("read").as_deref(), Some("canary-from-file"));
    assert_eq!(found.secret("etcd.password").expect("not set"), None);
    let shown = format!("{:?} {found:?}", found.shown());
    assert!(!shown.contains("canary") && shown.contains("(hidden)"), "{shown}");
    let both = [words[1], "cassandra.password=x"];
    let found = settings(&args(None, None, &both), &[]).expect("each by itself is right");
    let said = found.secret("cassandra.password").expect_err("both").message;
    assert_eq!(said, "cassandra.password and cassandra.password_file are both set; set one of them");
    let gone = settings(&args(None, None, &["etcd.password_file=/no/such"]), &[]).expect("accepted");
    assert!(gone.secret("etcd.password").expect_err("missing").message.contains("/no/such"));
}

#[test]
fn the_sample_files_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for role in ["scheduler", "gateway", "worker"] {
        let file = folder.join(format!("{role}.toml"));
        let settings = settings(&args(Some(&file), None, &[]), &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(settings.given("kafka.sasl_mechanism"), Some("scram-sha-512"), "{role}");
        assert!(has_sections(&file).expect("it can be read"));
        // Secrets lie in files of their own.
        let secrets = KNOWN.iter().filter(|known| known.is_secret());
        assert!(secrets.map(|known| settings.text(known.name)).all(str::is_empty), "{role}");
    }
}
