//! What can be otherwise in a request, and how.

use chrono::{DateTime, Duration, Utc};

use super::case::{Case, now};
use crate::action::{Action, Group};
use crate::directory::User;
use crate::entities::Kind;
use crate::ids::{RoleName, UserId};
use crate::mentions::Mentions;
use crate::request::RequestKind;
use crate::resource::{Resource, RetentionMode};

/// Something that can be otherwise.
pub(crate) struct Knob {
    reads: Reads,
    /// The first is how it should be.
    pub(crate) settings: Vec<Setting>,
}

pub(crate) struct Setting {
    /// What is not as it should be.
    pub(crate) words: Option<String>,
    pub(crate) apply: Box<dyn Fn(&mut Case)>,
}

/// What shows that a condition can depend on something.
enum Reads {
    /// Nothing: every condition can.
    Anything,
    /// One of these attributes, or an entity of this type.
    Some(&'static [&'static str], Option<Kind>),
}

impl Knob {
    /// Whether something that mentions this can depend on it.
    pub(crate) fn concerns(&self, mentions: &Mentions) -> bool {
        match self.reads {
            Reads::Anything => true,
            Reads::Some(attributes, kind) => {
                attributes.iter().any(|name| mentions.attributes.contains(*name))
                    || kind.is_some_and(|kind| mentions.types.contains(kind.name()))
            }
        }
    }
}

fn good() -> Setting {
    Setting { words: None, apply: Box::new(|_| {}) }
}

fn other(words: impl Into<String>, apply: impl Fn(&mut Case) + 'static) -> Setting {
    Setting { words: Some(words.into()), apply: Box::new(apply) }
}

/// What attributes tell.
fn knob(attributes: &'static [&'static str], others: impl IntoIterator<Item = Setting>) -> Knob {
    of(Reads::Some(attributes, None), others)
}

fn of(reads: Reads, others: impl IntoIterator<Item = Setting>) -> Knob {
    Knob { reads, settings: [good()].into_iter().chain(others).collect() }
}

/// Everything that can be otherwise in a request for a kind of thing.
pub(crate) fn knobs(case: &Case, mentions: &Mentions) -> Vec<Knob> {
    let mut all = circumstances(mentions);
    all.extend(principal(case, mentions));
    all.extend(resource(case, mentions));
    let is_change = matches!(case.resource, Resource::Request(_));
    let action = case.request().action;
    if is_change || action.takes_request() {
        all.extend(change(case, mentions, is_change));
    }
    if action.is_in(Group::Execute) || action == Action::AssignRole {
        all.push(counts(mentions, &["approvers"], "could approve", |case, count| case.counts.approvers = count));
    }
    all
}

fn circumstances(mentions: &Mentions) -> Vec<Knob> {
    let at = |time: DateTime<Utc>| other(format!("it is {}", time.to_rfc3339()), move |case| case.context.now = time);
    vec![
        knob(&["mfa"], [other("there is one factor only", |case| case.context.mfa = false)]),
        knob(&["clockTrusted"], [other("nobody vouches for the time", |case| case.context.clock_trusted = false)]),
        knob(&["now"], near_times(mentions).into_iter().map(at)),
        counts(mentions, &["users"], "use the vault", |case, count| case.counts.users = count.max(1)),
    ]
}

/// A count of people, around every number that is mentioned.
fn counts(mentions: &Mentions, name: &'static [&'static str], words: &'static str, set: fn(&mut Case, usize)) -> Knob {
    let counts = near_numbers(mentions, &[1, 2, 3]).into_iter().filter_map(|count| usize::try_from(count).ok());
    let settings = counts.map(|count| other(format!("{count} {words}"), move |case| set(case, count)));
    knob(name, settings)
}

