//! A witness served on this machine.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sb_witness::{Client, Served, Server, ServerLimits, SubmitError, Witness};

use super::{Log, Post, at};

/// Serves while something is done, and gives what was told. What that gives is kept until nothing is served any more.
fn serving<T>(witness: &Witness, limits: ServerLimits, work: impl FnOnce(&str) -> T) -> Vec<String> {
    let server = Server::bind("127.0.0.1:0", limits).unwrap();
    let address = server.address().unwrap().to_string();
    let (stop, told) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let tell = |served: Served<'_>| {
        let text = match served {
            Served::Decided(Ok(cosigned)) => format!("cosigned {}", cosigned.head.size),
            Served::Decided(Err(error)) => error.to_string(),
            Served::Refused { status, reason } => format!("{status} {reason}"),
            Served::Broken(error) => format!("broken: {}", error.kind()),
            _ => "something else".to_owned(),
        };
        told.lock().unwrap().push(text);
    };
    /// Stops the server also where a test fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve(witness, &|| at(7), &tell, &stop));
        let stopping = Stop(&stop);
        let kept = work(&address);
        drop(stopping);
        serving.join().unwrap().unwrap();
        drop(kept);
    });
    told.into_inner().unwrap()
}

/// Sends bytes and gives all of the answer.
fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn impatient() -> ServerLimits {
    ServerLimits { patience: Duration::from_millis(700), ..ServerLimits::default() }
}

#[test]
fn a_log_gets_its_cosignatures_and_is_told_why_it_does_not() {
    let (log, fork) = (Log::new("a/1").grown(20, "main"), Log::new("a/1").grown(20, "other"));
    let stranger = Log::new("a/2").grown(1, "main");
    let there = Post::new(&[&log]);
    let witness = there.open();
    let known = [witness.verifier().clone()];
    let told = serving(&witness, ServerLimits::default(), |address| {
        let client = Client::new();
        let submit = |url: String, request| client.submit(&url, &request, &known);
        let cosignatures = submit(format!("http://{address}"), log.request(0, 8)).unwrap();
        let mut note = log.request(0, 8).note().clone();
        note.add(cosignatures[0].clone());
        assert_eq!(note.verify(&known).unwrap()[0].time, Some(at(7)));
        // Who does not know the size is told, and comes back with the right proof.
        let stale = submit(format!("http://{address}/"), log.request(0, 20)).unwrap_err();
        let SubmitError::Stale { latest: 8 } = stale else { panic!("{stale:?}") };
        assert!(submit(format!("HTTP://{address}/some/prefix"), log.request(8, 20)).is_ok());
        let other = submit(format!("http://{address}"), fork.request(20, 20)).unwrap_err();
        assert!(matches!(other, SubmitError::OtherRoot { latest: 20, .. }), "{other:?}");
        let unknown = submit(format!("http://{address}"), stranger.request(0, 1)).unwrap_err();
        let SubmitError::Refused { status: 404, reason, .. } = unknown else { panic!("{unknown:?}") };
        assert_eq!(reason, "the log `a/2` is not known here");
    });
    let expected = [
        "cosigned 8",
        "the size cosigned last is 8",
        "cosigned 20",
        "another root was cosigned at size 20",
        "the log `a/2` is not known here",
    ];
    assert_eq!(told, expected);
}

