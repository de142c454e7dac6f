//! What keeps a role from starting is said in one error, with an exit code.

use std::process::Output;

use minutehand_testkit::{Certificates, Etcd, EtcdOptions, Kafka, KafkaOptions, PASSWORD, USER};

use crate::support::{Cluster, said};

/// One error, and at most one hint.
#[track_caller]
fn one_error(output: &Output, code: i32, words: &str) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
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
        ("scheduler", "kafka.password_file=/no/such", "could not read kafka.password_file in /no/such"),
        ("scheduler", "cassandra.username=me", "cassandra.username is set and cassandra.password is not"),
        (
            "scheduler",
            "cluster.token=short",
            "the token of cluster.token has 5 bytes, at least 16 are needed",
        ),
        ("scheduler", "scheduler.listen=0.0.0.0:0", "refusing to listen on 0.0.0.0:0 without tokens"),
        ("gateway", "gateway.listen=0.0.0.0:0", "refusing to listen on 0.0.0.0:0 without tokens"),
        ("gateway", "etcd.tls=true", "etcd.tls is true and etcd.tls_ca_file is not set"),
        ("gateway", "http.tls_cert_file=/no/such", "one of http.tls_cert_file and http.tls_key_file is set"),
        ("worker", "worker.history=all", "worker.queues is empty; name the queues that this worker serves"),
        (
            "scheduler",
            "kafka.cloudevents_queues=mail,a b",
            "kafka.cloudevents_queues: queue has ' ' at position 2",
        ),
        ("worker", "worker.queues=a b", "worker.queues: queue has ' ' at position 2"),
    ];
    for (role, set, words) in cases {
        one_error(&cluster.run(&[role], &[set]), 2, words);
    }
}

#[test]
fn a_schema_that_is_not_there_is_named_with_what_creates_it() {
    let cluster = Cluster::new(2);
    let refused = cluster.run(&["scheduler"], &[]);
    one_error(&refused, 1, &format!("{}.commands is missing", cluster.name));
    assert!(said(&refused).contains("minutehand schema apply"), "{}", said(&refused));
}

#[test]
fn servers_that_are_not_there_are_unreachable() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    // A port that was free a moment ago.
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    for (setting, words) in [
        ("kafka.brokers", "check the brokers"),
        ("cassandra.contact_points", "Cassandra"),
        ("etcd.endpoints", "etcd"),
    ] {
        one_error(&cluster.run(&["scheduler"], &[&format!("{setting}={nobody}")]), 6, words);
    }
}

#[test]
fn kafka_with_tls_and_a_password_is_used_and_a_wrong_password_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::create(folder.path()).expect("certificates");
    let options = KafkaOptions { secured: Some(certificates.clone()), ..KafkaOptions::default() };
    let kafka = Kafka::start(&options).expect("it starts");
    let cluster = Cluster::new(2);
    let brokers = format!("kafka.brokers={}", kafka.secured_bootstrap().expect("it has a secured listener"));
    let ca = format!("kafka.tls_ca_file={}", certificates.authority().display());
    let (user, right) = (format!("kafka.username={USER}"), format!("kafka.password={PASSWORD}"));
    let given = |password| {
        [&*brokers, &*ca, &*user, password, "kafka.tls=true", "kafka.sasl_mechanism=scram-sha-512"]
    };
    let applied = cluster.run(&["schema", "apply"], &given(&right));
    assert!(applied.status.success(), "{}", said(&applied));
    let wrong = given("kafka.password=canary-password");
    let refused = cluster.run(&["scheduler"], &wrong);
    assert!(!refused.status.success());
    let text = said(&refused);
    assert!(text.to_lowercase().contains("authentication"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn an_expired_certificate_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::create_expired(folder.path()).expect("certificates");
    let options = EtcdOptions { secured: Some(certificates.clone()) };
    let etcd = Etcd::start(&options).expect("it starts");
    let cluster = Cluster::new(2);
    let set = [
        format!("etcd.endpoints={}", etcd.endpoint()),
        "etcd.tls=true".to_owned(),
        format!("etcd.tls_ca_file={}", certificates.authority().display()),
    ];
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let refused = cluster.run(&["schema", "status"], &set);
    one_error(&refused, 6, "expired");
}