fn principal(case: &Case, mentions: &Mentions) -> Vec<Knob> {
    let mut all = vec![knob(
        &["active"],
        [other("locked", |case| {
            let id = case.asker();
            if let Some(user) = case.user() {
                user.is_active = false;
            }
            if let Some(service) = case.directory.service_mut(&id.as_str().into()) {
                service.is_active = false;
            }
        })],
    )];
    if !matches!(case.principal, crate::request::Principal::User(_)) {
        return all;
    }
    let until = |time: Option<DateTime<Utc>>| {
        let words =
            time.map_or_else(|| "access never ends".to_owned(), |time| format!("access ends {}", time.to_rfc3339()));
        other(words, move |case| {
            if let Some(user) = case.user() {
                user.access_until = time;
            }
        })
    };
    let clients = |words: &str, set: fn(&mut User, crate::ids::ClientId)| {
        mentions
            .ids(Kind::Client.name())
            .chain([case.names.client.as_str()])
            .map(|client| {
                let client = client.to_owned();
                other(format!("{words} client {client}"), move |case| {
                    if let Some(user) = case.user() {
                        set(user, client.as_str().into());
                    }
                })
            })
            .collect::<Vec<_>>()
    };
    let times = around(mentions).into_iter().map(Some).chain([None]);
    all.push(knob(&["accessUntil"], times.map(until)));
    let mut works = clients("the user works only for", |user, client| user.clients = [client].into());
    works.push(other("the user works for no client", |case| {
        if let Some(user) = case.user() {
            user.clients.clear();
        }
    }));
    all.push(knob(&["clients"], works));
    all.push(knob(
        &["walledOff"],
        clients("the user is walled off from", |user, client| user.walled_off = [client].into()),
    ));
    all
}

fn resource(case: &Case, mentions: &Mentions) -> Vec<Knob> {
    let named = |id: &str| {
        let id = id.to_owned();
        other(format!("it is `{id}`"), move |case| case.set_id(&id))
    };
    let of_client = |id: &str| {
        let id = id.to_owned();
        other(format!("it is of client {id}"), move |case| case.set_client(&id))
    };
    let is_of_client = case.resource.client().is_some();
    let ids: Vec<Setting> = mentions.ids(case.kind.name()).map(named).collect();
    let clients: Vec<Setting> = mentions.ids(Kind::Client.name()).filter(|_| is_of_client).map(of_client).collect();
    let whose = Reads::Some(&["client", "clients", "walledOff"], Some(Kind::Client));
    let mut all = vec![of(Reads::Some(&[], Some(case.kind)), ids), of(whose, clients), own(case, mentions)];
    if case.kind == Kind::User {
        all.extend(target(case, mentions));
    }
    match &case.resource {
        Resource::Document(_) => all.extend(document(mentions)),
        Resource::Retention { .. } => all.push(knob(
            &["mode"],
            [other("it is in compliance mode", |case| {
                if let Resource::Retention { mode, .. } = &mut case.resource {
                    *mode = RetentionMode::Compliance;
                }
            })],
        )),
        Resource::Roles { .. } => {
            let given = mentions.ids(Kind::Role.name()).map(|role| {
                let role = role.to_owned();
                other(format!("it is the role {role}"), move |case| {
                    if let Resource::Roles { after, .. } = &mut case.resource {
                        *after = [role.as_str().into()].into();
                    }
                })
            });
            all.push(knob(&["resultingRoles"], given));
        }
        _ => {}
    }
    all
}

/// Whose it is: the principal's own, or somebody's who is mentioned.
fn own(case: &Case, mentions: &Mentions) -> Knob {
    let reads = match &case.resource {
        // Policies can compare the two without naming anything.
        Resource::User(_) | Resource::Roles { .. } => Reads::Anything,
        _ => Reads::Some(&["placedBy", "author", "owner"], None),
    };
    let set = |case: &mut Case, user: UserId| match &mut case.resource {
        Resource::User(id) | Resource::Roles { user: id, .. } => *id = user,
        Resource::Hold { placed_by, .. } => *placed_by = user,
        Resource::Report { author, .. } => *author = Some(user),
        Resource::Slot { owner, .. } => *owner = user,
        _ => {}
    };
    let own = other("it is the same user's own", move |case| {
        let user = case.asker();
        set(case, user);
    });
    let others = mentions.ids(Kind::User.name()).chain([case.names.others[1].as_str()]).map(|user| {
        let user = user.to_owned();
        other(format!("it is that of {user}"), move |case| set(case, user.as_str().into()))
    });
    let has_owner = matches!(
        &case.resource,
        Resource::User(_)
            | Resource::Roles { .. }
            | Resource::Hold { .. }
            | Resource::Report { .. }
            | Resource::Slot { .. }
    );
    of(reads, [own].into_iter().chain(others).filter(|_| has_owner))
}

