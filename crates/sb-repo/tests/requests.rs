//! Change requests: what was asked for, agreed to and done, and what somebody with a program of his own can make of that.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use common::{Machine, key, new_vault};
use sb_crypto::{Credential, KeyFile, Lock, SeededRandom};
use sb_repo::testing::{ForgedStatement, forge_statement};
use sb_repo::{
    CollectOptions, FiledRequest, Flaw, KeySet, NewUser, Progress, Proposal, RepoError, RequestId, SlotInfo,
    Surroundings, UserId, Vault, VerifyLevel,
};
use sb_store::sim::{Cut, SimDisk};
use sb_store::{MemoryStorage, ObjectName, Storage};

fn file(n: u64) -> KeyFile {
    KeyFile::generate(&SeededRandom::new(6000 + n))
}

/// A vault with an owner, a partner who has all keys as well, and `omar`, who only adds.
struct Firm {
    storage: Arc<MemoryStorage>,
    machine: Machine,
    owner: Vault,
    omar: UserId,
}

impl Firm {
    fn new() -> Self {
        let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(1));
        let (mut owner, _) = new_vault(&machine, storage.clone());
        let omar = staff(&mut owner);
        Self { storage, machine, owner, omar }
    }

    fn open(&self, n: u64) -> Vault {
        Machine::new(10 + n).open(self.storage.clone(), &file(n)).unwrap()
    }

    fn request(&mut self, id: RequestId) -> FiledRequest {
        self.owner.refresh().unwrap();
        request(&self.owner, id)
    }
}

fn staff(owner: &mut Vault) -> UserId {
    let someone =
        |login: &str, n, role: &str, keys| NewUser::new(login, Lock::KeyFile(file(n)), vec![role.to_owned()], keys);
    owner.add_user(&someone("partner", 1, "owner", KeySet::ALL)).unwrap();
    owner.add_user(&someone("omar", 2, "operator", KeySet::ADD)).unwrap()
}

fn request(vault: &Vault, id: RequestId) -> FiledRequest {
    vault.requests().filed.into_iter().find(|request| request.id == id).unwrap()
}

fn removal(user: UserId) -> Proposal {
    Proposal::new("removeUser", format!("user:{user}"))
}

fn is_closed<T>(outcome: Result<T, RepoError>) -> bool {
    matches!(outcome, Err(RepoError::RequestClosed { .. }))
}

fn is_damaged<T>(outcome: Result<T, RepoError>) -> bool {
    matches!(outcome, Err(RepoError::Damaged { .. }))
}

/// Both copies of every statement about a request but the proposal.
fn statements(storage: &MemoryStorage, id: RequestId) -> Vec<ObjectName> {
    let listed = storage.list("").unwrap().into_iter().map(|listed| listed.name);
    let of = listed.filter(|name| name.contains(&format!("requests/{id}.")) && !name.contains(".0."));
    of.map(|name| ObjectName::new(name).unwrap()).collect()
}

#[test]
fn who_asked_and_who_agreed_is_filed_and_the_reason_is_for_who_reads_names() {
    let mut firm = Firm::new();
    let (mut partner, mut omar) = (firm.open(1), firm.open(2));
    let mut proposal = removal(firm.omar);
    (proposal.reason, proposal.text) = (Some("has left the firm".to_owned()), Some("a text".to_owned()));
    let id = partner.propose(&proposal).unwrap();

    let filed = firm.request(id);
    assert_eq!((&filed.proposal, filed.has_reason, filed.is_open()), (&proposal, true, true));
    assert_eq!((filed.proposed.user, filed.proposed.is_current), (partner.user(), true));
    omar.refresh().unwrap();
    let seen = request(&omar, id);
    assert_eq!((seen.proposal.reason, seen.has_reason), (None, true));
    assert_eq!(firm.owner.view().requests().filed[0].proposal.reason, None);

    firm.owner.decide(id, true).unwrap();
    omar.decide(id, true).unwrap();
    let approvals: Vec<_> = firm.request(id).approvals.iter().map(|by| (by.user, by.is_current)).collect();
    assert_eq!(approvals, [(firm.owner.user(), true), (firm.omar, true)]);

    // A key that is not theirs any more has said nothing.
    firm.owner.reset_user(firm.omar, "omar", &[Lock::KeyFile(file(7))]).unwrap();
    assert!(!firm.request(id).approvals[1].is_current);
    firm.owner.remove_user(firm.omar, Some(id)).unwrap();
    let filed = firm.request(id);
    assert_eq!((filed.carried_out[0].user, filed.is_open()), (firm.owner.user(), false));
    assert!(firm.owner.verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good());
}

