//! The tools that are compared, and what is typed for each step.
//!
//! Commands are for `sh -c`, in the tree's folder, with these variables: `BIN` the tool, `TREE` the tree, `VAULT`,
//! `CACHE` and `OUT` folders of its own (`OUT` is empty), `N` the number of the newest snapshot from 1 on, `DOCUMENT`
//! the path of a file inside the tree and `NAME` the name of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::steps::Step;
use crate::failure::Failure;
use crate::program;

/// What a tool is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// The program this project makes.
    Ours,
    /// Another backup tool.
    Peer,
    /// Does one step and nothing besides: what the machine allows.
    Limit,
}

/// A tool, and how to have it do things.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Where it is in the folder of peers, or if that is not said, what it is called on the path.
    at: &'static str,
    version: &'static str,
    /// Variables besides those that all commands have; `$VAULT` and `$CACHE` in them are replaced.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// Makes the vault; not timed.
    pub(crate) init: Option<&'static str>,
    commands: &'static [(Step, &'static str)],
    /// Prints a JSON object that says what is stored without padding.
    pub(crate) stored: Option<&'static str>,
}

impl Tool {
    /// What is typed for this step; nothing if the tool doesn't do it.
    pub(crate) fn command(&self, step: Step) -> Option<&'static str> {
        // Looking at an unchanged or changed tree again is a backup like the first unless a tool says otherwise.
        let same = match step {
            Step::Unchanged | Step::Day if self.role != Role::Limit => Step::First,
            Step::Days if self.role == Role::Ours => Step::First,
            other => other,
        };
        let of = |step| self.commands.iter().find(|(which, _)| *which == step).map(|(_, command)| *command);
        of(step).or_else(|| of(same))
    }
}

const BORG_VARIABLES: &[(&str, &str)] = &[
    ("BORG_PASSPHRASE", "bench"),
    ("BORG_REPO", "$VAULT"),
    ("BORG_BASE_DIR", "$CACHE"),
    ("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes"),
];
const BORG_INIT: &str = r#""$BIN" init --encryption repokey"#;
const BORG_FIND: &str = r#""$BIN" list --short "::s$N" "sh:**/$NAME""#;
const BORG_ONE: &str = r#""$BIN" extract --stdout "::s$N" "$DOCUMENT" > "$OUT/one""#;
const BORG_RESTORE: &str = r#"cd "$OUT" && "$BIN" extract "::s$N""#;
const BORG_VERIFY: &str = r#""$BIN" check --verify-data"#;
const BORG_COLLECT: &str = r#""$BIN" prune --keep-last 1 && "$BIN" compact"#;
const VERSION: &str = r#""$BIN" --version"#;