/// What the user can be like that a request is about: all but the principal are.
fn target(case: &Case, mentions: &Mentions) -> Vec<Knob> {
    let all = |words: String, change: Box<dyn Fn(&mut User)>| {
        other(words, move |case| {
            let asker = case.asker();
            let others: Vec<UserId> = case.directory.users().map(|(id, _)| id.clone()).collect();
            for id in others.iter().filter(|id| **id != asker) {
                if let Some(user) = case.directory.user_mut(id) {
                    change(user);
                }
            }
        })
    };
    let clients = || mentions.ids(Kind::Client.name()).chain([case.names.client.as_str()]).map(str::to_owned);
    let roles = mentions.ids(Kind::Role.name()).map(|role| {
        let name = RoleName::from(role);
        all(format!("it is about a user in role {role}"), Box::new(move |user| user.roles = [name.clone()].into()))
    });
    let works = clients().map(|client| {
        let words = format!("it is about a user who works for client {client}");
        all(words, Box::new(move |user| user.clients = [client.as_str().into()].into()))
    });
    let walled = clients().map(|client| {
        let words = format!("it is about a user who is walled off from client {client}");
        all(words, Box::new(move |user| user.walled_off = [client.as_str().into()].into()))
    });
    let until = around(mentions).into_iter().map(|time| {
        let words = format!("it is about a user whose access ends {}", time.to_rfc3339());
        all(words, Box::new(move |user| user.access_until = Some(time)))
    });
    vec![
        knob(&["active"], [all("it is about a locked user".to_owned(), Box::new(|user| user.is_active = false))]),
        of(Reads::Some(&[], Some(Kind::Role)), roles),
        knob(&["clients"], works),
        knob(&["walledOff"], walled),
        knob(&["accessUntil"], until),
    ]
}

fn document(mentions: &Mentions) -> Vec<Knob> {
    let set = |words: String, apply: Box<dyn Fn(&mut crate::resource::Document)>| {
        other(words, move |case| {
            if let Resource::Document(document) = &mut case.resource {
                apply(document);
            }
        })
    };
    let kept = |until: Option<DateTime<Utc>>| {
        let words = match until {
            Some(time) => format!("it has to be kept until {}", time.to_rfc3339()),
            None => "nobody knows until when it has to be kept".to_owned(),
        };
        set(words, Box::new(move |document| document.retain_until = until))
    };
    let held = |holds: i64| {
        let holds = u32::try_from(holds).ok()?;
        let words =
            if holds == 1 { "it is under a legal hold".to_owned() } else { format!("it is under {holds} legal holds") };
        Some(set(words, Box::new(move |document| document.holds = holds)))
    };
    let class = |class: &str| {
        let class = class.to_owned();
        set(format!("it is of class `{class}`"), Box::new(move |document| document.classes = [class.clone()].into()))
    };
    let snapshot = |id: &str| {
        let id = id.to_owned();
        set(format!("it is in snapshot `{id}`"), Box::new(move |document| document.snapshot = Some(id.clone())))
    };
    let until = [None, Some(now() + Duration::days(1))].into_iter().chain(around(mentions).into_iter().map(Some));
    let classes: Vec<Setting> = mentions.ids(Kind::DocumentClass.name()).map(class).collect();
    let snapshots: Vec<Setting> = mentions.ids(Kind::Snapshot.name()).map(snapshot).collect();
    vec![
        knob(&["retainUntil"], until.map(kept)),
        knob(&["holds"], near_numbers(mentions, &[1, 2]).into_iter().filter(|holds| *holds > 0).filter_map(held)),
        of(Reads::Some(&[], Some(Kind::DocumentClass)), classes),
        of(Reads::Some(&[], Some(Kind::Snapshot)), snapshots),
    ]
}

