//! Running one command and seeing what it takes.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::program;

/// A command that takes longer is stopped.
const HOURS_MAX: u32 = 3;
/// How much of what a command printed is kept.
const PRINTED_MAX: usize = 1 << 20;
/// Processor time is counted in these in `/proc/stat` (proc(5): `USER_HZ`, which is 100 on every Linux of today).
const TICKS_PER_SECOND: f64 = 100.0;
/// The machine is quiet if the processors do no more than this in [`LOOK`].
const QUIET_CPU_SECONDS: f64 = 0.08;
const LOOK: Duration = Duration::from_millis(400);

/// What a command took.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Taken {
    pub(crate) wall_seconds: f64,
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    /// Of its largest process, at the highest.
    pub(crate) memory_bytes: u64,
    /// Processor time that went elsewhere meanwhile.
    pub(crate) neighbours_seconds: f64,
    /// How many processes wanted a processor in the minute before, on average.
    pub(crate) load: f64,
    /// What it printed, errors included.
    pub(crate) printed: String,
    /// Why it failed.
    pub(crate) fault: Option<String>,
}

impl Taken {
    /// Whether neighbours, or the kernel's writing back, had enough of the machine to tell.
    pub(crate) fn is_noisy(&self) -> bool {
        self.neighbours_seconds > 0.25 * self.wall_seconds + 0.05
    }
}

/// Whether there is what measuring needs.
pub(crate) fn check() -> Result<(), Failure> {
    for (name, hint) in [("time", "install GNU time (Debian: `time`)"), ("timeout", "install coreutils")] {
        program::find(name).ok_or_else(|| Failure::Missing { what: format!("`{name}`"), hint })?;
    }
    Ok(())
}

/// Runs `shell` in `folder` with these variables, once everything written before is on disk and the machine is quiet, for
/// which it waits at most `quiet_seconds`. GNU time sees its processor time and memory.
pub(crate) fn timed(
    shell: &str,
    folder: &Path,
    variables: &[(String, String)],
    notes: &Path,
    quiet_seconds: u32,
) -> Result<Taken, Failure> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::Io { path, source }
    };
    let (times, printed) = (notes.join("times"), notes.join("printed"));
    let output = fs::File::create(&printed).map_err(io(&printed))?;
    let mut command = Command::new("timeout");
    command.arg(format!("{HOURS_MAX}h")).args(["time", "--format=%U %S %M", "--output"]).arg(&times);
    command.args(["sh", "-c", shell]).current_dir(folder).envs(variables.iter().cloned());
    command.stdin(Stdio::null()).stdout(output.try_clone().map_err(io(&printed))?).stderr(output);
    program::run(&mut Command::new("sync"))?;
    wait_until_quiet(Duration::from_secs(quiet_seconds.into()))?;
    let (load, before, started) = (load()?, busy_seconds()?, Instant::now());
    let status = command.status().map_err(|source| Failure::Start { program: "timeout".to_owned(), source })?;
    let wall_seconds = started.elapsed().as_secs_f64();
    let busy = busy_seconds()? - before;
    let mut taken = parse_times(&program::read_lossy(&times)?)
        .ok_or_else(|| Failure::Missing { what: "what `time` measured".to_owned(), hint: "it must be GNU time" })?;
    taken.wall_seconds = wall_seconds;
    taken.load = load;
    taken.neighbours_seconds = (busy - taken.user_seconds - taken.system_seconds).max(0.0);
    taken.printed = program::read_lossy(&printed)?;
    taken.printed.truncate(taken.printed.floor_char_boundary(PRINTED_MAX));
    if !status.success() {
        let ended = status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
        let last = taken.printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
        taken.fault = Some(format!("{ended}: {last}"));
    }
    Ok(taken)
}

/// What GNU time wrote; its last line is ours, whatever it says of exit codes before.
fn parse_times(text: &str) -> Option<Taken> {
    let mut words = text.lines().last()?.split_whitespace();
    let user_seconds = words.next()?.parse().ok()?;
    let system_seconds = words.next()?.parse().ok()?;
    let kibibytes: u64 = words.next()?.parse().ok()?;
    Some(Taken { user_seconds, system_seconds, memory_bytes: kibibytes << 10, ..Taken::default() })
}

fn wait_until_quiet(limit: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    while started.elapsed() < limit {
        let before = busy_seconds()?;
        thread::sleep(LOOK);
        if busy_seconds()? - before < QUIET_CPU_SECONDS {
            break;
        }
    }
    Ok(())
}

fn load() -> Result<f64, Failure> {
    let text = program::read_lossy(Path::new("/proc/loadavg"))?;
    Ok(text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN))
}

/// Processor time that this machine has spent on anything.
fn busy_seconds() -> Result<f64, Failure> {
    Ok(parse_busy(&program::read_lossy(Path::new("/proc/stat"))?))
}

/// The first line of `/proc/stat` counts ticks: user, nice, system, idle, waiting, interrupts, soft interrupts, stolen.
fn parse_busy(text: &str) -> f64 {
    let words = text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let ticks = words.map(|word| word.parse::<f64>().unwrap_or_default()).enumerate();
    ticks.filter(|(place, _)| !matches!(place, 3 | 4)).map(|(_, ticks)| ticks).sum::<f64>() / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(test: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_time_and_the_kernel_say_is_understood() {
        let taken = parse_times("Command exited with non-zero status 3\n1.50 0.25 2048\n").unwrap();
        assert_eq!((taken.user_seconds, taken.system_seconds, taken.memory_bytes), (1.5, 0.25, 2 << 20));
        assert_eq!(parse_times(""), None);
        assert_eq!(parse_times("command not found"), None);
        assert_eq!(parse_busy("cpu 100 200 300 4000 5000 10 20 30 7 7\ncpu0 …"), 6.6);
        assert!(busy_seconds().unwrap() > 0.0 && load().unwrap() >= 0.0);
    }

    #[test]
    fn a_run_is_noisy_where_neighbours_had_a_quarter_of_it() {
        let taken = |wall_seconds, neighbours_seconds| Taken { wall_seconds, neighbours_seconds, ..Taken::default() };
        assert!(!taken(10.0, 2.4).is_noisy());
        assert!(taken(10.0, 2.6).is_noisy());
        assert!(!taken(0.01, 0.05).is_noisy());
    }

    #[test]
    #[ignore = "needs time"]
    fn a_command_is_measured() {
        check().unwrap();
        let notes = notes("measure");
        let variables = [("WORD".to_owned(), "hello".to_owned())];
        let shell = "echo $WORD; pwd; head -c 30000000 /dev/zero | tail -c 20000000 > /dev/null";
        let taken = timed(shell, &notes, &variables, &notes, 0).unwrap();
        assert_eq!(taken.printed, format!("hello\n{}\n", notes.canonicalize().unwrap().display()));
        assert_eq!(taken.fault, None);
        assert!(taken.wall_seconds > 0.0);
        assert!(taken.memory_bytes > 20_000_000, "{}", taken.memory_bytes);
        let failed = timed("echo oh dear >&2; echo; exit 3", &notes, &[], &notes, 0).unwrap();
        assert_eq!(failed.fault.unwrap(), "exit status: 3: oh dear");
        fs::remove_dir_all(notes).unwrap();
    }
}
