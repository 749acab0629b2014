//! An account as the files of the host say it, for those who judge what it can do.

use rescind_protocol::name::AccountName;

/// A local account: its passwd(5) line with what shadow(5) and group(5) add to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// passwd(5) field 1.
    pub name: AccountName,
    /// passwd(5) field 3.
    pub uid: u32,
    /// passwd(5) field 4.
    pub gid: u32,
    /// passwd(5) field 6, bytes as they stand.
    pub home: Vec<u8>,
    /// passwd(5) field 7, bytes as they stand; empty means `/bin/sh`.
    pub shell: Vec<u8>,
    /// The line of `/etc/passwd`, from 1.
    pub passwd_line: u32,
    /// The password field that decides: shadow(5)'s, or passwd(5)'s own where it is not `x`.
    pub password: PasswordState,
    /// The line of `/etc/shadow`, from 1, where there is one: one that nothing can read where the
    /// password is [`PasswordState::Missing`].
    pub shadow_line: Option<u32>,
    /// What is odd about these lines.
    pub oddities: Oddities,
    /// shadow(5) field 8: the day, counted from 1970-01-01, from which the account is expired.
    ///
    /// `None` also where passwd(5) has the password itself: pam_unix(8) then asks shadow(5) for
    /// nothing, so that an expiry there keeps nobody out.
    pub expire_day: Option<i64>,
    /// shadow(5) fields 3, 5 and 7 (last change, maximum age, inactivity), in days.
    pub aging: Aging,
    /// Its groups: the primary one first, then those of group(5) that name it as a member.
    pub groups: Vec<GroupRef>,
}

/// A group that an account is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRef {
    /// group(5) field 1, bytes as they stand; empty for a primary gid that has no line.
    pub name: Vec<u8>,
    /// group(5) field 3.
    pub gid: u32,
}

/// Password aging, in days; `None` where the field is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aging {
    /// Day of the last change, counted from 1970-01-01; 0 forces a change at the next login.
    pub last_change: Option<i64>,
    /// Days a password is good for.
    pub max: Option<i64>,
    /// Days after that in which it can still be changed at login.
    pub inactive: Option<i64>,
}

impl Account {
    /// What comes of typing a password: as [`Account::password`], but for a hash that is damaged.
    pub const fn typed_password(&self) -> PasswordState {
        match (self.password, self.oddities.hash) {
            (PasswordState::Usable, HashShape::Impossible) => PasswordState::Unusable,
            (state, _) => state,
        }
    }
}

/// What is odd about the lines of an account; as a rule nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Oddities {
    /// Of a password that is [`PasswordState::Usable`]: whether it looks like a hash.
    pub hash: HashShape,
    /// shadow(5) has a number below zero, or one that is too large: some C libraries pass over
    /// such a line, others take the number for none.
    pub number: bool,
    /// What shadow(5) says of an account that has its password in passwd(5): PAM does not ask it,
    /// sshd without PAM does.
    pub unasked_shadow: Option<UnaskedShadow>,
}

/// What a password field looks like that is no lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashShape {
    /// crypt(3) may give it for some password.
    #[default]
    Possible,
    /// It gives nothing that looks like this: no password matches.
    Impossible,
    /// It is of a kind that crypt(5) does not name.
    OfUnknownKind,
}

/// See [`Oddities::unasked_shadow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnaskedShadow {
    /// Field 2.
    pub password: PasswordState,
    /// As in [`Oddities::hash`].
    pub hash: HashShape,
    /// Field 8.
    pub expire_day: Option<i64>,
    /// As in [`Oddities::number`].
    pub odd_number: bool,
}

/// What a password field says, without its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordState {
    /// Empty: no password is asked (where `nullok` or PermitEmptyPasswords lets that through).
    Empty,
    /// A hash that some password may match, as far as its shape tells.
    Usable,
    /// Begins with `!`: locked as shadow(5), passwd(1) and sshd(8) understand it.
    Locked,
    /// Not locked in that sense, but nothing that a password can match: `*`, `x` and the like.
    Unusable,
    /// passwd(5) says `x` and shadow(5) has no line for the account.
    Missing,
    /// passwd(5) says `x` and `/etc/shadow` could not be read: anything above may be true.
    Unknown,
}

/// Whether a login shell of this name is one that only refuses: nologin(8), false(1) and the like.
pub fn shell_refuses(shell: &[u8]) -> bool {
    let name = shell
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    matches!(
        name,
        b"nologin" | b"false" | b"true" | b"sync" | b"halt" | b"shutdown"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    #[test]
    fn nobody_types_the_password_of_a_damaged_hash() {
        let mut account = alice();
        assert_eq!(account.typed_password(), PasswordState::Usable);
        account.oddities.hash = HashShape::OfUnknownKind;
        assert_eq!(account.typed_password(), PasswordState::Usable);
        account.oddities.hash = HashShape::Impossible;
        assert_eq!(account.typed_password(), PasswordState::Unusable);
        account.password = PasswordState::Locked;
        assert_eq!(account.typed_password(), PasswordState::Locked);
    }
}
