//! Sealing the tables of pack keys to the newest epoch.

use std::collections::BTreeSet;

use sb_store::ObjectName;

use super::{OPERATION, Rotation, STUCK_TOLD};
use crate::clock::Counter;
use crate::collect::Leases;
use crate::error::{Flaw, RepoError};
use crate::live::read;
use crate::name::{ObjectKind, ParsedName, TWIN};
use crate::sessions::{unseal_table, write_table};
use crate::vault::Change;
use crate::view::with_twins;
use crate::wire::frame::Frame;
use crate::wire::journal::Added;
use crate::wire::session::SessionTable;

/// Tables that are entered into the journal at once.
const AT_ONCE: usize = 256;

/// What was found when the tables were gone through.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Runs that began before the newest epoch and may be going on.
    pub(super) running: u64,
    /// Tables of theirs, which are theirs to enter.
    held: u64,
    /// Tables that could not be sealed anew.
    pub(super) stuck: Vec<(String, Flaw)>,
    pub(super) stuck_count: u64,
    /// Those of them that another copy of the vault may yet bring back.
    damaged: u64,
}

impl Scan {
    /// True if nothing that an older key may open is left, nor comes.
    pub(super) fn is_clear(&self) -> bool {
        self.running == 0 && self.held == 0 && self.damaged == 0
    }
}

/// What becomes of a table.
enum Fate {
    /// Nothing: it is sealed to the newest keys, or nobody's.
    Stays,
    /// It is of a run that goes on.
    Held,
    /// It can't be sealed anew; if its bytes are not what they were, they may be again one day.
    Stuck(Flaw),
    /// It is to be sealed anew, as one for packs of this kind.
    Old(ObjectKind, SessionTable),
}

