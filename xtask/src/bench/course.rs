//! One tree, all tools, step after step: each repetition of a step is done by every tool before the next one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::compare;
use super::lab::{Lab, warm};
use super::measure::{Taken, timed};
use super::results::{Results, Run, Tree};
use super::steps::{Reads, Repetitions, Step};
use super::tools::{Found, Role};
use super::trees;
use crate::failure::Failure;
use crate::program;

/// How much longer than for a quiet machine to wait until making files is quick again.
const SETTLE_FOR: Duration = Duration::from_secs(7);

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) repetitions: Repetitions,
    /// Changes the tree `TREE` by the work of day `DAY`, counted from 1.
    pub(crate) mutate: Option<String>,
    /// How many daily backups there are.
    pub(crate) days: usize,
    /// How long to wait for a quiet machine; with 0 noisy runs are not done again either.
    pub(crate) quiet_seconds: u32,
}

/// All tools and one tree, which they share.
pub(crate) struct Course<'a> {
    lab: &'a Lab,
    plan: &'a Plan,
    tree: Tree,
    /// The copy of the tree that is worked on.
    folder: PathBuf,
    notes: PathBuf,
    /// What to look for, if there is a file that fits.
    document: Option<PathBuf>,
    contestants: Vec<Contestant<'a>>,
    /// The last day that was worked.
    day: u32,
}

/// A tool and what it has.
struct Contestant<'a> {
    found: &'a Found,
    vault: PathBuf,
    cache: PathBuf,
    out: PathBuf,
    /// How many snapshots there are.
    snapshots: u32,
    /// Whether its vault lacks something the others have.
    is_out: bool,
}

impl<'a> Course<'a> {
    pub(crate) fn prepare(
        lab: &'a Lab,
        plan: &'a Plan,
        found: &'a [Found],
        name: &str,
        original: &Path,
    ) -> Result<Self, Failure> {
        let parent = lab.folder(name)?;
        let (folder, notes) = (parent.join("tree"), lab.folder(Path::new(name).join("notes"))?);
        let files = trees::files(original)?;
        let bytes = files.iter().map(|file| file.size).sum();
        lab.need(bytes)?;
        program::run(Command::new("cp").arg("--archive").arg(original).arg(&folder))?;
        let contestants = found.iter().map(|found| {
            let own =
                Path::new(name).join(found.tool.name.replace(|character: char| !character.is_alphanumeric(), "-"));
            let (cache, out) = (lab.folder(own.join("cache"))?, lab.folder(own.join("out"))?);
            let vault = cache.with_file_name("vault");
            Ok(Contestant { found, vault, cache, out, snapshots: 0, is_out: false })
        });
        let tree = Tree { name: name.to_owned(), files: files.len() as u64, bytes };
        let document = trees::document(&files).map(|file| file.path.clone());
        let contestants = contestants.collect::<Result<_, Failure>>()?;
        Ok(Self { lab, plan, tree, folder, notes, document, contestants, day: 0 })
    }

