//! Backs a real folder up into a vault in another folder, verifies it and restores it: the engine without the program around it.
//!
//!     cargo run --release -p sb-repo --example folder -- SOURCE VAULT [RESTORE]

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use sb_crypto::{Credential, KeyFile, Lock, SeededRandom, SystemRandom};
use sb_repo::{
    BackupOptions, Clock, CreateOptions, Progress, RestoreOptions, State, Surroundings, Vault, VerifyLevel, create,
};
use sb_source::{FileSource, SourceOptions, Target};
use sb_store::LocalStorage;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [source, vault_folder, rest @ ..] = arguments.as_slice() else { return Err("SOURCE VAULT [RESTORE]".into()) };
    // A key that everybody knows: this is an example.
    let key = KeyFile::generate(&SeededRandom::new(1));
    let around = Surroundings {
        storage: Arc::new(LocalStorage::create(vault_folder)?),
        state: State::open(&vault_folder.with_extension("state"))?,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    let mut vault = match Vault::open(around.clone(), &Credential::KeyFile(key.clone()), None) {
        Ok(vault) => vault,
        Err(sb_repo::RepoError::NoVault) => create(around, &[Lock::KeyFile(key)], &CreateOptions::default())?.0,
        Err(error) => return Err(error.into()),
    };
    let start = Instant::now();
    let source = FileSource::new([source], SourceOptions::default().threads(2))?;
    let report = vault.backup(&source, &BackupOptions::default(), Progress::none())?;
    println!("{:.2?} for {:?}, {} problems", start.elapsed(), report.counts, report.problem_count);
    let start = Instant::now();
    let verified = vault.verify(VerifyLevel::Data, Progress::none())?;
    println!("{:.2?} to verify {} objects: good: {}", start.elapsed(), verified.objects, verified.is_good());
    if let [folder] = rest {
        restore(&vault, folder)?;
    }
    Ok(())
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "an example has no program around it to hand it a clock")]
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        chrono::Utc::now()
    }
}

fn restore(vault: &Vault, folder: &Path) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let reader = vault.reader(Progress::none())?;
    let snapshot = vault.find_snapshot("latest")?;
    let target = Target::create(folder)?;
    let report = reader.restore(&snapshot, b"/", &target, RestoreOptions::default(), Progress::none())?;
    println!("{:.2?} to restore {} files, {} problems", start.elapsed(), report.files, report.problems.len());
    Ok(())
}
