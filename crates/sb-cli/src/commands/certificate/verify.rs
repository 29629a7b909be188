//! `sb certificate verify`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use sb_core::audit::{EvidenceFolder, FolderError, Known, VerifierKey};
use serde_json::json;

use super::kind;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::text::{harmless_line, local};

/// The longest file that such a folder has.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Check a folder that `sb certificate export` wrote; it needs no vault
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb certificate verify evidence --fingerprint 5be2…

Does what verify.sh in the folder does. Ends with 4 if something does not hold.")]
pub(crate) struct VerifyArgs {
    /// The folder
    folder: PathBuf,
    /// The key of a witness that must have cosigned
    #[arg(long, value_name = "VKEY")]
    witness_key: Vec<VerifierKey>,
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let Some(fingerprint) = context.fingerprint()? else {
        return Err(Failure::usage("whose certificate it is to be is not known")
            .hint("Give the fingerprint of the vault's root key with --fingerprint; it must come from elsewhere than the folder"));
    };
    let mut files = Vec::new();
    gather(&args.folder, "", &mut files)?;
    let mut known = Known::default();
    known.witnesses.clone_from(&args.witness_key);
    let output = &context.output;
    match EvidenceFolder::verify(&files, &fingerprint, &known) {
        Ok(proven) => {
            let (statement, run) = (&proven.evidence.statement, proven.evidence.statement.run());
            let what = kind(statement);
            output.result(&format!("OK: a {what} that ended {}, {}", local(run.finished), run.result.as_str()))?;
            for subject in statement.subjects.iter().take(5) {
                output.say(&harmless_line(&format!("  of {}", subject.name)))?;
            }
            for limit in &run.limits {
                output.say(&harmless_line(&format!("  {limit}")))?;
            }
            let witnessed = proven.evidence.is_witnessed();
            output.event("summary", json!({ "good": true, "kind": what, "result": run.result.as_str(), "witnessed": witnessed, "error": null }))?;
            Ok(Exit::Done)
        }
        Err(error) => {
            let error: FolderError = error;
            output.result(&harmless_line(&format!("FAILED: {}", chain(&error))))?;
            let fields =
                json!({ "good": false, "kind": null, "result": null, "witnessed": null, "error": chain(&error) });
            output.event("summary", fields)?;
            Ok(Exit::Damaged)
        }
    }
}

/// Reads all files of a folder.
fn gather(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    let failed = |path: &Path, error: &std::io::Error| Failure::file("read", path, error);
    let here = folder.join(prefix);
    for entry in fs::read_dir(&here).map_err(|error| failed(&here, &error))? {
        let entry = entry.map_err(|error| failed(&here, &error))?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = entry.metadata().map_err(|error| failed(&path, &error))?;
        if metadata.is_dir() && prefix.is_empty() {
            gather(folder, &format!("{name}/"), files)?;
        } else if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX {
            files.push((name, fs::read(&path).map_err(|error| failed(&path, &error))?));
        } else {
            return Err(Failure::new(format!("`{}` is none of the files of such a folder", path.display())));
        }
    }
    Ok(())
}
