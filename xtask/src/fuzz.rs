//! `cargo xtask fuzz`: libFuzzer on every parser of bytes that come from a vault.
//!
//! Needs no nightly compiler and no further tool: LLVM's coverage instrumentation is switched on by stable flags, and
//! `libfuzzer-sys` brings the fuzzer itself. The targets are the files in `fuzz/src/bin`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::failure::Failure;
use crate::options::Options;
use crate::program::{self, Ended};
use crate::workspace::Workspace;

/// How long each target runs.
const SECONDS: u64 = 300;
/// The end of what a target with a finding printed: the panic, and where libFuzzer left its input.
const LINES_SHOWN: usize = 60;
/// What `-Zsanitizer` would pass, and cargo-fuzz does: edge counters, their addresses, operands of comparisons.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Ccodegen-units=1",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cforce-frame-pointers=yes",
];

pub(crate) fn run(mut options: Options) -> Result<(), Failure> {
    let list = options.flag("--list");
    let seconds = options.number("--seconds")?.unwrap_or(SECONDS);
    let wanted = options.positional()?;
    let workspace = Workspace::load()?;
    let folder = workspace.root.join("fuzz");
    let targets = chosen(targets(&folder)?, wanted)?;
    if list {
        targets.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    let built = workspace.target.join("fuzz");
    let programs = build(&folder, &built, &targets)?;
    println!("fuzzing {} targets for {seconds} s each", targets.len());
    let run = Run { folder: &folder, programs: &programs, logs: &built, seconds };
    match run.all(targets)? {
        0 => Ok(()),
        faults => Err(Failure::Found { task: "fuzz targets with a finding", faults }),
    }
}

/// The names of the files in `src/bin`, sorted.
fn targets(folder: &Path) -> Result<Vec<String>, Failure> {
    let bin = folder.join("src/bin");
    let io = |source| Failure::Io { path: bin.clone(), source };
    let mut targets = Vec::new();
    for entry in fs::read_dir(&bin).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if let (Some(stem), Some("rs")) = (path.file_stem(), path.extension().and_then(|extension| extension.to_str()))
        {
            targets.push(stem.to_string_lossy().into_owned());
        }
    }
    targets.sort();
    if targets.is_empty() { Err(Failure::NothingRan("fuzz target")) } else { Ok(targets) }
}

fn chosen(targets: Vec<String>, wanted: Vec<String>) -> Result<Vec<String>, Failure> {
    match wanted.iter().find(|name| !targets.contains(name)) {
        Some(name) => Err(Failure::Usage(format!("no fuzz target `{name}`; there are: {}", targets.join(", ")))),
        None if wanted.is_empty() => Ok(targets),
        None => Ok(wanted),
    }
}

/// Builds the targets; the folder of their programs.
fn build(folder: &Path, built: &Path, targets: &[String]) -> Result<PathBuf, Failure> {
    let about = program::output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let mut cargo = program::cargo();
    cargo
        .args(["build", "--release", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        // With a target named, the flags do not reach build scripts, which have no fuzzer to link to.
        .args(["--target", host])
        .args(targets.iter().flat_map(|target| ["--bin", target]))
        .env("CARGO_TARGET_DIR", built)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    program::run(&mut cargo)?;
    Ok(built.join(host).join("release"))
}

/// How the targets are run.
struct Run<'a> {
    folder: &'a Path,
    programs: &'a Path,
    logs: &'a Path,
    seconds: u64,
}

impl Run<'_> {
    /// Runs `targets`, one per processor at a time; how many found something.
    fn all(&self, targets: Vec<String>) -> Result<usize, Failure> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(targets.len());
        let queue = Mutex::new(targets.into_iter());
        let next = || queue.lock().expect("no holder of this lock can panic").next();
        let worker = || {
            let mut found = 0;
            while let Some(target) = next() {
                found += usize::from(!self.one(&target)?);
            }
            Ok(found)
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().expect("workers do not panic")).sum()
        })
    }

    /// Runs one target and prints how it went; whether it found nothing.
    fn one(&self, target: &str) -> Result<bool, Failure> {
        let corpus = self.folder.join("corpus").join(target);
        let artifacts = self.folder.join("artifacts").join(target);
        let seeds = self.folder.join("seeds").join(target);
        for path in [&corpus, &artifacts] {
            fs::create_dir_all(path).map_err(|source| Failure::Io { path: path.clone(), source })?;
        }
        let mut command = Command::new(self.programs.join(target));
        command
            .arg(format!("-max_total_time={}", self.seconds))
            .args(["-timeout=25", "-rss_limit_mb=2048", "-max_len=65536", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(&corpus)
            .args(seeds.is_dir().then_some(&seeds));
        let log = self.logs.join(format!("{target}.log"));
        // libFuzzer keeps the time itself; the margin is for its last input.
        let ended = program::logged(&mut command, &log, Duration::from_secs(self.seconds + 60))?;
        let output = program::read_lossy(&log)?;
        print(target, ended, &output);
        Ok(ended.is_success())
    }
}

fn print(target: &str, ended: Ended, output: &str) {
    if ended.is_success() {
        let runs = output.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        println!("    ok  {target}: {} runs", runs.unwrap_or("?").trim());
    } else {
        let first = output.lines().count().saturating_sub(LINES_SHOWN);
        println!("FAILED  {target}: ended with {ended}");
        output.lines().skip(first).for_each(|line| println!("{line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn all_targets_run_unless_some_are_named() {
        let all = names(&["a", "b"]);
        assert_eq!(chosen(all.clone(), Vec::new()).unwrap(), all);
        assert_eq!(chosen(all.clone(), names(&["b"])).unwrap(), ["b"]);
        assert!(chosen(all, names(&["c"])).unwrap_err().to_string().contains("there are: a, b"));
    }

    #[test]
    fn targets_are_the_files_in_the_folder() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz");
        let targets = targets(&fuzz).unwrap();
        assert!(targets.is_sorted() && !targets.is_empty());
        assert!(super::targets(Path::new("/no/such")).is_err());
    }

    #[test]
    fn every_target_runs_and_findings_are_counted() {
        let folder = std::env::temp_dir().join(format!("xtask-fuzz-{}", std::process::id()));
        crate::suite::fresh_folder(&folder).unwrap();
        for (name, status) in [("good", 0), ("bad", 77)] {
            let text = format!("echo 'stat::number_of_executed_units: 5'; exit {status}");
            program::write_script(&folder.join(name), &text);
        }
        let run = Run { folder: &folder, programs: &folder, logs: &folder, seconds: 1 };
        assert_eq!(run.all(names(&["good", "bad", "good"])).unwrap(), 1);
        assert!(folder.join("corpus/good").is_dir() && folder.join("good.log").is_file());
        fs::remove_dir_all(folder).unwrap();
    }
}
