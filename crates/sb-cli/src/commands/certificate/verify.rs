//! `sb certificate verify`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use sb_core::audit::{Authorities, Document, EvidenceFolder, FolderError, Known, ProvenFolder, VerifierKey};
use sb_core::crypto::{Digest, Sha256};
use serde_json::json;

use super::kind;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::text::{harmless_line, local};

/// More than the longest file that such a folder has.
const FILE_BYTES_MAX: u64 = 8 << 20;
const FOLDERS: [&str; 2] = ["chain", "stamps"];

/// Check a folder that `sb certificate export` wrote; it needs no vault
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb certificate verify evidence --fingerprint 5be2…
  sb certificate verify evidence --fingerprint 5be2… --document restored.pdf

Does what verify.sh in the folder does. Ends with 4 if something does not hold.")]
pub(crate) struct VerifyArgs {
    /// The folder
    folder: PathBuf,
    /// The key of a witness that must have cosigned
    #[arg(long, value_name = "VKEY")]
    witness_key: Vec<VerifierKey>,
    /// Root certificates (PEM) of which one must vouch for a time stamp
    #[arg(long, value_name = "FILE")]
    tsa_ca: Option<PathBuf>,
    /// A restored file that must be the document that the folder is about
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let Some(fingerprint) = context.fingerprint()? else {
        return Err(Failure::usage("whose certificate it is to be is not known")
            .hint("Give the fingerprint of the vault's root key with --fingerprint; it must come from elsewhere than the folder"));
    };
    let mut known = Known::default();
    known.witnesses.clone_from(&args.witness_key);
    known.authorities = args.tsa_ca.as_deref().map(authorities).transpose()?.map(|(authorities, _)| authorities);
    let restored = args.document.as_deref().map(measured).transpose()?;
    let output = &context.output;
    match holds(&args.folder, &fingerprint, &known, restored)? {
        Ok(proven) => {
            let (statement, run) = (&proven.evidence.statement, proven.evidence.statement.run());
            let what = kind(statement);
            let (witnessed, is_known) = (proven.is_witnessed(), is_known(&proven));
            let seen = match (witnessed, is_known) {
                (_, true) => "witnessed from outside",
                (true, false) => "witnessed from outside by keys that this folder alone names",
                (false, false) => "nobody outside has witnessed it",
            };
            output.result(&format!(
                "OK: a {what} that ended {}, {}; {seen}",
                local(run.finished),
                run.result.as_str()
            ))?;
            for subject in statement.subjects.iter().take(5) {
                output.say(&harmless_line(&format!("  of {}", subject.name)))?;
            }
            for limit in &run.limits {
                output.say(&harmless_line(&format!("  {limit}")))?;
            }
            let result = run.result.as_str();
            let fields = json!({
                "good": true, "kind": what, "result": result, "witnessed": witnessed, "witness_known": is_known, "error": null
            });
            output.event("summary", fields)?;
            Ok(Exit::Done)
        }
        Err(error) => {
            output.result(&harmless_line(&format!("FAILED: {error}")))?;
            let fields = json!({
                "good": false, "kind": null, "result": null, "witnessed": null, "witness_known": null, "error": error
            });
            output.event("summary", fields)?;
            Ok(Exit::Damaged)
        }
    }
}

/// What the folder proves, or why it does not hold.
fn holds(
    folder: &Path,
    fingerprint: &Digest,
    known: &Known,
    restored: Option<(u64, Digest)>,
) -> Result<Result<ProvenFolder, String>, Failure> {
    let mut files = Vec::new();
    let gathered = gather(folder, "", &mut files)?;
    let proven = match gathered.and_then(|()| EvidenceFolder::verify(&files, fingerprint, known)) {
        Ok(proven) => proven,
        Err(error) => return Ok(Err(chain(&error))),
    };
    let fault = restored.and_then(|restored| differs(restored, proven.document.as_ref()));
    Ok(fault.map_or(Ok(proven), Err))
}

fn is_known(proven: &ProvenFolder) -> bool {
    !proven.known_witnesses.is_empty() || proven.stamps.iter().any(|stamp| stamp.is_known)
}

/// What of a restored file, of which size and hash are given, is not as in the document that is shown.
fn differs((size, sha256): (u64, Digest), shown: Option<&Document>) -> Option<String> {
    match shown {
        None => Some("this folder is about no single document".to_owned()),
        Some(document) if (document.size, document.sha256) == (size, sha256) => None,
        Some(_) => Some(format!("the file is not the document: its size is {size}, its SHA-256 {sha256}")),
    }
}

/// Root certificates, and the file with them.
pub(super) fn authorities(file: &Path) -> Result<(Authorities, Vec<u8>), Failure> {
    let pem = fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    match Authorities::from_pem(&pem) {
        Ok(authorities) => Ok((authorities, pem)),
        Err(error) => Err(Failure::usage(format!("`{}` is no root certificate: {}", file.display(), chain(&error)))),
    }
}

/// The size and the hash of a file.
fn measured(file: &Path) -> Result<(u64, Digest), Failure> {
    let read = || -> io::Result<_> {
        let (mut opened, mut buffer) = (File::open(file)?, vec![0; 64 << 10]);
        let (mut size, mut hash) = (0, Sha256::new());
        loop {
            match opened.read(&mut buffer)? {
                0 => return Ok((size, hash.finish())),
                count => {
                    size += count as u64;
                    hash.update(&buffer[..count]);
                }
            }
        }
    };
    read().map_err(|error| Failure::file("read", file, &error))
}

/// Reads all files of a folder; the inner error is of what can't be one of them.
fn gather(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<Result<(), FolderError>, Failure> {
    let failed = |path: &Path, error: &io::Error| Failure::file("read", path, error);
    let here = if prefix.is_empty() { folder.to_owned() } else { folder.join(prefix) };
    for entry in fs::read_dir(&here).map_err(|error| failed(&here, &error))? {
        let entry = entry.map_err(|error| failed(&here, &error))?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = entry.metadata().map_err(|error| failed(&path, &error))?;
        if metadata.is_dir() && FOLDERS.contains(&name.as_str()) {
            let gathered = gather(folder, &format!("{name}/"), files)?;
            if gathered.is_err() {
                return Ok(gathered);
            }
        } else if !metadata.is_file() {
            return Ok(Err(FolderError::Extra { name }));
        } else if metadata.len() > FILE_BYTES_MAX {
            return Ok(Err(FolderError::TooLong { name }));
        } else {
            files.push((name, fs::read(&path).map_err(|error| failed(&path, &error))?));
        }
    }
    Ok(Ok(()))
}
