//! How long servers live.

use std::io::{BufRead, BufReader, Read, stdin};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use minutehand_testkit::{Service, etcd};

/// Set for the process that is to be killed.
const VICTIM: &str = "MINUTEHAND_TESTKIT_VICTIM";
const MARK: &str = "etcd is at ";

#[test]
fn no_server_outlives_a_process_that_was_killed() {
    if std::env::var_os(VICTIM).is_some() {
        println!("{MARK}{}", etcd());
        // Until it is killed.
        drop(stdin().read(&mut [0]));
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "no_server_outlives_a_process_that_was_killed",
            "--nocapture",
        ])
        .env(VICTIM, "1")
        .env_remove(Service::Etcd.variable())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let address = lines
        .find_map(|line| Some(line.split_once(MARK)?.1.to_owned()))
        .unwrap();
    let address: SocketAddr = address.parse().unwrap();
    assert!(TcpStream::connect(address).is_ok());
    victim.kill().unwrap();
    victim.wait().unwrap();
    while TcpStream::connect(address).is_ok() {
        thread::sleep(Duration::from_millis(10));
    }
}
