//! What a trial backs up: a small firm, or a few notes beside a folder of the user's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sb_core::crypto::sha256;

const CLIENTS: [&str; 5] = ["miller-sons", "Bäckerei Öztürk", "Åkesson AB", "Dupont & Fils", "wong_trading"];
const YEARS: [u32; 2] = [2024, 2025];
const MONTHS: u32 = 12;
/// 2025-01-31, so that times that come back can't be those of today.
const LAST_TOUCHED: u64 = 1_738_281_600;

/// A folder of ours, and what changes in it between two backups.
#[derive(Debug)]
pub(super) struct Sample {
    /// The folder.
    pub(super) root: PathBuf,
    /// A file to rewrite.
    rewritten: PathBuf,
    /// A file that comes.
    added: PathBuf,
    /// A file that goes.
    removed: PathBuf,
    /// What the rewritten file held.
    before: Vec<u8>,
}

impl Sample {
    fn new(root: &Path, rewritten: &str, added: &str, removed: &str) -> io::Result<Self> {
        let rewritten = root.join(rewritten);
        let before = fs::read(&rewritten)?;
        Ok(Self { root: root.to_owned(), rewritten, added: root.join(added), removed: root.join(removed), before })
    }

    /// Rewrites one file, adds one, deletes one.
    pub(super) fn change(&self) -> io::Result<()> {
        fs::write(&self.rewritten, noise("corrected", 3000))?;
        fs::write(&self.added, noise("arrived late", 2000))?;
        fs::remove_file(&self.removed)
    }

    /// The file that was rewritten, and what it held before.
    pub(super) fn rewritten(&self) -> (&Path, &[u8]) {
        (&self.rewritten, &self.before)
    }
}

/// Makes a firm: clients, years, invoices, ledgers, and what file systems are tricky about.
pub(super) fn firm(root: &Path) -> io::Result<Sample> {
    for client in CLIENTS {
        for year in YEARS {
            let folder = root.join(client).join(year.to_string());
            fs::create_dir_all(folder.join("correspondence"))?;
            for month in 1..=MONTHS {
                write(&folder.join(format!("invoice-{month:02}.xml")), invoice(client, year, month).as_bytes())?;
            }
            write(&folder.join("ledger.csv"), ledger(client, year).as_bytes())?;
            write(&folder.join("annual accounts.pdf"), &noise(&format!("{client} {year}"), 40_000))?;
        }
    }
    let first = root.join(CLIENTS[0]);
    let image = File::create(first.join("old-server.img"))?;
    image.set_len(16 << 20)?;
    (&image).write_all(&noise("boot", 5000))?;
    fs::hard_link(first.join("2024/ledger.csv"), first.join("ledger 2024 (copy).csv"))?;
    tricky(root, &first)?;
    let removed = format!("{}/2024/invoice-07.xml", CLIENTS[2]);
    let rewritten = format!("{}/2025/invoice-03.xml", CLIENTS[0]);
    let added = format!("{}/2025/correspondence/Mahnung.txt", CLIENTS[1]);
    Sample::new(root, &rewritten, &added, &removed)
}

/// Makes a few notes, to be changed in place of what is the user's.
pub(super) fn notes(root: &Path) -> io::Result<Sample> {
    fs::create_dir_all(root)?;
    for name in ["one.txt", "two.txt", "three.txt"] {
        write(&root.join(name), &noise(name, 2000))?;
    }
    Sample::new(root, "one.txt", "four.txt", "two.txt")
}

#[cfg(unix)]
fn tricky(root: &Path, client: &Path) -> io::Result<()> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    symlink("2025", client.join("current"))?;
    symlink("nowhere/to/be/found", client.join("dangling"))?;
    // Some file systems want UTF-8, others know no attributes.
    let _ = write(&client.join(OsStr::from_bytes(b"Angebot f\xfcr B\xfcro.txt")), b"Latin-1");
    let _ = xattr::set(client.join("2025/ledger.csv"), "user.reviewed-by", b"ann");
    fs::set_permissions(client.join("2025/ledger.csv"), fs::Permissions::from_mode(0o600))?;
    fs::set_permissions(root.join(CLIENTS[1]), fs::Permissions::from_mode(0o2750))
}

#[cfg(not(unix))]
fn tricky(_root: &Path, _client: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes a file that was last touched some time ago.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    let age = Duration::new(u64::from(sha256(path.as_os_str().as_encoded_bytes()).as_bytes()[0]) * 86_400, 123_456_789);
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_TOUCHED) - age)
}

fn invoice(client: &str, year: u32, month: u32) -> String {
    let mut lines = String::new();
    let mut total = 0;
    for position in 1..=10_u32 {
        let cents = (year * 7 + month * 131 + position * 977) % 90_000 + 1000;
        total += cents;
        lines.push_str(&format!(
            "  <InvoiceLine>\n    <ID>{position}</ID>\n    <Item><Name>Consulting, position {position}</Name></Item>\n    \
             <LineExtensionAmount currencyID=\"EUR\">{}.{:02}</LineExtensionAmount>\n  </InvoiceLine>\n",
            cents / 100,
            cents % 100
        ));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Invoice>\n  <ID>{year}-{month:03}</ID>\n  \
         <IssueDate>{year}-{month:02}-28</IssueDate>\n  <Customer>{client}</Customer>\n{lines}  \
         <PayableAmount currencyID=\"EUR\">{}.{:02}</PayableAmount>\n</Invoice>\n",
        total / 100,
        total % 100
    )
}

fn ledger(client: &str, year: u32) -> String {
    let mut text = String::from("date;account;contra account;amount;text\n");
    for entry in 0..600_u32 {
        let amount = (entry * 7919 + year) % 500_000;
        let (month, day) = (entry / 50 + 1, entry % 28 + 1);
        text.push_str(&format!(
            "{year}-{month:02}-{day:02};1200;8400;{}.{:02};{client} {entry}\n",
            amount / 100,
            amount % 100
        ));
    }
    text
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    for counter in 0.. {
        if bytes.len() >= length {
            break;
        }
        bytes.extend_from_slice(sha256(format!("{seed} {counter}").as_bytes()).as_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firm_is_the_same_each_time_and_changes_in_three_places() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("a"), folder.path().join("b"));
        let sample = firm(&one).unwrap();
        firm(&two).unwrap();
        let differing = || {
            let diff =
                crate::platform::command("diff").args(["-rq", "--no-dereference"]).args([&one, &two]).output().unwrap();
            String::from_utf8_lossy(&diff.stdout).lines().count()
        };
        assert_eq!(differing(), 0);
        sample.change().unwrap();
        assert_eq!(differing(), 3);
        assert_ne!(fs::read(sample.rewritten().0).unwrap(), sample.rewritten().1);
    }
}
