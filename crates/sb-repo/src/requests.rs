//! Change requests: what somebody asks for, who agrees, and what was carried out (docs/format.md §20).
//!
//! Each statement is signed by the user who makes it, and names the proposal that it is about by its hash: an approval of one thing
//! is worth nothing for another. What was carried out is said by the very entry of the journal that does it, so that
//! nothing is done twice. Who may approve what, and how many have to, is decided by whoever composes this crate.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, open_with, seal_to, sha256};

use crate::error::{Flaw, RepoError};
use crate::ids::{RequestId, RunId, UserId};
use crate::live::{names_in, read};
use crate::name::{ObjectKind, ParsedName, Stem, TWIN};
use crate::sessions::write_twice;
use crate::vault::{Change, Vault};
use crate::view::View;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::request::{INFO, Says, Statement, Verdict, decode_reason, encode_reason};

const FOLDER: &str = "requests/";

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proposal {
    /// Which act, in the words of whoever composes this crate.
    pub kind: String,
    /// To what it is to be done, by opaque ids: it can be read by anybody.
    pub targets: BTreeSet<String>,
    /// What is to come into force, if it is a text. It can be read by anybody, too.
    pub text: Option<String>,
    /// Why; sealed for who reads names.
    pub reason: Option<String>,
}

impl Proposal {
    /// Of one act to one target.
    pub fn new(kind: impl Into<String>, target: impl Into<String>) -> Self {
        Self { kind: kind.into(), targets: [target.into()].into(), text: None, reason: None }
    }
}

/// Who has said something, and when by their clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedBy {
    /// Who.
    pub user: UserId,
    /// When.
    pub time: DateTime<Utc>,
    /// True if the user is on the roll, and signs with this key still: a key that was reset says nothing any more.
    pub is_current: bool,
}

/// A change request as it is filed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FiledRequest {
    /// Which.
    pub id: RequestId,
    /// What is asked for. The reason is absent where it may not be read.
    pub proposal: Proposal,
    /// True if there is a reason, whoever may read it.
    pub has_reason: bool,
    /// Who asks.
    pub proposed: SignedBy,
    /// Who agrees.
    pub approvals: Vec<SignedBy>,
    /// Who has refused it, or withdrawn it.
    pub rejections: Vec<SignedBy>,
    /// Who has carried it out.
    pub carried_out: Vec<SignedBy>,
    /// What is wrong with it, so that it can't be told what became of it.
    pub flaw: Option<(String, Flaw)>,
    object: Digest,
    sealed: Option<Sealed>,
    newest: u64,
}

/// A reason, and what it was sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sealed {
    header: Header,
    bytes: Vec<u8>,
}

impl FiledRequest {
    /// True if nobody has refused it or carried it out, and everything that was said of it can be read.
    pub fn is_open(&self) -> bool {
        self.rejections.is_empty() && self.carried_out.is_empty() && self.flaw.is_none()
    }
}

/// Every change request, those first that were made first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Requests {
    /// Those that can be read.
    pub filed: Vec<FiledRequest>,
    /// Objects that should be proposals, and what is wrong with them.
    pub flawed: Vec<(String, Flaw)>,
}

/// A statement, by whom, and where it was found.
struct Found {
    name: String,
    generation: u64,
    digest: Digest,
    header: Header,
    by: SignedBy,
    says: Says,
}

/// A statement, or the object that should be one and what is wrong with it.
type Read = Result<Found, (String, Flaw)>;

impl View {
    /// Reads all change requests. Reasons are sealed and not among what is returned; see [`Vault::requests`].
    pub fn requests(&self) -> Requests {
        let entered = self.live.iter().map(|(name, _)| name.strip_prefix(TWIN).unwrap_or(name));
        // Where journals are damaged, what is there counts as if they had it: nobody is to forget what was refused.
        let listed = names_in(&self.listing, FOLDER).filter(|name| self.live.is_readable(name));
        let names: BTreeSet<&str> = entered.filter(|name| name.starts_with(FOLDER)).chain(listed).collect();
        let mut of: BTreeMap<String, Vec<Read>> = BTreeMap::new();
        for name in names {
            let Some(parsed) = ParsedName::parse(name) else { continue };
            let found = match self.statement(&parsed, name, name) {
                Err(_) => self.statement(&parsed, name, &format!("{TWIN}{name}")),
                found => found,
            };
            let found = found.map_err(|flaw| (name.to_owned(), flaw));
            of.entry(parsed.stem.id().to_owned()).or_default().push(found);
        }
        let mut requests = Requests::default();
        for (id, found) in of {
            match assemble(RequestId::from_hex(&id).expect("a parsed name has an id"), found) {
                Ok(request) => requests.filed.push(request),
                Err(flaw) => requests.flawed.push(flaw),
            }
        }
        requests.filed.sort_by_key(|request| (request.proposed.time, request.id));
        requests
    }

