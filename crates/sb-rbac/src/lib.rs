#![doc = include_str!("../README.md")]

mod action;
mod authorizer;
mod check;
mod decision;
mod directory;
mod entities;
mod explain;
mod guard;
mod ids;
mod mentions;
mod policies;
mod request;
mod resource;
mod role;
mod shipped;
mod slice;

pub use authorizer::{Authorizer, Grant, GrantError, GrantScope};
pub use decision::{Decision, Determinant, PolicyFault, PolicyKind, Refusal};
pub use explain::{Change, Explanation, Suggestion};

pub use directory::{Directory, Service, User};
pub use ids::{ClientId, RoleName, ServiceId, UserId};
pub use role::{Role, RoleError};

pub use action::{Action, Group};
pub use request::{ChangeRequest, Context, Principal, Request, RequestKind};
pub use resource::{Document, Resource, RetentionMode};

pub use check::{Counterexample, TooComplex};
pub use guard::GuardRail;
pub use policies::{Policies, PoliciesError};
