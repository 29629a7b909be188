//! What a witness keeps, and what it decides by that.

use std::fs;
use std::sync::Barrier;
use std::thread;

use chrono::DateTime;
use sb_audit::{NoteSigner, Refusal, parse_cosignatures};
use sb_crypto::{SigningKey, SystemRandom};
use sb_witness::{CosignError, FolderError, Overview, Witness};

use super::{Log, Post, at};

fn log() -> Log {
    Log::new("firm.example/log-1").grown(20, "main")
}

/// The other branch of a log that has forked after 5 entries.
fn fork() -> Log {
    Log::new("firm.example/log-1").grown(5, "main").grown(15, "other")
}

fn damaged(folder: Result<Witness, FolderError>) -> String {
    match folder {
        Err(FolderError::Damaged { fault, .. }) => fault,
        other => panic!("not damaged: {other:?}"),
    }
}

#[test]
fn a_log_that_only_grows_is_cosigned_again_and_again() {
    let log = log();
    let post = Post::new(&[&log]);
    for (second, (old, new)) in [(0, 1), (1, 3), (3, 3), (3, 8), (8, 20)].into_iter().enumerate() {
        // Opened anew each time: what it knows is what it has stored.
        let witness = post.open();
        let request = log.request(old, new);
        let answer = witness.add_checkpoint(request.to_string().as_bytes(), at(second as i64));
        assert_eq!((answer.status, answer.content_type), (200, "text/plain; charset=utf-8"));
        let known = [witness.verifier().clone()];
        assert_eq!(parse_cosignatures(answer.body.as_bytes(), request.note(), &known).unwrap().len(), 1);
        let seen = Overview::read(&post.folder).unwrap().logs[0].latest.unwrap();
        assert_eq!((seen.head, seen.time), (log.head(new), at(second as i64)));
    }
}

#[test]
fn what_is_not_the_same_log_grown_is_refused_and_changes_nothing() {
    let (log, fork) = (log(), fork());
    let post = Post::new(&[&log]);
    let witness = post.open();
    assert_eq!(witness.add_checkpoint(&log.body(0, 8), at(1)).status, 200);
    let stored = fs::read(post.head(&log)).unwrap();

    let impostor = Log {
        signer: NoteSigner::new("firm.example/log-1", SigningKey::generate(&SystemRandom)).unwrap(),
        leaves: log.leaves.clone(),
    };
    let mut forged = String::from_utf8(log.body(8, 9)).unwrap();
    let end = forged.trim_end().len();
    forged.replace_range(end - 6..end - 5, if forged.as_bytes()[end - 6] == b'A' { "B" } else { "A" });
    for (body, status, said) in [
        (log.body(0, 20), 409, Some("8\n")),
        (log.body(5, 20), 409, Some("8\n")),
        (log.body(5, 5), 409, Some("8\n")),
        (fork.body(8, 8), 409, Some("8\n")),
        (fork.body(5, 20), 409, Some("8\n")),
        (fork.body(8, 20), 422, None),
        (log.body(8, 8).strip_prefix(b"old 8").map(|rest| [b"old 9", rest].concat()).unwrap(), 400, None),
        (b"old 8\n".to_vec(), 400, None),
        (b"".to_vec(), 400, None),
        (vec![b'x'; 600 << 10], 400, None),
        (Log::new("firm.example/log-2").grown(3, "main").body(0, 3), 404, None),
        (impostor.body(8, 9), 403, None),
        (forged.into_bytes(), 403, None),
    ] {
        let answer = witness.add_checkpoint(&body, at(2));
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(said.is_none_or(|said| (answer.body.as_str(), answer.content_type) == (said, "text/x.tlog.size")));
    }
    assert_eq!(fs::read(post.head(&log)).unwrap(), stored);
}

