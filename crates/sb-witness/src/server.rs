//! Serving a witness: a few threads, each with one connection at a time, each connection with one request and a deadline.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::http::{Fault, Head, parse_head, render};
use crate::witness::{Answer, CosignError, Cosigned, Witness};

/// How soon a server notices that it is to stop.
const ATTENTION: Duration = Duration::from_millis(100);
/// How long a client may take to notice that it was answered before it had sent everything.
const FAREWELL: Duration = Duration::from_secs(1);
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How much a server takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time; others wait. 16 unless set.
    pub connections: usize,
    /// From accepting a connection to having all of the request, and from there to having sent the answer: 10 seconds each
    /// unless set.
    pub patience: Duration,
    /// The longest body: 1 MiB unless set.
    pub body_bytes_max: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { connections: 16, patience: Duration::from_secs(10), body_bytes_max: 1 << 20 }
    }
}

/// What became of a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Served<'a> {
    /// The witness has decided about a request, and was to answer this.
    Decided(&'a Result<Cosigned, CosignError>),
    /// It was no request to a witness, and was answered with this status.
    Refused {
        /// The status.
        status: u16,
        /// Why.
        reason: &'a str,
    },
    /// The connection broke, before or after what [`Decided`](Self::Decided) told.
    Broken(&'a io::Error),
}

/// A server for a witness. It speaks HTTP without TLS: between it and other machines belongs a proxy that does.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    limits: ServerLimits,
}

impl Server {
    /// Listens at an address; port 0 is any that is free.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind(address: impl ToSocketAddrs, limits: ServerLimits) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address)?, limits })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is set. Requests that have arrived are answered then; those still arriving are not.
    /// What becomes of each is told to `tell`, by several threads.
    ///
    /// # Errors
    /// Those of the system, before anything is served.
    pub fn serve(
        &self,
        witness: &Witness,
        clock: &(dyn Fn() -> DateTime<Utc> + Sync),
        tell: &(dyn Fn(Served<'_>) + Sync),
        stop: &AtomicBool,
    ) -> io::Result<()> {
        let address = reachable(self.address()?);
        let desk = Desk { witness, clock, tell, stop, limits: self.limits };
        thread::scope(|scope| {
            for _ in 0..self.limits.connections.max(1) {
                scope.spawn(|| self.work(&desk));
            }
            while !desk.is_closing() {
                thread::sleep(ATTENTION);
            }
            // Each thread sees that it is to stop when it has the next connection, so it gets one.
            for _ in 0..self.limits.connections.max(1) {
                let _ = TcpStream::connect_timeout(&address, ATTENTION);
            }
        });
        Ok(())
    }

    fn work(&self, desk: &Desk<'_>) {
        loop {
            let accepted = self.listener.accept();
            if desk.is_closing() {
                return;
            }
            match accepted.and_then(|(stream, _)| desk.serve(stream)) {
                Ok(()) => {}
                Err(error) => {
                    (desk.tell)(Served::Broken(&error));
                    // A system that has no more connections to give will not have one at once.
                    if !is_of_the_client(&error) {
                        thread::sleep(ATTENTION);
                    }
                }
            }
        }
    }
}

/// Where to reach who listens at an address that may stand for all of the machine's.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(host) if host.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(host) if host.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof | WouldBlock)
}

/// What serving a connection needs.
struct Desk<'a> {
    witness: &'a Witness,
    clock: &'a (dyn Fn() -> DateTime<Utc> + Sync),
    tell: &'a (dyn Fn(Served<'_>) + Sync),
    stop: &'a AtomicBool,
    limits: ServerLimits,
}

/// Why there is no request.
enum Missing {
    /// It is one that is not served.
    Fault(Fault),
    /// The connection broke, or the server is to stop.
    Broken(io::Error),
}

impl From<Fault> for Missing {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Missing {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Desk<'_> {
    fn is_closing(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_write_timeout(Some(self.limits.patience))?;
        let answer = match self.receive(&mut stream) {
            Ok(body) => {
                let decided = self.witness.cosign(&body, (self.clock)());
                (self.tell)(Served::Decided(&decided));
                Answer::to(&decided)
            }
            Err(Missing::Fault(fault)) => {
                (self.tell)(Served::Refused { status: fault.status, reason: fault.text });
                fault.answer()
            }
            Err(Missing::Broken(error)) => return Err(error),
        };
        stream.write_all(&render(&answer, (self.clock)()))?;
        part(&mut stream)
    }

    /// The body of the request.
    fn receive(&self, stream: &mut TcpStream) -> Result<Vec<u8>, Missing> {
        let deadline = Instant::now() + self.limits.patience;
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(head) = parse_head(&bytes, self.limits.body_bytes_max)? {
                break head;
            }
            self.read_more(stream, &mut bytes, deadline)?;
        };
        let Head { len, body, waits } = head;
        if waits && bytes.len() == len && body > 0 {
            stream.write_all(CONTINUE)?;
        }
        while bytes.len() - len < body {
            self.read_more(stream, &mut bytes, deadline)?;
        }
        bytes.drain(..len);
        bytes.truncate(body);
        Ok(bytes)
    }

    /// Reads what has arrived, waiting for the first of it.
    fn read_more(&self, stream: &mut TcpStream, bytes: &mut Vec<u8>, deadline: Instant) -> Result<(), Missing> {
        let mut buffer = [0; 16 << 10];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::TIMEOUT.into());
            }
            if self.is_closing() {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into());
            }
            stream.set_read_timeout(Some(left.min(ATTENTION)))?;
            match stream.read(&mut buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => {
                    bytes.extend(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// Ends a connection so that the answer arrives: to close it with bytes unread would take the answer back.
fn part(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + FAREWELL;
    let mut buffer = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It has its answer, or does not want it.
            Err(_) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_here() {
        for (listens, reached) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("[fe80::1%2]:1", "[fe80::1%2]:1"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
