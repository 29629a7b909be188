//! Change requests: what somebody asks for, who agrees, and what was carried out (docs/format.md §20).
//!
//! Each statement is signed by the user who makes it, and names the proposal that it is about by its hash: an approval of one thing
//! is worth nothing for another. What was carried out is said by the root key, in the entry of the journal that does it, so that
//! nothing is done twice. Who may ask, agree and refuse, and how many have to agree, is decided by whoever composes this crate.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, SigningKey, open_with, seal_to, sha256};

use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, RequestId, RunId, UserId};
use crate::live::{names_in, read};
use crate::name::{ObjectKind, ParsedName, Stem, TWIN};
use crate::sessions::write_twice;
use crate::trust::key_id;
use crate::vault::{Change, Vault};
use crate::view::View;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::request::{INFO, Says, Statement, associated, decode_reason, encode_reason, request_id};

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
    /// Since when the user has had this key.
    pub key_since: DateTime<Utc>,
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
    /// Who agrees, whether or not they may.
    pub approvals: Vec<SignedBy>,
    /// Who has refused it, or withdrawn it, whether or not they may.
    pub rejections: Vec<SignedBy>,
    /// Who has carried it out, and when, as the root key says.
    pub carried_out: Vec<(UserId, DateTime<Utc>)>,
    /// An object that should say something of it and can't be read, so that it can't be told what became of it.
    pub flaw: Option<(String, Flaw)>,
    object: Digest,
    signer: KeyId,
    sealed: Option<Sealed>,
}

/// A reason, and the header of its object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sealed {
    header: Header,
    bytes: Vec<u8>,
}

impl FiledRequest {
    /// True if it was not carried out, and everything that was said of it can be read. Whether those count who have refused it is not
    /// decided here.
    pub fn is_open(&self) -> bool {
        self.carried_out.is_empty() && self.flaw.is_none()
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
    digest: Digest,
    header: Header,
    signer: KeyId,
    by: SignedBy,
    says: Says,
}

/// A statement; none, if it says nothing here; or the object that should be one and what is wrong with it.
type Read = Result<Option<Found>, (String, Flaw)>;

impl View {
    /// Reads all change requests. Reasons are sealed and not among what is returned; see [`Vault::requests`].
    pub fn requests(&self) -> Requests {
        let entered = self.live.iter().map(|(name, _)| name.strip_prefix(TWIN).unwrap_or(name));
        // Where journals are damaged, what is there counts as if they had it: nobody is to forget what was done.
        let listed = names_in(&self.listing, FOLDER).filter(|name| self.live.is_readable(name));
        let names: BTreeSet<&str> = entered.filter(|name| name.starts_with(FOLDER)).chain(listed).collect();
        let mut of: BTreeMap<RequestId, Vec<Read>> = BTreeMap::new();
        let current = self.current_keys();
        for name in names {
            let parsed = ParsedName::parse(name);
            let Some((parsed, id)) = parsed.and_then(|p| RequestId::from_hex(p.stem.id()).map(|id| (p, id))) else {
                continue;
            };
            let found = match self.statement(&parsed, id, name, &current) {
                Err(_) => self.statement(&parsed, id, &format!("{TWIN}{name}"), &current),
                found => found,
            };
            of.entry(id).or_default().push(found.map_err(|flaw| (name.to_owned(), flaw)));
        }
        let mut requests = Requests::default();
        for (id, found) in of {
            match assemble(id, found) {
                Some(Ok(request)) => requests.filed.push(request),
                Some(Err(flaw)) => requests.flawed.push(flaw),
                None => {}
            }
        }
        requests.filed.sort_by_key(|request| (request.proposed.time, request.id));
        requests
    }

