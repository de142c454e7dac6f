//! A TCP proxy that breaks connections on demand, for tests of faults in the network.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much is read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// How many chunks of a direction may be on their way; then the sender is no longer read from.
const CHUNKS_MAX: usize = 512;

/// A listener that passes every connection on to one target. Dropping it closes all of them.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    weather: Weather,
    delay: Duration,
    connections: Vec<Weak<Connection>>,
    // Counts the cuts, so that who waits through one notices.
    cuts: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Weather {
    #[default]
    Fair,
    Cut,
    Blackhole,
    Over,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
}

impl Connection {
    fn close(&self) {
        // A closed one stays closed.
        drop(self.client.shutdown(Shutdown::Both));
        drop(self.server.shutdown(Shutdown::Both));
    }
}

impl Proxy {
    /// Listens on an address (port 0: any free one) and passes connections on to a target.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(listen: SocketAddr, target: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Proxy {
            address,
            shared,
            accepting: Some(accepting),
        })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections, and from now on every new one as soon as it was taken, until
    /// [`Proxy::heal`].
    pub fn cut(&self) {
        self.change(|state| {
            state.weather = Weather::Cut;
            state.close_all();
        });
    }

    /// Closes all connections once; new ones work.
    pub fn reset(&self) {
        self.change(State::close_all);
    }

    /// Passes nothing on any more, in either direction, and closes nothing: new connections are
    /// taken and get no answer. What was sent meanwhile arrives after [`Proxy::heal`].
    pub fn blackhole(&self) {
        self.change(|state| state.weather = Weather::Blackhole);
    }

    /// From now on everything takes this much longer in each direction; the throughput stays.
    pub fn delay(&self, delay: Duration) {
        self.change(|state| state.delay = delay);
    }

    /// As it was in the beginning: nothing cut, held or delayed.
    pub fn heal(&self) {
        self.change(|state| {
            state.weather = Weather::Fair;
            state.delay = Duration::ZERO;
        });
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.shared
            .state()
            .connections
            .iter()
            .filter(|connection| connection.strong_count() > 0)
            .count()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state());
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|state| {
            state.weather = Weather::Over;
            state.close_all();
        });
        // Wakes the thread that accepts; when that has ended, nothing answers.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

