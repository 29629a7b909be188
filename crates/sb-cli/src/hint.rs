//! What to do about an error.

use sb_core::crypto::CryptoError;
use sb_core::repo::{Flaw, RepoError};
use sb_core::source::{SelectionError, TargetError};
use sb_core::store::StoreError;
use sb_core::{ConfigError, CoreError, LocationError, Size};

use crate::failure::chain;
use crate::text::{local, quoted};

/// The thing and the cause.
pub(crate) fn message(error: &CoreError) -> String {
    match error {
        CoreError::NoSnapshotThen { name, time } => format!("no snapshot `{name}` as of {}", local(*time)),
        CoreError::Repo(RepoError::LowSpace { free, needed }) => {
            format!("only {} are free where the vault is, and a backup needs {}", Size(*free), Size(*needed))
        }
        CoreError::Repo(RepoError::Busy { since }) => {
            format!("another collection or rotation of this vault began at {} and is not over", local(*since))
        }
        CoreError::Repo(RepoError::Interrupted) => "interrupted".to_owned(),
        CoreError::Repo(RepoError::Store(StoreError::Full { .. })) => "the disk with the vault is full".to_owned(),
        CoreError::Repo(RepoError::Store(StoreError::ReadOnly { source, .. })) => {
            format!("the vault cannot be written: {source}")
        }
        error => chain(error),
    }
}

/// What to do about entries of journals that nobody known has signed.
pub(crate) const LOST_CERTIFICATE: &str = "Journal entries that nobody known has signed may be those of a machine whose \
    certificate is gone: run a backup on that machine, which certifies itself again";

/// The next step, a sentence without its full stop.
pub(crate) fn hint(error: &CoreError) -> Option<String> {
    let text = match error {
        CoreError::Repo(error) => return repo(error).map(str::to_owned),
        CoreError::Denied { remedies, .. } => {
            let first = remedies.first()?;
            return Some(format!("It would be allowed with {first}"));
        }
        CoreError::OwnClients => "Somebody else who manages users can",
        CoreError::AmbiguousRequest { .. } => "Write more digits",
        CoreError::InvalidId { .. } => "Write the id and not the name: printable ASCII without spaces and quotes",
        CoreError::Ungovernable => "Leave to an owner what puts policies into force, and to somebody to agree to that",
        CoreError::RoleNamed { .. } => "Define another role",
        CoreError::NoSuchRequest { .. } | CoreError::RequestClosed { .. } => {
            "`sb request list --all` shows which there are"
        }
        CoreError::Policies(_) => "`sb policy check FILE` tries them out",
        CoreError::LockedOut { .. } => "Ask whoever manages the users of this vault",
        CoreError::NoSuchUser { .. } => "`sb user list` shows who there is",
        CoreError::NoSuchRole { known, .. } => return Some(format!("Roles: {}", known.join(", "))),
        CoreError::RoleInUse { .. } => "Define another role, and give that to them",
        CoreError::NoSuchKey { .. } => "`sb key list` shows which there are",
        CoreError::NoSnapshotThen { .. } => "`sb snapshots` lists those there are, and when they were begun",
        CoreError::NotLogged { .. } => {
            "The next backup of that machine writes it to the log; `sb log verify` tells if something is gone"
        }
        CoreError::LogRefused { .. } => {
            "If you yourself have put back an older copy of the vault, the witness has to be told; if not, somebody has written the \
             log anew: find out before you go on"
        }
        CoreError::LogUnproven { .. } => "`sb log verify` names what is wrong with it",
        CoreError::Unanchored { .. } | CoreError::Witness(_) | CoreError::TimeStamping(_) => {
            "Check the address and the network, and ask again; backups do not wait for it"
        }
        CoreError::TimeStamp(_) => "Check that --tsa-ca is the root certificate of that authority",
        CoreError::EvidenceFile { .. } => "Choose a folder that can be written to",
        CoreError::EvidenceNotEmpty { .. } => "Nothing else may be in such a folder: choose a new one",
        CoreError::NoVault { location } => {
            let place = quoted(&location.to_string());
            return Some(format!("Make one with `sb init {place}`, or name another place with --vault or SB_VAULT"));
        }
        CoreError::Location(LocationError::Later { .. }) => {
            "Use a folder; a share or another machine's folder can be mounted and used like one"
        }
        CoreError::Location(LocationError::Ambiguous { text }) => {
            return Some(format!("If it is a folder here, write `{}`", quoted(&format!("./{text}"))));
        }
        CoreError::Location(_) => "Write a path, or a URL such as `file:///mnt/backup`",
        CoreError::VaultExists { .. } => "Use it as it is, or choose another folder for a new one",
        CoreError::NoFolder { .. } => "Name a folder that is empty or does not exist yet",
        CoreError::NotEmpty { .. } => "Choose an empty folder, or one that does not exist yet",
        CoreError::TargetInVault { .. } => "Choose a folder outside the vault",
        CoreError::TargetIsFile { .. } => {
            "--to names the folder to restore into; what is restored keeps its own name in it"
        }
        CoreError::TargetNotEmpty { .. } | CoreError::TargetExists { .. } => {
            "Restore into a new folder, or say with --overwrite what becomes of files that have the same names; \
             `--overwrite if-changed` goes on with a restore that was interrupted"
        }
        CoreError::StateFolder { .. } => "SB_STATE_DIR can name another folder for local state",
        CoreError::Config(ConfigError::Unreadable { .. }) => {
            "Check the path; `sb config sample` prints a configuration to begin with"
        }
        CoreError::Config(_) => "`sb config sample` prints one that is right",
        CoreError::Selection(error) => return selection(error).map(str::to_owned),
        _ => return None,
    };
    Some(text.to_owned())
}