#[test]
fn answers_are_those_of_the_specification() {
    let log = Log::new("a/1").grown(20, "main");
    let there = Post::new(&[&log]);
    let witness = there.open();
    serving(&witness, ServerLimits::default(), |address| {
        let good = exchange(address, &post(&log.body(0, 8)));
        assert!(good.starts_with("HTTP/1.1 200 OK\r\nDate: Thu, 15 Jan 2026 09:06:47 GMT\r\n"), "{good}");
        assert!(good.contains("\r\n\r\n— witness.example/w1 ") && good.ends_with('\n'), "{good}");
        let stale = exchange(address, &post(&log.body(0, 8)));
        assert!(stale.starts_with("HTTP/1.1 409 Conflict\r\n"), "{stale}");
        assert!(stale.contains("\r\nContent-Type: text/x.tlog.size\r\n") && stale.ends_with("\r\n\r\n8\n"), "{stale}");
        let wrong = exchange(address, &post(b"hello"));
        assert!(wrong.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{wrong}");
        assert!(exchange(address, b"GET / HTTP/1.1\r\nHost: w\r\n\r\n").starts_with("HTTP/1.1 404 "));
        // A client that waits to be asked for the body.
        let mut stream = TcpStream::connect(address).unwrap();
        let body = log.body(8, 20);
        let head = format!(
            "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(&body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    });
}

#[test]
fn who_sends_too_much_is_told_so() {
    let log = Log::new("a/1").grown(2, "main");
    let there = Post::new(&[&log]);
    let witness = there.open();
    let told = serving(&witness, ServerLimits::default(), |address| {
        // It sends more than fits into any buffer before it listens, and still hears the answer.
        let answer = exchange(address, &post(&vec![b'x'; 4 << 20]));
        assert!(answer.starts_with("HTTP/1.1 413 Content Too Large\r\n"), "{answer}");
        let long = [b"POST /".as_slice(), &vec![b'x'; 100 << 10]].concat();
        assert!(exchange(address, &long).starts_with("HTTP/1.1 431 "));
        // What follows a request on its connection is not another.
        let twice = [post(&log.body(0, 1)), post(&log.body(1, 2))].concat();
        assert_eq!(exchange(address, &twice).matches("HTTP/1.1").count(), 1);
    });
    assert_eq!(told, ["413 the body is too long", "431 the headers are too long", "cosigned 1"]);
}

#[test]
fn slow_clients_keep_nobody_waiting() {
    let log = Log::new("a/1").grown(2, "main");
    let there = Post::new(&[&log]);
    let witness = there.open();
    let limits = ServerLimits { connections: 4, ..ServerLimits::default() };
    let told = serving(&witness, limits, |address| {
        let mut slow: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        for stream in &mut slow {
            stream.write_all(&post(&log.body(0, 1))[..60]).unwrap();
        }
        assert!(exchange(address, &post(&log.body(0, 1))).starts_with("HTTP/1.1 200 "));
        assert!(exchange(address, &post(&log.body(1, 2))).starts_with("HTTP/1.1 200 "));
        // The server also stops with clients that never finish.
        slow
    });
    assert_eq!(told[..2], ["cosigned 1", "cosigned 2"]);
    assert_eq!(told[2..], ["broken: connection aborted"; 3]);
}

#[test]
fn whoever_takes_too_long_is_shown_out() {
    let log = Log::new("a/1").grown(2, "main");
    let there = Post::new(&[&log]);
    let witness = there.open();
    // All places are taken by clients that send nothing, and one goes on after them.
    let limits = ServerLimits { connections: 2, ..impatient() };
    let told = serving(&witness, limits, |address| {
        let slow: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert!(exchange(address, &post(&log.body(0, 1))).starts_with("HTTP/1.1 200 "));
        for mut stream in slow {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        }
    });
    assert!(told.contains(&"cosigned 1".to_owned()), "{told:?}");
    assert_eq!(told.iter().filter(|told| *told == "408 the request did not arrive in time").count(), 2);
}

#[test]
fn a_client_that_hangs_up_does_no_harm() {
    let log = Log::new("a/1").grown(2, "main");
    let there = Post::new(&[&log]);
    let witness = there.open();
    let told = serving(&witness, ServerLimits::default(), |address| {
        for count in [0, 10, 90] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&post(&log.body(0, 1))[..count]).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
        }
        let mut gone = TcpStream::connect(address).unwrap();
        gone.write_all(&post(&log.body(0, 1))).unwrap();
        drop(gone);
        let asked_again = |old| exchange(address, &post(&log.body(old, 2)));
        while !asked_again(1).starts_with("HTTP/1.1 200 ") {
            thread::sleep(Duration::from_millis(10));
        }
    });
    assert!(told.contains(&"cosigned 1".to_owned()) && told.contains(&"cosigned 2".to_owned()), "{told:?}");
}

#[test]
fn many_ask_at_once() {
    let logs: Vec<Log> = (0..12).map(|n| Log::new(&format!("a/{n}")).grown(6, "main")).collect();
    let there = Post::new(&logs.iter().collect::<Vec<_>>());
    let witness = there.open();
    let known = [witness.verifier().clone()];
    let limits = ServerLimits { connections: 3, ..ServerLimits::default() };
    let told = serving(&witness, limits, |address| {
        let (client, url) = (Client::new(), format!("http://{address}"));
        thread::scope(|scope| {
            for log in &logs {
                scope.spawn(|| {
                    for size in 0..5 {
                        client.submit(&url, &log.request(size, size + 1), &known).unwrap();
                    }
                });
            }
        });
    });
    assert_eq!(told.len(), 60);
    drop(witness);
    for watched in sb_witness::Overview::read(&there.folder).unwrap().logs {
        assert_eq!(watched.latest.unwrap().head.size, 5);
    }
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let server = Server::bind("127.0.0.1:0", ServerLimits::default()).unwrap();
    assert!(Server::bind(server.address().unwrap(), ServerLimits::default()).is_err());
}