/// What can be otherwise about the change request: the one that is shown, or if `is_resource` the one it is about.
fn change(case: &Case, mentions: &Mentions, is_resource: bool) -> Vec<Knob> {
    let right = case.change.kind;
    let kinds = RequestKind::ALL.into_iter().filter(|kind| *kind != right);
    // One that is not mentioned stands for all of them.
    let (mentioned, rest): (Vec<RequestKind>, Vec<RequestKind>) =
        kinds.partition(|kind| mentions.texts.iter().any(|text| kind.name().contains(text.as_str())));
    let kind = |kind: RequestKind| {
        other(format!("the change request is one to `{}`", kind.name()), move |case| case.change.kind = kind)
    };
    let approved = |words: String, by: Vec<String>| {
        other(words, move |case| case.change.approvals = by.iter().map(|id| id.as_str().into()).collect())
    };
    let mut approvals = vec![
        approved("nobody has approved the change request".to_owned(), Vec::new()),
        approved("only who proposed it has approved it".to_owned(), vec![case.names.proposer.clone()]),
        other("the same user has approved it already", |case| case.change.approvals = [case.asker()].into()),
    ];
    let needed = near_numbers(mentions, &[2]).into_iter().filter_map(|count| usize::try_from(count).ok());
    for count in needed.filter(|count| (2..=case.names.others.len()).contains(count)) {
        approvals.push(approved(format!("{count} have approved it"), case.names.others[..count].to_vec()));
    }
    let named: Vec<String> = mentions.ids(Kind::User.name()).map(str::to_owned).collect();
    for user in &named {
        approvals.push(approved(format!("user {user} has approved it"), vec![user.clone()]));
    }
    if named.len() > 1 {
        approvals.push(approved(format!("{} have approved it", named.join(" and ")), named.clone()));
    }
    let proposers = named.into_iter().map(|user| {
        other(format!("user {user} has proposed it"), move |case| case.change.proposed_by = user.as_str().into())
    });
    let required = near_numbers(mentions, &[0, 2])
        .into_iter()
        .filter_map(|count| u32::try_from(count).ok())
        .filter(|count| *count != 1);
    let required =
        required.map(|count| other(format!("it needs {count} approvals"), move |case| case.change.required = count));
    let mut all = vec![
        knob(
            &["proposedBy", "distinctApprovals"],
            [other("the same user has proposed it", |case| case.change.proposed_by = case.asker())]
                .into_iter()
                .chain(proposers),
        ),
        knob(&["kind"], mentioned.into_iter().chain(rest.into_iter().take(1)).map(kind)),
        knob(&["required"], required.collect::<Vec<_>>()),
        knob(&["cooledOff"], [other("its cooling-off period is over", |case| case.change.is_cooled_off = true)]),
        knob(&["approvals", "distinctApprovals"], approvals),
    ];
    if !is_resource {
        all.push(knob(
            &["request"],
            [
                other("the change request is for another target", |case| case.is_bound = false),
                other("there is no change request", |case| case.has_change = false),
            ],
        ));
    }
    all
}

/// Some numbers, and those on both sides of every number that is mentioned.
fn near_numbers(mentions: &Mentions, always: &[i64]) -> Vec<i64> {
    let near = mentions.numbers.iter().flat_map(|number| [number.saturating_sub(1), *number, number.saturating_add(1)]);
    let mut all: Vec<i64> = always.iter().copied().chain(near).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Both sides of every time that is mentioned.
fn near_times(mentions: &Mentions) -> Vec<DateTime<Utc>> {
    let step = Duration::milliseconds(1);
    mentions.times.iter().flat_map(|time| [*time - step, *time, *time + step]).collect()
}

/// Times that differ from now by what can make a difference.
fn around(mentions: &Mentions) -> Vec<DateTime<Utc>> {
    let durations = mentions.durations.iter().flat_map(|duration| [*duration, duration.saturating_neg()]);
    let near = [0].into_iter().chain(durations).flat_map(|ms| [ms.saturating_sub(1), ms, ms.saturating_add(1)]);
    let near = near.filter_map(|ms| now().checked_add_signed(Duration::try_milliseconds(ms)?));
    let mut all: Vec<DateTime<Utc>> = near.chain(near_times(mentions)).collect();
    all.sort_unstable();
    all.dedup();
    all
}