fn selection(error: &SelectionError) -> Option<&'static str> {
    Some(match error {
        SelectionError::NoSource => {
            "Name folders or files to back up, or list them in the configuration as `backup.paths`"
        }
        SelectionError::NothingThere { .. } => "Check the path, and whether its disk is mounted",
        SelectionError::Skipped { .. } => "The vault and the folder for local state are never backed up into the vault",
        SelectionError::Pattern { .. } | SelectionError::Include { .. } => "Patterns have the syntax of gitignore(5)",
        _ => return None,
    })
}

fn repo(error: &RepoError) -> Option<&'static str> {
    Some(match error {
        RepoError::Store(error) => return store(error),
        RepoError::Target(error) => return target(error),
        RepoError::Crypto(CryptoError::KdfOutOfMemory { .. }) => {
            "Close other programs, or open the vault with a key file"
        }
        RepoError::WrongCredential => {
            "Try again; if it is lost, the recovery key opens the vault: `sb --recovery-key …`"
        }
        RepoError::NoSuchSlot { .. } => {
            "Give what the vault was made with: a passphrase, --key-file, both of them, --rsa-key or --recovery-key"
        }
        RepoError::RootMismatch { .. } => {
            "Compare the fingerprint with the recovery sheet, and do not go on unless you know why it changed"
        }
        RepoError::RootNotPinned => "Give the root fingerprint that `sb init` printed, with --fingerprint",
        RepoError::UnsupportedFeature { .. } => "Install a newer version of sb",
        RepoError::Damaged { name, .. } if ["leases/", "fences/"].iter().any(|folder| name.starts_with(folder)) => {
            "If nothing else is working on the vault at this moment, remove that file from it"
        }
        RepoError::Damaged { .. } | RepoError::MissingChunk { .. } | RepoError::WrongContent { .. } => {
            "`sb verify` shows all that is damaged or cannot be read, and which documents that touches"
        }
        RepoError::RolledBack { .. } | RepoError::LogRolledBack { .. } => {
            "If you yourself have put back an older copy of the vault, `sb db rebuild --accept-rollback` takes it as it is; \
             if not, somebody has removed backups: find out before you go on"
        }
        RepoError::Condemned { .. } => "Run the backup again",
        RepoError::Undecided { name, .. } if name.starts_with("snapshots/") => {
            "`sb verify` shows what is damaged; if that cannot be mended, `sb forget` with the snapshot's id gives it up, and \
             then collecting goes on"
        }
        RepoError::Undecided { name, flaw: Flaw::UnknownSigner } if name.starts_with("journal/") => LOST_CERTIFICATE,
        RepoError::Undecided { .. } => "`sb verify` shows what is damaged",
        RepoError::Busy { .. } => {
            "Wait until it is over; if it died, it can be run again on its own machine at once, and elsewhere two days later"
        }
        RepoError::EmptyPolicy => "Give at least one of the --keep options, or name snapshots",
        RepoError::UnusedTags { .. } => {
            "Nothing was forgotten. `sb snapshots` shows the tags there are; `--keep-tag a,b` keeps what has both; for a policy that \
             names a tag before any snapshot has it there is --allow-unused-tags"
        }
        RepoError::NoSuchSnapshot { .. } => "`sb snapshots` lists those there are",
        RepoError::AmbiguousSnapshot { .. } => "Write more digits; `sb snapshots -v` shows them all",
        RepoError::NoSuchCertificate { .. } => "`sb certificate list` shows which there are",
        RepoError::ReadBack { .. } => "Check the disk with the vault before you rely on it, and run the backup again",
        RepoError::NoSuchPath { .. } => "`sb ls SNAP` shows what is in a snapshot; paths in it are absolute",
        RepoError::WrongKind { .. } => "`sb ls` shows what is in a folder, `sb restore` brings it back",
        RepoError::State { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
            "Remove the file: this machine then takes the vault as it finds it, and makes itself a new log key if it must"
        }
        RepoError::State { .. } => {
            "SB_STATE_DIR can name another folder; what is in it can be made anew with `sb db rebuild`"
        }
        RepoError::LowSpace { .. } => "Make room there, or ask for less with --free-minimum",
        error => return access(error),
    })
}