    /// Does all steps and adds to the results what they took.
    pub(crate) fn run(mut self, results: &mut Results) -> Result<(), Failure> {
        results.trees.push(self.tree.clone());
        for &step in &self.plan.steps {
            if let Some(reason) = self.left_out(step) {
                println!("{}: {} is left out, for {reason}", self.tree.name, step.title());
                continue;
            }
            match step {
                Step::Days => self.days(results)?,
                Step::Day => {
                    let changed_bytes = self.work_a_day()?;
                    self.round(step, 0, changed_bytes, results)?;
                }
                _ => {
                    for repetition in 0..self.plan.repetitions.of(step) {
                        self.round(step, repetition, None, results)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn left_out(&self, step: Step) -> Option<&'static str> {
        match step {
            _ if step.needs_days() && self.plan.mutate.is_none() => Some("there is no `--mutate COMMAND`"),
            Step::Find | Step::One if self.document.is_none() => Some("no file of the tree fits"),
            _ => None,
        }
    }

    /// Has every tool do a step once, each time another one first.
    fn round(
        &mut self,
        step: Step,
        repetition: u32,
        changed_bytes: Option<u64>,
        results: &mut Results,
    ) -> Result<(), Failure> {
        let many = self.contestants.len();
        for place in 0..many {
            let who = (place + repetition as usize) % many;
            let contestant = &self.contestants[who];
            let Some(command) = contestant.found.tool.command(step).filter(|_| !contestant.is_out) else { continue };
            let mut run = self.once(who, step, repetition, command)?;
            if run.noisy && run.fault.is_none() && step.is_repeatable() && self.plan.quiet_seconds > 0 {
                run.dropped = true;
                results.runs.push(run);
                run = self.once(who, step, repetition, command)?;
            }
            run.changed_bytes = changed_bytes;
            self.contestants[who].is_out |= run.fault.is_some() && step <= Step::Day;
            results.runs.push(run);
        }
        Ok(())
    }

    /// Has a tool do a step, and looks at what it did.
    fn once(&mut self, who: usize, step: Step, repetition: u32, command: &str) -> Result<Run, Failure> {
        let no_vault = if step == Step::First { self.found_vault(who)? } else { None };
        self.make_ready(who, step)?;
        let contestant = &self.contestants[who];
        let variables = self.variables(contestant);
        let before = stored(&contestant.vault)?;
        let taken = match no_vault {
            None => timed(command, &self.folder, &variables, &self.notes, self.plan.quiet_seconds)?,
            fault => Taken { fault, ..Taken::default() },
        };
        let after = stored(&contestant.vault)?;
        let fault = match &taken.fault {
            Some(fault) => Some(fault.clone()),
            None => self.wrong(contestant, step, &taken)?,
        };
        let fault = fault.map(|fault| without_places(&fault, &variables));
        let measures_vault = contestant.found.tool.role != Role::Limit || step == Step::First;
        let bytes = match step {
            Step::First | Step::Days => Some(after),
            Step::Unchanged | Step::Day => Some(after.saturating_sub(before)),
            Step::Collect => Some(before.saturating_sub(after)),
            _ => None,
        };
        let is_whole = matches!(step, Step::First | Step::Days) && fault.is_none();
        let run = Run {
            tree: self.tree.name.clone(),
            tool: contestant.found.tool.name.to_owned(),
            step,
            repetition,
            wall_seconds: taken.wall_seconds,
            user_seconds: taken.user_seconds,
            system_seconds: taken.system_seconds,
            memory_bytes: taken.memory_bytes,
            neighbours_seconds: taken.neighbours_seconds,
            load: taken.load,
            noisy: taken.is_noisy(),
            dropped: false,
            bytes: bytes.filter(|_| measures_vault),
            unpadded_bytes: if is_whole { self.unpadded(contestant, &variables)? } else { None },
            protected_bytes: if is_whole { Some(trees::bytes(&self.folder)?) } else { None },
            changed_bytes: None,
            fault,
        };
        println!("{}", line(&run));
        Ok(run)
    }

    /// Brings into memory what the step reads, and empties what it writes to.
    fn make_ready(&mut self, who: usize, step: Step) -> Result<(), Failure> {
        let contestant = &mut self.contestants[who];
        match step {
            Step::Restore => {
                self.lab.empty(&contestant.out)?;
                self.lab.need(self.tree.bytes + (1 << 30))?;
                self.lab.settle(SETTLE_FOR * self.plan.quiet_seconds)?;
            }
            Step::One => self.lab.empty(&contestant.out)?,
            _ => {}
        }
        let contestant = &mut self.contestants[who];
        if matches!(step, Step::First | Step::Unchanged | Step::Day | Step::Days) {
            contestant.snapshots += 1;
        }
        match step.reads() {
            Reads::Nothing => Ok(()),
            Reads::Vault if contestant.vault.exists() => warm(&contestant.vault),
            Reads::Tree | Reads::Vault => warm(&self.folder),
        }
    }

    /// Gives a tool a new vault and an empty cache; what is wrong if it could not make one.
    fn found_vault(&mut self, who: usize) -> Result<Option<String>, Failure> {
        self.lab.need(self.tree.bytes + (1 << 30))?;
        let contestant = &mut self.contestants[who];
        self.lab.empty(&contestant.cache)?;
        self.lab.throw_away(&contestant.vault)?;
        contestant.snapshots = 0;
        let contestant = &self.contestants[who];
        let Some(init) = contestant.found.tool.init else { return Ok(None) };
        let mut command = Command::new("sh");
        command.args(["-c", init]).current_dir(&self.folder).envs(self.variables(contestant));
        let made = program::run(command.stdin(Stdio::null()).stdout(Stdio::null()));
        Ok(made.err().map(|failure| failure.to_string()))
    }

    /// What every command is told.
    fn variables(&self, contestant: &Contestant<'_>) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let (vault, cache) = (text(&contestant.vault), text(&contestant.cache));
        let document = self.document.as_deref().unwrap_or(Path::new(""));
        let mut variables = vec![
            ("BIN".to_owned(), text(&contestant.found.bin)),
            ("TREE".to_owned(), text(&self.folder)),
            ("OUT".to_owned(), text(&contestant.out)),
            ("N".to_owned(), contestant.snapshots.to_string()),
            ("DOCUMENT".to_owned(), text(document)),
            ("NAME".to_owned(), text(document.file_name().map_or(Path::new(""), Path::new))),
            ("HOME".to_owned(), cache.clone()),
            ("XDG_CACHE_HOME".to_owned(), cache.clone()),
            ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
        ];
        for (name, value) in contestant.found.tool.variables {
            variables.push(((*name).to_owned(), value.replace("$VAULT", &vault).replace("$CACHE", &cache)));
        }
        variables.extend([("VAULT".to_owned(), vault), ("CACHE".to_owned(), cache)]);
        variables
    }

    /// What is wrong with what a step did, though it said it had done it.
    fn wrong(&self, contestant: &Contestant<'_>, step: Step, taken: &Taken) -> Result<Option<String>, Failure> {
        let document = self.document.as_deref().unwrap_or(Path::new(""));
        match step {
            Step::Find => {
                let name = document.file_name().unwrap_or_default().to_string_lossy();
                Ok((!taken.printed.contains(&*name)).then(|| "it did not find the name".to_owned()))
            }
            Step::One => {
                let same = compare::same_bytes(&self.folder.join(document), &contestant.out.join("one"));
                Ok((!same.unwrap_or(false)).then(|| "it did not print the document".to_owned()))
            }
            Step::Restore => {
                let differs = compare::difference(&self.folder, &contestant.out);
                self.lab.empty(&contestant.out)?;
                Ok(differs.map(|differs| format!("it restored something else: {differs}")))
            }
            _ => Ok(None),
        }
    }

    /// What is stored without padding, if the tool can tell.
    fn unpadded(&self, contestant: &Contestant<'_>, variables: &[(String, String)]) -> Result<Option<u64>, Failure> {
        let Some(stored) = contestant.found.tool.stored else { return Ok(None) };
        let mut command = Command::new("sh");
        command.args(["-c", stored]).current_dir(&self.folder).envs(variables.iter().cloned());
        Ok(unpadded(&program::output(&mut command)?))
    }

    /// Changes the tree by a day's work; how many bytes were written, if the command says so.
    fn work_a_day(&mut self) -> Result<Option<u64>, Failure> {
        let Some(mutate) = &self.plan.mutate else { return Ok(None) };
        self.day += 1;
        let mut command = Command::new("sh");
        command.args(["-c", mutate]).env("TREE", &self.folder).env("DAY", self.day.to_string());
        let printed = program::output(command.stdin(Stdio::null()))?;
        let said = printed.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        Ok(said.and_then(|said| said["bytes_written"].as_u64()))
    }

    /// Has what is ours make one backup a day, into a vault of its own.
    fn days(&mut self, results: &mut Results) -> Result<(), Failure> {
        for who in 0..self.contestants.len() {
            let Some(command) = self.contestants[who].found.tool.command(Step::Days) else { continue };
            if let Some(fault) = self.found_vault(who)? {
                println!("{}: no daily backups: {fault}", self.tree.name);
                continue;
            }
            for repetition in (0..).take(self.plan.days) {
                let changed_bytes = if repetition > 0 { self.work_a_day()? } else { None };
                let run = Run { changed_bytes, ..self.once(who, Step::Days, repetition, command)? };
                let failed = run.fault.is_some();
                results.runs.push(run);
                if failed {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// A message that names folders as commands do.
fn without_places(message: &str, variables: &[(String, String)]) -> String {
    let mut message = message.to_owned();
    for name in ["VAULT", "CACHE", "OUT", "TREE", "BIN"] {
        let value = variables.iter().find(|(which, _)| which == name).map_or("", |(_, value)| value);
        if !value.is_empty() {
            message = message.replace(value, &format!("${name}"));
        }
    }
    message
}

/// How large a vault is, if there is one.
fn stored(vault: &Path) -> Result<u64, Failure> {
    if vault.exists() { trees::bytes(vault) } else { Ok(0) }
}

/// The chunks of contents and of metadata, compressed and sealed, in what `sb stats --json` prints.
fn unpadded(stats: &str) -> Option<u64> {
    let summary: Value = serde_json::from_str(stats.lines().last()?).ok()?;
    let stored = |what: &str| summary["vault"][what]["stored_bytes"].as_u64();
    Some(stored("content")? + stored("metadata")?)
}

fn line(run: &Run) -> String {
    let Run { tree, tool, step, repetition, wall_seconds, load, .. } = run;
    let (step, cpu, memory) = (step.name(), run.cpu_seconds(), run.memory_bytes as f64 / 1e6);
    let mut line = format!(
        "{tree:8} {step:9} {repetition:2} {tool:13} {wall_seconds:9.3} s {cpu:9.2} CPU s {memory:7.0} MB, load {load:.1}"
    );
    if let Some(bytes) = run.bytes {
        line += &format!(", {} {:.2} MB", run.step.bytes_are(), bytes as f64 / 1e6);
    }
    if run.noisy {
        line += ", noisy";
    }
    if let Some(fault) = &run.fault {
        line += &format!(", FAILED: {fault}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results;
    use crate::bench::tools::TOOLS;
    use std::fs;

    #[test]
    fn what_is_stored_without_padding_is_read_from_the_summary() {
        let stats =
            r#"{"message_type":"summary","vault":{"content":{"stored_bytes":40},"metadata":{"stored_bytes":2}}}"#;
        assert_eq!(unpadded(stats), Some(42));
        assert_eq!(unpadded("{}"), None);
        assert_eq!(unpadded("no JSON"), None);
    }

    #[test]
    fn a_line_says_what_is_wrong() {
        let mut run = results::example_run("small", "sb", Step::Day, 1.5);
        (run.bytes, run.noisy, run.fault) = (Some(2_500_000), true, Some("oh".to_owned()));
        let line = line(&run);
        assert!(line.contains("1.500 s") && line.ends_with("added 2.50 MB, noisy, FAILED: oh"), "{line}");
    }

    #[test]
    fn messages_name_no_place_of_this_machine() {
        let variables = [("TREE", "/lab/tree"), ("BIN", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(without_places("no `/lab/tree/a`", &variables), "no `$TREE/a`");
    }

    /// Everything but `sb` itself: the limits, on a tree that changes.
    #[test]
    #[ignore = "needs time"]
    fn limits_are_measured_on_a_copy_of_the_tree() {
        let folder = std::env::temp_dir().join(format!("xtask-course-{}", std::process::id()));
        let original = folder.join("original");
        fs::create_dir_all(original.join("sub")).unwrap();
        fs::write(original.join("sub/plain.txt"), "text").unwrap();
        let lab = Lab::new(&folder.join("lab")).unwrap();
        let limits = ["stat walk", "cp -a"];
        let places = crate::bench::tools::Places::default();
        let tools: &'static [_] = Box::leak(Box::new(TOOLS));
        let found: Vec<Found> = tools
            .iter()
            .filter(|tool| limits.contains(&tool.name))
            .map(|tool| Found::inspect(tool, places.find(tool).unwrap()).unwrap())
            .collect();
        let plan = Plan {
            steps: Step::ALL.to_vec(),
            repetitions: Repetitions::default(),
            mutate: Some(r#"echo "$DAY" >> "$TREE/diary"; echo '{"bytes_written": 2}'"#.to_owned()),
            days: 2,
            quiet_seconds: 0,
        };
        let mut measured = Results { trees: Vec::new(), runs: Vec::new(), ..results::example("x") };
        Course::prepare(&lab, &plan, &found, "tiny", &original).unwrap().run(&mut measured).unwrap();
        assert_eq!(measured.trees, [Tree { name: "tiny".to_owned(), files: 1, bytes: 4 }]);
        let done: Vec<_> = measured.runs.iter().map(|run| (run.tool.as_str(), run.step)).collect();
        let walk = ("stat walk", Step::Unchanged);
        assert_eq!(done, [walk, walk, walk, ("cp -a", Step::Restore)]);
        assert_eq!(measured.faults().count(), 0);
        assert!(!original.join("diary").exists());
        drop(lab);
        fs::remove_dir_all(folder).unwrap();
    }
}
