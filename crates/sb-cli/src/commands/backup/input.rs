//! What is to be backed up when the command line does not list it: lists in files, and streams.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sb_core::source::{EntryPath, StreamSource, Timestamp};
use sb_core::{Clock, Counter, FileChange, Monitor, Problem, SystemClock};

use crate::failure::Failure;
use crate::platform;

/// The paths in these files, one on each line, or between NUL bytes if there are any. `-` is the standard input.
pub(super) fn paths_from(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for file in files {
        let read = if file.as_os_str() == "-" {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        } else {
            fs::read(file)
        };
        let bytes = read.map_err(|error| Failure::file("read", file, &error))?;
        paths.extend(listed(&bytes));
    }
    Ok(paths)
}

fn listed(bytes: &[u8]) -> Vec<PathBuf> {
    let separator = if bytes.contains(&0) { 0 } else { b'\n' };
    let lines = bytes.split(|byte| *byte == separator);
    let lines = lines.map(|line| if separator == 0 { line } else { line.strip_suffix(b"\r").unwrap_or(line) });
    lines.filter(|line| !line.is_empty()).filter_map(path).collect()
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// Where a stream of this name, which may be a path, is in the snapshot.
pub(super) fn stream_path(name: &Path) -> Result<EntryPath, Failure> {
    let absolute = Path::new("/").join(name);
    let path = EntryPath::new(absolute.as_os_str().as_encoded_bytes()).ok().filter(|path| !path.is_root());
    path.ok_or_else(|| Failure::usage(format!("`{}` is no name for what comes in at a pipe", name.display())))
}

/// A stream of this moment.
pub(super) fn stream(path: EntryPath, stream: impl Read + Send + 'static) -> StreamSource {
    let now = SystemClock.now();
    let now = Timestamp { seconds: now.timestamp(), nanoseconds: now.timestamp_subsec_nanos().min(999_999_999) };
    StreamSource::new(path, stream, now)
}

/// What comes in, until somebody wants to stop: a pipe that nothing comes from would be waited for without end.
#[derive(Debug)]
pub(super) struct UntilStopped<R> {
    pub(super) from: R,
    pub(super) stop: &'static AtomicBool,
}

#[cfg(unix)]
impl<R: Read + std::os::fd::AsFd> Read for UntilStopped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("interrupted"));
            }
            match poll(&mut [PollFd::new(&self.from, PollFlags::IN)], Some(&A_MOMENT)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                // What can't be waited for is read; that tells what is wrong.
                Ok(_) | Err(_) => return self.from.read(buffer),
            }
        }
    }
}

/// What is piped into the program, unbuffered: what has been read already is not waited for.
#[cfg(unix)]
pub(super) fn standard_input() -> Result<fs::File, Failure> {
    use std::os::fd::AsFd;
    let cloned = io::stdin().as_fd().try_clone_to_owned();
    cloned.map(fs::File::from).map_err(|error| Failure::file("read", Path::new("the standard input"), &error))
}

#[cfg(not(unix))]
pub(super) fn standard_input() -> Result<io::Stdin, Failure> {
    Ok(io::stdin())
}

#[cfg(not(unix))]
impl<R: Read> Read for UntilStopped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.from.read(buffer)
    }
}

/// A command as words.
#[derive(Debug)]
pub(super) struct CommandLine {
    program: OsString,
    arguments: Vec<OsString>,
}

impl CommandLine {
    pub(super) fn new(words: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let mut words = words.into_iter();
        let program = words.next().ok_or_else(|| Failure::usage("no command is given to take the output of"))?;
        Ok(Self { program, arguments: words.collect() })
    }
}

/// What a command prints. It is started by whoever reads that first: a dump that nobody can take in is not begun. Its end is
/// an error unless the command ended well: half a dump is none.
#[derive(Debug)]
pub(super) struct CommandOutput {
    command: CommandLine,
    stop: &'static AtomicBool,
    has_begun: Arc<AtomicBool>,
    running: Option<Running>,
}

/// A command at work.
#[derive(Debug)]
struct Running {
    child: Child,
    stdout: UntilStopped<ChildStdout>,
}

impl CommandOutput {
    /// `has_begun` becomes true when the command has been started.
    pub(super) fn new(command: CommandLine, stop: &'static AtomicBool, has_begun: Arc<AtomicBool>) -> Self {
        Self { command, stop, has_begun, running: None }
    }

    fn running(&mut self) -> io::Result<&mut Running> {
        let running = match self.running.take() {
            Some(running) => running,
            None => {
                let running = Running::start(&self.command, self.stop)?;
                self.has_begun.store(true, Ordering::Relaxed);
                running
            }
        };
        Ok(self.running.insert(running))
    }
}

impl Running {
    fn start(command: &CommandLine, stop: &'static AtomicBool) -> io::Result<Self> {
        let CommandLine { program, arguments } = command;
        let child = platform::command(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child =
            child.map_err(|error| io::Error::other(format!("cannot run `{}`: {error}", program.display())))?;
        let stdout = UntilStopped { from: child.stdout.take().expect("asked for"), stop };
        Ok(Self { child, stdout })
    }
}

impl Read for CommandOutput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Running { child, stdout } = self.running()?;
        match stdout.read(buffer)? {
            0 if !buffer.is_empty() => {
                let status = loop {
                    match child.try_wait()? {
                        Some(status) => break status,
                        // It prints no more, and works on.
                        None if stdout.stop.load(Ordering::Relaxed) => {
                            return Err(io::Error::other("interrupted"));
                        }
                        None => std::thread::sleep(std::time::Duration::from_millis(20)),
                    }
                };
                if status.success() {
                    Ok(0)
                } else {
                    Err(io::Error::other(format!("`{}` ended with {status}", self.command.program.display())))
                }
            }
            read => Ok(read),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody reads what it prints any more. What it has started itself learns of that when it prints.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends the run at the first problem: of a stream there is nothing else to back up.
#[derive(Debug)]
pub(super) struct AllOrNothing<'a> {
    pub(super) monitor: &'a dyn Monitor,
    pub(super) stop: &'a AtomicBool,
    pub(super) problem: Mutex<Option<Problem>>,
}

impl Monitor for AllOrNothing<'_> {
    fn count(&self, counter: Counter, n: u64) {
        self.monitor.count(counter, n);
    }

    fn problem(&self, problem: &Problem) {
        if self.stop.load(Ordering::Relaxed) {
            // Somebody else has ended the run, and that is why.
            return;
        }
        *self.problem.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(problem.clone());
        self.stop.store(true, Ordering::Relaxed);
    }

    fn warning(&self, text: &str) {
        self.monitor.warning(text);
    }

    fn compared(&self, change: FileChange, path: &[u8]) {
        self.monitor.compared(change, path);
    }

    fn at(&self, path: &[u8]) {
        self.monitor.at(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_a_path_on_each_line_or_between_nul_bytes() {
        let paths = |bytes: &[u8]| listed(bytes).iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(paths(b"/a\n\n/b c\r\n/d"), ["/a", "/b c", "/d"]);
        assert_eq!(paths(b"/a\n2\0/b\r\0"), ["/a\n2", "/b\r"]);
        assert_eq!(paths(b""), [""; 0]);
    }

    #[test]
    fn a_stream_needs_a_name() {
        for name in ["/", "", "a/../b"] {
            assert!(stream_path(Path::new(name)).is_err(), "{name}");
        }
        assert_eq!(stream_path(Path::new("db/dump.sql")).unwrap().as_bytes(), b"/db/dump.sql");
    }
}
