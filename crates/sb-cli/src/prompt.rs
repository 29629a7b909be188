//! Asking for a secret at the terminal.

#[cfg(unix)]
mod unix {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Read, Write};
    use std::sync::{Mutex, PoisonError};

    use crate::text::harmless_line;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The terminal as it was, while it does not show what is typed.
    static HIDDEN: Mutex<Option<(File, Termios)>> = Mutex::new(None);

    /// Asks at the terminal, whatever standard input is, and does not show the answer.
    pub(crate) fn ask(question: &str) -> io::Result<Vec<u8>> {
        let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        *HIDDEN.lock().unwrap_or_else(PoisonError::into_inner) = Some((terminal.try_clone()?, before));
        let answer = (|| {
            tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
            write!(terminal, "{}: ", harmless_line(question))?;
            // A terminal gives one line at a time, and no longer ones.
            let mut line = vec![0; 4096];
            let length = terminal.read(&mut line)?;
            line.truncate(length);
            Ok(line)
        })();
        give_back_terminal();
        // The line end that was typed was not shown either.
        let _ = writeln!(terminal);
        answer
    }

    /// Lets the terminal show what is typed again; false if it does already.
    pub(crate) fn give_back_terminal() -> bool {
        let hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((terminal, before)) = &hidden {
            let _ = tcsetattr(terminal, OptionalActions::Now, before);
        }
        hidden.is_some()
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;

    /// This system's terminals cannot be asked yet.
    pub(crate) fn ask(_question: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Nothing was hidden.
    pub(crate) fn give_back_terminal() -> bool {
        false
    }
}

#[cfg(not(unix))]
pub(crate) use other::{ask, give_back_terminal};
#[cfg(unix)]
pub(crate) use unix::{ask, give_back_terminal};