/// Of users, keys and what they may do.
fn access(error: &RepoError) -> Option<&'static str> {
    Some(match error {
        RepoError::NoReadingKey { .. } => "Open the vault as a user whose role may read",
        RepoError::NoRootKey => "Ask an administrator or owner of the vault",
        RepoError::NotApproved { .. } => {
            "With approved algorithms there are --kdf pbkdf2-hmac-sha256, and --algorithm p256 or rsa4096"
        }
        RepoError::KeysNotHeld { .. } => "Only who has keys can give them: ask an owner",
        RepoError::InvalidLogin { .. } => "Write lower-case letters and digits, and . _ - @ inside",
        RepoError::LastOwner => "Make somebody else an owner first",
        RepoError::LastSlot => "Add another key first with `sb key add`",
        RepoError::NoSuchUser { .. } => "`sb user list` shows who there is",
        RepoError::NoSuchKey { .. } => "`sb key list` shows which there are",
        RepoError::NoSuchRequest { .. } | RepoError::RequestClosed { .. } => {
            "`sb request list --all` shows which there are"
        }
        RepoError::NoGrant { .. } => "`sb user reset` gives them new keys",
        RepoError::RollChanged => "`sb user list` shows what counts now; then do it again",
        _ => return None,
    })
}

fn store(error: &StoreError) -> Option<&'static str> {
    Some(match error {
        StoreError::Full { .. } => "Make room and run it again: what was stored before is kept and used",
        StoreError::ReadOnly { .. } => "Check how the vault's disk is mounted and whose folder it is",
        StoreError::Denied { .. } => "Run it as the user whom the vault's folder belongs to",
        StoreError::NotFound { .. } => "Check that the vault's disk is still there, then run `sb verify`",
        _ => return None,
    })
}

fn target(error: &TargetError) -> Option<&'static str> {
    Some(match error {
        TargetError::Full { .. } => "Make room, or restore into another folder; what is there already is whole",
        TargetError::Unusable { .. } => "Choose a folder that you may write to",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_behind_a_lost_certificate_is_told_from_other_losses() {
        let undecided = |name: &str, flaw| hint(&CoreError::Repo(RepoError::Undecided { name: name.to_owned(), flaw }));
        assert_eq!(undecided("journal/a/0.b", Flaw::UnknownSigner).as_deref(), Some(LOST_CERTIFICATE));
        let damaged = Some("`sb verify` shows what is damaged");
        assert_eq!(undecided("journal/a/0.b", Flaw::Missing).as_deref(), damaged);
        assert_eq!(undecided("writers/a", Flaw::UnknownSigner).as_deref(), damaged);
        let snapshot = undecided("snapshots/a", Flaw::UnknownSigner).unwrap();
        assert!(snapshot.contains("`sb forget` with the snapshot's id"), "{snapshot}");
    }
}
