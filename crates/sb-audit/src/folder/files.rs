//! The files of a folder: which there may be, how long, and the list of their hashes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sb_crypto::sha256;

use super::EACH_MAX;
use super::error::FolderError;

const SUMS: &str = "SHA256SUMS";
const REQUIRED: [&str; 10] = [
    "README.html",
    SUMS,
    "certificate.dsse.json",
    "certificate.tlog-proof",
    "chain/user.sbv1",
    "chain/writer.sbv1",
    "root.pub.pem",
    "statement.json",
    "verify.sh",
    "witnesses.policy",
];

/// Files by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    pub(super) fn read(files: &[(String, Vec<u8>)]) -> Result<Self, FolderError> {
        let mut read = Self::default();
        for (name, bytes) in files {
            if bytes.len() > bytes_max(name) {
                return Err(FolderError::TooLong { name: name.clone() });
            }
            if read.0.insert(name.clone(), bytes.clone()).is_some() {
                return Err(FolderError::Extra { name: name.clone() });
            }
        }
        Ok(read)
    }

    pub(super) fn put(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.0.insert(name.to_owned(), bytes.into());
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    pub(super) fn need(&self, name: &str) -> Result<&[u8], FolderError> {
        self.get(name).ok_or_else(|| FolderError::Missing { name: name.to_owned() })
    }

    /// Names like `chain/officer-N.sbv1` with N from 1, as many as there are.
    pub(super) fn numbered(&self, before: &str, after: &str) -> Vec<String> {
        let name = |number| format!("{before}{number}{after}");
        (1..=EACH_MAX).map(name).take_while(|name| self.0.contains_key(name)).collect()
    }

    /// Checks that all that belongs into a folder is there, and nothing else.
    pub(super) fn check_names(&self) -> Result<(), FolderError> {
        let mut names: Vec<String> = REQUIRED.map(str::to_owned).to_vec();
        names.extend(self.numbered("chain/officer-", ".sbv1"));
        for stamp in self.numbered("stamps/", ".tsr") {
            names.push(stamp.replace(".tsr", ".ca.pem"));
            names.push(stamp);
        }
        if self.0.contains_key("document.json") || self.0.contains_key("document.proof") {
            names.extend(["document.json", "document.proof"].map(str::to_owned));
        }
        if let Some(name) = names.iter().find(|name| !self.0.contains_key(*name)) {
            return Err(FolderError::Missing { name: name.clone() });
        }
        match self.0.keys().find(|name| !names.contains(name)) {
            Some(name) => Err(FolderError::Extra { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// What `SHA256SUMS` has to say.
    pub(super) fn sums(&self) -> String {
        let mut sums = String::new();
        for (name, bytes) in self.0.iter().filter(|(name, _)| *name != SUMS) {
            writeln!(sums, "{}  {name}", sha256(bytes)).expect("a string takes what is written");
        }
        sums
    }

    pub(super) fn check_sums(&self) -> Result<(), FolderError> {
        let (sums, listed) = (self.sums(), self.need(SUMS)?);
        if sums.as_bytes() == listed {
            return Ok(());
        }
        let is_listed = |line: &&str| listed.split(|byte| *byte == b'\n').any(|found| found == line.as_bytes());
        let changed = sums.lines().find(|line| !is_listed(line)).and_then(|line| line.split_once("  "));
        Err(FolderError::Changed { name: changed.map_or(SUMS, |(_, name)| name).to_owned() })
    }

    pub(super) fn into_list(self) -> Vec<(String, Vec<u8>)> {
        self.0.into_iter().collect()
    }
}

/// How long a file can be.
fn bytes_max(name: &str) -> usize {
    match name {
        "statement.json" => 1 << 20,
        "certificate.dsse.json" => 2 << 20,
        _ => 256 << 10,
    }
}
