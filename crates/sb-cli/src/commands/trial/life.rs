//! The steps of a trial, in order.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use sb_core::audit::{EvidenceFolder, Known, Outcome};
use sb_core::crypto::{Credential, Digest, KeyFile, Lock, SystemRandom};
use sb_core::{
    BackupOptions, BackupReport, CoreError, EvidenceOptions, InitOptions, Location, RepoError, RestoreOptions,
    RestoreProblem, RestoreReport, Session, Size, SnapshotPath, Vault, VerifyLevel, VerifyOptions, VerifyReport,
};

use super::check_stop;
use super::compare::{Comparison, Excuse, Excused, compare};
use super::firm::{self, Sample};
use super::steps::Steps;
use crate::commands::verify::name;
use crate::context::Context;
use crate::failure::Failure;
use crate::platform;
use crate::secrets::make_key_file;
use crate::text::{count, shown};

/// The first byte of a pack's first segment (docs/format.md §8), and the type of packs of content (§2).
const FIRST_SEGMENT: usize = 104;
const CONTENT_PACK: u8 = 6;

/// Everything that a trial works with.
struct Life<'a> {
    context: &'a Context,
    folder: &'a Path,
    vault: Vault,
    key: KeyFile,
    sources: Vec<PathBuf>,
    sample: Sample,
}

/// Goes through all steps; true if something of the user's folder could not be read.
pub(super) fn live(
    context: &Context,
    folder: &Path,
    given: Option<&Path>,
    steps: &mut Steps<'_>,
) -> Result<bool, Failure> {
    let failed = |error| Failure::file("prepare", folder, &error);
    let sample = match given {
        Some(_) => firm::notes(&folder.join("notes")).map_err(failed)?,
        None => firm::firm(&folder.join("firm")).map_err(failed)?,
    };
    let what = match given {
        Some(given) => format!("take {}, and three notes of our own to change later", given.display()),
        None => "make a small firm: clients, years, invoices, ledgers".to_owned(),
    };
    let proves =
        if given.is_some() { "your folder is only read" } else { "sparse and linked files and odd names among them" };
    steps.done(&what, proves)?;
    let sources = given.map(Path::to_owned).into_iter().chain([sample.root.clone()]).collect();
    let location = Location::parse(folder.join("vault").as_os_str()).map_err(CoreError::from)?;
    let vault = Vault::new(location, folder.join("state"));
    let (key, key_file) = make_key_file(&folder.join("sb.key"))?;
    key_file.keep();
    let mut options = InitOptions::default();
    options.locks = vec![Lock::KeyFile(key.clone())];
    let made = vault.init(&options)?;
    let digits = &made.root_fingerprint.to_string()[..16];
    steps.done(
        "make a vault with a key file (sb init)",
        &format!(
            "its root key, {digits}…, will sign all that is in it; a recovery key opens it if the key file is lost"
        ),
    )?;
    let life = Life { context, folder, vault, key, sources, sample };
    let (first, second) = life.back_up_twice(steps)?;
    life.restore_and_compare(&second, steps)?;
    life.verify(steps)?;
    life.refuse_other_keys(steps)?;
    life.prove(made.root_fingerprint, steps)?;
    life.damage(&second, steps)?;
    Ok(first.is_partial() || second.is_partial())
}

