//! Reading the audit logs, and saying what their ids stand for.

use std::collections::BTreeMap;

use sb_audit::{Json, Note};
use sb_rbac::Action;
use sb_repo::{KeyId, LogEntry, LogFinding, Progress};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::{Told, user_id, vault_id};
use crate::session::Session;

/// All audit logs of a vault.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogReport {
    /// What they say, by time.
    pub entries: Vec<LoggedEntry>,
    /// What is wrong with them, or odd.
    pub findings: Vec<LogFinding>,
    /// How many entries each has, by the machine that writes it.
    pub sizes: BTreeMap<KeyId, u64>,
    /// What ids stand for, as far as that is known and may be read.
    pub names: BTreeMap<String, String>,
}

/// An entry, and how what it announces has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedEntry {
    /// Whose log it is in.
    pub writer: KeyId,
    /// What it says.
    pub entry: sb_audit::Entry,
    /// Of an intent: true if no entry says how it ended. A run that goes on, was killed, or was cut off.
    pub is_open: bool,
}

impl Session {
    /// Reads all audit logs.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] interruption and failures of the storage. Damage is among the findings.
    pub fn read_log(&self, progress: Progress<'_>) -> Result<LogReport, CoreError> {
        self.look(deed("Log.Read", Action::ReadLog), |session| session.logs(progress), |_| None)
    }

    /// Reads all audit logs and compares them with the journals, with what this machine remembers, and with these checkpoints,
    /// which somebody else has kept.
    ///
    /// # Errors
    /// As [`read_log`](Self::read_log), and [`sb_repo::RepoError::Damaged`] for a checkpoint that no log of this vault has signed.
    pub fn verify_log(&mut self, checkpoints: &[Note], progress: Progress<'_>) -> Result<LogReport, CoreError> {
        let vault = vault_id(self.id());
        let verify = |session: &mut Self| {
            for checkpoint in checkpoints {
                session.vault.heed_checkpoint(checkpoint)?;
            }
            session.logs(progress)
        };
        self.disclose(deed("Log.Verify", Action::VerifyLog), &vault, progress, verify, |report| Told {
            data: vec![("findings", Json::Integer(report.findings.len() as u64))],
            ..Told::default()
        })
    }

    /// Says what an id in the logs stands for, such as `user:…` or `machine:…`; or, with `None`, that nobody is to know any more.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] keys that do not read names, a vault that was rolled back, and failures of storage and state.
    pub fn name_id(&mut self, id: &str, name: Option<&str>, progress: Progress<'_>) -> Result<(), CoreError> {
        let deed = deed(if name.is_some() { "Name.Set" } else { "Name.Erase" }, Action::NameId);
        let set = |session: &mut Self| Ok(session.vault.name(id, name)?);
        self.change(deed, id, progress, set, |()| Told::default())
    }

    /// What ids stand for, with the logins of users.
    fn known_names(&self) -> BTreeMap<String, String> {
        let logins = self.vault.user_logins().into_iter().map(|(user, login)| (user_id(user), login));
        let mut names: BTreeMap<String, String> = logins.collect();
        names.extend(self.vault.names().names);
        names
    }

    fn logs(&self, progress: Progress<'_>) -> Result<LogReport, CoreError> {
        let logs = self.vault.logs(progress)?;
        let mut open: BTreeMap<KeyId, Vec<u64>> = BTreeMap::new();
        for finding in &logs.findings {
            if let sb_repo::Flaw::Log(found) = &finding.flaw
                && let sb_audit::Finding::OpenIntent { seq, .. } = &**found
            {
                open.entry(finding.writer).or_default().push(*seq);
            }
        }
        let is_open = |writer: &KeyId, seq| open.get(writer).is_some_and(|open| open.contains(&seq));
        let entries = logs.entries.into_iter().map(|LogEntry { writer, entry }| {
            let is_open = is_open(&writer, entry.seq);
            LoggedEntry { writer, entry, is_open }
        });
        Ok(LogReport {
            entries: entries.collect(),
            findings: logs.findings,
            sizes: logs.heads.into_iter().map(|(writer, head)| (writer, head.size)).collect(),
            names: self.known_names(),
        })
    }
}
