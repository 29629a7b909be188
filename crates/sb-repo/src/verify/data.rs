//! Data: every segment of every pack opens, and every chunk has the id that the footer says.

use std::collections::HashSet;

use sb_store::ObjectName;

use super::VerifyReport;
use super::parallel::each;
use crate::clock::{Counter, Progress};
use crate::error::{Flaw, RepoError};
use crate::ids::PackId;
use crate::live::names_in;
use crate::name::{self, ParsedName};
use crate::pack::read_pack_footer;
use crate::sessions::table_of;
use crate::tree::TreeReader;
use crate::vault::Vault;
use crate::wire::pack::SegmentContent;

/// Segments that can't be read: pack ordinal and number.
pub(super) type Bad = HashSet<(u32, u32)>;

impl Vault {
    /// Of packs that something is wrong with, or with whose keys, the segments that really can't be read.
    pub(super) fn suspects(&self, TreeReader { chunks, locator, .. }: TreeReader<'_>, report: &VerifyReport) -> Bad {
        let tables: HashSet<String> = report
            .findings
            .iter()
            .filter_map(|finding| ParsedName::parse(&finding.object))
            .map(|parsed| parsed.stem.id().to_owned())
            .collect();
        let mut bad = Bad::new();
        for (ordinal, pack) in (0..).zip(locator.packs()) {
            let table = table_of(&pack.key).to_string();
            if report.places.contains_key(name::pack(&pack.id).as_str()) || tables.contains(&table) {
                let segments = 0..u32::try_from(pack.segments.len()).unwrap_or(u32::MAX);
                bad.extend(segments.filter(|n| chunks.segment(locator, ordinal, *n).is_err()).map(|n| (ordinal, n)));
            }
        }
        bad
    }

    /// Opens everything.
    pub(super) fn verify_data(
        &self,
        reader: TreeReader<'_>,
        report: &mut VerifyReport,
        progress: Progress<'_>,
    ) -> Result<Bad, RepoError> {
        let mut bad = Bad::new();
        let names: Vec<&str> =
            names_in(&self.view.listing, "packs/").filter(|name| self.view.live.is_readable(name)).collect();
        let flaws = each(&names, |name| self.verify_pack(name, reader, progress))?;
        for (name, flaws) in names.into_iter().zip(flaws) {
            for (place, flaw) in flaws {
                bad.extend(place);
                report.find(name, flaw);
            }
        }
        // Of packs whose footers can't be read, and of those that are gone altogether.
        bad.extend(self.suspects(reader, report));
        Ok(bad)
    }
}

/// What is wrong with a pack: with a segment of it, or with its footer.
pub(super) type PackFlaws = Vec<(Option<(u32, u32)>, Flaw)>;

impl Vault {
    /// Opens every segment of a pack: what is wrong with it, and where.
    pub(super) fn verify_pack(
        &self,
        name: &str,
        TreeReader { chunks, locator, .. }: TreeReader<'_>,
        progress: Progress<'_>,
    ) -> Result<PackFlaws, RepoError> {
        progress.check()?;
        let Some(id) = ParsedName::parse(name).and_then(|parsed| PackId::from_hex(&parsed.hash)) else {
            return Ok(Vec::new());
        };
        let (_, footer) = match read_pack_footer(&*self.view.storage, &ObjectName::new(name)?, id, self.keys()?) {
            Ok(read) => read,
            Err(RepoError::Damaged { flaw, .. }) => return Ok(vec![(None, flaw)]),
            Err(RepoError::Store(error)) => return Ok(vec![(None, Flaw::Unreadable(error.to_string()))]),
            Err(error) => return Err(error),
        };
        let Some(ordinal) = locator.ordinal(&id) else { return Ok(Vec::new()) };
        let ids = self.keys()?.chunk_ids(footer.kind, footer.bucket);
        let mut flaws = Vec::new();
        for (number, segment) in (0..).zip(&footer.segments) {
            let flaw = match chunks.read_segment(locator, ordinal, number) {
                Ok(raw) => {
                    let flaw = wrong_chunk(&ids, &raw, segment, number);
                    chunks.give(raw);
                    flaw
                }
                Err(RepoError::Damaged { flaw, .. }) => Some(flaw),
                Err(RepoError::Store(error)) => Some(Flaw::Unreadable(error.to_string())),
                Err(error) => return Err(error),
            };
            flaws.extend(flaw.map(|flaw| (Some((ordinal, number)), flaw)));
            progress.monitor.count(Counter::Bytes, u64::from(segment.place.raw));
        }
        Ok(flaws)
    }
}

fn wrong_chunk(ids: &crate::keys::ChunkIds, raw: &[u8], segment: &SegmentContent, number: u32) -> Option<Flaw> {
    let mut at = 0;
    for (id, length) in &segment.chunks {
        let end = at + *length as usize;
        if raw.get(at..end).is_none_or(|chunk| ids.of(chunk) != *id) {
            return Some(Flaw::WrongChunk(number));
        }
        at = end;
    }
    None
}