#[test]
fn the_proof_that_a_log_has_forked_is_kept() {
    let (log, fork) = (log(), fork());
    let post = Post::new(&[&log]);
    let witness = post.open();
    assert_eq!(witness.add_checkpoint(&log.body(0, 8), at(1)).status, 200);
    assert_eq!(Overview::read(&post.folder).unwrap().logs[0].fork, None);
    assert_eq!(witness.add_checkpoint(&fork.body(8, 8), at(2)).status, 409);
    assert_eq!(witness.add_checkpoint(&log.body(8, 9), at(3)).status, 200);
    assert_eq!(witness.add_checkpoint(&fork.body(9, 9), at(4)).status, 409);
    let watched = Overview::read(&post.folder).unwrap().logs.remove(0);
    assert_eq!((watched.fork, watched.latest.unwrap().head), (Some(fork.head(8)), log.head(9)));
    // Both are there, so that a third can see it.
    let name = post.head(&log).file_name().unwrap().to_owned();
    let proof = post.folder.join("forks").join(name);
    let note = sb_audit::Note::parse(&fs::read(proof.with_extension("cosigned")).unwrap()).unwrap();
    assert!(note.verify([log.signer.verifier()]).is_ok() && note.verify([witness.verifier()]).is_ok());
    assert_eq!(note.text(), log.request(0, 8).note().text());
    fs::write(&proof, "x").unwrap();
    assert!(matches!(Overview::read(&post.folder), Err(FolderError::Damaged { .. })));
}

/// Whatever size the request says was cosigned last: the log has signed two roots of one size.
#[test]
fn a_log_that_has_forked_is_found_out_by_any_request() {
    let (log, fork) = (log(), fork());
    let older = |size: &str| [b"old ", size.as_bytes(), fork.body(8, 8).strip_prefix(b"old 8").unwrap()].concat();
    for (body, status) in [(fork.body(0, 8), 409), (fork.body(5, 8), 409), (older("9"), 400)] {
        let post = Post::new(&[&log]);
        let witness = post.open();
        assert_eq!(witness.add_checkpoint(&log.body(0, 8), at(1)).status, 200);
        for harmless in [log.body(0, 8), log.body(0, 9), fork.body(0, 9), fork.body(0, 7)] {
            assert_eq!(witness.add_checkpoint(&harmless, at(2)).status, 409);
        }
        assert_eq!(Overview::read(&post.folder).unwrap().logs[0].fork, None);
        assert_eq!(witness.add_checkpoint(&body, at(2)).status, status);
        assert_eq!(Overview::read(&post.folder).unwrap().logs[0].fork, Some(fork.head(8)));
    }
}

#[test]
fn an_answer_that_never_arrives_is_an_answer() {
    let (log, fork) = (log(), fork());
    let post = Post::new(&[&log]);
    drop(post.open().add_checkpoint(&log.body(0, 8), at(1)));
    let witness = post.open();
    assert_eq!(witness.add_checkpoint(&fork.body(0, 8), at(2)).body, "8\n");
    assert_eq!(witness.add_checkpoint(&fork.body(8, 8), at(2)).status, 409);
    // Whoever has not got it asks again.
    assert_eq!(witness.add_checkpoint(&log.body(0, 8), at(2)).body, "8\n");
    assert_eq!(witness.add_checkpoint(&log.body(8, 8), at(2)).status, 200);
}

#[test]
fn what_can_not_be_stored_is_not_cosigned() {
    let (log, fork) = (log(), fork());
    let post = Post::new(&[&log]);
    let witness = post.open();
    assert_eq!(witness.add_checkpoint(&log.body(0, 5), at(1)).status, 200);
    // A folder where the file has to go: no user may write over that.
    let obstacle = post.head(&log).with_extension("new");
    fs::create_dir(&obstacle).unwrap();
    let failed = witness.cosign(&log.body(5, 8), at(2));
    assert!(matches!(failed, Err(CosignError::Folder(FolderError::Io { action: "write", .. }))), "{failed:?}");
    let answer = witness.add_checkpoint(&log.body(5, 8), at(2));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (500, "the witness is out of order, and its owner is told why\n")
    );
    fs::remove_dir(obstacle).unwrap();
    // Nothing was promised, so the log may still take any way on from 5.
    assert_eq!(witness.add_checkpoint(&fork.body(5, 20), at(3)).status, 200);
    assert_eq!(witness.add_checkpoint(&log.body(5, 8), at(3)).status, 409);
}