    fn statement(&self, parsed: &ParsedName, name: &str, copy: &str) -> Result<Found, Flaw> {
        let bytes = read(&*self.storage, copy)?;
        let frame = self.trust.check(parsed, &bytes)?;
        let Statement { time, says } = Statement::decode(frame.body)?;
        let generation = parsed.stem.generation();
        if (generation == 0) != matches!(says, Says::Proposed { .. }) {
            return Err(Flaw::Foreign);
        }
        let signer = frame.trailer.signer;
        let user = self.trust.users.get(&signer).ok_or(Flaw::UnknownSigner)?.user;
        let is_current = self.roll().is_ok_and(|roll| match roll {
            Some(roll) => roll.member(user).is_some_and(|member| member.key == Some(signer)),
            None => self.founder() == Some(user),
        });
        let by = SignedBy { user, time, is_current };
        Ok(Found { name: name.to_owned(), generation, digest: sha256(&bytes), header: frame.header, by, says })
    }
}

/// What was said of one change, put together.
fn assemble(id: RequestId, found: Vec<Read>) -> Result<FiledRequest, (String, Flaw)> {
    let (found, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    let mut flaw = bad.into_iter().find_map(Result::err);
    let mut request: Option<FiledRequest> = None;
    let mut found: Vec<Found> = found.into_iter().flatten().collect();
    found.sort_by_key(|found| found.generation);
    for Found { name, generation, digest, header, by, says } in found {
        match (says, &mut request) {
            (Says::Proposed { kind, targets, text, reason }, None) => {
                let sealed = reason.map(|bytes| Sealed { header, bytes });
                request = Some(FiledRequest {
                    id,
                    proposal: Proposal { kind, targets: targets.into_iter().collect(), text, reason: None },
                    has_reason: sealed.is_some(),
                    proposed: by,
                    approvals: Vec::new(),
                    rejections: Vec::new(),
                    carried_out: Vec::new(),
                    flaw: None,
                    object: digest,
                    sealed,
                    newest: 0,
                });
            }
            (Says::Of(object, verdict), Some(request)) if object == request.object => {
                request.newest = generation;
                match verdict {
                    Verdict::Approved => request.approvals.push(by),
                    Verdict::Rejected => request.rejections.push(by),
                    Verdict::CarriedOut => request.carried_out.push(by),
                }
            }
            // Two proposals under one id, or a statement about another.
            _ => flaw = flaw.or(Some((name, Flaw::Foreign))),
        }
    }
    match request {
        Some(request) => Ok(FiledRequest { flaw, ..request }),
        None => Err(flaw.unwrap_or_else(|| (format!("{FOLDER}{id}"), Flaw::Missing))),
    }
}

impl Vault {
    /// Reads all change requests, with the reasons that this user may read.
    pub fn requests(&self) -> Requests {
        let mut requests = self.view.requests();
        for request in &mut requests.filed {
            request.proposal.reason = request.sealed.as_ref().and_then(|sealed| self.reason(sealed));
        }
        requests
    }

    fn reason(&self, sealed: &Sealed) -> Option<String> {
        let private = self.keys.as_ref()?.private(ObjectKind::Request, sealed.header.key, FOLDER).ok()?;
        let plain = open_with(private, INFO, &sealed.header.to_bytes(), &sealed.bytes).ok()?;
        decode_reason(plain.as_bytes()).ok()
    }

    /// Asks for a change, in the name of the user who opened the vault. It is durable, and entered, when this returns.
    ///
    /// # Errors
    /// [`RepoError::RolledBack`], and errors of storage, state and keys.
    pub fn propose(&mut self, proposal: &Proposal) -> Result<RequestId, RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let writer = self.writer()?;
        let id = RequestId::random(&*self.around.random);
        let recipient = &self.epoch().meta;
        let header = match proposal.reason {
            Some(_) => Header { kind: ObjectKind::Request, vault: self.id(), key: recipient.key_id() },
            None => Header::clear(ObjectKind::Request, self.id()),
        };
        let seal = |reason: &String| {
            seal_to(recipient, INFO, &header.to_bytes(), &encode_reason(reason), &*self.around.random)
        };
        let says = Says::Proposed {
            kind: proposal.kind.clone(),
            targets: proposal.targets.iter().cloned().collect(),
            text: proposal.text.clone(),
            reason: proposal.reason.as_ref().map(seal).transpose()?,
        };
        let added = self.write_statement(id, 0, header, says)?;
        self.append(&writer, RunId::new([0; 8]), Change { operation: "propose", added, ..Change::default() })?;
        Ok(id)
    }

    /// Agrees to what was asked for, or does not, in the name of the user who opened the vault. It is durable, and entered, when this
    /// returns. Whether the user may is not decided here.
    ///
    /// # Errors
    /// [`RepoError::NoSuchRequest`], [`RepoError::RequestClosed`], [`RepoError::Damaged`] if not all that was said of it can be read,
    /// [`RepoError::RolledBack`], and errors of storage, state and keys.
    pub fn decide(&mut self, id: RequestId, approve: bool) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let request = self.open_request(id)?;
        let writer = self.writer()?;
        let (verdict, operation) = if approve { (Verdict::Approved, "approve") } else { (Verdict::Rejected, "reject") };
        let header = Header::clear(ObjectKind::Request, self.id());
        let added = self.write_statement(id, request.newest + 1, header, Says::Of(request.object, verdict))?;
        self.append(&writer, RunId::new([0; 8]), Change { operation, added, ..Change::default() })
    }

    /// Writes that this is carried out; in no journal yet. Refuses what was refused or carried out, and where it can't be told.
    pub(crate) fn write_outcome(&self, id: Option<RequestId>) -> Result<Vec<Added>, RepoError> {
        let Some(id) = id else { return Ok(Vec::new()) };
        if let Some((name, flaw)) = self.view.live.flaws.first() {
            return Err(RepoError::Damaged { name: name.clone(), flaw: flaw.clone() });
        }
        let request = self.open_request(id)?;
        let header = Header::clear(ObjectKind::Request, self.id());
        self.write_statement(id, request.newest + 1, header, Says::Of(request.object, Verdict::CarriedOut))
    }

    /// True if somebody else says to have carried it out, too: whoever sees that takes back what is theirs, so that at most one has.
    pub(crate) fn has_rival(&self, id: RequestId, mine: &str) -> bool {
        let prefix = format!("{FOLDER}{id}.");
        let carried_out = self.view.live.iter().map(|(name, _)| name).filter(|name| name.starts_with(&prefix));
        let carried_out = carried_out.filter(|name| {
            let found = ParsedName::parse(name).map(|parsed| self.view.statement(&parsed, name, name));
            matches!(found, Some(Ok(Found { says: Says::Of(_, Verdict::CarriedOut), .. })))
        });
        carried_out.into_iter().any(|name| name != mine)
    }

    /// An approval of one request, filed with another.
    #[cfg(feature = "testing")]
    pub(crate) fn forged_approval(&self, about: RequestId, of: RequestId) -> Result<Vec<Added>, RepoError> {
        let object = self.view.requests().filed.into_iter().find(|request| request.id == of).expect("is there").object;
        let header = Header::clear(ObjectKind::Request, self.id());
        self.write_statement(about, 7, header, Says::Of(object, Verdict::Approved))
    }

    /// A second proposal under the id of another.
    #[cfg(feature = "testing")]
    pub(crate) fn forged_proposal(&self, about: RequestId) -> Result<Vec<Added>, RepoError> {
        let says = Says::Proposed { kind: "grant".to_owned(), targets: Vec::new(), text: None, reason: None };
        self.write_statement(about, 0, Header::clear(ObjectKind::Request, self.id()), says)
    }

    fn open_request(&self, id: RequestId) -> Result<FiledRequest, RepoError> {
        let found = self.view.requests().filed.into_iter().find(|request| request.id == id);
        let request = found.ok_or(RepoError::NoSuchRequest { id })?;
        match request.flaw {
            Some((name, flaw)) => Err(RepoError::Damaged { name, flaw }),
            None if request.is_open() => Ok(request),
            None => Err(RepoError::RequestClosed { id }),
        }
    }

    fn write_statement(
        &self,
        id: RequestId,
        generation: u64,
        header: Header,
        says: Says,
    ) -> Result<Vec<Added>, RepoError> {
        let statement = Statement { time: self.around.clock.now(), says };
        let stem = Stem::mutable(ObjectKind::Request, id, generation);
        let author = Author::outside(&self.keyring.signing);
        write_twice(&*self.around.storage, &author, header, &statement.encode(), &stem)
    }
}
