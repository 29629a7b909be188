//! Which packs stay, which go, and of which only what is needed moves on. A pure function.

use crate::name::ObjectKind;

/// Packs of which less than this is needed are put together,
const SMALL: u64 = 4 << 20;
/// when there are so many of a kind. Each run adds two, and reading a vault and listing it takes time for each.
const MANY: usize = 16;

/// How much of what nothing needs may stay where it lies, rather than be taken out by writing what is needed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxUnused {
    /// So many hundredths of all packs.
    Percent(u32),
    /// So many bytes.
    Bytes(u64),
    /// Any amount: nothing is written anew.
    Unlimited,
}

/// A pack as the planner sees it. Bytes are as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackUse {
    pub(super) kind: ObjectKind,
    /// True if anything in it is needed.
    pub(super) is_needed: bool,
    /// Bytes that are needed.
    pub(super) needed: u64,
    /// Bytes that are not.
    pub(super) unused: u64,
    /// True if what is needed can be moved.
    pub(super) can_move: bool,
}

/// What becomes of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Keep,
    Delete,
    /// What is needed of it moves to a new pack.
    Rewrite,
    /// The same, together with others: each is small.
    Merge,
}

/// What becomes of each pack. What nothing needs goes; then packs are rewritten: small ones if there are many and `room`, in bytes,
/// for what is needed of them all, for some of them alone would be small packs again; and those of which the smallest share is
/// needed first, until no more than `limit` is left of what nothing needs.
pub(super) fn decide(packs: &[PackUse], limit: MaxUnused, mut room: u64) -> Vec<Fate> {
    let mut fates: Vec<Fate> =
        packs.iter().map(|pack| if pack.is_needed { Fate::Keep } else { Fate::Delete }).collect();
    let staying = || packs.iter().filter(|pack| pack.is_needed);
    let mut unused: u64 = staying().map(|pack| pack.unused).sum();
    let limit = match limit {
        MaxUnused::Unlimited => return fates,
        MaxUnused::Bytes(bytes) => bytes,
        MaxUnused::Percent(percent) => {
            let all: u64 = staying().map(|pack| pack.needed + pack.unused).sum();
            u64::try_from(u128::from(all) * u128::from(percent) / 100).unwrap_or(u64::MAX)
        }
    };
    for kind in [ObjectKind::ContentPack, ObjectKind::MetaPack] {
        let is_small = |(_, pack): &(usize, &PackUse)| pack.kind == kind && pack.is_small();
        let small: Vec<(usize, &PackUse)> = packs.iter().enumerate().filter(is_small).collect();
        let needed = small.iter().map(|(_, pack)| pack.needed).sum();
        let Some(rest) = room.checked_sub(needed).filter(|_| small.len() >= MANY) else { continue };
        room = rest;
        for (at, pack) in small {
            fates[at] = Fate::Merge;
            unused -= pack.unused;
        }
    }
    let is_wasteful = |(at, pack): &(usize, &PackUse)| fates[*at] == Fate::Keep && pack.can_move && pack.unused > 0;
    let mut wasteful: Vec<(usize, &PackUse)> = packs.iter().enumerate().filter(is_wasteful).collect();
    wasteful.sort_by_key(|(_, pack)| std::cmp::Reverse(share(pack)));
    for (at, pack) in wasteful {
        if unused <= limit {
            break;
        }
        fates[at] = Fate::Rewrite;
        unused -= pack.unused;
    }
    fates
}

impl PackUse {
    fn is_small(&self) -> bool {
        self.is_needed && self.can_move && self.needed < SMALL
    }
}

