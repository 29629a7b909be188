//! `cargo xtask layers`: the crates' dependencies against the allowed ones, which are listed here.

use serde_json::Value;

use crate::failure::Failure;
use crate::options::Options;
use crate::workspace::{elements, metadata, text};

/// Each crate and the crates of this workspace it may depend on.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("sb-chunk", &[]),
    ("sb-crypto", &[]),
    ("sb-store", &[]),
    ("sb-source", &[]),
    ("sb-classify", &[]),
    ("sb-policy", &[]),
    ("sb-rbac", &[]),
    ("sb-index", &[]),
    ("sb-audit", &["sb-crypto"]),
    ("sb-repo", &["sb-chunk", "sb-crypto", "sb-store", "sb-source", "sb-audit"]),
    ("sb-witness", &["sb-crypto", "sb-audit"]),
    ("sb-report", &["sb-audit"]),
    ("sb-remote", &["sb-store"]),
    ("sb-jobs", &["sb-policy"]),
    (
        "sb-core",
        &[
            "sb-chunk",
            "sb-crypto",
            "sb-store",
            "sb-source",
            "sb-classify",
            "sb-policy",
            "sb-rbac",
            "sb-index",
            "sb-repo",
            "sb-audit",
            "sb-witness",
            "sb-report",
            "sb-remote",
            "sb-jobs",
        ],
    ),
    ("sb-cli", &["sb-core"]),
    ("benches", &[]),
    ("xtask", &[]),
];

/// Crates of cryptographic primitives, and the one crate that may name them.
const CRYPTO: &str = "sb-crypto";
const PRIMITIVES: [&str; 25] = [
    "aes",
    "aes-gcm",
    "argon2",
    "aws-lc-rs",
    "blake2",
    "blake3",
    "chacha20poly1305",
    "crypto_box",
    "curve25519-dalek",
    "ed25519-dalek",
    "hkdf",
    "hmac",
    "hpke",
    "md-5",
    "ml-kem",
    "openssl",
    "p256",
    "p384",
    "pbkdf2",
    "ring",
    "scrypt",
    "sha1",
    "sha2",
    "sha3",
    "x25519-dalek",
];

/// Never anywhere: RUSTSEC-2023-0071 has no patch; OpenSSL would be a second, unpinned set of primitives.
const BANNED: [&str; 2] = ["rsa", "openssl-sys"];

/// What depends on what. Development dependencies do not count: tests may use anything.
#[derive(Debug)]
struct Graph {
    /// Crates of this workspace with the names of their direct dependencies.
    members: Vec<(String, Vec<String>)>,
    /// Every crate that is built.
    all: Vec<String>,
}

pub(crate) fn run(options: Options) -> Result<(), Failure> {
    options.finish()?;
    let graph = graph(&metadata(&["--all-features"])?);
    let violations = violations(&graph);
    for violation in &violations {
        println!("layers: {violation}");
    }
    if violations.is_empty() {
        println!("layers: {} crates, no arrow where none may be", graph.members.len());
        Ok(())
    } else {
        Err(Failure::Found { task: "forbidden dependencies", faults: violations.len() })
    }
}

fn graph(metadata: &Value) -> Graph {
    let all = elements(&metadata["packages"]).map(|package| text(&package["name"]).to_owned()).collect();
    let is_member = |package: &&Value| elements(&metadata["workspace_members"]).any(|id| *id == package["id"]);
    let member = |package: &Value| {
        let counts = |dependency: &&Value| dependency["kind"] != "dev";
        let names = elements(&package["dependencies"]).filter(counts).map(|one| text(&one["name"]).to_owned());
        (text(&package["name"]).to_owned(), names.collect())
    };
    Graph { members: elements(&metadata["packages"]).filter(is_member).map(member).collect(), all }
}

fn violations(graph: &Graph) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, dependencies) in &graph.members {
        let Some((_, allowed)) = ALLOWED.iter().find(|(listed, _)| listed == name) else {
            violations.push(format!("{name} has no place in the list of layers"));
            continue;
        };
        for dependency in dependencies {
            let ours = graph.members.iter().any(|(member, _)| member == dependency);
            if ours && !allowed.contains(&dependency.as_str()) {
                violations.push(format!("{name} -> {dependency} is not allowed"));
            }
            if name != CRYPTO && PRIMITIVES.contains(&dependency.as_str()) {
                violations.push(format!("{name} -> {dependency}: only {CRYPTO} names primitives"));
            }
        }
    }
    for banned in BANNED.iter().filter(|banned| graph.all.iter().any(|name| name == *banned)) {
        violations.push(format!("{banned} is in the graph; find its way in with `cargo tree --invert {banned}`"));
    }
    violations
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(members: &[(&str, &[&str])]) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let members: Vec<_> = members.iter().map(|(name, needs)| ((*name).to_owned(), owned(needs))).collect();
        let all = members.iter().flat_map(|(name, needs)| needs.iter().chain([name])).cloned().collect();
        violations(&Graph { members, all })
    }

    #[test]
    fn arrows_that_run_down_are_allowed() {
        let repo: (&str, &[&str]) = ("sb-repo", &["sb-crypto", "sb-chunk", "zstd"]);
        assert_eq!(check(&[repo, ("sb-crypto", &["ring"]), ("sb-chunk", &["fastcdc"])]), [""; 0]);
    }

    #[test]
    fn an_arrow_up_or_across_is_named() {
        assert_eq!(
            check(&[("sb-crypto", &["sb-repo"]), ("sb-repo", &[]), ("sb-cli", &["sb-repo"])]),
            ["sb-crypto -> sb-repo is not allowed", "sb-cli -> sb-repo is not allowed"]
        );
    }

    #[test]
    fn a_crate_must_have_its_place() {
        assert_eq!(check(&[("sb-new", &[])]), ["sb-new has no place in the list of layers"]);
    }

    #[test]
    fn primitives_have_one_home_and_some_crates_none() {
        assert_eq!(check(&[("sb-repo", &["ring"])]), ["sb-repo -> ring: only sb-crypto names primitives"]);
        let banned = check(&[("sb-cli", &["openssl-sys"])]);
        assert_eq!(banned, ["openssl-sys is in the graph; find its way in with `cargo tree --invert openssl-sys`"]);
    }

    #[test]
    fn cargo_metadata_is_understood() {
        let dependency = |name: &str, kind: Value| json!({ "name": name, "kind": kind });
        let dependencies = [
            dependency("sb-store", Value::Null),
            dependency("cc", json!("build")),
            dependency("proptest", json!("dev")),
        ];
        let graph = graph(&json!({
            "packages": [
                { "name": "sb-repo", "id": "r", "dependencies": dependencies },
                { "name": "cc", "id": "c", "dependencies": [] },
            ],
            "workspace_members": ["r"],
        }));
        assert_eq!(graph.members, [("sb-repo".to_owned(), vec!["sb-store".to_owned(), "cc".to_owned()])]);
        assert_eq!(graph.all, ["sb-repo", "cc"]);
    }

    #[test]
    fn the_list_itself_runs_down() {
        let at = |name: &str| ALLOWED.iter().position(|(listed, _)| *listed == name);
        for (above, below) in ALLOWED.iter().flat_map(|(above, all)| all.iter().map(move |below| (above, below))) {
            assert!(at(below) < at(above), "{above} -> {below}");
        }
    }
}
