//! Ctrl-C: the first asks the operation to stop at the next chance, the second ends the program at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;
use crate::prompt;

static STOP: AtomicBool = AtomicBool::new(false);

/// Listens from now on, and returns the flag that is set.
pub(crate) fn listen() -> &'static AtomicBool {
    // Without a handler Ctrl-C simply ends the program, which a vault survives.
    let _ = ctrlc::set_handler(|| {
        let asked_before = STOP.swap(true, Ordering::Relaxed);
        let was_prompting = prompt::give_back_terminal();
        let note = if asked_before || was_prompting { "" } else { "sb: stopping; once more ends it at once\n" };
        // The terminal has shown `^C` in the middle of a line.
        let _ = write!(std::io::stderr(), "\n{note}");
        if asked_before || was_prompting {
            std::process::exit(Exit::Interrupted as i32);
        }
    });
    &STOP
}
