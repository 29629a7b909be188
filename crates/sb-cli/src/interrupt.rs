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
        if asked_before || prompt::give_back_terminal() {
            std::process::exit(Exit::Interrupted as i32);
        }
        let _ = writeln!(std::io::stderr(), "\nsb: stopping; once more ends it at once");
    });
    &STOP
}