impl State {
    fn close_all(&mut self) {
        self.cuts += 1;
        for connection in self
            .connections
            .drain(..)
            .filter_map(|connection| connection.upgrade())
        {
            connection.close();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while nothing passes; `false` when a cut came meanwhile.
    fn wait_fair(&self, cuts: u64) -> bool {
        let mut state = self.state();
        while state.weather == Weather::Blackhole && state.cuts == cuts {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.weather == Weather::Fair && state.cuts == cuts
    }

    /// Waits until a time has come; `false` when a cut came first. A delay that was healed is
    /// waited out, so that the order of the bytes is kept.
    fn wait_until(&self, due: Instant, cuts: u64) -> bool {
        let mut state = self.state();
        while state.cuts == cuts {
            let Some(left) = due
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
            else {
                return true;
            };
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        false
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let (weather, cuts) = {
            let state = shared.state();
            (state.weather, state.cuts)
        };
        match (weather, client) {
            (Weather::Over, _) => return,
            // A client that has gone again is no reason to stop; neither is a full table of files.
            (Weather::Cut, _) | (_, Err(_)) => {}
            (Weather::Fair | Weather::Blackhole, Ok(client)) => {
                let shared = Arc::clone(shared);
                thread::spawn(move || serve(client, &shared, cuts));
            }
        }
    }
}

fn serve(client: TcpStream, shared: &Arc<Shared>, cuts: u64) {
    if !shared.wait_fair(cuts) {
        return;
    }
    let Ok(server) = TcpStream::connect(shared.target) else {
        return;
    };
    // Small writes are not to wait for each other here: that would be a delay nobody asked for.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let connection = Arc::new(Connection { client, server });
    {
        let mut state = shared.state();
        if state.cuts != cuts {
            connection.close();
            return;
        }
        state
            .connections
            .retain(|connection| connection.strong_count() > 0);
        state.connections.push(Arc::downgrade(&connection));
    }
    thread::scope(|scope| {
        for (from, to) in [
            (&connection.client, &connection.server),
            (&connection.server, &connection.client),
        ] {
            let (sender, receiver) = sync_channel(CHUNKS_MAX);
            scope.spawn(move || receive(from, shared, &sender));
            scope.spawn(move || {
                pass_on(&receiver, to, shared, cuts);
                // The other direction may go on.
                drop(to.shutdown(Shutdown::Write));
                // Where it cannot be written to, it need not be read from.
                drop(from.shutdown(Shutdown::Read));
            });
        }
    });
}

fn receive(mut from: &TcpStream, shared: &Shared, chunks: &SyncSender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let due = Instant::now() + shared.state().delay;
        if chunks.send((due, buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}

fn pass_on(chunks: &Receiver<(Instant, Vec<u8>)>, mut to: &TcpStream, shared: &Shared, cuts: u64) {
    for (due, chunk) in chunks {
        if !shared.wait_until(due, cuts) || !shared.wait_fair(cuts) || to.write_all(&chunk).is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    /// Answers every byte with the same.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        address
    }

    fn proxied() -> (Proxy, TcpStream) {
        let proxy = Proxy::start(ANY.into(), echo()).unwrap();
        let stream = TcpStream::connect(proxy.address()).unwrap();
        (proxy, stream)
    }

    fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(bytes)?;
        let mut answer = vec![0; bytes.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn bytes_pass_in_order_in_both_directions() {
        let (_proxy, mut stream) = proxied();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut writing = stream.try_clone().unwrap();
        let sent = bytes.clone();
        let writer = thread::spawn(move || {
            writing.write_all(&sent).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        writer.join().unwrap();
        assert!(answer == bytes);
    }

    #[test]
    fn a_cut_closes_what_is_open_and_what_comes_until_it_is_healed() {
        let (proxy, mut stream) = proxied();
        assert_eq!(exchange(&mut stream, b"one").unwrap(), b"one");
        proxy.cut();
        assert!(exchange(&mut stream, b"two").is_err());
        let mut next = TcpStream::connect(proxy.address()).unwrap();
        assert!(exchange(&mut next, b"three").is_err());
        proxy.heal();
        let mut next = TcpStream::connect(proxy.address()).unwrap();
        assert_eq!(exchange(&mut next, b"four").unwrap(), b"four");
    }

    #[test]
    fn what_falls_into_a_black_hole_arrives_when_it_is_healed() {
        let (proxy, mut stream) = proxied();
        assert_eq!(exchange(&mut stream, b"one").unwrap(), b"one");
        proxy.blackhole();
        stream.write_all(b"two").unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
            "{error}"
        );
        let mut next = TcpStream::connect(proxy.address()).unwrap();
        next.write_all(b"three").unwrap();
        proxy.heal();
        stream.set_read_timeout(None).unwrap();
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"two");
        let mut answer = [0; 5];
        next.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"three");
    }

    #[test]
    fn a_delay_is_felt_on_the_way_there_and_on_the_way_back() {
        let (proxy, mut stream) = proxied();
        proxy.delay(Duration::from_millis(40));
        let started = Instant::now();
        assert_eq!(exchange(&mut stream, b"one").unwrap(), b"one");
        // Twice the delay is the least: that is the promise, not a measurement.
        assert!(started.elapsed() >= Duration::from_millis(80));
    }

    #[test]
    fn the_end_of_the_proxy_ends_its_connections() {
        let (proxy, mut stream) = proxied();
        assert_eq!(exchange(&mut stream, b"one").unwrap(), b"one");
        assert_eq!(proxy.connection_count(), 1);
        let address = proxy.address();
        drop(proxy);
        assert!(exchange(&mut stream, b"two").is_err());
        assert!(TcpStream::connect(address).is_err());
    }
}