#[test]
fn what_was_refused_or_done_is_closed_for_good() {
    let mut firm = Firm::new();
    let refused = firm.owner.propose(&removal(firm.omar)).unwrap();
    let done = firm.owner.propose(&Proposal::new("exportKey", "key:recovery")).unwrap();
    firm.open(1).decide(refused, false).unwrap();
    firm.owner.renew_recovery(done).unwrap();
    for id in [refused, done] {
        assert!(is_closed(firm.owner.decide(id, true)));
        assert!(is_closed(firm.owner.remove_user(firm.omar, Some(id))));
        assert!(is_closed(firm.owner.change_user(firm.omar, Some(id), |_| {})));
        assert!(is_closed(firm.owner.change_roll(Some(id), |_| {})));
        assert!(is_closed(firm.owner.renew_recovery(id)));
    }
    let unknown = RequestId::new([9; 8]);
    assert!(matches!(firm.owner.decide(unknown, true), Err(RepoError::NoSuchRequest { id }) if id == unknown));
    assert!(firm.owner.current_roll().unwrap().member(firm.omar).is_some());

    // Nor do they open again where somebody takes away what was said of them.
    for id in [refused, done] {
        for name in statements(&firm.storage, id) {
            firm.storage.remove(&name).unwrap();
        }
        assert!(!firm.request(id).is_open() && firm.request(id).flaw.is_some());
        assert!(is_damaged(firm.owner.remove_user(firm.omar, Some(id))));
    }
}

#[test]
fn a_statement_is_read_from_its_twin_and_one_that_is_lost_stops_the_request() {
    let mut firm = Firm::new();
    let id = firm.owner.propose(&removal(firm.omar)).unwrap();
    firm.open(1).decide(id, true).unwrap();
    let copies = statements(&firm.storage, id);
    assert_eq!(copies.len(), 2);
    firm.storage.remove(&copies[0]).unwrap();
    assert_eq!((firm.request(id).approvals.len(), firm.request(id).is_open()), (1, true));
    firm.storage.remove(&copies[1]).unwrap();
    assert!(is_damaged(firm.owner.remove_user(firm.omar, Some(id))));
    let report = firm.owner.verify(VerifyLevel::Objects, Progress::none()).unwrap();
    assert!(report.findings.iter().any(|found| found.flaw == Flaw::Missing && found.object.contains("requests/")));
}

#[test]
fn an_approval_counts_for_what_it_was_given_for_alone() {
    let mut firm = Firm::new();
    let mut omar = firm.open(2);
    let [this, that] = [0, 1].map(|_| firm.owner.propose(&removal(firm.omar)).unwrap());
    firm.open(1).decide(this, true).unwrap();
    // Its bytes under the name of the other are signed by nobody.
    for name in statements(&firm.storage, this) {
        let bytes = firm.storage.read(&name).unwrap();
        let other = name.as_str().replace(&this.to_string(), &that.to_string());
        sb_store::create(&*firm.storage, &ObjectName::new(other).unwrap(), &bytes).unwrap();
    }
    assert_eq!(firm.request(that).approvals, []);
    assert!(firm.request(that).is_open());
    // Who has a key can sign it there; what it is of is something else.
    omar.refresh().unwrap();
    forge_statement(&mut omar, that, ForgedStatement::ApprovalOf(this)).unwrap();
    assert_eq!(firm.request(that).approvals, []);
    assert!(is_damaged(firm.owner.decide(that, true)));
    // Nor can anybody ask for two things at once.
    forge_statement(&mut omar, this, ForgedStatement::SecondProposal).unwrap();
    assert!(is_damaged(firm.owner.remove_user(firm.omar, Some(this))));
}

#[test]
fn who_has_not_the_root_key_cannot_have_a_refusal_forgotten() {
    let mut firm = Firm::new();
    let id = firm.owner.propose(&removal(firm.omar)).unwrap();
    firm.open(1).decide(id, false).unwrap();
    let mut omar = firm.open(2);
    forge_statement(&mut omar, id, ForgedStatement::Forgotten).unwrap();
    assert_eq!(firm.request(id).rejections.len(), 1);
}

/// A clock by which something else happens when it is read.
struct Distracting<'t>(Mutex<Option<Box<dyn FnOnce() + Send + 't>>>);

impl std::fmt::Debug for Distracting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Distracting")
    }
}

