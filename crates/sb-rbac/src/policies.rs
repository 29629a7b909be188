//! Policies of a firm: read, validated, and refused where they would undo a guard rail.

use std::collections::BTreeSet;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, Validator};
use miette::Diagnostic;

use crate::check::{Counterexample, TooComplex, check};
use crate::directory::Directory;
use crate::mentions::Mentions;
use crate::shipped::{GRANT, RESERVED, SCHEMA};

const BYTES_MAX: usize = 256 * 1024;
const POLICIES_MAX: usize = 1000;
/// Brackets, and `if`s in one policy.
const DEPTH_MAX: usize = 32;
/// Operators in one policy: a chain of them is as deep as it is long.
const OPERATORS_MAX: usize = 500;

/// A firm's policies, which passed all checks.
///
/// They are Cedar policies against the schema in `src/cedar/schema.cedarschema`, each with an `@id`, and if they are to be
/// explained in other words than Cedar, with `@words`.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    text: String,
    policies: Vec<Policy>,
    /// Those that forbid some documents of a snapshot and not others.
    finer: Vec<PolicyId>,
}

/// Why policies are not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoliciesError {
    /// More than fits.
    #[error(
        "policies of {bytes} bytes are more than {BYTES_MAX}; merge policies that differ only in a role or a client"
    )]
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// More than fit.
    #[error("{count} policies are more than {POLICIES_MAX}; merge policies that differ only in a role or a client")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Brackets or `if`s within brackets or `if`s, or operators in a row, too many of them.
    #[error(
        "line {line}: more than {DEPTH_MAX} brackets or `if`s within each other, or {OPERATORS_MAX} operators; split the policy"
    )]
    TooDeep {
        /// Counted from 1.
        line: usize,
    },
    /// It is not Cedar.
    #[error("line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What Cedar says.
        message: String,
    },
    /// A policy has no name of its own.
    #[error("line {line}: this policy has no id; write `@id(\"…\")` before it")]
    NoId {
        /// Counted from 1.
        line: usize,
    },
    /// An id that another policy has, or that begins like a guard rail's.
    #[error("line {line}: the id `{id}` is {}; give the policy another", taken(*.is_reserved))]
    Taken {
        /// Counted from 1.
        line: usize,
        /// The id.
        id: String,
        /// Whether it is one of those that are always there.
        is_reserved: bool,
    },
    /// A template. The only one is that of grants.
    #[error(
        "policy `{id}`: templates are not for firms; grant the right to restore to one user instead, or name a role"
    )]
    Template {
        /// Its id, or what Cedar calls it.
        id: String,
    },
    /// It does not fit the schema.
    #[error("line {line}: policy `{policy}`: {message}")]
    Invalid {
        /// Counted from 1.
        line: usize,
        /// Its id.
        policy: String,
        /// What Cedar says, and what to do.
        message: String,
    },
    /// A role that nobody can have.
    #[error("line {line}: policy `{policy}`: there is no role `{role}`; define it first{}", .like.as_ref().map(|like| format!(", or write `{like}`")).unwrap_or_default())]
    NoSuchRole {
        /// Counted from 1.
        line: usize,
        /// The policy that names it.
        policy: String,
        /// The name.
        role: String,
        /// A role whose name is similar.
        like: Option<String>,
    },
    /// By themselves they would permit what a guard rail forbids.
    #[error(transparent)]
    Permits(Box<Counterexample>),
    /// They mention so much that it can't be said what they permit.
    #[error(transparent)]
    TooComplex(TooComplex),
}

fn taken(is_reserved: bool) -> &'static str {
    if is_reserved { "kept for guard rails and built-in policies" } else { "that of another policy" }
}

impl Policies {
    /// No policies: the built-in roles alone decide.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads and checks policies. The roles they name have to be in the directory.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn check(text: &str, directory: &Directory) -> Result<Self, PoliciesError> {
        let policies = parse(text)?;
        validate(text, &policies)?;
        know_roles(text, &policies, directory)?;
        check(&policies, directory)?;
        let finer = policies.iter().filter(|policy| is_finer_than_snapshots(policy)).map(|policy| policy.id().clone());
        Ok(Self { text: text.to_owned(), finer: finer.collect(), policies })
    }

    /// As they were written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Their ids, in the order they were written in.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|policy| policy.id().as_ref())
    }

    pub(crate) fn policies(&self) -> &[Policy] {
        &self.policies
    }

    pub(crate) fn finer_than_snapshots(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().filter(|policy| self.finer.contains(policy.id()))
    }

    /// What a policy says of itself.
    pub(crate) fn words(&self, id: &str) -> Option<&str> {
        let policy = self.policies.iter().find(|policy| policy.id().as_ref() as &str == id)?;
        policy.annotation("words").or_else(|| policy.annotation("description"))
    }
}

