//! Every line of JSON that the program prints is one that docs/json.schema.json describes.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{META_PACK, World, flip, json, ran, sh};
use sb_core::audit::{AddCheckpoint, Checkpoint, NoteSigner, TreeHead};
use sb_core::crypto::{SigningKey, leaf_hash};
use sb_core::witness::Client;
use serde_json::{Map, Value};

/// A schema, and what of JSON Schema 2020-12 it uses. A property that it does not describe is refused.
struct Schema(Value);

impl Schema {
    fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.schema.json");
        Self(serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())
    }

    /// The definition that a message is checked against: that of its type, and for a summary of its command.
    fn name(message: &Value) -> String {
        match (message["message_type"].as_str().unwrap(), message["command"].as_str()) {
            ("summary", command) => format!("summary-{}", command.unwrap().replace(' ', "-")),
            (name, _) => name.to_owned(),
        }
    }

    fn definition(&self, name: &str) -> &Value {
        let found = &self.0["$defs"][name];
        assert!(found.is_object(), "docs/json.schema.json does not describe `{name}`");
        found
    }

    /// What is wrong with a message.
    fn check(&self, message: &Value) -> Result<(), String> {
        let name = Self::name(message);
        let listed = self.0["oneOf"].as_array().unwrap().iter().any(|one| one["$ref"] == format!("#/$defs/{name}"));
        if !listed {
            return Err(format!("`{name}` is not in the list of messages"));
        }
        self.value(message, self.definition(&name), &name)
    }

    fn value(&self, value: &Value, schema: &Value, at: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{at}: {value} {what}"));
        let schema: &Map<String, Value> = schema.as_object().unwrap();
        for (keyword, says) in schema {
            match keyword.as_str() {
                "description" | "required" => {}
                "$ref" => {
                    self.value(value, self.definition(says.as_str().unwrap().trim_start_matches("#/$defs/")), at)?;
                }
                "const" if value != says => return wrong(&format!("is not {says}")),
                "enum" if !says.as_array().unwrap().contains(value) => return wrong(&format!("is none of {says}")),
                "const" | "enum" => {}
                "type" if !is_of(value, says) => return wrong(&format!("is not of type {says}")),
                "minimum" if value.as_f64().is_some_and(|n| n < says.as_f64().unwrap()) => {
                    return wrong("is too small");
                }
                "type" | "minimum" => {}
                "oneOf" => {
                    let fits = says.as_array().unwrap().iter().filter(|one| self.value(value, one, at).is_ok()).count();
                    if fits != 1 {
                        return wrong(&format!("fits {fits} of {says}"));
                    }
                }
                "pattern" => {
                    assert_eq!(says, "^[0-9a-f]{64}$", "the one pattern known here");
                    let is_hash = |text: &str| {
                        text.len() == 64 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
                    };
                    if value.as_str().is_some_and(|text| !is_hash(text)) {
                        return wrong("is not 64 hexadecimal digits");
                    }
                }
                "format" => {
                    assert_eq!(says, "date-time", "the one format known here");
                    if value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_err()) {
                        return wrong("is not a time");
                    }
                }
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(item, says, &format!("{at}[{number}]"))?;
                    }
                }
                "properties" => self.properties(value, schema, at)?,
                other => panic!("the keyword `{other}` is not known here"),
            }
        }
        Ok(())
    }

    fn properties(&self, value: &Value, schema: &Map<String, Value>, at: &str) -> Result<(), String> {
        let Some(fields) = value.as_object() else { return Ok(()) };
        for (name, field) in fields {
            match schema["properties"].get(name) {
                Some(described) => self.value(field, described, &format!("{at}.{name}"))?,
                None => return Err(format!("{at}: `{name}` is not described in docs/json.schema.json")),
            }
        }
        let missing = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|name| !fields.contains_key(name.as_str().unwrap()));
        missing.map_or(Ok(()), |name| Err(format!("{at}: {name} is missing")))
    }
}

fn is_of(value: &Value, types: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type `{other}` is not known here"),
    };
    types.as_array().map_or_else(|| is(types.as_str().unwrap()), |all| all.iter().any(|one| is(one.as_str().unwrap())))
}

/// Runs commands and gathers what they print.
struct Gathering {
    world: World,
    schema: Schema,
    seen: BTreeSet<String>,
}