impl sb_repo::Clock for Distracting<'_> {
    fn now(&self) -> DateTime<Utc> {
        let act = self.0.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }
}

fn recovery_slots(vault: &Vault, user: UserId) -> Vec<SlotInfo> {
    let slots = vault.view().slots().into_iter();
    slots.filter(|slot| slot.user == user && slot.method == sb_crypto::SlotMethod::Recovery).collect()
}

/// Two machines of one person who is asked to be patient do the same at once.
#[test]
fn of_two_who_carry_it_out_at_once_one_does() {
    let mut firm = Firm::new();
    let id = firm.owner.propose(&Proposal::new("exportKey", "key:recovery")).unwrap();
    let clock = Arc::new(Distracting(Mutex::new(None)));
    let around = Surroundings { clock: clock.clone(), ..Machine::new(5).around(firm.storage.clone()) };
    let mut second = Vault::open(around, &Credential::KeyFile(key()), None).unwrap();
    second.log(&[common::event(1)]).unwrap();
    let first = Arc::new(Mutex::new(None));
    let (outcome, mut owner) = (first.clone(), firm.owner);
    let act = move || *outcome.lock().unwrap() = Some((owner.renew_recovery(id), owner));
    *clock.0.lock().unwrap() = Some(Box::new(act));
    let second = second.renew_recovery(id);
    let (first, _) = first.lock().unwrap().take().unwrap();
    assert!(is_closed(second));
    let owner = firm.machine.open(firm.storage.clone(), &key()).unwrap();
    let around = Machine::new(6).around(firm.storage.clone());
    assert!(Vault::open(around, &Credential::Recovery(first.unwrap()), None).is_ok());
    assert_eq!(recovery_slots(&owner, owner.user()).len(), 1);
    assert_eq!(request(&owner, id).carried_out.len(), 1);
}

/// Asks, agrees and carries out, until something fails.
fn acts(owner: &mut Vault, partner: &mut Vault, omar: UserId) -> usize {
    let Ok(removal) = owner.propose(&removal(omar)) else { return 0 };
    let Ok(export) = owner.propose(&Proposal::new("exportKey", "key:recovery")) else { return 1 };
    if partner.decide(removal, true).is_err() {
        return 2;
    }
    if owner.remove_user(omar, Some(removal)).is_err() {
        return 3;
    }
    4 + usize::from(owner.renew_recovery(export).is_ok())
}

/// Wherever it is cut short, what is done is said to be done, and the other way round.
#[test]
fn a_request_is_carried_out_together_with_what_it_asks_for() {
    let prepared = SimDisk::new();
    let (mut owner, _) = new_vault(&Machine::new(1), Arc::new(prepared.storage()));
    let omar = staff(&mut owner);
    let begin = || {
        let disk = prepared.snapshot();
        let owner = Machine::new(3).open(Arc::new(disk.storage()), &key()).unwrap();
        let partner = Machine::new(4).open(Arc::new(disk.storage()), &file(1)).unwrap();
        (disk, owner, partner)
    };
    let (first, operations) = {
        let (disk, mut owner, mut partner) = begin();
        let first = disk.operations();
        assert_eq!(acts(&mut owner, &mut partner, omar), 5);
        (first, disk.operations())
    };
    for k in first..operations {
        let (cut, power) = if k % 2 == 0 { (Cut::Before, true) } else { (Cut::After, false) };
        let (disk, mut owner, mut partner) = begin();
        disk.cut(cut);
        disk.crash_at(k);
        let done = acts(&mut owner, &mut partner, omar);
        drop((owner, partner));
        if power {
            disk.power_loss(k);
        } else {
            disk.kill();
        }
        let context = format!("operation {k}, {cut:?}, {done}");
        let mut owner = Machine::new(13).open(Arc::new(disk.storage()), &key()).unwrap();
        let filed = owner.requests().filed;
        assert!(filed.len() >= done.min(2), "{context}");
        let is_there = owner.current_roll().unwrap().member(omar).is_some();
        for request in &filed {
            assert_eq!(request.flaw, None, "{context}");
            if request.proposal == removal(omar) {
                assert_eq!(request.carried_out.is_empty(), is_there, "{context}");
                assert!(!request.approvals.is_empty() || done < 3, "{context}");
            }
        }
        assert!(!is_there || done < 4, "{context}");
        assert!(!recovery_slots(&owner, owner.user()).is_empty(), "{context}");
        owner.collect(&CollectOptions::default(), Progress::none()).unwrap();
        let report = owner.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert!(report.is_good(), "{context}: {report:?}");
    }
}
