//! Who is let in by a broker that wants TLS and a password, and what is said to those who are not.

use std::sync::Arc;

use minutehand_kafka::{Client, KafkaConfig, Mechanism};
use minutehand_ports::{ErrorClass, PortError};
use minutehand_settings::{ClientTls, Login, Secret};
use minutehand_testkit::{Certificates, Kafka, KafkaOptions, PASSWORD, USER};

/// A broker of its own with TLS and SCRAM, and the folder its certificates lie in.
fn secured(certificates: Certificates) -> Kafka {
    Kafka::start(&KafkaOptions {
        secured: Some(certificates),
        ..KafkaOptions::default()
    })
    .unwrap()
}

fn config(kafka: &Kafka, authority: &Certificates, password: &str) -> KafkaConfig {
    KafkaConfig {
        brokers: vec![kafka.secured_bootstrap().unwrap()],
        topic_prefix: "secured".to_owned(),
        partitions: 1,
        queue_partitions: 1,
        // Who is not let in hears of it when the time is up.
        request_timeout_ms: 4_000,
        tls: ClientTls::trusting(authority.authority()),
        sasl_mechanism: Mechanism::ScramSha512,
        login: Login::new(USER, Secret::new(password)),
        ..KafkaConfig::default()
    }
}

async fn asked(config: KafkaConfig) -> Result<Arc<Client>, PortError> {
    let client = Client::new(config)?;
    client.apply_topics().await?;
    client.check_topics().await?;
    Ok(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_password_are_accepted_and_a_wrong_one_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (own, stranger) = tokio::task::block_in_place(|| {
        let create = |name: &str| Certificates::create(&folder.path().join(name)).unwrap();
        (create("own"), create("stranger"))
    });
    let kafka = tokio::task::block_in_place(|| secured(own.clone()));
    let client = asked(config(&kafka, &own, PASSWORD)).await.unwrap();
    assert!(client.has_topic("secured.commands").await);

    let wrong = asked(config(&kafka, &own, "guessed"))
        .await
        .err()
        .expect("a wrong password is refused");
    assert_eq!(wrong.class, ErrorClass::Fatal, "{wrong}");
    assert!(
        wrong.to_string().contains("check the user, the password"),
        "{wrong}"
    );
    assert!(
        !format!("{wrong:?}").contains("guessed"),
        "a password is never shown: {wrong:?}"
    );

    let untrusted = asked(config(&kafka, &stranger, PASSWORD))
        .await
        .err()
        .expect("a stranger is refused");
    assert_eq!(untrusted.class, ErrorClass::Fatal, "{untrusted}");
    assert!(untrusted.to_string().contains("check tls"), "{untrusted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_and_located() {
    let folder = tempfile::tempdir().unwrap();
    let (kafka, expired) = tokio::task::block_in_place(|| {
        let expired = Certificates::create_expired(&folder.path().join("expired")).unwrap();
        (secured(expired.clone()), expired)
    });
    let refused = asked(config(&kafka, &expired, PASSWORD))
        .await
        .err()
        .expect("it has expired");
    assert_eq!(refused.class, ErrorClass::Fatal, "{refused}");
    let said = refused.to_string();
    assert!(said.contains("the certificate and its dates"), "{said}");
    assert!(said.contains(&kafka.secured_bootstrap().unwrap()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_address_is_said_in_words() {
    let config = KafkaConfig {
        brokers: vec!["127.0.0.1:1".to_owned()],
        request_timeout_ms: 1_000,
        ..KafkaConfig::default()
    };
    let refused = asked(config).await.err().expect("nobody listens there");
    assert_eq!(
        refused.class,
        ErrorClass::Retry,
        "it may come back: {refused}"
    );
    assert!(refused.to_string().contains("127.0.0.1:1"), "{refused}");
}
