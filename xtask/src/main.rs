//! Maintainers' tasks: `cargo xtask --help`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a task prints is its result")]

mod bench;
mod ci;
mod coverage;
mod failure;
mod fuzz;
mod junit;
mod layers;
mod libtest;
mod machine;
mod options;
mod program;
mod reader;
mod sim;
mod suite;
mod test;
mod tidy;
mod workspace;

use std::env;
use std::process::ExitCode;

use failure::Failure;
use options::Options;

const HELP: &str = "\
cargo xtask TASK

test [-p CRATE]...       run every test: units, integration, README examples, the independent reader;
                         writes target/test-results/junit.xml and says what it left out
coverage [--install] [-p CRATE]...
                         line coverage of each crate, at least 90 %; needs the LLVM tools of rustc's LLVM
sim [--seeds N] [--from SEED] [--seed SEED]
                         simulated power cuts and faults, 10000 seeds unless told; --seed replays one
fuzz [--seconds N] [TARGET]...
                         fuzz each parser of vault bytes, 300 seconds unless told; --list names the targets
bench --corpus DIR [--trees LIST] [--tree NAME=DIR]... [--peers DIR] [--bare PATH] [--mutate COMMAND]
                         `sb` beside other backup tools, those in the folder of --peers (as
                         restic/usr/bin/restic, rustic/bin/rustic, bupstash/bin/bupstash, borg/bin/borg) or on the path;
                         tables into docs/benchmarks.md, every run into a .json beside it. Needs GNU time.
                         Trees: small, many and huge in --corpus unless told; they are copied and not changed.
                         --mutate: shell command that changes the tree $TREE by day $DAY; --days N daily backups, 30
                         unless told. --bare: the program, or its source. --sb FILE: ours, unless it is to be built.
                         --steps LIST of start,first,unchanged,day,find,one,restore,verify,collect,days; all unless
                         told. --tools LIST, such as sb,restic. --repeat STEP=N. --quiet SECONDS to wait for a quiet
                         machine, 60 unless told; 0 takes noise as it comes. --lab DIR: where to do all this, in a
                         folder that is removed again; target/bench unless told. --out FILE. --from FILE.json:
                         no measuring, but tables of an earlier run, or of several
layers                   compare the crates' dependencies with the allowed ones
tidy                     house rules no compiler checks
ci                       what .ci/run does: fmt, clippy, doc, layers, tidy, deny, test

A test marked `#[ignore = \"needs X and Y\"]` runs where X and Y are there: `the corpus` (../shared/corpus or
$SB_CORPUS), `root`, `mounting`, or a program on the path. As root with CI=true, these Debian packages are
installed where they are missing and needed: attr, acl, openssl, perl-base, strace, time, python3-venv and, for coverage, LLVM's.
";

fn main() -> ExitCode {
    if coverage::is_compiler_wrapper() {
        return coverage::compile_instrumented(env::args_os().skip(1));
    }
    match dispatch(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut arguments: Vec<String>) -> Result<(), Failure> {
    if arguments.is_empty() || arguments.iter().any(|argument| matches!(argument.as_str(), "-h" | "--help" | "help")) {
        print!("{HELP}");
        return Ok(());
    }
    let task = arguments.remove(0);
    let options = Options::new(arguments);
    match task.as_str() {
        "test" => test::run(options),
        "coverage" => coverage::run(options),
        "sim" => sim::run(options),
        "fuzz" => fuzz::run(options),
        "bench" => bench::run(options),
        "layers" => layers::run(options),
        "tidy" => tidy::run(options),
        "ci" => ci::run(options),
        _ => Err(Failure::Usage(format!("no task `{task}`; see `cargo xtask --help`"))),
    }
}
