//! Kafka as tests use it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use minutehand_testkit::{Kafka, KafkaOptions};

/// Sends a request of Kafka's protocol and answers what comes back behind the correlation id.
fn ask(address: SocketAddr, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(7_i32.to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend(body);
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer[..4], 7_i32.to_be_bytes());
    Ok(answer.split_off(4))
}

/// ApiVersions, version 0: an error code and what the broker speaks.
fn api_versions(address: SocketAddr) -> io::Result<Vec<u8>> {
    ask(address, 18, 0, &[])
}

/// The ports that the brokers tell a client, which asks at one of them (Metadata, version 1, no
/// topics).
fn advertised_ports(address: SocketAddr) -> Vec<u16> {
    let answer = ask(address, 3, 1, &0_i32.to_be_bytes()).unwrap();
    let mut rest = answer.as_slice();
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at(count);
        rest = left;
        taken.to_vec()
    };
    let count = i32::from_be_bytes(take(4).try_into().unwrap());
    (0..count)
        .map(|_| {
            take(4);
            let length = i16::from_be_bytes(take(2).try_into().unwrap());
            take(length.try_into().unwrap());
            let port = i32::from_be_bytes(take(4).try_into().unwrap());
            let rack = i16::from_be_bytes(take(2).try_into().unwrap());
            take(rack.try_into().unwrap_or(0));
            u16::try_from(port).unwrap()
        })
        .collect()
}

#[test]
fn a_broker_that_was_killed_comes_back_on_its_port() {
    let kafka = Kafka::start(&KafkaOptions {
        proxied_listeners: 1,
        ..KafkaOptions::default()
    })
    .unwrap();
    let broker = &kafka.brokers()[0];
    assert_eq!(kafka.bootstrap(), broker.address().to_string());
    assert_eq!(api_versions(broker.address()).unwrap()[..2], [0, 0]);
    assert_eq!(
        advertised_ports(broker.address()),
        [broker.address().port()]
    );

    let proxy = &kafka.proxies(0)[0];
    assert_eq!(
        kafka.proxied_bootstrap(0),
        Some(proxy.address().to_string())
    );
    assert_eq!(advertised_ports(proxy.address()), [proxy.address().port()]);
    proxy.cut();
    assert!(api_versions(proxy.address()).is_err());
    assert!(api_versions(broker.address()).is_ok());
    proxy.heal();

    broker.kill().unwrap();
    assert!(api_versions(broker.address()).is_err());
    broker.start().unwrap();
    assert!(api_versions(broker.address()).is_ok());
    assert!(api_versions(proxy.address()).is_ok());
    broker.stop().unwrap();
    assert!(!broker.is_running());
}

#[test]
fn a_broker_with_a_full_disk_ends_and_returns_with_room() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let broker = &kafka.brokers()[0];
    broker.fill_disk().unwrap();
    // It writes by itself, to the log of its metadata.
    while broker.is_running() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    broker.free_disk().unwrap();
    assert!(api_versions(broker.address()).is_ok());
}

#[test]
fn three_brokers_know_each_other() {
    let kafka = Kafka::start(&KafkaOptions {
        brokers: 3,
        ..KafkaOptions::default()
    })
    .unwrap();
    let ports: Vec<u16> = kafka
        .brokers()
        .iter()
        .map(|broker| broker.address().port())
        .collect();
    for broker in kafka.brokers() {
        let mut told = advertised_ports(broker.address());
        told.sort_unstable();
        let mut expected = ports.clone();
        expected.sort_unstable();
        assert_eq!(told, expected, "{}", broker.name());
    }
}