impl Life<'_> {
    fn open(&self) -> Result<Session, Failure> {
        check_stop(self.context)?;
        Ok(self.vault.open(&Credential::KeyFile(self.key.clone()), None)?)
    }

    fn back_up(&self) -> Result<BackupReport, Failure> {
        let mut options = BackupOptions::default();
        options.paths.clone_from(&self.sources);
        options.host = platform::host_name();
        let mut session = self.open()?;
        self.context.watch("backing up", |progress| session.backup(&options, progress))
    }

    fn back_up_twice(&self, steps: &mut Steps<'_>) -> Result<(BackupReport, BackupReport), Failure> {
        let first = self.back_up()?;
        for problem in &first.problems {
            self.context.output.warn(&problem.to_string());
        }
        let counts = first.counts;
        let what = format!("back it up (sb backup): {}, {}", count(counts.files, "file"), Size(counts.bytes));
        let partial = if first.is_partial() { "; what could not be read is named above" } else { "" };
        let stored = format!("{} in the vault's packs, encrypted and signed{partial}", Size(counts.stored_bytes));
        steps.done(&what, &stored)?;

        self.sample.change().map_err(|error| Failure::file("change", &self.sample.root, &error))?;
        steps.done("change something", "one file rewritten, one added, one deleted")?;

        let second = self.back_up()?;
        let (size, counts) = (Size(second.counts.bytes), second.counts);
        let proves = format!("of {size}, {} were new: only what is new is stored", Size(counts.new_bytes));
        steps.done("back it up again", &proves)?;

        let (path, before) = self.sample.rewritten();
        let mut content = Vec::new();
        let mut session = self.open()?;
        self.context.watch("reading", |progress| {
            session.cat(&at("latest~1", path), progress, &mut |bytes| {
                content.extend_from_slice(bytes);
                Ok(())
            })
        })?;
        if content != before {
            return Err(Failure::new(format!("`{}` is not what it was in the first snapshot", path.display())));
        }
        let file = path.file_name().unwrap_or_default().display();
        steps
            .done(&format!("read {file} as it was before (sb cat latest~1:…)"), "every snapshot keeps its own past")?;
        Ok((first, second))
    }

    /// Restores the latest snapshot of each source into a folder of its own.
    fn restore(&self, to: &str) -> Result<Vec<(PathBuf, PathBuf, RestoreReport)>, Failure> {
        let mut session = self.open()?;
        let mut restored = Vec::new();
        for (n, source) in self.sources.iter().enumerate() {
            let target = self.folder.join(to).join(n.to_string());
            let report = self.context.watch("restoring", |progress| {
                session.restore(&at("latest", source), &target, RestoreOptions::default(), progress)
            })?;
            restored.push((source.clone(), target, report));
        }
        Ok(restored)
    }

    fn restore_and_compare(&self, backup: &BackupReport, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let restored = self.restore("restored")?;
        let files: u64 = restored.iter().map(|(_, _, report)| report.files).sum();
        steps.done(
            &format!("restore it into an empty folder (sb restore): {}", count(files, "file")),
            "each was compared with its SHA-256 before it got its name",
        )?;
        let (mut files, mut folders, mut others, mut excepted) = (0, 0, 0, 0);
        let unread = unread(backup);
        for (source, target, report) in &restored {
            let unset = without_metadata(report);
            excepted += unset.len() as u64;
            let excuse = |below: &Path| excused(&source.join(below), below, &unread, &unset);
            let same = self.same(source, target, &excuse)?;
            files += same.files;
            folders += same.folders;
            others += same.others;
        }
        let what = format!(
            "compare it with the original: {}, {}, {}",
            count(files, "file"),
            count(folders, "folder"),
            count(others, "link")
        );
        let proves = match excepted {
            0 => "same bytes, names, times, owners, permissions, attributes and links".to_owned(),
            n => format!(
                "same bytes, names and links; owner or attributes that only root may set were left out for {}",
                count(n, "name")
            ),
        };
        steps.done(&what, &proves)
    }

    /// Compares two trees, which must be the same.
    fn same(&self, source: &Path, target: &Path, excuse: Excuse<'_>) -> Result<Comparison, Failure> {
        check_stop(self.context)?;
        let comparison = compare(source, target, excuse).map_err(|error| Failure::file("compare", source, &error))?;
        let Some(first) = comparison.differences.first() else { return Ok(comparison) };
        for difference in comparison.differences.iter().skip(1).take(20) {
            self.context.output.warn(difference);
        }
        let number = count(comparison.differences.len() as u64, "difference");
        Err(Failure::new(format!("what was restored is not the same: {number}, and first of all {first}")))
    }

    fn verify(&self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let report = self.verify_at(VerifyLevel::Restore)?;
        expect_good(&report)?;
        let what = format!(
            "verify the vault (sb verify --level {}): {}, {}",
            name(report.level),
            count(report.objects, "object"),
            count(report.documents, "document")
        );
        steps.done(&what, "every stored byte was read, every document rebuilt: nothing is wrong")?;
        let report = self.context.watch("verifying", |progress| self.vault.verify_public(None, &[], progress))?;
        expect_good(&report.verified)?;
        steps.done(
            "verify it with no key (sb verify --public)",
            "an auditor needs no secret to see that nothing was changed",
        )
    }

    fn verify_at(&self, level: VerifyLevel) -> Result<VerifyReport, Failure> {
        let mut session = self.open()?;
        let mut options = VerifyOptions::default();
        options.level = level;
        Ok(self.context.watch("verifying", |progress| session.verify(options, progress))?.report)
    }

    fn refuse_other_keys(&self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let other = Credential::KeyFile(KeyFile::generate(&SystemRandom));
        match self.vault.open(&other, None) {
            Err(CoreError::Repo(RepoError::WrongCredential)) => {
                steps.done("try to open it with another key", "refused: whoever has the disk has nothing without a key")
            }
            Err(error) => Err(error.into()),
            Ok(_) => Err(Failure::new("another key opened the vault")),
        }
    }

    /// Writes what an auditor gets, checks it as he does, and looks at the log.
    fn prove(&self, fingerprint: Digest, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let mut session = self.open()?;
        let folder = self.folder.join("evidence");
        let options = EvidenceOptions::new("latest");
        let report = self.context.watch("writing", |progress| session.export_evidence(&options, &folder, progress))?;
        let read = |name: &String| Ok((name.clone(), fs::read(folder.join(name))?));
        let files: std::io::Result<Vec<_>> = report.files.iter().map(read).collect();
        let files = files.map_err(|error| Failure::file("read", &folder, &error))?;
        EvidenceFolder::verify(&files, &fingerprint, &Known::default()).map_err(CoreError::from)?;
        let what = format!(
            "hand an auditor the certificate of it (sb certificate export): {}",
            count(files.len() as u64, "file")
        );
        steps.done(&what, "a shell and openssl check it, with neither our program, nor a key, nor a network")?;
        let log = self.context.watch("reading", |progress| session.read_log(progress))?;
        let denied = log.entries.iter().any(|logged| logged.entry.event.outcome == Outcome::Denied);
        if !denied || log.findings.iter().any(sb_core::repo::LogFinding::is_damage) {
            return Err(Failure::new("the audit log is not as it should be"));
        }
        let what = format!("look into the audit log (sb log show): {}", count(log.entries.len() as u64, "record"));
        steps.done(&what, "all of this stands in it, also that another key was tried")
    }

    /// Changes one byte of what the second backup stored, and sees it found and contained.
    fn damage(&self, backup: &BackupReport, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let failed = |error| Failure::file("damage", &self.folder.join("vault"), &error);
        let pack = smallest_content_pack(&self.folder.join("vault/packs")).map_err(failed)?;
        flip_a_byte(&pack).map_err(failed)?;
        let report = self.verify_at(VerifyLevel::Data)?;
        let object = pack.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(finding) = report.findings.iter().find(|finding| finding.object.ends_with(&object)) else {
            return Err(Failure::new(format!("the damage to `{}` was not found", pack.display())));
        };
        let lost: HashSet<PathBuf> = finding.documents.iter().map(|document| path(&document.path)).collect();
        let example = finding.documents.first().map(|document| shown(&document.path)).unwrap_or_default();
        let file = Path::new(&example).file_name().unwrap_or_default().display().to_string();
        let proves = format!(
            "pack {}… is named, and {} in it, such as {file}",
            &object[..8],
            count(lost.len() as u64, "document")
        );
        steps.done("change one byte of the vault, and verify it", &proves)?;

        let gone = lost.union(&unread(backup)).cloned().collect();
        for (source, target, report) in self.restore("restored-damaged")? {
            let unset = without_metadata(&report);
            let excuse = |below: &Path| excused(&source.join(below), below, &gone, &unset);
            self.same(&source, &target, &excuse)?;
            let mut refused = lost.iter().filter_map(|path| path.strip_prefix(&source).ok());
            if let Some(made_up) = refused.find(|below| target.join(below).exists()) {
                let message = format!("`{}` was restored although its bytes are damaged", made_up.display());
                return Err(Failure::new(message));
            }
        }
        steps.done("restore from the damaged vault", "what the bad byte held is refused, all else is whole")
    }
}

