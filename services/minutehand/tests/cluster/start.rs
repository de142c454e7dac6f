//! What keeps a role from starting is said in one error, with an exit code.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;

use minutehand_testkit::{
    Cassandra, CassandraOptions, Certificates, Etcd, EtcdOptions, Kafka, KafkaOptions, PASSWORD,
    Proxy, USER,
};

use crate::support::{Cluster, eventually, said};

/// One error, and at most one hint.
#[track_caller]
fn one_error(output: &Output, code: i32, words: &str) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("error: "))
            .count(),
        1,
        "{text}"
    );
    assert!(text.contains(words), "{text}");
}

#[test]
fn a_setting_that_cannot_be_used_is_named() {
    let cluster = Cluster::new(2);
    let cases = [
        (
            "scheduler",
            "kafka.brokres=a",
            "there is no setting \"kafka.brokres\"; did you mean kafka.brokers?",
        ),
        (
            "scheduler",
            "kafka.queue_partitions=3",
            "kafka.queue_partitions is 3; it must be a divisor or a multiple",
        ),
        (
            "scheduler",
            "kafka.password_file=/no/such",
            "could not read kafka.password_file in /no/such",
        ),
        (
            "scheduler",
            "cassandra.username=me",
            "cassandra.username is set and cassandra.password is not",
        ),
        (
            "scheduler",
            "cluster.token=short",
            "the token of cluster.token has 5 bytes, at least 16 are needed",
        ),
        (
            "scheduler",
            "scheduler.listen=0.0.0.0:0",
            "refusing to listen on 0.0.0.0:0 without tokens",
        ),
        (
            "gateway",
            "gateway.listen=0.0.0.0:0",
            "refusing to listen on 0.0.0.0:0 without tokens",
        ),
        (
            "gateway",
            "etcd.tls=true",
            "etcd.tls is set and etcd.tls_ca_file is not",
        ),
        (
            "gateway",
            "http.tls_cert_file=/no/such",
            "http.tls_cert_file is set and http.tls_key_file is not",
        ),
        (
            "worker",
            "worker.history=all",
            "worker.queues is empty; name the queues that this worker serves",
        ),
        (
            "scheduler",
            "kafka.cloudevents_queues=mail,a b",
            "kafka.cloudevents_queues is \"mail,a b\": queue has ' ' at position 2",
        ),
        (
            "worker",
            "worker.queues=a b",
            "worker.queues is \"a b\": queue has ' ' at position 2",
        ),
    ];
    for (role, set, words) in cases {
        one_error(&cluster.run(&[role], &[set]), 2, words);
    }
}

#[test]
fn a_schema_that_is_not_there_is_named_with_what_creates_it() {
    let cluster = Cluster::new(2);
    let refused = cluster.run(&["scheduler"], &[]);
    // The topics or the keyspace, whichever is found missing first.
    one_error(&refused, 1, &cluster.name);
    assert!(
        said(&refused).contains("minutehand schema apply"),
        "{}",
        said(&refused)
    );
}

/// Where nobody listens: a port that was free a moment ago.
fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address")
}

/// The servers with the setting that says where they are.
const SERVERS: [(&str, &str); 3] = [
    ("Kafka", "kafka.brokers"),
    ("Cassandra", "cassandra.contact_points"),
    ("etcd", "etcd.endpoints"),
];

#[test]
fn who_looks_at_the_schema_does_not_wait_for_servers() {
    let cluster = Cluster::new(2);
    for (name, setting) in SERVERS {
        let set = format!("{setting}={}", nowhere());
        let words = if name == "Kafka" {
            "check the brokers"
        } else {
            name
        };
        one_error(
            &cluster.run(
                &["schema", "status"],
                &[&set, "kafka.request_timeout_ms=1000"],
            ),
            6,
            words,
        );
    }
}

#[test]
fn a_role_waits_for_absent_servers_and_names_them() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let nobody = nowhere();
    for role in ["scheduler", "gateway", "worker"] {
        for (name, setting) in SERVERS
            .into_iter()
            .filter(|(name, _)| role != "worker" || *name == "Kafka")
        {
            let at = format!("{setting}={nobody}");
            let set: [&str; 3] = [&at, "worker.queues=q", "kafka.request_timeout_ms=1000"];
            let waiting = cluster.launch(role, &set);
            let words = format!("waiting for {name} at {nobody}");
            eventually(&format!("{words}:\n{}", cluster.logs()), || {
                waiting.log().contains(&words).then_some(())
            });
            let readiness = waiting.readiness();
            assert!(
                readiness.starts_with("HTTP/1.1 503") && readiness.contains(&words),
                "{readiness}"
            );
            // Nobody may take it for an answer about a task that it knows nothing of tasks yet.
            let asked = waiting.get("/v1/namespaces/default/tasks/a");
            assert!(
                asked.starts_with("HTTP/1.1 503") && asked.contains(&words),
                "{asked}"
            );
            assert_eq!(
                waiting.log().matches(&words).count(),
                1,
                "{}",
                waiting.log()
            );
            assert_eq!(waiting.stop().code(), Some(0), "{}", cluster.logs());
        }
    }
}

#[test]
fn a_scheduler_started_before_its_servers_goes_on_later() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let etcd = cluster.etcd().parse().expect("an address");
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], 0)), etcd).expect("a port");
    proxy.cut();
    let set = format!("etcd.endpoints={}", proxy.address());
    let scheduler = cluster.launch("scheduler", &[&set]);
    eventually("a scheduler that waits", || {
        scheduler.log().contains("waiting for etcd").then_some(())
    });
    assert!(
        scheduler.readiness().contains("waiting for etcd"),
        "{}",
        scheduler.readiness()
    );
    proxy.heal();
    cluster.ready(&scheduler);
    assert_eq!(scheduler.stop().code(), Some(0), "{}", cluster.logs());
}

