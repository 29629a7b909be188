//! `cargo xtask sim`: the vault under simulated power cuts, faults and rival writers.
//!
//! The runs are in `sb-repo`'s `tests/simulation.rs`: the ignored test `seeds_from_environment` tries `SB_SIM_SEEDS`
//! seeds from `SB_SIM_FROM` on and prints the seed that fails; `every_operation` cuts and fails each single operation, and
//! comes first unless one seed is to be replayed; so does `every_operation_of_a_rotation` of `tests/rotation.rs`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::options::Options;
use crate::program;
use crate::workspace::Workspace;

const SEEDS: u64 = 10_000;
const HISTORIES: &str = "seeds_from_environment";
const EVERY_OPERATION: &str = "every_operation";
const ROTATIONS: &str = "every_operation_of_a_rotation";

pub(crate) fn run(mut options: Options) -> Result<(), Failure> {
    let (from, seeds) = range(&mut options)?;
    options.finish()?;
    let workspace = Workspace::load()?;
    if seeds > 1 {
        simulate(&workspace, "simulation", EVERY_OPERATION, from, seeds)?;
        simulate(&workspace, "rotation", ROTATIONS, from, seeds)?;
    }
    println!("simulating {seeds} seeds from {from}");
    simulate(&workspace, "simulation", HISTORIES, from, seeds)
}

fn simulate(workspace: &Workspace, file: &str, test: &str, from: u64, seeds: u64) -> Result<(), Failure> {
    let mut command = program::cargo();
    command
        .args(["test", "--package=sb-repo", "--all-features", "--profile=sim", "--test", file])
        .args(["--", "--ignored", "--exact", test, "--nocapture"])
        .current_dir(&workspace.root)
        .env("SB_SIM_FROM", from.to_string())
        .env("SB_SIM_SEEDS", seeds.to_string());
    // libtest calls it success when no test has the name asked for.
    if ran_a_test(&mut command)? { Ok(()) } else { Err(Failure::NothingRan("simulation")) }
}

/// First seed and number of seeds.
fn range(options: &mut Options) -> Result<(u64, u64), Failure> {
    let single = options.number("--seed")?;
    let from = options.number("--from")?;
    let seeds = options.number("--seeds")?;
    match single {
        Some(_) if from.is_some() || seeds.is_some() => {
            Err(Failure::Usage("`--seed` replays one run; it takes neither `--from` nor `--seeds`".to_owned()))
        }
        Some(seed) => Ok((seed, 1)),
        None => Ok((from.unwrap_or(0), seeds.unwrap_or(SEEDS))),
    }
}

/// Runs `command`, passing its output on; whether a test passed in it.
fn ran_a_test(command: &mut Command) -> Result<bool, Failure> {
    let start = |source| Failure::Start { program: "cargo test".to_owned(), source };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(start)?;
    let mut passed = false;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.map_err(start)?;
            println!("{line}");
            passed |= line.starts_with("test result: ok. 1 passed");
        }
    }
    let status = child.wait().map_err(start)?;
    if status.success() {
        Ok(passed)
    } else {
        Err(Failure::Program { program: "cargo test".to_owned(), ended: status.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range_of(line: &str) -> Result<(u64, u64), Failure> {
        range(&mut Options::new(line.split_whitespace().map(str::to_owned).collect()))
    }

    #[test]
    fn seeds_are_a_range_or_a_single_one() {
        assert_eq!(range_of("").unwrap(), (0, SEEDS));
        assert_eq!(range_of("--from 5 --seeds 7").unwrap(), (5, 7));
        assert_eq!(range_of("--seed 42").unwrap(), (42, 1));
        assert!(range_of("--seed 42 --seeds 2").is_err());
    }

    #[test]
    fn a_run_of_no_test_is_no_success() {
        let echo = |text: &str| ran_a_test(Command::new("echo").arg(text));
        assert!(!echo("test result: ok. 0 passed; 0 failed").unwrap());
        assert!(echo("test result: ok. 1 passed; 0 failed").unwrap());
        assert!(ran_a_test(&mut Command::new("false")).is_err());
    }
}
