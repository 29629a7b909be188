//! `cargo xtask bench`: `sb` beside other backup tools and the limits of the machine, on the same trees in one run.
//!
//! What is measured and how is said at the head of `docs/benchmarks.md`; what is to be reached is in `bench/targets.rs`.

mod compare;
mod course;
mod growth;
mod lab;
mod measure;
mod report;
mod results;
mod steps;
mod targets;
mod tools;
mod trees;

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::options::Options;
use crate::program;
use crate::workspace::Workspace;
use course::{Course, Plan};
use lab::Lab;
use results::{Machine, Results};
use steps::{Repetitions, Step};
use targets::DAYS;
use tools::{Found, Places};

/// How long to wait for a quiet machine before each command.
const QUIET_SECONDS: u32 = 60;

/// What the command line asks for.
struct Wanted {
    trees: Vec<(String, PathBuf)>,
    places: Places,
    /// None but these tools; all if empty.
    tools: Vec<String>,
    plan: Plan,
    lab: Option<PathBuf>,
    out: Option<PathBuf>,
    /// Results to show instead of measuring any.
    from: Vec<PathBuf>,
}

pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let wanted = parse(options)?;
    let workspace = Workspace::load()?;
    let out = wanted.out.clone().unwrap_or_else(|| workspace.root.join("docs/benchmarks.md"));
    // Removing what is in it takes its time, so the tables are written before.
    let mut lab = None;
    let results = if wanted.from.is_empty() {
        let folder = wanted.lab.clone().unwrap_or_else(|| workspace.target.join("bench"));
        measured(&wanted, &workspace, lab.insert(Lab::new(&folder)?), &out)?
    } else {
        read(&wanted.from)?
    };
    report::write(&out, &results)?;
    println!("results are in {}", out.display());
    let faults = results.faults().count();
    if faults == 0 { Ok(()) } else { Err(Failure::Found { task: "failed measurements", faults }) }
}

