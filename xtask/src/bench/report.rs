//! The tables in Markdown.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::growth::{growth, pair};
use super::results::{Described, Results, Run, Tree, median};
use super::steps::Step;
use super::targets::{Against, Measure, TARGETS, Target, best_peer};
use super::tools::Role;
use crate::failure::Failure;

/// Between these lines of the document are the results.
const BEGIN: &str = "<!-- Results: written by `cargo xtask bench`; edits are lost. -->";
const END: &str = "<!-- End of results. -->";
/// Repetitions that differ by more than this have their range shown.
const SPREAD: f64 = 1.15;

/// Puts the tables into the document, in the place for them, or at the end of one that has none.
pub(crate) fn write(file: &Path, results: &Results) -> Result<(), Failure> {
    let io = |source| Failure::Io { path: file.to_owned(), source };
    let before = if file.exists() { fs::read_to_string(file).map_err(io)? } else { "# Benchmarks\n".to_owned() };
    fs::write(file, placed(&before, &text(results))).map_err(io)
}

fn placed(document: &str, tables: &str) -> String {
    let tables = format!("{BEGIN}\n\n{}\n\n{END}", tables.trim());
    match (document.find(BEGIN), document.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{tables}{}", &document[..begin], &document[end + END.len()..])
        }
        _ => format!("{}\n\n{tables}\n", document.trim_end()),
    }
}

fn text(results: &Results) -> String {
    let mut text = String::new();
    conditions(&mut text, results);
    verdicts(&mut text, results);
    for tree in &results.trees {
        measurements(&mut text, results, tree);
    }
    growths(&mut text, results);
    faults(&mut text, results);
    commands(&mut text, results);
    text
}

fn add(text: &mut String, line: impl AsRef<str>) {
    text.push_str(line.as_ref());
    text.push('\n');
}

/// A row of a table. What is in it cannot end a cell.
fn row(text: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.replace('|', "\\|")).collect();
    add(text, format!("| {} |", cells.join(" | ")));
}

fn head(text: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    let under = "---|".repeat(cells.len());
    row(text, cells);
    add(text, format!("|{under}"));
}

fn conditions(text: &mut String, results: &Results) {
    let machine = &results.machine;
    let loads: Vec<f64> = results.runs.iter().map(|run| run.load).filter(|load| load.is_finite()).collect();
    let highest = loads.iter().copied().fold(0.0, f64::max);
    let _ = writeln!(
        text,
        "Measured on {}: {}, {} cores, {} memory, Linux {}; load average before the commands {:.1} (median) to {highest:.1}.\n",
        machine.date,
        machine.processor,
        machine.cores,
        bytes(machine.memory_bytes as f64),
        machine.kernel,
        median(loads).unwrap_or_default(),
    );
    for tool in &results.tools {
        add(text, format!("- `{}`: {}", tool.name, tool.version));
    }
}

fn verdicts(text: &mut String, results: &Results) {
    add(text, "\n### Targets\n");
    head(text, ["tree", "step", "what", "target", "reached", "met"].map(str::to_owned));
    for tree in &results.trees {
        for target in TARGETS.iter().filter(|target| target.is_for(&tree.name)) {
            let reached = target.reached(results, &tree.name);
            row(
                text,
                [
                    tree.name.clone(),
                    target.step.map_or("any", Step::title).to_owned(),
                    named(target.measure).to_owned(),
                    bound(target),
                    reached.map_or_else(|| "not measured".to_owned(), |reached| quantity(target, reached)),
                    reached.map_or("", |reached| if target.is_met(reached) { "yes" } else { "**no**" }).to_owned(),
                ],
            );
        }
    }
}

fn named(measure: Measure) -> &'static str {
    match measure {
        Measure::Wall => "wall time",
        Measure::Cpu => "CPU time",
        Measure::Memory => "peak memory",
        Measure::Bytes => "bytes",
        Measure::Unpadded => "bytes before padding",
        Measure::Saving => "protected ÷ stored",
    }
}