impl Gathering {
    fn run(&mut self, words: &[&str]) -> i32 {
        let run = ran(&mut self.world.command(&[words, &["--json"]].concat()));
        let messages = [json(&run.out), json(&run.err)].concat();
        assert!(!messages.is_empty(), "sb {words:?} says nothing");
        for message in &messages {
            self.schema.check(message).unwrap_or_else(|why| panic!("sb {words:?}: {why}\n{message}"));
            self.seen.insert(Schema::name(message));
        }
        run.code
    }
}

#[test]
fn every_message_of_every_command_is_described() {
    let mut all = Gathering { world: World::bare(), schema: Schema::read(), seen: BTreeSet::new() };
    assert_eq!(all.run(&["init"]), 0);
    sh(
        &all.world.root,
        r"cd firm && printf x > $(printf 'b\374ro') && ln -s $(printf 'b\374ro') $(printf 'l\374nk') && mkfifo pipe",
    );
    assert_eq!(all.run(&["backup", "firm", "--dry-run", "-v"]), 0);
    assert_eq!(all.run(&["backup", "firm", "--tag", "daily"]), 0);
    sh(
        &all.world.root,
        "echo more >> firm/note.txt && rm firm/pipe && mkdir firm/pipe && rm firm/link && touch -d 2001-02-03 firm/miller",
    );
    assert_eq!(all.run(&["backup", "firm", "no-such-folder"]), 3);
    for words in [
        &["snapshots"][..],
        &["ls", "latest", "-R"],
        &["find", "*"],
        &["find", "nothing", "--at", "now"],
        &["diff", "latest~1", "latest", "--metadata"],
        &["diff", "latest", "latest"],
        &["stats"],
        &["stats", "latest"],
        &["tag", "latest", "--add", "x"],
        &["tag", "latest", "--add", "x"],
        &["info"],
        &["info", "--public"],
        &["verify"],
        &["verify", "--public"],
        &["db", "verify"],
        &["db", "rebuild"],
        &["config", "sample"],
        &["restore", "latest~1", "--to", "out"],
        &["restore", "latest~1", "--to", "out", "--overwrite", "if-changed", "--delete", "-v"],
        &["forget", "--keep-last", "100"],
        &["collect", "--dry-run"],
        &["forget", "latest~1", "--collect"],
        &["man", "pages"],
        &["try"],
    ] {
        assert_eq!(all.run(words), 0, "{words:?}");
    }
    proof(&mut all);
    people(&mut all);
    witness(&mut all);
    fs::write(all.world.path("sb.toml"), "vault = 'v'\nkey-file = 'nowhere'").unwrap();
    assert_eq!(all.run(&["config", "check", "sb.toml"]), 2);
    for (words, code) in
        [(&["ls", "none"][..], 2), (&["ls"], 2), (&["restor"], 2), (&["cat", "latest:/none"], 1), (&["ls", "ffff"], 1)]
    {
        assert_eq!(all.run(words), code, "{words:?}");
    }
    // Damage: each command says what it knows of it.
    for locator in fs::read_dir(all.world.path("vault/locator")).unwrap() {
        flip(&locator.unwrap().path(), 120);
    }
    assert_eq!(all.run(&["db", "verify"]), 4);
    sh(&all.world.root, "rm \"$(ls vault/log/*/* | head -n 2 | tail -n 1)\"");
    assert_eq!(all.run(&["log", "verify"]), 4);
    flip(&all.world.content_packs().pop().unwrap(), 250);
    flip(&all.world.packs(META_PACK).remove(0), 250);
    assert_eq!(all.run(&["verify"]), 4);
    assert_eq!(all.run(&["find", "note*"]), 4);
    assert_eq!(all.run(&["restore", "latest", "--to", "damaged", "--passphrase-file", "pf"]), 4);
    for snapshot in fs::read_dir(all.world.path("vault/snapshots")).unwrap() {
        flip(&snapshot.unwrap().path(), 200);
    }
    assert_eq!(all.run(&["snapshots"]), 4);
    assert_eq!(all.run(&["info"]), 4);

    let described = all.schema.0["oneOf"].as_array().unwrap().iter();
    let described: BTreeSet<String> =
        described.map(|one| one["$ref"].as_str().unwrap().trim_start_matches("#/$defs/").to_owned()).collect();
    // Only operations that take a second have a status.
    let unseen: Vec<_> = described.iter().filter(|name| !all.seen.contains(*name) && *name != "status").collect();
    assert!(unseen.is_empty(), "described, and not printed by any command here: {unseen:?}");
}

