//! Listeners with TLS, as clients see them.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use minutehand_testkit::{
    Cassandra, CassandraOptions, Certificates, Etcd, EtcdOptions, Kafka, KafkaOptions,
};

/// What `openssl s_client` thinks of a server; the error is what it printed. It shows a certificate
/// of its own: etcd wants one, and says so after the handshake, which fails the client or not as
/// the race between the two goes.
fn verify(address: SocketAddr, certificates: &Certificates) -> Result<(), String> {
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-verify_return_error",
        "-verify_ip",
        "127.0.0.1",
        "-connect",
    ]);
    command
        .arg(address.to_string())
        .arg("-CAfile")
        .arg(certificates.authority());
    command
        .arg("-cert")
        .arg(certificates.server_certificate())
        .arg("-key")
        .arg(certificates.server_key());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(printed)
    }
}

fn certificates(folder: &Path) -> (Certificates, Certificates) {
    let stranger = Certificates::create(&folder.join("stranger")).unwrap();
    (Certificates::create(&folder.join("own")).unwrap(), stranger)
}

fn assert_secured(address: SocketAddr, own: &Certificates, stranger: &Certificates) {
    assert_eq!(verify(address, own), Ok(()));
    let error = verify(address, stranger).unwrap_err();
    assert!(
        error.contains("verify error") || error.contains("certificate verify failed"),
        "{error}"
    );
}

#[test]
fn kafka_shows_its_certificate_and_keeps_its_open_listener() {
    let folder = tempfile::tempdir().unwrap();
    let (own, stranger) = certificates(folder.path());
    let kafka = Kafka::start(&KafkaOptions {
        secured: Some(own.clone()),
        ..KafkaOptions::default()
    })
    .unwrap();
    assert_secured(
        kafka.secured_bootstrap().unwrap().parse().unwrap(),
        &own,
        &stranger,
    );
    assert!(TcpStream::connect(kafka.bootstrap()).is_ok());
}

#[test]
fn cassandra_shows_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (own, stranger) = certificates(folder.path());
    let options = CassandraOptions {
        secured: Some(own.clone()),
        ..CassandraOptions::default()
    };
    let cassandra = Cassandra::start(&options).unwrap();
    assert_secured(cassandra.contact_points().parse().unwrap(), &own, &stranger);
}

#[test]
fn etcd_shows_its_certificate_even_one_that_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let (own, stranger) = certificates(folder.path());
    let etcd = Etcd::start(&EtcdOptions {
        secured: Some(own.clone()),
    })
    .unwrap();
    assert_eq!(
        etcd.endpoint(),
        format!("https://{}", etcd.server().address())
    );
    assert_secured(etcd.server().address(), &own, &stranger);
    let expired = Certificates::create_expired(&folder.path().join("expired")).unwrap();
    let etcd = Etcd::start(&EtcdOptions {
        secured: Some(expired.clone()),
    })
    .unwrap();
    let error = verify(etcd.server().address(), &expired).unwrap_err();
    assert!(error.contains("certificate has expired"), "{error}");
}