#[test]
fn a_disk_with_no_room_for_evidence_makes_no_answer_either() {
    let (log, fork) = (log(), fork());
    let post = Post::new(&[&log]);
    let witness = post.open();
    assert_eq!(witness.add_checkpoint(&log.body(0, 8), at(1)).status, 200);
    fs::remove_dir(post.folder.join("forks")).unwrap();
    assert_eq!(witness.add_checkpoint(&fork.body(8, 8), at(2)).status, 500);
    assert_eq!(witness.add_checkpoint(&log.body(8, 9), at(2)).status, 200);
}

#[test]
fn no_change_to_what_is_stored_is_taken_for_a_new_beginning() {
    let log = log();
    let post = Post::new(&[&log]);
    let (head, blank) = (post.head(&log), fs::read(post.head(&log)).unwrap());
    assert_eq!(post.open().add_checkpoint(&log.body(0, 8), at(1)).status, 200);
    let good = fs::read(&head).unwrap();
    let signature_of_the_log = String::from_utf8(good.clone()).unwrap().find('—').unwrap();
    let signature_of_the_witness = String::from_utf8(good.clone()).unwrap().rfind('—').unwrap();
    for at in (0..good.len()).step_by(3) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&head, &bad).unwrap();
        let is_of_the_log = (signature_of_the_log..signature_of_the_witness).contains(&at);
        match Overview::read(&post.folder) {
            Err(FolderError::Damaged { path, .. }) => assert_eq!(path, head),
            Ok(read) if is_of_the_log => assert_eq!(read.logs[0].latest.unwrap().head, log.head(8)),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    for torn in
        [&good[..0], &good[..good.len() / 2], &good[..good.len() - 1], &blank[..blank.len() - 1], &[b'x'; 2 << 20]]
    {
        fs::write(&head, torn).unwrap();
        damaged(Witness::open(&post.folder));
    }
    fs::remove_file(&head).unwrap();
    let gone = damaged(Witness::open(&post.folder));
    assert_eq!(gone, "it is gone, and with it what was cosigned last of the log `firm.example/log-1`");
    // A witness at work notices, too.
    fs::write(&head, &good).unwrap();
    let witness = post.open();
    fs::remove_file(&head).unwrap();
    assert_eq!(witness.add_checkpoint(&log.body(0, 1), at(2)).status, 500);
    fs::create_dir(&head).unwrap();
    assert!(matches!(witness.cosign(&log.body(8, 8), at(2)), Err(CosignError::Folder(FolderError::Io { .. }))));
}

#[test]
fn files_of_another_log_or_another_witness_are_not_believed() {
    let (one, two) = (log(), Log::new("firm.example/log-2").grown(20, "main"));
    let (post, other) = (Post::new(&[&one, &two]), Post::new(&[&one]));
    assert_eq!(post.open().add_checkpoint(&one.body(0, 8), at(1)).status, 200);
    assert_eq!(other.open().add_checkpoint(&one.body(0, 1), at(1)).status, 200);
    let good = fs::read(post.head(&one)).unwrap();
    fs::write(post.head(&two), &good).unwrap();
    assert_eq!(damaged(Witness::open(&post.folder)), "it is of the log `firm.example/log-1`");
    fs::copy(other.head(&one), post.head(&one)).unwrap();
    damaged(Witness::open(&post.folder));
    fs::write(post.head(&one), good).unwrap();
    fs::copy(other.folder.join("witness.key"), post.folder.join("witness.key")).unwrap();
    damaged(Witness::open(&post.folder));
}

#[test]
fn of_requests_at_once_for_one_log_one_is_first() {
    let start = Log::new("firm.example/log-1").grown(5, "main");
    let post = Post::new(&[&start]);
    let witness = post.open();
    assert_eq!(witness.add_checkpoint(&start.body(0, 5), at(1)).status, 200);
    let branches: Vec<Vec<u8>> = (0..8)
        .map(|n| Log::new("firm.example/log-1").grown(5, "main").grown(n + 1, &n.to_string()).body(5, 6 + n))
        .collect();
    let together = Barrier::new(branches.len());
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = |body| {
            together.wait();
            witness.add_checkpoint(body, at(2)).status
        };
        let asking: Vec<_> = branches.iter().map(|body| scope.spawn(move || ask(body))).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
}

