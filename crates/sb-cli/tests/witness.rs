//! `sb witness`: a witness that another program asks, by HTTP and with files.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{Ran, World, json, of_type, ran, sh};
use sb_core::audit::{AddCheckpoint, Checkpoint, NoteSigner, TreeHead, VerifierKey, parse_cosignatures};
use sb_core::crypto::{Digest, SigningKey, TreeHasher, consistency_proof, leaf_hash};
use sb_core::witness::{Client, SubmitError};

/// A log whose owner signs whatever he likes.
struct Log {
    signer: NoteSigner,
    leaves: Vec<Digest>,
}

impl Log {
    fn new(branch: &str) -> Self {
        let signer = NoteSigner::new("firm.example/log-1", SigningKey::from_seed(&[7; 32])).unwrap();
        let leaves = (0..20).map(|n| leaf_hash(format!("{} {n}", if n < 5 { "main" } else { branch }).as_bytes()));
        Self { signer, leaves: leaves.collect() }
    }

    fn request(&self, old: usize, new: usize) -> AddCheckpoint {
        let mut tree = TreeHasher::new();
        tree.extend(self.leaves[..new].iter().copied());
        let head = TreeHead { size: new as u64, root: tree.root() };
        let proof = consistency_proof(&self.leaves[..new], old);
        AddCheckpoint::new(old as u64, proof, Checkpoint::of(&self.signer, head)).unwrap()
    }
}

/// A world with a witness in `w` that watches the log; it has neither vault nor key.
struct Post {
    world: World,
    log: Log,
    key: VerifierKey,
}

impl Post {
    fn new() -> Self {
        let (world, log) = (World::bare(), Log::new("main"));
        let said = world.ok(&["witness", "init", "w", "--name", "witness.example/w1", "--quiet"]);
        let key = said.trim_end().parse().unwrap();
        world.ok(&["witness", "add-log", "w", &log.signer.verifier().to_string()]);
        Self { world, log, key }
    }

    /// Cosigns with files.
    fn cosign(&self, request: &AddCheckpoint) -> Ran {
        fs::write(self.world.path("request"), request.to_string()).unwrap();
        self.world.run(&["witness", "cosign", "w", "request"])
    }

    fn state(&self) -> PathBuf {
        // A program that was killed may have left a file that is not whole.
        let mut heads = fs::read_dir(self.world.path("w/heads")).unwrap().map(|head| head.unwrap().path());
        heads.find(|path| path.extension().is_none()).unwrap()
    }