fn parse(mut options: Options) -> Result<Wanted, Failure> {
    let list = |values: Vec<String>| -> Vec<String> {
        let words = values.iter().flat_map(|value| value.split(',')).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let path = |options: &mut Options, name: &str| Ok::<_, Failure>(options.values(name)?.pop().map(PathBuf::from));
    let from: Vec<PathBuf> = options.values("--from")?.into_iter().map(PathBuf::from).collect();
    let corpus = path(&mut options, "--corpus")?;
    let trees = trees::wanted(corpus.as_deref(), &list(options.values("--trees")?), &options.values("--tree")?)?;
    if trees.is_empty() == from.is_empty() {
        let problem = "name trees with `--tree NAME=DIR` or `--corpus DIR`, or earlier results with `--from FILE`";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let steps = list(options.values("--steps")?);
    let wanted = Wanted {
        trees,
        places: Places {
            sb: path(&mut options, "--sb")?,
            bare: path(&mut options, "--bare")?,
            peers: path(&mut options, "--peers")?,
        },
        tools: list(options.values("--tools")?),
        plan: Plan {
            steps: if steps.is_empty() { Step::ALL.to_vec() } else { Step::named(&steps)? },
            repetitions: Repetitions::parse(&list(options.values("--repeat")?))?,
            mutate: options.values("--mutate")?.pop(),
            days: options.number("--days")?.unwrap_or(DAYS),
            quiet_seconds: options.number("--quiet")?.unwrap_or(QUIET_SECONDS),
        },
        lab: path(&mut options, "--lab")?,
        out: path(&mut options, "--out")?,
        from,
    };
    options.finish()?;
    Ok(wanted)
}

/// Measures, writing what is known so far beside `out` whenever a tree is done, or fails.
fn measured(wanted: &Wanted, workspace: &Workspace, lab: &Lab, out: &Path) -> Result<Results, Failure> {
    measure::check()?;
    let found = found(wanted, workspace)?;
    let mut results = Results::new(Machine::inspect()?, &found, wanted.plan.mutate.as_deref());
    for found in &found {
        println!("{}: {}", found.tool.name, found.version);
    }
    for (name, folder) in &wanted.trees {
        let ran = Course::prepare(lab, &wanted.plan, &found, name, folder)?.run(&mut results);
        results.save(&out.with_extension("json"))?;
        ran?;
        lab.clear(name)?;
    }
    Ok(results)
}

/// The tools that are here, of those that are wanted; builds what is ours.
fn found(wanted: &Wanted, workspace: &Workspace) -> Result<Vec<Found>, Failure> {
    if let Some(unknown) = wanted.tools.iter().find(|name| !tools::TOOLS.iter().any(|tool| tool.name == **name)) {
        return Err(Failure::Usage(format!("no tool `{unknown}`; there are {}", tools::names())));
    }
    let wants = |name: &str| wanted.tools.is_empty() || wanted.tools.iter().any(|tool| tool == name);
    let mut places = wanted.places.clone();
    if places.sb.is_none() && wants("sb") {
        program::run(program::cargo().args(["build", "--release", "--package=sb-cli"]).current_dir(&workspace.root))?;
        places.sb = Some(workspace.target.join("release/sb"));
    }
    if let Some(source) = places.bare.take_if(|bare| bare.is_dir()).filter(|_| wants("bare")) {
        let target = workspace.target.join("bare");
        let manifest = source.join("Cargo.toml");
        let mut build = program::cargo();
        build.args(["build", "--release", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&target);
        program::run(&mut build)?;
        places.bare = Some(target.join("release/bare"));
    }
    let mut found = Vec::new();
    for tool in tools::TOOLS.iter().filter(|tool| wants(tool.name)) {
        match places.find(tool) {
            Some(bin) => found.push(Found::inspect(tool, bin)?),
            None => println!("{} is not here and is left out", tool.name),
        }
    }
    Ok(found)
}

/// Earlier results, put together as if they were of one run.
fn read(files: &[PathBuf]) -> Result<Results, Failure> {
    let mut all: Option<Results> = None;
    for file in files {
        let text = fs::read_to_string(file).map_err(|source| Failure::Io { path: file.clone(), source })?;
        let results: Results =
            serde_json::from_str(&text).map_err(|source| Failure::Json { program: "cargo xtask bench", source })?;
        match &mut all {
            Some(all) => all.join(results),
            None => all = Some(results),
        }
    }
    Ok(all.expect("there is a file, or there would be trees"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Wanted, Failure> {
        parse(Options::new(line.split_whitespace().map(str::to_owned).collect()))
    }

    #[test]
    fn trees_or_earlier_results_are_needed_and_not_both() {
        assert!(parsed("").is_err());
        assert!(parsed("--tree a=/ --from x.json").is_err());
        assert_eq!(parsed("--from x.json --from y.json").unwrap().from.len(), 2);
        assert_eq!(parsed("--tree a=/").unwrap().trees, [("a".to_owned(), PathBuf::from("/"))]);
    }

    #[test]
    fn steps_repetitions_and_days_can_be_chosen() {
        let wanted =
            parsed("--tree a=/ --steps find,one --repeat find=2 --days 3 --quiet 0 --tools sb,restic").unwrap();
        assert_eq!(wanted.plan.steps, [Step::First, Step::Find, Step::One]);
        assert_eq!((wanted.plan.repetitions.of(Step::Find), wanted.plan.days, wanted.plan.quiet_seconds), (2, 3, 0));
        assert_eq!(wanted.tools, ["sb", "restic"]);
        let usual = parsed("--tree a=/").unwrap().plan;
        assert_eq!((usual.steps.as_slice(), usual.days, usual.quiet_seconds), (&Step::ALL[..], DAYS, QUIET_SECONDS));
        assert!(parsed("--tree a=/ --steps sleep").is_err());
        assert!(parsed("--tree a=/ surplus").is_err());
    }

    #[test]
    fn earlier_results_are_put_together() {
        let folder = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (one, two) = (folder.join("one.json"), folder.join("two.json"));
        results::example("small").save(&one).unwrap();
        results::example("many").save(&two).unwrap();
        let both = read(&[one.clone(), two]).unwrap();
        assert_eq!(both.trees.iter().map(|tree| tree.name.as_str()).collect::<Vec<_>>(), ["small", "many"]);
        fs::write(&one, "{}").unwrap();
        assert!(read(&[one]).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