/// All tools, ours first.
pub(crate) const TOOLS: [Tool; 11] = [
    Tool {
        name: "sb",
        role: Role::Ours,
        at: "sb",
        version: VERSION,
        variables: &[
            ("SB_VAULT", "$VAULT"),
            ("SB_STATE_DIR", "$CACHE/state"),
            ("SB_KEY_FILE", "$CACHE/key"),
            ("SB_CONFIG", "/dev/null"),
        ],
        init: Some(r#""$BIN" init --quiet --recovery-key-out "$CACHE/recovery-key""#),
        commands: &[
            (Step::Start, VERSION),
            (Step::First, r#""$BIN" backup --quiet "$TREE""#),
            (Step::Find, r#""$BIN" find --snapshot latest "$NAME""#),
            (Step::One, r#""$BIN" cat "latest:$TREE/$DOCUMENT" > "$OUT/one""#),
            (Step::Restore, r#""$BIN" restore --quiet "latest:$TREE" --to "$OUT""#),
            (Step::Verify, r#""$BIN" verify --quiet --level data"#),
            (Step::Collect, r#""$BIN" forget --quiet --keep-last 1 --collect"#),
        ],
        stored: Some(r#""$BIN" stats --json"#),
    },
    Tool {
        name: "restic",
        role: Role::Peer,
        at: "restic/usr/bin/restic",
        version: r#""$BIN" version"#,
        variables: &[
            ("RESTIC_PASSWORD", "bench"),
            ("RESTIC_REPOSITORY", "$VAULT"),
            ("RESTIC_CACHE_DIR", "$CACHE"),
            ("RESTIC_PROGRESS_FPS", "0"),
        ],
        init: Some(r#""$BIN" init --quiet"#),
        commands: &[
            (Step::Start, r#""$BIN" version"#),
            (Step::First, r#""$BIN" backup --quiet "$TREE""#),
            (Step::Find, r#""$BIN" find --quiet --snapshot latest "$NAME""#),
            (Step::One, r#""$BIN" dump --quiet latest "$TREE/$DOCUMENT" > "$OUT/one""#),
            (Step::Restore, r#""$BIN" restore --quiet "latest:$TREE" --target "$OUT""#),
            (Step::Verify, r#""$BIN" check --quiet --read-data"#),
            (Step::Collect, r#""$BIN" forget --quiet --keep-last 1 --prune"#),
        ],
        stored: None,
    },
    Tool {
        name: "rustic",
        role: Role::Peer,
        at: "rustic/bin/rustic",
        version: VERSION,
        variables: &[
            ("RUSTIC_PASSWORD", "bench"),
            ("RUSTIC_REPOSITORY", "$VAULT"),
            ("RUSTIC_CACHE_DIR", "$CACHE"),
            ("RUSTIC_NO_PROGRESS", "true"),
            ("RUSTIC_LOG_LEVEL", "error"),
        ],
        init: Some(r#""$BIN" init"#),
        commands: &[
            (Step::Start, VERSION),
            (Step::First, r#""$BIN" backup "$TREE""#),
            (Step::Find, r#""$BIN" find --glob "$NAME" latest"#),
            (Step::One, r#""$BIN" dump "latest:$TREE/$DOCUMENT" > "$OUT/one""#),
            (Step::Restore, r#""$BIN" restore "latest:$TREE" "$OUT""#),
            (Step::Verify, r#""$BIN" check --read-data"#),
            (Step::Collect, r#""$BIN" forget --keep-last 1 --prune --instant-delete"#),
        ],
        stored: None,
    },
    Tool {
        name: "bupstash",
        role: Role::Peer,
        at: "bupstash/bin/bupstash",
        version: r#""$BIN" version"#,
        variables: &[
            ("BUPSTASH_REPOSITORY", "$VAULT"),
            ("BUPSTASH_KEY", "$CACHE/key"),
            ("BUPSTASH_QUERY_CACHE", "$CACHE/queries"),
        ],
        init: Some(r#""$BIN" new-key -o "$CACHE/key" && "$BIN" init"#),
        commands: &[
            (Step::Start, r#""$BIN" version"#),
            (Step::First, r#""$BIN" put -q --send-log "$CACHE/send.log" "n=$N" "$TREE" > "$CACHE/id""#),
            (Step::Find, r#""$BIN" list-contents -q "n=$N" | grep -F "$NAME""#),
            (Step::One, r#""$BIN" get -q --pick "$DOCUMENT" "n=$N" > "$OUT/one""#),
            (Step::Restore, r#""$BIN" restore -q --into "$OUT" "n=$N""#),
            // It has no command for this: opens and authenticates all of one snapshot.
            (Step::Verify, r#""$BIN" get -q "n=$N" > /dev/null"#),
            (
                Step::Collect,
                r#"for i in $(seq $((N - 1))); do "$BIN" rm -q "n=$i" > /dev/null || exit; done; "$BIN" gc -q"#,
            ),
        ],
        stored: None,
    },
    Tool {
        name: "borg zstd",
        role: Role::Peer,
        at: "borg/bin/borg",
        version: VERSION,
        variables: BORG_VARIABLES,
        init: Some(BORG_INIT),
        commands: &[
            (Step::Start, VERSION),
            (Step::First, r#""$BIN" create --compression zstd,3 "::s$N" ."#),
            (Step::Find, BORG_FIND),
            (Step::One, BORG_ONE),
            (Step::Restore, BORG_RESTORE),
            (Step::Verify, BORG_VERIFY),
            (Step::Collect, BORG_COLLECT),
        ],
        stored: None,
    },
    Tool {
        name: "borg lz4",
        role: Role::Peer,
        at: "borg/bin/borg",
        version: VERSION,
        variables: BORG_VARIABLES,
        init: Some(BORG_INIT),
        commands: &[
            (Step::First, r#""$BIN" create "::s$N" ."#),
            (Step::Find, BORG_FIND),
            (Step::One, BORG_ONE),
            (Step::Restore, BORG_RESTORE),
            (Step::Verify, BORG_VERIFY),
            (Step::Collect, BORG_COLLECT),
        ],
        stored: None,
    },
    Tool {
        name: "bare",
        role: Role::Limit,
        at: "bare",
        version: "echo a prototype of nothing but the primitives",
        variables: &[],
        init: None,
        commands: &[(Step::First, r#""$BIN" "$TREE" "$VAULT""#)],
        stored: None,
    },
    Tool {
        name: "tar | zstd -3",
        role: Role::Limit,
        at: "zstd",
        version: r#"echo "$(tar --version | head -n 1), $("$BIN" --version | tr -d '*')""#,
        variables: &[],
        init: Some(r#"mkdir "$VAULT""#),
        commands: &[(Step::First, r#"tar --create . | "$BIN" -q -3 -T2 > "$VAULT/tar.zst""#)],
        stored: None,
    },
    Tool {
        name: "nothing",
        role: Role::Limit,
        at: "true",
        version: r#""$BIN" --version | head -n 1"#,
        variables: &[],
        init: None,
        commands: &[(Step::Start, r#""$BIN""#)],
        stored: None,
    },
    Tool {
        name: "stat walk",
        role: Role::Limit,
        at: "find",
        version: r#""$BIN" --version | head -n 1"#,
        variables: &[],
        init: None,
        commands: &[(Step::Unchanged, r#""$BIN" . -printf '%T@ %s\n' > /dev/null"#)],
        stored: None,
    },
    Tool {
        name: "cp -a",
        role: Role::Limit,
        at: "cp",
        version: r#""$BIN" --version | head -n 1"#,
        variables: &[],
        init: None,
        commands: &[(Step::Restore, r#""$BIN" --archive . "$OUT""#)],
        stored: None,
    },
];

/// All names, for messages.
pub(crate) fn names() -> String {
    TOOLS.each_ref().map(|tool| format!("`{}`", tool.name)).join(", ")
}

/// Where tools may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) sb: Option<PathBuf>,
    pub(crate) bare: Option<PathBuf>,
    /// A folder with other tools, each in one of its own.
    pub(crate) peers: Option<PathBuf>,
}

impl Places {
    /// The absolute path of a tool's program, if it is here.
    pub(crate) fn find(&self, tool: &Tool) -> Option<PathBuf> {
        let file = Path::new(tool.at);
        let found = match tool.name {
            "sb" => self.sb.clone(),
            "bare" => self.bare.clone(),
            _ => {
                let among = self.peers.as_ref().map(|peers| peers.join(file)).filter(|path| path.is_file());
                among.or_else(|| program::find(&file.file_name()?.to_string_lossy()))
            }
        };
        // What is beside a program may be found from where it is called: links are not followed.
        std::path::absolute(found?).ok().filter(|path| path.is_file())
    }
}

/// A tool that is here.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) tool: &'static Tool,
    pub(crate) bin: PathBuf,
    /// What it says of its version.
    pub(crate) version: String,
}

impl Found {
    pub(crate) fn inspect(tool: &'static Tool, bin: PathBuf) -> Result<Self, Failure> {
        let version = program::output(Command::new("sh").args(["-c", tool.version]).env("BIN", &bin))?;
        Ok(Self { tool, bin, version: version.lines().next().unwrap_or_default().trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> &'static Tool {
        Box::leak(Box::new(TOOLS)).iter().find(|tool| tool.name == name).unwrap()
    }

    #[test]
    fn every_backup_tool_does_every_step_and_a_limit_but_one() {
        for tool in &TOOLS {
            let done: Vec<Step> = Step::ALL.into_iter().filter(|step| tool.command(*step).is_some()).collect();
            match tool.role {
                Role::Ours => assert_eq!(done, Step::ALL),
                Role::Peer => assert!(done.len() >= 8, "{} does {done:?}", tool.name),
                Role::Limit => assert_eq!(done.len(), 1, "{}", tool.name),
            }
        }
        assert_eq!(tool("restic").command(Step::Day), tool("restic").command(Step::First));
        assert_eq!(tool("restic").command(Step::Days), None);
    }

    #[test]
    fn commands_name_no_place_of_any_machine() {
        for command in TOOLS.iter().flat_map(|tool| Step::ALL.map(|step| tool.command(step))).flatten() {
            assert!(!command.contains(" /") || command.contains("> /dev/null"), "{command}");
        }
    }

    #[test]
    fn tools_are_looked_for_among_the_peers_and_on_the_path() {
        let none = Places::default();
        assert_eq!(none.find(tool("sb")), None);
        assert_eq!(none.find(tool("bare")), None);
        assert!(none.find(tool("cp -a")).unwrap().is_absolute());
        let folder = std::env::temp_dir().join(format!("xtask-peers-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("restic/usr/bin")).unwrap();
        let restic = folder.join("restic/usr/bin/restic");
        program::write_script(&restic, "echo 'restic 9.9 compiled'; echo more");
        let places = Places { peers: Some(folder.clone()), ..Places::default() };
        assert_eq!(places.find(tool("restic")), Some(restic.clone()));
        assert_eq!(Found::inspect(tool("restic"), restic).unwrap().version, "restic 9.9 compiled");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