#[test]
fn a_scheduler_without_a_partition_is_ready() {
    let cluster = Cluster::new(1);
    cluster.apply_schema();
    let schedulers = [
        cluster.start("scheduler", &[]),
        cluster.start("scheduler", &[]),
    ];
    for scheduler in &schedulers {
        cluster.ready(scheduler);
    }
    for scheduler in schedulers {
        assert_eq!(scheduler.stop().code(), Some(0), "{}", cluster.logs());
    }
}

/// Asks etcd by its JSON gateway.
fn ask_etcd(etcd: &Etcd, path: &str, body: &str) {
    let mut stream = TcpStream::connect(etcd.endpoint()).expect("it listens");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: etcd\r\nconnection: close\r\ncontent-length: {}",
        body.len()
    );
    stream
        .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
}

#[test]
fn a_wrong_etcd_password_ends_a_role_and_is_reported() {
    let etcd = Etcd::start(&EtcdOptions::default()).expect("it starts");
    ask_etcd(&etcd, "/v3/auth/role/add", r#"{"name":"root"}"#);
    ask_etcd(
        &etcd,
        "/v3/auth/user/add",
        r#"{"name":"root","password":"right"}"#,
    );
    ask_etcd(
        &etcd,
        "/v3/auth/user/grant",
        r#"{"user":"root","role":"root"}"#,
    );
    ask_etcd(&etcd, "/v3/auth/enable", "{}");
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let at = format!("etcd.endpoints={}", etcd.endpoint());
    for role in ["scheduler", "gateway"] {
        let wrong = [&*at, "etcd.username=root", "etcd.password=canary-password"];
        let refused = cluster.run(&[role], &wrong);
        one_error(
            &refused,
            1,
            "the user name or the password is wrong; check etcd.username and etcd.password",
        );
        assert!(
            said(&refused).contains(&etcd.endpoint()),
            "{}",
            said(&refused)
        );
        assert!(!said(&refused).contains("canary"), "{}", said(&refused));
    }
    one_error(
        &cluster.run(&["scheduler"], &[&at]),
        1,
        "etcd asks for a user name and a password",
    );
}

#[test]
fn a_wrong_cassandra_password_ends_a_role_and_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::create(folder.path()).expect("certificates");
    let options = CassandraOptions {
        secured: Some(certificates.clone()),
        ..CassandraOptions::default()
    };
    let cassandra = Cassandra::start(&options).expect("it starts");
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let points = cassandra.contact_points();
    let at = format!("cassandra.contact_points={points}");
    let ca = format!(
        "cassandra.tls_ca_file={}",
        certificates.authority().display()
    );
    let given = [
        "cassandra.tls=true",
        "cassandra.username=cassandra",
        "cassandra.password=canary-password",
    ];
    let refused = cluster.run(&["scheduler"], &[&[&*at, &ca], &given[..]].concat());
    one_error(
        &refused,
        1,
        "the user or password was refused; check cassandra.username and cassandra.password",
    );
    let first = points.split(',').next().expect("one");
    assert!(
        said(&refused).contains(first) && !said(&refused).contains("canary"),
        "{}",
        said(&refused)
    );
}

#[test]
fn kafka_accepts_tls_with_sasl_and_reports_a_wrong_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::create(folder.path()).expect("certificates");
    let options = KafkaOptions {
        secured: Some(certificates.clone()),
        ..KafkaOptions::default()
    };
    let kafka = Kafka::start(&options).expect("it starts");
    let cluster = Cluster::new(2);
    let brokers = format!(
        "kafka.brokers={}",
        kafka
            .secured_bootstrap()
            .expect("it has a secured listener")
    );
    let ca = format!("kafka.tls_ca_file={}", certificates.authority().display());
    let (user, right) = (
        format!("kafka.username={USER}"),
        format!("kafka.password={PASSWORD}"),
    );
    let given = |password| {
        [
            &*brokers,
            &*ca,
            &*user,
            password,
            "kafka.tls=true",
            "kafka.sasl_mechanism=scram-sha-512",
        ]
    };
    let applied = cluster.run(&["schema", "apply"], &given(&right));
    assert!(applied.status.success(), "{}", said(&applied));
    let wrong = given("kafka.password=canary-password");
    for role in ["scheduler", "gateway", "worker"] {
        let refused = cluster.run(&[role], &[&wrong[..], &["worker.queues=q"]].concat());
        one_error(
            &refused,
            1,
            "check the user, the password and the mechanism in [kafka]",
        );
        let text = said(&refused);
        assert!(text.contains(&brokers["kafka.brokers=".len()..]), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn an_expired_certificate_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::create_expired(folder.path()).expect("certificates");
    let options = EtcdOptions {
        secured: Some(certificates.clone()),
    };
    let etcd = Etcd::start(&options).expect("it starts");
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let set = [
        format!("etcd.endpoints={}", etcd.endpoint()),
        "etcd.tls=true".to_owned(),
        format!("etcd.tls_ca_file={}", certificates.authority().display()),
    ];
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    for verb in [&["schema", "status"][..], &["gateway"]] {
        let refused = cluster.run(verb, &set);
        one_error(&refused, 1, "a certificate has expired");
        assert!(
            said(&refused).contains(&etcd.endpoint()),
            "{}",
            said(&refused)
        );
    }
}
