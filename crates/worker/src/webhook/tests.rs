//! Server-side request forgery: what a webhook must never reach.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use minutehand_model::{
    Backoff, DeliveryToken, Epoch, Execution, ExecutionId, LogOffset, MessageId, Namespace,
    PartitionId, QueueName, RetryPolicy, Task, TaskId, Timestamp,
};
use reqwest::dns::Resolve;
use tokio::net::TcpListener;

use super::address::{BoundedResolver, NotPublic, Reach, is_public};
use super::endpoints::Endpoints;
use super::lookup::Lookup;
use super::{URL_HEADER, WebhookConfig, WebhookExecutor};
use crate::handler::{Handler, Verdict};
use crate::run::Run;

/// A name and what one look-up of it answers.
type Answer = (&'static str, Vec<&'static str>);

/// Names with the answers that a look-up gives, one after the other; the last one stays.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<Answer>>>);

impl Names {
    fn of(answers: &[(&'static str, &[&'static str])]) -> Names {
        Names(Arc::new(Mutex::new(
            answers
                .iter()
                .map(|(name, found)| (*name, found.to_vec()))
                .collect(),
        )))
    }
}

impl Lookup for Names {
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap();
        let matching: Vec<usize> = (0..answers.len())
            .filter(|index| answers[*index].0 == name)
            .collect();
        let found = match matching[..] {
            [] => Err(io::Error::other("no such name")),
            [only] => Ok(answers[only].1.clone()),
            [first, ..] => Ok(answers.remove(first).1),
        };
        let found = found.map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect());
        Box::pin(async move { found })
    }
}

fn run_to(url: &str) -> Run {
    let due = Timestamp::from_millis(1_790_000_000_000);
    let task = Task {
        payload: bytes::Bytes::from_static(b"{}"),
        headers: vec![(URL_HEADER.to_owned(), url.to_owned())],
        retry: RetryPolicy {
            backoff: Backoff::None,
            ..RetryPolicy::default()
        },
        ..Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse("a").unwrap(),
            QueueName::parse("hooks").unwrap(),
            due,
        )
    };
    let execution = Execution {
        id: ExecutionId::of(&task),
        message: MessageId::of(&task),
        task,
        published_at: due,
        partition: PartitionId::own(0),
        epoch: Epoch(1),
        token: DeliveryToken::default(),
        offset: LogOffset::START,
    };
    Run::new(execution, due)
}

/// URLs that must not lead to a connection. `PORT` is the port of a server that listens on the
/// loopback.
const FORBIDDEN: [&str; 94] = [
    // The loopback, in every spelling.
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.255.255.254:PORT/",
    "http://0x7f.1:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0.0.0x1:PORT/",
    "http://2130706433:PORT/",
    "http://017700000001:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.1:PORT/",
    "http://00000177.0.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127。0。0。1:PORT/",
    "http://①②⑦.0.0.1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127.0.0.1%2e:PORT/",
    "http:127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    "HTTP://127.0.0.1:PORT/",
    " http://127.0.0.1:PORT/ ",
    "ht\ntp://127.0.0.1:PORT/",
    "http://127.0.\t0.1:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://sub.localhost:PORT/",
    "http://loopback.example:PORT/",
    "http://loopback6.example:PORT/",
    // Nowhere.
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://0x0:PORT/",
    "http://[::]:PORT/",
    // IPv4 inside IPv6.
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b::169.254.169.254]:PORT/",
    "http://[64:ff9b:1::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2002:a9fe:a9fe::]:PORT/",
    "http://[2001:0:7f00:1::]:PORT/",
    "http://mapped.example:PORT/",
    "http://nat64.example:PORT/",
    // Private, link-local, shared and special networks.
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://100.64.0.1/",
    "http://100.127.255.255/",
    "http://168.63.129.16/",
    "http://[2001:470:1::5efe:7f00:1]/",
    "http://[2a00:1:2:3:200:5efe:a9fe:a9fe]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.0.1/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://[fd00:ec2::254]/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.0.0.8/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://192.168.0.1/",
    "http://192.168.1.1:443/",
    "http://198.18.0.1/",
    "http://198.19.255.255/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[fc00::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://private.example/",
    "http://mixed.example:PORT/",
    // Disguises: what looks like a host is a user name.
    "http://example.org@127.0.0.1:PORT/",
    "http://user@example.org@127.0.0.1:PORT/",
    "http://user:password@example.org/",
    // Other schemes and other ports.
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/_GET",
    "ftp://127.0.0.1:PORT/",
    "unix:///var/run/docker.sock",
    "http://8.8.8.8:25/",
];

