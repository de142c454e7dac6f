//! What an operator is told when a process cannot begin.

use etcd_client::{Client, Permission, PermissionType};
use minutehand_etcd::{Directory, EtcdConfig, EtcdCoordinator, StartError};
use minutehand_model::PartitionId;
use minutehand_settings::{ClientTls, Login, Secret};
use minutehand_testkit::{Certificates, Etcd, EtcdOptions};

use crate::support::{PARTITIONS, acquire, assigned, config, config_at, member, start};

async fn refused(config: &EtcdConfig) -> StartError {
    match EtcdCoordinator::start(config, &member("node", 2_000), PARTITIONS).await {
        Ok(_) => panic!("this must be refused"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_process_with_another_number_of_partitions_is_refused() {
    let config = config();
    let _node = start(&config, "node").await;
    let error = EtcdCoordinator::start(&config, &member("other", 2_000), 8)
        .await
        .err()
        .expect("16, not 8");
    let words = error.to_string();
    assert!(
        words.contains("has 16 partitions") && words.contains("configured for 8"),
        "{words}"
    );
    assert!(matches!(
        Directory::open(&config, 8).await,
        Err(StartError::PartitionCount { .. })
    ));
}

#[tokio::test]
async fn an_etcd_that_is_not_there_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let words = refused(&config_at(&address)).await.to_string();
    assert!(
        words.contains(&address) && words.contains("nobody listens there"),
        "{words}"
    );
}

#[tokio::test]
async fn one_endpoint_of_two_is_enough() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let config = config();
    let endpoints = [vec![nobody], config.endpoints.clone()].concat();
    let node = start(
        &EtcdConfig {
            endpoints,
            ..config
        },
        "node",
    )
    .await;
    assigned(&node, 16).await;
    acquire(&node, PartitionId::own(0)).await;
}

#[tokio::test]
async fn a_wrong_password_and_none_at_all_are_told_apart() {
    let etcd = Etcd::start(&EtcdOptions::default()).unwrap();
    let open = config_at(&etcd.endpoint());
    let mut client = Client::connect(&open.endpoints, None).await.unwrap();
    for user in ["root", "scheduler"] {
        client.role_add(user).await.unwrap();
        client.user_add(user, "right", None).await.unwrap();
        client.user_grant_role(user, user).await.unwrap();
    }
    let ours = format!("{}/{}/", open.prefix, open.region);
    let ours = Permission::new(PermissionType::Readwrite, ours).with_prefix();
    client
        .role_grant_permission("scheduler", ours)
        .await
        .unwrap();
    client.auth_enable().await.unwrap();

    let words = refused(&open).await.to_string();
    assert!(
        words.contains("asks for a user name and a password"),
        "{words}"
    );
    let wrong = EtcdConfig {
        login: Login::new("scheduler", Secret::new("wrong")),
        ..open.clone()
    };
    let words = refused(&wrong).await.to_string();
    assert!(
        words.contains("the user name or the password is wrong"),
        "{words}"
    );
    let right = EtcdConfig {
        login: Login::new("scheduler", Secret::new("right")),
        ..open
    };
    let elsewhere = EtcdConfig {
        prefix: "/elsewhere".to_owned(),
        ..right.clone()
    };
    let words = refused(&elsewhere).await.to_string();
    assert!(
        words.contains("the user may not use the region's keys"),
        "{words}"
    );
    let node = start(&right, "node").await;
    assigned(&node, 16).await;
    acquire(&node, PartitionId::own(0)).await;
    node.shutdown().await;
}

#[tokio::test]
async fn certificates_are_checked_and_what_is_wrong_with_them_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let valid = Certificates::create(&folder.path().join("valid")).unwrap();
    let etcd = Etcd::start(&EtcdOptions {
        secured: Some(valid.clone()),
    })
    .unwrap();
    // etcd asks for a certificate of its authority, and takes its own for one.
    let trusting = |authority, config| EtcdConfig {
        tls: ClientTls {
            enabled: true,
            ca_file: Some(authority),
            cert_file: Some(valid.server_certificate()),
            key_file: Some(valid.server_key()),
        },
        ..config
    };
    let config = trusting(valid.authority(), config_at(&etcd.endpoint()));
    let node = start(&config, "node").await;
    assigned(&node, 16).await;
    acquire(&node, PartitionId::own(0)).await;

    let other = Certificates::create(&folder.path().join("other")).unwrap();
    let words = refused(&trusting(other.authority(), config.clone()))
        .await
        .to_string();
    assert!(
        words.contains("not issued by the configured authority"),
        "{words}"
    );
    let absent = folder.path().join("absent.pem");
    let words = refused(&trusting(absent, config)).await.to_string();
    assert!(words.contains("absent.pem"), "{words}");

    let expired = Certificates::create_expired(&folder.path().join("expired")).unwrap();
    let etcd = Etcd::start(&EtcdOptions {
        secured: Some(expired.clone()),
    })
    .unwrap();
    let config = trusting(expired.authority(), config_at(&etcd.endpoint()));
    let words = refused(&config).await.to_string();
    assert!(words.contains("a certificate has expired"), "{words}");
}
