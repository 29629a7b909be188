//! `sb collect`.

use clap::Args;
use sb_core::{CollectOptions, CollectReport, Compression, MaxUnused, Session, Size, Tally};
use serde_json::{Value, json};

use crate::commands::backup::How;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::count;

/// Free the space of what nothing needs: forgotten snapshots, and what interrupted runs left
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb collect --dry-run
  sb collect
  sb collect --max-unused unlimited    deletes whole packs only, which is quickest
  sb collect --max-unused 0            frees every byte, and takes longest

Backups go on meanwhile, also those of other machines. While a collection is running elsewhere, this ends with exit code 11.")]
pub(crate) struct CollectArgs {
    /// Only say what would be freed
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// How thoroughly to collect.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How much of what nothing needs may stay among what is needed: `5%` of the vault, a size, or `unlimited`
    #[arg(long, value_name = "LIMIT", default_value = "5%", value_parser = max_unused)]
    max_unused: MaxUnused,
    /// How hard to compress what moves to new packs [default: as backups of the configuration]
    #[arg(long, value_name = "HOW", value_enum)]
    compression: Option<How>,
}

impl Limits {
    pub(crate) fn options(self, dry_run: bool, context: &Context) -> CollectOptions {
        let mut options = CollectOptions::default();
        options.max_unused = self.max_unused;
        // What moves should not come out larger than backups have made it.
        let level = self.compression.map(|how| Compression::from(how).level());
        if let Some(level) = level.or(context.config.backup.compression_level) {
            options.level = level;
        }
        options.dry_run = dry_run;
        options
    }
}

fn max_unused(text: &str) -> Result<MaxUnused, String> {
    if text == "unlimited" {
        return Ok(MaxUnused::Unlimited);
    }
    let percent =
        text.strip_suffix('%').map(|number| number.trim().parse::<u32>().ok().filter(|number| *number <= 100));
    let limit = match percent {
        Some(percent) => percent.map(MaxUnused::Percent),
        None => text.parse::<Size>().ok().map(|size| MaxUnused::Bytes(size.0)),
    };
    limit.ok_or_else(|| "write a share such as `5%`, a size such as `500M`, or `unlimited`".to_owned())
}

pub(crate) fn run(args: &CollectArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let report = collect(&mut session, &args.limits.options(args.dry_run, context), context)?;
    context.output.event("summary", described(&report))?;
    Ok(Exit::Done)
}

/// Collects and says what that freed.
pub(crate) fn collect(
    session: &mut Session,
    options: &CollectOptions,
    context: &Context,
) -> Result<CollectReport, Failure> {
    let report = context.watch("collecting", |progress| session.collect(options, progress))?;
    for line in told(&report) {
        context.output.say(&line)?;
    }
    let verb = if report.dry_run { "would free" } else { "freed" };
    context.output.result(&format!("{verb} {}", Size(report.freed())))?;
    Ok(report)
}

fn told(report: &CollectReport) -> Vec<String> {
    let (deleted, moved) = if report.dry_run { ("would delete", "would move") } else { ("deleted", "moved") };
    let of = |tally: Tally, word: &str| format!("{} ({})", count(tally.count, word), Size(tally.bytes));
    let mut lines = vec![format!("went through {}", count(report.snapshots, "snapshot"))];
    if report.deleted.count > 0 {
        lines.push(format!("{deleted} {} that nothing needs", of(report.deleted, "pack")));
    }
    if report.rewritten.count > 0 {
        let (old, new) = (of(report.rewritten, "pack"), Size(report.written.bytes));
        lines.push(format!("{moved} what is needed of {old} into new ones of {new}"));
    }
    if report.others.count > 0 {
        lines.push(format!("{deleted} {}: keys and indexes of what is gone", of(report.others, "other object")));
    }
    let unused =
        if report.unused > 0 { format!(", with {} that nothing needs", Size(report.unused)) } else { String::new() };
    lines.push(format!("{} stay{unused}", of(report.kept, "pack")));
    lines
}

/// The report for programs.
pub(crate) fn described(report: &CollectReport) -> Value {
    let tally = |tally: Tally| json!({ "count": tally.count, "bytes": tally.bytes });
    json!({
        "snapshots": report.snapshots,
        "packs_deleted": tally(report.deleted),
        "packs_rewritten": tally(report.rewritten),
        "packs_kept": tally(report.kept),
        "packs_postponed": tally(report.postponed),
        "others_deleted": tally(report.others),
        "written": tally(report.written),
        "unused_bytes": report.unused,
        "freed_bytes": report.freed(),
        "dry_run": report.dry_run,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shares_sizes_or_none() {
        assert_eq!(max_unused("5%"), Ok(MaxUnused::Percent(5)));
        assert_eq!(max_unused("1.5G"), Ok(MaxUnused::Bytes(3 << 29)));
        assert_eq!(max_unused("0"), Ok(MaxUnused::Bytes(0)));
        assert_eq!(max_unused("unlimited"), Ok(MaxUnused::Unlimited));
        for wrong in ["", "%", "101%", "-1", "much", "5 %%"] {
            assert!(max_unused(wrong).is_err(), "{wrong}");
        }
    }
}
