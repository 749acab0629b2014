//! Sets of possible answers, for evaluation with gaps.
//!
//! sudo's comparisons answer allow, deny or nothing. Where a netgroup or a name service would have to
//! be asked, several of these are possible; carrying the set instead of a guess keeps "unknown" from
//! turning into "no".

/// A set of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdicts(u8);

impl Verdicts {
    pub(super) const ALLOW: Self = Self(1);
    pub(super) const DENY: Self = Self(2);
    pub(super) const NONE: Self = Self(4);
    pub(super) const NO_ANSWER_YET: Self = Self(0);
    /// A member that may or may not match.
    pub(super) const MAYBE: Self = Self(1 | 4);
    pub(super) const ANY: Self = Self(7);

    /// Whether a member matches.
    pub(super) fn matches(yes: bool) -> Self {
        if yes { Self::ALLOW } else { Self::NONE }
    }

    pub(super) fn may(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without one answer.
    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The answers of a negated member: allow and deny change places.
    pub(super) fn negated_if(self, negated: bool) -> Self {
        if negated {
            Self((self.0 & 4) | ((self.0 & 1) << 1) | ((self.0 & 2) >> 1))
        } else {
            self
        }
    }

    /// A list's answer: that of its last member that has one. `members` come last first.
    pub(super) fn of_list(members: impl Iterator<Item = Self>) -> Self {
        let mut answers = Self::NO_ANSWER_YET;
        for member in members {
            answers = answers.or(member.without(Self::NONE));
            if !member.may(Self::NONE) {
                return answers;
            }
        }
        answers.or(Self::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::Verdicts;

    #[test]
    fn last_member_with_an_answer_decides() {
        let list = |members: &[Verdicts]| Verdicts::of_list(members.iter().rev().copied());
        let (yes, no, none, maybe) = (
            Verdicts::ALLOW,
            Verdicts::DENY,
            Verdicts::NONE,
            Verdicts::MAYBE,
        );
        assert_eq!(list(&[yes, no, none]), no);
        assert_eq!(list(&[no, yes]), yes);
        assert_eq!(list(&[none]), none);
        assert_eq!(list(&[no, maybe]), yes.or(no));
        assert_eq!(list(&[maybe, yes]), yes);
        assert_eq!(maybe.negated_if(true), no.or(none));
    }
}