    /// Reads one copy of a statement. What is well signed and makes no sense says nothing: anybody with a key may have put it there.
    fn statement(
        &self,
        parsed: &ParsedName,
        id: RequestId,
        copy: &str,
        current: &BTreeMap<UserId, KeyId>,
    ) -> Result<Option<Found>, Flaw> {
        let bytes = read(&*self.storage, copy)?;
        let digest = sha256(&bytes);
        let recorded = self.live.get(copy).and_then(|recorded| recorded.digest);
        // The name has a part of the hash only, which its author could make two objects for.
        if recorded.is_some_and(|recorded| recorded != digest) {
            return Err(Flaw::WrongHash);
        }
        let frame = match self.trust.check(parsed, &bytes) {
            Err(Flaw::UnknownSigner) => return Ok(None),
            frame => frame?,
        };
        let Ok(Statement { time, says }) = Statement::decode(frame.body) else { return Ok(None) };
        let signer = frame.trailer.signer;
        let is_root = signer == key_id(&self.trust.root);
        let is_first = parsed.stem.generation() == 0;
        let fits = match &says {
            Says::Proposed { .. } => is_first && !is_root && id == request_id(self.id(), signer, frame.body),
            Says::Approved(_) | Says::Rejected(_) => !is_first && !is_root,
            Says::CarriedOut(..) => !is_first && is_root,
        };
        let by = match (&says, self.trust.users.get(&signer)) {
            (Says::CarriedOut(_, user), _) => SignedBy { user: *user, time, is_current: true, key_since: time },
            (_, Some(certified)) => {
                let is_current = current.get(&certified.user) == Some(&signer);
                SignedBy { user: certified.user, time, is_current, key_since: certified.created }
            }
            (_, None) => return Ok(None),
        };
        Ok(fits.then_some(Found { digest, header: frame.header, signer, by, says }))
    }

    /// Who is on the roll, and by which key.
    fn current_keys(&self) -> BTreeMap<UserId, KeyId> {
        match self.roll() {
            Ok(Some(roll)) => roll.members.iter().filter_map(|member| Some((member.user, member.key?))).collect(),
            Ok(None) => {
                let own = self.trust.users.iter().filter(|(_, certified)| Some(certified.user) == self.founder());
                own.map(|(key, certified)| (certified.user, *key)).collect()
            }
            Err(_) => BTreeMap::new(),
        }
    }
}

/// What was said of one change, put together. `None` if nobody asks for it.
fn assemble(id: RequestId, read: Vec<Read>) -> Option<Result<FiledRequest, (String, Flaw)>> {
    let (mut flaw, mut proposal, mut rest) = (None, None, Vec::new());
    for found in read {
        match found {
            Err(trouble) => flaw = flaw.or(Some(trouble)),
            Ok(Some(found)) if matches!(found.says, Says::Proposed { .. }) => proposal = Some(found),
            Ok(found) => rest.extend(found),
        }
    }
    let Some(Found { digest, header, signer, by, says: Says::Proposed { kind, targets, text, reason } }) = proposal
    else {
        return flaw.map(Err);
    };
    let sealed = reason.map(|bytes| Sealed { header, bytes });
    let mut request = FiledRequest {
        id,
        proposal: Proposal { kind, targets: targets.into_iter().collect(), text, reason: None },
        has_reason: sealed.is_some(),
        proposed: by,
        approvals: Vec::new(),
        rejections: Vec::new(),
        carried_out: Vec::new(),
        flaw,
        object: digest,
        signer,
        sealed,
    };
    rest.sort_by_key(|found: &Found| (found.by.time, found.by.user));
    for Found { by, says, .. } in rest {
        match says {
            Says::Approved(object) if object == digest => request.approvals.push(by),
            Says::Rejected(object) if object == digest => request.rejections.push(by),
            Says::CarriedOut(object, user) if object == digest => request.carried_out.push((user, by.time)),
            _ => {}
        }
    }
    Some(Ok(request))
}

impl Vault {
    /// Reads all change requests, with the reasons that this user may read.
    pub fn requests(&self) -> Requests {
        let mut requests = self.view.requests();
        for request in &mut requests.filed {
            request.proposal.reason = self.reason(request);
        }
        requests
    }

    fn reason(&self, request: &FiledRequest) -> Option<String> {
        let Sealed { header, bytes } = request.sealed.as_ref()?;
        let private = self.keys.as_ref()?.private(ObjectKind::Request, header.key, FOLDER).ok()?;
        let plain = open_with(private, INFO, &aad(*header, request.signer, &request.proposal), bytes).ok()?;
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
        let signer = key_id(&self.keyring.signing.public());
        let recipient = &self.epoch().meta;
        let header = match proposal.reason {
            Some(_) => Header { kind: ObjectKind::Request, vault: self.id(), key: recipient.key_id() },
            None => Header::clear(ObjectKind::Request, self.id()),
        };
        let seal = |reason: &String| {
            let aad = aad(header, signer, proposal);
            seal_to(recipient, INFO, &aad, &encode_reason(reason), &*self.around.random)
        };
        let says = Says::Proposed {
            kind: proposal.kind.clone(),
            targets: proposal.targets.iter().cloned().collect(),
            text: proposal.text.clone(),
            reason: proposal.reason.as_ref().map(seal).transpose()?,
        };
        let body = Statement { time: self.around.clock.now(), says }.encode();
        let id = request_id(self.id(), signer, &body);
        let stem = Stem::mutable(ObjectKind::Request, id, 0);
        let author = Author::outside(&self.keyring.signing);
        let added = write_twice(&*self.around.storage, &author, header, &body, &stem)?;
        self.append(&writer, RunId::new([0; 8]), Change { operation: "propose", added, ..Change::default() })?;
        Ok(id)
    }