#[tokio::test]
async fn no_connection_is_made_to_what_is_not_public() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let names = Names::of(&[
        ("localhost", &["127.0.0.1", "::1"]),
        ("localhost.", &["127.0.0.1"]),
        ("sub.localhost", &["127.0.0.1"]),
        ("loopback.example", &["127.0.0.1"]),
        ("loopback6.example", &["::1"]),
        ("mapped.example", &["::ffff:127.0.0.1"]),
        ("nat64.example", &["64:ff9b::7f00:1"]),
        ("private.example", &["10.1.2.3", "192.168.3.4", "fd00::1"]),
        ("mixed.example", &["93.184.216.34", "127.0.0.1"]),
    ]);
    let config = WebhookConfig {
        ports: vec![80, 443, port],
        ..WebhookConfig::default()
    };
    let executor = WebhookExecutor::with_lookup(config, names).unwrap();
    for url in FORBIDDEN {
        let url = url.replace("PORT", &port.to_string());
        let verdict = executor.run(run_to(&url)).await;
        let Verdict::Discard { reason } = &verdict else {
            panic!("{url:?}: {verdict:?}")
        };
        assert!(!reason.contains("password@"), "{reason}");
        let tells = ["10.1.2.3", "192.168.3.4", "fd00::1"]
            .iter()
            .any(|address| reason.contains(address));
        assert!(!tells, "{reason} tells what a private name's addresses are");
    }
    tokio::select! {
        biased;
        connected = listener.accept() => panic!("somebody connected: {connected:?}"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn a_private_server_is_reached_where_that_is_allowed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!(
        "http://loopback.example:{}/",
        listener.local_addr().unwrap().port()
    );
    let config = WebhookConfig {
        private_networks: true,
        ..WebhookConfig::default()
    };
    let names = Names::of(&[("loopback.example", &["127.0.0.1"])]);
    let executor = WebhookExecutor::with_lookup(config, names).unwrap();
    tokio::select! {
        verdict = executor.run(run_to(&url)) => panic!("nobody answered, and yet: {verdict:?}"),
        connected = listener.accept() => drop(connected.unwrap()),
    }
}

#[tokio::test]
async fn a_network_that_is_allowed_is_reached_on_allowed_ports_only() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let names = Names::of(&[("inside.example", &["127.0.0.1", "127.0.0.1"])]);
    let config = WebhookConfig {
        ports: vec![port],
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        ..WebhookConfig::default()
    };
    let executor = WebhookExecutor::with_lookup(config, names).unwrap();
    for url in [
        "http://10.9.9.9:PORT/",
        "http://[::1]:PORT/",
        "http://127.0.0.1:1/",
    ] {
        let verdict = executor
            .run(run_to(&url.replace("PORT", &port.to_string())))
            .await;
        assert!(
            matches!(verdict, Verdict::Discard { .. }),
            "{url}: {verdict:?}"
        );
    }
    tokio::select! {
        verdict = executor.run(run_to(&format!("http://inside.example:{port}/"))) => panic!("{verdict:?}"),
        connected = listener.accept() => drop(connected.unwrap()),
    }
}

#[tokio::test]
async fn a_network_of_one_name_is_reached_by_no_other() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("endpoints.toml");
    let entry = format!(
        "[[endpoint]]\nhost = \"billing.example\"\nports = [{port}]\nallow_cidrs = [\"127.0.0.0/8\"]\n"
    );
    std::fs::write(&file, entry).unwrap();
    let config = WebhookConfig {
        endpoints_file: Some(file),
        ..WebhookConfig::default()
    };
    let names = Names::of(&[
        ("billing.example", &["127.0.0.1"]),
        ("other.example", &["127.0.0.1"]),
    ]);
    let executor = WebhookExecutor::with_lookup(config, names).unwrap();
    for url in [
        "http://other.example/",
        "http://other.example:PORT/",
        "http://billing.example/",
        "http://127.0.0.1:PORT/",
    ] {
        let url = url.replace("PORT", &port.to_string());
        let verdict = executor.run(run_to(&url)).await;
        assert!(
            matches!(verdict, Verdict::Discard { .. }),
            "{url}: {verdict:?}"
        );
    }
    tokio::select! {
        verdict = executor.run(run_to(&format!("http://billing.example:{port}/"))) => panic!("{verdict:?}"),
        connected = listener.accept() => drop(connected.unwrap()),
    }
}

#[tokio::test]
async fn a_name_that_is_not_found_is_tried_again_later() {
    let executor =
        WebhookExecutor::with_lookup(WebhookConfig::default(), Names::default()).unwrap();
    let verdict = executor.run(run_to("http://gone.example/")).await;
    assert_eq!(verdict, Verdict::failure("could not connect: no such name"));
}

async fn resolved(resolver: &BoundedResolver<Names>, name: &str) -> Result<Vec<String>, NotPublic> {
    match resolver.resolve(name.parse().unwrap()).await {
        Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
        Err(error) => Err(*error.downcast::<NotPublic>().unwrap()),
    }
}

#[tokio::test]
async fn every_look_up_is_checked_anew() {
    let names = Names::of(&[
        ("rebinding.example", &["93.184.216.34"]),
        ("rebinding.example", &["127.0.0.1"]),
        ("both.example", &["10.0.0.1", "93.184.216.34", "::1"]),
        ("none.example", &[]),
    ]);
    let endpoints = Endpoints::new(None).unwrap();
    let resolver = BoundedResolver::new(names, Reach::default(), Arc::new(endpoints));
    assert_eq!(
        resolved(&resolver, "rebinding.example").await.unwrap(),
        ["93.184.216.34"]
    );
    assert!(resolved(&resolver, "rebinding.example").await.is_err());
    assert!(
        resolved(&resolver, "both.example").await.is_err(),
        "one public address excuses no private one"
    );
    assert!(resolved(&resolver, "none.example").await.is_err());
}

#[test]
fn public_addresses_are_public() {
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:2800:220:1::1",
        "2606:2800:220:1::5eff:1:1",
        "168.63.129.17",
        "2a00::1",
        "3ffe::1",
    ] {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}