impl Rotation<'_> {
    /// Seals all tables to the newest keys that are not, but for those of runs that go on; those of runs that died, too, so that these
    /// can be gone on with.
    pub(super) fn seal_tables(&mut self) -> Result<Scan, RepoError> {
        // First: a run whose lease is gone has by then entered what it had to.
        let leases = Leases::read(self.vault)?;
        self.vault.refresh()?;
        self.vault.check_witnesses()?;
        let newest = self.vault.epoch().number;
        let mut scan = Scan { running: leases.earlier_than(newest, self.author.run), ..Scan::default() };
        let view = &self.vault.view;
        let entered = view.live.iter().map(|(name, _)| name).filter(|name| is_table(name));
        let all = entered.chain(with_twins(&view.listing, "sessions/"));
        let names: BTreeSet<String> = all.map(|name| name.strip_prefix(TWIN).unwrap_or(name).to_owned()).collect();
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for name in names {
            self.go_on()?;
            match self.fate(&name, &leases)? {
                Fate::Stays => {}
                Fate::Held => scan.held += 1,
                Fate::Stuck(flaw) => {
                    scan.stuck_count += 1;
                    scan.damaged += u64::from(matches!(
                        flaw,
                        Flaw::WrongHash | Flaw::Missing | Flaw::Unreadable(_) | Flaw::UnknownSigner
                    ));
                    if scan.stuck.len() < STUCK_TOLD {
                        scan.stuck.push((name, flaw));
                    }
                }
                Fate::Old(kind, table) => {
                    // All generations count, so that one more than the last there can be is none.
                    let table = SessionTable { generation: table.generation.wrapping_add(1), ..table };
                    let Self { vault, author, .. } = self;
                    let (view, random) = (&vault.view, &*vault.around.random);
                    write_table(view, random, author, vault.epoch(), kind, &table, &mut added)?;
                    removed.extend(self.copies(&name));
                    self.progress.monitor.count(Counter::Objects, 1);
                }
            }
            if removed.len() >= 2 * AT_ONCE {
                self.replace(std::mem::take(&mut added), std::mem::take(&mut removed))?;
            }
        }
        self.replace(added, removed)?;
        Ok(scan)
    }

    /// Enters new tables in the place of old ones, and deletes these.
    fn replace(&mut self, added: Vec<Added>, removed: Vec<(String, u64)>) -> Result<(), RepoError> {
        if added.is_empty() {
            return Ok(());
        }
        self.check_still_ours()?;
        self.done.tables += added.len() as u64 / 2;
        let gone: Vec<String> = removed.iter().map(|(name, _)| name.clone()).collect();
        let change = Change { operation: OPERATION, added, removed, ..Change::default() };
        self.vault.append(self.author.key, self.author.run, change)?;
        for name in gone {
            // What can't be deleted is removed by the journal all the same.
            let _ = self.vault.around.storage.remove(&ObjectName::new(name)?);
        }
        Ok(())
    }

    /// Both copies of a table, as far as they are there or should be, and their sizes.
    fn copies(&self, name: &str) -> Vec<(String, u64)> {
        let view = &self.vault.view;
        let copies = [name.to_owned(), format!("{TWIN}{name}")].into_iter();
        let size = |copy: &String| {
            view.live.get(copy).map(|recorded| recorded.size).or_else(|| view.listing.get(copy).copied())
        };
        copies.filter_map(|copy| size(&copy).map(|size| (copy, size))).collect()
    }

    fn fate(&self, name: &str, leases: &Leases) -> Result<Fate, RepoError> {
        let view = &self.vault.view;
        let Some(parsed) = ParsedName::parse(name) else { return Ok(Fate::Stays) };
        let copies = [name.to_owned(), format!("{TWIN}{name}")];
        let copies: Vec<&String> = copies.iter().filter(|copy| !view.live.is_removed(copy)).collect();
        let is_entered = copies.iter().any(|copy| view.live.contains(copy));
        let mut trouble = Flaw::Missing;
        let mut whole = None;
        for copy in copies.iter().filter(|copy| view.listing.contains_key(**copy)) {
            match read(&*view.storage, copy)
                .and_then(|bytes| view.trust.check(&parsed, &bytes).map(drop).map(|()| bytes))
            {
                Ok(bytes) => {
                    whole = Some(bytes);
                    break;
                }
                Err(flaw) => trouble = flaw,
            }
        }
        let Some(bytes) = whole else {
            // What is in no journal is a dead run's, or nobody's.
            return Ok(match trouble {
                _ if is_entered => Fate::Stuck(trouble),
                // Whose it is can't be told now.
                Flaw::Unreadable(_) => Fate::Stuck(trouble),
                _ => Fate::Stays,
            });
        };
        let frame = Frame::parse(&bytes).expect("checked just now");
        let newest = self.vault.epoch();
        if [newest.meta.key_id(), newest.content.key_id()].contains(&frame.header.key) {
            return Ok(Fate::Stays);
        }
        let run = frame.trailer.run;
        if !is_entered && (leases.has(run) || self.vault.around.state.is_alive(run)?) {
            return Ok(Fate::Held);
        }
        let stuck = |flaw| if is_entered { Fate::Stuck(flaw) } else { Fate::Stays };
        let Some((kind, private)) = self.vault.keys()?.private_of(frame.header.key) else {
            return Ok(stuck(Flaw::UnknownKey));
        };
        Ok(match unseal_table(private, &parsed, &frame) {
            Ok(table) => Fate::Old(kind, table),
            Err(flaw) => stuck(flaw),
        })
    }

    /// Deletes what was removed and is still there, because somebody was cut short.
    pub(super) fn delete_removed(&self) -> Result<(), RepoError> {
        let view = &self.vault.view;
        for folder in ["config/", "grants/", "roles/", "sessions/"] {
            for name in with_twins(&view.listing, folder).into_iter().filter(|name| view.live.is_removed(name)) {
                let _ = self.vault.around.storage.remove(&ObjectName::new(name)?);
            }
        }
        Ok(())
    }
}

fn is_table(name: &str) -> bool {
    name.strip_prefix(TWIN).unwrap_or(name).starts_with("sessions/")
}