    /// Agrees to exactly this, or does not, in the name of the user who opened the vault. It is durable, and entered, when this
    /// returns. Whether the user may is not decided here.
    ///
    /// # Errors
    /// [`RepoError::NoSuchRequest`] if it is not there as it was when it was read, [`RepoError::RequestClosed`],
    /// [`RepoError::Damaged`] if not all that was said of it can be read, [`RepoError::RolledBack`], and errors of storage, state and
    /// keys.
    pub fn decide(&mut self, request: &FiledRequest, approve: bool) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let (id, object) = (request.id, request.object);
        if self.open_request(id)?.object != object {
            return Err(RepoError::NoSuchRequest { id });
        }
        let writer = self.writer()?;
        let (says, operation) =
            if approve { (Says::Approved(object), "approve") } else { (Says::Rejected(object), "reject") };
        let added = self.write_statement(id, &self.keyring.signing, says)?;
        self.append(&writer, RunId::new([0; 8]), Change { operation, added, ..Change::default() })
    }

    /// Writes that this is carried out; in no journal yet. Refuses what was carried out, and where that can't be told.
    pub(crate) fn write_outcome(&self, id: Option<RequestId>) -> Result<Vec<Added>, RepoError> {
        let Some(id) = id else { return Ok(Vec::new()) };
        let request = self.open_request(id)?;
        self.write_statement(id, &self.root_pair()?, Says::CarriedOut(request.object, self.user()))
    }

    /// True if somebody else says to have carried it out, too: whoever sees that takes back what is theirs, so that at most one has.
    pub(crate) fn has_rival(&self, id: RequestId) -> bool {
        self.view.requests().filed.iter().any(|request| request.id == id && request.carried_out.len() > 1)
    }

    fn open_request(&self, id: RequestId) -> Result<FiledRequest, RepoError> {
        let found = self.view.requests().filed.into_iter().find(|request| request.id == id);
        let request = found.ok_or(RepoError::NoSuchRequest { id })?;
        match request.flaw {
            _ if !request.carried_out.is_empty() => Err(RepoError::RequestClosed { id }),
            Some((name, flaw)) => Err(RepoError::Damaged { name, flaw }),
            None => Ok(request),
        }
    }

    fn write_statement(&self, id: RequestId, by: &SigningKey, says: Says) -> Result<Vec<Added>, RepoError> {
        let statement = Statement { time: self.around.clock.now(), says };
        let stem = Stem::mutable(ObjectKind::Request, id, 1);
        let header = Header::clear(ObjectKind::Request, self.id());
        write_twice(&*self.around.storage, &Author::outside(by), header, &statement.encode(), &stem)
    }
}

fn aad(header: Header, signer: KeyId, proposal: &Proposal) -> Vec<u8> {
    let targets: Vec<String> = proposal.targets.iter().cloned().collect();
    associated(&header.to_bytes(), signer, &proposal.kind, &targets, proposal.text.as_deref())
}

#[cfg(feature = "testing")]
impl Vault {
    /// An approval of one request, filed with another; or of this one, as if root had carried it out.
    pub(crate) fn forged(&self, about: RequestId, of: RequestId, is_done: bool) -> Result<Vec<Added>, RepoError> {
        let object = self.view.requests().filed.into_iter().find(|request| request.id == of).expect("is there").object;
        let says = if is_done { Says::CarriedOut(object, self.user()) } else { Says::Approved(object) };
        self.write_statement(about, &self.keyring.signing, says)
    }

    /// A second proposal under the id of another, dated to the end of time.
    pub(crate) fn forged_proposal(&self, about: RequestId) -> Result<Vec<Added>, RepoError> {
        let says = Says::Proposed { kind: "grant".to_owned(), targets: Vec::new(), text: None, reason: None };
        let body = Statement { time: DateTime::<Utc>::MAX_UTC, says }.encode();
        let (header, author) = (Header::clear(ObjectKind::Request, self.id()), Author::outside(&self.keyring.signing));
        write_twice(&*self.around.storage, &author, header, &body, &Stem::mutable(ObjectKind::Request, about, 0))
    }
}