/// What is for auditors.
fn proof(all: &mut Gathering) {
    for words in [
        &["certificate", "list"][..],
        &["certificate", "show", "latest"],
        &["certificate", "sign", "latest"],
        &["certificate", "export", "latest", "--to", "evidence"],
        &["log", "show"],
        &["log", "verify"],
        &["log", "export", "-o", "log.csv"],
        &["log", "name", "user:x", "Ann"],
        &["log", "name", "user:x", "--erase"],
    ] {
        assert_eq!(all.run(words), 0, "{words:?}");
    }
    let document = all.world.at("firm/note.txt");
    assert_eq!(all.run(&["certificate", "show", &document, "--export", "document"]), 0);
    assert_eq!(all.run(&["certificate", "verify", "evidence", "--fingerprint", &"0f".repeat(32)]), 4);
    let info = json(&all.world.ok(&["info", "--json"])).remove(0);
    assert_eq!(
        all.run(&["certificate", "verify", "evidence", "--fingerprint", info["root_fingerprint"].as_str().unwrap()]),
        0
    );
    let own = fs::read_to_string(all.world.path("evidence/witnesses.policy")).unwrap();
    let own = own.lines().next().unwrap().strip_prefix("log ").unwrap().to_owned();
    let key = all.world.ok(&["witness", "init", "w2", "--name", "witness.example/w2", "-q"]).trim_end().to_owned();
    all.world.ok(&["witness", "add-log", "w2", &own]);
    let mut second = all.world.command(&["witness", "serve", "w2", "--listen", "127.0.0.1:0", "--json"]);
    let mut second = second.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut listening = String::new();
    BufReader::new(second.stdout.take().unwrap()).read_line(&mut listening).unwrap();
    let at = format!("http://{}", json(&listening)[0]["address"].as_str().unwrap());
    assert_eq!(all.run(&["log", "checkpoint", "--witness", &at, "--witness-key", &key]), 0);
    second.kill().unwrap();
    second.wait().unwrap();
}