fn bound(target: &Target) -> String {
    let sign = if target.measure == Measure::Saving { '≥' } else { '≤' };
    let against = match target.against {
        Against::BestPeer => " × the best peer",
        Against::BestPeerWithZstd => " × the best peer with zstd",
        Against::Tool(name) => return format!("{sign} {} × `{name}`", quantity(target, target.bound)),
        Against::Nothing => "",
    };
    format!("{sign} {}{against}", quantity(target, target.bound))
}

fn quantity(target: &Target, value: f64) -> String {
    match (target.against, target.measure) {
        (Against::Nothing, Measure::Wall | Measure::Cpu) => seconds(value),
        (Against::Nothing, Measure::Memory | Measure::Bytes | Measure::Unpadded) => bytes(value),
        (Against::Nothing, Measure::Saving) => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn measurements(text: &mut String, results: &Results, tree: &Tree) {
    let size = bytes(tree.bytes as f64);
    add(text, format!("\n### `{}`: {} files, {size}\n", tree.name, thousands(tree.files)));
    let ours = results.in_role(Role::Ours);
    let tools: Vec<&Described> = ours.chain(results.in_role(Role::Peer)).collect();
    let names = tools.iter().map(|tool| format!("`{}`", tool.name));
    let last = ["ours ÷ best peer", "limits (ours ÷ each)"].map(str::to_owned);
    head(text, ["step", "what"].map(str::to_owned).into_iter().chain(names).chain(last));
    for step in Step::ALL.into_iter().filter(|step| *step != Step::Days) {
        for measure in [Measure::Wall, Measure::Cpu, Measure::Memory, Measure::Bytes, Measure::Unpadded] {
            let cells: Vec<Option<String>> =
                tools.iter().map(|tool| cell(results, &tree.name, &tool.name, step, measure)).collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let what = if measure == Measure::Bytes { step.bytes_are() } else { named(measure) };
            let start = [step.title().to_owned(), what.to_owned()];
            let cells = cells.into_iter().map(Option::unwrap_or_default);
            let end = [ratio(results, &tree.name, step, measure), limits(results, &tree.name, step, measure)];
            row(text, start.into_iter().chain(cells).chain(end));
        }
    }
    for tool in results.in_role(Role::Ours) {
        days(text, results, tree, &tool.name);
    }
}

/// The median of one measure, with the range where repetitions differ, `~` where one was noisy and `✗` where one failed.
fn cell(results: &Results, tree: &str, tool: &str, step: Step, measure: Measure) -> Option<String> {
    let runs: Vec<&Run> = results.of(tree, tool, step).collect();
    let values: Vec<f64> = runs.iter().filter_map(|run| measure.of(run)).collect();
    let show = |value: f64| match measure {
        Measure::Wall | Measure::Cpu => seconds(value),
        _ => bytes(value),
    };
    let mut cell = show(median(values.clone())?);
    let (least, most) =
        values.iter().fold((f64::MAX, 0.0_f64), |(least, most), value| (least.min(*value), most.max(*value)));
    if measure == Measure::Wall && most > SPREAD * least {
        let _ = write!(cell, " ({}–{})", show(least), show(most));
    }
    if measure == Measure::Wall && runs.iter().any(|run| run.noisy) {
        cell.push_str(" ~");
    }
    if runs.iter().any(|run| run.fault.is_some()) {
        cell.push_str(" ✗");
    }
    Some(cell)
}

/// Our median of a measure.
fn ours(results: &Results, tree: &str, step: Step, measure: Measure) -> Option<f64> {
    let name = &results.in_role(Role::Ours).next()?.name;
    results.median(tree, name, step, |run| measure.of(run))
}

fn ratio(results: &Results, tree: &str, step: Step, measure: Measure) -> String {
    // Who has freed more is not better for it: that depends on what lay there.
    if (step, measure) == (Step::Collect, Measure::Bytes) {
        return String::new();
    }
    let best = best_peer(results, tree, step, measure, |_| true).filter(|best| *best > 0.0);
    let both = ours(results, tree, step, measure).zip(best);
    both.map(|(ours, best)| format!("{:.2}", ours / best)).unwrap_or_default()
}

fn limits(results: &Results, tree: &str, step: Step, measure: Measure) -> String {
    let ours = ours(results, tree, step, measure);
    // Only we tell what is padding; a limit has none.
    let theirs = if measure == Measure::Unpadded { Measure::Bytes } else { measure };
    let shown = results.in_role(Role::Limit).filter_map(|limit| {
        let value = results.median(tree, &limit.name, step, |run| theirs.of(run)).filter(|value| *value > 0.0)?;
        let cell = cell(results, tree, &limit.name, step, theirs)?;
        let ratio = ours.map(|ours| format!(" ({:.2})", ours / value)).unwrap_or_default();
        Some(format!("`{}` {cell}{ratio}", limit.name))
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// Daily backups, which only what is ours makes.
fn days(text: &mut String, results: &Results, tree: &Tree, tool: &str) {
    let runs: Vec<&Run> = results.of(&tree.name, tool, Step::Days).collect();
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
    let protected: u64 = runs.iter().filter_map(|run| run.protected_bytes).sum();
    let Some(saving) = results.saving(&tree.name, tool, Step::Days) else { return };
    let later = median(runs.iter().skip(1).map(|run| run.wall_seconds).collect());
    let stored = |run: &Run| bytes(run.bytes.unwrap_or_default() as f64);
    let written: u64 = runs.iter().filter_map(|run| run.changed_bytes).sum();
    add(
        text,
        format!(
            "\n{} daily backups by `{tool}`: {} protected, {} stored after the first and {} after the last ({} written to the \
             tree meanwhile), {saving:.1} : 1; {} a day after the first (median).",
            runs.len(),
            bytes(protected as f64),
            stored(first),
            stored(last),
            bytes(written as f64),
            later.map_or_else(|| "–".to_owned(), seconds),
        ),
    );
}

fn growths(text: &mut String, results: &Results) {
    let Some((less, more)) = pair(results) else { return };
    let (files, size) = (more.files as f64 / less.files as f64, more.bytes as f64 / less.bytes as f64);
    add(text, "\n### Growth\n");
    let _ = writeln!(
        text,
        "From `{}` to `{}` there are {files:.1} times the files and {size:.1} times the bytes. Each cell: how many times longer a step \
         takes, and which power of the number of files and of bytes that is (1 is as many times, 0 no growth).\n",
        less.name, more.name,
    );
    let backup_tools: Vec<&Described> = results.tools.iter().filter(|tool| tool.role != Role::Limit).collect();
    let names = backup_tools.iter().map(|tool| format!("`{}`", tool.name));
    head(text, std::iter::once("step".to_owned()).chain(names));
    for step in Step::ALL.into_iter().filter(|step| *step != Step::Start) {
        let grown: Vec<_> = backup_tools.iter().map(|tool| growth(results, less, more, &tool.name, step)).collect();
        if grown.iter().all(Option::is_none) {
            continue;
        }
        let power = |power: Option<f64>| power.map_or_else(|| "–".to_owned(), |power| format!("{power:.2}"));
        let cells = grown.into_iter().map(|grown| {
            grown.map_or_else(String::new, |grown| {
                format!("× {:.2} ({}; {})", grown.times, power(grown.by_files), power(grown.by_bytes))
            })
        });
        row(text, std::iter::once(step.title().to_owned()).chain(cells));
    }
}

fn faults(text: &mut String, results: &Results) {
    let mut found = results.faults().peekable();
    if found.peek().is_some() {
        add(text, "\n### What failed\n");
    }
    for (run, fault) in found {
        let (tree, tool, step) = (&run.tree, &run.tool, run.step.title());
        add(text, format!("- `{tool}`, `{tree}`, {step} ({}): {fault}", run.repetition + 1));
    }
}

fn commands(text: &mut String, results: &Results) {
    add(text, "\n### Commands\n\n```sh");
    if let Some(mutate) = &results.mutate {
        add(text, format!("# a day's work, not timed\n{mutate}"));
    }
    for tool in &results.tools {
        add(text, format!("# {}", tool.name));
        let variables = tool.variables.iter().map(|(name, value)| format!("{name}={value}"));
        let variables: Vec<String> = variables.collect();
        if !variables.is_empty() {
            add(text, format!("export {}", variables.join(" ")));
        }
        for (title, command) in tool.init.iter().map(|init| ("not timed", init)) {
            add(text, format!("{command}   # {title}"));
        }
        let mut shown = "";
        for (step, command) in &tool.commands {
            if command != shown {
                add(text, format!("{command}   # {}", step.title()));
            }
            shown = command;
        }
    }
    add(text, "```");
}

fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{:.0} ms", value * 1e3)
    } else if value < 10.0 {
        format!("{value:.2} s")
    } else {
        format!("{value:.1} s")
    }
}

fn bytes(value: f64) -> String {
    if value < 1e5 {
        format!("{:.1} kB", value / 1e3)
    } else if value < 1e8 {
        format!("{:.1} MB", value / 1e6)
    } else {
        format!("{} MB", thousands((value / 1e6).round() as u64))
    }
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{example, example_run};

    #[test]
    fn results_take_the_place_of_earlier_ones() {
        let document = format!("# Title\n\nhow\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n");
        let expected = format!("# Title\n\nhow\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n");
        assert_eq!(placed(&document, "\nnew\n"), expected);
        assert_eq!(placed(&expected, "new"), expected);
        assert_eq!(placed("# Title\n", "new"), format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n"));
    }

    #[test]
    fn the_committed_document_has_a_place_for_results() {
        let document = include_str!("../../../docs/benchmarks.md");
        assert!(document.find(BEGIN).unwrap() < document.find(END).unwrap());
    }

    #[test]
    fn numbers_are_as_people_write_them() {
        assert_eq!([0.0044, 0.5, 2.345, 12.34].map(seconds), ["4 ms", "500 ms", "2.35 s", "12.3 s"]);
        assert_eq!([0.0, 2_500.0, 2.25e6, 2.25e9].map(bytes), ["0.0 kB", "2.5 kB", "2.2 MB", "2,250 MB"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn tables_have_medians_ratios_limits_and_targets() {
        let mut results = example("small");
        results.join(example("many"));
        let noisy = Run { noisy: true, ..example_run("small", "sb", Step::Restore, 3.0) };
        let fault = Some("it restored something else".to_owned());
        results.runs.extend([noisy, Run { fault, ..example_run("small", "restic", Step::Restore, 4.0) }]);
        for day in 0..30 {
            let (bytes, protected_bytes) = (Some(100_000_000 + day), Some(200_000_000));
            let run = example_run("small", "sb", Step::Days, 1.0);
            results.runs.push(Run { repetition: day as u32, bytes, protected_bytes, ..run });
        }
        results.mutate = Some("python3 gen.py --out $TREE".to_owned());
        let text = text(&results);
        for expected in [
            "| step | what | `sb` | `restic` | `borg lz4` | ours ÷ best peer | limits (ours ÷ each) |",
            "| first backup | wall time | 2.00 s | 5.00 s | 4.00 s | 0.50 | `bare` 1.90 s (1.05) |",
            "| first backup | vault | 500 MB | 600 MB | 700 MB | 0.83 | `bare` 490 MB (1.02) |",
            "| nothing changed | wall time | 400 ms (200 ms–600 ms) |",
            "| full restore | wall time | 3.00 s ~ | 4.00 s ✗ |  |  |  |",
            "| small | first backup | wall time | ≤ 0.75 × the best peer | 0.50 | yes |",
            "| small | daily backups | protected ÷ stored | ≥ 40.0 | 60.0 | yes |",
            "| small | one document | wall time | ≤ 25 ms | not measured |  |",
            "| small | any | peak memory | ≤ 100 MB | 50.0 MB | yes |",
            "30 daily backups by `sb`: 6,000 MB protected",
            "| first backup | × 1.00 (0.00; 0.00) |",
            "- `restic`, `small`, full restore (1): it restored something else",
            "### `many`: 10,000 files, 4,000 MB",
            "export REPO=$VAULT",
            "# a day's work, not timed\npython3 gen.py --out $TREE\n# sb",
        ] {
            assert!(text.contains(expected), "no {expected:?} in\n{text}");
        }
    }
}