/// A path in a snapshot.
fn at(snapshot: &str, path: &Path) -> SnapshotPath {
    SnapshotPath { snapshot: snapshot.to_owned(), path: Some(path.as_os_str().as_encoded_bytes().to_vec()) }
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    let text: OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec());
    text.into()
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    OsString::from(String::from_utf8_lossy(bytes).into_owned()).into()
}

/// Entries whose metadata could not be set, by their paths in the target: an ordinary user can't give files away.
fn without_metadata(report: &RestoreReport) -> HashSet<PathBuf> {
    let paths = report.problems.iter().filter_map(|problem| match problem {
        RestoreProblem::Metadata(problem) => Some(path(problem.path.as_bytes())),
        _ => None,
    });
    paths.collect()
}

/// What the backup could not read.
fn unread(backup: &BackupReport) -> HashSet<PathBuf> {
    backup.problems.iter().map(|problem| path(problem.path.as_bytes())).collect()
}

/// What may differ of an entry at `whole`, which is `below` the source, for a reason that was told.
fn excused(whole: &Path, below: &Path, gone: &HashSet<PathBuf>, unset: &HashSet<PathBuf>) -> Excused {
    if gone.contains(whole) {
        Excused::All
    } else if unset.contains(&Path::new("/").join(below)) {
        Excused::Metadata
    } else {
        Excused::Nothing
    }
}

fn expect_good(report: &VerifyReport) -> Result<(), Failure> {
    match report.findings.first() {
        Some(finding) => Err(Failure::new(format!("the vault is damaged: `{}` {}", finding.object, finding.flaw))),
        None => Ok(()),
    }
}

fn smallest_content_pack(packs: &Path) -> std::io::Result<PathBuf> {
    let mut smallest: Option<(u64, PathBuf)> = None;
    for folder in fs::read_dir(packs)? {
        for entry in fs::read_dir(folder?.path())? {
            let path = entry?.path();
            let bytes = fs::read(&path)?;
            let length = bytes.len() as u64;
            if bytes.get(4) == Some(&CONTENT_PACK) && smallest.as_ref().is_none_or(|(known, _)| length < *known) {
                smallest = Some((length, path));
            }
        }
    }
    smallest.map(|(_, path)| path).ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// As a failing disk would: the file keeps its name, size and time.
fn flip_a_byte(file: &Path) -> std::io::Result<()> {
    let mut bytes = fs::read(file)?;
    bytes[FIRST_SEGMENT + 60] ^= 1;
    let copy = file.with_extension("damaged");
    fs::write(&copy, bytes)?;
    fs::rename(copy, file)
}