#[test]
fn a_witness_is_made_once_and_used_by_one() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("w");
    let open = |folder| Witness::open(folder);
    assert!(matches!(open(&folder), Err(FolderError::NoWitness { .. })));
    assert!(matches!(Overview::read(&folder), Err(FolderError::NoWitness { .. })));
    assert!(matches!(Witness::init(&folder, "a b", &SystemRandom), Err(FolderError::Name(_))));
    let made = Witness::init(&folder, "witness.example/w1", &SystemRandom).unwrap();
    let verifier = made.verifier().clone();
    assert!(matches!(open(&folder), Err(FolderError::InUse { .. })));
    assert_eq!(Overview::read(&folder).unwrap().verifier, verifier, "looking is always possible");
    drop(made);
    let opened = open(&folder).unwrap();
    assert_eq!((opened.verifier(), opened.log_count()), (&verifier, 0));
    drop(opened);
    assert!(matches!(Witness::init(&folder, "w", &SystemRandom), Err(FolderError::Exists { .. })));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.join("witness.key")), mode(&folder)), (0o600, 0o700));
    }
    // One that was cut short is made again; anything else in the folder is in the way.
    fs::remove_file(folder.join("witness.key")).unwrap();
    fs::write(folder.join("witness.new"), "half").unwrap();
    drop(Witness::init(&folder, "witness.example/w1", &SystemRandom).unwrap());
    fs::remove_file(folder.join("witness.key")).unwrap();
    fs::write(folder.join("heads/x"), "what somebody cosigned").unwrap();
    assert!(matches!(Witness::init(&folder, "w", &SystemRandom), Err(FolderError::NotEmpty { .. })));
    fs::write(temp.path().join("file"), "").unwrap();
    assert!(matches!(Witness::init(temp.path(), "w", &SystemRandom), Err(FolderError::NotEmpty { .. })));
    let below_a_file = temp.path().join("file/w");
    assert!(matches!(Witness::init(&below_a_file, "w", &SystemRandom), Err(FolderError::Io { action: "make", .. })));
}

#[test]
fn a_damaged_key_or_list_is_no_witness() {
    let log = log();
    let post = Post::new(&[&log]);
    let (key, list) = (post.folder.join("witness.key"), post.folder.join("logs"));
    let (good_key, good_list) = (fs::read_to_string(&key).unwrap(), fs::read_to_string(&list).unwrap());
    let parts: Vec<&str> = good_key.trim_end().splitn(5, '+').collect();
    assert_eq!((parts.len(), &parts[..3]), (5, &["PRIVATE", "KEY", "witness.example/w1"][..]));
    for bad in [
        String::new(),
        good_key.trim_end().to_owned(),
        good_key.replace("/w1", "/w2"),
        good_key.replace("PRIVATE", "PUBLIC"),
        good_key.replace(parts[3], "00000000"),
        good_key.replace(parts[4], "AQ=="),
        // Of another type.
        good_key.replace(parts[4], &format!("A{}", &parts[4][1..])),
        good_key.replace(parts[4], "*"),
        good_key.replace(parts[4], ""),
    ] {
        fs::write(&key, bad).unwrap();
        assert_eq!(damaged(Witness::open(&post.folder)), "it is not the key of a witness");
    }
    fs::write(&key, good_key).unwrap();
    fs::write(&list, good_list.trim_end()).unwrap();
    assert_eq!(damaged(Witness::open(&post.folder)), "line 2 has no end");
    // A line that was written by hand brings no log with it.
    let other = Log::new("firm.example/log-2");
    fs::write(&list, format!("{good_list}log {}\n", other.signer.verifier())).unwrap();
    assert!(damaged(Witness::open(&post.folder)).starts_with("it is gone"));
    fs::remove_file(&list).unwrap();
    assert!(matches!(Witness::open(&post.folder), Err(FolderError::Io { action: "read", .. })));
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    assert!(matches!(Witness::open(&post.folder), Err(FolderError::Io { action: "read", .. })));
}