    fn serve(&self, arguments: &[&str]) -> Serving {
        let words = [&["witness", "serve", "w", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut command = self.world.command(&words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        let address = first.split("127.0.0.1:").nth(1).unwrap();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        Serving { child, output, url: format!("http://127.0.0.1:{port}"), first }
    }
}

/// A witness at work.
struct Serving {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    url: String,
    first: String,
}

impl Serving {
    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Ends it politely, and gives what it said.
    fn stop(mut self) -> Ran {
        self.signal("-TERM");
        let (mut out, mut err) = (String::new(), String::new());
        self.output.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Ran { code: self.child.wait().unwrap().code().unwrap_or(-1), out, err }
    }

    fn submit(&self, post: &Post, request: &AddCheckpoint) -> Result<usize, SubmitError> {
        Client::new().submit(&self.url, request, std::slice::from_ref(&post.key)).map(|found| found.len())
    }
}

/// Ends it also where a test fails.
impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_witness_is_made_shown_and_told_its_logs() {
    let world = World::bare();
    let said = world.ok(&["witness", "init", "w", "--name", "witness.example/w1"]);
    let key = said.lines().find(|line| line.starts_with("witness.example/w1+")).unwrap();
    assert!(said.contains("\n  sb witness add-log w VKEY "), "{said}");
    assert_eq!(world.ok(&["witness", "show", "w"]), format!("{key}\n\nno logs\n"));
    let said = world.ok(&["witness", "init", "a folder", "--name", "witness.example/w2"]);
    assert!(said.ends_with("\n  sb witness serve 'a folder'\n"), "{said}");
    let log = Log::new("main").signer.verifier().to_string();
    assert_eq!(
        world.ok(&["witness", "add-log", "w", &log]),
        "witness.example/w1 watches firm.example/log-1 with this key\n"
    );
    assert_eq!(
        world.ok(&["witness", "add-log", "w", &log]),
        "witness.example/w1 was already watching firm.example/log-1 with this key\n"
    );
    let said = world.ok(&["witness", "show", "w"]);
    assert!(said.ends_with("\nfirm.example/log-1     -  -     nothing yet\n"), "{said}");
    assert!(!world.path("vault").exists() && !world.path("state").exists());
}

#[test]
fn what_is_wrong_is_said_with_the_next_step() {
    let post = Post::new();
    let world = &post.world;
    let log = post.log.signer.verifier().to_string();
    let fails =
        |arguments: &[&str], code, message: &str| world.fails(&[&["witness"], arguments].concat(), code, message);
    fails(&["show", "none"], 1, "sb: there is no witness in `none`. Make one with `sb witness init none --name NAME`.");
    fails(
        &["init", "w", "--name", "x"],
        1,
        "sb: there is a witness in `w` already. Use it as it is, or choose another folder for a new one.",
    );
    fails(
        &["init", "firm", "--name", "x"],
        1,
        "sb: there are other files in `firm`. Choose an empty folder, or one that does not exist yet.",
    );
    fails(
        &["init", "v", "--name", "a b"],
        2,
        "sb: not a valid verifier key: empty, or with white space or `+` in it, field `name`. A name has neither blanks nor `+` \
         in it, such as `witness.example/w1`.",
    );
    fails(
        &["add-log", "w", "nonsense"],
        2,
        "sb: `nonsense` is no verifier key: not a valid verifier key: no `+` after it, field `name`. It is one line of a name, \
         eight hexadecimal digits and base64, with `+` between them.",
    );
    fails(
        &["add-log", "w", &post.key.to_string()],
        2,
        "sb: `witness.example/w1` is the key of a witness, not of a log. Ask the owner of the log for its verifier key.",
    );
    fails(
        &["serve", "w", "--listen", "here"],
        1,
        "sb: cannot listen at `here`: invalid socket address. --listen takes an address of this machine and a port that is free, \
         such as 127.0.0.1:8380.",
    );
    fails(&["cosign", "w", "nothing"], 1, "sb: cannot read `nothing`: No such file or directory");
    let serving = post.serve(&[]);
    let busy = "sb: another program is using the witness in `w`. Stop `sb witness serve` there, or wait for the other command; \
                `sb witness show` works meanwhile.";
    fails(&["add-log", "w", &log], 11, busy);
    fails(&["serve", "w"], 11, busy);
    fails(&["cosign", "w", "firm/note.txt"], 11, busy);
    world.ok(&["witness", "show", "w"]);
    drop(serving);
    common::flip(&post.state(), 3);
    let damaged = world.run(&["witness", "show", "w"]);
    assert!(damaged.code == 4 && damaged.err.contains("` is damaged: "), "{damaged:?}");
    assert!(
        damaged.err.contains("a witness that has forgotten what it cosigned is none. If it can't be mended"),
        "{damaged:?}"
    );
}

#[test]
fn an_air_gap_is_crossed_with_files() {
    let post = Post::new();
    let (world, log) = (&post.world, &post.log);
    let first = post.cosign(&log.request(0, 8));
    assert_eq!((first.code, first.err.as_str()), (0, ""));
    let known = std::slice::from_ref(&post.key);
    assert_eq!(parse_cosignatures(first.out.as_bytes(), log.request(0, 8).note(), known).unwrap().len(), 1);
    fs::write(world.path("request"), log.request(8, 20).to_string()).unwrap();
    let said = world.ok(&["witness", "cosign", "w", "request", "--output", "cosignature"]);
    assert_eq!(said, "cosigned firm.example/log-1 at size 20\n");
    let answer = fs::read(world.path("cosignature")).unwrap();
    assert_eq!(parse_cosignatures(&answer, log.request(8, 20).note(), known).unwrap().len(), 1);
    let mut piped = world.command(&["witness", "cosign", "w", "-", "--json"]);
    let mut piped = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(log.request(20, 20).to_string().as_bytes()).unwrap();
    let summary = json(&String::from_utf8(piped.wait_with_output().unwrap().stdout).unwrap()).remove(0);
    assert_eq!((&summary["size"], &summary["output"]), (&20.into(), &serde_json::Value::Null));
    assert!(summary["cosignature"].as_str().unwrap().starts_with("— witness.example/w1 "));
    let shown = json(&world.ok(&["witness", "show", "w", "--json"]));
    assert_eq!(of_type(&shown, "watched_log")[0]["root"], summary["root"]);
}

#[test]
fn a_refusal_says_what_to_do() {
    let post = Post::new();
    let (log, fork) = (&post.log, Log::new("other"));
    assert_eq!(post.cosign(&log.request(0, 8)).code, 0);
    let refused = |request: &AddCheckpoint, code, says: &str| {
        let ran = post.cosign(request);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""));
        assert!(ran.err.starts_with("sb: the witness refuses: ") && ran.err.contains(says), "{}", ran.err);
    };
    refused(&log.request(0, 20), 1, "the size cosigned last is 8. Let the log make a request from size 8.");
    refused(&fork.request(8, 20), 1, "if it is refused again, the log is not the one cosigned before.");
    refused(&fork.request(8, 8), 4, "another root was cosigned at size 8. The log has forked, or was written anew");
    let other_key = Log {
        signer: NoteSigner::new("firm.example/log-1", SigningKey::from_seed(&[8; 32])).unwrap(),
        ..Log::new("main")
    };
    refused(&other_key.request(8, 9), 1, "If the log has a new key, `sb witness add-log` with that.");
    let stranger = Log { signer: NoteSigner::new("x", SigningKey::from_seed(&[9; 32])).unwrap(), ..Log::new("main") };
    refused(&stranger.request(0, 1), 1, "If it is to be watched, `sb witness add-log` with the log's key.");
    let shown = post.world.run(&["witness", "show", "w"]);
    assert_eq!(shown.code, 4);
    assert!(
        shown.err.starts_with("sb: warning: the log `firm.example/log-1` has forked: it has also signed the root ")
    );
    assert!(shown.err.ends_with(" at size 8\n"), "{}", shown.err);
    fs::write(post.world.path("request"), "hello").unwrap();
    let malformed = post.world.run(&["witness", "cosign", "w", "request"]);
    assert!(malformed.code == 1 && malformed.err.contains("not a valid add-checkpoint request"), "{malformed:?}");
}

#[test]
fn a_served_witness_cosigns_what_has_grown() {
    let post = Post::new();
    let (log, fork) = (&post.log, Log::new("other"));
    let serving = post.serve(&[]);
    let port = serving.url.rsplit(':').next().unwrap();
    assert_eq!(
        serving.first,
        format!("witness.example/w1 answers at http://127.0.0.1:{port}/add-checkpoint, for 1 log\n")
    );
    assert_eq!(serving.submit(&post, &log.request(0, 8)).unwrap(), 1);
    assert!(matches!(serving.submit(&post, &log.request(0, 20)), Err(SubmitError::Stale { latest: 8 })));
    assert!(matches!(serving.submit(&post, &fork.request(8, 8)), Err(SubmitError::OtherRoot { .. })));
    assert_eq!(serving.submit(&post, &log.request(8, 20)).unwrap(), 1);
    // A browser that came here by mistake.
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\na witness serves add-checkpoint and nothing else\n"), "{answer}");
    let ran = serving.stop();
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.out,
        "cosigned firm.example/log-1 at size 8\nrefused (409): the size cosigned last is 8\n\
         refused (409): another root was cosigned at size 8\ncosigned firm.example/log-1 at size 20\n\
         refused (404): a witness serves add-checkpoint and nothing else\ncosigned 2 times, refused 3 times\n"
    );
    assert!(
        ran.err.starts_with("sb: warning: a log has forked, or was written anew; `sb witness show` names it\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_witness_that_is_killed_between_storing_and_answering_keeps_its_word() {
    let post = Post::new();
    let (world, log, fork) = (&post.world, &post.log, Log::new("other"));
    let blank = fs::read(post.state()).unwrap();
    // It can't answer: nobody reads from the pipe.
    assert_eq!(sh(&world.root, "mkfifo pipe").code, 0);
    fs::write(world.path("request"), log.request(0, 8).to_string()).unwrap();
    let mut child = world.command(&["witness", "cosign", "w", "request", "--output", "pipe"]).spawn().unwrap();
    while fs::read(post.state()).unwrap() == blank {
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "killed");
    assert_eq!(post.cosign(&fork.request(0, 8)).code, 1);
    assert_eq!(post.cosign(&fork.request(8, 8)).code, 4);
    // Who has lost the answer gets it.
    assert_eq!(post.cosign(&log.request(8, 8)).code, 0);
}

#[test]
fn a_server_that_is_killed_at_any_moment_keeps_its_word() {
    let post = Post::new();
    let fork = Log::new("other");
    let mut size = 5;
    assert_eq!(post.cosign(&post.log.request(0, size)).code, 0);
    for round in 0..6 {
        let serving = post.serve(&[]);
        let before = fs::read(post.state()).unwrap();
        let mut stream = TcpStream::connect(serving.url.trim_start_matches("http://")).unwrap();
        let body = post.log.request(size, size + 1).to_string();
        let head = format!("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(round));
        serving.signal("-KILL");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        drop(serving);
        if fs::read(post.state()).unwrap() == before {
            assert!(!answer.contains("200 OK"), "answered, and not stored: {answer}");
        } else {
            size += 1;
        }
        if size > 5 {
            assert_eq!(post.cosign(&fork.request(size, size)).code, 4, "the other branch");
        }
    }
    assert_eq!(post.cosign(&post.log.request(size, 20)).code, 0);
}

#[test]
fn what_can_not_be_stored_is_not_cosigned() {
    let post = Post::new();
    let serving = post.serve(&["-v"]);
    // A folder where the file has to go, which no user can write over.
    let obstacle = post.state().with_extension("new");
    fs::create_dir(&obstacle).unwrap();
    let failed = serving.submit(&post, &post.log.request(0, 8)).unwrap_err();
    assert!(
        failed
            .to_string()
            .ends_with("has refused with status 500: the witness is out of order, and its owner is told why"),
        "{failed}"
    );
    fs::remove_dir(obstacle).unwrap();
    assert_eq!(serving.submit(&post, &Log::new("other").request(0, 8)).unwrap(), 1, "nothing was promised");
    let ran = serving.stop();
    assert!(ran.err.starts_with("sb: cannot cosign: cannot write `w/heads/"), "{}", ran.err);
    assert!(ran.out.ends_with("cosigned 1 times, refused 0 times\n"), "{}", ran.out);
}

#[test]
#[ignore = "needs root"]
fn a_folder_that_can_not_be_written_makes_no_witness() {
    let post = Post::new();
    let world = &post.world;
    assert_eq!(sh(&world.root, "chown -R 65534 . && chmod 500 w/heads && chmod 755 .").code, 0);
    fs::write(world.path("request"), post.log.request(0, 8).to_string()).unwrap();
    let ran = ran(&mut world.wrapped(&common::AS_NOBODY, &["witness", "cosign", "w", "request"]));
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("cannot write `w/heads/") && ran.err.contains("Permission denied"), "{}", ran.err);
}

#[test]
fn an_answer_that_can_not_be_written_still_counts() {
    let post = Post::new();
    fs::write(post.world.path("request"), post.log.request(0, 8).to_string()).unwrap();
    let ran = post.world.run(&["witness", "cosign", "w", "request", "--output", "no/such/folder"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.ends_with("The checkpoint counts as cosigned: let the log ask again from size 8.\n"),
        "{}",
        ran.err
    );
    assert_eq!(post.cosign(&post.log.request(8, 8)).code, 0);
}

#[test]
fn programs_read_along() {
    let post = Post::new();
    let mut serving = post.serve(&["--json"]);
    let listening = json(&serving.first).remove(0);
    assert_eq!((&listening["message_type"], &listening["logs"]), (&"listening".into(), &1.into()));
    assert_eq!(serving.submit(&post, &post.log.request(0, 8)).unwrap(), 1);
    assert!(serving.submit(&post, &post.log.request(0, 8)).is_err());
    // Each message can be read as it comes.
    let mut line = String::new();
    serving.output.read_line(&mut line).unwrap();
    assert_eq!(json(&line)[0]["message_type"], "cosigned");
    let messages = json(&serving.stop().out);
    assert_eq!(messages[0]["status"], 409);
    assert_eq!(
        (&messages[1]["cosigned"], &messages[1]["refused"], &messages[1]["failed"]),
        (&1.into(), &1.into(), &0.into())
    );
}
