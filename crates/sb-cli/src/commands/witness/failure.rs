//! What to do about the errors of a witness.

use sb_core::audit::Refusal;
use sb_core::witness::{CosignError, FolderError};

use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::text::quoted;

/// Why a witness's folder can't be used, as people are told.
pub(crate) fn told(error: FolderError) -> Failure {
    let failure = Failure::new(chain(&error));
    match error {
        FolderError::Damaged { .. } => failure.with_exit(Exit::Damaged).hint(
            "Do not put an older copy of it back: a witness that has forgotten what it cosigned is none. If it can't be mended, \
             make a new one in another folder and tell the owners of the logs its key",
        ),
        FolderError::NoWitness { folder } => {
            failure.hint(format!("Make one with `sb witness init {} --name NAME`", quoted(&folder.to_string_lossy())))
        }
        FolderError::Exists { .. } => failure.hint("Use it as it is, or choose another folder for a new one"),
        FolderError::NotEmpty { .. } => failure.hint("Choose an empty folder, or one that does not exist yet"),
        FolderError::InUse { .. } => failure
            .with_exit(Exit::Busy)
            .hint("Stop `sb witness serve` there, or wait for the other command; `sb witness show` works meanwhile"),
        FolderError::Name(_) => {
            failure.with_exit(Exit::Usage).hint("A name has neither blanks nor `+` in it, such as `witness.example/w1`")
        }
        FolderError::Log(_) => failure.with_exit(Exit::Usage).hint("Ask the owner of the log for its verifier key"),
        _ => failure,
    }
}

/// Why nothing was cosigned, as people are told.
pub(crate) fn refused(error: CosignError) -> Failure {
    let refusal = match error {
        CosignError::Refused(refusal) => refusal,
        CosignError::Folder(error) => return told(error),
        error => return Failure::new(chain(&error)).hint("Set the clock of this machine"),
    };
    let failure = Failure::new(format!("the witness refuses: {}", chain(&refusal)));
    match refusal {
        Refusal::UnknownLog { .. } => failure.hint("If it is to be watched, `sb witness add-log` with the log's key"),
        Refusal::Stale { latest } => failure.hint(format!("Let the log make a request from size {latest}")),
        Refusal::OtherRoot { .. } => failure.with_exit(Exit::Damaged).hint(
            "The log has forked, or was written anew: ask its owner why. Both checkpoints are kept in the folder `forks`",
        ),
        Refusal::Inconsistent { .. } => {
            failure.hint("Let the log make the request anew; if it is refused again, the log is not the one cosigned before")
        }
        Refusal::Signature(_) => failure.hint("If the log has a new key, `sb witness add-log` with that"),
        _ => failure,
    }
}
