//! Whom to believe: which logs, and how many of which witnesses (C2SP tlog-policy, as of November 2026).

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::checkpoint::Checkpoint;
use crate::lines::decimal;
use crate::malformed::Malformed;
use crate::note::{Note, NoteError, SignatureType, VerifierKey};

const FORMAT: &str = "trust policy";
const BYTES_MAX: usize = 256 << 10;
/// Of logs, of witnesses, of groups.
const EACH_MAX: usize = 256;

/// A trust policy.
///
/// ```
/// use sb_audit::Policy;
/// let policy = Policy::parse(b"
///     log example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
///     quorum none
/// ")?;
/// assert_eq!(policy.logs().len(), 1);
/// # Ok::<(), sb_audit::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    /// In the order of their lines, so that members stand before what they are members of.
    groups: Vec<Group>,
    quorum: Option<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    threshold: usize,
    members: Vec<Member>,
}

/// A place among the witnesses or among the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`Malformed`] with the line that is wrong, or where a key is of another type than Ed25519: 0x01 for logs, 0x04
    /// for witnesses.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        Parser::default().parse(bytes)
    }

    /// The keys of the logs to believe.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The keys of the witnesses it names.
    #[must_use]
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// Whether checkpoints are believed only with a cosignature.
    #[must_use]
    pub const fn asks_for_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Checks the signatures of a checkpoint.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn check(&self, note: &Note) -> Result<Believed, PolicyError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let origin = checkpoint.origin();
        let keys: Vec<_> = self.logs.iter().filter(|key| key.name() == origin).collect();
        if keys.is_empty() {
            return Err(PolicyError::UnknownLog { origin: origin.to_owned() });
        }
        let log = note.verify(keys)?[0].key.clone();
        let signed = match note.verify(&self.witnesses) {
            Err(NoteError::Unsigned) => Vec::new(),
            other => other?,
        };
        let cosigned = |key: &VerifierKey| signed.iter().any(|signed| signed.key == key);
        if !self.quorum_met(&self.witnesses.iter().map(cosigned).collect::<Vec<_>>()) {
            return Err(PolicyError::NoQuorum { cosignatures: signed.len() });
        }
        let witness = |(key, time): (&VerifierKey, Option<DateTime<Utc>>)| {
            Some(Cosignature { witness: key.clone(), time: time? })
        };
        let cosignatures = signed.iter().filter_map(|signed| witness((signed.key, signed.time))).collect();
        Ok(Believed { checkpoint, log, cosignatures })
    }

    fn quorum_met(&self, witnesses: &[bool]) -> bool {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let met = group.members.iter().filter(|member| member.in_either(witnesses, &groups)).count();
            groups.push(met >= group.threshold);
        }
        self.quorum.is_none_or(|member| member.in_either(witnesses, &groups))
    }
}

impl Member {
    fn in_either(self, witnesses: &[bool], groups: &[bool]) -> bool {
        match self {
            Self::Witness(index) => witnesses[index],
            Self::Group(index) => groups[index],
        }
    }
}

/// A checkpoint that a policy accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Believed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The log that signed it.
    pub log: VerifierKey,
    /// The witnesses that cosigned it, all those the policy names, whether the quorum needs them or not.
    pub cosignatures: Vec<Cosignature>,
}

/// A witness saw a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Which.
    pub witness: VerifierKey,
    /// When, as it says itself, to the second.
    pub time: DateTime<Utc>,
}

/// Why a policy does not accept a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It is no checkpoint.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The policy names no such log.
    #[error("the log `{origin}` is not one to believe")]
    UnknownLog {
        /// The log's origin.
        origin: String,
    },
    /// The log did not sign it, or a signature of log or witness is bad.
    #[error(transparent)]
    Signature(#[from] NoteError),
    /// Too few witnesses cosigned it, or not the right ones.
    #[error("{cosignatures} known witnesses cosigned the checkpoint, which is not the quorum")]
    NoQuorum {
        /// How many of the policy's witnesses did.
        cosignatures: usize,
    },
}

