//! What one person alone may not do: asking for it, agreeing, waiting, and doing it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;

use common::{Ran, World, json};

/// A vault with its owner, a partner and `nina`; owner and partner have two factors each.
struct Office(World);

const OWNER: [&str; 2] = ["--passphrase-file", "pf"];
const PARTNER: [&str; 6] = ["--user", "partner", "--key-file", "p.key", "--passphrase-file", "nf"];

impl Office {
    fn new() -> Self {
        let world = World::backed_up();
        fs::write(world.path("pf"), "correct horse battery").unwrap();
        fs::write(world.path("nf"), "another good one").unwrap();
        world.ok(&["key", "add", "--new-key-file", "sb.key", "--new-passphrase-file", "pf"]);
        let office = Self(world);
        let partner = ["user", "add", "partner", "--role", "owner", "--new-key-file", "p.key"];
        office.done(&OWNER, &[&partner[..], &["--new-passphrase-file", "nf"]].concat());
        office.done(&OWNER, &["user", "add", "nina", "--role", "operator", "--new-passphrase-file", "nf"]);
        office
    }

    fn run(&self, who: &[&str], words: &[&str]) -> Ran {
        self.0.run(&[words, who].concat())
    }

    fn done(&self, who: &[&str], words: &[&str]) -> String {
        let ran = self.run(who, words);
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
        ran.out
    }

    /// The one request that is open.
    fn open_request(&self) -> String {
        let list = json(&self.done(&OWNER, &["request", "list", "--json"]));
        let ids: Vec<_> = list.iter().filter_map(|line| line["request_id"].as_str()).collect();
        assert_eq!(ids.len(), 1, "{list:?}");
        ids[0][..8].to_owned()
    }
}

#[test]
fn a_user_is_removed_by_two_and_by_the_same_command() {
    let office = Office::new();
    let remove = ["user", "remove", "nina", "--reason", "has left the firm"];
    let asked = office.run(&OWNER, &remove);
    let id = office.open_request();
    assert_eq!((asked.code, asked.out.as_str()), (5, ""), "{asked:?}");
    assert!(
        asked.err.starts_with("sb: to remove a user takes two people. It is asked for now, as request "),
        "{asked:?}"
    );
    assert!(asked.err.contains(&format!("`sb request approve {id}`")), "{asked:?}");
    // To say it again asks for nothing more.
    let again = office.run(&OWNER, &remove);
    assert!(again.code == 5 && again.err.contains("asks for it already"), "{again:?}");
    let own = office.run(&OWNER, &["request", "approve", &id]);
    assert_eq!(own.code, 5, "{own:?}");
    let shown = office.done(&PARTNER, &["request", "show", &id]);
    for part in ["to remove nina", "has left the firm", "asked by  owner", "waits for 1 approval", "you may   no: "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let approved = office.done(&PARTNER, &["request", "approve", &id]);
    assert_eq!(approved.trim_end(), format!("agreed to request {id}: to remove nina"));
    assert!(office.done(&OWNER, &["request", "list"]).contains("can be carried out"));
    office.done(&OWNER, &remove);
    assert!(!office.done(&OWNER, &["user", "list"]).contains("nina"));
    let nina = ["--user", "nina", "--passphrase-file", "nf"];
    assert_eq!(office.run(&nina, &["snapshots"]).code, 12);
    assert!(office.done(&OWNER, &["request", "list"]).contains("nothing is asked for"));
    assert!(office.done(&OWNER, &["request", "list", "--all"]).contains("done"));
    let gone = office.run(&PARTNER, &["request", "approve", &id]);
    assert!(gone.code == 1 && gone.err.contains("carried-out"), "{gone:?}");
}

#[test]
fn a_recovery_key_is_exported_by_two_and_the_one_before_opens_nothing() {
    let office = Office::new();
    let export = ["key", "export-recovery", "--recovery-key-out", "sheet"];
    assert_eq!(office.run(&OWNER, &export).code, 5);
    assert!(!office.0.path("sheet").exists());
    let id = office.open_request();
    office.done(&PARTNER, &["request", "approve", &id]);
    // It is for who asked, and not for who agreed.
    assert_eq!(office.run(&PARTNER, &["key", "export-recovery"]).code, 5);
    office.done(&OWNER, &export);
    office.0.ok(&["snapshots", "--recovery-key-file", "sheet"]);
    office.done(&OWNER, &["request", "list", "--all"]);
    let keys = office.done(&OWNER, &["key", "list"]);
    assert_eq!(keys.matches("recovery key").count(), 1, "{keys}");
}

#[test]
fn policies_are_checked_shown_and_put_into_force_by_two() {
    let office = Office::new();
    let good = "@id(\"no-cats\") forbid (principal, action == SB::Action::\"ReadDocument\", resource);";
    let bad =
        "@id(\"quick\") permit (principal in SB::Role::\"owner\", action == SB::Action::\"ApproveChange\", resource);";
    fs::write(office.0.path("good.cedar"), good).unwrap();
    fs::write(office.0.path("bad.cedar"), bad).unwrap();
    assert!(office.done(&OWNER, &["policy", "check", "good.cedar"]).contains("1 good policy"));
    for words in [&["policy", "check", "bad.cedar"][..], &["policy", "activate", "bad.cedar"]] {
        let refused = office.run(&OWNER, words);
        assert!(refused.code == 2 && refused.err.contains("nobody approves what they have proposed"), "{refused:?}");
    }
    assert_eq!(office.run(&OWNER, &["policy", "check", "none.cedar"]).code, 2);
    assert!(office.done(&OWNER, &["policy", "show"]).contains("no policies"));
    assert_eq!(office.run(&OWNER, &["policy", "activate", "good.cedar"]).code, 5);
    let id = office.open_request();
    assert!(office.done(&PARTNER, &["request", "show", &id]).contains("no-cats"));
    office.done(&PARTNER, &["request", "approve", &id]);
    office.done(&OWNER, &["policy", "activate", "good.cedar"]);
    assert_eq!(office.done(&OWNER, &["policy", "show"]).trim_end(), good);
    let note = office.0.at("firm/note.txt");
    let refused = office.run(&OWNER, &["cat", &note]);
    assert!(refused.code == 5, "{refused:?}");
}

#[test]
fn nobody_gives_roles_to_himself_alone() {
    let office = Office::new();
    let change = ["user", "change", "owner", "--role", "owner,restorer"];
    assert_eq!(office.run(&OWNER, &change).code, 5);
    let id = office.open_request();
    assert!(
        office.done(&OWNER, &["request", "list"]).contains("to give oneself roles: owner {\"owner\", \"restorer\"}")
    );
    office.done(&PARTNER, &["request", "reject", &id]);
    assert_eq!(office.run(&OWNER, &change).code, 5);
    let id = office.open_request();
    office.done(&PARTNER, &["request", "approve", &id]);
    office.done(&OWNER, &change);
    assert!(office.done(&OWNER, &["user", "list"]).contains("owner, restorer"));
}

#[test]
fn who_is_alone_waits() {
    let world = World::backed_up();
    let asked = world.run(&["key", "export-recovery"]);
    assert_eq!(asked.code, 5, "{asked:?}");
    assert!(asked.err.contains("takes a week of waiting") && asked.err.contains("run this again after"), "{asked:?}");
    assert!(world.ok(&["request", "list"]).contains("cools off until"));
    let odd = world.run(&["request", "show", "ffff"]);
    assert_eq!(odd.code, 2, "{odd:?}");
}
