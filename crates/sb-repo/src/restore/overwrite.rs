//! What to do with what is there already.

use std::io::Read;

use sb_crypto::Sha256;
use sb_source::{IfTaken, Kind, TargetFolder};

use crate::wire::entry::{Entry, Item};

/// When a restore replaces what is there. Folders are never replaced; what is in the way of one is replaced as by a file, but
/// not what is in the way of folders above those that are restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Whatever is there.
    #[default]
    Always,
    /// What is not as in the snapshot. A file of the same size and time is taken for the same; of one of the same size and
    /// another time the content is compared, and of all files where an earlier restore has been cut short. What is the same
    /// gets its metadata.
    IfChanged,
    /// What was modified before the one in the snapshot was.
    IfNewer,
    /// Nothing: only what is missing is restored.
    Never,
}

/// What is done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Write(IfTaken),
    /// It is there; only its metadata, if they need it, are set.
    Same {
        metadata: bool,
    },
    Keep,
}

/// What is done with `entry` where `there` has its name. Whether the content of a file is the same is asked only if need be, which
/// `careful` says it is even if size and time are. Of metadata, extended attributes are not looked at.
pub(super) fn decide(
    policy: Overwrite,
    entry: &Entry,
    there: &sb_source::Entry,
    careful: bool,
    has_content: impl FnOnce() -> bool,
) -> Decision {
    let replace = Decision::Write(IfTaken::Replace);
    match policy {
        Overwrite::Always => replace,
        Overwrite::Never => Decision::Keep,
        // A folder in the way is for the restore to stumble over.
        _ if there.kind == Kind::Directory => replace,
        Overwrite::IfNewer => {
            let is_file = matches!(entry.item, Item::File(_)) && there.kind == Kind::File;
            let is_torn = || careful && is_file && entry.mtime == there.metadata.mtime && !has_content();
            if entry.mtime > there.metadata.mtime || is_torn() { replace } else { Decision::Keep }
        }
        Overwrite::IfChanged => {
            let same_time = entry.mtime == there.metadata.mtime;
            let same = match &entry.item {
                Item::File(file) if there.kind == Kind::File => {
                    file.size == there.metadata.size && ((same_time && !careful) || has_content())
                }
                _ => entry.kind().as_ref() == Some(&there.kind),
            };
            let (is, was) = (&there.metadata, entry);
            let alike = same_time && (is.mode, is.uid, is.gid) == (was.mode, was.uid, was.gid);
            if same { Decision::Same { metadata: !alike } } else { replace }
        }
    }
}

/// True if the file called `name` has the content of the one in the snapshot.
pub(super) fn has_content(folder: &TargetFolder, name: &[u8], entry: &Entry) -> bool {
    let Item::File(wanted) = &entry.item else { return false };
    let Ok(mut file) = folder.open(name) else { return false };
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return hash.finish() == wanted.sha256,
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sb_source::{EntryPath, Metadata, Timestamp};

    fn there(kind: Kind, seconds: i64, mode: u32) -> sb_source::Entry {
        let mtime = Timestamp { seconds, nanoseconds: 0 };
        let metadata = Metadata { mtime, mode, ..Metadata::default() };
        sb_source::Entry { path: EntryPath::root(), kind, metadata, ancestor: false }
    }

    #[test]
    fn each_policy_says_what_stays() {
        // A pipe of the time 0.
        let entry = Entry::plain(b"pipe");
        let (replace, keep) = (Decision::Write(IfTaken::Replace), Decision::Keep);
        let same = |metadata| Decision::Same { metadata };
        for (policy, there, decision) in [
            (Overwrite::Always, there(Kind::Fifo, 5, 0), replace),
            (Overwrite::Never, there(Kind::Fifo, -5, 0), keep),
            (Overwrite::Never, there(Kind::Directory, 0, 0), keep),
            (Overwrite::IfNewer, there(Kind::File, -1, 0), replace),
            (Overwrite::IfNewer, there(Kind::File, 0, 0), keep),
            (Overwrite::IfNewer, there(Kind::Directory, 5, 0), replace),
            (Overwrite::IfChanged, there(Kind::Fifo, 0, 0), same(false)),
            (Overwrite::IfChanged, there(Kind::Fifo, 0, 0o600), same(true)),
            (Overwrite::IfChanged, there(Kind::Fifo, 7, 0), same(true)),
            (Overwrite::IfChanged, there(Kind::Socket, 0, 0), replace),
            (Overwrite::IfChanged, there(Kind::Directory, 0, 0), replace),
        ] {
            assert_eq!(decide(policy, &entry, &there, true, || panic!("no file")), decision, "{policy:?} {there:?}");
        }
    }
}