#[test]
fn logs_are_added_once_and_may_change_their_keys() {
    let log = log();
    let post = Post::new(&[&log]);
    let mut witness = post.open();
    assert!(!witness.add_log(log.signer.verifier().clone()).unwrap());
    assert_eq!(witness.add_checkpoint(&log.body(0, 8), at(1)).status, 200);
    let renewed = Log {
        signer: NoteSigner::new("firm.example/log-1", SigningKey::generate(&SystemRandom)).unwrap(),
        leaves: log.leaves.clone(),
    };
    assert_eq!(witness.add_checkpoint(&renewed.body(8, 9), at(2)).status, 403);
    assert!(witness.add_log(renewed.signer.verifier().clone()).unwrap());
    assert_eq!(witness.log_count(), 1, "what was cosigned stays");
    assert_eq!(witness.add_checkpoint(&renewed.body(0, 9), at(2)).body, "8\n");
    assert_eq!(witness.add_checkpoint(&renewed.body(8, 9), at(2)).status, 200);
    let own = witness.verifier().clone();
    assert!(matches!(witness.add_log(own), Err(FolderError::Log(_))));
    // One that was added halfway is added now.
    drop(witness);
    let list = post.folder.join("logs");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.lines().next().unwrap().to_owned() + "\n").unwrap();
    let mut witness = post.open();
    assert_eq!(witness.add_checkpoint(&log.body(0, 8), at(3)).status, 404);
    assert!(witness.add_log(log.signer.verifier().clone()).unwrap());
    assert_eq!(witness.add_checkpoint(&log.body(0, 8), at(3)).body, "9\n", "what was cosigned is still known");
    // What was left of another is not overwritten, either, and nothing is added to what is damaged.
    let other = Log::new("firm.example/log-2");
    fs::write(post.head(&other), "half of a fi").unwrap();
    assert!(matches!(witness.add_log(other.signer.verifier().clone()), Err(FolderError::Damaged { .. })));
    assert_eq!((witness.log_count(), fs::read_to_string(post.head(&other)).unwrap().as_str()), (1, "half of a fi"));
}

#[test]
fn only_the_signature_of_the_log_is_kept() {
    let log = log();
    let post = Post::new(&[&log]);
    let witness = post.open();
    let body = String::from_utf8(log.body(0, 8)).unwrap();
    let (text, line) = body.trim_end().rsplit_once('\n').unwrap();
    let stranger = Log::new("stranger.example").request(0, 0).note().signatures()[0].to_string();
    let in_our_name = witness.verifier().name();
    let forged = format!("— {in_our_name} {}\n", line.rsplit(' ').next().unwrap());
    let crowded = format!("{text}\n{}{forged}{line}\n{line}\n", stranger.repeat(61));
    assert_eq!(witness.add_checkpoint(crowded.as_bytes(), at(1)).status, 200);
    let stored = fs::read_to_string(post.head(&log)).unwrap();
    assert_eq!(stored.matches('—').count(), 2, "{stored}");
    assert_eq!(witness.add_checkpoint(&log.body(8, 9), at(2)).status, 200);
}

#[test]
fn a_clock_that_was_never_set_cosigns_nothing() {
    let log = log();
    let post = Post::new(&[&log]);
    let witness = post.open();
    for unset in [DateTime::UNIX_EPOCH, DateTime::from_timestamp(-5, 0).unwrap()] {
        assert!(matches!(witness.cosign(&log.body(0, 8), unset), Err(CosignError::Clock { .. })));
    }
    assert_eq!(Overview::read(&post.folder).unwrap().logs[0].latest, None);
    let refused = witness.cosign(&log.body(3, 8), at(1));
    assert!(matches!(refused, Err(CosignError::Refused(Refusal::Stale { latest: 0 }))));
}