/// Of a million bytes of a pack those that nothing needs.
fn share(pack: &PackUse) -> u128 {
    u128::from(pack.unused) * 1_000_000 / u128::from((pack.needed + pack.unused).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(needed: u64, unused: u64) -> PackUse {
        PackUse { kind: ObjectKind::ContentPack, is_needed: needed > 0, needed, unused, can_move: true }
    }

    #[test]
    fn many_small_packs_of_a_kind_are_put_together() {
        let few = vec![pack(SMALL - 1, 0); MANY - 1];
        let roomy = |packs: &[PackUse], limit| decide(packs, limit, u64::MAX);
        let keep = |packs: &[PackUse]| roomy(packs, MaxUnused::Percent(5)) == vec![Fate::Keep; packs.len()];
        let with = |one: PackUse| [&few[..], &[one]].concat();
        assert!(keep(&few));
        assert!(keep(&with(pack(SMALL, 0))), "none of the others is small");
        assert!(keep(&with(PackUse { kind: ObjectKind::MetaPack, ..few[0] })), "it is of another kind");
        assert!(keep(&with(PackUse { can_move: false, ..few[0] })), "it has to stay where it is");
        let many = with(few[0]);
        assert_eq!(roomy(&many, MaxUnused::Percent(5)), vec![Fate::Merge; MANY]);
        let all = MANY as u64 * (SMALL - 1);
        assert_eq!(decide(&many, MaxUnused::Percent(5), all), vec![Fate::Merge; MANY]);
        assert_eq!(decide(&many, MaxUnused::Percent(5), all - 1), vec![Fate::Keep; MANY], "all of them or none");
        assert_eq!(roomy(&many, MaxUnused::Unlimited), vec![Fate::Keep; MANY], "nothing is written anew");
    }

    #[test]
    fn the_most_wasteful_packs_are_rewritten_first_and_no_more_than_need_be() {
        let packs = [pack(90, 10), pack(10, 90), pack(0, 100), pack(100, 0), pack(50, 50)];
        let fates = |limit| decide(&packs, limit, 0);
        use Fate::{Delete, Keep, Rewrite};
        assert_eq!(fates(MaxUnused::Unlimited), [Keep, Keep, Delete, Keep, Keep]);
        assert_eq!(fates(MaxUnused::Bytes(150)), [Keep, Keep, Delete, Keep, Keep]);
        assert_eq!(fates(MaxUnused::Bytes(149)), [Keep, Rewrite, Delete, Keep, Keep]);
        assert_eq!(fates(MaxUnused::Percent(5)), [Keep, Rewrite, Delete, Keep, Rewrite]);
        assert_eq!(fates(MaxUnused::Bytes(0)), [Rewrite, Rewrite, Delete, Keep, Rewrite]);
        assert_eq!(decide(&[], MaxUnused::Bytes(0), 0), []);
    }

    fn packs() -> impl Strategy<Value = Vec<PackUse>> {
        let one = (0..1000u64, 0..1000u64, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(needed, unused, is_needed, can_move, is_content)| {
                let kind = if is_content { ObjectKind::ContentPack } else { ObjectKind::MetaPack };
                let needed = if is_needed { needed * SMALL / 500 } else { 0 };
                PackUse { kind, is_needed, needed, unused, can_move }
            },
        );
        proptest::collection::vec(one, 0..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn laws(packs in packs(), limit in 0..20_000u64, more in 0..20_000u64, room in 0..200 * SMALL) {
            let fates = decide(&packs, MaxUnused::Bytes(limit), room);
            let mut left = 0;
            let mut can_go_on = false;
            for (pack, fate) in packs.iter().zip(&fates) {
                prop_assert_eq!(*fate == Fate::Delete, !pack.is_needed, "what is needed stays, what is not goes");
                match fate {
                    Fate::Rewrite => prop_assert!(pack.can_move && pack.unused > 0),
                    Fate::Merge => prop_assert!(pack.is_small()),
                    Fate::Keep | Fate::Delete => {}
                }
                if *fate == Fate::Keep {
                    left += pack.unused;
                    can_go_on |= pack.can_move && pack.unused > 0;
                }
            }
            prop_assert!(left <= limit || !can_go_on, "the limit is kept where it can be");
            let merged = packs.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Merge).map(|(pack, _)| pack.needed);
            prop_assert!(merged.sum::<u64>() <= room);
            let patient = decide(&packs, MaxUnused::Bytes(limit + more), room);
            let is_subset = patient.iter().zip(&fates).all(|(a, b)| *a != Fate::Rewrite || *b == Fate::Rewrite);
            prop_assert!(is_subset, "who tolerates more rewrites less");
        }
    }
}
