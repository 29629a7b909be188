//! `cargo xtask coverage`: which lines of each crate its workspace's tests run.
//!
//! The compiler counts (`-C instrument-coverage`) and the LLVM tools of its own LLVM version add up. Only crates of the
//! workspace are instrumented: cargo calls this program in the place of the compiler for them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::Options;
use crate::program;
use crate::suite::{self, Built, Runner};
use crate::workspace::{Workspace, elements, text};

/// Percent of a crate's lines.
const REQUIRED: f64 = 90.0;
/// Crates below the requirement show this many of their files, the least covered first.
const FILES_SHOWN: usize = 5;
const WRAPPER: &str = "XTASK_INSTRUMENT_COVERAGE";

/// Lines that can be run and those that were.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Lines {
    count: u64,
    covered: u64,
}

impl Lines {
    fn percent(self) -> f64 {
        if self.count == 0 { 100.0 } else { self.covered as f64 * 100.0 / self.count as f64 }
    }
}

/// The files of each crate.
type Coverage = BTreeMap<String, BTreeMap<String, Lines>>;

/// Whether cargo calls us in the place of the compiler.
pub(crate) fn is_compiler_wrapper() -> bool {
    env::var_os(WRAPPER).is_some()
}

/// Runs the compiler named by the first argument with the others, instrumented.
pub(crate) fn compile_instrumented(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(compiler) = arguments.next() else { return ExitCode::FAILURE };
    let status = Command::new(compiler).args(arguments).arg("-Cinstrument-coverage").status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn run(mut options: Options) -> Result<(), Failure> {
    let install = options.flag("--install");
    let packages = options.values("-p")?;
    options.finish()?;
    let mut workspace = Workspace::load()?;
    workspace.crates.retain(|member| packages.is_empty() || packages.contains(&member.name));
    let mut machine = Machine::inspect(&workspace.root, install);
    let tools = Tools::find(&mut machine)?;
    let folder = workspace.target.join("coverage");
    let profiles = folder.join("profiles");
    suite::fresh_folder(&profiles)?;

    let built = suite::build(&workspace, &mut instrumented_build(&folder, &packages)?)?;
    let failed = run_tests(&built, &profiles, &mut machine)?;
    let coverage = by_crate(&workspace, &tools.export(&profiles, &built)?);
    let path = folder.join("summary.json");
    fs::write(&path, format!("{:#}\n", summary(&coverage)))
        .map_err(|source| Failure::Io { path: path.clone(), source })?;
    let below = print(&coverage);
    println!("summary: {}", path.display());
    match (failed, below) {
        (0, 0) => Ok(()),
        (0, below) => Err(Failure::Found { task: "crates below 90 % of lines", faults: below }),
        (failed, _) => Err(Failure::Found { task: "failed tests", faults: failed }),
    }
}

fn instrumented_build(folder: &Path, packages: &[String]) -> Result<Command, Failure> {
    let wrapper = env::current_exe().map_err(|source| Failure::Io { path: "xtask".into(), source })?;
    let mut cargo = program::cargo();
    if packages.is_empty() {
        cargo.args(["test", "--workspace", "--exclude=xtask", "--exclude=benches"]);
    } else {
        cargo.arg("test").args(packages.iter().map(|package| format!("--package={package}")));
    }
    cargo
        .arg("--all-features")
        .env("CARGO_TARGET_DIR", folder)
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env(WRAPPER, "1");
    Ok(cargo)
}

/// Runs all tests but the examples in documentation; how many failed.
fn run_tests(built: &Built, profiles: &Path, machine: &mut Machine) -> Result<usize, Failure> {
    // `%8m`: each binary adds to one of eight files, however many processes its tests start.
    let environment = vec![("LLVM_PROFILE_FILE", profiles.join("%8m.profraw"))];
    let mut runner = Runner { logs: profiles.to_owned(), environment, machine };
    let mut failed = 0;
    for binary in &built.tests {
        let suite = runner.run(binary)?;
        suite.print();
        failed += suite.counts().failed;
    }
    Ok(failed)
}

/// `llvm-profdata` and `llvm-cov` of the compiler's LLVM version.
#[derive(Debug)]
struct Tools {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Tools {
    /// Looks among rustup's components, then on the path; installs the Debian package if it may.
    fn find(machine: &mut Machine) -> Result<Self, Failure> {
        let about = program::output(Command::new("rustc").arg("-vV"))?;
        let field = |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let version = field("LLVM version:").split('.').next().unwrap_or_default().to_owned();
        let sysroot = program::output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let rustup = Path::new(sysroot.trim()).join("lib/rustlib").join(field("host:")).join("bin");
        let tools = || {
            let tool = |name: &str| {
                let component = rustup.join(name);
                let component = component.is_file().then_some(component);
                component.or_else(|| program::find(&format!("{name}-{version}")))
            };
            Some(Self { profdata: tool("llvm-profdata")?, cov: tool("llvm-cov")? })
        };
        let package = format!("llvm-{version}");
        tools().or_else(|| machine.install(&package).then(tools)?).ok_or(Failure::Missing {
            what: format!("llvm-profdata and llvm-cov of LLVM {version}"),
            hint: "install the Debian package of that name, or rustup's component llvm-tools; as root, --install does it",
        })
    }

    /// What `llvm-cov export` says of all that was run.
    fn export(&self, profiles: &Path, built: &Built) -> Result<Value, Failure> {
        let merged = profiles.join("all.profdata");
        let raw = fs::read_dir(profiles).map_err(|source| Failure::Io { path: profiles.to_owned(), source })?;
        let raw = raw.filter_map(|entry| Some(entry.ok()?.path()));
        let raw = raw.filter(|path| path.extension().is_some_and(|extension| extension == "profraw"));
        // A process killed while it writes leaves a damaged file; tests kill processes on purpose.
        let merge = ["merge", "--sparse", "--failure-mode=all", "--output"];
        program::run(Command::new(&self.profdata).args(merge).arg(&merged).args(raw))?;
        let mut export = Command::new(&self.cov);
        export.args(["export", "--summary-only", "--instr-profile"]).arg(&merged);
        for binary in built.tests.iter().map(|test| &test.path).chain(&built.programs) {
            export.arg("--object").arg(binary);
        }
        serde_json::from_str(&program::output(&mut export)?)
            .map_err(|source| Failure::Json { program: "llvm-cov export", source })
    }
}

/// The lines of each product crate's `src`, from the JSON of `llvm-cov export`.
fn by_crate(workspace: &Workspace, export: &Value) -> Coverage {
    let mut coverage = Coverage::new();
    for member in workspace.product() {
        let sources = member.folder.join("src");
        let files = coverage.entry(member.name.clone()).or_default();
        for file in elements(&export["data"][0]["files"]) {
            if let Ok(name) = Path::new(text(&file["filename"])).strip_prefix(&sources) {
                let number = |key: &str| file["summary"]["lines"][key].as_u64().unwrap_or_default();
                let lines = Lines { count: number("count"), covered: number("covered") };
                files.insert(name.display().to_string(), lines);
            }
        }
    }
    coverage
}

fn sum(files: &BTreeMap<String, Lines>) -> Lines {
    files.values().fold(Lines::default(), |sum, file| Lines {
        count: sum.count + file.count,
        covered: sum.covered + file.covered,
    })
}

fn summary(coverage: &Coverage) -> Value {
    let lines = |lines: Lines| json!({ "lines": lines.count, "covered": lines.covered, "percent": lines.percent() });
    let of_crate = |files: &BTreeMap<String, Lines>| {
        let each: BTreeMap<_, _> = files.iter().map(|(name, file)| (name, lines(*file))).collect();
        json!({ "total": lines(sum(files)), "files": each })
    };
    coverage.iter().map(|(name, files)| (name.clone(), of_crate(files))).collect()
}

/// Prints the table; how many crates are below the requirement.
fn print(coverage: &Coverage) -> usize {
    println!("{:<14} {:>7} {:>8} {:>7}", "crate", "lines", "covered", "%");
    let mut below = 0;
    for (name, files) in coverage {
        let total = sum(files);
        println!("{name:<14} {:>7} {:>8} {:>7.2}", total.count, total.covered, total.percent());
        if total.percent() < REQUIRED {
            below += 1;
            let mut worst: Vec<_> = files.iter().collect();
            worst.sort_by_key(|(_, lines)| Reverse(lines.count - lines.covered));
            for (file, lines) in worst.into_iter().take(FILES_SHOWN) {
                println!("    {file}: {} of {} lines not run", lines.count - lines.covered, lines.count);
            }
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Crate;

    fn workspace() -> Workspace {
        let folder = PathBuf::from("/w/crates/sb-x");
        let member = Crate { name: "sb-x".to_owned(), id: "x".to_owned(), folder, has_library: true };
        Workspace { root: "/w".into(), target: "/w/target".into(), crates: vec![member] }
    }

    fn export(covered: u64) -> Value {
        let file = |name: &str, count: u64, covered: u64| json!({ "filename": name, "summary": { "lines": { "count": count, "covered": covered } } });
        json!({ "data": [{ "files": [
            file("/w/crates/sb-x/src/lib.rs", 80, covered),
            file("/w/crates/sb-x/src/deep/one.rs", 20, 20),
            file("/w/crates/sb-x/tests/all.rs", 500, 500),
            file("/root/.cargo/registry/x.rs", 500, 0),
        ]}]})
    }

    #[test]
    fn only_the_sources_of_a_crate_count() {
        let coverage = by_crate(&workspace(), &export(40));
        assert_eq!(sum(&coverage["sb-x"]), Lines { count: 100, covered: 60 });
        assert_eq!(summary(&coverage)["sb-x"]["total"]["percent"], 60.0);
        assert_eq!(summary(&coverage)["sb-x"]["files"]["deep/one.rs"]["covered"], 20);
    }

    #[test]
    fn a_crate_needs_ninety_percent() {
        assert_eq!(print(&by_crate(&workspace(), &export(69))), 1);
        assert_eq!(print(&by_crate(&workspace(), &export(70))), 0);
        assert_eq!(Lines::default().percent(), 100.0);
    }
}