/// What the lines so far have defined.
#[derive(Default)]
struct Parser {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    groups: Vec<Group>,
    names: Vec<(Vec<u8>, Member)>,
    /// Names that are members of a group already.
    taken: HashSet<Vec<u8>>,
    quorum: Option<Option<Member>>,
}

impl Parser {
    fn parse(mut self, bytes: &[u8]) -> Result<Policy, Malformed> {
        let lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate();
        for (number, line) in lines {
            let at = |fault| Malformed::at_line(FORMAT, number + 1, fault);
            if bytes.len() > BYTES_MAX {
                return Err(at("the file is too long"));
            }
            let line = line.strip_suffix(b"\n").ok_or_else(|| at("the line has no end"))?;
            if line.iter().any(|&byte| byte == 0x7f || byte < b' ' && byte != b'\t') {
                return Err(at("a control character"));
            }
            let items: Vec<&[u8]> =
                line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|item| !item.is_empty()).collect();
            self.line(&items).map_err(at)?;
        }
        let end = bytes.iter().filter(|&&byte| byte == b'\n').count();
        let quorum = self.quorum.ok_or(Malformed::at_line(FORMAT, end, "no quorum"))?;
        Ok(Policy { logs: self.logs, witnesses: self.witnesses, groups: self.groups, quorum })
    }

    fn line(&mut self, items: &[&[u8]]) -> Result<(), &'static str> {
        match *items {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] | [b"log", key, _] => add_key(&mut self.logs, key, SignatureType::Note),
            [b"witness", name, key] | [b"witness", name, key, _] => {
                add_key(&mut self.witnesses, key, SignatureType::Cosignature)?;
                self.define(name, Member::Witness(self.witnesses.len() - 1))
            }
            [b"group", name, threshold, ref members @ ..] => self.group(name, threshold, members),
            [b"quorum", name] if self.quorum.is_none() => {
                self.quorum = Some(if name == b"none" { None } else { Some(self.find(name)?) });
                Ok(())
            }
            [b"quorum", _] => Err("a second quorum"),
            _ => Err("not a line of a policy"),
        }
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], names: &[&[u8]]) -> Result<(), &'static str> {
        let mut members = Vec::with_capacity(names.len());
        for member in names {
            members.push(self.find(member)?);
            if !self.taken.insert(member.to_vec()) {
                return Err("a member that counts twice");
            }
        }
        let number = || usize::try_from(decimal(str::from_utf8(threshold).ok()?)?).ok();
        let threshold = match threshold {
            b"any" => 1,
            b"all" => members.len(),
            _ => number().ok_or("a threshold that is no number")?,
        };
        if threshold == 0 || threshold > members.len() {
            return Err("a threshold that can't be met, or no members");
        }
        if self.groups.len() == EACH_MAX {
            return Err("too many groups");
        }
        self.groups.push(Group { threshold, members });
        self.define(name, Member::Group(self.groups.len() - 1))
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<(), &'static str> {
        if name == b"none" || self.find(name).is_ok() {
            return Err("a name that is taken");
        }
        self.names.push((name.to_vec(), member));
        Ok(())
    }

    fn find(&self, name: &[u8]) -> Result<Member, &'static str> {
        let found = self.names.iter().find(|(known, _)| known == name);
        found.map(|(_, member)| *member).ok_or("a name that no line above defines")
    }
}

fn add_key(keys: &mut Vec<VerifierKey>, text: &[u8], kind: SignatureType) -> Result<(), &'static str> {
    let key = str::from_utf8(text).ok().and_then(|text| text.parse::<VerifierKey>().ok()).ok_or("not a vkey")?;
    if key.kind() != kind {
        return Err("a key of the wrong type");
    }
    if keys.iter().any(|known| known.key() == key.key()) {
        return Err("a key that was listed before");
    }
    if keys.len() == EACH_MAX {
        return Err("too many keys");
    }
    keys.push(key);
    Ok(())
}
