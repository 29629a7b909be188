//! Who may do what, as far as keys decide it: users with slots, grants of keys, and the roll (docs/format.md §6, §18 and §19).
//!
//! A *slot* opens to who somebody is: a signing key, and a private key. A *grant* is sealed to that private key and holds the keys that
//! the user's roles need; so roles change, and keys are rotated, without anybody's passphrase. The *roll* says who has which
//! roles. What roles permit beyond what keys decide is not this crate's business: it keeps the roll and the firm's policies, and whoever
//! composes it asks them.

mod change;
mod grants;
mod keys;
mod locks;
mod regrant;
mod roll;
mod users;

#[cfg(feature = "testing")]
pub(crate) use grants::GRANT_INFO;
pub(crate) use grants::{granted, write_grant};
pub use keys::KeySet;
pub use locks::SlotInfo;
pub use roll::{Member, Roll};
pub use users::{LOGIN_MAX, NewUser, is_login};
