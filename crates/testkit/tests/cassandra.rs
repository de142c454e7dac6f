//! Cassandra as tests use it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use minutehand_testkit::{Cassandra, CassandraOptions};

const STARTUP: u8 = 1;
const READY: u8 = 2;
const AUTHENTICATE: u8 = 3;
const QUERY: u8 = 7;
const RESULT: u8 = 8;

/// A connection that speaks as much CQL (version 4 of its protocol) as these tests need.
struct Cql(TcpStream);

impl Cql {
    fn connect(address: SocketAddr) -> Cql {
        let mut cql = Cql(TcpStream::connect(address).unwrap());
        let mut options = 1_u16.to_be_bytes().to_vec();
        for text in ["CQL_VERSION", "3.0.0"] {
            options.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            options.extend(text.bytes());
        }
        let (code, _) = cql.ask(STARTUP, &options).unwrap();
        assert!(matches!(code, READY | AUTHENTICATE), "{code}");
        cql
    }

    fn ask(&mut self, code: u8, body: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        let mut frame = vec![4, 0, 0, 0, code];
        frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        frame.extend(body);
        self.0.write_all(&frame)?;
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let mut answer = vec![0; u32::from_be_bytes(head[5..].try_into().unwrap()) as usize];
        self.0.read_exact(&mut answer)?;
        Ok((head[4], answer))
    }

    /// Runs a statement; the answer is the raw result.
    fn run(&mut self, statement: &str) -> Vec<u8> {
        let (code, answer) = self.try_run(statement).unwrap();
        assert_eq!(
            code,
            RESULT,
            "{statement}: {}",
            String::from_utf8_lossy(&answer)
        );
        answer
    }

    /// Runs a statement; the answer is what kind it is, and its body.
    fn try_run(&mut self, statement: &str) -> io::Result<(u8, Vec<u8>)> {
        let mut body = u32::try_from(statement.len())
            .unwrap()
            .to_be_bytes()
            .to_vec();
        body.extend(statement.bytes());
        // Consistency ONE and no flags.
        body.extend([0, 1, 0]);
        self.ask(QUERY, &body)
    }

    fn finds(&mut self, statement: &str, text: &str) -> bool {
        self.run(statement)
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }
}

#[test]
fn an_acknowledged_row_survives_a_kill_where_writes_are_durable() {
    let cassandra = Cassandra::start(&CassandraOptions {
        durable: true,
        ..CassandraOptions::default()
    })
    .unwrap();
    let node = &cassandra.nodes()[0];
    assert_eq!(cassandra.contact_points(), node.address().to_string());
    let mut cql = Cql::connect(node.address());
    cql.run("CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1}");
    cql.run("CREATE TABLE k.t (a text PRIMARY KEY, b text)");
    cql.run("INSERT INTO k.t (a, b) VALUES ('one', 'the written value')");
    node.kill().unwrap();
    node.start().unwrap();
    let mut cql = Cql::connect(node.address());
    assert!(cql.finds("SELECT b FROM k.t WHERE a = 'one'", "the written value"));
}

#[test]
fn a_node_with_a_full_disk_acknowledges_and_loses_nothing() {
    let cassandra = Cassandra::start(&CassandraOptions {
        durable: true,
        ..CassandraOptions::default()
    })
    .unwrap();
    let node = &cassandra.nodes()[0];
    let mut cql = Cql::connect(node.address());
    cql.run("CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1}");
    cql.run("CREATE TABLE k.t (a text PRIMARY KEY, b text)");
    cql.run("INSERT INTO k.t (a, b) VALUES ('one', 'the written value')");
    node.fill_disk().unwrap();
    let written = cql.try_run("INSERT INTO k.t (a, b) VALUES ('two', 'never promised')");
    assert!(!written.is_ok_and(|(code, _)| code == RESULT));
    // The node runs, and has stopped listening.
    while TcpStream::connect(node.address()).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(node.is_running());
    node.free_disk().unwrap();
    let mut cql = Cql::connect(node.address());
    assert!(cql.finds("SELECT b FROM k.t WHERE a = 'one'", "the written value"));
}

#[test]
fn two_datacenters_see_each_other_and_clients_see_the_proxies() {
    let options = CassandraOptions {
        nodes: 2,
        datacenters: 2,
        proxied: true,
        ..CassandraOptions::default()
    };
    let cassandra = Cassandra::start(&options).unwrap();
    let [one, two] = cassandra.nodes() else {
        panic!("two nodes")
    };
    assert_eq!(one.address().port(), two.address().port());
    let mut cql = Cql::connect(one.address());
    assert!(cql.finds("SELECT data_center FROM system.local", "dc1"));
    assert!(cql.finds("SELECT data_center FROM system.peers_v2", "dc2"));
    let mut cql = Cql::connect(cassandra.proxies()[1].address());
    assert!(cql.finds("SELECT data_center FROM system.local", "dc2"));
    assert!(cql.finds(
        "SELECT native_address FROM system.peers_v2",
        "\u{7f}\0\u{1}\u{1}"
    ));
}
