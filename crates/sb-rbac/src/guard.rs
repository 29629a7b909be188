//! The guard rails, in words. What they forbid stands in `src/cedar/guards.cedar`.

/// Something that is forbidden whatever a firm's policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardRail {
    /// Its id, such as `f-dual-control`.
    pub id: &'static str,
    /// What it says.
    pub words: &'static str,
    /// Whether policies of a firm are refused that would permit what it forbids, if it were not there. Of the others nothing
    /// needs to be said in policies; they are merged with them in any case.
    pub is_inviolable: bool,
}

const fn rail(id: &'static str, is_inviolable: bool, words: &'static str) -> GuardRail {
    GuardRail { id, words, is_inviolable }
}

impl GuardRail {
    /// Every guard rail.
    pub const ALL: [Self; 12] = [
        rail(
            "f-retained-or-held",
            true,
            "a document is not disposed of while it has to be kept, is held, nobody knows until when it has to be kept, or nobody vouches for the time",
        ),
        rail(
            "f-approval-is-for-this-target-and-this-act",
            true,
            "this needs a change request, which must be for this very act and this very target",
        ),
        rail(
            "f-dual-control",
            true,
            "this needs the approval of others than who proposed it; where no two users could approve, a cooling-off period that is over",
        ),
        rail("f-compliance-mode-never-shortens", true, "retention in compliance mode is shortened by nobody"),
        rail(
            "f-no-self-or-double-approval",
            true,
            "nobody approves what they have proposed, and nobody approves twice",
        ),
        rail("f-auditors-and-verifiers-never-write", true, "auditors and verifiers change nothing of what they check"),
        rail("f-inactive", false, "who is locked may do nothing"),
        rail("f-conflict-wall", false, "a conflict wall stands between this user and this client"),
        rail("f-time-box", false, "access has ended, or is an auditor's of whom nobody has said when it ends"),
        rail("f-mfa-for-privileged", false, "this needs two factors, such as a key file and a passphrase together"),
        rail("f-static-separation-of-duty", false, "nobody has both of these roles: the one would check the other"),
        rail(
            "f-no-grant-to-oneself",
            false,
            "nobody gives roles to themselves, unless others have approved that very grant",
        ),
    ];

    /// The guard rail of that id.
    pub fn named(id: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|rail| rail.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped::GUARDS;

    #[test]
    fn every_guard_rail_has_words_and_stands_in_the_same_order() {
        let mut ids: Vec<String> = GUARDS.iter().map(|policy| policy.id().to_string()).collect();
        let mut expected = GuardRail::ALL.map(|rail| rail.id.to_owned()).to_vec();
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected);
        assert!(GUARDS.iter().all(|policy| policy.effect() == cedar_policy::Effect::Forbid));
        assert_eq!(GuardRail::named("f-inactive").map(|rail| rail.is_inviolable), Some(false));
    }
}
