//! Passwords and TLS: what is right works, and what is wrong is one clear error that is not tried
//! again.

use std::net::{TcpListener, TcpStream};
use std::sync::OnceLock;

use minutehand_cassandra::{CassandraConfig, Migrations, SchemaError};
use minutehand_ports::{ErrorClass, PortError};
use minutehand_settings::{ClientTls, Login, Secret};
use minutehand_testkit::{Cassandra, CassandraOptions, Certificates};
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use tempfile::TempDir;

use crate::support::{apply, connect, unique};

/// A server that wants a password over TLS, shared by the tests of this file; it ends with this
/// process.
struct Secured {
    cassandra: Cassandra,
    certificates: Certificates,
    _folder: TempDir,
}

async fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    let start = || {
        SECURED.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let certificates = Certificates::create(&folder.path().join("good")).unwrap();
            let options = CassandraOptions {
                secured: Some(certificates.clone()),
                ..CassandraOptions::default()
            };
            Secured {
                cassandra: Cassandra::start(&options).unwrap(),
                certificates,
                _folder: folder,
            }
        })
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

/// With TLS, trusting the authority of these.
fn trusting(certificates: &Certificates, config: CassandraConfig) -> CassandraConfig {
    CassandraConfig {
        tls: ClientTls::trusting(certificates.authority()),
        ..config
    }
}

fn as_user(password: &str, config: CassandraConfig) -> CassandraConfig {
    let login = Login::new("cassandra", Secret::new(password));
    CassandraConfig { login, ..config }
}

/// Settings with which the secured server lets one in.
async fn right() -> CassandraConfig {
    let secured = secured().await;
    let points = secured
        .cassandra
        .contact_points()
        .split(',')
        .map(str::to_owned)
        .collect();
    let config = CassandraConfig::new(points, &unique("test"), "north");
    as_user("cassandra", trusting(&secured.certificates, config))
}

async fn refused(config: &CassandraConfig) -> PortError {
    match Migrations::connect(config).await {
        Ok(_) => panic!("it was let in"),
        Err(SchemaError::Cluster(error)) => error,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn with_the_right_password_and_certificate_it_works() {
    let config = right().await;
    apply(&config).await;
    connect(&config).await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let config = as_user("canary-password", right().await);
    let error = refused(&config).await;
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
    assert!(
        error.reason.contains("user or password was refused"),
        "{error}"
    );
    assert!(error.action.contains(&config.contact_points[0]), "{error}");
    assert!(!format!("{error:?}").contains("canary-password"));
}

#[tokio::test]
async fn a_missing_password_is_said() {
    let error = refused(&CassandraConfig {
        login: Login::default(),
        ..right().await
    })
    .await;
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
    assert!(
        error.reason.contains("asks for a user and a password"),
        "{error}"
    );
}

#[tokio::test]
async fn without_tls_where_it_is_wanted_the_error_asks_for_it() {
    let error = refused(&CassandraConfig {
        tls: ClientTls::default(),
        ..right().await
    })
    .await;
    assert!(error.reason.contains("TLS"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let others = Certificates::create(folder.path()).unwrap();
    let error = refused(&trusting(&others, right().await)).await;
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
    assert!(
        error.reason.contains("certificate was refused: "),
        "{error}"
    );
}

/// Accepts TLS with a certificate on an address, closes at once what came through, and goes on.
fn acceptor(address: &str, certificates: &Certificates) -> String {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor
        .set_private_key_file(certificates.server_key(), SslFiletype::PEM)
        .unwrap();
    acceptor
        .set_certificate_chain_file(certificates.server_certificate())
        .unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind((address, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let closed = |stream: TcpStream| acceptor.accept(stream).map(drop);
            let _ = stream.map(closed);
        }
    });
    address
}

/// How connecting to a server with these certificates fails.
async fn met(address: &str, certificates: &Certificates, verify_hostnames: bool) -> PortError {
    let config = CassandraConfig::new(vec![acceptor(address, certificates)], "minutehand", "north");
    let config = CassandraConfig {
        tls_verify_hostnames: verify_hostnames,
        ..config
    };
    refused(&trusting(certificates, config)).await
}

#[tokio::test]
async fn an_expired_certificate_is_said_to_be_expired() {
    let folder = tempfile::tempdir().unwrap();
    let expired = Certificates::create_expired(folder.path()).unwrap();
    for verify_hostnames in [true, false] {
        let error = met("127.0.0.1", &expired, verify_hostnames).await;
        assert_eq!(error.class, ErrorClass::Fatal, "{error}");
        let words = ["certificate has expired", "localhost", "valid until Jan  2"];
        assert!(
            words.iter().all(|word| error.reason.contains(word)),
            "{error}"
        );
        assert!(error.action.contains("127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_must_match_the_address_when_that_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let good = Certificates::create(folder.path()).unwrap();
    let error = met("127.0.0.77", &good, true).await;
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
    assert!(error.reason.contains("IP address mismatch"), "{error}");
    let error = met("127.0.0.77", &good, false).await;
    assert_eq!(
        error.class,
        ErrorClass::Retry,
        "past the handshake, this is no Cassandra: {error}"
    );
}