/// Users, roles and keys.
fn people(all: &mut Gathering) {
    fs::write(all.world.path("pf"), "correct horse battery").unwrap();
    fs::write(all.world.path("nf"), "another good one").unwrap();
    assert_eq!(all.run(&["key", "add", "--new-key-file", "sb.key", "--new-passphrase-file", "pf"]), 0);
    let both = |words: &[&'static str]| [words, &["--passphrase-file", "pf"]].concat();
    for words in [
        &["user", "add", "nina", "--role", "operator", "--new-passphrase-file", "nf"][..],
        &["user", "list"],
        &["user", "change", "nina", "--role", "verifier"],
        &["user", "lock", "nina"],
        &["user", "unlock", "nina"],
        &["user", "reset", "nina", "--new-passphrase-file", "nf"],
        &["role", "define", "trainee", "verifier"],
        &["role", "list"],
        &["role", "remove", "trainee"],
        &["access", "explain", "nina", "CreateSnapshot"],
        &["key", "list", "--all"],
        &["key", "rotate"],
        &["key", "add", "--new-passphrase-file", "nf"],
        &["key", "passwd", "--new-key-file", "sb.key", "--new-passphrase-file", "pf"],
    ] {
        assert_eq!(all.run(&both(words)), 0, "{words:?}");
    }
    let keys = json(&all.world.ok(&both(&["key", "list", "--json"])));
    let spare = keys.iter().find(|key| key["method"] == "passphrase").unwrap()["key_id"].as_str().unwrap().to_owned();
    assert_eq!(all.run(&["key", "remove", &spare, "--passphrase-file", "pf"]), 0);
    requests(all);
    assert_eq!(all.run(&["user", "lock", "nobody", "--passphrase-file", "pf"]), 2);
}

/// What takes two people, and the firm's policies.
fn requests(all: &mut Gathering) {
    fs::write(all.world.path("firm.cedar"), POLICY).unwrap();
    let owner = ["--passphrase-file", "pf"];
    let partner = ["--user", "partner", "--key-file", "p.key", "--passphrase-file", "nf"];
    let add = ["user", "add", "partner", "--role", "owner", "--new-key-file", "p.key", "--new-passphrase-file", "nf"];
    assert_eq!(all.run(&[&add[..], &owner].concat()), 0);
    for words in [
        &["policy", "activate", "firm.cedar"][..],
        &["user", "remove", "nina", "--reason", "has left"],
        &["key", "export-recovery"],
    ] {
        assert_eq!(all.run(&[words, &owner].concat()), 5, "{words:?}");
        let list = json(&all.world.ok(&[&["request", "list", "--json"][..], &owner].concat()));
        let id = list[0]["request_id"].as_str().unwrap().to_owned();
        assert_eq!(all.run(&[&["request", "list"][..], &owner].concat()), 0);
        assert_eq!(all.run(&[&["request", "show", &id][..], &owner].concat()), 0);
        assert_eq!(all.run(&[&["request", "approve", &id][..], &partner].concat()), 0);
        assert_eq!(all.run(&[words, &owner].concat()), 0, "{words:?}");
    }
    assert_eq!(all.run(&[&["policy", "show"][..], &owner].concat()), 0);
    assert_eq!(all.run(&[&["policy", "check", "firm.cedar"][..], &owner].concat()), 0);
    assert_eq!(all.run(&[&["request", "propose", "release-hold", "h_1"][..], &owner].concat()), 0);
    let list = json(&all.world.ok(&[&["request", "list", "--json"][..], &owner].concat()));
    let id = list[0]["request_id"].as_str().unwrap().to_owned();
    assert_eq!(all.run(&[&["request", "reject", &id][..], &owner].concat()), 0);
}

const POLICY: &str = "@id(\"officers-look\")
permit (principal in SB::Role::\"complianceOfficer\", action in SB::Action::\"look\", resource);";

/// The commands of a witness, which one of them serves until it is told to stop.
fn witness(all: &mut Gathering) {
    let log = NoteSigner::new("firm.example/log-1", SigningKey::from_seed(&[7; 32])).unwrap();
    let request = |old, entry: &str| {
        let head = TreeHead { size: 1, root: leaf_hash(entry.as_bytes()) };
        AddCheckpoint::new(old, vec![], Checkpoint::of(&log, head)).unwrap()
    };
    assert_eq!(all.run(&["witness", "init", "w", "--name", "witness.example/w1"]), 0);
    assert_eq!(all.run(&["witness", "add-log", "w", &log.verifier().to_string()]), 0);
    assert_eq!(all.run(&["witness", "show", "w"]), 0);
    fs::write(all.world.path("request"), request(0, "a").to_string()).unwrap();
    assert_eq!(all.run(&["witness", "cosign", "w", "request"]), 0);
    assert_eq!(all.run(&["witness", "cosign", "w", "request"]), 1);

    let mut command = all.world.command(&["witness", "serve", "w", "--listen", "127.0.0.1:0", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    output.read_line(&mut said).unwrap();
    let url = format!("http://{}", json(&said)[0]["address"].as_str().unwrap());
    for request in [request(1, "a"), request(1, "b")] {
        let _ = Client::new().submit(&url, &request, &[]);
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    output.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    for message in json(&said) {
        all.schema.check(&message).unwrap_or_else(|why| panic!("{why}\n{message}"));
        all.seen.insert(Schema::name(&message));
    }
    assert_eq!(all.run(&["witness", "show", "w"]), 4, "the log has forked");
}

#[test]
fn what_is_not_described_is_refused() {
    let schema = Schema::read();
    let good: Value = serde_json::json!({
        "message_type": "status", "seconds": 1.5, "entries": 0, "files": 0, "objects": 3, "bytes": 9, "bytes_expected": 0, "stored_bytes": 1,
    });
    assert_eq!(schema.check(&good), Ok(()));
    for (field, value, why) in [
        ("bytes", Value::from(-1), "is too small"),
        ("bytes", Value::from("9"), "is not of type"),
        ("other", Value::from(1), "is not described"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(schema.check(&bad).unwrap_err().contains(why), "{field}");
    }
    let mut bad = good.clone();
    bad.as_object_mut().unwrap().remove("files");
    assert_eq!(schema.check(&bad).unwrap_err(), "status: \"files\" is missing");
    let tagged =
        |id: &str| serde_json::json!({ "message_type": "tagged", "snapshot_id": id, "before": [], "tags": ["x"] });
    assert_eq!(schema.check(&tagged(&"0f".repeat(32))), Ok(()));
    assert!(schema.check(&tagged("0f")).is_err());
}
