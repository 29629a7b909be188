//! Names of things. They are opaque: nothing is read out of them.

use std::fmt;

/// A function could not make types of their own, and mistaking a user for a client must not compile.
macro_rules! id {
    ($(#[doc = $doc:literal])* $name:ident) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// As it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<String>> From<T> for $name {
            fn from(id: T) -> Self {
                Self(id.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A person who uses the vault, such as `u_1`.
    UserId
}
id! {
    /// A program that uses the vault on nobody's behalf, such as a scheduler.
    ServiceId
}
id! {
    /// A client of the firm, whose documents are kept. What belongs to no client belongs to one called `default`, say.
    ClientId
}
id! {
    /// A role: a built-in one ([`Role::name`](crate::Role::name)) or one of the firm's.
    RoleName
}