fn parse(text: &str) -> Result<Vec<Policy>, PoliciesError> {
    if text.len() > BYTES_MAX {
        return Err(PoliciesError::TooLong { bytes: text.len() });
    }
    shallow(text)?;
    let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        let first = errors.iter().next();
        let place = first.and_then(|error| error.labels()?.next()).map_or(0, |label| label.offset());
        let message = first.map_or_else(|| errors.to_string(), ToString::to_string);
        PoliciesError::Syntax { line: line(text, place), message }
    })?;
    if let Some(template) = set.templates().next() {
        let id = template.annotation("id").map_or_else(|| template.id().to_string(), str::to_owned);
        return Err(PoliciesError::Template { id });
    }
    let count = set.num_of_policies();
    if count > POLICIES_MAX {
        return Err(PoliciesError::TooMany { count });
    }
    // Cedar numbers them in order: `policy0`, `policy1`.
    let numbered = (0..count).filter_map(|number| set.policy(&PolicyId::new(format!("policy{number}"))));
    let (mut policies, mut ids, mut from) = (Vec::with_capacity(count), BTreeSet::new(), 0);
    for policy in numbered {
        let place = place_of(policy, text, from);
        from = place + policy.to_cedar().map_or(0, |written| written.trim().len());
        let line = line(text, place);
        let id = policy.annotation("id").filter(|id| !id.is_empty()).ok_or(PoliciesError::NoId { line })?;
        let is_reserved = RESERVED.contains(id) || id == GRANT || id.starts_with("f-");
        if is_reserved || !ids.insert(id.to_owned()) {
            return Err(PoliciesError::Taken { line, id: id.to_owned(), is_reserved });
        }
        policies.push(policy.new_id(PolicyId::new(id)));
    }
    Ok(policies)
}

/// Keeps what parses and evaluates recursively from running out of stack.
fn shallow(text: &str) -> Result<(), PoliciesError> {
    let (mut depth, mut ifs, mut operators) = (0_usize, 0_usize, 0_usize);
    let bytes = text.as_bytes();
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let mut end = place + 1;
        match byte {
            b'"' => end = end_of_string(bytes, end),
            b'/' if bytes.get(end) == Some(&b'/') => {
                end += bytes[end..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - end);
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'.' | b'!' | b'-' | b'+' | b'*' | b'<' | b'>' | b'=' | b'&' | b'|' => operators += 1,
            b';' => (ifs, operators) = (0, 0),
            _ if is_letter(*byte) => {
                end += bytes[end..].iter().take_while(|byte| is_letter(**byte)).count();
                match &bytes[place..end] {
                    b"if" => ifs += 1,
                    b"has" | b"in" | b"is" | b"like" => operators += 1,
                    _ => {}
                }
            }
            _ => {}
        }
        if depth > DEPTH_MAX || ifs > DEPTH_MAX || operators > OPERATORS_MAX {
            return Err(PoliciesError::TooDeep { line: line(text, place) });
        }
        place = end;
    }
    Ok(())
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The place after the quote that ends a string.
fn end_of_string(bytes: &[u8], mut place: usize) -> usize {
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'\\' => place += 2,
            b'"' => return place + 1,
            _ => place += 1,
        }
    }
    bytes.len()
}

fn validate(text: &str, policies: &[Policy]) -> Result<(), PoliciesError> {
    let set = PolicySet::from_policies(policies.iter().cloned()).expect("ids are unique");
    // One step: what lies further is not handed to policies.
    let result = Validator::new(SCHEMA.clone()).validate_with_level(&set, ValidationMode::Strict, 1);
    let invalid = |id: &PolicyId, said: &dyn Diagnostic| {
        let policy = policies.iter().find(|policy| policy.id() == id);
        let start = policy.map_or(0, |policy| place_of(policy, text, 0));
        let place = said.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
        let help = said.help().map(|help| format!("; {help}")).unwrap_or_default();
        PoliciesError::Invalid {
            line: line(text, start.max(place)),
            policy: id.to_string(),
            message: format!("{said}{help}"),
        }
    };
    if let Some(error) = result.validation_errors().next() {
        return Err(invalid(error.policy_id(), error));
    }
    // A policy that never applies is a mistake, and so is a text that looks like another.
    match result.validation_warnings().next() {
        Some(warning) => Err(invalid(warning.policy_id(), warning)),
        None => Ok(()),
    }
}

fn know_roles(text: &str, policies: &[Policy], directory: &Directory) -> Result<(), PoliciesError> {
    let known: BTreeSet<String> = directory.roles().map(|role| role.to_string()).collect();
    for policy in policies {
        let mentions = Mentions::of([policy]);
        if let Some(role) = mentions.ids("SB::Role").find(|role| !known.contains(*role)) {
            return Err(PoliciesError::NoSuchRole {
                line: line(text, place_of(policy, text, 0)),
                policy: policy.id().to_string(),
                role: role.to_owned(),
                like: known.iter().find(|known| is_like(known, role)).cloned(),
            });
        }
    }
    Ok(())
}

/// Whether two names differ in one letter, or in upper and lower case.
fn is_like(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str| text.chars().rev().collect::<String>();
    let same_end = rest(&one).chars().zip(rest(&other).chars()).take_while(|(a, b)| a == b).count();
    let longer = one.chars().count().max(other.chars().count());
    same + same_end + 1 >= longer
}

/// Whether a policy forbids reading something that is not told apart where a snapshot is asked about as a whole.
fn is_finer_than_snapshots(policy: &Policy) -> bool {
    let mentions = Mentions::of([policy]);
    let is_finer_type = |name: &String| matches!(name.as_str(), "SB::DocumentClass" | "SB::Document");
    let is_finer = |name: &str| mentions.attributes.contains(name);
    policy.effect() == Effect::Forbid
        && (mentions.types.iter().any(is_finer_type) || ["client", "retainUntil", "holds"].into_iter().any(is_finer))
}

/// Where a policy begins in a text, from some place on.
fn place_of(policy: &Policy, text: &str, from: usize) -> usize {
    let written = policy.to_cedar().unwrap_or_default();
    text.get(from..).and_then(|rest| rest.find(written.trim())).map_or(from, |place| from + place)
}

fn line(text: &str, place: usize) -> usize {
    1 + text.bytes().take(place).filter(|byte| *byte == b'\n').count()
}
